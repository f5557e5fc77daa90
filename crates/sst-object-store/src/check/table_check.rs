//! The check of a table.

use std::ops::Range;

use bytes::Bytes;
use sst_format::block::{BLOCK_HEADER_LEN, BlockHeader};
use sst_format::offset_table::OffsetTable;
use sst_format::{BlockIndex, FormatError};

use super::Defect;

/// Checks a table against the copies of its block headers in a meta file.
///
/// The offset table is read before: it tells where blocks end. It has no checksum of its own and
/// needs none, because with any other ends a block would have another checksum.
#[derive(Debug)]
pub(crate) struct TableCheck {
    headers: Bytes,
    ends: Bytes,
    block_count: u16,
    len: u64,
    /// The position in the file.
    at: u64,
    /// The block at this position; `block_count` in the offset table.
    block: u16,
    /// The range of this block in the file.
    range: Range<u64>,
    crc32: crc32fast::Hasher,
}

impl TableCheck {
    /// `headers` are the verified copies of the block headers, `ends` the last bytes of the file.
    pub(crate) fn new(
        headers: Bytes,
        ends: Bytes,
        block_count: u16,
        len: u64,
    ) -> Result<Self, FormatError> {
        let table = OffsetTable::parse(&ends, block_count, len)?;
        table.starts()?;
        let range = table.range(BlockIndex(0))?;
        let range = u64::from(range.start)..u64::from(range.end);
        let crc32 = crc32fast::Hasher::new();
        Ok(Self { headers, ends, block_count, len, at: 0, block: 0, range, crc32 })
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) -> Result<(), Defect> {
        while !bytes.is_empty() {
            let (part, rest) = bytes.split_at(self.part_len(bytes.len()));
            if part.is_empty() {
                let found = self.at + bytes.len() as u64;
                return Err(Defect::Len { expected: self.len, found });
            }
            self.check_part(part)?;
            self.at += part.len() as u64;
            bytes = rest;
            if self.block < self.block_count && self.at == self.range.end {
                self.end_block()?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), Defect> {
        let (expected, found) = (self.len, self.at);
        if expected != found {
            return Err(Defect::Len { expected, found });
        }
        Ok(())
    }

    /// The end of the header at the start of the block.
    const fn header_end(&self) -> u64 {
        self.range.start + BLOCK_HEADER_LEN as u64
    }

    /// How many of the next `available` bytes belong to the same header, payload or offset table.
    fn part_len(&self, available: usize) -> usize {
        let end = match self.block < self.block_count {
            true if self.at < self.header_end() => self.header_end(),
            true => self.range.end,
            false => self.len,
        };
        // A part that is longer than the memory of this machine has all available bytes.
        usize::try_from(end - self.at).map_or(available, |len| len.min(available))
    }

    fn check_part(&mut self, part: &[u8]) -> Result<(), Defect> {
        if self.block == self.block_count {
            let start = self.len - self.ends.len() as u64;
            return self.same(&self.ends, self.at - start, part, None);
        }
        if self.at >= self.header_end() {
            self.crc32.update(part);
            return Ok(());
        }
        let in_header = self.at - self.range.start;
        let start = u64::from(self.block) * BLOCK_HEADER_LEN as u64;
        self.same(&self.headers, start + in_header, part, Some(self.block))
    }

    /// Compares a part of the file with the bytes that are known, from byte `at` of them on.
    fn same(&self, known: &[u8], at: u64, part: &[u8], block: Option<u16>) -> Result<(), Defect> {
        let known = usize::try_from(at).ok().and_then(|at| known.get(at..)?.get(..part.len()));
        let known = known.ok_or(Defect::Internal("a part ends where the bytes it is of end"))?;
        if known != part {
            return Err(Defect::Bytes { block });
        }
        Ok(())
    }

    /// Compares the checksum of the block that has ended, and goes on to the next one.
    fn end_block(&mut self) -> Result<(), Defect> {
        let block = Some(self.block);
        let header = usize::from(self.block) * BLOCK_HEADER_LEN;
        let header = self.headers.get(header..).and_then(|bytes| bytes.first_chunk());
        let header = header.ok_or(Defect::Internal("each block of a table has a header"))?;
        let expected = BlockHeader::from_bytes(*header).checksum;
        let found = std::mem::take(&mut self.crc32).finalize();
        if expected != found {
            return Err(Defect::Checksum { block, expected, found });
        }
        self.block += 1;
        if self.block < self.block_count {
            let table = OffsetTable::parse(&self.ends, self.block_count, self.len);
            let range = table.and_then(|table| table.range(BlockIndex(self.block)));
            let range = range.map_err(|_| Defect::Internal("the offset table was validated"))?;
            self.range = u64::from(range.start)..u64::from(range.end);
        }
        Ok(())
    }
}
