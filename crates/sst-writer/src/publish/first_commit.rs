//! The time before the first commit of a directory, when its files are no commit's.
//!
//! A directory with files and without `CURRENT` is in one of two states: its first commit did not
//! happen, and its files are leftovers; or it has lost its `CURRENT`, and its files are all there
//! is. A marker tells them apart. It is durable before the first file of the first commit has a
//! name, and stays until `CURRENT` is durable, or until none of these files is left.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::publish::publisher::remove;
use crate::{AtomicFile, FileError, FileOperation, FileSystem};

/// Name of the marker. It is that of a temporary file, which a publisher removes when it opens a
/// directory with a commit.
pub(crate) const MARKER_FILE_NAME: &str = ".sst-first.tmp";

/// Content of the marker, for people.
const TEXT: &[u8] = b"the files here are of a first commit that has not happened yet\n";

/// Sets the marker when the first file of a commit is to get its name.
#[derive(Debug)]
pub(crate) struct FirstCommit {
    path: PathBuf,
    /// Whether the marker is durable.
    is_marked: Mutex<bool>,
}

impl FirstCommit {
    /// For a directory without a commit and without files of commits.
    pub(crate) fn new(directory: &Path) -> Self {
        Self { path: directory.join(MARKER_FILE_NAME), is_marked: Mutex::new(false) }
    }

    /// Makes the marker durable, once.
    pub(crate) fn mark(&self, file_system: &Arc<dyn FileSystem>) -> Result<(), FileError> {
        // The lock guards one plain value, so a panic under it breaks nothing.
        let mut is_marked = self.is_marked.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_marked {
            let mut file = AtomicFile::create_in(Arc::clone(file_system), &self.path)?;
            file.write(TEXT)?;
            file.persist()?;
            *is_marked = true;
        }
        Ok(())
    }

    /// Removes the marker after all files of the commit were removed: their removal is durable
    /// first.
    pub(crate) fn unmark(&self, file_system: &dyn FileSystem) -> Result<(), FileError> {
        let mut is_marked = self.is_marked.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_marked {
            let directory = crate::file::atomic_file::directory_of(&self.path);
            file_system
                .sync_directory(directory)
                .map_err(FileError::at(directory, FileOperation::SyncDirectory))?;
            remove(file_system, &self.path)?;
            *is_marked = false;
        }
        Ok(())
    }
}
