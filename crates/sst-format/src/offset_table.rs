//! The offset table: the end of each block of a table (FORMAT.md section 3).
//!
//! ```text
//! offset  size  field
//!      0     4  END of block 0, counted from the start of the file
//!      …
//!  4·N-4     4  END of block N-1, which is where this table starts
//! ```
//!
//! It is the last part of a `.sst` file. Block 0 starts at byte 0, every other block where the
//! block before it ends. Each block has at least its header, so ends ascend by at least
//! [`BLOCK_HEADER_LEN`].

use alloc::vec::Vec;
use core::ops::Range;

use crate::block::BLOCK_HEADER_LEN;
use crate::bytes::u32_at;
use crate::{BlockIndex, FormatError, Structure};

/// Length of one entry of the table in bytes.
pub const OFFSET_LEN: usize = 4;

/// Appends the offset table of blocks with these `ends` to `out`.
pub fn encode_offset_table(ends: impl IntoIterator<Item = u32>, out: &mut Vec<u8>) {
    out.extend(ends.into_iter().flat_map(u32::to_be_bytes));
}

/// Computes the number of blocks of a file without a meta file, from its length and its last four
/// bytes.
///
/// # Errors
///
/// [`FormatError::WrongLen`] if no offset table of 1 to 65,535 blocks has that last word in a file
/// of that length.
pub fn recover_block_count(file_len: u64, last_word: u32) -> Result<u16, FormatError> {
    let wrong = FormatError::WrongLen {
        structure: Structure::OffsetTable,
        expected: u64::from(last_word),
        found: file_len,
    };
    let table_len = file_len.checked_sub(u64::from(last_word)).ok_or(wrong)?;
    let count = u16::try_from(table_len / OFFSET_LEN as u64).map_err(|_| wrong)?;
    if count == 0
        || !table_len.is_multiple_of(OFFSET_LEN as u64)
        || u64::from(last_word) < u64::from(count) * BLOCK_HEADER_LEN as u64
    {
        return Err(wrong);
    }
    Ok(count)
}

/// A checked view of an offset table.
#[derive(Clone, Copy, Debug)]
pub struct OffsetTable<'a> {
    bytes: &'a [u8],
    block_count: u16,
}

impl<'a> OffsetTable<'a> {
    /// Length in bytes of the offset table of `block_count` blocks.
    #[must_use]
    pub const fn len_of(block_count: u16) -> usize {
        block_count as usize * OFFSET_LEN
    }

    /// A view of the last `4 × block_count` bytes of a file of `file_len` bytes. O(1); see
    /// [`OffsetTable::starts`].
    ///
    /// # Errors
    ///
    /// [`FormatError::WrongLen`] if there are more or fewer bytes, or the last block does not end
    /// where the offset table starts; [`FormatError::Empty`] for 0 blocks.
    pub fn parse(bytes: &'a [u8], block_count: u16, file_len: u64) -> Result<Self, FormatError> {
        let structure = Structure::OffsetTable;
        if block_count == 0 {
            return Err(FormatError::Empty { structure });
        }
        let len = Self::len_of(block_count);
        if bytes.len() != len {
            let (expected, found) = (len as u64, bytes.len() as u64);
            return Err(FormatError::WrongLen { structure, expected, found });
        }
        let table = Self { bytes, block_count };
        let expected = u64::from(table.end(BlockIndex(block_count - 1))?) + len as u64;
        if expected != file_len {
            return Err(FormatError::WrongLen { structure, expected, found: file_len });
        }
        Ok(table)
    }

    /// Number of blocks.
    #[must_use]
    pub const fn block_count(&self) -> u16 {
        self.block_count
    }

    /// The end of each block, in bytes from the start of the file, in the order of the blocks. The
    /// ends are not checked, see [`OffsetTable::starts`].
    pub fn ends(&self) -> impl ExactSizeIterator<Item = u32> + 'a {
        let (ends, _) = self.bytes.as_chunks();
        ends.iter().map(|end| u32::from_be_bytes(*end))
    }

    /// The end of a block, in bytes from the start of the file.
    ///
    /// # Errors
    ///
    /// [`FormatError::NoSuchBlock`].
    #[inline]
    pub fn end(&self, block: BlockIndex) -> Result<u32, FormatError> {
        u32_at(self.bytes, usize::from(block.0) * OFFSET_LEN)
            .ok_or(FormatError::NoSuchBlock { block: block.0, block_count: self.block_count })
    }

    /// The range of a block in the file, header included, in bytes.
    ///
    /// # Errors
    ///
    /// [`FormatError::NoSuchBlock`], or [`FormatError::OutOfOrder`] if the range is too short for a
    /// header.
    #[inline]
    pub fn range(&self, block: BlockIndex) -> Result<Range<u32>, FormatError> {
        let end = self.end(block)?;
        let start = match block.0.checked_sub(1) {
            None => 0,
            Some(previous) => self.end(BlockIndex(previous))?,
        };
        if u64::from(start) + BLOCK_HEADER_LEN as u64 > u64::from(end) {
            let index = u32::from(block.0);
            return Err(FormatError::OutOfOrder { structure: Structure::OffsetTable, index });
        }
        Ok(start..end)
    }

    /// The offset at which each block starts, in bytes from the start of the file, then that at
    /// which the last one ends. Checks that the blocks follow each other. O(n).
    ///
    /// # Errors
    ///
    /// As [`OffsetTable::range`], for the first wrong block.
    pub fn starts(&self) -> Result<Vec<u32>, FormatError> {
        let mut starts = Vec::with_capacity(usize::from(self.block_count) + 1);
        starts.push(0);
        starts.extend(self.ends());
        let has_header = |(start, end): (&u32, &u32)| {
            (end >= start) & (end.wrapping_sub(*start) as usize >= BLOCK_HEADER_LEN)
        };
        // The loop has no early exit, and no block waits for the one before it, so the compiler can
        // compare several blocks at once.
        let mut blocks = starts.iter().zip(starts.iter().skip(1));
        if blocks.clone().fold(true, |are_valid, block| are_valid & has_header(block)) {
            return Ok(starts);
        }
        let wrong = blocks.position(|block| !has_header(block)).and_then(|i| u32::try_from(i).ok());
        let index = wrong.unwrap_or(u32::from(self.block_count));
        Err(FormatError::OutOfOrder { structure: Structure::OffsetTable, index })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(ends: &[u32]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_offset_table(ends.iter().copied(), &mut bytes);
        bytes
    }

    #[test]
    fn ranges_follow_each_other() {
        let bytes = table(&[8, 30, 41]);
        assert_eq!(bytes, [0, 0, 0, 8, 0, 0, 0, 30, 0, 0, 0, 41]);
        let view = OffsetTable::parse(&bytes, 3, 53).unwrap();
        view.starts().unwrap();
        assert!(view.ends().eq([8, 30, 41]));
        assert_eq!(view.range(BlockIndex(0)).unwrap(), 0..8);
        assert_eq!(view.range(BlockIndex(2)).unwrap(), 30..41);
        assert!(view.range(BlockIndex(3)).is_err());
        assert_eq!(recover_block_count(53, 41), Ok(3));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(OffsetTable::parse(&table(&[8, 15]), 2, 23).unwrap().starts().is_err());
        assert!(OffsetTable::parse(&table(&[8, 16]), 2, 25).is_err());
        assert!(OffsetTable::parse(&table(&[8]), 2, 12).is_err());
        assert!(OffsetTable::parse(&[], 0, 0).is_err());
        for (file_len, last) in
            [(0, 0), (4, 4), (4, 0), (12, 9), (13, 8), (8 + 4 * 65536, 8), (3, 9)]
        {
            assert!(recover_block_count(file_len, last).is_err(), "{file_len} {last}");
        }
    }
}
