//! The marker of a first commit that has not happened yet.
//!
//! A directory with files but without `CURRENT` is in one of two states. Either its first commit
//! did not happen, and its files are leftovers. Or it has lost its `CURRENT`, and its files are the
//! only copy of the data. The marker tells these states apart. It is made durable before the first
//! file of the first commit gets its name. It stays until `CURRENT` is durable, or until none of
//! these files is left.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::file::atomic_file::directory_of;
use crate::file::directory::remove;
use crate::{AtomicFile, FileError, FileOperation, FileSystem};

/// Name of the marker file of a first commit that has not happened yet.
pub const FIRST_COMMIT_FILE_NAME: &str = ".first-commit";

/// Content of the marker file, for people.
const TEXT: &str = "the files here are of a first commit that has not happened yet\n";

/// Sets the marker before the first file of a commit gets its name.
#[derive(Debug)]
pub(crate) struct FirstCommitMarker {
    path: PathBuf,
    state: Mutex<MarkerState>,
    /// Whether tasks that have claimed numbers may rely on the marker too.
    is_shared: bool,
}

/// The state of the marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MarkerState {
    Missing,
    /// It is durable.
    Set,
    /// It is durable, and files of a commit stay, because the outcome of the commit is unknown or
    /// they could not be removed. Only a commit or the next publisher removes such a marker.
    Pinned,
}

impl FirstCommitMarker {
    /// The missing marker of a directory without a commit and without files of commits.
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            path: directory.join(FIRST_COMMIT_FILE_NAME),
            state: Mutex::new(MarkerState::Missing),
            is_shared: false,
        }
    }

    /// The marker of a directory without a commit in which tasks may write files under claims. Once
    /// it is there it stays until a commit, or until a publisher finds no claim in force.
    pub(crate) fn shared(directory: &Path, is_there: bool) -> Self {
        let state = if is_there { MarkerState::Pinned } else { MarkerState::Missing };
        Self {
            path: directory.join(FIRST_COMMIT_FILE_NAME),
            state: Mutex::new(state),
            is_shared: true,
        }
    }

    /// The durable marker of a directory without a commit, whose files stay.
    pub(crate) fn pinned(directory: &Path) -> Self {
        Self {
            path: directory.join(FIRST_COMMIT_FILE_NAME),
            state: Mutex::new(MarkerState::Pinned),
            is_shared: false,
        }
    }

    /// The lock guards one plain value, so a panic under it breaks nothing.
    fn state(&self) -> MutexGuard<'_, MarkerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the marker durable, if it is missing.
    pub(crate) fn set(&self, file_system: &Arc<dyn FileSystem>) -> Result<(), FileError> {
        let mut state = self.state();
        if *state == MarkerState::Missing {
            let set = if self.is_shared { MarkerState::Pinned } else { MarkerState::Set };
            let is_taken = |error: &FileError| error.source.kind() == io::ErrorKind::AlreadyExists;
            let mut file = match AtomicFile::create_in(Arc::clone(file_system), &self.path) {
                // A task was faster.
                Err(error) if self.is_shared && is_taken(&error) => {
                    *state = set;
                    return Ok(());
                }
                file => file?,
            };
            file.write(TEXT)?;
            let persisted = file.persist();
            // An error does not tell whether the name exists, so the marker counts as set, to be
            // removed.
            *state = set;
            match persisted {
                Err(error) if !(self.is_shared && is_taken(&error)) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Keeps the marker, because files of a commit stay.
    pub(crate) fn pin(&self) {
        let mut state = self.state();
        if *state == MarkerState::Set {
            *state = MarkerState::Pinned;
        }
    }

    /// Removes the marker after all files of a commit were removed. First makes their removal
    /// durable.
    pub(crate) fn remove(&self, file_system: &dyn FileSystem) -> Result<(), FileError> {
        let mut state = self.state();
        if *state == MarkerState::Set {
            let directory = directory_of(&self.path);
            file_system
                .sync_directory(directory)
                .map_err(FileError::at(directory, FileOperation::SyncDirectory))?;
            remove(file_system, &self.path)?;
            *state = MarkerState::Missing;
        }
        Ok(())
    }

    /// Removes the marker, because the first commit has happened.
    pub(crate) fn end(&self, file_system: &dyn FileSystem) -> Result<(), FileError> {
        let mut state = self.state();
        if *state != MarkerState::Missing {
            remove(file_system, &self.path)?;
            *state = MarkerState::Missing;
        }
        Ok(())
    }
}
