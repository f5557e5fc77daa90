//! The tables of a task, in a directory or a bucket.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use sst_format::BlobNumber;
use sst_format::monitor::Monitor;
use sst_object_store::{
    Certify, ObjectPublisherOptions, ObjectTableWriter, ObjectTaskWriter, Place, StoreError,
};
use sst_writer::WriterOptions;
use sst_writer::publish::{JobId, TaskOptions, TaskReport, TaskTableWriter, TaskWriter};
use sst_writer::table::HashedEntry;
use tokio::runtime::Handle;

use crate::errors::Error;

/// Age at which the claims of a task in a directory are renewed, as those in a bucket are.
const RENEWAL: Duration = Duration::from_secs(60 * 60);

/// A task, and where it writes.
pub(super) enum TaskTables {
    Directory {
        writer: TaskWriter,
        certify: bool,
        directory: PathBuf,
        renewed: Instant,
    },
    /// The runtime uploads pieces of tables; its calls wait for it.
    Bucket {
        writer: Box<ObjectTaskWriter>,
        runtime: Handle,
    },
}

/// A table that is being written.
pub(super) enum TaskTable {
    Directory(Box<TaskTableWriter>),
    Bucket(Box<ObjectTableWriter>),
}

impl TaskTables {
    /// Starts to write. `runtime` is one that goes on running.
    pub(super) fn open(
        place: &Place,
        job: JobId,
        family: u32,
        certify: bool,
        runtime: &Handle,
    ) -> Result<Self, Error> {
        match place {
            Place::Directory(directory) => {
                let options = TaskOptions::new(job).family(family).digest(certify);
                let writer = TaskWriter::open(directory, options)?;
                let (directory, renewed) = (directory.clone(), Instant::now());
                Ok(Self::Directory { writer, certify, directory, renewed })
            }
            Place::Bucket(store) => {
                let certify = if certify { Certify::Always } else { Certify::No };
                let options = ObjectPublisherOptions::default().certify(certify);
                let writer = Box::new(ObjectTaskWriter::new(store, job, family, options)?);
                Ok(Self::Bucket { writer, runtime: runtime.clone() })
            }
        }
    }

    pub(super) fn create_table(&self, options: WriterOptions) -> Result<TaskTable, Error> {
        match self {
            Self::Directory { writer, .. } => {
                Ok(TaskTable::Directory(Box::new(writer.create_table(options)?)))
            }
            Self::Bucket { writer, runtime } => {
                let table = runtime.block_on(writer.create_table(options))?;
                Ok(TaskTable::Bucket(Box::new(table)))
            }
        }
    }

    pub(super) fn create_blob(&mut self, value: &[u8]) -> Result<BlobNumber, Error> {
        match self {
            Self::Directory { writer, .. } => Ok(writer.create_blob(value)?),
            Self::Bucket { writer, runtime } => Ok(runtime.block_on(writer.create_blob(value))?),
        }
    }

    pub(super) fn end_table(&mut self, table: TaskTable) -> Result<(), Error> {
        match (self, table) {
            (Self::Directory { writer, renewed, .. }, TaskTable::Directory(table)) => {
                writer.add_table(table.finish()?)?;
                if renewed.elapsed() > RENEWAL {
                    writer.renew()?;
                    *renewed = Instant::now();
                }
                Ok(())
            }
            (Self::Bucket { writer, .. }, TaskTable::Bucket(table)) => {
                writer.add_table(table.finish()?);
                Ok(())
            }
            _ => Err(Error::Internal("a table is of the place that its task writes to")),
        }
    }

    /// Ends the task: its files are durable, and read back if they are to be certified.
    pub(super) fn finish(self, monitor: &Monitor) -> Result<TaskReport, Error> {
        match self {
            Self::Directory { writer, certify, directory, .. } => {
                let mut report = writer.finish()?;
                if certify {
                    sst_merge::certify_task(&directory, &mut report, monitor)?;
                }
                Ok(report)
            }
            Self::Bucket { writer, runtime } => Ok(runtime.block_on(writer.finish(monitor))?),
        }
    }

    /// Removes what the task has written. What cannot be removed stays until the job ends, or
    /// until its claims have grown old: the error that has ended the task counts.
    pub(super) fn discard(self) {
        match self {
            // Dropping it removes its files.
            Self::Directory { .. } => {}
            Self::Bucket { writer, runtime } => {
                _ = runtime.block_on(writer.discard());
            }
        }
    }
}

impl TaskTable {
    pub(super) fn add(&mut self, entry: &HashedEntry<'_>) -> Result<(), Error> {
        match self {
            Self::Directory(table) => Ok(table.add(entry)?),
            Self::Bucket(table) => Ok(table.add(entry)?),
        }
    }

    pub(super) fn is_full(&self, max_entries: u64, max_bytes: u64) -> bool {
        match self {
            Self::Directory(table) => table.is_full(max_entries, max_bytes),
            Self::Bucket(table) => table.is_full(max_entries, max_bytes),
        }
    }
}

/// Runs the work of a task on a thread beside a runtime that uploads for it.
pub(super) fn with_runtime<T: Send + 'static>(
    work: impl FnOnce(&Handle) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    sst_object_store::block_on(async {
        let worker = tokio::task::spawn_blocking(move || work(&Handle::current()));
        let ended = StoreError::Internal("a thread that writes a task's tables ends");
        worker.await.map_err(|_| ended)
    })?
}
