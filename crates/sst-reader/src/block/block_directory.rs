//! Where the blocks of a table lie, and which of them have been verified.

use std::ops::Range;

use sst_format::block::{BLOCK_HEADER_LEN, BlockHeader};
use sst_format::offset_table::OffsetTable;
use sst_format::{BlockIndex, FormatError};

use crate::block::memory::prefetch_at;
use crate::block::sync::{AtomicU8, Ordering};

/// What is known of a block beyond its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockState {
    /// Not yet read.
    Unknown,
    /// Its checksum is right, and the payload is stored as it is.
    VerifiedRaw,
    /// Its checksum is right, and the payload is compressed.
    VerifiedLz4,
}

const STATES_PER_BYTE: usize = 4;

/// The blocks of one table: 4 bytes each for the place, 8 for the protected copy of the header, 2 bits for the state.
#[derive(Debug)]
pub(crate) struct BlockDirectory {
    /// Where each block starts, and, once more at the end, where the last one ends.
    starts: Box<[u32]>,
    /// Copies from the protection section; empty without one.
    headers: Box<[[u8; BLOCK_HEADER_LEN]]>,
    states: Box<[AtomicU8]>,
}

impl BlockDirectory {
    /// Takes over an offset table, and checks it on the way. O(number of blocks).
    pub(crate) fn new(
        offsets: &OffsetTable<'_>,
        headers: Option<&[BlockHeader]>,
    ) -> Result<Self, FormatError> {
        offsets.validate()?;
        let starts: Vec<u32> = std::iter::once(0).chain(offsets.ends()).collect();
        let headers = headers.unwrap_or_default().iter().map(|header| header.to_bytes()).collect();
        let state_bytes = usize::from(offsets.block_count()).div_ceil(STATES_PER_BYTE);
        let states = std::iter::repeat_with(AtomicU8::default).take(state_bytes).collect();
        Ok(Self { starts: starts.into(), headers, states })
    }

    /// Number of blocks.
    pub(crate) fn block_count(&self) -> u16 {
        u16::try_from(self.starts.len() - 1).unwrap_or(u16::MAX)
    }

    /// Where a block lies in the file, header included; `None` if there is no such block.
    #[inline]
    pub(crate) fn range(&self, block: BlockIndex) -> Option<Range<u32>> {
        let i = usize::from(block.0);
        let end = *self.starts.get(i + 1)?;
        Some(*self.starts.get(i)?..end)
    }

    /// Fetches the cache line that tells where a block lies.
    #[inline]
    pub(crate) fn prefetch_range(&self, block: BlockIndex) {
        prefetch_at(self.starts.as_ptr(), usize::from(block.0) * size_of::<u32>());
    }

    /// The protected copy of a block's header, if the table is protected.
    pub(crate) fn protected_header(&self, block: BlockIndex) -> Option<BlockHeader> {
        self.headers.get(usize::from(block.0)).copied().map(BlockHeader::from_bytes)
    }

    /// What is known of a block.
    #[inline]
    pub(crate) fn state(&self, block: BlockIndex) -> BlockState {
        let (byte, shift) = Self::place(block);
        // The state only says what a check of immutable bytes found. Nothing else is published through it, so no order
        // with other memory is needed: a stale "unknown" costs a second check.
        let bits = self.states.get(byte).map_or(0, |states| states.load(Ordering::Relaxed));
        match (bits >> shift) & 3 {
            1 => BlockState::VerifiedRaw,
            2 => BlockState::VerifiedLz4,
            _ => BlockState::Unknown,
        }
    }

    /// Remembers that a block's checksum is right.
    pub(crate) fn set_verified(&self, block: BlockIndex, state: BlockState) {
        let (byte, shift) = Self::place(block);
        let bits: u8 = match state {
            BlockState::Unknown => return,
            BlockState::VerifiedRaw => 1,
            BlockState::VerifiedLz4 => 2,
        };
        if let Some(states) = self.states.get(byte) {
            sst_format::planted!("state-lost" => let known = states.load(Ordering::Relaxed);
                return states.store(known | (bits << shift), Ordering::Relaxed));
            states.fetch_or(bits << shift, Ordering::Relaxed);
        }
    }

    #[inline]
    fn place(block: BlockIndex) -> (usize, usize) {
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
        directory.set_verified(BlockIndex(3), BlockState::VerifiedRaw);
        directory.set_verified(BlockIndex(4), BlockState::VerifiedLz4);
        for block in 0..10 {
            let expected = match block {
                3 => BlockState::VerifiedRaw,
                4 => BlockState::VerifiedLz4,
                _ => BlockState::Unknown,
            };
            assert_eq!(directory.state(BlockIndex(block)), expected, "{block}");
        }
        assert_eq!(directory.range(BlockIndex(0)), Some(0..8));
        assert_eq!(directory.range(BlockIndex(8)), Some(64..72));
        assert_eq!(directory.range(BlockIndex(9)), None);
        assert_eq!(directory.protected_header(BlockIndex(0)), None);
    }
}
