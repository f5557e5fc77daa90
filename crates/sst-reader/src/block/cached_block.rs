//! Uncompressed blocks in memory, and where a table finds its own.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwapOption, Guard};
use sst_format::BlockIndex;

/// An uncompressed payload that does not lie in a file.
pub(crate) struct CachedBlock {
    bytes: Box<[u8]>,
    /// Whether it was used since the cache last thought of dropping it.
    is_used: AtomicBool,
}

/// A block as the cache, a table and its values share it.
pub(crate) type SharedBlock = Arc<CachedBlock>;

impl CachedBlock {
    pub(crate) fn new(bytes: Box<[u8]>) -> SharedBlock {
        Arc::new(Self { bytes, is_used: AtomicBool::new(false) })
    }

    /// Whether it was used since the last call.
    pub(crate) fn take_used(&self) -> bool {
        self.is_used.swap(false, Ordering::Relaxed)
    }

    #[inline]
    fn note_use(&self) {
        // Read first: a block that is in steady use is not written to by every processor that uses it. No other memory
        // is published by the flag.
        if !self.is_used.load(Ordering::Relaxed) {
            self.is_used.store(true, Ordering::Relaxed);
        }
    }
}

impl Deref for CachedBlock {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A cached block that is in use, without a counter that processors would take from each other.
pub(crate) struct BlockGuard(Guard<Option<SharedBlock>>);

impl BlockGuard {
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.0.as_deref().map_or(&[], |block| block)
    }

    /// The block, counted.
    pub(crate) fn to_shared(&self) -> SharedBlock {
        match &*self.0 {
            Some(block) => Arc::clone(block),
            None => CachedBlock::new(Box::default()),
        }
    }
}

/// The cached blocks of one table, by block index: a lookup finds them without a hash table and without a lock. What is
/// to be kept, and for how long, is decided by the cache.
pub(crate) struct BlockSlots(Box<[ArcSwapOption<CachedBlock>]>);

impl BlockSlots {
    /// One empty slot for each block: 8 bytes.
    pub(crate) fn new(block_count: u16) -> Self {
        Self((0..block_count).map(|_| ArcSwapOption::empty()).collect())
    }

    /// The block, if the cache has it.
    #[inline]
    pub(crate) fn get(&self, block: BlockIndex) -> Option<BlockGuard> {
        let guard = self.0.get(usize::from(block.0))?.load();
        guard.as_ref()?.note_use();
        Some(BlockGuard(guard))
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
