//! Files that are reached by ranged reads, such as objects in a store.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// A store of files that are no files of the system, such as the objects of a bucket. Sets, tables
/// and catalogs that are opened with [`ReaderOptions::files`](crate::ReaderOptions::files) reach
/// their files through it.
///
/// All calls block until they are done, and may come from any number of threads. This crate needs
/// no runtime; a store that does has one of its own.
pub trait FileStore: fmt::Debug + Send + Sync {
    /// Whether a path is one of this store's. All other paths are those of the file system.
    fn serves(&self, path: &Path) -> bool;

    /// Opens a file.
    ///
    /// # Errors
    ///
    /// [`FileStoreError`].
    fn open(&self, path: &Path) -> Result<Arc<dyn RangedFile>, FileStoreError>;

    /// The names of the files directly in a directory, without its path. It is only asked for where
    /// no meta file lists the files: for directories of the original implementation, and for
    /// damaged ones that are verified.
    ///
    /// # Errors
    ///
    /// [`FileStoreError::Unsupported`] if the store has no lists.
    fn list(&self, directory: &Path) -> Result<Vec<String>, FileStoreError>;
}

/// An open file of a [`FileStore`]. Its bytes do not change: if the file under its name does, reads
/// fail with [`FileStoreError::Changed`].
pub trait RangedFile: fmt::Debug + Send + Sync {
    /// Its length in bytes.
    fn len(&self) -> u64;

    /// Whether it has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A text that differs between two versions of the file, such as an ETag; `None` if the store
    /// states none.
    fn version(&self) -> Option<&str>;

    /// Fills `buffer` with the bytes from byte `offset` on, which lie within the file.
    ///
    /// # Errors
    ///
    /// [`FileStoreError`].
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), FileStoreError>;

    /// Starts to read a range that will be read soon, and does not wait for it. Lookups of many
    /// keys ask for all of their blocks before they wait for the first one, and scans for the
    /// blocks in front of them. It may do nothing; errors are left to the read.
    fn prefetch(&self, range: Range<u64>) {
        _ = range;
    }
}

/// The reason why a [`FileStore`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileStoreError {
    /// There is no such file.
    #[error("there is no such file")]
    Missing,
    /// The file is no longer the one that was opened: its version or its length is another.
    #[error("the file has changed since it was opened")]
    Changed,
    /// The store asks for fewer requests, and has refused all repetitions of this one.
    #[error("the store is throttling requests")]
    Throttled(#[source] Box<dyn Error + Send + Sync>),
    /// The store cannot do this.
    #[error("the store cannot do this")]
    Unsupported,
    /// Any other failure.
    #[error("the store failed")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

/// The kind tells what is known of the cause; the [`FileStoreError`] itself is inside.
impl From<FileStoreError> for io::Error {
    fn from(error: FileStoreError) -> Self {
        let kind = match &error {
            FileStoreError::Missing => io::ErrorKind::NotFound,
            FileStoreError::Changed => io::ErrorKind::StaleNetworkFileHandle,
            FileStoreError::Throttled(_) => io::ErrorKind::ResourceBusy,
            FileStoreError::Unsupported => io::ErrorKind::Unsupported,
            FileStoreError::Failed(_) => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
