//! The check of a blob file.

use sst_format::block::BLOCK_HEADER_LEN;
use sst_format::protection::BlobRecord;

use super::Defect;

/// Checks a blob file against its record in a meta file.
#[derive(Debug)]
pub(crate) struct BlobCheck {
    record: BlobRecord,
    /// How many bytes of the header have passed.
    in_header: usize,
    /// The position in the file.
    at: u64,
    crc32: crc32fast::Hasher,
}

impl BlobCheck {
    pub(crate) fn new(record: &BlobRecord) -> Self {
        Self { record: *record, in_header: 0, at: 0, crc32: crc32fast::Hasher::new() }
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) -> Result<(), Defect> {
        let header = self.record.header.to_bytes();
        let (_, known) = header.split_at(self.in_header);
        let (part, rest) = bytes.split_at(known.len().min(bytes.len()));
        if !known.starts_with(part) {
            return Err(Defect::Bytes { block: None });
        }
        self.in_header += part.len();
        self.at += part.len() as u64;
        bytes = rest;
        self.at += bytes.len() as u64;
        if self.at > self.record.file_size {
            return Err(Defect::Len { expected: self.record.file_size, found: self.at });
        }
        self.crc32.update(bytes);
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), Defect> {
        let (expected, found) = (self.record.file_size, self.at);
        if expected != found || found < BLOCK_HEADER_LEN as u64 {
            return Err(Defect::Len { expected, found });
        }
        let (expected, found) = (self.record.header.checksum, self.crc32.finalize());
        if expected != found {
            return Err(Defect::Checksum { block: None, expected, found });
        }
        Ok(())
    }
}
