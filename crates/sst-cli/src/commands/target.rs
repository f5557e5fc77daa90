//! The directory that is written to.

use std::fs;
use std::path::{Path, PathBuf};

use sst_format::SequenceNumber;
use sst_writer::publish::{FIRST_COMMIT_FILE_NAME, LOCK_FILE_NAME};
use sst_writer::{Publisher, PublisherOptions};

use crate::error::CliError;
use crate::store::read_catalog;

/// A directory to write to, which is removed again if it was made for something that failed.
pub(super) struct Target {
    publisher: Publisher,
    /// Directories that were made, the innermost first.
    made: Vec<PathBuf>,
}

impl Target {
    pub(super) fn open(directory: &Path, options: PublisherOptions) -> Result<Self, CliError> {
        if directory.is_dir() {
            check_directory(directory)?;
        }
        let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let made = directory.ancestors().take_while(is_missing).map(Path::to_owned).collect();
        let publisher = Publisher::open(directory, options)?;
        Ok(Self { publisher, made })
    }

    pub(super) fn publisher(&mut self) -> &mut Publisher {
        &mut self.publisher
    }

    /// Does something with it. If that fails the directory is removed again, if it was made for
    /// this.
    pub(super) fn write<T>(
        mut self,
        action: impl FnOnce(&mut Publisher) -> Result<T, CliError>,
    ) -> Result<T, CliError> {
        let before = self.publisher.current();
        action(&mut self.publisher).map_err(|error| self.failed(before, error))
    }

    /// The error of a command that was to make a commit after `before`: it says so if the commit is
    /// live all the same. Otherwise the directory is removed again, if it was made for this.
    pub(super) fn failed(self, before: Option<SequenceNumber>, error: CliError) -> CliError {
        let directory = self.publisher.directory().to_owned();
        let error = error_after(&directory, before, error);
        if !matches!(error, CliError::Live { .. }) {
            self.undo();
        }
        error
    }

    /// Removes the directory if it was made for this. What cannot be removed is no harm.
    pub(super) fn undo(self) {
        let Self { publisher, made } = self;
        if made.is_empty() || publisher.current().is_some() {
            return;
        }
        // While the lock is held, so that no other publisher loses its lock file.
        _ = fs::remove_file(publisher.directory().join(LOCK_FILE_NAME));
        drop(publisher);
        for directory in made {
            // Fails if somebody else has put something there.
            _ = fs::remove_dir(directory);
        }
    }
}

/// The error of a command that was to make a commit after `before` in a directory that it has
/// locked: it says so if the directory has another commit by now. For example, the directory could
/// not be synced after `CURRENT` was replaced.
pub(super) fn error_after(
    directory: &Path,
    before: Option<SequenceNumber>,
    error: CliError,
) -> CliError {
    match read_catalog(directory) {
        Ok(catalog) if before != Some(catalog.commit) => {
            error.after_commit(directory, catalog.commit.0)
        }
        // Where `CURRENT` cannot be read either, nobody knows of a commit that is live.
        _ => error,
    }
}

/// Refuses a directory that is not ours to write to, before anything in it is touched: one of the
/// original's, and one with SST files but no `CURRENT`, which a publisher would take for leftovers
/// and remove.
pub(super) fn check_directory(directory: &Path) -> Result<(), CliError> {
    match read_catalog(directory) {
        Ok(catalog) if catalog.is_protected => Ok(()),
        Ok(_) => Err(CliError::Original(directory.to_owned())),
        // Where there is this marker, a publisher of ours has left the files.
        Err(CliError::NoCurrent { has_files: true, .. })
            if !directory.join(FIRST_COMMIT_FILE_NAME).exists() =>
        {
            Err(CliError::NotOurs(directory.to_owned()))
        }
        Err(CliError::NoCurrent { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
