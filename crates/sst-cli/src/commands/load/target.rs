//! The directory that is loaded into.

use std::fs;
use std::path::{Path, PathBuf};

use sst_writer::{Publisher, PublisherOptions};

use crate::error::CliError;
use crate::store::read_catalog;

/// A directory to load into, which is removed again if it was made for a load that failed.
pub(crate) struct Target {
    publisher: Publisher,
    /// Directories that were made, the innermost first.
    made: Vec<PathBuf>,
}

impl Target {
    pub(crate) fn open(directory: &Path, options: PublisherOptions) -> Result<Self, CliError> {
        if directory.is_dir() {
            check_directory(directory)?;
        }
        let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let made = directory.ancestors().take_while(is_missing).map(Path::to_owned).collect();
        let publisher = Publisher::open(directory, options)?;
        Ok(Self { publisher, made })
    }

    pub(crate) fn publisher(&mut self) -> &mut Publisher {
        &mut self.publisher
    }

    /// Removes the directory if it was made for this load. What cannot be removed is no harm.
    pub(crate) fn undo(self) {
        let Self { publisher, made } = self;
        if made.is_empty() || publisher.current().is_some() {
            return;
        }
        // While the lock is held, so that no other load is robbed of its own.
        _ = fs::remove_file(publisher.directory().join("LOCK"));
        drop(publisher);
        for directory in made {
            // Fails if somebody else has put something there.
            _ = fs::remove_dir(directory);
        }
    }
}

/// Refuses a directory that is not ours to write to, before anything in it is touched: one of the original's, and one with
/// SST files but no `CURRENT`, which a publisher would take for leftovers and remove.
pub(crate) fn check_directory(directory: &Path) -> Result<(), CliError> {
    match read_catalog(directory) {
        Ok(catalog) if catalog.is_protected => Ok(()),
        Ok(_) => Err(CliError::Original(directory.to_owned())),
        // Where there is a lock, a publisher of ours has left the files.
        Err(CliError::NoCurrent { has_files: true, .. }) if !directory.join("LOCK").exists() => {
            Err(CliError::NotOurs(directory.to_owned()))
        }
        Err(CliError::NoCurrent { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
