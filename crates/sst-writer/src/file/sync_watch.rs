//! Remembers that a sync has failed.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempPath;

use crate::file::file_system::FileSystem;

/// A file system that remembers whether making something durable ever failed.
///
/// The system may drop what it could not write and report the next sync as done, so after one failure no later success
/// proves anything.
#[derive(Debug)]
pub(crate) struct SyncWatch {
    inner: Arc<dyn FileSystem>,
    has_failed: AtomicBool,
}

impl SyncWatch {
    pub(crate) fn new(inner: Arc<dyn FileSystem>) -> Self {
        Self { inner, has_failed: AtomicBool::new(false) }
    }

    /// Whether a sync has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    fn watch(&self, result: io::Result<()>) -> io::Result<()> {
        result.inspect_err(|_| self.has_failed.store(true, Ordering::Release))
    }
}

impl FileSystem for SyncWatch {
    fn create_temporary(&self, directory: &Path) -> io::Result<(File, TempPath)> {
        self.inner.create_temporary(directory)
    }

    fn write_all(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_all(file, bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.watch(self.inner.sync(file))
    }

    fn persist_new(&self, temporary: TempPath, path: &Path) -> io::Result<()> {
        self.inner.persist_new(temporary, path)
    }

    fn replace(&self, temporary: TempPath, path: &Path) -> io::Result<()> {
        // Nobody can say which of the two files is there now.
        self.watch(self.inner.replace(temporary, path))
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.watch(self.inner.sync_directory(directory))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.inner.read(path)
    }

    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        self.inner.create_directory(directory)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        self.inner.list(directory)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }
}
