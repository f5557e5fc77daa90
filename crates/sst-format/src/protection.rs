//! The protection section of a meta file, which makes a commit one chain of checksums (FORMAT.md
//! section 9).
//!
//! ```text
//! size      field
//!    4      version: 1, or 2 with certificates; version 3 has another layout, see `meta_head`
//!    4      number m of live meta files
//!  m × 8    u32 sequence number, u32 CRC-32 from that file's trailer (0 for the file itself)
//!           per table of this meta file, in its order:
//!    8        number of entries
//!  8 × N      a copy of every block header
//!    4      number k of blobs
//! k × 20    u32 number, u64 file size, a copy of the 8 header bytes
//!    4      number c of certificates                        ┐
//! c × 52    u32 family, 48 bytes of content digest          ┘ in version 2
//!    4      length of all that, in bytes              ┐
//!    4      CRC-32 of the file up to here             │ the trailer
//!    4      "SSTP"                                    ┘
//! ```
//!
//! Our publisher writes it at the end of a meta file; the original's readers do not read so far.
//! Its checksum covers the whole meta file, so a reader that has verified it knows that every
//! number is the one that was written.

mod encoder;
mod live_list;

use core::ops::Range;

use crate::block::BLOCK_HEADER_LEN;
use crate::bytes::u64_at;
use crate::content_digest::FamilyCertificate;
use crate::meta_head::{
    HEAD_LOCATION_LEN, HeadLocation, LISTED_META_LEN, ListedMeta, MetaHead,
    PROTECTION_VERSION_HEADED, TABLE_CHECKS_LEN, TableChecks, WORD_LEN, headers_len,
};
use crate::meta_start::MetaStart;
use crate::protection_records::{CERTIFICATE_LEN, LIVE_META_LEN, validate_families};
use crate::{Crc32, FormatError, Structure};

pub use crate::protection_records::{
    BLOB_LEN, BlobRecord, CHECKSUM_FROM_END, LiveMeta, PROTECTION_MAGIC, TRAILER_LEN, Trailer,
};
pub(crate) use encoder::encode;
pub use live_list::LiveList;

/// The version of a section without certificates.
pub const PROTECTION_VERSION: u32 = 1;

/// The version of a section with certificates. This crate reads both versions, and writes version 2
/// only if there are certificates.
pub const PROTECTION_VERSION_CERTIFIED: u32 = 2;

const STRUCTURE: Structure = Structure::ProtectionSection;

/// Length of the number of entries of a table in a section of version 1 or 2, in bytes.
const ENTRY_COUNT_LEN: usize = 8;

/// A checked view of a protection section of any version.
#[derive(Clone, Copy, Debug)]
pub struct ProtectionSection<'a> {
    live_metas: LiveMetas<'a>,
    tables: Tables<'a>,
    blobs: &'a [[u8; BLOB_LEN]],
    certificates: &'a [[u8; CERTIFICATE_LEN]],
    checksum: u32,
    head: Option<MetaHead<'a>>,
}

/// The list of live meta files.
#[derive(Clone, Copy, Debug)]
enum LiveMetas<'a> {
    /// In versions 1 and 2.
    Numbers(&'a [[u8; LIVE_META_LEN]]),
    /// In version 3.
    Listed(&'a [[u8; LISTED_META_LEN]]),
}

/// The records of tables.
#[derive(Clone, Copy, Debug)]
enum Tables<'a> {
    /// In versions 1 and 2: for each table its number of entries and its block headers. They start
    /// `offset` bytes behind the start of the section, because the list of live meta files comes
    /// first.
    Mixed { bytes: &'a [u8], offset: usize },
    /// In version 3: the records are in the head, apart from the block headers.
    Apart { checks: &'a [[u8; TABLE_CHECKS_LEN]] },
}

impl<'a> ProtectionSection<'a> {
    /// Parses the section, which takes all of `file` from byte `section_start` on. O(length of the
    /// file).
    ///
    /// `start` is the parsed start of the file. Verifies the checksum of the whole file, and all
    /// other checksums of the section.
    pub(crate) fn parse(
        file: &'a [u8],
        start: &MetaStart<'_>,
        section_start: usize,
        crc32: Crc32,
    ) -> Result<Self, FormatError> {
        let trailer = Trailer::parse(file)?;
        let checked_end = file.len() - CHECKSUM_FROM_END;
        let (covered, _) = file.split_at(checked_end);
        let (stored, computed) = (trailer.checksum, crc32(covered));
        if stored != computed {
            return Err(FormatError::ChecksumMismatch { structure: STRUCTURE, stored, computed });
        }
        let available = file.len() - section_start;
        let section_end = file.len() - TRAILER_LEN;
        let section = file.get(section_start..section_end).ok_or(FormatError::TooShort {
            structure: STRUCTURE,
            needed: TRAILER_LEN as u64,
            available: available as u64,
        })?;
        let (expected, found) = (u64::from(trailer.len), section.len() as u64);
        if expected != found {
            return Err(FormatError::WrongLen { structure: STRUCTURE, expected, found });
        }
        let mut parts = Parts { rest: section, available };
        let version = parts.u32()?;
        match version {
            PROTECTION_VERSION | PROTECTION_VERSION_CERTIFIED => {
                Self::parse_unheaded(parts, version, start, trailer.checksum)
            }
            PROTECTION_VERSION_HEADED => Self::parse_headed(file, start, crc32),
            found => Err(FormatError::UnknownVersion { found }),
        }
    }

    /// Parses a section of version 1 or 2 from the field behind its version.
    fn parse_unheaded(
        mut parts: Parts<'a>,
        version: u32,
        start: &MetaStart<'_>,
        checksum: u32,
    ) -> Result<Self, FormatError> {
        let live_metas = parts.counted()?;
        let block_counts = start.tables().map(|table| table.block_count);
        let bytes = parts
            .take(block_counts.map(|count| ENTRY_COUNT_LEN as u64 + headers_len(count)).sum())?;
        let blobs = parts.counted()?;
        let certificates = match version {
            PROTECTION_VERSION_CERTIFIED => parts.counted()?,
            _ => &[],
        };
        if !parts.rest.is_empty() {
            let found = (parts.available - TRAILER_LEN) as u64;
            let expected = found - parts.rest.len() as u64;
            return Err(FormatError::WrongLen { structure: STRUCTURE, expected, found });
        }
        // The version and the number of live meta files are in front of them.
        let offset = 2 * WORD_LEN + live_metas.as_flattened().len();
        let section = Self {
            live_metas: LiveMetas::Numbers(live_metas),
            tables: Tables::Mixed { bytes, offset },
            blobs,
            certificates,
            checksum,
            head: None,
        };
        section.validate_live_metas()?;
        validate_families(section.certificates())?;
        if version == PROTECTION_VERSION_CERTIFIED && certificates.is_empty() {
            return Err(FormatError::Empty { structure: STRUCTURE });
        }
        Ok(section)
    }

    /// Parses a section of version 3, and verifies all areas of the file.
    fn parse_headed(
        file: &'a [u8],
        start: &MetaStart<'_>,
        crc32: Crc32,
    ) -> Result<Self, FormatError> {
        let structure = Structure::MetaHead;
        let available = file.len() as u64;
        let needed = HEAD_LOCATION_LEN as u64;
        let too_short = FormatError::TooShort { structure, needed, available };
        let location = HeadLocation::parse(file, available).ok_or(too_short)?;
        let core_start = usize::try_from(location.end_range().start).map_err(|_| too_short)?;
        let first = file.get(..start.len()).ok_or(too_short)?;
        let last = file.get(core_start..).ok_or(too_short)?;
        let head = MetaHead::parse(first, last, available, crc32)?;
        for table in head.tables() {
            table.filter.verified_in(file, crc32)?;
            table.headers.verified_in(file, crc32)?;
        }
        head.used_keys().verified_in(file, crc32)?;
        let blobs = head.blobs().verified_in(file, crc32)?;
        let listed = head.live_metas().verified_in(file, crc32)?;
        ListedMeta::parse_list(listed)?;
        Ok(Self {
            live_metas: LiveMetas::Listed(listed.as_chunks().0),
            tables: Tables::Apart { checks: head.table_checks() },
            blobs: blobs.as_chunks().0,
            certificates: head.certificate_records(),
            checksum: head.checksum(),
            head: Some(head),
        })
    }

    /// Checks that each live meta file is listed once, in ascending order.
    fn validate_live_metas(&self) -> Result<(), FormatError> {
        let mut previous = None;
        for (index, meta) in (0..).zip(self.live_metas()) {
            if previous >= Some(meta.sequence) {
                return Err(FormatError::OutOfOrder { structure: STRUCTURE, index });
            }
            previous = Some(meta.sequence);
        }
        Ok(())
    }

    /// The CRC-32 in the trailer, which the lists of later commits state for this meta file.
    #[must_use]
    pub const fn checksum(&self) -> u32 {
        self.checksum
    }

    /// The head; `None` in versions 1 and 2.
    #[must_use]
    pub const fn head(&self) -> Option<&MetaHead<'a>> {
        self.head.as_ref()
    }

    /// Every live meta file as of this commit, in ascending order, with this file last. Empty in a
    /// part of a commit.
    pub fn live_metas(&self) -> impl Iterator<Item = LiveMeta> + use<'a> {
        let (numbers, listed) = match self.live_metas {
            LiveMetas::Numbers(numbers) => (numbers, &[][..]),
            LiveMetas::Listed(listed) => (&[][..], listed),
        };
        let listed = listed.iter().map(|record| LiveMeta::from(ListedMeta::from_bytes(record)));
        numbers.iter().map(LiveMeta::from_bytes).chain(listed)
    }

    /// The live meta files with their families and ranges of hashes. `None` in versions 1 and 2,
    /// which store neither.
    #[must_use]
    pub fn listed_metas(&self) -> Option<impl ExactSizeIterator<Item = ListedMeta> + use<'a>> {
        match self.live_metas {
            LiveMetas::Numbers(_) => None,
            LiveMetas::Listed(listed) => Some(listed.iter().map(ListedMeta::from_bytes)),
        }
    }

    /// For each table its number of entries, and the range of the copies of its block headers,
    /// counted from the start of the section. `block_counts` are those of the tables of the meta
    /// file, for which parsing has found room; with other ones the iteration ends early.
    pub(crate) fn table_ranges<I: Iterator<Item = u16>>(
        &self,
        block_counts: I,
    ) -> impl Iterator<Item = (u64, Range<usize>)> + use<'a, I> {
        let tables = self.tables;
        let mut at = match tables {
            Tables::Mixed { offset, .. } => offset,
            Tables::Apart { .. } => WORD_LEN,
        };
        block_counts.enumerate().map_while(move |(index, block_count)| {
            let entry_count = match tables {
                Tables::Mixed { bytes, offset } => {
                    let entry_count = u64_at(bytes, at - offset)?;
                    at += ENTRY_COUNT_LEN;
                    entry_count
                }
                Tables::Apart { checks, .. } => {
                    TableChecks::from_bytes(checks.get(index)?).entry_count
                }
            };
            let start = at;
            at += usize::from(block_count) * BLOCK_HEADER_LEN;
            Some((entry_count, start..at))
        })
    }

    /// Every blob file to which tables of this meta file refer.
    pub fn blobs(&self) -> impl ExactSizeIterator<Item = BlobRecord> + use<'a> {
        self.blobs.iter().map(BlobRecord::from_bytes)
    }

    /// The certificates of the commit, in ascending order of families. A family may have none.
    pub fn certificates(&self) -> impl ExactSizeIterator<Item = FamilyCertificate> + use<'a> {
        self.certificates.iter().map(FamilyCertificate::from_bytes)
    }
}

/// The bytes of a section that are not parsed yet.
struct Parts<'a> {
    rest: &'a [u8],
    available: usize,
}

impl<'a> Parts<'a> {
    fn take(&mut self, len: u64) -> Result<&'a [u8], FormatError> {
        let split = usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len));
        let (part, rest) = split.ok_or_else(|| self.too_short(len))?;
        self.rest = rest;
        Ok(part)
    }

    fn u32(&mut self) -> Result<u32, FormatError> {
        let too_short = self.too_short(WORD_LEN as u64);
        let (word, rest) = self.rest.split_first_chunk().ok_or(too_short)?;
        self.rest = rest;
        Ok(u32::from_be_bytes(*word))
    }

    /// Reads a count, then that many records.
    fn counted<const LEN: usize>(&mut self) -> Result<&'a [[u8; LEN]], FormatError> {
        let count = self.u32()?;
        self.take(u64::from(count) * LEN as u64).map(|bytes| bytes.as_chunks().0)
    }

    fn too_short(&self, len: u64) -> FormatError {
        let available = self.available as u64;
        // Saturates only in the text of an error, about a length that no file has.
        let needed = available.saturating_add(len) - self.rest.len() as u64;
        FormatError::TooShort { structure: STRUCTURE, needed, available }
    }
}
