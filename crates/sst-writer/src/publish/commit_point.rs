//! The replacement of `CURRENT`, the commit point of a directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sst_format::SequenceNumber;
use sst_format::current::Current;
use sst_format::file_name::CURRENT_FILE_NAME;

use crate::publish::meta_state::MetaReader;
use crate::{AtomicFile, FileError, FileOperation, FileSystem, PublishError};

/// Replaces `CURRENT`. `before_rename` is called when the new content is durable; its error stops
/// the replacement. After any later error it is unknown which of the two contents is on disk.
pub(crate) fn replace_current(
    file_system: &Arc<dyn FileSystem>,
    directory: &Path,
    sequence: SequenceNumber,
    before_rename: impl FnOnce() -> Result<(), PublishError>,
) -> Result<(), PublishError> {
    let path = directory.join(CURRENT_FILE_NAME);
    let mut file = AtomicFile::replacing(Arc::clone(file_system), &path)?;
    file.write(Current::encode(sequence, crc32fast::hash))?;
    file.replace(before_rename)
}

/// Compares `CURRENT` on the device with the content that [`replace_current`] has written.
pub(crate) fn check_current(
    file_system: &dyn FileSystem,
    directory: &Path,
    sequence: SequenceNumber,
) -> Result<(), PublishError> {
    let path = directory.join(CURRENT_FILE_NAME);
    let expected = Current::encode(sequence, crc32fast::hash);
    let mut written = WrittenFile::open(file_system, &path, expected.len() as u64)?;
    written.compare(&expected)
}

/// A durable file on the device, to be compared with the bytes that were written. This finds a
/// device that loses or changes bytes without an error.
pub(crate) struct WrittenFile {
    file: MetaReader,
    path: PathBuf,
    /// Number of bytes compared so far.
    at: u64,
}

impl WrittenFile {
    /// Opens a file. Fails if it has not `len` bytes.
    pub(crate) fn open(
        file_system: &dyn FileSystem,
        path: &Path,
        len: u64,
    ) -> Result<Self, PublishError> {
        file_system.drop_cache(path).map_err(FileError::at(path, FileOperation::Read))?;
        let file = MetaReader::open(file_system, path)?;
        let path = path.to_owned();
        if file.len != len {
            return Err(PublishError::NotAsWritten { path });
        }
        Ok(Self { file, path, at: 0 })
    }

    /// Compares the next bytes.
    pub(crate) fn compare(&mut self, bytes: &[u8]) -> Result<(), PublishError> {
        let end = self.at + bytes.len() as u64;
        if end > self.file.len || self.file.read(self.at..end)? != bytes {
            return Err(PublishError::NotAsWritten { path: self.path.clone() });
        }
        self.at = end;
        Ok(())
    }
}
