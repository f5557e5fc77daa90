//! The writer of one attempt of a task, in a bucket.

use sst_format::SequenceNumber;
use sst_format::file_name::{FileKind, FileName};
use sst_format::protection::BlobRecord;
use sst_writer::WriterOptions;
use sst_writer::publish::{JobId, TaskReport, TaskTable};

use super::{FinishedObjectTable, ObjectPublisher, ObjectPublisherOptions, ObjectTableWriter};
use crate::{Monitor, Store, StoreError};

/// Writes the tables and blobs of one attempt of a task straight into a bucket, under numbers that
/// it claims: [`TaskWriter`](sst_writer::publish::TaskWriter) for buckets. What it has written goes
/// to the driver as a [`TaskReport`], who adds it to one commit ([`ObjectCommit::add_task`]), and
/// then ends the job ([`ObjectPublisher::end_job`]).
///
/// Objects are uploaded while they are written. If the writer is dropped, they stay until the job
/// is ended, or garbage is collected.
///
/// [`ObjectCommit::add_task`]: crate::ObjectCommit::add_task
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use object_store::memory::InMemory;
/// use sst_object_store::{
///     FragmentOverlap, Monitor, ObjectPublisher, ObjectPublisherOptions, ObjectTaskWriter, Store,
///     StoreError,
/// };
/// use sst_writer::WriterOptions;
/// use sst_writer::publish::{JobId, TaskReport};
///
/// # tokio::runtime::Builder::new_multi_thread().enable_time().build()?.block_on(async {
/// let store = Store::new(Arc::new(InMemory::new()), "memory:///", "fruit.db")?;
/// let (job, options) = (JobId::random(), ObjectPublisherOptions::default());
/// // A task, in a process of its own.
/// let mut task = ObjectTaskWriter::new(&store, job, 0, options.clone())?;
/// let mut table = task.create_table(WriterOptions::default()).await?;
/// let written = tokio::task::spawn_blocking(move || {
///     table.add(("apple", "red"))?;
///     table.finish()
/// });
/// task.add_table(written.await.expect("no panic")?);
/// let report = task.finish(&Monitor::default()).await?.to_bytes()?;
/// // The driver.
/// let mut publisher = ObjectPublisher::new(&store, options)?;
/// let mut commit = publisher.begin(0).await?;
/// commit.replace_all();
/// commit.add_task(&TaskReport::from_bytes(&report)?, FragmentOverlap::Refuse).await?;
/// commit.publish(&Monitor::default()).await?;
/// publisher.end_job(job).await?;
/// # Ok::<(), StoreError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ObjectTaskWriter {
    /// Uploads, and has the claims. It publishes nothing.
    publisher: ObjectPublisher,
    owner: u64,
    family: u32,
    tables: Vec<TaskTable>,
    blobs: Vec<BlobRecord>,
}

impl ObjectTaskWriter {
    /// A writer for an attempt of a task of this job, of tables of this family. Makes no request
    /// yet. Of the options, [`ObjectPublisherOptions::rebase`] and
    /// [`ObjectPublisherOptions::meta_limits`] are the driver's.
    ///
    /// # Errors
    ///
    /// [`StoreError::ReadOnly`].
    pub fn new(
        store: &Store,
        job: JobId,
        family: u32,
        options: ObjectPublisherOptions,
    ) -> Result<Self, StoreError> {
        let owner = job.new_owner();
        let publisher = ObjectPublisher::with_owner(store, owner, options)?;
        Ok(Self { publisher, owner, family, tables: Vec::new(), blobs: Vec::new() })
    }

    /// Starts a table, whose object is uploaded while it is written.
    ///
    /// # Errors
    ///
    /// [`StoreError::Request`] if numbers cannot be claimed.
    pub async fn create_table(
        &self,
        options: WriterOptions,
    ) -> Result<ObjectTableWriter, StoreError> {
        self.publisher.create_table(options).await
    }

    /// Uploads a blob, to which a table of this task can refer. The value and its stored form are
    /// in memory.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`]; [`StoreError::Request`].
    pub async fn create_blob(
        &mut self,
        value: impl AsRef<[u8]>,
    ) -> Result<sst_format::BlobNumber, StoreError> {
        let record = self.publisher.create_blob(value.as_ref()).await?;
        self.blobs.push(record);
        Ok(record.number)
    }

    /// Adds a finished table. If tables of a task share a key, the table added last wins.
    pub fn add_table(&mut self, table: FinishedObjectTable) {
        let FinishedObjectTable { sequence, meta, blobs } = table;
        self.tables.push(TaskTable::new(sequence, meta, blobs));
    }

    /// Ends the task, and describes what it has written. The claims stay in force, and their age
    /// starts again: the commit needs them.
    ///
    /// If the options ask for certified commits, the task reads its objects back, verifies every
    /// byte, and reports the digest of its live entries.
    ///
    /// # Errors
    ///
    /// [`StoreError::Claimed`] if a claim was lost; [`StoreError::Read`] if the bucket does not
    /// hold what was written; [`StoreError::Request`].
    pub async fn finish(self, monitor: &Monitor) -> Result<TaskReport, StoreError> {
        let mut report = TaskReport::new(self.owner, self.family);
        report.content = self.content(monitor).await?;
        report.claims = self.publisher.numbers.renewed_claims().await?;
        report.tables = self.tables;
        report.blobs = self.blobs;
        Ok(report)
    }

    #[cfg(feature = "read")]
    async fn content(
        &self,
        monitor: &Monitor,
    ) -> Result<Option<sst_format::content_digest::ContentDigest>, StoreError> {
        if self.publisher.options.certify == super::Certify::No {
            return Ok(None);
        }
        let tables = self.tables.iter().map(|table| (table.sequence, table.meta.clone()));
        let read = super::certify::UnpublishedTables {
            store: self.publisher.store.clone(),
            base: None,
            family: self.family,
            tables: tables.collect(),
            obsolete: Vec::new(),
            blobs: self.blobs.clone(),
        };
        read.digest(monitor).await.map(Some)
    }

    #[cfg(not(feature = "read"))]
    async fn content(
        &self,
        _: &Monitor,
    ) -> Result<Option<sst_format::content_digest::ContentDigest>, StoreError> {
        Ok(None)
    }

    /// Removes what the task has written, and releases its claims.
    ///
    /// # Errors
    ///
    /// [`StoreError::Request`]; the end of the job removes the rest.
    pub async fn discard(self) -> Result<(), StoreError> {
        let tables = self.tables.iter().map(|table| (table.sequence, FileKind::Sst));
        let blobs = self.blobs.iter().map(|blob| (SequenceNumber(blob.number.0), FileKind::Blob));
        for (sequence, kind) in tables.chain(blobs) {
            self.publisher.store.remove(&FileName { sequence, kind }.to_string()).await?;
        }
        self.publisher.close().await
    }
}
