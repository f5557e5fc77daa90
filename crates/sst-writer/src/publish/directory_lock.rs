//! The lock of a directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::publish::publisher::remove;
use crate::{FileError, FileOperation, FileSystem, Lock, LockHolder, PublishError};

/// Name of the file whose lock the publisher of a directory holds. It begins with a dot, since the
/// original's reader refuses a directory with a file that it does not know, unless its name does.
pub const LOCK_FILE_NAME: &str = ".lock";

/// Name of the file that older builds lock.
const OLDER_LOCK_FILE_NAME: &str = "LOCK";

/// How often a lock file is locked that was removed before it was locked.
const ATTEMPTS: usize = 16;

/// The lock of a directory, which is released when this is dropped.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    file_system: Arc<dyn FileSystem>,
    lock: Lock,
    path: PathBuf,
}

impl DirectoryLock {
    /// Locks a directory: its lock file, and that of older builds if there is one. The latter is
    /// removed while it is held.
    ///
    /// # Errors
    ///
    /// [`PublishError::Locked`] if another process holds one of them.
    pub(crate) fn take(
        file_system: Arc<dyn FileSystem>,
        directory: &Path,
    ) -> Result<Self, PublishError> {
        let path = directory.join(LOCK_FILE_NAME);
        let lock = lock_in_place(&*file_system, directory, &path)?;
        let older = directory.join(OLDER_LOCK_FILE_NAME);
        if exists(&*file_system, &older)? {
            let held = lock_in_place(&*file_system, directory, &older)?;
            remove(&*file_system, &older)?;
            drop(held);
        }
        Ok(Self { file_system, lock, path })
    }

    /// Fails if the lock no longer keeps others out: if the lock file was removed or replaced, as a
    /// copy of another directory over this one does, or if an older build has locked the directory
    /// in its own way since.
    pub(crate) fn check(&self) -> Result<(), PublishError> {
        let error = FileError::at(&self.path, FileOperation::Inspect);
        let is_held = self.lock.is_in_place().map_err(error)?;
        if !is_held || exists(&*self.file_system, &self.path.with_file_name(OLDER_LOCK_FILE_NAME))?
        {
            return Err(PublishError::LockLost { path: self.path.clone() });
        }
        Ok(())
    }
}

fn exists(file_system: &dyn FileSystem, path: &Path) -> Result<bool, FileError> {
    file_system.exists(path).map_err(FileError::at(path, FileOperation::Inspect))
}

/// Locks the file at `path`, and makes sure that it is still there then: another process may remove
/// it between the moments when it is opened and locked.
fn lock_in_place(
    file_system: &dyn FileSystem,
    directory: &Path,
    path: &Path,
) -> Result<Lock, PublishError> {
    let holder = LockHolder::this_process().to_text();
    for _ in 0..ATTEMPTS {
        let lock = file_system.lock(path, &holder).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => PublishError::Locked {
                directory: directory.to_owned(),
                // The message does without a name where the text cannot be read.
                holder: file_system.read(path).ok().and_then(|bytes| LockHolder::parse(&bytes)),
            },
            _ => FileError::at(path, FileOperation::Lock)(error).into(),
        })?;
        if lock.is_in_place().map_err(FileError::at(path, FileOperation::Inspect))? {
            return Ok(lock);
        }
    }
    Err(PublishError::Locked { directory: directory.to_owned(), holder: None })
}
