//! Blob files taken over from elsewhere, as they are.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use sst_format::block::{BLOCK_HEADER_LEN, BlockHeader};
use sst_format::protection::BlobRecord;

use crate::table::write_error::RawBlockDefect;
use crate::{AtomicFile, BlobFile, FileError, FileOperation, FileSystem, PublishError};

/// How many bytes are in memory at a time.
const BUFFER_LEN: usize = 1 << 20;

/// Copies a blob file in its stored form, and verifies it on the way: against its own checksum, and against what a commit
/// says of it.
pub(crate) fn copy_blob_file_in(
    file_system: Arc<dyn FileSystem>,
    from: &Path,
    to: &Path,
    listed: Option<&BlobRecord>,
) -> Result<BlobFile, PublishError> {
    let read_error = |error| PublishError::from(FileError::at(from, FileOperation::Read)(error));
    let bad = |reason| PublishError::BadBlob { path: from.to_owned(), reason };
    let mut source = File::open(from).map_err(read_error)?;
    let mut header = [0; BLOCK_HEADER_LEN];
    source.read_exact(&mut header).map_err(read_error)?;
    let mut file = AtomicFile::create_in(file_system, to)?;
    file.write(&header)?;
    let header = BlockHeader::from_bytes(header);
    let mut stored_len = 0;
    let mut checksum = crc32fast::Hasher::new();
    let mut buffer = vec![0; BUFFER_LEN];
    loop {
        let len = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(read_error(error)),
        };
        let piece = buffer.get(..len).unwrap_or_default();
        checksum.update(piece);
        file.write(piece)?;
        stored_len += len as u64;
    }
    let computed = checksum.finalize();
    if computed != header.checksum {
        return Err(bad(RawBlockDefect::Checksum { stated: header.checksum, computed }));
    }
    header.payload_len(stored_len).map_err(|error| bad(RawBlockDefect::Ratio(error)))?;
    let blob = BlobFile { file_size: BLOCK_HEADER_LEN as u64 + stored_len, header };
    if listed.is_some_and(|listed| listed.file_size != blob.file_size || listed.header != header) {
        return Err(bad(RawBlockDefect::NotTheListed));
    }
    file.persist()?;
    Ok(blob)
}
