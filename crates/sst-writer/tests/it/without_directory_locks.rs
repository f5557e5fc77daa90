//! A file system that cannot lock directories, as on NFS and Windows.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sst_writer::file::{FileSystem, Lock, NewFile, OsFileSystem, StoredFile};

/// The file system of the operating system, without locks of directories.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WithoutDirectoryLocks;

impl FileSystem for WithoutDirectoryLocks {
    fn lock_directory(&self, _: &Path) -> io::Result<Option<Lock>> {
        Ok(None)
    }
    fn host_name(&self) -> Option<String> {
        OsFileSystem.host_name()
    }
    fn lock(&self, path: &Path, holder: &str) -> io::Result<Lock> {
        OsFileSystem.lock(path, holder)
    }
    fn create_temporary(&self, directory: &Path) -> io::Result<Box<dyn NewFile>> {
        OsFileSystem.create_temporary(directory)
    }
    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        OsFileSystem.create_directory(directory)
    }
    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        OsFileSystem.sync_directory(directory)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        OsFileSystem.exists(path)
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
        OsFileSystem.read(path)
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        OsFileSystem.open(path)
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
}
