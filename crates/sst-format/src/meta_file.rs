//! Meta files: descriptions of the tables of one commit, and their filters (FORMAT.md
//! section 9).
//!
//! ```text
//! size     field
//!    4     magic: fe 4a da 4a
//!    4     family
//!    4     number of obsolete tables
//!  × 4     their sequence numbers
//!    4     number n of described tables
//! n × 38   u32 sequence number, u16 block count, u64 min hash, u64 max hash, u64 file size,
//!          u32 flags, u32 END of its filter in the filter area
//!    4     END of the used-keys filter in the filter area
//!    …     the filter area
//!    …     the protection section, only in ours: see `protection` and `meta_head`
//! ```
//!
//! Ends count from the start of the filter area, like the ends of blocks in an offset table: filter
//! `i` starts where filter `i-1` ends. Obsolete tables are tables of older meta files.

use alloc::vec::Vec;
use core::ops::Range;

use crate::bytes::{u16_in, u32_in, u64_in};
use crate::content_digest::FamilyCertificate;
use crate::protection::{self, BlobRecord, LiveMeta, ProtectionSection};
use crate::{Crc32, FormatError, SequenceNumber, SstMeta, Structure, TableFlags};

mod start;

pub(crate) use start::MetaStart;

/// The first four bytes of a meta file.
pub const META_MAGIC: u32 = 0xfe4a_da4a;

const STRUCTURE: Structure = Structure::MetaFile;
const TABLE_LEN: usize = 38;

/// The description of one table in a meta file.
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
    /// END of the filter in the filter area, in bytes.
    pub filter_end: u32,
}

impl TableRecord {
    /// The record of a table that was just written. The encoder sets [`TableRecord::filter_end`].
    #[must_use]
    pub const fn new(sequence: SequenceNumber, meta: &SstMeta) -> Self {
        let SstMeta { block_count, min_hash, max_hash, file_size, flags, .. } = *meta;
        Self { sequence, block_count, min_hash, max_hash, file_size, flags, filter_end: 0 }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.sequence.0.to_be_bytes());
        out.extend_from_slice(&self.block_count.to_be_bytes());
        out.extend_from_slice(&self.min_hash.to_be_bytes());
        out.extend_from_slice(&self.max_hash.to_be_bytes());
        out.extend_from_slice(&self.file_size.to_be_bytes());
        out.extend_from_slice(&self.flags.0.to_be_bytes());
        out.extend_from_slice(&self.filter_end.to_be_bytes());
    }

    const fn from_bytes(bytes: &[u8; TABLE_LEN]) -> Self {
        Self {
            sequence: SequenceNumber(u32_in::<0, _>(bytes)),
            block_count: u16_in::<4, _>(bytes),
            min_hash: u64_in::<6, _>(bytes),
            max_hash: u64_in::<14, _>(bytes),
            file_size: u64_in::<22, _>(bytes),
            flags: TableFlags(u32_in::<30, _>(bytes)),
            filter_end: u32_in::<34, _>(bytes),
        }
    }
}

/// The parts of a meta file of ours, in version 1 or 2.
#[derive(Clone, Copy, Debug)]
pub struct MetaFileParts<'a> {
    /// The family (key space) of the tables; 0 if there is only one.
    pub family: u32,
    /// Tables of older meta files that this commit makes obsolete.
    pub obsolete: &'a [SequenceNumber],
    /// The tables described, oldest first, all with their [`SstMeta::protection`].
    pub tables: &'a [(SequenceNumber, SstMeta)],
    /// Every live meta file as of this commit, this one included with checksum 0.
    pub live_metas: &'a [LiveMeta],
    /// Every blob file that the tables refer to.
    pub blobs: &'a [BlobRecord],
    /// Certificates of the content of families, in ascending order of families; may be empty.
    pub certificates: &'a [FamilyCertificate],
}

impl MetaFileParts<'_> {
    /// Encodes the meta file, protection section included. Also returns the checksum in its
    /// trailer.
    ///
    /// # Errors
    ///
    /// [`FormatError::TooLarge`] if a count or the filters exceed 32 bits,
    /// [`FormatError::WrongLen`] if a table comes without the headers of all its blocks,
    /// [`FormatError::EmptyHashRange`] if its lowest hash is above its highest.
    pub fn encode(&self, crc32: Crc32) -> Result<(Vec<u8>, u32), FormatError> {
        self.tables.iter().try_for_each(|(_, meta)| meta.validate())?;
        let mut out = Vec::new();
        let records = self.tables.iter().map(|(sequence, meta)| {
            (TableRecord::new(*sequence, meta), meta.filter.as_slice().len())
        });
        encode_start(&mut out, self.family, self.obsolete, records)?;
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

/// Appends everything before the filter area. Each table comes with the length of its filter in
/// bytes.
pub(crate) fn encode_start(
    out: &mut Vec<u8>,
    family: u32,
    obsolete: &[SequenceNumber],
    tables: impl ExactSizeIterator<Item = (TableRecord, usize)>,
) -> Result<(), FormatError> {
    out.extend_from_slice(&META_MAGIC.to_be_bytes());
    out.extend_from_slice(&family.to_be_bytes());
    out.extend_from_slice(&count(obsolete.len())?.to_be_bytes());
    for sequence in obsolete {
        out.extend_from_slice(&sequence.0.to_be_bytes());
    }
    out.extend_from_slice(&count(tables.len())?.to_be_bytes());
    let mut filter_end = 0;
    for (record, filter_len) in tables {
        filter_end = count(filter_end as usize + filter_len)?;
        TableRecord { filter_end, ..record }.encode(out);
    }
    // We write no used-keys filter, so it ends where the last filter does.
    out.extend_from_slice(&filter_end.to_be_bytes());
    Ok(())
}

fn count(len: usize) -> Result<u32, FormatError> {
    let max = u64::from(u32::MAX);
    let too_large = FormatError::TooLarge { structure: STRUCTURE, value: len as u64, max };
    u32::try_from(len).map_err(|_| too_large)
}

/// A checked view of a meta file, ours or the original's.
#[derive(Clone, Copy, Debug)]
pub struct MetaFile<'a> {
    start: MetaStart<'a>,
    protection: Option<ProtectionSection<'a>>,
}

impl<'a> MetaFile<'a> {
    /// Parses a whole meta file. O(length of the file).
    ///
    /// Checks its structure and, if it is protected, all its checksums. Bytes behind the filter
    /// area that are not a valid protection section are damage.
    ///
    /// # Errors
    ///
    /// [`FormatError`] if the file is damaged or is not a meta file.
    pub fn parse(file: &'a [u8], crc32: Crc32) -> Result<Self, FormatError> {
        let available = file.len() as u64;
        let start = MetaStart::parse(file)?;
        let needed = start.filters_end();
        let too_short = FormatError::TooShort { structure: STRUCTURE, needed, available };
        let filters_end = usize::try_from(needed).map_err(|_| too_short)?;
        let protection = match file.get(filters_end..) {
            None => return Err(too_short),
            Some([]) => None,
            Some(_) => Some(ProtectionSection::parse(file, &start, filters_end, crc32)?),
        };
        Ok(Self { start, protection })
    }

    /// The family (key space) of the tables.
    #[must_use]
    pub const fn family(&self) -> u32 {
        self.start.family
    }

    /// Sequence numbers of tables of older meta files that this commit makes obsolete.
    pub fn obsolete(&self) -> impl ExactSizeIterator<Item = SequenceNumber> + 'a {
        self.start.obsolete()
    }

    /// The tables described, oldest first.
    pub fn tables(&self) -> impl ExactSizeIterator<Item = TableRecord> + 'a {
        self.start.tables()
    }

    /// Block counts of the tables described.
    pub fn block_counts(&self) -> impl ExactSizeIterator<Item = u16> + 'a {
        self.tables().map(|table| table.block_count)
    }

    /// Length of the file up to its filter area, in bytes.
    #[must_use]
    pub const fn start_len(&self) -> usize {
        self.start.len()
    }

    /// The range of the meta file that each table's filter takes, in the order of
    /// [`MetaFile::tables`]. An empty range means no filter.
    pub fn filter_ranges(&self) -> impl ExactSizeIterator<Item = Range<usize>> + 'a {
        let base = self.start.len();
        let mut start = base;
        self.tables().map(move |table| {
            let end = base + table.filter_end as usize;
            core::mem::replace(&mut start, end)..end
        })
    }

    /// The range of the meta file that the used-keys filter takes. Empty if there is none.
    #[must_use]
    pub fn used_keys_range(&self) -> Range<usize> {
        let (base, start) = (self.start.len(), self.start.used_keys_start() as usize);
        base + start..base + self.start.used_keys_end as usize
    }

    /// The part of the protection section about each table, in the order of [`MetaFile::tables`].
    ///
    /// These are its number of entries, and the range of the meta file with the copies of its block
    /// headers. Empty in a meta file of the original's.
    pub fn protected_tables(&self) -> impl Iterator<Item = (u64, Range<usize>)> + 'a {
        let section_start = self.used_keys_range().end;
        let block_counts = self.block_counts();
        let tables = self.protection.map(|section| section.table_ranges(block_counts));
        tables.into_iter().flatten().map(move |(entry_count, headers)| {
            (entry_count, section_start + headers.start..section_start + headers.end)
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
