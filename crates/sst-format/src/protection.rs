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

use alloc::vec::Vec;
use core::ops::Range;

use crate::block::{BLOCK_HEADER_LEN, BlockHeader};
use crate::bytes::{field, u32_in, u64_at, u64_in};
use crate::content_digest::{CONTENT_DIGEST_LEN, ContentDigest, FamilyCertificate};
use crate::meta_file::MetaStart;
use crate::meta_head::{
    HEAD_LOCATION_LEN, HeadLocation, LISTED_META_LEN, ListedMeta, MetaHead,
    PROTECTION_VERSION_HEADED, TABLE_CHECKS_LEN, TableChecks, headers_len,
};
use crate::{BlobNumber, Crc32, FormatError, SequenceNumber, SstMeta, Structure};

/// The version of a section without certificates.
pub const PROTECTION_VERSION: u32 = 1;

/// The version of a section with certificates. This crate reads both versions, and writes version 2
/// only if there are certificates.
pub const PROTECTION_VERSION_CERTIFIED: u32 = 2;

/// The last four bytes of a protected meta file.
pub const PROTECTION_MAGIC: [u8; 4] = *b"SSTP";

const STRUCTURE: Structure = Structure::ProtectionSection;

/// Length of the trailer in bytes: [`Trailer::parse`] needs no more.
pub const TRAILER_LEN: usize = 12;

/// Distance from the start of the checksum to the end of a protected meta file, in bytes. The magic
/// number follows the checksum.
pub const CHECKSUM_FROM_END: usize = 4 + PROTECTION_MAGIC.len();
const LIVE_META_LEN: usize = 8;
pub(crate) const BLOB_LEN: usize = 4 + 8 + BLOCK_HEADER_LEN;
pub(crate) const CERTIFICATE_LEN: usize = 4 + CONTENT_DIGEST_LEN;

/// A live meta file as of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveMeta {
    /// Its sequence number.
    pub sequence: SequenceNumber,
    /// The CRC-32 from its trailer; 0 in the record of the file that holds the list.
    pub checksum: u32,
}

impl LiveMeta {
    const fn from_bytes(bytes: &[u8; LIVE_META_LEN]) -> Self {
        let (sequence, checksum) = (u32_in::<0, _>(bytes), u32_in::<4, _>(bytes));
        Self { sequence: SequenceNumber(sequence), checksum }
    }
}

/// A blob file to which tables of a commit refer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobRecord {
    /// Its number.
    pub number: BlobNumber,
    /// Length of its file in bytes.
    pub file_size: u64,
    /// The header of its payload.
    pub header: BlockHeader,
}

impl BlobRecord {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.number.0.to_be_bytes());
        out.extend_from_slice(&self.file_size.to_be_bytes());
        self.header.encode(out);
    }

    const fn from_bytes(bytes: &[u8; BLOB_LEN]) -> Self {
        Self {
            number: BlobNumber(u32_in::<0, _>(bytes)),
            file_size: u64_in::<4, _>(bytes),
            header: BlockHeader::from_bytes(field::<12, BLOCK_HEADER_LEN, _>(bytes)),
        }
    }

    /// Parses a list of blobs: the verified bytes of
    /// [`MetaHead::blobs`](crate::meta_head::MetaHead::blobs). O(1).
    ///
    /// # Errors
    ///
    /// [`FormatError::WrongLen`] if the length is not a multiple of a record's.
    pub fn parse_list(
        bytes: &[u8],
    ) -> Result<impl ExactSizeIterator<Item = Self> + '_, FormatError> {
        let (records, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            let found = bytes.len() as u64;
            let expected = found - rest.len() as u64;
            return Err(FormatError::WrongLen { structure: Structure::BlobList, expected, found });
        }
        Ok(records.iter().map(Self::from_bytes))
    }
}

impl FamilyCertificate {
    pub(crate) const fn from_bytes(bytes: &[u8; CERTIFICATE_LEN]) -> Self {
        let content = ContentDigest::from_bytes(&field::<4, CONTENT_DIGEST_LEN, _>(bytes));
        Self { family: u32_in::<0, _>(bytes), content }
    }
}

/// The last bytes of a protected meta file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Length of the section before the trailer, in bytes.
    pub len: u32,
    /// The CRC-32 of every byte of the file before it. Lists of later commits state it for this
    /// file.
    pub checksum: u32,
}

impl Trailer {
    /// Parses the last bytes of a meta file, at least [`TRAILER_LEN`] of them. The checksum in the
    /// trailer is not verified. O(1).
    ///
    /// # Errors
    ///
    /// [`FormatError::TooShort`], or [`FormatError::WrongLen`] if the bytes do not end with
    /// [`PROTECTION_MAGIC`].
    pub fn parse(last_bytes: &[u8]) -> Result<Self, FormatError> {
        let available = last_bytes.len() as u64;
        let trailer: &[u8; TRAILER_LEN] = last_bytes.last_chunk().ok_or(FormatError::TooShort {
            structure: STRUCTURE,
            needed: TRAILER_LEN as u64,
            available,
        })?;
        if field::<8, 4, _>(trailer) != PROTECTION_MAGIC {
            let expected = available - 4;
            return Err(FormatError::WrongLen { structure: STRUCTURE, expected, found: available });
        }
        Ok(Self { len: u32_in::<0, _>(trailer), checksum: u32_in::<4, _>(trailer) })
    }
}

/// Appends the trailer of the section that starts at byte `section_start` of `out`. Returns the
/// checksum in it.
pub(crate) fn encode_trailer(
    out: &mut Vec<u8>,
    section_start: usize,
    crc32: Crc32,
) -> Result<u32, FormatError> {
    out.extend_from_slice(&count(out.len() - section_start)?.to_be_bytes());
    let checksum = crc32(out);
    out.extend_from_slice(&checksum.to_be_bytes());
    out.extend_from_slice(&PROTECTION_MAGIC);
    Ok(checksum)
}

/// Appends a count of certificates, and the certificates.
pub(crate) fn encode_certificates(
    out: &mut Vec<u8>,
    certificates: &[FamilyCertificate],
) -> Result<(), FormatError> {
    out.extend_from_slice(&count(certificates.len())?.to_be_bytes());
    for certificate in certificates {
        out.extend_from_slice(&certificate.family.to_be_bytes());
        out.extend_from_slice(&certificate.content.to_bytes());
    }
    Ok(())
}

/// Checks that each family is certified once, in ascending order.
pub(crate) fn validate_families(
    certificates: impl Iterator<Item = FamilyCertificate>,
) -> Result<(), FormatError> {
    let mut previous = None;
    for (index, certificate) in (0..).zip(certificates) {
        if previous >= Some(certificate.family) {
            return Err(FormatError::OutOfOrder { structure: STRUCTURE, index });
        }
        previous = Some(certificate.family);
    }
    Ok(())
}

/// Appends the section to `out`, which holds the rest of the meta file. Returns the checksum in its
/// trailer.
pub(crate) fn encode<'a>(
    out: &mut Vec<u8>,
    live_metas: &[LiveMeta],
    tables: impl Iterator<Item = &'a SstMeta>,
    blobs: &[BlobRecord],
    certificates: &[FamilyCertificate],
    crc32: Crc32,
) -> Result<u32, FormatError> {
    let start = out.len();
    let version = match certificates {
        [] => PROTECTION_VERSION,
        _ => PROTECTION_VERSION_CERTIFIED,
    };
    out.extend_from_slice(&version.to_be_bytes());
    out.extend_from_slice(&count(live_metas.len())?.to_be_bytes());
    for meta in live_metas {
        out.extend_from_slice(&meta.sequence.0.to_be_bytes());
        out.extend_from_slice(&meta.checksum.to_be_bytes());
    }
    for table in tables {
        let (entry_count, headers) = table
            .protection
            .as_ref()
            .map_or((0, &[][..]), |p| (p.entry_count, p.block_headers.as_slice()));
        if headers.len() != usize::from(table.block_count) {
            let (expected, found) = (u64::from(table.block_count), headers.len() as u64);
            return Err(FormatError::WrongLen { structure: STRUCTURE, expected, found });
        }
        out.extend_from_slice(&entry_count.to_be_bytes());
        headers.iter().for_each(|header| header.encode(out));
    }
    out.extend_from_slice(&count(blobs.len())?.to_be_bytes());
    blobs.iter().for_each(|blob| blob.encode(out));
    if !certificates.is_empty() {
        encode_certificates(out, certificates)?;
    }
    encode_trailer(out, start, crc32)
}

fn count(len: usize) -> Result<u32, FormatError> {
    let max = u64::from(u32::MAX);
    let too_large = FormatError::TooLarge { structure: STRUCTURE, value: len as u64, max };
    u32::try_from(len).map_err(|_| too_large)
}

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
    /// In version 3: the records and the block headers apart from each other.
    Apart { checks: &'a [[u8; TABLE_CHECKS_LEN]], headers: &'a [u8] },
}

/// The record of one table.
#[derive(Clone, Copy, Debug)]
pub struct ProtectedTable<'a> {
    /// Number of entries.
    pub entry_count: u64,
    headers: &'a [[u8; BLOCK_HEADER_LEN]],
}

impl<'a> ProtectedTable<'a> {
    /// The header of every block of the table, in order.
    pub fn block_headers(&self) -> impl ExactSizeIterator<Item = BlockHeader> + 'a {
        self.headers.iter().map(|bytes| BlockHeader::from_bytes(*bytes))
    }
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
        let bytes = parts.take(block_counts.map(|count| 8 + headers_len(count)).sum())?;
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
        let offset = 8 + live_metas.as_flattened().len();
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
        let mut headers_end = start.filters_end() + 4;
        let headers_start = headers_end;
        for table in head.tables() {
            table.filter.verified_in(file, crc32)?;
            table.headers.verified_in(file, crc32)?;
            headers_end = table.headers.range().end;
        }
        head.used_keys().verified_in(file, crc32)?;
        let blobs = head.blobs().verified_in(file, crc32)?;
        let listed = head.live_metas().verified_in(file, crc32)?;
        ListedMeta::parse_list(listed)?;
        let headers = usize::try_from(headers_start).ok().zip(usize::try_from(headers_end).ok());
        let headers = headers.and_then(|(start, end)| file.get(start..end)).ok_or(too_short)?;
        Ok(Self {
            live_metas: LiveMetas::Listed(listed.as_chunks().0),
            tables: Tables::Apart { checks: head.table_checks(), headers },
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

    /// The record of each table, in the order of the meta file. `block_counts` are the numbers of
    /// blocks of these tables.
    pub fn tables<I: Iterator<Item = u16>>(
        &self,
        block_counts: I,
    ) -> impl Iterator<Item = ProtectedTable<'a>> + use<'a, I> {
        let (bytes, offset) = match self.tables {
            Tables::Mixed { bytes, offset } => (bytes, offset),
            Tables::Apart { headers, .. } => (headers, 4),
        };
        // Parsing has checked that the section has room for all tables of the meta file. With other
        // block counts the iteration ends early.
        self.table_ranges(block_counts).map_while(move |(entry_count, range)| {
            let headers = bytes.get(range.start - offset..range.end - offset)?.as_chunks().0;
            Some(ProtectedTable { entry_count, headers })
        })
    }

    /// For each table its number of entries, and the range of the copies of its block headers,
    /// counted from the start of the section.
    pub(crate) fn table_ranges<I: Iterator<Item = u16>>(
        &self,
        block_counts: I,
    ) -> impl Iterator<Item = (u64, Range<usize>)> + use<'a, I> {
        let tables = self.tables;
        let mut at = match tables {
            Tables::Mixed { offset, .. } => offset,
            Tables::Apart { .. } => 4,
        };
        block_counts.enumerate().map_while(move |(index, block_count)| {
            let entry_count = match tables {
                Tables::Mixed { bytes, offset } => {
                    let entry_count = u64_at(bytes, at - offset)?;
                    at += 8;
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
        let too_short = self.too_short(4);
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
