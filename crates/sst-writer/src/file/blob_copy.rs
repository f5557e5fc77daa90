//! Blob files taken over from elsewhere, as they are.

use std::path::Path;
use std::sync::Arc;

use sst_format::block::{BLOCK_HEADER_LEN, BlockHeader};
use sst_format::protection::BlobRecord;

use crate::table::write_error::RawBlockDefect;
use crate::{
    AtomicFile, BlobFile, CancelToken, FileError, FileOperation, FileSystem, PublishError,
};

/// How many bytes are in memory at a time.
const BUFFER_LEN: usize = 2 << 20;

/// A blob file that is copied in its stored form, and verified on the way: against its own checksum, and against what a commit
/// says of it.
pub(crate) struct BlobCopy<'a> {
    pub(crate) file_system: Arc<dyn FileSystem>,
    pub(crate) from: &'a Path,
    pub(crate) to: &'a Path,
    /// What the commit that it comes from says of it.
    pub(crate) listed: Option<&'a BlobRecord>,
    pub(crate) cancel: &'a CancelToken,
}

impl BlobCopy<'_> {
    /// Copies it.
    pub(crate) fn run(self) -> Result<BlobFile, PublishError> {
        let Self { file_system, from, to, listed, cancel } = self;
        let read_error =
            |error| PublishError::from(FileError::at(from, FileOperation::Read)(error));
        let bad = |reason| PublishError::BadBlob { path: from.to_owned(), reason };
        let source = file_system.open(from).map_err(read_error)?;
        let file_size = source.file_size().map_err(read_error)?;
        let mut header = [0; BLOCK_HEADER_LEN];
        source.read_exact_at(&mut header, 0).map_err(read_error)?;
        let mut file = AtomicFile::create_in(file_system, to)?;
        file.write(&header)?;
        let header = BlockHeader::from_bytes(header);
        let mut checksum = crc32fast::Hasher::new();
        let mut buffer = vec![0; BUFFER_LEN];
        let mut at = BLOCK_HEADER_LEN as u64;
        while at < file_size {
            cancel.check()?;
            let len = usize::try_from(file_size - at).unwrap_or(BUFFER_LEN).min(BUFFER_LEN);
            let piece = buffer.get_mut(..len).unwrap_or_default();
            source.read_exact_at(piece, at).map_err(read_error)?;
            checksum.update(piece);
            file.write(piece)?;
            at += len as u64;
        }
        let stored_len = at - BLOCK_HEADER_LEN as u64;
        let computed = checksum.finalize();
        if computed != header.checksum {
            return Err(bad(RawBlockDefect::Checksum { stated: header.checksum, computed }));
        }
        header.payload_len(stored_len).map_err(|error| bad(RawBlockDefect::Ratio(error)))?;
        let blob = BlobFile { file_size, header };
        if listed
            .is_some_and(|listed| listed.file_size != blob.file_size || listed.header != header)
        {
            return Err(bad(RawBlockDefect::NotTheListed));
        }
        file.persist()?;
        Ok(blob)
    }
}
