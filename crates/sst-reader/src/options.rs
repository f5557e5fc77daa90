//! How tables are opened.

use std::path::Path;
use std::sync::Arc;

use sst_format::filter::FilterPolicy;

use crate::FileStore;
use crate::block::block_cache::BlockCache;
use crate::block::source::{Access, Files};

/// Options for opening tables.
///
/// ```
/// use sst_reader::{Access, BlockCache, ReaderOptions};
///
/// let cache = BlockCache::new(64 << 20);
/// let options = ReaderOptions::default().cache(cache).access(Access::Read);
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ReaderOptions {
    /// How files are reached. Default: [`Access::Map`].
    pub access: Access,
    /// Where blocks are kept that cannot be used where they lie. Default: a cache of
    /// [`BlockCache::DEFAULT_CAPACITY`] for each table or set that is opened.
    pub cache: Option<Arc<BlockCache>>,
    /// The kind of filters. Default: none, and filters are not asked.
    pub filter: Option<Arc<dyn FilterPolicy>>,
    /// How many tables of a set may be open at once. When there are more, those not used for the
    /// longest time are closed; values handed out keep their file alive, which costs a reference
    /// count each. Tables that are not bounded stay open once opened, and values borrow from them.
    ///
    /// A mapped table takes one map and no file descriptor. Default: `None`, which is no bound for
    /// [`Access::Map`] and [`ReaderOptions::DEFAULT_OPEN_READ_FILES`] for [`Access::Read`], where
    /// each takes a descriptor.
    pub max_open_files: Option<usize>,
    /// Longest value or block that memory is taken for, in bytes, as it is after decompression; a
    /// longer one is [`ReadError::OverLimit`](crate::ReadError::OverLimit). It does not hold for
    /// what is used where it lies in a memory map.
    ///
    /// A block states its length in 32 bits and can decompress to 255 times its stored length: a
    /// file of 16 MiB may ask for 4 GiB with one value. A service that opens files of others sets a
    /// limit of what its own values may have; [`BulkLoader`] and `sst load` write none over 64 MiB
    /// into tables. Default: `None`, which is what the format can state, 4 GiB.
    ///
    /// [`BulkLoader`]: https://docs.rs/sst-writer
    pub max_payload_len: Option<u64>,
    /// A store that serves some of the paths that are opened: those of a bucket, say. `access`
    /// counts for all others. Default: none, and all paths are those of the file system.
    pub files: Option<Arc<dyn FileStore>>,
    /// Whether sets count the outcomes of their lookups, for
    /// [`SstSet::statistics`](crate::SstSet::statistics). Default: `false`.
    pub statistics: bool,
}

impl ReaderOptions {
    /// How many tables of a set are open at once with [`Access::Read`], if nothing else is asked
    /// for: half of what a process may have open on most systems.
    pub const DEFAULT_OPEN_READ_FILES: usize = 512;

    /// Sets how files are reached.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Shares a block cache among all tables opened with these options.
    #[must_use]
    pub fn cache(mut self, cache: impl Into<Arc<BlockCache>>) -> Self {
        self.cache = Some(cache.into());
        self
    }

    /// Sets the kind of filters.
    #[must_use]
    pub fn filter(mut self, policy: impl FilterPolicy + 'static) -> Self {
        self.filter = Some(Arc::new(policy));
        self
    }

    /// Bounds how many tables of a set are open at once, one at least.
    #[must_use]
    pub fn max_open_files(mut self, limit: usize) -> Self {
        self.max_open_files = Some(limit);
        self
    }

    /// Bounds the length of what memory is taken for at once.
    #[must_use]
    pub fn max_payload_len(mut self, bytes: u64) -> Self {
        self.max_payload_len = Some(bytes);
        self
    }

    /// Sets a store that serves some of the paths.
    #[must_use]
    pub fn files(mut self, files: Arc<dyn FileStore>) -> Self {
        self.files = Some(files);
        self
    }

    /// Makes sets count the outcomes of their lookups.
    #[must_use]
    pub fn statistics(mut self, statistics: bool) -> Self {
        self.statistics = statistics;
        self
    }

    /// The way to files.
    pub(crate) fn way(&self) -> Files {
        Files { access: self.access, store: self.files.clone() }
    }

    /// How many tables of a set in `directory` may be open at once, if that is bounded. An object
    /// in a store takes no descriptor.
    pub(crate) fn open_files_limit(&self, directory: &Path) -> Option<usize> {
        let is_stored = self.files.as_ref().is_some_and(|store| store.serves(directory));
        let default = match self.access {
            Access::Read if is_stored => None,
            Access::Map => None,
            Access::Read => Some(Self::DEFAULT_OPEN_READ_FILES),
        };
        self.max_open_files.or(default)
    }

    /// Longest payload that memory is taken for, in bytes.
    pub(crate) fn payload_limit(&self) -> u64 {
        // Documented: no limit but that of the format, whose lengths have 32 bits.
        self.max_payload_len.unwrap_or(u64::MAX)
    }

    /// The cache to be used: the shared one or a new one.
    pub(crate) fn cache_or_default(&self) -> Arc<BlockCache> {
        // Documented: a new cache where none is given.
        self.cache.clone().unwrap_or_default()
    }
}
