//! `sst_files.open`.

use std::path::PathBuf;

use pyo3::prelude::*;

use crate::blocking::Observer;
use crate::db::Db;
use crate::errors::Error;
use crate::mirror::{CachedBucket, cache_directory};
use crate::open_arguments::OpenArguments;
use crate::place::{path_of, readable, shard_of, url_of};

/// Opens the directory `path`, or the bucket at a URL, for lookups.
///
/// A bucket (`s3://`, `gs://`, `az://`, `http(s)://`, `file://`) is pulled into a directory below
/// `cache_dir`, every byte verified; `refresh` and `follow` pull later commits. `shard=(i, n)`
/// takes only the range of hashes of shard `i` of `n`: lookups of other keys raise
/// `WrongShardError` in a shard that was pulled, and find nothing in a range of a directory.
///
/// `family` is the key space. `cache_bytes` bounds the memory for decompressed blocks (256 MiB
/// by default). `mmap=False` reads files instead of mapping them, for file systems that do not keep
/// the files of a map. `max_open_files` bounds the tables that are open at once, `max_value_bytes`
/// the memory for one value. `statistics` counts the outcomes of lookups.
///
/// Raises `NotFoundError` if there is no such directory or no commit in it, `CorruptionError` if
/// its description is damaged.
#[pyfunction]
#[pyo3(signature = (path, *, family = 0, shard = None, cache_dir = None, cache_bytes = None,
    mmap = true, max_open_files = None, max_value_bytes = None, statistics = false,
    progress = None))]
#[expect(clippy::too_many_arguments, reason = "they are the keywords of a function of Python")]
pub(crate) fn open(
    py: Python<'_>,
    path: &Bound<'_, PyAny>,
    family: u32,
    shard: Option<(u32, u32)>,
    cache_dir: Option<PathBuf>,
    cache_bytes: Option<u64>,
    mmap: bool,
    max_open_files: Option<usize>,
    max_value_bytes: Option<u64>,
    statistics: bool,
    progress: Option<&Bound<'_, PyAny>>,
) -> Result<Db, Error> {
    let location = path_of(path)?;
    let shard_number = shard_of(shard)?;
    let (directory, bucket) = match url_of(&location) {
        None => (readable(location.clone())?, None),
        Some(url) => {
            let parent = match &cache_dir {
                Some(parent) => parent.clone(),
                None => py.import("sst_files._cache")?.call_method0("directory")?.extract()?,
            };
            let (url, shard) = (url.to_owned(), shard_number);
            let directory = cache_directory(&parent, &url, shard);
            (directory.clone(), Some(CachedBucket::new(url, directory, shard)))
        }
    };
    if let Some(bucket) = &bucket {
        Observer::new(progress)?.run(py, |monitor| {
            std::fs::create_dir_all(&bucket.directory)
                .map_err(|error| Error::io("create", &bucket.directory, error))?;
            bucket.pull(monitor)
        })?;
    }
    let arguments = OpenArguments {
        location,
        directory,
        bucket,
        cache_dir,
        family,
        shard,
        cache_bytes,
        mmap,
        max_open_files,
        max_value_bytes,
        statistics,
    };
    py.detach(|| Db::open(arguments))
}
