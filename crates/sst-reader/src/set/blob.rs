//! Reading blob files (FORMAT.md section 8).

use std::path::PathBuf;

use sst_format::block::{BLOCK_HEADER_LEN, BlockHeader};
use sst_format::file_name::FileKind;
use sst_format::protection::BlobRecord;
use sst_format::{BlobNumber, SequenceNumber};

use super::Catalog;
use super::paths::path_of;
use crate::block::codec::{Decoded, Decoder};
use crate::block::source::Source;
use crate::block::triage::{FilePart, wrong_checksum, wrong_header};
use crate::{Access, Corruption, FileLabel, ReadError, Slice};

impl Catalog {
    /// Where a blob file is.
    #[must_use]
    pub fn blob_path(&self, number: BlobNumber) -> PathBuf {
        path_of(&self.dir, SequenceNumber(number.0), FileKind::Blob)
    }

    /// Reads a blob file of the directory. O(length of the value).
    ///
    /// # Errors
    ///
    /// [`ReadError`] if it is missing, damaged, or not the one that the commit lists;
    /// [`ReadError::Outdated`] if a newer commit has removed it; [`ReadError::OutOfMemory`].
    pub fn read_blob(
        &self,
        number: BlobNumber,
        access: Access,
    ) -> Result<Slice<'static>, ReadError> {
        self.read_blob_within(number, access, u64::MAX)
    }

    /// The record of a blob. `None` for a directory without protection, which has no records.
    ///
    /// # Errors
    ///
    /// [`ReadError::Corrupt`] with [`Corruption::UnlistedBlob`] if a protected directory has no
    /// record of it; [`ReadError`] if the records cannot be read.
    pub fn blob_record(&self, number: BlobNumber) -> Result<Option<&BlobRecord>, ReadError> {
        let listed = self.blobs()?.get(&number);
        if listed.is_none() && self.is_protected {
            let label = FileLabel::new(self.blob_path(number));
            return Err(ReadError::corrupt(&label, Corruption::UnlistedBlob { blob: number }));
        }
        Ok(listed)
    }

    /// As [`Catalog::read_blob`], of a value of at most `max_len` bytes if it needs memory.
    pub(crate) fn read_blob_within(
        &self,
        number: BlobNumber,
        access: Access,
        max_len: u64,
    ) -> Result<Slice<'static>, ReadError> {
        let label = FileLabel::new(self.blob_path(number));
        let listed = self.blob_record(number)?;
        let source = self.opened(Source::open(&label, &self.files(access)))?;
        let (expected, found) = (listed.map(|record| record.file_size), source.len());
        let value = match expected.filter(|&expected| expected != found) {
            Some(expected) => {
                Err(ReadError::corrupt(&label, Corruption::FileSize { expected, found }))
            }
            None => decode(&label, source, listed.map(|record| record.header), max_len),
        };
        value.map_err(|error| self.outdated_or(error))
    }
}

/// Verifies and decompresses a blob file (FORMAT.md section 8).
pub(crate) fn decode(
    label: &FileLabel,
    source: Source,
    listed: Option<BlockHeader>,
    max_payload_len: u64,
) -> Result<Slice<'static>, ReadError> {
    let mut buffer = Vec::new();
    let bytes = source.read(label, None, 0..source.len(), &mut buffer)?;
    let part = FilePart { label, start: 0 };
    if let Some(copy) = listed.filter(|header| !header.matches(bytes, 0)) {
        return Err(ReadError::corrupt(label, wrong_header(&source, &part, bytes, copy)));
    }
    let (header, stored) = BlockHeader::parse(bytes).map_err(|e| ReadError::corrupt(label, e))?;
    let computed = crc32fast::hash(stored);
    if computed != header.checksum {
        let cause = wrong_checksum(&source, &part, bytes, header, computed);
        return Err(ReadError::corrupt(label, cause));
    }
    let decoder = Decoder { label, block: None, max_len: max_payload_len };
    match decoder.decode(header, stored)? {
        Decoded::Decompressed(payload) => Ok(Slice::of_block(payload)),
        Decoded::AsStored if source.as_slice().is_some() => {
            Slice::of_source(source, |source| source.as_slice()?.get(BLOCK_HEADER_LEN..))
                .ok_or_else(|| {
                    ReadError::internal(label, "a file in memory has the bytes that were parsed")
                })
        }
        Decoded::AsStored => decoder.copy(stored).map(Slice::of_block),
    }
}
