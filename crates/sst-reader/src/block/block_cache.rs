//! The cache of uncompressed blocks.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sst_format::BlockIndex;

/// A block as the cache holds it: the uncompressed payload.
pub(crate) type CachedBlock = Arc<[u8]>;

/// What tells one open table from all others of the process.
///
/// Never a file's sequence number: two directories may share a cache, and both have a table 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TableId(u64);

impl TableId {
    /// An id that no other table of this process has or will have.
    pub(crate) fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        #[cfg(sst_planted)]
        if sst_format::planted("cache-mixes-tables") {
            return Self(0);
        }
        // Only uniqueness matters, not order: no memory is published by the number.
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Enough of the id to tell a few tables apart.
    #[inline]
    pub(crate) const fn low_bits(self) -> usize {
        (self.0 & 0xffff) as usize
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct BlockKey {
    table: TableId,
    block: u16,
}

#[derive(Clone)]
struct ByteWeighter;

/// What an entry of the cache takes beyond its payload, in bytes: key, pointers, counters, slot of the hash table.
const ENTRY_OVERHEAD: u64 = 96;

impl Weighter<BlockKey, CachedBlock> for ByteWeighter {
    fn weight(&self, _: &BlockKey, block: &CachedBlock) -> u64 {
        block.len() as u64 + ENTRY_OVERHEAD
    }
}

/// A cache of uncompressed blocks, bounded in bytes, for any number of tables and threads.
///
/// Tables of one process share one cache by passing the same one in their
/// [`ReaderOptions`](crate::ReaderOptions::cache). Blocks stored raw in a memory map bypass it: they are used where
/// they lie. A block that is in use stays alive after the cache has dropped it.
pub struct BlockCache {
    cache: Cache<BlockKey, CachedBlock, ByteWeighter>,
}

impl BlockCache {
    /// Capacity of the cache that is made where none is given, in bytes: 64 MiB.
    pub const DEFAULT_CAPACITY: u64 = 64 << 20;

    /// A cache of at most `capacity` bytes, its own bookkeeping included.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        // Blocks are around 8 to 16 KiB; the estimate only sizes the first hash table.
        let blocks = usize::try_from(capacity / (8 << 10)).unwrap_or(usize::MAX).clamp(16, 1 << 16);
        Self { cache: Cache::with_weighter(blocks, capacity, ByteWeighter) }
    }

    /// Bytes held now.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.cache.weight()
    }

    /// Bytes the cache may hold.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.cache.capacity()
    }

    /// Number of blocks held now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cache.len()
    }

    /// Whether no block is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cache.is_empty()
    }

    #[inline]
    pub(crate) fn get(&self, table: TableId, block: BlockIndex) -> Option<CachedBlock> {
        self.cache.get(&BlockKey { table, block: block.0 })
    }

    pub(crate) fn insert(&self, table: TableId, block: BlockIndex, payload: CachedBlock) {
        self.cache.insert(BlockKey { table, block: block.0 }, payload);
    }
}

impl Default for BlockCache {
    fn default() -> Self {
        Self::new(Self::DEFAULT_CAPACITY)
    }
}

impl fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockCache")
            .field("capacity", &self.capacity())
            .field("used", &self.used())
            .field("blocks", &self.len())
            .finish()
    }
}
