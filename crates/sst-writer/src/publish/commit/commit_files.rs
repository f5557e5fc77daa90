//! The files of one commit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sst_format::content_digest::ValueDigest;
use sst_format::file_name::{FileKind, FileName};
use sst_format::protection::BlobRecord;
use sst_format::{BlobNumber, SequenceNumber};

use crate::publish::publisher::{Numbers, Publisher, remove};
use crate::{AtomicFile, BlobFile, FileError, FileOperation, FileSystem, Monitor, PublishError};

/// The files that a commit makes, shared by the commit and the writers of its tables.
#[derive(Debug)]
pub(crate) struct CommitFiles {
    pub(super) directory: Arc<Path>,
    pub(super) file_system: Arc<dyn FileSystem>,
    pub(super) monitor: Monitor,
    numbers: Arc<Numbers>,
    has_ended: AtomicBool,
    made: Mutex<Made>,
}

/// What was made so far.
#[derive(Debug, Default)]
struct Made {
    /// Every name given to a file of the commit.
    names: Vec<FileName>,
    blobs: BTreeMap<BlobNumber, MadeBlob>,
}

/// A blob of a commit.
#[derive(Clone, Copy, Debug)]
pub(super) struct MadeBlob {
    pub(super) record: BlobRecord,
    /// Digest of the value that was put in; `None` for a copy, or if digests are not taken.
    pub(super) digest: Option<ValueDigest>,
}

impl CommitFiles {
    /// No files yet.
    pub(super) fn new(publisher: &Publisher) -> Self {
        Self {
            directory: publisher.shared_directory(),
            file_system: publisher.file_system(),
            monitor: publisher.options().monitor.clone(),
            numbers: publisher.numbers(),
            has_ended: AtomicBool::new(false),
            made: Mutex::default(),
        }
    }

    /// The lock guards plain values that are whole at any time, so a panic under it breaks nothing.
    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether tables can no longer be added to the commit.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// From now on no writer may finish a table of the commit.
    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
    }

    /// Gives a new file its number. Returns that and the path of the file.
    pub(super) fn allocate(
        &self,
        kind: FileKind,
    ) -> Result<(SequenceNumber, PathBuf), PublishError> {
        let exhausted =
            || PublishError::NumbersExhausted { directory: self.directory.to_path_buf() };
        let sequence = self.numbers.next().ok_or_else(exhausted)?;
        let name = FileName { sequence, kind };
        self.note(name);
        Ok((sequence, self.path(name)))
    }

    /// Notes a file that goes when the commit fails.
    pub(super) fn note(&self, name: FileName) {
        self.made().names.push(name);
    }

    /// A planted bug: the file noted last stays when the commit fails.
    #[cfg(sst_planted)]
    pub(super) fn forget_last(&self) {
        self.made().names.pop();
    }

    /// The path of a file of the directory.
    pub(super) fn path(&self, name: FileName) -> PathBuf {
        self.directory.join(name.to_string())
    }

    /// Adds a durable blob file.
    pub(super) fn add_blob(&self, number: BlobNumber, blob: BlobFile, digest: Option<ValueDigest>) {
        let record = BlobRecord { number, file_size: blob.file_size, header: blob.header };
        self.made().blobs.insert(number, MadeBlob { record, digest });
    }

    /// A blob of the commit; `None` if it is not one of its own.
    pub(super) fn blob(&self, number: BlobNumber) -> Option<MadeBlob> {
        self.made().blobs.get(&number).copied()
    }

    /// Asks the system to read a file of the directory from the device the next time.
    pub(super) fn drop_cache(&self, name: FileName) -> Result<(), FileError> {
        let path = self.path(name);
        self.file_system.drop_cache(&path).map_err(FileError::at(&path, FileOperation::Read))
    }

    /// Writes a file, makes it durable, and reads it back from the device.
    pub(super) fn write(&self, name: FileName, bytes: &[u8]) -> Result<(), PublishError> {
        let path = self.path(name);
        let mut file = AtomicFile::create_in(Arc::clone(&self.file_system), &path)?;
        file.write(bytes)?;
        file.persist()?;
        self.check_written(&path, bytes)
    }

    /// Compares a durable file on the device with what was written. A device that loses or changes
    /// bytes without an error is found here.
    pub(super) fn check_written(&self, path: &Path, bytes: &[u8]) -> Result<(), PublishError> {
        let error = |error| FileError::at(path, FileOperation::Read)(error);
        self.file_system.drop_cache(path).map_err(error)?;
        let found = self.file_system.read(path).map_err(error)?;
        if found != bytes {
            return Err(PublishError::NotAsWritten { path: path.to_owned() });
        }
        Ok(())
    }

    /// Removes the files of the commit that `keep` does not name.
    pub(super) fn remove_all_but(&self, keep: &BTreeSet<FileName>) {
        for name in self.made().names.iter().filter(|name| !keep.contains(name)) {
            // Called when a commit is dropped, where no error can be returned. The next publisher
            // removes what stays.
            _ = remove(&*self.file_system, &self.path(*name));
        }
    }
}
