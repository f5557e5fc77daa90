//! The output directory of a command.

use std::fs;
use std::path::{Path, PathBuf};

use sst_format::SequenceNumber;
use sst_writer::{Publisher, PublisherOptions};

use crate::error::CliError;
use crate::store::{is_directory, read_catalog};

/// An output directory. If the command fails, a directory that was created for it is removed.
pub(super) struct Target {
    publisher: Publisher,
    /// Directories that were created for this command, the innermost first.
    made: Vec<PathBuf>,
}

impl Target {
    pub(super) fn open(directory: &Path, options: PublisherOptions) -> Result<Self, CliError> {
        if exists(directory)? && is_directory(directory)? {
            check_directory(directory)?;
        }
        let mut made = Vec::new();
        for path in directory.ancestors().take_while(|path| !path.as_os_str().is_empty()) {
            if exists(path)? {
                break;
            }
            made.push(path.to_owned());
        }
        let publisher = Publisher::open(directory, options)?;
        Ok(Self { publisher, made })
    }

    pub(super) fn publisher(&mut self) -> &mut Publisher {
        &mut self.publisher
    }

    /// Runs `action` with the publisher. If it fails, a directory that was created for this command
    /// is removed.
    pub(super) fn write<T>(
        mut self,
        action: impl FnOnce(&mut Publisher) -> Result<T, CliError>,
    ) -> Result<T, CliError> {
        let before = self.publisher.current();
        action(&mut self.publisher).map_err(|error| self.failed(before, error))
    }

    /// Converts the error of a command that was to make a commit after `before`. If the commit is
    /// live all the same, the error says so. Otherwise a directory that was created for this
    /// command is removed.
    pub(super) fn failed(self, before: Option<SequenceNumber>, error: CliError) -> CliError {
        let error = error_after(&self.publisher, before, error);
        if !matches!(error, CliError::Live { .. }) {
            self.undo();
        }
        error
    }

    /// Removes the directories that were created for this command. If a removal fails, an empty
    /// directory stays, which harms nothing.
    pub(super) fn undo(self) {
        let Self { publisher, made } = self;
        if made.is_empty() || publisher.current().is_some() {
            return;
        }
        if publisher.remove_lock_file().is_err() {
            // The lock file may be another publisher's, in a directory that took the place of ours.
            return;
        }
        for directory in made {
            // Fails if another process has put a file there.
            _ = fs::remove_dir(directory);
        }
    }
}

/// Whether there is a file or directory at `path`.
pub(crate) fn exists(path: &Path) -> Result<bool, CliError> {
    path.try_exists().map_err(|error| CliError::io("look for", path, error))
}

/// Converts the error of a command that was to make a commit after `before`. If the directory shows
/// another commit now, the error says so. For example, syncing the directory may fail after
/// `CURRENT` was replaced.
///
/// A publisher that is not poisoned has failed before it replaced `CURRENT`: a commit that is live
/// then is of another process.
pub(super) fn error_after(
    publisher: &Publisher,
    before: Option<SequenceNumber>,
    error: CliError,
) -> CliError {
    let directory = publisher.directory();
    if !publisher.is_poisoned() {
        return error;
    }
    match read_catalog(directory) {
        Ok(catalog) if before != Some(catalog.commit) => {
            error.after_commit(directory, catalog.commit.0)
        }
        // If `CURRENT` cannot be read either, no commit is known to be live.
        _ => error,
    }
}

/// Refuses a directory that we must not write to, before anything in it is changed. That is a
/// directory of the original implementation, or one with SST files and no `CURRENT`: a publisher
/// would take those files for leftovers and remove them.
pub(super) fn check_directory(directory: &Path) -> Result<(), CliError> {
    match read_catalog(directory) {
        Ok(catalog) if catalog.is_protected => Ok(()),
        Ok(_) => Err(CliError::Original(directory.to_owned())),
        Err(CliError::NoCurrent { has_files: true, .. }) => {
            Err(CliError::NotOurs(directory.to_owned()))
        }
        // A marker shows that a publisher of ours left the files.
        Err(CliError::NoCurrent { .. } | CliError::NoFirstCommit(_)) => Ok(()),
        Err(error) => Err(error),
    }
}
