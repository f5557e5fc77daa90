//! Version 3 of the protection section: its head can be read without the filters (FORMAT.md section
//! 9).
//!
//! ```text
//!   size   field
//!      …   the start of the meta file: family, obsolete tables, described tables
//!      …   the filter area
//!      4   version: 3
//!  Σ 8N    the block headers of each table                ┐
//! k × 20   the blobs                                      │ areas; their checksums are in the core
//! m × 28   the live meta files                            ┘
//!          the core:
//!      4     version again
//!      4     kind of commit
//!      4     sequence number of the newest meta file of the commit
//!      4     number m of live meta files,   4   CRC-32 of their list
//!      4     number k of blobs,             4   CRC-32 of their list
//!      4     CRC-32 of the used-keys filter
//! n × 16     per table: u64 number of entries, u32 CRC-32 of its filter,
//!            u32 CRC-32 of its block headers
//!      4     number c of certificates
//! c × 52     u32 family, 48 bytes of content digest
//!      4     length x of the extension
//!      x     the extension: fields that came later, see `extension.rs`
//!      4   length of the start of the file                 ┐
//!      4   CRC-32 of the start of the file                 │ the tail
//!      4   length of the core                              │
//!      4   CRC-32 of the core and the three words before   ┘
//!     12   the trailer, as in versions 1 and 2
//! ```
//!
//! The **head** is the start of the file and everything from the core on. It states where all areas
//! lie, and holds the checksum of each. So a reader opens a set by reading the two ends of each
//! meta file, however large the filters are, and verifies each area at its first use. The checksum
//! in the trailer still covers the whole file, for readers that read all of it.
//!
//! A commit may consist of several meta files, each for one range of hashes. The newest of them
//! lists all live meta files. The others are parts: their core names the newest one, and their own
//! list is empty.

use core::ops::Range;

use crate::block::BLOCK_HEADER_LEN;
use crate::bytes::u32_at;
use crate::content_digest::FamilyCertificate;
use crate::meta_start::{MetaStart, TABLE_LEN, TableRecord};
use crate::protection_records::{BLOB_LEN, CERTIFICATE_LEN, TRAILER_LEN, Trailer};
use crate::{Crc32, FormatError, SequenceNumber, Structure};

mod area;
mod blob_counts;
mod commit_kind;
mod described_table;
mod encoder;
mod extension;
mod listed_meta;
mod meta_core;
mod split;

pub use area::Area;
pub use blob_counts::blob_counts_field;
pub use commit_kind::CommitKind;
pub use described_table::{BlockHeaders, DescribedTable, TableSummary};
pub use encoder::{MetaFileV3, MetaFrame};
pub use extension::{Ancestor, Extension, Lineage, Shard};
pub use listed_meta::{HashRange, ListedMeta};
pub use split::{MetaLimits, TableSize};

#[cfg(feature = "explain")]
pub(crate) use blob_counts::TAG_BLOB_COUNTS;
#[cfg(feature = "explain")]
pub(crate) use extension::{ANCESTOR_LEN, SHARD_LEN, TAG_LINEAGE, TAG_SHARD};
pub(crate) use listed_meta::LISTED_META_LEN;
pub(crate) use meta_core::TableChecks;

use meta_core::MetaCore;

/// The version of a section with a head.
pub const PROTECTION_VERSION_HEADED: u32 = 3;

/// Length of a number or a checksum in a section, in bytes: the version in front of the areas, the
/// counts in the core.
pub(crate) const WORD_LEN: usize = 4;

/// Length of the tail, in bytes: lengths and checksums of the start and of the core.
const TAIL_LEN: usize = 4 * WORD_LEN;

/// Length of the end of a meta file that tells where its head is, in bytes. [`HeadLocation::parse`]
/// needs no more.
pub const HEAD_LOCATION_LEN: usize = TAIL_LEN + TRAILER_LEN;

const STRUCTURE: Structure = Structure::MetaHead;

/// Length of the record of one table in the core, in bytes.
pub(crate) const TABLE_CHECKS_LEN: usize = 16;

/// Length of the description of one table in a meta file, without its filter and its block headers,
/// in bytes: the record in the start of the file, and that in the core.
pub const TABLE_DESCRIPTION_LEN: usize = TABLE_LEN + TABLE_CHECKS_LEN;

/// The position of the head of a meta file, as the last bytes of the file state it.
///
/// Nothing of it is verified. It only tells which bytes to read; [`MetaHead::parse`] then verifies
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLocation {
    start_len: u32,
    core_start: u64,
    file_len: u64,
}

impl HeadLocation {
    /// Parses the last bytes of a meta file of `file_len` bytes, at least [`HEAD_LOCATION_LEN`] of
    /// them. O(1).
    ///
    /// `None` if they state no head: the meta file is of version 1 or 2, of the original's, or
    /// damaged. A reader must then read the whole file, and
    /// [`MetaFile::parse`](crate::meta_file::MetaFile::parse) tells these cases apart.
    #[must_use]
    pub fn parse(last_bytes: &[u8], file_len: u64) -> Option<Self> {
        let location = last_bytes.last_chunk::<HEAD_LOCATION_LEN>()?;
        let trailer = Trailer::parse(last_bytes).ok()?;
        let (start_len, core_len) = (u32_at(location, 0)?, u32_at(location, 8)?);
        let core_start = file_len.checked_sub(HEAD_LOCATION_LEN as u64 + u64::from(core_len))?;
        let section_start = file_len.checked_sub(TRAILER_LEN as u64 + u64::from(trailer.len))?;
        let areas_start = section_start + WORD_LEN as u64;
        let has_room = u64::from(start_len) <= section_start && areas_start <= core_start;
        has_room.then_some(Self { start_len, core_start, file_len })
    }

    /// The range at the start of the file that is part of the head.
    #[must_use]
    pub const fn start_range(&self) -> Range<u64> {
        0..self.start_len as u64
    }

    /// The range at the end of the file that is part of the head.
    #[must_use]
    pub const fn end_range(&self) -> Range<u64> {
        self.core_start..self.file_len
    }
}

/// A checked view of the head of a meta file of version 3.
#[derive(Clone, Copy, Debug)]
pub struct MetaHead<'a> {
    start: MetaStart<'a>,
    core: MetaCore<'a>,
    trailer: Trailer,
}

/// The description of one table in the head of a meta file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadTable {
    /// Its record in the meta file.
    pub record: TableRecord,
    /// Number of entries.
    pub entry_count: u64,
    /// The filter's area in the meta file. Empty if the table has no filter.
    pub filter: Area,
    /// The area of the copies of its block headers in the meta file, 8 bytes each.
    pub headers: Area,
}

impl<'a> MetaHead<'a> {
    /// Parses a head. O(length of the head).
    ///
    /// `start` holds the bytes of [`HeadLocation::start_range`], `end` those of
    /// [`HeadLocation::end_range`]. Verifies both checksums of the head, and that its lengths add
    /// up to the length of the file. Areas are not read.
    ///
    /// # Errors
    ///
    /// [`FormatError`] if the head is damaged or missing. A reader should then read the whole file,
    /// and [`MetaFile::parse`](crate::meta_file::MetaFile::parse) returns the error to report.
    pub fn parse(
        start: &'a [u8],
        end: &'a [u8],
        file_len: u64,
        crc32: Crc32,
    ) -> Result<Self, FormatError> {
        let trailer = Trailer::parse(end)?;
        let too_short = FormatError::TooShort {
            structure: STRUCTURE,
            needed: HEAD_LOCATION_LEN as u64,
            available: end.len() as u64,
        };
        let (core, location) = end.split_last_chunk::<HEAD_LOCATION_LEN>().ok_or(too_short)?;
        let word = |at| u32_at(location, at).ok_or(too_short);
        let (start_len, start_checksum) = (word(0)?, word(4)?);
        let (core_len, core_checksum) = (word(8)?, word(12)?);
        let covered = end.get(..core.len() + TAIL_LEN - WORD_LEN).ok_or(too_short)?;
        verify(STRUCTURE, covered, core_checksum, crc32)?;
        same_len(u64::from(core_len), core.len() as u64)?;
        same_len(u64::from(start_len), start.len() as u64)?;
        verify(STRUCTURE, start, start_checksum, crc32)?;
        let start = MetaStart::parse(start)?;
        same_len(start.len() as u64, u64::from(start_len))?;
        let core = MetaCore::parse(core, start.table_count())?;
        let head = Self { start, core, trailer };
        let areas_len = head.core_start() - start.filters_end();
        let section_len = areas_len + u64::from(core_len) + TAIL_LEN as u64;
        same_len(section_len, u64::from(trailer.len))?;
        same_len(start.filters_end() + section_len + TRAILER_LEN as u64, file_len)?;
        Ok(head)
    }

    /// The family (key space) of the tables.
    #[must_use]
    pub const fn family(&self) -> u32 {
        self.start.family
    }

    /// The kind of the commit.
    #[must_use]
    pub const fn kind(&self) -> CommitKind {
        self.core.kind
    }

    /// Sequence number of the newest meta file of the same commit. If this is another file, this
    /// meta file is a part, and no generation of its own.
    #[must_use]
    pub const fn commit(&self) -> SequenceNumber {
        self.core.commit
    }

    /// The CRC-32 in the trailer, which the lists of later commits state for this meta file.
    #[must_use]
    pub const fn checksum(&self) -> u32 {
        self.trailer.checksum
    }

    /// Sequence numbers of tables of older meta files that this commit makes obsolete.
    pub fn obsolete(&self) -> impl ExactSizeIterator<Item = SequenceNumber> + use<'a> {
        self.start.obsolete()
    }

    /// The tables described, oldest first.
    pub fn tables(&self) -> impl Iterator<Item = HeadTable> + use<'a> {
        let filters = self.start.len() as u64;
        let mut filter_start = filters;
        let mut headers_start = self.start.filters_end() + WORD_LEN as u64;
        self.start.tables().zip(self.core.tables).map(move |(record, checks)| {
            let checks = TableChecks::from_bytes(checks);
            let filter_end = filters + u64::from(record.filter_end);
            let headers_end = headers_start + headers_len(record.block_count);
            let filter = filter_start..filter_end;
            let headers = headers_start..headers_end;
            (filter_start, headers_start) = (filter_end, headers_end);
            HeadTable {
                record,
                entry_count: checks.entry_count,
                filter: Area::new(Structure::Filter, filter, checks.filter),
                headers: Area::new(Structure::BlockHeaders, headers, checks.headers),
            }
        })
    }

    /// The used-keys filter. Ours is empty.
    #[must_use]
    pub fn used_keys(&self) -> Area {
        let start = self.start.len() as u64 + u64::from(self.start.used_keys_start());
        Area::new(Structure::Filter, start..self.start.filters_end(), self.core.used_keys)
    }

    fn blobs_start(&self) -> u64 {
        let headers = self.start.tables().map(|table| headers_len(table.block_count));
        self.start.filters_end() + WORD_LEN as u64 + headers.sum::<u64>()
    }

    fn live_metas_start(&self) -> u64 {
        self.blobs_start() + u64::from(self.core.blob_count) * BLOB_LEN as u64
    }

    fn core_start(&self) -> u64 {
        self.live_metas_start() + u64::from(self.core.live_count) * LISTED_META_LEN as u64
    }

    /// The area of the list of blobs, for
    /// [`BlobRecord::parse_list`](crate::protection::BlobRecord::parse_list). O(number of tables).
    #[must_use]
    pub fn blobs(&self) -> Area {
        let range = self.blobs_start()..self.live_metas_start();
        Area::new(Structure::BlobList, range, self.core.blobs)
    }

    /// The area of the list of live meta files, for [`ListedMeta::parse_list`]. Empty in a part.
    /// O(number of tables).
    #[must_use]
    pub fn live_metas(&self) -> Area {
        let range = self.live_metas_start()..self.core_start();
        Area::new(Structure::MetaList, range, self.core.live_metas)
    }

    /// The certificates of the commit, in ascending order of families. A family may have none.
    pub fn certificates(&self) -> impl ExactSizeIterator<Item = FamilyCertificate> + use<'a> {
        self.core.certificates.iter().map(FamilyCertificate::from_bytes)
    }

    /// The number of blobs of each table, in the order of [`MetaHead::tables`]. The list of blobs
    /// starts with those of the first table, then come those of the second, and so on; behind them
    /// come blobs of which it is not known which tables refer to them. `None` if the head does not
    /// state it: then that is not known of any blob.
    #[must_use]
    pub fn blob_counts(&self) -> Option<impl ExactSizeIterator<Item = u32> + use<'a>> {
        Some(self.core.blob_counts?.iter().map(|count| u32::from_be_bytes(*count)))
    }

    /// The fields that were added to version 3 later, for [`Extension::parse`]. Their bytes are
    /// verified, their meaning is not, but for [`MetaHead::blob_counts`].
    #[must_use]
    pub const fn extension(&self) -> &'a [u8] {
        self.core.extension
    }

    /// The records of tables in the core, for the section of a whole file.
    pub(crate) const fn table_checks(&self) -> &'a [[u8; TABLE_CHECKS_LEN]] {
        self.core.tables
    }

    /// The stored records of the certificates.
    pub(crate) const fn certificate_records(&self) -> &'a [[u8; CERTIFICATE_LEN]] {
        self.core.certificates
    }
}

/// Length of the copies of a table's block headers, in bytes.
pub(crate) const fn headers_len(block_count: u16) -> u64 {
    block_count as u64 * BLOCK_HEADER_LEN as u64
}

fn verify(
    structure: Structure,
    bytes: &[u8],
    stored: u32,
    crc32: Crc32,
) -> Result<(), FormatError> {
    let computed = crc32(bytes);
    if stored != computed {
        return Err(FormatError::ChecksumMismatch { structure, stored, computed });
    }
    Ok(())
}

const fn same_len(expected: u64, found: u64) -> Result<(), FormatError> {
    if expected != found {
        return Err(FormatError::WrongLen { structure: STRUCTURE, expected, found });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
