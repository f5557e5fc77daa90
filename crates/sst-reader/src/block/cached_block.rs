//! Uncompressed blocks in memory, and the slots in which a table finds its own.

use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use arc_swap::{ArcSwapAny, Guard};
use sst_format::BlockIndex;
use triomphe::{Arc, ThinArc};

use crate::block::memory::prefetch_at;

/// An uncompressed payload that does not lie in a file, as the cache, a table and its values share
/// it.
///
/// Counter, length and bytes are one piece of memory: the address of a byte follows from the
/// pointer alone, so fetching it need not wait for anything else of the block.
pub(crate) type SharedBlock = ThinArc<(), u8>;

/// Bytes of a block in front of the first of its payload: counter and length. Only fetching
/// beforehand depends on it.
const FIRST_BYTE: usize = 16;

/// A new block of these bytes.
#[cfg(test)]
pub(crate) fn shared_block(bytes: &[u8]) -> SharedBlock {
    ThinArc::from_header_and_slice((), bytes)
}

/// The system refuses memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoMemory;

/// Why a block could not be filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FillError {
    /// There are no bytes that fill it exactly.
    NotFilled,
    /// The system refuses memory.
    NoMemory(NoMemory),
    /// A broken rule of this crate's own.
    Internal(&'static str),
}

impl From<NoMemory> for FillError {
    fn from(error: NoMemory) -> Self {
        Self::NoMemory(error)
    }
}

/// A new block of these bytes, if there is memory for it.
pub(crate) fn try_shared_block(bytes: &[u8]) -> Result<SharedBlock, NoMemory> {
    ThinArc::try_from_header_and_slice((), bytes).map_err(|_| NoMemory)
}

/// A new block of `len` bytes that `fill` has filled, without a copy. `fill` returns whether it
/// could.
pub(crate) fn filled_block(
    len: usize,
    fill: impl FnOnce(&mut [u8]) -> bool,
) -> Result<SharedBlock, FillError> {
    let zeros = std::iter::repeat_n(0, len);
    let mut block = ThinArc::try_from_header_and_iter((), zeros).map_err(|_| NoMemory)?;
    block.with_arc_mut(|block| match Arc::get_mut(block) {
        Some(block) => fill(block.slice_mut()).then_some(()).ok_or(FillError::NotFilled),
        None => Err(FillError::Internal("a new block has one owner")),
    })?;
    Ok(block)
}

/// A cached block that is in use, without a counter that processors would take from each other.
pub(crate) type BlockGuard = Guard<Option<SharedBlock>>;

/// The place for one block of a table, empty as long as the cache does not hold it.
struct BlockSlot {
    block: ArcSwapAny<Option<SharedBlock>>,
    /// Where the block was when it was put here, null where none is. Only memory is fetched by it:
    /// to borrow the block for that would lock the bus twice, and wait for all that was asked for
    /// before.
    address: AtomicPtr<u8>,
    /// Whether the block was used since the cache last thought of dropping it.
    is_used: AtomicBool,
}

/// The cached blocks of one table, by block index: a lookup finds them without a hash table and
/// without a lock. The cache decides which blocks stay, and for how long.
pub(crate) struct BlockSlots(Box<[BlockSlot]>);

impl BlockSlots {
    /// One empty slot of 24 bytes for each block.
    pub(crate) fn new(block_count: u16) -> Self {
        let empty = || BlockSlot {
            block: ArcSwapAny::new(None),
            address: AtomicPtr::new(ptr::null_mut()),
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
        // Read first: the flag of a block in steady use is not written to by every processor that
        // uses it. No other memory is published by the flag.
        if block.is_some() && !slot.is_used.load(Ordering::Relaxed) {
            slot.is_used.store(true, Ordering::Relaxed);
        }
        Some(block)
    }

    /// Whether there was a use of the block since the last call.
    pub(crate) fn clear_use(&self, block: BlockIndex) -> bool {
        self.slot(block).is_some_and(|slot| slot.is_used.swap(false, Ordering::Relaxed))
    }

    /// Fetches the first cache line of a block and that of byte `at`, if the cache has it, without
    /// waiting for either.
    #[inline]
    pub(crate) fn prefetch(&self, block: BlockIndex, at: usize) {
        if let Some(slot) = self.slot(block) {
            let address = slot.address.load(Ordering::Relaxed);
            if !address.is_null() {
                prefetch_at(address, 0);
                prefetch_at(address, FIRST_BYTE + at);
            }
        }
    }

    /// Fetches the cache line with the slot of a block.
    #[inline]
    pub(crate) fn prefetch_slot(&self, block: BlockIndex) {
        prefetch_at(self.0.as_ptr(), usize::from(block.0) * size_of::<BlockSlot>());
    }

    pub(crate) fn set(&self, block: BlockIndex, to: Option<SharedBlock>) {
        if let Some(slot) = self.slot(block) {
            let address = to.as_ref().map_or(ptr::null(), |block| block.as_ptr());
            slot.address.store(address.cast::<u8>().cast_mut(), Ordering::Relaxed);
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
    fn a_slot_gives_the_block_that_is_in_it() {
        let slots = BlockSlots::new(2);
        let (first, second) = (BlockIndex(0), BlockIndex(1));
        let bytes_in = |block| slots.get(block).unwrap().as_ref().map(|b| b.slice.to_vec());
        slots.set(first, Some(shared_block(b"abc")));
        slots.set(second, Some(shared_block(b"")));
        assert_eq!(bytes_in(first), Some(b"abc".to_vec()));
        assert_eq!(bytes_in(second), Some(Vec::new()));
        let before = slots.get(first).unwrap();
        // A file that was overwritten may have a block of another length in the same place.
        for bytes in [&b"abcde"[..], b"abc", b""] {
            slots.set(first, None);
            assert_eq!(bytes_in(first), None);
            slots.set(first, Some(shared_block(bytes)));
            assert_eq!(bytes_in(first).unwrap(), bytes);
        }
        assert_eq!(&before.as_ref().unwrap().slice, b"abc");
        assert!(slots.clear_use(first) && !slots.clear_use(first));
        assert!(slots.get(BlockIndex(2)).is_none());
    }
}
