//! How a directory is written to.

use std::sync::Arc;

use crate::{Compression, FileSystem, OsFileSystem};

/// How a [`Publisher`](crate::Publisher) treats its directory. Start from the default and change what you need.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PublisherOptions {
    /// Whether the directory is created if it is missing, with those above it. Default: `true`.
    pub create_directory: bool,
    /// Whether files stay that no longer belong to the newest commit. Otherwise they are removed once a commit that needs
    /// them no more is durable, and when the directory is opened. A reader that has mapped or opened them keeps them on
    /// Unix; one that opens files of an older commit only when it needs them must refresh when it finds them gone.
    /// Leftovers of commits that never happened are always removed. Default: `false`.
    pub keep_obsolete_files: bool,
    /// How blobs are stored. Default: [`Compression::Lz4`].
    pub blob_compression: Compression,
    /// What does the operations on files. Default: [`OsFileSystem`].
    pub file_system: Arc<dyn FileSystem>,
}

impl Default for PublisherOptions {
    fn default() -> Self {
        Self {
            create_directory: true,
            keep_obsolete_files: false,
            blob_compression: Compression::default(),
            file_system: Arc::new(OsFileSystem),
        }
    }
}

impl PublisherOptions {
    /// Sets whether a missing directory is created.
    #[must_use]
    pub fn create_directory(mut self, create_directory: bool) -> Self {
        self.create_directory = create_directory;
        self
    }

    /// Sets whether files stay that no longer belong to the newest commit.
    #[must_use]
    pub fn keep_obsolete_files(mut self, keep_obsolete_files: bool) -> Self {
        self.keep_obsolete_files = keep_obsolete_files;
        self
    }

    /// Sets how blobs are stored.
    #[must_use]
    pub fn blob_compression(mut self, blob_compression: Compression) -> Self {
        self.blob_compression = blob_compression;
        self
    }

    /// Sets what does the operations on files.
    #[must_use]
    pub fn file_system(mut self, file_system: impl FileSystem + 'static) -> Self {
        self.file_system = Arc::new(file_system);
        self
    }
}
