//! The writer of one attempt of a task.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sst_format::content_digest::ValueDigest;
use sst_format::file_name::{FileKind, FileName};
use sst_format::{BlobNumber, SequenceNumber};

use super::task_files::TaskFiles;
use super::task_options::TaskOptions;
use super::task_report::{TaskReport, TaskTable};
use super::task_table_writer::{FinishedTaskTable, TaskTableWriter};
use crate::blob::blob_file::write_blob;
use crate::file::directory::create_directory;
use crate::publish::number_claim::create_claims_folder;
use crate::table::entry_digester::sha256;
use crate::{
    FileSystem, OsFileSystem, PublishError, StreamingSstWriter, WriteError, WriterOptions,
};

/// Writes the tables and blobs of one attempt of a task straight into a directory, under numbers
/// that it claims, while others do the same: nobody holds the directory's lock.
///
/// A job has one driver and many tasks, each in a process of its own, perhaps on another machine
/// that shares the file system. Each attempt of a task sends what it has written to the driver as a
/// [`TaskReport`]. The driver opens a [`Publisher`](crate::Publisher), adds the reports of the
/// attempts that won to one commit ([`Commit::add_task`](super::super::Commit::add_task)),
/// publishes it, and ends the job ([`Publisher::end_job`](crate::Publisher::end_job)), which
/// removes the files of all other attempts.
///
/// Readers see nothing of a task before that commit. If the writer is dropped without
/// [`TaskWriter::finish`], its files are removed and its claims released. Those of a process that
/// was killed stay until the job is ended, or until the claims are older than
/// [`PublisherOptions::claim_grace`](crate::PublisherOptions::claim_grace).
///
/// # Examples
///
/// ```
/// use sst_writer::publish::{FragmentOverlap, JobId, TaskOptions, TaskReport, TaskWriter};
/// use sst_writer::{Monitor, Publisher, PublisherOptions, WriterOptions};
///
/// let parent = tempfile::tempdir()?;
/// let directory = parent.path().join("db");
/// // The driver.
/// TaskWriter::prepare_directory(&directory)?;
/// let job = JobId::random();
/// // A task, in a process of its own.
/// let mut task = TaskWriter::open(&directory, TaskOptions::new(job))?;
/// let mut table = task.create_table(WriterOptions::default())?;
/// table.add(("key", "value"))?;
/// task.add_table(table.finish()?)?;
/// let report = task.finish()?.to_bytes()?;
/// // The driver again.
/// let mut publisher = Publisher::open(&directory, PublisherOptions::default())?;
/// let mut commit = publisher.begin();
/// commit.replace_all();
/// commit.add_task(&TaskReport::from_bytes(&report)?, FragmentOverlap::Refuse)?;
/// commit.publish(&Monitor::default())?;
/// publisher.end_job(job)?;
/// assert_eq!(publisher.live_tables().count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TaskWriter {
    options: TaskOptions,
    files: Arc<TaskFiles>,
    tables: Vec<TaskTable>,
    is_finished: bool,
}

impl TaskWriter {
    /// Prepares a directory for tasks: creates it, with its missing parents, and its folder of
    /// claims. The driver calls this once, before its tasks start.
    ///
    /// # Errors
    ///
    /// [`PublishError::Locked`] if a publisher has it open that has found no claims there;
    /// [`PublishError::File`].
    pub fn prepare_directory(directory: impl AsRef<Path>) -> Result<(), PublishError> {
        Self::prepare_directory_in(Arc::new(OsFileSystem), directory)
    }

    /// As [`TaskWriter::prepare_directory`], with the caller's file system.
    ///
    /// # Errors
    ///
    /// As [`TaskWriter::prepare_directory`].
    pub fn prepare_directory_in(
        file_system: Arc<dyn FileSystem>,
        directory: impl AsRef<Path>,
    ) -> Result<(), PublishError> {
        let directory = directory.as_ref();
        create_directory(&*file_system, directory)?;
        create_claims_folder(&file_system, directory)
    }

    /// Opens a directory for an attempt of a task. Numbers are claimed when they are needed.
    ///
    /// # Errors
    ///
    /// As [`TaskWriter::prepare_directory`], if the directory was not prepared.
    pub fn open(directory: impl AsRef<Path>, options: TaskOptions) -> Result<Self, PublishError> {
        let directory = directory.as_ref();
        let file_system = Arc::clone(&options.file_system);
        create_claims_folder(&file_system, directory)?;
        let owner = options.job.new_owner();
        let files = Arc::new(TaskFiles::new(directory, file_system, owner));
        Ok(Self { options, files, tables: Vec::new(), is_finished: false })
    }

    /// Starts a table.
    ///
    /// # Errors
    ///
    /// [`PublishError`] if no number can be claimed, or the file cannot be created.
    pub fn create_table(
        &self,
        mut options: WriterOptions,
    ) -> Result<TaskTableWriter, PublishError> {
        options.digest |= self.options.digest;
        let (name, file) = self.files.create(FileKind::Sst)?;
        let writer = StreamingSstWriter::in_file(file, options);
        Ok(TaskTableWriter::new(writer, name, Arc::clone(&self.files)))
    }

    /// Writes a blob, to which a table of this task can refer.
    ///
    /// # Errors
    ///
    /// [`PublishError`] if no number can be claimed, or the file cannot be written.
    pub fn create_blob(&self, value: impl AsRef<[u8]>) -> Result<BlobNumber, PublishError> {
        let value = value.as_ref();
        let (name, file) = self.files.create(FileKind::Blob)?;
        self.files.check(name)?;
        let path = self.files.path(name);
        let written = write_blob(file, &path, value, self.options.blob_compression);
        if !matches!(written, Err(WriteError::Exists { .. })) {
            self.files.note(name);
        }
        let (blob, ()) = written?;
        let digest = self.options.digest.then(|| ValueDigest::of(value, sha256));
        Ok(self.files.add_blob(BlobNumber(name.sequence.0), blob, digest).number)
    }

    /// Adds a finished table. If tables of a task share a key, the table added last wins.
    ///
    /// # Errors
    ///
    /// [`PublishError::ForeignTable`] if the table is another task's.
    pub fn add_table(&mut self, table: FinishedTaskTable) -> Result<(), PublishError> {
        let FinishedTaskTable { sequence, meta, blobs, digest, files } = table;
        if !Arc::ptr_eq(&files, &self.files) {
            return Err(PublishError::ForeignTable { table: sequence });
        }
        self.tables.push(TaskTable { sequence, meta, blobs, digest });
        Ok(())
    }

    /// Starts the age of its claims again. A task that runs for more than half of the grace period
    /// calls it now and then.
    ///
    /// # Errors
    ///
    /// [`PublishError::ClaimLost`] if a claim has ended; [`PublishError::File`].
    pub fn renew(&self) -> Result<(), PublishError> {
        self.files.renew()
    }

    /// Ends the task, whose tables and blobs are then durable, and describes them. The claims stay
    /// in force, and their age starts again: the commit needs them.
    ///
    /// # Errors
    ///
    /// [`PublishError::ClaimLost`] if a claim has ended; [`PublishError::NotAsWritten`] if a file
    /// does not have its name; [`PublishError::File`]. The files are removed then.
    pub fn finish(mut self) -> Result<TaskReport, PublishError> {
        self.files.end();
        self.files.renew()?;
        let blobs = self.files.blobs();
        let tables = self.tables.iter().map(|table| (table.sequence, FileKind::Sst));
        let of_blobs = blobs.iter().map(|blob| (blob.record.number.0, FileKind::Blob));
        let of_blobs = of_blobs.map(|(number, kind)| (SequenceNumber(number), kind));
        for (sequence, kind) in tables.chain(of_blobs) {
            self.files.check_present(FileName { sequence, kind })?;
        }
        self.files.sync_names()?;
        let digests = blobs.iter().filter_map(|blob| Some((blob.record.number, blob.digest?)));
        let report = TaskReport {
            owner: self.files.owner(),
            family: self.options.family,
            claims: self.files.claims(),
            tables: std::mem::take(&mut self.tables),
            blobs: blobs.iter().map(|blob| blob.record).collect(),
            content: None,
            blob_digests: digests.collect::<BTreeMap<_, _>>(),
        };
        self.is_finished = true;
        Ok(report)
    }
}

impl Drop for TaskWriter {
    fn drop(&mut self) {
        if !self.is_finished {
            self.files.discard();
        }
    }
}
