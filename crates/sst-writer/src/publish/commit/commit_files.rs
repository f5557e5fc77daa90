//! The files of one commit.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use sst_format::content_digest::ValueDigest;
use sst_format::file_name::{FileKind, FileName};
use sst_format::planted;
use sst_format::protection::BlobRecord;
use sst_format::{BlobNumber, SequenceNumber};

use crate::file::directory::remove;
use crate::publish::commit_point::WrittenFile;
use crate::publish::created_files::{CreatedBlob, CreatedFiles};
use crate::publish::directory_lock::DirectoryLock;
use crate::publish::first_commit_marker::FirstCommitMarker;
use crate::publish::numbers::Numbers;
use crate::publish::publisher::Publisher;
use crate::{AtomicFile, BlobFile, FileError, FileOperation, FileSystem, PublishError, WriteError};

/// The files of a commit, shared by the commit and the writers of its tables.
#[derive(Debug)]
pub(crate) struct CommitFiles {
    pub(super) directory: Arc<Path>,
    pub(super) file_system: Arc<dyn FileSystem>,
    numbers: Arc<Numbers>,
    /// Only before the first commit of the directory.
    marker: Option<Arc<FirstCommitMarker>>,
    has_ended: AtomicBool,
    created: CreatedFiles,
    /// The lock of the directory. The writer of a table may outlive the publisher, and must not
    /// hold the lock then.
    lock: Weak<DirectoryLock>,
}

/// An error of creating a file.
pub(crate) trait CreateError {
    /// Whether the error says that a file of that name exists.
    fn is_taken(&self) -> bool;
}

impl CreateError for FileError {
    fn is_taken(&self) -> bool {
        self.source.kind() == io::ErrorKind::AlreadyExists
    }
}

impl CreateError for WriteError {
    fn is_taken(&self) -> bool {
        matches!(self, Self::Exists { .. })
    }
}

impl CreateError for PublishError {
    fn is_taken(&self) -> bool {
        match self {
            Self::File(error) => error.is_taken(),
            Self::Write(error) => error.is_taken(),
            // No other error is about a file that was to be created.
            _ => false,
        }
    }
}

impl CommitFiles {
    /// Starts without files.
    pub(super) fn new(publisher: &Publisher) -> Self {
        Self {
            directory: publisher.shared_directory(),
            file_system: publisher.file_system(),
            numbers: publisher.numbers(),
            marker: publisher.marker(),
            has_ended: AtomicBool::new(false),
            created: CreatedFiles::default(),
            lock: publisher.lock(),
        }
    }

    /// Whether the commit takes no more tables.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Ends the writing of tables: no writer may finish one after this.
    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
    }

    /// Fails if the path of the directory leads to another one than the locked one: a file of the
    /// commit would appear there. For example, a load waits for its input, and the directory is
    /// removed and made anew. Afterwards only the names of the commit's files would tell that they
    /// are in the wrong place.
    pub(crate) fn check_directory(&self) -> Result<(), PublishError> {
        match self.lock.upgrade() {
            Some(lock) => lock.check(),
            // The publisher is gone, and with it the commit, which the caller finds out.
            None => Ok(()),
        }
    }

    /// Reserves the next number for a file. Returns the file's name and path.
    pub(super) fn allocate(&self, kind: FileKind) -> Result<(FileName, PathBuf), PublishError> {
        self.check_directory()?;
        if let Some(marker) = &self.marker {
            marker.set(&self.file_system)?;
        }
        let sequence = self.numbers.next()?;
        let name = FileName { sequence, kind };
        Ok((name, self.path(name)))
    }

    /// Registers a file that is about to get its name, or has it. An error may have come after
    /// that, so the file is registered unless the error says that the name was taken.
    pub(crate) fn note_created<T, E: CreateError>(
        &self,
        name: FileName,
        created: Result<T, E>,
    ) -> Result<T, E> {
        if !created.as_ref().is_err_and(CreateError::is_taken) {
            self.note(name);
        }
        created
    }

    /// Removes the marker of the first commit, because no file of the commit is left.
    pub(super) fn remove_marker(&self) {
        if let Some(marker) = &self.marker {
            // Called when a commit is dropped, which can return no error. The next publisher
            // removes the marker if it stays.
            _ = marker.remove(&*self.file_system);
        }
    }

    /// Keeps the marker of the first commit, because files of the commit stay.
    pub(super) fn keep_marker(&self) {
        if let Some(marker) = &self.marker {
            marker.pin();
        }
    }

    /// Whether the commit has created a file.
    pub(super) fn has_files(&self) -> bool {
        self.created.has_names()
    }

    /// Registers a file that the commit has created, to be removed if the commit fails. If the
    /// commit was dropped meanwhile, the file is removed at once.
    fn note(&self, name: FileName) {
        if !self.created.add(name) {
            // The caller reports that the commit has ended. If the file stays, the next publisher
            // removes it.
            _ = remove(&*self.file_system, &self.path(name));
        }
    }

    /// Whether the files of the commit were removed because it was dropped.
    pub(crate) fn are_removed(&self) -> bool {
        self.created.are_removed()
    }

    /// A planted bug: the file registered last stays when the commit fails.
    #[cfg(sst_planted)]
    pub(super) fn forget_last(&self) {
        self.created.forget_last();
    }

    /// The path of a file in the directory.
    pub(super) fn path(&self, name: FileName) -> PathBuf {
        self.directory.join(name.to_string())
    }

    /// Adds a durable blob file to the blobs of the commit.
    pub(super) fn add_blob(&self, number: BlobNumber, blob: BlobFile, digest: Option<ValueDigest>) {
        let record = BlobRecord { number, file_size: blob.file_size, header: blob.header };
        self.created.add_blob(CreatedBlob { record, digest });
    }

    /// Adds a blob that a task has written. Its file is the task's.
    pub(super) fn add_blob_of_task(&self, record: BlobRecord) {
        self.created.add_blob(CreatedBlob { record, digest: None });
    }

    /// Leaves numbers up to this one to the tasks that have claimed them: all numbers from now on
    /// are above it.
    pub(super) fn number_above(&self, number: SequenceNumber) {
        self.numbers.raise(number);
    }

    /// A blob of this commit; `None` for any other blob.
    pub(super) fn blob(&self, number: BlobNumber) -> Option<CreatedBlob> {
        self.created.blob(number)
    }

    /// Asks the system to read a file of the directory from the device the next time.
    pub(super) fn drop_cache(&self, name: FileName) -> Result<(), FileError> {
        let path = self.path(name);
        self.file_system.drop_cache(&path).map_err(FileError::at(&path, FileOperation::Read))
    }

    /// Starts a file of the commit. Its content is durable when it is persisted, and its name after
    /// [`CommitFiles::sync_names`]: one sync of the directory does for all files of the commit.
    pub(super) fn create(&self, path: &Path) -> Result<AtomicFile, FileError> {
        let file = AtomicFile::create_in(Arc::clone(&self.file_system), path)?;
        Ok(file.name_synced_later())
    }

    /// Makes the names of all files of the commit durable.
    pub(super) fn sync_names(&self) -> Result<(), FileError> {
        planted!("directory-sync-skipped" => return Ok(()));
        let error = FileError::at(&self.directory, FileOperation::SyncDirectory);
        self.file_system.sync_directory(&self.directory).map_err(error)
    }

    /// Writes a file, makes its content durable, and reads it back from the device.
    pub(super) fn write(&self, name: FileName, bytes: &[u8]) -> Result<(), PublishError> {
        self.write_pieces(name, bytes.len() as u64, |out| out(bytes))
    }

    /// As [`CommitFiles::write`], of a file of `len` bytes whose pieces are made twice: once to be
    /// written, and once to be compared with what the device holds.
    pub(super) fn write_pieces(
        &self,
        name: FileName,
        len: u64,
        pieces: impl Fn(&mut dyn FnMut(&[u8]) -> Result<(), PublishError>) -> Result<(), PublishError>,
    ) -> Result<(), PublishError> {
        let path = self.path(name);
        let mut file = self.create(&path)?;
        pieces(&mut |piece| Ok(file.write(piece)?))?;
        self.note_created(name, file.persist())?;
        let mut written = WrittenFile::open(&*self.file_system, &path, len)?;
        pieces(&mut |piece| written.compare(piece))
    }

    /// Checks that a file has its name.
    pub(super) fn check_present(&self, name: FileName) -> Result<(), PublishError> {
        let path = self.path(name);
        match self.file_system.is_file(&path) {
            Ok(true) => Ok(()),
            Ok(false) => Err(PublishError::NotAsWritten { path }),
            Err(error) => Err(FileError::at(&path, FileOperation::Read)(error).into()),
        }
    }

    /// Removes files that were created for the commit and that it does not need, before it is
    /// visible. Those that cannot be removed are tried again when the commit is dropped.
    pub(super) fn remove_unused(&self, is_needed: impl Fn(FileName) -> bool) {
        self.created.retain(|name| {
            is_needed(name) || remove(&*self.file_system, &self.path(name)).is_err()
        });
    }

    /// Removes the files of the commit except those in `keep`. Returns those that could not be
    /// removed.
    ///
    /// Called when a commit is dropped, which can return no error. The next commit or publisher
    /// removes the files that stay.
    pub(super) fn remove_all_but(&self, keep: &BTreeSet<FileName>) -> BTreeSet<FileName> {
        self.created.remove(|name| {
            keep.contains(&name) || remove(&*self.file_system, &self.path(name)).is_ok()
        })
    }
}
