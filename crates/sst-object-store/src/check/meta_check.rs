//! The check of a meta file.

use sst_format::protection::{CHECKSUM_FROM_END, PROTECTION_MAGIC};

use super::Defect;

/// Checks a protected meta file of any version: the checksum in its trailer covers all bytes before
/// it, and is the one that the commit states.
#[derive(Debug)]
pub(crate) struct MetaCheck {
    len: u64,
    checksum: u32,
    at: u64,
    crc32: crc32fast::Hasher,
    /// The bytes from the checksum on.
    end: Vec<u8>,
}

impl MetaCheck {
    pub(crate) fn new(len: u64, checksum: u32) -> Self {
        Self { len, checksum, at: 0, crc32: crc32fast::Hasher::new(), end: Vec::new() }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) -> Result<(), Defect> {
        let end = self.at + bytes.len() as u64;
        if end > self.len {
            return Err(Defect::Len { expected: self.len, found: end });
        }
        // None of these bytes is covered if the checksum has begun already, or the file is shorter.
        let covered = self.len.saturating_sub(CHECKSUM_FROM_END as u64).saturating_sub(self.at);
        // More than a machine can address are more than the bytes at hand.
        let covered = usize::try_from(covered).map_or(bytes.len(), |len| len.min(bytes.len()));
        let (covered, rest) = bytes.split_at(covered);
        self.crc32.update(covered);
        self.end.extend_from_slice(rest);
        self.at = end;
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), Defect> {
        if self.at != self.len || self.end.len() != CHECKSUM_FROM_END {
            return Err(Defect::Len { expected: self.len, found: self.at });
        }
        let (expected, found) = (self.checksum, self.crc32.finalize());
        if expected != found {
            return Err(Defect::Checksum { block: None, expected, found });
        }
        let mut end = expected.to_be_bytes().to_vec();
        end.extend_from_slice(&PROTECTION_MAGIC);
        if self.end != end {
            return Err(Defect::Bytes { block: None });
        }
        Ok(())
    }
}
