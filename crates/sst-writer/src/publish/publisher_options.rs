//! How a directory is written to.

use std::sync::Arc;
use std::time::Duration;

use sst_format::meta_head::MetaLimits;

use crate::{Compression, FileSystem, Monitor, OsFileSystem};

/// How a [`Publisher`](crate::Publisher) treats its directory. Start from the default and change
/// what you need.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PublisherOptions {
    /// Whether a missing directory is created, with the missing ones above it. Default: `true`.
    pub create_directory: bool,
    /// Whether files stay that no commit needs any more. Otherwise they are removed as soon as the
    /// next commit is durable, and when the directory is opened. On Unix, files that a reader has
    /// mapped or opened stay readable for it. A reader that opens files of an older commit only
    /// when it needs them must refresh when it finds them gone. Leftovers of commits that never
    /// happened are always removed. Default: `false`.
    pub keep_obsolete_files: bool,
    /// How many generations before the newest keep their files, so that
    /// [`Publisher::rollback`](crate::Publisher::rollback) can go back to them. A commit that only
    /// merged makes no generation of its own: it takes the place of the one before. Default: 0.
    pub keep_generations: usize,
    /// How long a commit keeps its files after it was replaced, for readers that opened it before.
    /// The files are removed by the first commit after that, or when a publisher opens the
    /// directory.
    ///
    /// A reader that opens every file that it needs within this time, or refreshes at least that
    /// often, never misses a file. A reader that does miss one gets an error that says so, and
    /// refreshes. On Unix, open files stay readable after they were removed; on Windows they cannot
    /// be removed, and the next commit tries again. Default: 0.
    pub grace: Duration,
    /// How blobs are stored. Default: [`Compression::Lz4`].
    pub blob_compression: Compression,
    /// Whether digests are taken of all entries and blobs that are put into commits, so that they
    /// can be certified: `sst_merge::certify` reads a
    /// [`PreparedCommit`](crate::publish::PreparedCommit) back from the device and compares it with
    /// them (FORMAT.md section 12). Two SHA-256 for each entry. Default: `false`.
    pub digest: bool,
    /// Cancels commits: copying files, certifying, and publishing a commit that is not visible yet
    /// end with [`PublishError::Cancelled`](crate::PublishError::Cancelled) within milliseconds.
    /// Drop the commit then: the directory is as before. Default: nothing cancels.
    pub monitor: Monitor,
    /// How much one meta file may hold. A commit whose tables need more has several. Default: what
    /// the format allows; tests make it small.
    pub meta_limits: MetaLimits,
    /// The file system that all operations on files go through. Default: [`OsFileSystem`].
    pub file_system: Arc<dyn FileSystem>,
}

impl Default for PublisherOptions {
    fn default() -> Self {
        Self {
            create_directory: true,
            keep_obsolete_files: false,
            keep_generations: 0,
            grace: Duration::ZERO,
            blob_compression: Compression::default(),
            digest: false,
            monitor: Monitor::default(),
            meta_limits: MetaLimits::default(),
            file_system: Arc::new(OsFileSystem),
        }
    }
}

impl PublisherOptions {
    /// Sets whether digests are taken of all entries and blobs.
    #[must_use]
    pub fn digest(mut self, digest: bool) -> Self {
        self.digest = digest;
        self
    }

    /// Sets how much one meta file may hold.
    #[must_use]
    pub const fn meta_limits(mut self, meta_limits: MetaLimits) -> Self {
        self.meta_limits = meta_limits;
        self
    }

    /// Sets what cancels commits.
    #[must_use]
    pub fn monitor(mut self, monitor: Monitor) -> Self {
        self.monitor = monitor;
        self
    }

    /// Sets whether a missing directory is created.
    #[must_use]
    pub fn create_directory(mut self, create_directory: bool) -> Self {
        self.create_directory = create_directory;
        self
    }

    /// Sets whether files stay that no commit needs any more.
    #[must_use]
    pub fn keep_obsolete_files(mut self, keep_obsolete_files: bool) -> Self {
        self.keep_obsolete_files = keep_obsolete_files;
        self
    }

    /// Sets how many commits before the newest keep their files.
    #[must_use]
    pub fn keep_generations(mut self, keep_generations: usize) -> Self {
        self.keep_generations = keep_generations;
        self
    }

    /// Sets how long a commit keeps its files after it was replaced.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets how blobs are stored.
    #[must_use]
    pub fn blob_compression(mut self, blob_compression: Compression) -> Self {
        self.blob_compression = blob_compression;
        self
    }

    /// Sets the file system that all operations on files go through.
    #[must_use]
    pub fn file_system(mut self, file_system: impl FileSystem + 'static) -> Self {
        self.file_system = Arc::new(file_system);
        self
    }
}
