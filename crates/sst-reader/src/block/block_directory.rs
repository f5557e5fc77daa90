//! The block handles of a table: where its blocks lie, and which of them have been verified.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering as CountOrdering};

use sst_format::block::BlockHeader;
use sst_format::offset_table::OffsetTable;
use sst_format::{BlockIndex, FormatError, Structure};

use crate::block::memory::prefetch_at;
use crate::block::sync::{AtomicU8, Ordering};

/// How the payload of a block is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// As it is.
    Raw,
    /// Compressed.
    Compressed,
}

const STATES_PER_BYTE: usize = 4;

/// The block handles of one table: 4 bytes a block for its offset, 8 for the protected copy of its
/// header, 2 bits for the result of its verification.
#[derive(Debug)]
pub(crate) struct BlockDirectory {
    block_count: u16,
    /// The offset at which each block starts, then that at which the last one ends.
    starts: Box<[u32]>,
    /// Copies from the protection section; `None` without one. Shared with the description of the
    /// table: new memory for a copy would be a quarter of the time that opening takes.
    headers: Option<Arc<[BlockHeader]>>,
    states: Box<[AtomicU8]>,
    /// About how many blocks were verified: two threads that verify the same block both count it.
    verified_count: AtomicUsize,
}

impl BlockDirectory {
    /// The state of a block that was verified and is stored raw; 0 is one that was not verified.
    const RAW: u8 = 1;
    /// The state of a block that was verified and is compressed.
    const COMPRESSED: u8 = 2;

    /// Copies an offset table, and checks it. O(number of blocks).
    pub(crate) fn new(
        offsets: &OffsetTable<'_>,
        headers: Option<&Arc<[BlockHeader]>>,
    ) -> Result<Self, FormatError> {
        let starts = offsets.starts()?;
        let state_bytes = usize::from(offsets.block_count()).div_ceil(STATES_PER_BYTE);
        let states = std::iter::repeat_with(AtomicU8::default).take(state_bytes).collect();
        let block_count = offsets.block_count();
        if let Some(headers) = headers
            && headers.len() != usize::from(block_count)
        {
            return Err(FormatError::WrongLen {
                structure: Structure::BlockHeaders,
                expected: u64::from(block_count),
                found: headers.len() as u64,
            });
        }
        let headers = headers.cloned();
        let verified_count = AtomicUsize::new(0);
        Ok(Self { block_count, starts: starts.into(), headers, states, verified_count })
    }

    /// Number of blocks.
    pub(crate) const fn block_count(&self) -> u16 {
        self.block_count
    }

    /// The bytes of a block in the file, header included; `None` if there is no such block.
    #[inline]
    pub(crate) fn range(&self, block: BlockIndex) -> Option<Range<u32>> {
        let i = usize::from(block.0);
        let end = *self.starts.get(i + 1)?;
        Some(*self.starts.get(i)?..end)
    }

    /// Fetches the cache line with the offset of a block.
    #[inline]
    pub(crate) fn prefetch_range(&self, block: BlockIndex) {
        prefetch_at(self.starts.as_ptr(), usize::from(block.0) * size_of::<u32>());
    }

    /// The protected copy of a block's header, if the table is protected.
    pub(crate) fn protected_header(&self, block: BlockIndex) -> Option<BlockHeader> {
        self.headers.as_ref()?.get(usize::from(block.0)).copied()
    }

    /// How a block is stored, if its checksum was found to be right. `None` of a block that was
    /// found to be stored in both ways: the file was changed while it was open, and the block is
    /// verified anew at each use.
    #[inline]
    pub(crate) fn verified(&self, block: BlockIndex) -> Option<Stored> {
        let (byte, shift) = Self::bits_of(block);
        // The bits only say what a check of immutable bytes found. Nothing else is published
        // through them, so no order with other memory is needed: a stale "not verified" costs a
        // second check.
        let bits = self.states.get(byte)?.load(Ordering::Relaxed);
        match (bits >> shift) & 3 {
            Self::RAW => Some(Stored::Raw),
            Self::COMPRESSED => Some(Stored::Compressed),
            // Not verified, or both.
            _ => None,
        }
    }

    /// Remembers that a block's checksum is right. `false` if the table has no such block.
    #[must_use]
    pub(crate) fn set_verified(&self, block: BlockIndex, stored: Stored) -> bool {
        let (byte, shift) = Self::bits_of(block);
        let bits: u8 = match stored {
            Stored::Raw => Self::RAW,
            Stored::Compressed => Self::COMPRESSED,
        };
        let Some(states) = self.states.get(byte) else { return false };
        sst_format::planted!("state-lost" => let known = states.load(Ordering::Relaxed);
            states.store(known | (bits << shift), Ordering::Relaxed);
            return true);
        states.fetch_or(bits << shift, Ordering::Relaxed);
        self.verified_count.fetch_add(1, CountOrdering::Relaxed);
        true
    }

    /// Whether more than half of the blocks were probably never read.
    pub(crate) fn is_mostly_new(&self) -> bool {
        let verified = self.verified_count.load(CountOrdering::Relaxed);
        verified < usize::from(self.block_count) / 2
    }

    /// The bits of a block: their byte among `states`, and by how much to shift it.
    #[inline]
    fn bits_of(block: BlockIndex) -> (usize, usize) {
        let block = usize::from(block.0);
        (block / STATES_PER_BYTE, block % STATES_PER_BYTE * 2)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn states_of_neighbours_are_apart() {
        let ends: Vec<u32> = (1..=9).map(|i| i * 8).collect();
        let bytes: Vec<u8> = ends.iter().flat_map(|end| end.to_be_bytes()).collect();
        let table = OffsetTable::parse(&bytes, 9, 72 + 36).unwrap();
        let directory = BlockDirectory::new(&table, None).unwrap();
        assert!(directory.set_verified(BlockIndex(3), Stored::Raw));
        assert!(directory.set_verified(BlockIndex(4), Stored::Compressed));
        assert!(!directory.set_verified(BlockIndex(12), Stored::Raw));
        for block in 0..10 {
            let expected = match block {
                3 => Some(Stored::Raw),
                4 => Some(Stored::Compressed),
                _ => None,
            };
            assert_eq!(directory.verified(BlockIndex(block)), expected, "{block}");
        }
        assert_eq!(directory.range(BlockIndex(0)), Some(0..8));
        assert_eq!(directory.range(BlockIndex(8)), Some(64..72));
        assert_eq!(directory.range(BlockIndex(9)), None);
        assert_eq!(directory.protected_header(BlockIndex(0)), None);
    }
}
