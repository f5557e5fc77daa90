//! A table as it is to be described in a meta file of version 3.

use alloc::vec::Vec;

use super::headers_len;
use crate::block::{BLOCK_HEADER_LEN, BlockHeader};
use crate::meta_start::TableRecord;
use crate::{Crc32, FormatError, SequenceNumber, SstMeta, Structure};

/// The headers of all blocks of a table, in order.
#[derive(Clone, Copy, Debug)]
pub enum BlockHeaders<'a> {
    /// As values.
    Parsed(&'a [BlockHeader]),
    /// As bytes copied from another meta file, 8 for each header.
    Stored(&'a [u8]),
}

impl BlockHeaders<'_> {
    /// Their length in bytes.
    const fn len(&self) -> u64 {
        match self {
            Self::Parsed(headers) => headers.len() as u64 * BLOCK_HEADER_LEN as u64,
            Self::Stored(bytes) => bytes.len() as u64,
        }
    }

    /// Appends their bytes, 8 for each header.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Parsed(headers) => headers.iter().for_each(|header| header.encode(out)),
            Self::Stored(bytes) => out.extend_from_slice(bytes),
        }
    }
}

/// A table to be described in a meta file. All bytes are borrowed, so describing a table again
/// copies none.
#[derive(Clone, Copy, Debug)]
pub struct DescribedTable<'a> {
    /// Its record. The encoder sets [`TableRecord::filter_end`].
    pub record: TableRecord,
    /// Number of entries.
    pub entry_count: u64,
    /// Its filter; empty if it has none.
    pub filter: &'a [u8],
    /// The headers of its blocks.
    pub headers: BlockHeaders<'a>,
    /// The CRC-32 that an older meta file states for the filter, if the bytes come from there. The
    /// encoder compares it.
    pub filter_checksum: Option<u32>,
    /// The CRC-32 that an older meta file states for the block headers, compared likewise.
    pub headers_checksum: Option<u32>,
}

impl<'a> DescribedTable<'a> {
    /// Describes a table that was just written.
    ///
    /// # Errors
    ///
    /// [`FormatError::WrongLen`] if `meta` comes without the headers of its blocks.
    pub fn new(sequence: SequenceNumber, meta: &'a SstMeta) -> Result<Self, FormatError> {
        let protection = meta.protection.as_ref().ok_or(FormatError::WrongLen {
            structure: Structure::BlockHeaders,
            expected: headers_len(meta.block_count),
            found: 0,
        })?;
        Ok(Self {
            record: TableRecord::new(sequence, meta),
            entry_count: protection.entry_count,
            filter: meta.filter.as_slice(),
            headers: BlockHeaders::Parsed(&protection.block_headers),
            filter_checksum: None,
            headers_checksum: None,
        })
    }

    /// Everything about the table but the bytes of its filter and block headers, whose checksums
    /// are computed. O(length of these bytes).
    ///
    /// # Errors
    ///
    /// [`FormatError::WrongLen`] if it comes without the headers of all its blocks,
    /// [`FormatError::ChecksumMismatch`] if borrowed bytes do not match their checksum.
    pub fn summary(&self, crc32: Crc32) -> Result<TableSummary, FormatError> {
        let (expected, found) = (headers_len(self.record.block_count), self.headers.len());
        if expected != found {
            let structure = Structure::BlockHeaders;
            return Err(FormatError::WrongLen { structure, expected, found });
        }
        let filter_checksum = crc32(self.filter);
        same(Structure::Filter, self.filter_checksum, filter_checksum)?;
        let headers_checksum = match self.headers {
            BlockHeaders::Stored(bytes) => crc32(bytes),
            BlockHeaders::Parsed(_) => {
                let mut bytes = Vec::new();
                self.headers.encode(&mut bytes);
                crc32(&bytes)
            }
        };
        same(Structure::BlockHeaders, self.headers_checksum, headers_checksum)?;
        Ok(TableSummary {
            record: self.record,
            entry_count: self.entry_count,
            filter_len: self.filter.len() as u64,
            filter_checksum,
            headers_checksum,
        })
    }
}

/// Everything that a meta file has about a table, but for the bytes of its filter and block
/// headers. They may be anywhere: in memory, or in an older meta file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSummary {
    /// Its record. The encoder sets [`TableRecord::filter_end`].
    pub record: TableRecord,
    /// Number of entries.
    pub entry_count: u64,
    /// Length of its filter in bytes.
    pub filter_len: u64,
    /// The CRC-32 of its filter.
    pub filter_checksum: u32,
    /// The CRC-32 of the headers of its blocks, 8 bytes each.
    pub headers_checksum: u32,
}

/// Compares the checksum of borrowed bytes with the one that their meta file states.
const fn same(structure: Structure, stored: Option<u32>, computed: u32) -> Result<(), FormatError> {
    match stored {
        Some(stored) if stored != computed => {
            Err(FormatError::ChecksumMismatch { structure, stored, computed })
        }
        _ => Ok(()),
    }
}
