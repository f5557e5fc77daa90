//! The protection section behind a meta file: what makes a commit one chain of checksums (FORMAT.md section 9).
//!
//! ```text
//! size      field
//!    4      version: 1, or 2 with certificates
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
//! Written by our publisher, last thing in a meta file; the original's readers don't look there. The checksum covers
//! the whole meta file, so a reader that has checked it can trust every number in it to be what was written.

use alloc::vec::Vec;

use crate::block::{BLOCK_HEADER_LEN, BlockHeader};
use crate::bytes::{u32_at, u64_at};
use crate::content_digest::{CONTENT_DIGEST_LEN, ContentDigest, FamilyCertificate};
use crate::{BlobNumber, Crc32, FormatError, SequenceNumber, SstMeta, Structure};

/// The version of a section without certificates.
pub const PROTECTION_VERSION: u32 = 1;

/// The version of a section with certificates. This crate reads both, and writes the lower one that will do.
pub const PROTECTION_VERSION_CERTIFIED: u32 = 2;

/// The last four bytes of a protected meta file.
pub const PROTECTION_MAGIC: [u8; 4] = *b"SSTP";

const STRUCTURE: Structure = Structure::ProtectionSection;
const TRAILER_LEN: usize = 12;

/// How far before the end of a protected meta file its checksum starts, in bytes: the magic comes behind it.
pub const CHECKSUM_FROM_END: usize = 4 + PROTECTION_MAGIC.len();
const LIVE_META_LEN: usize = 8;
const BLOB_LEN: usize = 4 + 8 + BLOCK_HEADER_LEN;
const CERTIFICATE_LEN: usize = 4 + CONTENT_DIGEST_LEN;

/// A meta file that is live as of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveMeta {
    /// Its sequence number.
    pub sequence: SequenceNumber,
    /// The CRC-32 from its trailer; 0 in the entry of the file that holds the list.
    pub checksum: u32,
}

/// A blob file that a commit's tables refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobRecord {
    /// Its number.
    pub number: BlobNumber,
    /// Length of its file in bytes.
    pub file_size: u64,
    /// Its header.
    pub header: BlockHeader,
}

/// Appends the section to `out`, which holds the meta file so far. Returns the checksum in its trailer.
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
    for blob in blobs {
        out.extend_from_slice(&blob.number.0.to_be_bytes());
        out.extend_from_slice(&blob.file_size.to_be_bytes());
        blob.header.encode(out);
    }
    if !certificates.is_empty() {
        out.extend_from_slice(&count(certificates.len())?.to_be_bytes());
        for certificate in certificates {
            out.extend_from_slice(&certificate.family.to_be_bytes());
            out.extend_from_slice(&certificate.content.to_bytes());
        }
    }
    out.extend_from_slice(&count(out.len() - start)?.to_be_bytes());
    let checksum = crc32(out);
    out.extend_from_slice(&checksum.to_be_bytes());
    out.extend_from_slice(&PROTECTION_MAGIC);
    Ok(checksum)
}

fn count(len: usize) -> Result<u32, FormatError> {
    let max = u64::from(u32::MAX);
    let too_large = FormatError::TooLarge { structure: STRUCTURE, value: len as u64, max };
    u32::try_from(len).map_err(|_| too_large)
}

/// A checked view of a protection section.
#[derive(Clone, Copy, Debug)]
pub struct ProtectionSection<'a> {
    live_metas: &'a [u8],
    tables: &'a [u8],
    blobs: &'a [u8],
    certificates: &'a [u8],
    checksum: u32,
}

/// What the section says of one table.
#[derive(Clone, Copy, Debug)]
pub struct ProtectedTable<'a> {
    /// Number of entries.
    pub entry_count: u64,
    headers: &'a [u8],
}

impl<'a> ProtectedTable<'a> {
    /// The header of every block of the table, in order.
    pub fn block_headers(&self) -> impl ExactSizeIterator<Item = BlockHeader> + 'a {
        self.headers.as_chunks().0.iter().map(|bytes| BlockHeader::from_bytes(*bytes))
    }
}

impl<'a> ProtectionSection<'a> {
    /// Reads the section that takes all of `file` from byte `start` on; `block_counts` are those of the tables that
    /// the meta file describes. Verifies the checksum of the whole file. O(length of the file).
    pub(crate) fn parse(
        file: &'a [u8],
        start: usize,
        block_counts: impl Iterator<Item = u16>,
        crc32: Crc32,
    ) -> Result<Self, FormatError> {
        let available = file.len().saturating_sub(start);
        let (section_end, checksum) = trailer(file, crc32)?;
        let mut parts = Parts { rest: file.get(start..section_end).unwrap_or_default(), available };
        let stated = u32_at(file, section_end).map(u64::from);
        if stated != Some(parts.rest.len() as u64) {
            let found = parts.rest.len() as u64;
            let expected = stated.unwrap_or_default();
            return Err(FormatError::WrongLen { structure: STRUCTURE, expected, found });
        }
        let version = parts.u32()?;
        if !matches!(version, PROTECTION_VERSION | PROTECTION_VERSION_CERTIFIED) {
            return Err(FormatError::UnknownVersion { found: version });
        }
        let live_metas = parts.counted(LIVE_META_LEN)?;
        let tables_len =
            block_counts.map(|count| 8 + u64::from(count) * BLOCK_HEADER_LEN as u64).sum();
        let tables = parts.take(tables_len)?;
        let blobs = parts.counted(BLOB_LEN)?;
        let certificates = match version {
            PROTECTION_VERSION_CERTIFIED => parts.counted(CERTIFICATE_LEN)?,
            _ => &[],
        };
        if !parts.rest.is_empty() {
            let found = (section_end - start) as u64;
            let expected = found - parts.rest.len() as u64;
            return Err(FormatError::WrongLen { structure: STRUCTURE, expected, found });
        }
        let section = Self { live_metas, tables, blobs, certificates, checksum };
        section.validate_live_metas()?;
        section.validate_certificates(version)?;
        Ok(section)
    }

    /// Each live meta file is listed once, in ascending order.
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

    /// Each family is certified once, in ascending order, and a section that may have certificates has one.
    fn validate_certificates(&self, version: u32) -> Result<(), FormatError> {
        let mut previous = None;
        for (index, certificate) in (0..).zip(self.certificates()) {
            if previous >= Some(certificate.family) {
                return Err(FormatError::OutOfOrder { structure: STRUCTURE, index });
            }
            previous = Some(certificate.family);
        }
        if version == PROTECTION_VERSION_CERTIFIED && previous.is_none() {
            return Err(FormatError::Empty { structure: STRUCTURE });
        }
        Ok(())
    }

    /// The CRC-32 in the trailer: what later commits know this meta file by.
    #[must_use]
    pub const fn checksum(&self) -> u32 {
        self.checksum
    }

    /// Every meta file that is live as of this commit, in ascending order, this one last.
    pub fn live_metas(&self) -> impl ExactSizeIterator<Item = LiveMeta> + 'a {
        let records = self.live_metas.as_chunks::<LIVE_META_LEN>().0.iter();
        records.map(|&[a, b, c, d, e, f, g, h]| LiveMeta {
            sequence: SequenceNumber(u32::from_be_bytes([a, b, c, d])),
            checksum: u32::from_be_bytes([e, f, g, h]),
        })
    }

    /// What the section says of each table, in the order of the meta file; `block_counts` are those of its tables.
    pub fn tables<I: Iterator<Item = u16>>(
        &self,
        block_counts: I,
    ) -> impl Iterator<Item = ProtectedTable<'a>> + use<'a, I> {
        let mut rest = self.tables;
        block_counts.map_while(move |count| {
            let entry_count = u64_at(rest, 0)?;
            let headers_len = usize::from(count) * BLOCK_HEADER_LEN;
            let (headers, behind) = rest.get(8..)?.split_at_checked(headers_len)?;
            rest = behind;
            Some(ProtectedTable { entry_count, headers })
        })
    }

    /// Where what the section says of tables starts, counted from the start of the section.
    pub(crate) const fn tables_offset(&self) -> usize {
        8 + self.live_metas.len()
    }

    /// Every blob file that the tables of this meta file refer to.
    pub fn blobs(&self) -> impl ExactSizeIterator<Item = BlobRecord> + 'a {
        let records = self.blobs.as_chunks::<BLOB_LEN>().0.iter();
        records.map(|record| BlobRecord {
            number: BlobNumber(u32_at(record, 0).unwrap_or_default()),
            file_size: u64_at(record, 4).unwrap_or_default(),
            header: BlockHeader::from_bytes(u64_at(record, 12).unwrap_or_default().to_be_bytes()),
        })
    }

    /// What the commit says of the content of its families, ascending; those that are not certified are left out.
    pub fn certificates(&self) -> impl Iterator<Item = FamilyCertificate> + use<'a> {
        self.certificates.as_chunks().0.iter().filter_map(certificate)
    }
}

fn certificate(record: &[u8; CERTIFICATE_LEN]) -> Option<FamilyCertificate> {
    let (family, content) = record.split_first_chunk()?;
    let content = ContentDigest::from_bytes(content.first_chunk()?);
    Some(FamilyCertificate { family: u32::from_be_bytes(*family), content })
}

/// Checks the trailer of a file: where it starts, and its checksum.
fn trailer(file: &[u8], crc32: Crc32) -> Result<(usize, u32), FormatError> {
    let available = file.len() as u64;
    let too_short =
        FormatError::TooShort { structure: STRUCTURE, needed: TRAILER_LEN as u64, available };
    let (before_magic, magic) = file.split_last_chunk::<4>().ok_or(too_short)?;
    let (covered, stored) = before_magic.split_last_chunk::<4>().ok_or(too_short)?;
    let section_end = covered.len().checked_sub(4).ok_or(too_short)?;
    if *magic != PROTECTION_MAGIC {
        let expected = available - 4;
        return Err(FormatError::WrongLen { structure: STRUCTURE, expected, found: available });
    }
    let (stored, computed) = (u32::from_be_bytes(*stored), crc32(covered));
    if stored != computed {
        return Err(FormatError::ChecksumMismatch { structure: STRUCTURE, stored, computed });
    }
    Ok((section_end, stored))
}

/// What is left of a section while it is taken apart.
struct Parts<'a> {
    rest: &'a [u8],
    available: usize,
}

impl<'a> Parts<'a> {
    fn take(&mut self, len: u64) -> Result<&'a [u8], FormatError> {
        let split = usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len));
        let available = self.available as u64;
        let (part, rest) = split.ok_or(FormatError::TooShort {
            structure: STRUCTURE,
            needed: available.saturating_add(len).saturating_sub(self.rest.len() as u64),
            available,
        })?;
        self.rest = rest;
        Ok(part)
    }

    fn u32(&mut self) -> Result<u32, FormatError> {
        self.take(4).map(|bytes| u32_at(bytes, 0).unwrap_or_default())
    }

    /// A count, then that many records.
    fn counted(&mut self, record_len: usize) -> Result<&'a [u8], FormatError> {
        let count = self.u32()?;
        self.take(u64::from(count) * record_len as u64)
    }
}
