//! The core of a head: everything but the start of the file and the tail.

use alloc::vec::Vec;

use super::{
    CommitKind, PROTECTION_VERSION_HEADED, STRUCTURE, TABLE_CHECKS_LEN, WORD_LEN, blob_counts,
    same_len,
};
use crate::content_digest::FamilyCertificate;
use crate::protection_records::{CERTIFICATE_LEN, validate_families};
use crate::{FormatError, SequenceNumber};

/// The record of one table in the core.
pub(crate) struct TableChecks {
    pub(crate) entry_count: u64,
    pub(super) filter: u32,
    pub(super) headers: u32,
}

impl TableChecks {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.entry_count.to_be_bytes());
        out.extend_from_slice(&self.filter.to_be_bytes());
        out.extend_from_slice(&self.headers.to_be_bytes());
    }

    pub(crate) const fn from_bytes(bytes: &[u8; TABLE_CHECKS_LEN]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *bytes;
        Self {
            entry_count: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            filter: u32::from_be_bytes([i, j, k, l]),
            headers: u32::from_be_bytes([m, n, o, p]),
        }
    }
}

/// The parsed core.
#[derive(Clone, Copy, Debug)]
pub(super) struct MetaCore<'a> {
    pub(super) kind: CommitKind,
    pub(super) commit: SequenceNumber,
    pub(super) live_count: u32,
    pub(super) live_metas: u32,
    pub(super) blob_count: u32,
    pub(super) blobs: u32,
    pub(super) used_keys: u32,
    pub(super) tables: &'a [[u8; TABLE_CHECKS_LEN]],
    pub(super) certificates: &'a [[u8; CERTIFICATE_LEN]],
    pub(super) extension: &'a [u8],
    /// A field of the extension.
    pub(super) blob_counts: Option<&'a [[u8; 4]]>,
}

impl<'a> MetaCore<'a> {
    pub(super) fn parse(bytes: &'a [u8], table_count: usize) -> Result<Self, FormatError> {
        let mut rest = Rest { rest: bytes, available: bytes.len() as u64 };
        let version = rest.word()?;
        if version != PROTECTION_VERSION_HEADED {
            return Err(FormatError::UnknownVersion { found: version });
        }
        let kind = CommitKind::from_number(rest.word()?);
        let commit = SequenceNumber(rest.word()?);
        let (live_count, live_metas) = (rest.word()?, rest.word()?);
        let (blob_count, blobs) = (rest.word()?, rest.word()?);
        let used_keys = rest.word()?;
        let tables = rest.records(table_count as u64)?;
        let certificates = rest.word().and_then(|count| rest.records(count.into()))?;
        let extension = rest.word().and_then(|len| rest.take(len.into()))?;
        let left = rest.rest.len() as u64;
        same_len(rest.available - left, rest.available)?;
        let blob_counts = blob_counts::parse(extension, table_count, blob_count)?;
        let core = Self {
            kind,
            commit,
            live_count,
            live_metas,
            blob_count,
            blobs,
            used_keys,
            tables,
            certificates,
            extension,
            blob_counts,
        };
        let families = core.certificates.iter().map(FamilyCertificate::from_bytes);
        validate_families(families)?;
        Ok(core)
    }
}

/// The bytes of the core that are not parsed yet.
struct Rest<'a> {
    rest: &'a [u8],
    available: u64,
}

impl<'a> Rest<'a> {
    fn too_short(&self, len: u64) -> FormatError {
        let taken = self.available - self.rest.len() as u64;
        // Saturates only in the text of an error, about a length that no file has.
        let needed = taken.saturating_add(len);
        FormatError::TooShort { structure: STRUCTURE, needed, available: self.available }
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], FormatError> {
        let split = usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len));
        let (part, rest) = split.ok_or_else(|| self.too_short(len))?;
        self.rest = rest;
        Ok(part)
    }

    fn word(&mut self) -> Result<u32, FormatError> {
        let too_short = self.too_short(WORD_LEN as u64);
        let (word, rest) = self.rest.split_first_chunk().ok_or(too_short)?;
        self.rest = rest;
        Ok(u32::from_be_bytes(*word))
    }

    fn records<const LEN: usize>(&mut self, count: u64) -> Result<&'a [[u8; LEN]], FormatError> {
        // A count is at most a `u32` or the length of a slice, so a saturated product is still too
        // long.
        self.take(count.saturating_mul(LEN as u64)).map(|bytes| bytes.as_chunks().0)
    }
}
