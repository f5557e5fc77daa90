//! The lock of a directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sst_format::planted;

use crate::file::directory::remove;
use crate::{FileError, FileOperation, FileSystem, Lock, LockHolder, PublishError};

/// Name of the lock file of a directory, which its publisher holds locked. It begins with a dot
/// because the original's reader refuses a directory that has any other unknown file.
pub const LOCK_FILE_NAME: &str = ".lock";

/// Name of the lock file of older builds.
const OLDER_LOCK_FILE_NAME: &str = "LOCK";

/// Number of attempts to lock a file that is removed between being opened and being locked.
const ATTEMPTS: usize = 16;

/// The lock of a directory. It is released when it is dropped.
///
/// It is two locks: that of the directory itself, and that of its lock file. The first holds
/// although the lock file is removed, as by `rsync --delete`. The second names the holder, keeps
/// older builds out, and is the only one where the system cannot lock directories (Windows, NFS).
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    file_system: Arc<dyn FileSystem>,
    lock: Lock,
    /// `None` where the system cannot lock directories.
    directory: Option<Lock>,
    path: PathBuf,
}

impl DirectoryLock {
    /// Locks a directory: itself, its lock file, and also the lock file of older builds if there is
    /// one. The latter is removed while it is locked.
    ///
    /// # Errors
    ///
    /// [`PublishError::Locked`] if another process holds one of them.
    pub(crate) fn take(
        file_system: Arc<dyn FileSystem>,
        directory: &Path,
    ) -> Result<Self, PublishError> {
        let path = directory.join(LOCK_FILE_NAME);
        // First, so that no process writes its name into the lock file and is refused then.
        let of_directory = file_system
            .lock_directory(directory)
            .map_err(|error| refused(&*file_system, directory, directory, &path, error));
        let of_directory = planted!("directory-unlocked", of_directory, Ok(None))?;
        let lock = lock_in_place(&*file_system, directory, &path)?;
        let older = directory.join(OLDER_LOCK_FILE_NAME);
        if exists(&*file_system, &older)? {
            let held = lock_in_place(&*file_system, directory, &older)?;
            remove(&*file_system, &older)?;
            drop(held);
        }
        Ok(Self { file_system, lock, directory: of_directory, path })
    }

    /// Removes the lock file, if it is the locked one.
    pub(crate) fn remove_file(&self) -> Result<(), PublishError> {
        self.check()?;
        Ok(remove(&*self.file_system, &self.path)?)
    }

    /// Fails if the lock no longer keeps other publishers out, or is that of another directory.
    /// Either the lock file was removed or replaced, as by a copy of another directory over this
    /// one, or the path leads to another directory, or an older build has locked the directory in
    /// its own way since.
    pub(crate) fn check(&self) -> Result<(), PublishError> {
        for lock in self.directory.iter().chain([&self.lock]) {
            let error = FileError::at(&self.path, FileOperation::Inspect);
            if !lock.is_in_place().map_err(error)? {
                return Err(PublishError::LockLost { path: self.path.clone() });
            }
        }
        if exists(&*self.file_system, &self.path.with_file_name(OLDER_LOCK_FILE_NAME))? {
            return Err(PublishError::LockLost { path: self.path.clone() });
        }
        Ok(())
    }
}

/// The error for a lock at `path` that could not be taken. The file at `holder` names the process
/// that holds it.
fn refused(
    file_system: &dyn FileSystem,
    directory: &Path,
    path: &Path,
    holder: &Path,
    error: io::Error,
) -> PublishError {
    match error.kind() {
        io::ErrorKind::WouldBlock => PublishError::Locked {
            directory: directory.to_owned(),
            // If the text cannot be read, the message names no holder.
            holder: file_system.read(holder).ok().and_then(|bytes| LockHolder::parse(&bytes)),
        },
        _ => FileError::at(path, FileOperation::Lock)(error).into(),
    }
}

fn exists(file_system: &dyn FileSystem, path: &Path) -> Result<bool, FileError> {
    file_system.exists(path).map_err(FileError::at(path, FileOperation::Inspect))
}

/// Locks the file at `path`, and checks that it is still there: another process may remove it
/// between its being opened and locked.
fn lock_in_place(
    file_system: &dyn FileSystem,
    directory: &Path,
    path: &Path,
) -> Result<Lock, PublishError> {
    let holder = LockHolder::this_process(file_system.host_name()).to_text();
    for _ in 0..ATTEMPTS {
        let lock = file_system
            .lock(path, &holder)
            .map_err(|error| refused(file_system, directory, path, path, error))?;
        if lock.is_in_place().map_err(FileError::at(path, FileOperation::Inspect))? {
            return Ok(lock);
        }
    }
    Err(PublishError::Locked { directory: directory.to_owned(), holder: None })
}
