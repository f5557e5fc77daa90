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
use core::iter;
use core::ops::Range;

use crate::content_digest::FamilyCertificate;
use crate::filter::FilterBytes;
use crate::meta_start::{MetaStart, encode_start};
use crate::own_number::{check_list, check_older, check_part};
use crate::protection::{self, BlobRecord, LiveMeta, ProtectionSection};
use crate::{Crc32, FormatError, SequenceNumber, SstMeta, Structure, TableProtection};

pub use crate::meta_lengths::{Headed, MAX_UNPROVEN_LEN, check_lengths, check_whole};
pub use crate::meta_start::{META_MAGIC, TableRecord};

const STRUCTURE: Structure = Structure::MetaFile;

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
            (TableRecord::new(*sequence, meta), meta.filter.as_slice().len() as u64)
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

/// The parts of a meta file that describe one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableParts {
    /// Its record.
    pub record: TableRecord,
    /// The range of the meta file that its filter takes. Empty without a filter.
    pub filter: Range<usize>,
    /// Its part of the protection section; `None` in a meta file of the original's.
    pub protection: Option<ProtectedParts>,
}

/// The parts of a protection section that protect one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectedParts {
    /// Number of entries.
    pub entry_count: u64,
    /// The range of the meta file with the copies of the block headers.
    pub block_headers: Range<usize>,
}

impl TableParts {
    /// The description of the table, with a copy of its filter. `file` is the whole meta file.
    ///
    /// # Errors
    ///
    /// [`FormatError::TooShort`] if it is another file, which does not reach as far.
    pub fn description(&self, file: &[u8]) -> Result<SstMeta, FormatError> {
        let part = |range: &Range<usize>| {
            let (needed, available) = (range.end as u64, file.len() as u64);
            let too_short = FormatError::TooShort { structure: STRUCTURE, needed, available };
            file.get(range.clone()).ok_or(too_short)
        };
        let filter = FilterBytes::new(part(&self.filter)?.to_vec());
        let protection = match &self.protection {
            None => None,
            Some(ProtectedParts { entry_count, block_headers }) => {
                Some(TableProtection::from_stored(*entry_count, part(block_headers)?))
            }
        };
        Ok(self.record.description(filter, protection))
    }
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

    /// Every table with the places of its filter and of its part of the protection section, oldest
    /// first. O(tables).
    ///
    /// # Errors
    ///
    /// [`FormatError::WrongLen`] if the section is about another number of tables, which
    /// [`MetaFile::parse`] rules out.
    pub fn described(&self) -> Result<Vec<TableParts>, FormatError> {
        let section_start = self.used_keys_range().end;
        let parts = |(entry_count, headers): (u64, Range<usize>)| {
            let block_headers = section_start + headers.start..section_start + headers.end;
            ProtectedParts { entry_count, block_headers }
        };
        let tables = self.tables().len();
        let protected: Vec<Option<ProtectedParts>> = match self.protection {
            None => iter::repeat_n(None, tables).collect(),
            Some(section) => {
                section.table_ranges(self.block_counts()).map(parts).map(Some).collect()
            }
        };
        if protected.len() != tables {
            let (structure, expected) = (Structure::ProtectionSection, tables as u64);
            return Err(FormatError::WrongLen {
                structure,
                expected,
                found: protected.len() as u64,
            });
        }
        let tables = self.tables().zip(self.filter_ranges()).zip(protected);
        let table = |((record, filter), protection)| TableParts { record, filter, protection };
        Ok(tables.map(table).collect())
    }

    /// Checks what the file says against its own sequence number: see
    /// [`own_number`](crate::own_number). O(tables, blobs and live meta files).
    ///
    /// # Errors
    ///
    /// [`FormatError::NotOlder`], [`FormatError::WrongPart`], [`FormatError::NotListedLast`].
    pub fn check_number(&self, own: SequenceNumber) -> Result<(), FormatError> {
        check_older(own, self.tables().map(|table| table.sequence.0))?;
        // A meta file of the original's says nothing else of sequence numbers.
        let Some(section) = self.protection else { return Ok(()) };
        check_older(own, section.blobs().map(|blob| blob.number.0))?;
        match section.head() {
            Some(head) if head.commit() != own => {
                let lists_nothing =
                    section.live_metas().next().is_none() && section.certificates().len() == 0;
                check_part(own, head.commit(), lists_nothing)
            }
            _ => check_list(own, section.live_metas()),
        }
    }

    /// The protection section; `None` in a meta file of the original's.
    #[must_use]
    pub const fn protection(&self) -> Option<&ProtectionSection<'a>> {
        self.protection.as_ref()
    }
}

#[cfg(test)]
mod tests;
