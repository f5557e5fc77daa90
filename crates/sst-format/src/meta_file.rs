//! Meta files: what a reader must know about the tables of one commit, and their filters (FORMAT.md section 9).
//!
//! ```text
//! size     field
//!    4     magic: fe 4a da 4a
//!    4     family
//!    4     number of obsolete tables
//!  × 4     their sequence numbers
//!    4     number n of described tables
//! n × 38   u32 sequence number, u16 block count, u64 min hash, u64 max hash, u64 file size, u32 flags,
//!          u32 END of its filter in the filter area
//!    4     END of the used-keys filter in the filter area
//!    …     the filter area
//!    …     the protection section, in ours
//! ```
//!
//! Ends count from the start of the filter area, like the offsets of a table: filter `i` starts where `i-1` ends.
//! Sequence numbers of obsolete tables refer to tables of older meta files.

use alloc::vec::Vec;
use core::ops::Range;

use crate::block::BLOCK_HEADER_LEN;
use crate::bytes::{u16_at, u32_at, u64_at};
use crate::content_digest::FamilyCertificate;
use crate::protection::{self, BlobRecord, LiveMeta, ProtectionSection};
use crate::sst_meta::validate_hashes;
use crate::{Crc32, FormatError, SequenceNumber, SstMeta, Structure, TableFlags};

/// The first four bytes of a meta file.
pub const META_MAGIC: u32 = 0xfe4a_da4a;

const STRUCTURE: Structure = Structure::MetaFile;
const TABLE_LEN: usize = 38;

/// What a meta file says of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableRecord {
    /// Sequence number: the table's file is `NNNNNNNN.sst`.
    pub sequence: SequenceNumber,
    /// Number of blocks, the index block included.
    pub block_count: u16,
    /// Hash of the first entry.
    pub min_hash: u64,
    /// Hash of the last entry.
    pub max_hash: u64,
    /// Length of the file in bytes.
    pub file_size: u64,
    /// Flags.
    pub flags: TableFlags,
    /// END of its filter in the filter area, in bytes.
    pub filter_end: u32,
}

impl TableRecord {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.sequence.0.to_be_bytes());
        out.extend_from_slice(&self.block_count.to_be_bytes());
        out.extend_from_slice(&self.min_hash.to_be_bytes());
        out.extend_from_slice(&self.max_hash.to_be_bytes());
        out.extend_from_slice(&self.file_size.to_be_bytes());
        out.extend_from_slice(&self.flags.0.to_be_bytes());
        out.extend_from_slice(&self.filter_end.to_be_bytes());
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            sequence: SequenceNumber(u32_at(bytes, 0)?),
            block_count: u16_at(bytes, 4)?,
            min_hash: u64_at(bytes, 6)?,
            max_hash: u64_at(bytes, 14)?,
            file_size: u64_at(bytes, 22)?,
            flags: TableFlags(u32_at(bytes, 30)?),
            filter_end: u32_at(bytes, 34)?,
        })
    }
}

/// The parts of a meta file of ours.
#[derive(Clone, Copy, Debug)]
pub struct MetaFileParts<'a> {
    /// The key space the tables belong to; 0 where there is only one.
    pub family: u32,
    /// Tables of older meta files that this commit makes obsolete.
    pub obsolete: &'a [SequenceNumber],
    /// The tables described, oldest first, all with their [`SstMeta::protection`].
    pub tables: &'a [(SequenceNumber, SstMeta)],
    /// Every live meta file as of this commit, this one included with checksum 0.
    pub live_metas: &'a [LiveMeta],
    /// Every blob file that the tables refer to.
    pub blobs: &'a [BlobRecord],
    /// What the commit says of the content of families, ascending; empty if it says nothing.
    pub certificates: &'a [FamilyCertificate],
}

impl MetaFileParts<'_> {
    /// The bytes of the meta file, protection section included, and the checksum in its trailer.
    ///
    /// # Errors
    ///
    /// [`FormatError::TooLarge`] if a count or the filters exceed 32 bits, [`FormatError::WrongLen`] if a table comes
    /// without the header of every block, [`FormatError::EmptyHashRange`] if its lowest hash is above its highest.
    pub fn encode(&self, crc32: Crc32) -> Result<(Vec<u8>, u32), FormatError> {
        let mut out = Vec::new();
        out.extend_from_slice(&META_MAGIC.to_be_bytes());
        out.extend_from_slice(&self.family.to_be_bytes());
        out.extend_from_slice(&count(self.obsolete.len())?.to_be_bytes());
        for sequence in self.obsolete {
            out.extend_from_slice(&sequence.0.to_be_bytes());
        }
        out.extend_from_slice(&count(self.tables.len())?.to_be_bytes());
        let mut filter_end = 0;
        for (sequence, meta) in self.tables {
            meta.validate()?;
            filter_end = count(filter_end as usize + meta.filter.as_slice().len())?;
            TableRecord {
                sequence: *sequence,
                block_count: meta.block_count,
                min_hash: meta.min_hash,
                max_hash: meta.max_hash,
                file_size: meta.file_size,
                flags: meta.flags,
                filter_end,
            }
            .encode(&mut out);
        }
        // The used-keys filter, which we don't write, ends where the last filter does.
        out.extend_from_slice(&filter_end.to_be_bytes());
        for (_, meta) in self.tables {
            out.extend_from_slice(meta.filter.as_slice());
        }
        let metas = self.tables.iter().map(|(_, meta)| meta);
        let (live_metas, blobs) = (self.live_metas, self.blobs);
        let checksum =
            protection::encode(&mut out, live_metas, metas, blobs, self.certificates, crc32)?;
        Ok((out, checksum))
    }
}

fn count(len: usize) -> Result<u32, FormatError> {
    let max = u64::from(u32::MAX);
    let too_large = FormatError::TooLarge { structure: STRUCTURE, value: len as u64, max };
    u32::try_from(len).map_err(|_| too_large)
}

/// A checked view of a meta file, ours or the original's.
#[derive(Clone, Copy, Debug)]
pub struct MetaFile<'a> {
    family: u32,
    obsolete: &'a [u8],
    tables: &'a [u8],
    /// Where the filter area starts in the file.
    filters_start: usize,
    used_keys_end: u32,
    protection: Option<ProtectionSection<'a>>,
}

impl<'a> MetaFile<'a> {
    /// Reads a whole meta file. Checks its structure and, where it is protected, its checksum: bytes behind the filter
    /// area that are not a valid protection section are damage. O(length of the file).
    ///
    /// # Errors
    ///
    /// [`FormatError`] if the file is damaged or no meta file at all.
    pub fn parse(file: &'a [u8], crc32: Crc32) -> Result<Self, FormatError> {
        let available = file.len() as u64;
        let too_short =
            |needed: u64| FormatError::TooShort { structure: STRUCTURE, needed, available };
        let word = |at: usize| u32_at(file, at).ok_or(too_short(at as u64 + 4));
        let records = |at: usize, len: usize| {
            let bytes = u64::from(word(at)?) * len as u64;
            usize::try_from(bytes)
                .ok()
                .and_then(|bytes| file.get(at + 4..)?.get(..bytes))
                .ok_or(too_short(at as u64 + 4 + bytes))
        };
        match u32_at(file, 0) {
            Some(META_MAGIC) => {}
            Some(found) => return Err(FormatError::WrongMagic { found }),
            None => return Err(too_short(4)),
        }
        let family = word(4)?;
        let obsolete = records(8, 4)?;
        let tables_at = 12 + obsolete.len();
        let tables = records(tables_at, TABLE_LEN)?;
        let used_keys_at = tables_at + 4 + tables.len();
        let used_keys_end = word(used_keys_at)?;
        let filters_start = used_keys_at + 4;
        let mut meta =
            Self { family, obsolete, tables, filters_start, used_keys_end, protection: None };
        meta.validate_filter_ends()?;
        meta.tables().try_for_each(|table| validate_hashes(table.min_hash, table.max_hash))?;
        let filters_end = filters_start as u64 + u64::from(used_keys_end);
        if filters_end > available {
            return Err(too_short(filters_end));
        }
        if filters_end < available {
            let start = usize::try_from(filters_end).map_err(|_| too_short(filters_end))?;
            let section = ProtectionSection::parse(file, start, meta.block_counts(), crc32)?;
            meta.protection = Some(section);
        }
        Ok(meta)
    }

    fn validate_filter_ends(&self) -> Result<(), FormatError> {
        let ends = self.tables().map(|table| table.filter_end).chain([self.used_keys_end]);
        let mut previous = 0;
        for (index, end) in (0..).zip(ends) {
            if end < previous {
                return Err(FormatError::OutOfOrder { structure: STRUCTURE, index });
            }
            previous = end;
        }
        Ok(())
    }

    /// The key space the tables belong to.
    #[must_use]
    pub const fn family(&self) -> u32 {
        self.family
    }

    /// Sequence numbers of tables of older meta files that this commit makes obsolete.
    pub fn obsolete(&self) -> impl ExactSizeIterator<Item = SequenceNumber> + 'a {
        self.obsolete.as_chunks().0.iter().map(|word| SequenceNumber(u32::from_be_bytes(*word)))
    }

    /// The tables described, oldest first.
    pub fn tables(&self) -> impl Iterator<Item = TableRecord> + 'a {
        self.tables.chunks_exact(TABLE_LEN).filter_map(TableRecord::parse)
    }

    /// Block counts of the tables described.
    pub fn block_counts(&self) -> impl Iterator<Item = u16> + 'a {
        self.tables().map(|table| table.block_count)
    }

    /// Where the filter of each table lies in the meta file, in the order of [`MetaFile::tables`]. An empty range
    /// means no filter.
    pub fn filter_ranges(&self) -> impl Iterator<Item = Range<usize>> + 'a {
        let base = self.filters_start;
        let mut start = base;
        self.tables().map(move |table| {
            let end = base + table.filter_end as usize;
            core::mem::replace(&mut start, end)..end
        })
    }

    /// Where the used-keys filter lies in the meta file. Empty if there is none.
    #[must_use]
    pub fn used_keys_range(&self) -> Range<usize> {
        let start = self.tables().last().map_or(0, |table| table.filter_end);
        self.filters_start + start as usize..self.filters_start + self.used_keys_end as usize
    }

    /// What the protection section says of each table, in the order of [`MetaFile::tables`]: its number of entries, and
    /// where in the meta file the copies of its block headers lie. Nothing in a meta file of the original's.
    pub fn protected_tables(&self) -> impl Iterator<Item = (u64, Range<usize>)> + 'a {
        let section = self.filters_start + self.used_keys_end as usize;
        let mut start = section + self.protection.map_or(0, |section| section.tables_offset());
        let block_counts = self.block_counts();
        let tables = self.protection.map(|section| section.tables(block_counts));
        tables.into_iter().flatten().map(move |table| {
            let headers = start + 8..start + 8 + table.block_headers().len() * BLOCK_HEADER_LEN;
            start = headers.end;
            (table.entry_count, headers)
        })
    }

    /// The protection section; `None` in a meta file of the original's.
    #[must_use]
    pub const fn protection(&self) -> Option<&ProtectionSection<'a>> {
        self.protection.as_ref()
    }
}

#[cfg(test)]
mod tests;
