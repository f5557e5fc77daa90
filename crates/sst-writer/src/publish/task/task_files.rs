//! The files of one task.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sst_format::content_digest::ValueDigest;
use sst_format::file_name::{CLAIMS_FOLDER, FileKind, FileName};
use sst_format::protection::BlobRecord;
use sst_format::{BlobNumber, SequenceNumber};

use crate::file::directory::{is_file, remove};
use crate::invariant::OrBroken;
use crate::publish::created_files::{CreatedBlob, CreatedFiles};
use crate::publish::directory_state::read_current;
use crate::publish::first_commit_marker::FirstCommitMarker;
use crate::publish::number_claim::NumberClaim;
use crate::{AtomicFile, BlobFile, FileError, FileOperation, FileSystem, PublishError};

/// The files of a task, shared by its writer and the writers of its tables.
#[derive(Debug)]
pub(super) struct TaskFiles {
    directory: PathBuf,
    file_system: Arc<dyn FileSystem>,
    owner: u64,
    numbers: Mutex<ClaimedNumbers>,
    created: CreatedFiles,
    has_ended: AtomicBool,
}

/// Numbers out of claimed blocks, one block after the other.
#[derive(Debug)]
struct ClaimedNumbers {
    claims: Vec<NumberClaim>,
    /// The rest of the last block; `None` before the first.
    rest: Option<RangeInclusive<u32>>,
}

impl TaskFiles {
    pub(super) fn new(directory: &Path, file_system: Arc<dyn FileSystem>, owner: u64) -> Self {
        let numbers = ClaimedNumbers { claims: Vec::new(), rest: None };
        Self {
            directory: directory.to_owned(),
            file_system,
            owner,
            numbers: Mutex::new(numbers),
            created: CreatedFiles::default(),
            has_ended: AtomicBool::new(false),
        }
    }

    pub(super) const fn owner(&self) -> u64 {
        self.owner
    }

    /// Every state of the numbers is a valid one, so that of a thread that panicked is too.
    fn numbers(&self) -> MutexGuard<'_, ClaimedNumbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a file under the next number. Its content is durable when it is persisted, and its
    /// name once the task is finished.
    pub(super) fn create(&self, kind: FileKind) -> Result<(FileName, AtomicFile), PublishError> {
        let sequence = self.next_number()?;
        let name = FileName { sequence, kind };
        // Until the first commit, the marker says that files without `CURRENT` are leftovers.
        if read_current(&*self.file_system, &self.directory)?.is_none() {
            FirstCommitMarker::shared(&self.directory, false).set(&self.file_system)?;
        }
        let temporaries = self.directory.join(CLAIMS_FOLDER);
        let file_system = Arc::clone(&self.file_system);
        let file = AtomicFile::create_by_way_of(file_system, self.path(name), &temporaries)?;
        Ok((name, file.name_synced_later()))
    }

    fn next_number(&self) -> Result<SequenceNumber, PublishError> {
        let mut numbers = self.numbers();
        if let Some(number) = numbers.rest.as_mut().and_then(Iterator::next) {
            return Ok(SequenceNumber(number));
        }
        let file_system = Arc::clone(&self.file_system);
        let claim = NumberClaim::take_for(file_system, &self.directory, self.owner)?;
        let mut rest = claim.numbers();
        let number = rest.next().or_broken("a claim has numbers")?;
        numbers.rest = Some(rest);
        numbers.claims.push(claim);
        Ok(SequenceNumber(number))
    }

    /// Fails if the claim on a number was lost: the name may be another writer's.
    pub(super) fn check(&self, name: FileName) -> Result<(), PublishError> {
        let numbers = self.numbers();
        let mut claims = numbers.claims.iter();
        let claim = claims.find(|claim| claim.numbers().contains(&name.sequence.0));
        claim.or_broken("a task claims the numbers of its files")?.check()
    }

    /// Registers a file that is about to get its name, or has it. Returns whether the task goes on;
    /// if it was dropped, the file is removed at once.
    pub(super) fn note(&self, name: FileName) -> bool {
        let goes_on = self.created.add(name);
        if !goes_on {
            // The caller reports that the task has ended. A file that stays is a leftover under a
            // claim.
            _ = remove(&*self.file_system, &self.path(name));
        }
        goes_on
    }

    pub(super) fn path(&self, name: FileName) -> PathBuf {
        self.directory.join(name.to_string())
    }

    pub(super) fn add_blob(
        &self,
        number: BlobNumber,
        blob: BlobFile,
        digest: Option<ValueDigest>,
    ) -> BlobRecord {
        let record = BlobRecord { number, file_size: blob.file_size, header: blob.header };
        self.created.add_blob(CreatedBlob { record, digest });
        record
    }

    /// The blobs of the task, in the order of their numbers.
    pub(super) fn blobs(&self) -> Vec<CreatedBlob> {
        self.created.blobs()
    }

    /// Whether the task takes no more tables.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Ends the writing of tables.
    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
    }

    /// Starts the age of all claims again.
    pub(super) fn renew(&self) -> Result<(), PublishError> {
        self.numbers().claims.iter().try_for_each(NumberClaim::renew)
    }

    /// The first numbers of the claimed blocks.
    pub(super) fn claims(&self) -> Vec<u32> {
        self.numbers().claims.iter().map(NumberClaim::first).collect()
    }

    /// Fails unless there is a file of this name. This finds a system that claims to have renamed a
    /// file and has not.
    pub(super) fn check_present(&self, name: FileName) -> Result<(), PublishError> {
        let path = self.path(name);
        match is_file(&*self.file_system, &path)? {
            true => Ok(()),
            false => Err(PublishError::NotAsWritten { path }),
        }
    }

    /// Makes the names of all files durable.
    pub(super) fn sync_names(&self) -> Result<(), FileError> {
        let error = FileError::at(&self.directory, FileOperation::SyncDirectory);
        self.file_system.sync_directory(&self.directory).map_err(error)
    }

    /// Removes all files, and releases the claims if none is left.
    pub(super) fn discard(&self) {
        self.end();
        let left = self.created.remove(|name| {
            // Under a claim that was lost, the file may be another writer's.
            self.check(name).is_ok() && remove(&*self.file_system, &self.path(name)).is_ok()
        });
        if left.is_empty() {
            for claim in self.numbers().claims.drain(..).filter(|claim| claim.check().is_ok()) {
                // Called when a task is dropped, which can return no error. A claim that stays ends
                // with its job, or by its age.
                _ = claim.release();
            }
        }
    }
}
