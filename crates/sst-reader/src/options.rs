//! How tables are opened.

use std::sync::Arc;

use sst_format::filter::FilterPolicy;

use crate::block::block_cache::BlockCache;
use crate::block::source::Access;

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

    /// Makes sets count the outcomes of their lookups.
    #[must_use]
    pub fn statistics(mut self, statistics: bool) -> Self {
        self.statistics = statistics;
        self
    }

    /// How many tables of a set may be open at once, if that is bounded.
    pub(crate) fn open_files_limit(&self) -> Option<usize> {
        let default = match self.access {
            Access::Map => None,
            Access::Read => Some(Self::DEFAULT_OPEN_READ_FILES),
        };
        self.max_open_files.or(default)
    }

    /// The cache to be used: the shared one or a new one.
    pub(crate) fn cache_or_default(&self) -> Arc<BlockCache> {
        // Documented: a new cache where none is given.
        self.cache.clone().unwrap_or_default()
    }
}
