//! The value of a blob file on disk.

use std::path::Path;

use sst_format::block::BlockHeader;
use sst_format::content_digest::ValueDigest;
use sst_format::protection::BlobRecord;

use super::stored_table::decompress;
use super::table_defect::TableDefect;
use crate::table::entry_digester::sha256;
use crate::{FileError, FileOperation, FileSystem, PublishError};

/// Reads a blob file, verifies it against what its commit lists, and takes the digest of its value. O(length of the value),
/// which is in memory meanwhile, as it is stored and decompressed.
pub(crate) fn stored_blob_digest(
    file_system: &dyn FileSystem,
    path: &Path,
    listed: &BlobRecord,
) -> Result<ValueDigest, PublishError> {
    let read_error = |error| FileError::at(path, FileOperation::Read)(error);
    let defect = |reason| PublishError::BadTable { path: path.to_owned(), block: None, reason };
    let file = file_system.open(path).map_err(read_error)?;
    let (expected, found) = (listed.file_size, file.file_size().map_err(read_error)?);
    if expected != found {
        return Err(defect(TableDefect::FileSize { expected, found }));
    }
    let mut bytes = vec![0; usize::try_from(found).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut bytes, 0).map_err(read_error)?;
    let (header, stored) = BlockHeader::parse(&bytes).map_err(|cause| defect(cause.into()))?;
    if header != listed.header {
        return Err(defect(TableDefect::Header));
    }
    let computed = crc32fast::hash(stored);
    if computed != header.checksum {
        return Err(defect(TableDefect::Checksum { stored: header.checksum, computed }));
    }
    let mut value = Vec::new();
    decompress(header, stored, &mut value).map_err(defect)?;
    Ok(ValueDigest::of(&value, sha256))
}
