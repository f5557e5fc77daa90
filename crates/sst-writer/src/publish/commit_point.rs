//! The replacement of `CURRENT`, the commit point of a directory.

use std::path::Path;
use std::sync::Arc;

use sst_format::SequenceNumber;
use sst_format::current::Current;
use sst_format::file_name::CURRENT_FILE_NAME;

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
    check_written(file_system, &path, &Current::encode(sequence, crc32fast::hash))
}

/// Compares a durable file on the device with the bytes that were written. This finds a device that
/// loses or changes bytes without an error.
pub(crate) fn check_written(
    file_system: &dyn FileSystem,
    path: &Path,
    bytes: &[u8],
) -> Result<(), PublishError> {
    let error = |error| FileError::at(path, FileOperation::Read)(error);
    file_system.drop_cache(path).map_err(error)?;
    let found = file_system.read(path).map_err(error)?;
    if found != bytes {
        return Err(PublishError::NotAsWritten { path: path.to_owned() });
    }
    Ok(())
}
