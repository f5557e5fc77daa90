//! Paths and URLs that Python gives, and the ranges of hashes.

use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use sst_amqf::QuotientFilter;
use sst_object_store::{Place, ShardNumber, Store, StoreFiles};
use sst_reader::{Access, FileStore, ReaderOptions};

use crate::errors::Error;

/// The files of all buckets that are read where they are.
static FILES: LazyLock<Arc<StoreFiles>> = LazyLock::new(|| Arc::new(StoreFiles::of_urls()));

/// A path or URL, from `str` or `os.PathLike`.
pub(crate) fn path_of(object: &Bound<'_, PyAny>) -> Result<PathBuf, Error> {
    let path = object.extract().map_err(|error: PyErr| match object.get_type().name() {
        // Half of a surrogate pair, or what its `__fspath__` raises.
        _ if !error.is_instance_of::<PyTypeError>(object.py()) => error.into(),
        Ok(name) => Error::Type(format!("a path or a URL is a str or os.PathLike, not {name}")),
        Err(error) => error.into(),
    });
    // To the system it would be the working directory in one call and nothing in another.
    path.and_then(|path: PathBuf| match path.as_os_str().is_empty() {
        true => Err(Error::usage("the path is empty")),
        false => Ok(path),
    })
}

/// The URL that a path is, if it is one.
pub(crate) fn url_of(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| Place::is_url(text))
}

/// The directory or bucket at a path or URL.
pub(crate) fn place_of(path: &Path) -> Result<Place, Error> {
    match url_of(path) {
        Some(url) => Ok(Place::from_url(url)?),
        None => Ok(Place::Directory(path.to_owned())),
    }
}

/// The bucket at a URL; a `file` URL is a bucket here.
pub(crate) fn store_of(url: &str) -> Result<Store, Error> {
    let place = Place::from_url(url)?;
    if let Place::Directory(directory) = &place
        && !directory.is_dir()
    {
        return Err(Error::io("open", directory, io::ErrorKind::NotFound.into()));
    }
    Ok(place.store()?)
}

/// A path as the reader takes it: a `file` URL is the path in it, those of buckets stay.
pub(crate) fn readable(path: PathBuf) -> Result<PathBuf, Error> {
    match place_of(&path)? {
        Place::Directory(directory) => Ok(directory),
        Place::Bucket(_) => Ok(path),
    }
}

/// Options to read files of directories and of buckets, without maps: for verification and merges.
pub(crate) fn plain_options() -> ReaderOptions {
    let files: Arc<dyn FileStore> = Arc::<StoreFiles>::clone(&FILES);
    ReaderOptions::default().access(Access::Read).files(files).filter(QuotientFilter::default())
}

/// The shard `(index, count)`.
pub(crate) fn shard_of(shard: Option<(u32, u32)>) -> Result<Option<ShardNumber>, Error> {
    let bad = |(index, count)| {
        Error::usage(format!("there is no shard {index} of {count}: the first of three is (0, 3)"))
    };
    shard.map(|shard| ShardNumber::new(shard.0, shard.1).ok_or_else(|| bad(shard))).transpose()
}

/// The hashes that two arguments leave: `hashes=(lowest, highest)` and `shard=(index, count)`.
pub(crate) fn hashes_of(
    hashes: Option<(u64, u64)>,
    shard: Option<(u32, u32)>,
) -> Result<RangeInclusive<u64>, Error> {
    match (hashes, shard_of(shard)?) {
        (Some(_), Some(_)) => Err(Error::usage("give either hashes or a shard")),
        (Some((low, high)), None) => Ok(low..=high),
        (None, Some(shard)) => Ok(shard.hashes().min..=shard.hashes().max),
        (None, None) => Ok(0..=u64::MAX),
    }
}
