//! A file system that remembers failed syncs.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use sst_format::planted;

use crate::{FileSystem, Lock, NewFile, StoredFile};

/// A file system that remembers whether a sync has ever failed.
///
/// After a failed sync the system may drop the bytes that it could not write, and report success
/// the next time. So after one failure a later success proves nothing.
#[derive(Debug)]
pub(crate) struct SyncWatch {
    inner: Arc<dyn FileSystem>,
    failure: Failure,
}

/// Set once a sync has failed. Clones share it.
#[derive(Clone, Debug, Default)]
struct Failure(Arc<AtomicBool>);

impl Failure {
    fn watch(&self, result: io::Result<()>) -> io::Result<()> {
        planted!("failed-sync-forgotten" => return result);
        result.inspect_err(|_| self.0.store(true, Ordering::Release))
    }
}

impl SyncWatch {
    pub(crate) fn new(inner: Arc<dyn FileSystem>) -> Self {
        Self { inner, failure: Failure::default() }
    }

    /// Records that the device does not hold the bytes that were written. This counts as a failed
    /// sync.
    pub(crate) fn note_failure(&self) {
        self.failure.0.store(true, Ordering::Release);
    }

    /// Whether a sync has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failure.0.load(Ordering::Acquire)
    }
}

impl FileSystem for SyncWatch {
    fn create_temporary(&self, directory: &Path) -> io::Result<Box<dyn NewFile>> {
        let inner = self.inner.create_temporary(directory)?;
        Ok(Box::new(WatchedFile { inner, failure: self.failure.clone() }))
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.failure.watch(self.inner.sync_directory(directory))
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

    fn open(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        self.inner.open(path)
    }

    fn remove_directory(&self, directory: &Path) -> io::Result<()> {
        self.inner.remove_directory(directory)
    }

    fn host_name(&self) -> Option<String> {
        self.inner.host_name()
    }

    fn modified(&self, path: &Path) -> io::Result<SystemTime> {
        self.inner.modified(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.inner.exists(path)
    }

    fn is_directory(&self, path: &Path) -> io::Result<bool> {
        self.inner.is_directory(path)
    }

    fn is_file(&self, path: &Path) -> io::Result<bool> {
        self.inner.is_file(path)
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        self.inner.canonicalize(path)
    }

    fn drop_cache(&self, path: &Path) -> io::Result<()> {
        self.inner.drop_cache(path)
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Lock> {
        self.inner.lock(path, holder)
    }

    fn lock_directory(&self, directory: &Path) -> io::Result<Option<Lock>> {
        self.inner.lock_directory(directory)
    }
}

/// A file whose syncs are watched.
#[derive(Debug)]
struct WatchedFile {
    inner: Box<dyn NewFile>,
    failure: Failure,
}

impl Write for WatchedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl NewFile for WatchedFile {
    fn start_sync(&mut self) {
        self.inner.start_sync();
    }

    fn sync(&mut self) -> io::Result<()> {
        let result = self.inner.sync();
        self.failure.watch(result)
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.inner.read_exact_at(bytes, offset)
    }

    fn close(&mut self) {
        self.inner.close();
    }

    fn persist_new(self: Box<Self>, path: &Path) -> io::Result<()> {
        self.inner.persist_new(path)
    }

    fn replace(self: Box<Self>, path: &Path) -> io::Result<()> {
        // After an error it is unknown which of the two files has the name.
        let Self { inner, failure } = *self;
        failure.watch(inner.replace(path))
    }
}
