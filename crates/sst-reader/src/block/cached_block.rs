//! Uncompressed blocks in memory, and where a table finds its own.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use arc_swap::{ArcSwapAny, Guard};
use sst_format::BlockIndex;
use triomphe::{Arc, ThinArc};

use crate::block::memory::prefetch_at;

/// An uncompressed payload that does not lie in a file, as the cache, a table and its values share it.
///
/// Counter, length and bytes are one piece of memory: where a byte lies follows from the pointer alone, so fetching it need
/// not wait for anything else of the block.
pub(crate) type SharedBlock = ThinArc<(), u8>;

/// Bytes of a block in front of the first of its payload: counter and length. Only fetching beforehand depends on it.
const FIRST_BYTE: usize = 16;

/// A block of these bytes that nobody else has yet.
pub(crate) fn shared_block(bytes: &[u8]) -> SharedBlock {
    ThinArc::from_header_and_slice((), bytes)
}

/// A block of `len` bytes that `fill` has filled, without a copy; `None` if it could not.
pub(crate) fn filled_block(
    len: usize,
    fill: impl FnOnce(&mut [u8]) -> bool,
) -> Option<SharedBlock> {
    let mut block = ThinArc::from_header_and_iter((), std::iter::repeat_n(0, len));
    let is_filled = block
        .with_arc_mut(|block| Arc::get_mut(block).is_some_and(|block| fill(block.slice_mut())));
    is_filled.then_some(block)
}

/// A cached block that is in use, without a counter that processors would take from each other.
pub(crate) struct BlockGuard {
    block: Guard<Option<SharedBlock>>,
    len: usize,
}

impl BlockGuard {
    /// Length of the payload in bytes, without a look at the block.
    #[inline]
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.block.as_ref().map_or(&[], |block| &block.slice)
    }

    /// The block, counted.
    pub(crate) fn to_shared(&self) -> SharedBlock {
        match &*self.block {
            Some(block) => SharedBlock::clone(block),
            None => shared_block(&[]),
        }
    }
}

/// Instead of a length: the block has not been in its slot yet.
const NEVER_HERE: u32 = u32::MAX - 1;
/// Instead of a length: the block itself tells. It is as long as that, or was not always as long, because somebody has
/// overwritten the file.
const UNSURE: u32 = u32::MAX;

/// Where a table finds a block of its own, and what a lookup must know of it before it looks at the value: it need not wait
/// for the first bytes of the block as well.
struct BlockSlot {
    block: ArcSwapAny<Option<SharedBlock>>,
    /// Length of the payload in bytes, or [`NEVER_HERE`], or [`UNSURE`].
    len: AtomicU32,
    /// Whether the block was used since the cache last thought of dropping it.
    is_used: AtomicBool,
}

impl BlockSlot {
    /// Notes the length of a block that is about to be put here.
    fn note_len(&self, len: usize) {
        let len = u32::try_from(len).ok().filter(|&len| len < NEVER_HERE).unwrap_or(UNSURE);
        let noted =
            self.len.compare_exchange(NEVER_HERE, len, Ordering::Relaxed, Ordering::Relaxed);
        if noted.is_err_and(|known| known != len) {
            self.len.store(UNSURE, Ordering::Relaxed);
        }
    }
}

/// The cached blocks of one table, by block index: a lookup finds them without a hash table and without a lock. What is
/// to be kept, and for how long, is decided by the cache.
pub(crate) struct BlockSlots(Box<[BlockSlot]>);

impl BlockSlots {
    /// One empty slot for each block: 16 bytes.
    pub(crate) fn new(block_count: u16) -> Self {
        let empty = || BlockSlot {
            block: ArcSwapAny::new(None),
            len: AtomicU32::new(NEVER_HERE),
            is_used: AtomicBool::new(false),
        };
        Self((0..block_count).map(|_| empty()).collect())
    }

    #[inline]
    fn slot(&self, block: BlockIndex) -> Option<&BlockSlot> {
        self.0.get(usize::from(block.0))
    }

    /// The block, if the cache has it.
    #[inline]
    pub(crate) fn get(&self, block: BlockIndex) -> Option<BlockGuard> {
        let slot = self.slot(block)?;
        let block = slot.block.load();
        // The length was written before the block was put here, and is that of every block that ever was.
        let len = match (&*block, slot.len.load(Ordering::Relaxed)) {
            (None, _) => return None,
            (Some(block), NEVER_HERE | UNSURE) => block.slice.len(),
            (Some(_), len) => usize::try_from(len).unwrap_or(usize::MAX),
        };
        // Read first: what is in steady use is not written to by every processor that uses it. No other memory is
        // published by the flag.
        if !slot.is_used.load(Ordering::Relaxed) {
            slot.is_used.store(true, Ordering::Relaxed);
        }
        Some(BlockGuard { block, len })
    }

    /// Whether there was a use of the block since the last call.
    pub(crate) fn take_use(&self, block: BlockIndex) -> bool {
        self.slot(block).is_some_and(|slot| slot.is_used.swap(false, Ordering::Relaxed))
    }

    /// Fetches the first cache line of a block and that of byte `at`, if the cache has it, without waiting for either.
    #[inline]
    pub(crate) fn prefetch(&self, block: BlockIndex, at: usize) {
        if let Some(slot) = self.slot(block)
            && let Some(block) = &*slot.block.load()
        {
            prefetch_at(block.as_ptr(), 0);
            prefetch_at(block.as_ptr(), FIRST_BYTE + at);
        }
    }

    /// Fetches the cache line with the slot of a block.
    #[inline]
    pub(crate) fn prefetch_slot(&self, block: BlockIndex) {
        prefetch_at(self.0.as_ptr(), usize::from(block.0) * size_of::<BlockSlot>());
    }

    pub(crate) fn set(&self, block: BlockIndex, to: Option<SharedBlock>) {
        if let Some(slot) = self.slot(block) {
            if let Some(block) = &to {
                slot.note_len(block.slice.len());
            }
            slot.block.store(to);
        }
    }
}

impl fmt::Debug for BlockSlots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockSlots({})", self.0.len())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_was_not_always_as_long_tells_its_length_itself() {
        let slots = BlockSlots::new(2);
        let (first, second) = (BlockIndex(0), BlockIndex(1));
        slots.set(first, Some(shared_block(b"abc")));
        slots.set(second, Some(shared_block(b"")));
        let before = slots.get(first).unwrap();
        assert_eq!((before.len(), before.as_slice()), (3, &b"abc"[..]));
        assert_eq!(slots.get(second).unwrap().len(), 0);
        for bytes in [&b"abcde"[..], b"abc", b""] {
            slots.set(first, None);
            assert!(slots.get(first).is_none());
            slots.set(first, Some(shared_block(bytes)));
            let after = slots.get(first).unwrap();
            assert_eq!((after.len(), after.as_slice()), (bytes.len(), bytes));
        }
        assert_eq!((before.len(), before.as_slice()), (3, &b"abc"[..]));
        assert!(slots.take_use(first) && !slots.take_use(first));
    }
}
