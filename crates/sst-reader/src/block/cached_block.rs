//! Uncompressed blocks in memory, and where a table finds its own.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwapAny, Guard};
use sst_format::BlockIndex;
use triomphe::{Arc, ThinArc};

use crate::block::memory::prefetch_at;

/// An uncompressed payload that does not lie in a file, as the cache, a table and its values share it.
///
/// Counter, length and bytes are one piece of memory: where a byte lies follows from the pointer alone, so fetching it need
/// not wait for anything else of the block.
pub(crate) type SharedBlock = ThinArc<Usage, u8>;

/// Bytes of a block in front of the first of its payload: counter, mark and length. Only fetching beforehand depends on it.
const FIRST_BYTE: usize = 24;

/// A block of these bytes that nobody else has yet.
pub(crate) fn shared_block(bytes: &[u8]) -> SharedBlock {
    ThinArc::from_header_and_slice(Usage(AtomicBool::new(false)), bytes)
}

/// A block of `len` bytes that `fill` has filled, without a copy; `None` if it could not.
pub(crate) fn filled_block(
    len: usize,
    fill: impl FnOnce(&mut [u8]) -> bool,
) -> Option<SharedBlock> {
    let cleared = std::iter::repeat_n(0, len);
    let mut block = ThinArc::from_header_and_iter(Usage(AtomicBool::new(false)), cleared);
    let is_filled = block
        .with_arc_mut(|block| Arc::get_mut(block).is_some_and(|block| fill(block.slice_mut())));
    is_filled.then_some(block)
}

/// Whether a block was used since the cache last thought of dropping it.
pub(crate) struct Usage(AtomicBool);

impl Usage {
    /// Whether there was a use since the last call.
    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }

    #[inline]
    fn note(&self) {
        // Read first: a block that is in steady use is not written to by every processor that uses it. No other memory
        // is published by the flag.
        if !self.0.load(Ordering::Relaxed) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// A cached block that is in use, without a counter that processors would take from each other.
pub(crate) struct BlockGuard(Guard<Option<SharedBlock>>);

impl BlockGuard {
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |block| &block.slice)
    }

    /// The block, counted.
    pub(crate) fn to_shared(&self) -> SharedBlock {
        match &*self.0 {
            Some(block) => SharedBlock::clone(block),
            None => shared_block(&[]),
        }
    }
}

/// The cached blocks of one table, by block index: a lookup finds them without a hash table and without a lock. What is
/// to be kept, and for how long, is decided by the cache.
pub(crate) struct BlockSlots(Box<[ArcSwapAny<Option<SharedBlock>>]>);

impl BlockSlots {
    /// One empty slot for each block: 8 bytes.
    pub(crate) fn new(block_count: u16) -> Self {
        Self((0..block_count).map(|_| ArcSwapAny::new(None)).collect())
    }

    /// The block, if the cache has it.
    #[inline]
    pub(crate) fn get(&self, block: BlockIndex) -> Option<BlockGuard> {
        let guard = self.0.get(usize::from(block.0))?.load();
        guard.as_ref()?.header.header.note();
        Some(BlockGuard(guard))
    }

    /// Fetches the first cache line of a block and that of byte `at`, if the cache has it, without waiting for either.
    #[inline]
    pub(crate) fn prefetch(&self, block: BlockIndex, at: usize) {
        if let Some(slot) = self.0.get(usize::from(block.0))
            && let Some(block) = &*slot.load()
        {
            prefetch_at(block.as_ptr(), 0);
            prefetch_at(block.as_ptr(), FIRST_BYTE + at);
        }
    }

    /// Fetches the cache line with the slot of a block.
    #[inline]
    pub(crate) fn prefetch_slot(&self, block: BlockIndex) {
        let len_of_slot = size_of::<ArcSwapAny<Option<SharedBlock>>>();
        prefetch_at(self.0.as_ptr(), usize::from(block.0) * len_of_slot);
    }

    pub(crate) fn set(&self, block: BlockIndex, to: Option<SharedBlock>) {
        if let Some(slot) = self.0.get(usize::from(block.0)) {
            slot.store(to);
        }
    }
}

impl fmt::Debug for BlockSlots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockSlots({})", self.0.len())
    }
}
