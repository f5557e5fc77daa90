//! The cache of uncompressed blocks.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};
use sst_format::BlockIndex;

use crate::CacheStatistics;
use crate::block::cached_block::{BlockSlots, SharedBlock};
use crate::block::huge_pages::HugePages;

/// The identity of an open table in this process.
///
/// Never a file's sequence number: two directories may share a cache, and both have a table 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TableId(u64);

impl TableId {
    /// An id that no other table of this process has or will have.
    pub(crate) fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        sst_format::planted!("cache-mixes-tables" => return Self(0));
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

/// An entry of the cache: a block, and the slots of its table.
#[derive(Clone)]
struct Resident {
    block: SharedBlock,
    slots: Arc<BlockSlots>,
}

#[derive(Clone)]
struct ByteWeighter;

/// Memory of an entry of the cache beyond its payload, in bytes: key, pointers, counters, slots of
/// the hash table and of the table of blocks.
const ENTRY_OVERHEAD: u64 = 128;

impl Weighter<BlockKey, Resident> for ByteWeighter {
    fn weight(&self, _: &BlockKey, resident: &Resident) -> u64 {
        resident.block.slice.len() as u64 + ENTRY_OVERHEAD
    }
}

/// Second-chance eviction. Lookups do not touch the cache: they set a flag in the slot, which the
/// cache reads when it looks for a block to evict.
#[derive(Clone)]
struct SecondChance;

impl Lifecycle<BlockKey, Resident> for SecondChance {
    type RequestState = ();

    /// A block that was used since the last look is passed over once.
    fn is_pinned(&self, key: &BlockKey, resident: &Resident) -> bool {
        resident.slots.clear_use(BlockIndex(key.block))
    }

    fn on_evict(&self, (): &mut (), key: BlockKey, resident: Resident) {
        resident.slots.set(BlockIndex(key.block), None);
    }
}

/// The least number of blocks that a cache is made for: fewer than that make one shard.
const MIN_BLOCKS: usize = 16;

type Residents = Cache<BlockKey, Resident, ByteWeighter, DefaultHashBuilder, SecondChance>;

/// A cache of uncompressed blocks, bounded in bytes, for any number of tables and threads.
///
/// Tables of one process share one cache by passing the same one in their
/// [`ReaderOptions`](crate::ReaderOptions::cache). Blocks stored raw in a memory map bypass it:
/// they are used where they lie. A block that is in use stays alive after the cache has dropped it.
///
/// Every block is cached that is not longer than 97 % of the capacity. A lookup that needs a longer
/// one reads and decompresses it every time: some 1 to 3 ms for each MiB of it. Writers end blocks
/// at 8 to 16 KiB, save those of medium values, which have one each, and of keys with equal hashes,
/// which share one.
pub struct BlockCache {
    cache: Residents,
    /// `None` if none are wanted.
    huge_pages: Option<HugePages>,
    blocks_loaded: AtomicU64,
    bytes_loaded: AtomicU64,
    bytes_uncompressed: AtomicU64,
}

impl BlockCache {
    /// Capacity of the cache that is made where none is given, in bytes: 64 MiB.
    pub const DEFAULT_CAPACITY: u64 = 64 << 20;

    /// A cache of at most `capacity` bytes, its own bookkeeping included.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        // Blocks are around 8 to 16 KiB. The estimate sizes the first hash table, which grows; a
        // large cache does not allocate all of it when it is made. A count that a `usize` cannot
        // hold is above the upper bound.
        let blocks = usize::try_from(capacity / (8 << 10)).unwrap_or(usize::MAX);
        let blocks = blocks.clamp(MIN_BLOCKS, 1 << 12);
        // One shard: lookups find cached blocks in the slots of their table, so only a thread that
        // has just read or decompressed a block takes the lock, for far shorter than that took. A
        // shard of several holds no block longer than its share of the capacity.
        let options = OptionsBuilder::new()
            .shards(1)
            .estimated_items_capacity(blocks)
            .weight_capacity(capacity)
            .build();
        let hasher = DefaultHashBuilder::default();
        let cache = match options {
            Ok(options) => Cache::with_options(options, ByteWeighter, hasher, SecondChance),
            Err(_) => {
                debug_assert!(false, "options that have both capacities are accepted");
                // One shard too: a cache that expects so few blocks makes no second one.
                Cache::with(MIN_BLOCKS, capacity, ByteWeighter, hasher, SecondChance)
            }
        };
        Self {
            cache,
            huge_pages: Some(HugePages::default()),
            blocks_loaded: AtomicU64::new(0),
            bytes_loaded: AtomicU64::new(0),
            bytes_uncompressed: AtomicU64::new(0),
        }
    }

    /// Whether the kernel is asked to put cached blocks into huge pages, which makes lookups in a
    /// large cache faster. Default: true.
    ///
    /// Linux 6.1 and later can be asked. Whenever 2 MiB of address space are nearly full of blocks,
    /// the thread that loads the next one waits while they are moved into one page: about a
    /// millisecond, as long as loading those blocks took, and longer where memory is so scattered
    /// that such a page must be made first.
    #[must_use]
    pub fn huge_pages(self, are_wanted: bool) -> Self {
        Self { huge_pages: are_wanted.then(HugePages::default), ..self }
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

    /// Counts of its work so far, for all tables that share it.
    #[must_use]
    pub fn statistics(&self) -> CacheStatistics {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheStatistics {
            blocks_loaded: load(&self.blocks_loaded),
            bytes_loaded: load(&self.bytes_loaded),
            bytes_uncompressed: load(&self.bytes_uncompressed),
            used: self.used(),
            capacity: self.capacity(),
        }
    }

    /// Counts a block that had to be verified: far more work than the counting.
    pub(crate) fn count_load(&self, stored_len: usize, payload_len: usize) {
        let add = |counter: &AtomicU64, by: usize| counter.fetch_add(by as u64, Ordering::Relaxed);
        add(&self.blocks_loaded, 1);
        add(&self.bytes_loaded, stored_len);
        add(&self.bytes_uncompressed, payload_len);
    }

    /// Keeps a block for as long as it is worth it, and puts it where its table finds it.
    pub(crate) fn insert(
        &self,
        table: TableId,
        block: BlockIndex,
        payload: &SharedBlock,
        slots: &Arc<BlockSlots>,
    ) {
        let key = BlockKey { table, block: block.0 };
        if let Some(huge_pages) = &self.huge_pages {
            huge_pages.note(&payload.slice);
        }
        let resident = Resident { block: SharedBlock::clone(payload), slots: Arc::clone(slots) };
        self.cache.insert(key, resident);
        slots.set(block, Some(SharedBlock::clone(payload)));
        // The cache may have evicted the block already. Then clear its slot: the cache no longer
        // counts its bytes. A thread that evicts it later clears the slot itself.
        if !self.cache.contains_key(&key) {
            slots.set(block, None);
        }
    }

    /// Drops all blocks of a table that is about to be closed, slots and all.
    pub(crate) fn forget(&self, table: TableId, block_count: u16) {
        for block in 0..block_count {
            self.cache.remove(&BlockKey { table, block });
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::cached_block::shared_block;
    use crate::block::slice::Slice;

    /// Blocks that the cache has room for, about.
    const ROOM: usize = if cfg!(miri) { 10 } else { 100 };
    /// Blocks that the table has. Miri takes its time.
    const BLOCKS: u16 = if cfg!(miri) { 40 } else { 500 };
    const LEN: usize = if cfg!(miri) { 64 } else { 8 << 10 };
    const CAPACITY: u64 = (ROOM as u64) * (LEN as u64 + ENTRY_OVERHEAD);

    fn block(fill: u16) -> SharedBlock {
        shared_block(&vec![fill.to_be_bytes()[1]; LEN])
    }

    fn is_filled(slots: &BlockSlots, block: u16) -> bool {
        slots.get(BlockIndex(block)).unwrap().is_some()
    }

    /// Blocks that are in their slots.
    fn filled(slots: &BlockSlots) -> Vec<u16> {
        (0..BLOCKS).filter(|&block| is_filled(slots, block)).collect()
    }

    #[test]
    fn what_the_cache_drops_is_gone_from_its_table() {
        let cache = BlockCache::new(CAPACITY);
        let slots = Arc::new(BlockSlots::new(BLOCKS));
        let table = TableId::unique();
        for i in 0..BLOCKS {
            cache.insert(table, BlockIndex(i), &block(i), &slots);
            assert!(cache.used() <= cache.capacity());
        }
        let kept = filled(&slots);
        assert!((ROOM / 2..=ROOM).contains(&kept.len()), "{}", kept.len());
        assert_eq!(kept.len(), cache.len());
        for i in kept {
            assert_eq!(slots.get(BlockIndex(i)).unwrap().as_ref().unwrap().slice, block(i).slice);
        }
        cache.forget(table, BLOCKS);
        assert!(cache.is_empty() && cache.used() == 0);
    }

    #[test]
    fn a_block_in_steady_use_outlives_the_others() {
        let cache = BlockCache::new(CAPACITY);
        let slots = Arc::new(BlockSlots::new(BLOCKS));
        let table = TableId::unique();
        for i in 0..BLOCKS {
            cache.insert(table, BlockIndex(i), &block(i), &slots);
            assert!(is_filled(&slots, 0), "gone after {i}");
        }
    }

    #[test]
    fn a_block_that_is_in_use_outlives_the_cache() {
        let cache = BlockCache::new(1 << 20);
        let slots = Arc::new(BlockSlots::new(BLOCKS));
        cache.insert(TableId::unique(), BlockIndex(7), &block(7), &slots);
        let in_use = slots.get(BlockIndex(7)).unwrap();
        slots.set(BlockIndex(7), None);
        drop(cache);
        let in_use = Slice::of_guard(in_use).unwrap();
        assert_eq!(in_use.as_slice(), &block(7).slice);
        assert_eq!(in_use.into_owned().as_slice(), &block(7).slice);
    }
}
