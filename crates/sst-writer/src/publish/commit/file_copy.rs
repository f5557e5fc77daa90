//! Copies files of other directories into a commit.

use std::path::Path;

use sst_format::block::{BLOCK_HEADER_LEN, BlockHeader};
use sst_format::protection::BlobRecord;
use sst_format::{FormatError, Structure};

use super::commit_files::CommitFiles;
use crate::table::StoredBlockDefect;
use crate::{AtomicFile, BlobFile, FileError, FileOperation, Monitor, PublishError};

/// Number of bytes that are copied at a time: pieces of a table have the same length, and fit into
/// memory that was used before (docs/DECISIONS.md, 48).
const BUFFER_LEN: usize = 256 << 10;

/// A file to be copied.
pub(super) struct FileCopy<'a> {
    /// The files of the commit that gets the copy.
    pub(super) files: &'a CommitFiles,
    pub(super) from: &'a Path,
    pub(super) to: &'a Path,
    /// Cancels the copy.
    pub(super) monitor: &'a Monitor,
}

impl FileCopy<'_> {
    /// Copies all bytes, and shows each piece to `inspect`. Only the last piece is shorter than
    /// [`BUFFER_LEN`]. Returns the copy, which does not have its final name yet, and its length.
    /// O(length).
    pub(super) fn run(
        self,
        mut inspect: impl FnMut(&[u8]),
    ) -> Result<(AtomicFile, u64), PublishError> {
        let Self { files, from, to, monitor } = self;
        let read_error = |error| FileError::at(from, FileOperation::Read)(error);
        let source = files.file_system.open(from).map_err(read_error)?;
        let file_size = source.file_size().map_err(read_error)?;
        let mut copy = files.create(to)?;
        let mut buffer = Vec::new();
        let mut at = 0;
        while at < file_size {
            monitor.check()?;
            // A rest that does not fit `usize` is longer than the buffer.
            let rest = usize::try_from(file_size - at).unwrap_or(BUFFER_LEN);
            buffer.resize(rest.min(BUFFER_LEN), 0);
            source.read_exact_at(&mut buffer, at).map_err(read_error)?;
            inspect(&buffer);
            copy.write(&buffer)?;
            at += buffer.len() as u64;
        }
        Ok((copy, file_size))
    }

    /// Copies a blob file. While copying, it verifies the file against the checksum in its header
    /// and against `listed`, its record in the commit that it comes from. Returns the copy, which
    /// does not have its final name yet.
    pub(super) fn run_for_blob(
        self,
        listed: Option<&BlobRecord>,
    ) -> Result<(AtomicFile, BlobFile), PublishError> {
        let from = self.from;
        let bad = |source| PublishError::BadBlob { path: from.to_owned(), source };
        let mut header = None;
        let mut checksum = crc32fast::Hasher::new();
        let (copy, file_size) = self.run(|piece| match (header, piece.split_first_chunk()) {
            (None, Some((first, stored))) => {
                header = Some(BlockHeader::from_bytes(*first));
                checksum.update(stored);
            }
            _ => checksum.update(piece),
        })?;
        let too_short = || FormatError::TooShort {
            structure: Structure::BlockHeader,
            needed: BLOCK_HEADER_LEN as u64,
            available: file_size,
        };
        let header = header
            .ok_or_else(|| PublishError::Format { path: from.to_owned(), source: too_short() })?;
        let computed = checksum.finalize();
        if computed != header.checksum {
            return Err(bad(StoredBlockDefect::Checksum { stated: header.checksum, computed }));
        }
        header
            .payload_len(file_size - BLOCK_HEADER_LEN as u64)
            .map_err(|error| bad(StoredBlockDefect::Ratio(error)))?;
        let is_listed =
            |listed: &BlobRecord| listed.file_size == file_size && listed.header == header;
        if !listed.is_none_or(is_listed) {
            return Err(PublishError::NotTheListedBlob { path: from.to_owned() });
        }
        Ok((copy, BlobFile { file_size, header }))
    }
}
