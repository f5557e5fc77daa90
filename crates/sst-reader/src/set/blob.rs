//! Reading blob files (FORMAT.md section 8).

use std::path::PathBuf;
use std::sync::Arc;

use sst_format::block::{BLOCK_HEADER_LEN, BlockHeader, Encoding};
use sst_format::file_name::FileKind;
use sst_format::{BlobNumber, SequenceNumber};

use super::Catalog;
use super::catalog::{missing_since, path_of};
use crate::block::blocks::decompress;
use crate::block::cached_block::shared_block;
use crate::block::source::Source;
use crate::block::triage::{Place, wrong_checksum, wrong_header};
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
    /// [`ReadError`] if it is missing, damaged, or not the one that the commit lists; [`ReadError::Outdated`] if a newer
    /// commit has removed it.
    pub fn read_blob(
        &self,
        number: BlobNumber,
        access: Access,
    ) -> Result<Slice<'static>, ReadError> {
        let label = FileLabel::new(&self.blob_path(number));
        let listed = self.blobs.get(&number);
        if listed.is_none() && self.is_protected {
            return Err(ReadError::corrupt(&label, Corruption::UnlistedBlob { blob: number }));
        }
        let source = Source::open(&label, access)
            .map_err(|error| missing_since(&self.dir, self.commit, error))?;
        let (expected, found) = (listed.map(|record| record.file_size), source.len());
        if let Some(expected) = expected.filter(|&expected| expected != found) {
            return Err(ReadError::corrupt(&label, Corruption::FileSize { expected, found }));
        }
        decode(&label, source, listed.map(|record| record.header))
    }
}

/// Verifies and decompresses a blob file (FORMAT.md section 8).
pub(crate) fn decode(
    label: &FileLabel,
    source: Source,
    listed: Option<BlockHeader>,
) -> Result<Slice<'static>, ReadError> {
    let source = Arc::new(source);
    let mut buffer = Vec::new();
    let bytes = source
        .with_bytes(0..source.len(), &mut buffer)
        .map_err(|error| ReadError::io(label, "read", error))?;
    let place = Place { label, start: 0 };
    if let Some(copy) = listed.filter(|header| !header.matches(bytes, 0)) {
        return Err(ReadError::corrupt(label, wrong_header(&source, &place, bytes, copy)));
    }
    let (header, stored) = BlockHeader::parse(bytes).map_err(|e| ReadError::corrupt(label, e))?;
    let computed = crc32fast::hash(stored);
    if computed != header.checksum {
        let cause = wrong_checksum(&source, &place, bytes, header, computed);
        return Err(ReadError::corrupt(label, cause));
    }
    match header.encoding {
        Encoding::Raw if source.as_slice().is_some() => {
            let range = BLOCK_HEADER_LEN..bytes.len();
            Ok(Slice::of_source(Arc::clone(&source), range))
        }
        Encoding::Raw => Ok(Slice::of_block(shared_block(stored))),
        Encoding::Lz4 { uncompressed_len } => {
            decompress(stored, uncompressed_len).map(Slice::of_block).ok_or_else(|| {
                let stated = u64::from(uncompressed_len);
                ReadError::corrupt(label, Corruption::Decompression { stated })
            })
        }
    }
}
