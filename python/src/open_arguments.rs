//! How a set is opened, so that it can be opened again: by another family, after a fork, or where a
//! pickle of it arrives.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use sst_amqf::QuotientFilter;
use sst_reader::{Access, BlockCache, LiveSet, ReaderOptions, SstSet};

use crate::errors::Error;
use crate::mirror::CachedBucket;
use crate::place::hashes_of;

/// Bytes of the cache if none are asked for: a million entries of 100 bytes fit, which programs of
/// Python look up as they would in a dict.
const DEFAULT_CACHE: u64 = 256 << 20;

/// The arguments of `open`.
#[derive(Clone, Debug)]
pub(crate) struct OpenArguments {
    /// The path or URL as it was given.
    pub(crate) location: PathBuf,
    /// The directory that is read.
    pub(crate) directory: PathBuf,
    /// The bucket that fills it, if it is a cache of one.
    pub(crate) bucket: Option<CachedBucket>,
    pub(crate) cache_dir: Option<PathBuf>,
    pub(crate) family: u32,
    pub(crate) shard: Option<(u32, u32)>,
    pub(crate) cache_bytes: Option<u64>,
    pub(crate) mmap: bool,
    pub(crate) max_open_files: Option<usize>,
    pub(crate) max_value_bytes: Option<u64>,
    pub(crate) statistics: bool,
}

impl OpenArguments {
    /// Options with a new cache.
    pub(crate) fn reader_options(&self) -> ReaderOptions {
        // Documented. Memory is taken as blocks are looked up, not at once.
        let capacity = self.cache_bytes.unwrap_or(DEFAULT_CACHE);
        let cache: Arc<BlockCache> = Arc::new(BlockCache::new(capacity));
        let options = ReaderOptions::default()
            .access(if self.mmap { Access::Map } else { Access::Read })
            .cache(cache)
            .filter(QuotientFilter::default())
            .statistics(self.statistics);
        let options = match self.max_open_files {
            Some(limit) => options.max_open_files(limit),
            None => options,
        };
        match self.max_value_bytes {
            Some(limit) => options.max_payload_len(limit),
            None => options,
        }
    }

    /// Opens the directory, as of its newest commit.
    pub(crate) fn open(&self, options: &ReaderOptions) -> Result<LiveSet, Error> {
        // A shard of a bucket is all that its cache has.
        let set = match self.shard {
            Some(shard) if self.bucket.is_none() => {
                let hashes = hashes_of(None, Some(shard))?;
                SstSet::open_range(&self.directory, self.family, hashes, options)?
            }
            _ => SstSet::open_family(&self.directory, self.family, options)?,
        };
        Ok(LiveSet::from(set))
    }

    /// The keyword arguments of `open` that give the same set.
    pub(crate) fn to_kwargs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let kwargs = PyDict::new(py);
        kwargs.set_item("family", self.family)?;
        kwargs.set_item("shard", self.shard)?;
        kwargs.set_item("cache_bytes", self.cache_bytes)?;
        kwargs.set_item("mmap", self.mmap)?;
        kwargs.set_item("max_open_files", self.max_open_files)?;
        kwargs.set_item("max_value_bytes", self.max_value_bytes)?;
        kwargs.set_item("statistics", self.statistics)?;
        kwargs.set_item("cache_dir", self.cache_dir.as_deref())?;
        Ok(kwargs)
    }
}
