//! The blocks of numbers of a directory that others have claimed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sst_format::SequenceNumber;
use sst_format::file_name::CLAIMS_FOLDER;

use crate::file::directory::{list, remove};
use crate::file::file_system::is_temporary;
use crate::publish::number_claim::{
    ClaimText, JobId, NumberClaim, block_of, claim_path, claimed_blocks, has_claims,
};
use crate::{FileError, FileOperation, FileSystem};

/// The claims of a locked directory, those of its publisher left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClaimedBlocks {
    /// The first numbers of the blocks whose claims are in force.
    in_force: BTreeSet<u32>,
    /// The first numbers of the blocks whose claims have ended but are still there, with the owner
    /// of each: files under these numbers that belong to no commit are leftovers.
    ended: BTreeMap<u32, Option<u64>>,
}

/// A claim as it was found.
struct FoundClaim {
    text: ClaimText,
    age: Duration,
}

impl ClaimedBlocks {
    /// Reads the claims of a locked directory. Those that are older than `grace` are ended: their
    /// writers find that out before they publish.
    pub(crate) fn load(
        file_system: &Arc<dyn FileSystem>,
        directory: &Path,
        grace: Duration,
    ) -> Result<Self, FileError> {
        let mut blocks = Self::default();
        if !has_claims(&**file_system, directory)? {
            return Ok(blocks);
        }
        let temporaries = temporaries(&**file_system, directory)?;
        for first in claimed_blocks(&**file_system, directory)? {
            let Some(FoundClaim { text, age }) = find(&**file_system, directory, first)? else {
                continue;
            };
            if !text.is_done && age < grace {
                blocks.in_force.insert(first);
            } else {
                blocks.end(file_system, directory, first, text)?;
            }
        }
        for path in temporaries {
            let is_old = !blocks.is_in_force()
                || age(&**file_system, &path)?.is_some_and(|age| age >= grace);
            if is_old {
                remove(&**file_system, &path)?;
            }
        }
        Ok(blocks)
    }

    /// Ends the claims of all tasks of a job, those included that were made since the directory was
    /// opened, and removes temporary files if no task is at work any more. `own` are the blocks of
    /// the publisher, which has no temporary file among them.
    pub(crate) fn end_job(
        &mut self,
        file_system: &Arc<dyn FileSystem>,
        directory: &Path,
        job: JobId,
        own: &BTreeSet<u32>,
    ) -> Result<(), FileError> {
        if !has_claims(&**file_system, directory)? {
            return Ok(());
        }
        let temporaries = temporaries(&**file_system, directory)?;
        let mut others_work = false;
        for first in claimed_blocks(&**file_system, directory)? {
            let found = find(&**file_system, directory, first)?;
            let Some(FoundClaim { text, .. }) = found else { continue };
            if text.owner.map(JobId::of_owner) == Some(job) {
                self.end(file_system, directory, first, text)?;
            } else {
                others_work |= !text.is_done && !own.contains(&first);
            }
        }
        // The name of a temporary file does not tell whose it is.
        if !others_work {
            temporaries.iter().try_for_each(|path| remove(&**file_system, path))?;
        }
        Ok(())
    }

    fn end(
        &mut self,
        file_system: &Arc<dyn FileSystem>,
        directory: &Path,
        first: u32,
        text: ClaimText,
    ) -> Result<(), FileError> {
        if !text.is_done {
            // The owner of a claim that is not understood checks it in its own way, and finds
            // another owner.
            let owner = text.owner.unwrap_or_else(|| JobId::random().new_owner());
            NumberClaim::of_owner(Arc::clone(file_system), directory, first, owner).end()?;
        }
        self.in_force.remove(&first);
        self.ended.insert(first, text.owner);
        Ok(())
    }

    /// Notes that a claim was released.
    pub(crate) fn forget(&mut self, first: u32) {
        self.in_force.remove(&first);
    }

    /// Whether a number is claimed.
    pub(crate) fn contains(&self, number: SequenceNumber) -> bool {
        self.in_force.contains(&block_of(number.0))
    }

    /// Whether a claim is in force.
    pub(crate) fn is_in_force(&self) -> bool {
        !self.in_force.is_empty()
    }

    /// Whether claims have ended.
    pub(crate) fn has_ended(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Whether the claim on a number has ended, with the owner if it is known.
    pub(crate) fn ended_owner(&self, number: SequenceNumber) -> Option<Option<u64>> {
        self.ended.get(&block_of(number.0)).copied()
    }

    /// Removes the claims that have ended, once no file needs them any more.
    pub(crate) fn remove_ended(
        &mut self,
        file_system: &dyn FileSystem,
        directory: &Path,
    ) -> Result<(), FileError> {
        while let Some((first, _)) = self.ended.first_key_value() {
            let first = *first;
            remove(file_system, &claim_path(directory, first))?;
            self.ended.remove(&first);
        }
        Ok(())
    }
}

/// The temporary files of tasks. They are in the folder of claims, where only claims tell whether
/// tasks are at work: so list these files first. A task claims a number before it creates a file.
fn temporaries(file_system: &dyn FileSystem, directory: &Path) -> Result<Vec<PathBuf>, FileError> {
    let folder = directory.join(CLAIMS_FOLDER);
    let names = list(file_system, &folder)?;
    Ok(names.iter().filter(|name| is_temporary(name)).map(|name| folder.join(name)).collect())
}

/// Reads a claim; `None` if it was released meanwhile.
fn find(
    file_system: &dyn FileSystem,
    directory: &Path,
    first: u32,
) -> Result<Option<FoundClaim>, FileError> {
    let path = claim_path(directory, first);
    let Some(age) = age(file_system, &path)? else { return Ok(None) };
    match file_system.read(&path) {
        Ok(bytes) => Ok(Some(FoundClaim { text: ClaimText::parse(&bytes), age })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::at(&path, FileOperation::Read)(error)),
    }
}

/// The time since a file was written; `None` if it is gone.
fn age(file_system: &dyn FileSystem, path: &Path) -> Result<Option<Duration>, FileError> {
    match file_system.modified(path) {
        // A file of the future counts as new, which spares what a claim protects.
        Ok(modified) => Ok(Some(modified.elapsed().unwrap_or(Duration::ZERO))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::at(path, FileOperation::Inspect)(error)),
    }
}
