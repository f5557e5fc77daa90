//! How tables are opened.

use std::sync::Arc;

use sst_format::filter::FilterPolicy;

use crate::BlockCache;

/// How the bytes of a file are reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Through a memory map: fastest, and raw blocks are used where they lie.
    ///
    /// Nobody may truncate or overwrite a file while it is mapped. If it is truncated all the same, the operating
    /// system ends the process with a signal (`SIGBUS`) at the next access; no library can turn that into an error.
    #[default]
    Map,
    /// Through positioned reads: a file that shrinks gives an error, and no address space is used. Every block passes
    /// through the cache.
    Read,
}

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
    /// What opens filters. Default: none, and filters are not asked.
    pub filter: Option<Arc<dyn FilterPolicy>>,
}

impl ReaderOptions {
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

    /// Sets what opens filters.
    #[must_use]
    pub fn filter(mut self, policy: impl FilterPolicy + 'static) -> Self {
        self.filter = Some(Arc::new(policy));
        self
    }

    /// The cache to be used: the shared one or a new one.
    pub(crate) fn cache_or_default(&self) -> Arc<BlockCache> {
        self.cache.clone().unwrap_or_default()
    }
}
