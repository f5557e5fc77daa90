//! The index block: the first hash of each key block (FORMAT.md section 6).
//!
//! ```text
//! offset    size  field
//!      0       1  kind: 0
//!      1       2  index of the first key block
//!  3+10·i      8  first hash of key block i+1
//! 11+10·i      2  index of key block i+1
//! ```
//!
//! It is the last block of a table and never compressed. A key block holds the hashes from its own
//! first hash up to that of the next key block. The first hash of the first key block is not
//! stored: that block also takes all lower hashes. First hashes ascend strictly, because equal
//! hashes are never split across key blocks.

use alloc::vec::Vec;

use crate::bytes::{u16_at, u16_in, u64_at, u64_in};
use crate::{BlockIndex, FormatError, Structure};

/// First byte of an index block.
pub const INDEX_BLOCK_KIND: u8 = 0;

const FIRST_LEN: usize = 3;
pub(crate) const ENTRY_LEN: usize = HASH_LEN + 2;
/// Length of a first hash in bytes.
const HASH_LEN: usize = 8;

/// Collects the key blocks of a table and writes its index block.
#[derive(Clone, Debug)]
pub struct IndexBlockEncoder {
    bytes: Vec<u8>,
}

impl IndexBlockEncoder {
    /// An index over no key block yet.
    #[must_use]
    pub fn new() -> Self {
        Self { bytes: alloc::vec![INDEX_BLOCK_KIND] }
    }

    /// Adds the next key block. The hash of the first one is not stored.
    pub fn push(&mut self, first_hash: u64, block: BlockIndex) {
        if self.bytes.len() > 1 {
            self.bytes.extend_from_slice(&first_hash.to_be_bytes());
        }
        self.bytes.extend_from_slice(&block.0.to_be_bytes());
    }

    /// Length in bytes of the index block of `key_blocks` key blocks.
    #[must_use]
    pub const fn len_of(key_blocks: usize) -> usize {
        // The first key block takes no entry. An index of 0 key blocks cannot be finished, so its
        // length does not matter.
        FIRST_LEN + key_blocks.saturating_sub(1) * ENTRY_LEN
    }

    /// Ends the index, and returns the payload of the index block.
    ///
    /// # Errors
    ///
    /// [`FormatError::Empty`] without a key block.
    pub fn finish(self) -> Result<Vec<u8>, FormatError> {
        if self.bytes.len() < FIRST_LEN {
            return Err(FormatError::Empty { structure: Structure::IndexBlock });
        }
        Ok(self.bytes)
    }
}

impl Default for IndexBlockEncoder {
    fn default() -> Self {
        Self::new()
    }
}

/// A checked view of an index block.
#[derive(Clone, Copy, Debug)]
pub struct IndexBlock<'a> {
    first_block: BlockIndex,
    /// The `(hash, block)` pairs of all key blocks but the first.
    entries: &'a [u8],
}

impl<'a> IndexBlock<'a> {
    /// A view of the payload of an index block. O(1); see [`IndexBlock::validate`].
    ///
    /// # Errors
    ///
    /// [`FormatError::TooShort`], [`FormatError::WrongKind`] or [`FormatError::WrongLen`].
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Result<Self, FormatError> {
        let structure = Structure::IndexBlock;
        let found = payload.len() as u64;
        let too_short =
            FormatError::TooShort { structure, needed: FIRST_LEN as u64, available: found };
        match payload.first() {
            None => return Err(too_short),
            Some(&INDEX_BLOCK_KIND) => {}
            Some(&found) => return Err(FormatError::WrongKind { structure, found }),
        }
        let first_block = BlockIndex(u16_at(payload, 1).ok_or(too_short)?);
        let entries = payload.get(FIRST_LEN..).ok_or(too_short)?;
        if !entries.len().is_multiple_of(ENTRY_LEN) {
            let expected = (FIRST_LEN + entries.len() / ENTRY_LEN * ENTRY_LEN) as u64;
            return Err(FormatError::WrongLen { structure, expected, found });
        }
        Ok(Self { first_block, entries })
    }

    /// Number of key blocks, at least 1.
    #[must_use]
    #[inline]
    pub const fn key_block_count(&self) -> usize {
        1 + self.entries.len() / ENTRY_LEN
    }

    /// First hash of key block number `i` in index order. `None` for the first key block, whose
    /// hash is not stored, and for numbers past the last one.
    #[must_use]
    #[inline]
    pub fn first_hash(&self, i: usize) -> Option<u64> {
        u64_at(self.entries, i.checked_sub(1)?.checked_mul(ENTRY_LEN)?)
    }

    /// Block index of key block number `i` in index order.
    ///
    /// # Errors
    ///
    /// [`FormatError::NoSuchEntry`].
    #[inline]
    pub fn block(&self, i: usize) -> Result<BlockIndex, FormatError> {
        let no_such_entry =
            FormatError::NoSuchEntry { index: i as u64, count: self.key_block_count() as u64 };
        match i.checked_sub(1) {
            None => Ok(self.first_block),
            Some(entry) => entry
                .checked_mul(ENTRY_LEN)
                .and_then(|at| u16_at(self.entries, at.checked_add(8)?))
                .map(BlockIndex)
                .ok_or(no_such_entry),
        }
    }

    /// Block indices of all key blocks in order.
    pub fn blocks(&self) -> impl Iterator<Item = BlockIndex> + 'a {
        core::iter::once(self.first_block).chain(self.pairs().map(|(_, block)| block))
    }

    /// Block index of the first key block, whose hash is not stored.
    #[must_use]
    #[inline]
    pub const fn first_block(&self) -> BlockIndex {
        self.first_block
    }

    /// First hash and block index of each key block but the first, in order.
    #[inline]
    pub fn pairs(&self) -> impl ExactSizeIterator<Item = (u64, BlockIndex)> + 'a {
        // `parse` has seen that nothing remains.
        let (pairs, _) = self.entries.as_chunks::<ENTRY_LEN>();
        pairs.iter().map(|pair| {
            (u64_in::<0, ENTRY_LEN>(pair), BlockIndex(u16_in::<HASH_LEN, ENTRY_LEN>(pair)))
        })
    }

    /// Checks that hashes and block indices ascend strictly, and that no block index reaches that
    /// of the index block. O(n).
    ///
    /// # Errors
    ///
    /// [`FormatError::OutOfOrder`] or [`FormatError::NoSuchBlock`], for the first wrong key block.
    pub fn validate(&self, block_count: u16) -> Result<(), FormatError> {
        // The index block is the last one.
        let end = block_count.saturating_sub(1);
        let no_such_block =
            |block: BlockIndex| Err(FormatError::NoSuchBlock { block: block.0, block_count });
        if self.first_block.0 >= end {
            return no_such_block(self.first_block);
        }
        let mut previous = (None, self.first_block);
        for (index, (hash, block)) in (1..).zip(self.pairs()) {
            if block.0 >= end {
                return no_such_block(block);
            }
            let (last_hash, last_block) = previous;
            if last_block >= block || last_hash.is_some_and(|last| last >= hash) {
                return Err(FormatError::OutOfOrder { structure: Structure::IndexBlock, index });
            }
            previous = (Some(hash), block);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(key_blocks: &[(u64, u16)]) -> Vec<u8> {
        let mut encoder = IndexBlockEncoder::new();
        for &(hash, block) in key_blocks {
            encoder.push(hash, BlockIndex(block));
        }
        encoder.finish().unwrap()
    }

    #[test]
    fn layout_and_access() {
        let bytes = index(&[(7, 1), (0x0102, 3), (0x0103, 4)]);
        assert_eq!(bytes.len(), IndexBlockEncoder::len_of(3));
        assert_eq!(bytes[..13], [0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 2, 0, 3]);
        let view = IndexBlock::parse(&bytes).unwrap();
        assert_eq!(view.key_block_count(), 3);
        assert_eq!([view.first_hash(0), view.first_hash(1)], [None, Some(0x0102)]);
        assert_eq!([view.first_hash(2), view.first_hash(3)], [Some(0x0103), None]);
        assert_eq!(view.blocks().map(|b| b.0).collect::<Vec<_>>(), [1, 3, 4]);
        assert_eq!(view.block(2), Ok(BlockIndex(4)));
        assert!(view.block(3).is_err());
        assert!(view.block(usize::MAX).is_err());
        view.validate(6).unwrap();
        assert!(view.validate(5).is_err());
    }

    #[test]
    fn wrong_content_is_found() {
        assert!(IndexBlock::parse(&[]).is_err());
        assert!(IndexBlock::parse(&[0, 0]).is_err());
        assert!(IndexBlock::parse(&[1, 0, 0]).is_err());
        assert!(IndexBlock::parse(&[0, 0, 0, 9]).is_err());
        assert!(IndexBlockEncoder::new().finish().is_err());
        for wrong in [
            index(&[(0, 1), (5, 2), (5, 3)]),
            index(&[(0, 1), (5, 2), (4, 3)]),
            index(&[(0, 1), (5, 1), (6, 3)]),
            index(&[(0, 3), (5, 2), (6, 4)]),
            index(&[(0, u16::MAX)]),
        ] {
            assert!(IndexBlock::parse(&wrong).unwrap().validate(6).is_err());
        }
    }
}
