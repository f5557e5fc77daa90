//! Options of the writer of a task.

use std::sync::Arc;

use crate::publish::number_claim::JobId;
use crate::table::Compression;
use crate::{FileSystem, OsFileSystem};

/// Options of a [`TaskWriter`](super::TaskWriter). Start from [`TaskOptions::new`] and change
/// single fields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskOptions {
    /// The job, as its driver has chosen it.
    pub job: JobId,
    /// The family of the tables. Default: 0.
    pub family: u32,
    /// Compression of blobs. Default: [`Compression::Lz4`].
    pub blob_compression: Compression,
    /// Whether digests are computed of all entries and blobs that are put in, with which
    /// `sst_merge::certify_task` compares what the device holds. Costs two SHA-256 for each entry.
    /// Default: `false`.
    pub digest: bool,
    /// The file system that all operations on files go through. Default: [`OsFileSystem`].
    pub file_system: Arc<dyn FileSystem>,
}

impl TaskOptions {
    /// The options of a task of this job.
    #[must_use]
    pub fn new(job: JobId) -> Self {
        Self {
            job,
            family: 0,
            blob_compression: Compression::default(),
            digest: false,
            file_system: Arc::new(OsFileSystem),
        }
    }

    /// Sets the family of the tables.
    #[must_use]
    pub const fn family(mut self, family: u32) -> Self {
        self.family = family;
        self
    }

    /// Sets the compression of blobs.
    #[must_use]
    pub const fn blob_compression(mut self, blob_compression: Compression) -> Self {
        self.blob_compression = blob_compression;
        self
    }

    /// Sets whether digests are computed of all entries and blobs.
    #[must_use]
    pub const fn digest(mut self, digest: bool) -> Self {
        self.digest = digest;
        self
    }

    /// Sets the file system that all operations on files go through.
    #[must_use]
    pub fn file_system(mut self, file_system: Arc<dyn FileSystem>) -> Self {
        self.file_system = file_system;
        self
    }
}
