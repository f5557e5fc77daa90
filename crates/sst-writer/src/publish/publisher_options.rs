//! Options of a publisher.

use std::sync::Arc;
use std::time::Duration;

use sst_format::meta_head::MetaLimits;

use crate::{Compression, FileSystem, OsFileSystem};

/// Options of a [`Publisher`](crate::Publisher). Start from the default and change single fields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PublisherOptions {
    /// Whether a missing directory is created, with its missing parents. Default: `true`.
    pub create_directory: bool,
    /// Whether files that no commit needs any more are kept. Otherwise they are removed as soon as
    /// the next commit is durable, and by
    /// [`Publisher::remove_obsolete_files`](crate::Publisher::remove_obsolete_files). On Unix, a
    /// reader that has mapped or opened a removed file can still read it. A reader that opens files
    /// of an older commit only when it needs them must refresh if a file is gone. Leftovers of
    /// commits that did not happen are always removed. Default: `false`.
    pub keep_obsolete_files: bool,
    /// Number of generations before the newest that keep their files, so that
    /// [`Publisher::rollback`](crate::Publisher::rollback) can return to them. A merge is no
    /// generation of its own: it takes the place of the commit before. Default: 0.
    pub keep_generations: usize,
    /// Time for which a commit keeps its files after it was replaced, for readers that opened it
    /// before. The files are removed by the first commit after that time, or by
    /// [`Publisher::remove_obsolete_files`](crate::Publisher::remove_obsolete_files).
    ///
    /// A reader that opens every file that it needs within this time, or refreshes at least that
    /// often, never misses a file. A reader that does miss one gets an error that says so, and
    /// refreshes. On Unix, open files stay readable after they were removed; on Windows they cannot
    /// be removed, and the next commit tries again. Default: 0.
    pub grace: Duration,
    /// Age up to which a [claim](crate::publish::NumberClaim) on numbers is in force: files under
    /// its numbers stay, though no commit names them. Default: 1 day.
    pub claim_grace: Duration,
    /// Compression of blobs. Default: [`Compression::Lz4`].
    pub blob_compression: Compression,
    /// Whether digests are computed of all entries and blobs that are put into commits, so that the
    /// commits can be certified: `sst_merge::certify` reads a
    /// [`PreparedCommit`](crate::publish::PreparedCommit) back from the device and compares it with
    /// the digests (FORMAT.md section 12). `sst_merge::publish` does that with every commit of such
    /// a publisher, and so do merges in place. [`Commit::publish`](crate::Commit::publish) never
    /// certifies: the digests are then of no use. Costs two SHA-256 for each entry. Default:
    /// `false`.
    pub digest: bool,
    /// Limits of one meta file. A commit whose tables need more has several meta files. Default:
    /// the limits of the format; tests make them smaller.
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
            claim_grace: Duration::from_secs(24 * 60 * 60),
            blob_compression: Compression::default(),
            digest: false,
            meta_limits: MetaLimits::default(),
            file_system: Arc::new(OsFileSystem),
        }
    }
}

impl PublisherOptions {
    /// Sets whether digests are computed of all entries and blobs.
    #[must_use]
    pub fn digest(mut self, digest: bool) -> Self {
        self.digest = digest;
        self
    }

    /// Sets the limits of one meta file.
    #[must_use]
    pub const fn meta_limits(mut self, meta_limits: MetaLimits) -> Self {
        self.meta_limits = meta_limits;
        self
    }

    /// Sets whether a missing directory is created.
    #[must_use]
    pub fn create_directory(mut self, create_directory: bool) -> Self {
        self.create_directory = create_directory;
        self
    }

    /// Sets whether files that no commit needs any more are kept.
    #[must_use]
    pub fn keep_obsolete_files(mut self, keep_obsolete_files: bool) -> Self {
        self.keep_obsolete_files = keep_obsolete_files;
        self
    }

    /// Sets the number of generations before the newest that keep their files.
    #[must_use]
    pub fn keep_generations(mut self, keep_generations: usize) -> Self {
        self.keep_generations = keep_generations;
        self
    }

    /// Sets the age up to which a claim on numbers is in force.
    #[must_use]
    pub fn claim_grace(mut self, claim_grace: Duration) -> Self {
        self.claim_grace = claim_grace;
        self
    }

    /// Sets the time for which a commit keeps its files after it was replaced.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets the compression of blobs.
    #[must_use]
    pub fn blob_compression(mut self, blob_compression: Compression) -> Self {
        self.blob_compression = blob_compression;
        self
    }

    /// Sets the file system that all operations on files go through.
    #[must_use]
    pub fn file_system(mut self, file_system: Arc<dyn FileSystem>) -> Self {
        self.file_system = file_system;
        self
    }
}
