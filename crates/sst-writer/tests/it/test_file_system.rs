//! A file system that tests look into.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use sst_writer::file::{FileSystem, Lock, NewFile, OsFileSystem, StoredFile};

/// The file system of the operating system, which counts the bytes that are read from meta files
/// and the syncs that are started early, syncs no directories, and may have no locks of
/// directories, as NFS and Windows.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestFileSystem {
    pub(crate) read_of_metas: Arc<AtomicU64>,
    pub(crate) started_syncs: Arc<AtomicU64>,
    pub(crate) has_no_directory_locks: bool,
}

#[derive(Debug)]
struct CountedFile {
    file: Box<dyn StoredFile>,
    read: Arc<AtomicU64>,
}

/// A file that is being written.
#[derive(Debug)]
struct WrittenFile {
    inner: Box<dyn NewFile>,
    started_syncs: Arc<AtomicU64>,
}

impl Write for WrittenFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl NewFile for WrittenFile {
    fn start_sync(&mut self) {
        self.started_syncs.fetch_add(1, Ordering::Relaxed);
        self.inner.start_sync();
    }

    fn sync(&mut self) -> io::Result<()> {
        self.inner.sync()
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
        self.inner.replace(path)
    }
}

impl TestFileSystem {
    fn count(&self, path: &Path, len: usize) {
        if path.extension().is_some_and(|extension| extension == "meta") {
            self.read_of_metas.fetch_add(len as u64, Ordering::Relaxed);
        }
    }
}

impl StoredFile for CountedFile {
    fn file_size(&self) -> io::Result<u64> {
        self.file.file_size()
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.file.read_exact_at(bytes, offset)
    }
}

impl FileSystem for TestFileSystem {
    fn create_temporary(&self, directory: &Path) -> io::Result<Box<dyn NewFile>> {
        let inner = OsFileSystem.create_temporary(directory)?;
        Ok(Box::new(WrittenFile { inner, started_syncs: Arc::clone(&self.started_syncs) }))
    }
    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        OsFileSystem.create_directory(directory)
    }
    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        OsFileSystem.exists(path)
    }
    fn host_name(&self) -> Option<String> {
        OsFileSystem.host_name()
    }
    fn is_directory(&self, path: &Path) -> io::Result<bool> {
        OsFileSystem.is_directory(path)
    }
    fn is_file(&self, path: &Path) -> io::Result<bool> {
        OsFileSystem.is_file(path)
    }
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        OsFileSystem.canonicalize(path)
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        OsFileSystem.list(directory)
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let bytes = OsFileSystem.read(path)?;
        self.count(path, bytes.len());
        Ok(bytes)
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        let file = OsFileSystem.open(path)?;
        let is_meta = path.extension().is_some_and(|extension| extension == "meta");
        let read = if is_meta { Arc::clone(&self.read_of_metas) } else { Arc::default() };
        Ok(Box::new(CountedFile { file, read }))
    }
    fn drop_cache(&self, path: &Path) -> io::Result<()> {
        OsFileSystem.drop_cache(path)
    }
    fn modified(&self, path: &Path) -> io::Result<SystemTime> {
        OsFileSystem.modified(path)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        OsFileSystem.remove(path)
    }
    fn remove_directory(&self, directory: &Path) -> io::Result<()> {
        OsFileSystem.remove_directory(directory)
    }
    fn lock(&self, path: &Path, holder: &str) -> io::Result<Lock> {
        OsFileSystem.lock(path, holder)
    }
    fn lock_directory(&self, directory: &Path) -> io::Result<Option<Lock>> {
        if self.has_no_directory_locks {
            return Ok(None);
        }
        OsFileSystem.lock_directory(directory)
    }
}
