//! The interface to the file system.
//!
//! Every operation of this crate on files goes through one trait. So a test can make any of them
//! fail, record them, or end the process between two of them.

use std::ffi::OsString;
use std::fmt::Debug;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// First characters of the name of a temporary file.
pub(super) const TEMPORARY_PREFIX: &str = ".sst-";
/// Last characters of the name of a temporary file. There is no second dot in the name: Next.js
/// 16.3.0 refuses a directory with a file whose name has an extension and does not start with a
/// number.
pub(super) const TEMPORARY_SUFFIX: &str = "-tmp";
/// Last characters of the name of a temporary file of older builds.
const EARLIER_SUFFIX: &str = ".tmp";

/// Whether a file name is that of a temporary file of this crate.
pub(crate) fn is_temporary(name: &str) -> bool {
    let suffixes = [TEMPORARY_SUFFIX, EARLIER_SUFFIX];
    name.starts_with(TEMPORARY_PREFIX) && suffixes.iter().any(|suffix| name.ends_with(suffix))
}

/// Every operation of this crate on files. [`OsFileSystem`](crate::file::OsFileSystem) passes them
/// to the operating system.
///
/// Tests of a service can put another implementation underneath, with
/// [`PublisherOptions::file_system`](crate::PublisherOptions::file_system) or
/// [`AtomicFile::create_in`](crate::file::AtomicFile::create_in): for example one with a full disk,
/// with failing syncs, or with a crash between two operations. It passes the other operations on to
/// [`OsFileSystem`](crate::file::OsFileSystem). No method has a default implementation, so an
/// operation that is added to the trait cannot reach the disk past an existing implementation.
///
/// # Examples
///
/// A full disk:
///
/// ```
/// use std::ffi::OsString;
/// use std::io;
/// use std::path::{Path, PathBuf};
/// use std::sync::Arc;
/// use std::time::SystemTime;
///
/// use sst_writer::file::{AtomicFile, FileSystem, Lock, NewFile, OsFileSystem, StoredFile};
///
/// #[derive(Debug)]
/// struct FullDisk;
///
/// impl FileSystem for FullDisk {
///     fn create_temporary(&self, _: &Path) -> io::Result<Box<dyn NewFile>> {
///         Err(io::ErrorKind::StorageFull.into())
///     }
///     fn create_directory(&self, _: &Path) -> io::Result<()> {
///         Err(io::ErrorKind::StorageFull.into())
///     }
///     fn sync_directory(&self, directory: &Path) -> io::Result<()> {
///         OsFileSystem.sync_directory(directory)
///     }
///     fn exists(&self, path: &Path) -> io::Result<bool> {
///         OsFileSystem.exists(path)
///     }
///     fn is_directory(&self, path: &Path) -> io::Result<bool> {
///         OsFileSystem.is_directory(path)
///     }
///     fn is_file(&self, path: &Path) -> io::Result<bool> {
///         OsFileSystem.is_file(path)
///     }
///     fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
///         OsFileSystem.canonicalize(path)
///     }
///     fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
///         OsFileSystem.list(directory)
///     }
///     fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
///         OsFileSystem.read(path)
///     }
///     fn open(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
///         OsFileSystem.open(path)
///     }
///     fn drop_cache(&self, path: &Path) -> io::Result<()> {
///         OsFileSystem.drop_cache(path)
///     }
///     fn modified(&self, path: &Path) -> io::Result<SystemTime> {
///         OsFileSystem.modified(path)
///     }
///     fn remove(&self, path: &Path) -> io::Result<()> {
///         OsFileSystem.remove(path)
///     }
///     fn remove_directory(&self, directory: &Path) -> io::Result<()> {
///         OsFileSystem.remove_directory(directory)
///     }
///     fn lock(&self, path: &Path, holder: &str) -> io::Result<Lock> {
///         OsFileSystem.lock(path, holder)
///     }
///     fn lock_directory(&self, directory: &Path) -> io::Result<Option<Lock>> {
///         OsFileSystem.lock_directory(directory)
///     }
///     fn host_name(&self) -> Option<String> {
///         OsFileSystem.host_name()
///     }
/// }
///
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("file");
/// let error = AtomicFile::create_in(Arc::new(FullDisk), path).unwrap_err();
/// assert_eq!(error.source.kind(), io::ErrorKind::StorageFull);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait FileSystem: Debug + Send + Sync {
    /// Creates an empty file in `directory` under a temporary name, which readers ignore. The file
    /// is removed if it is dropped before it gets its final name.
    ///
    /// # Errors
    ///
    /// The error of the system.
    fn create_temporary(&self, directory: &Path) -> io::Result<Box<dyn NewFile>>;

    /// Creates a directory and its missing parents. An existing directory is no error.
    ///
    /// # Errors
    ///
    /// The error of the system.
    fn create_directory(&self, directory: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    ///
    /// The error of the system. It is then unknown which names are durable, and stays unknown even
    /// if a later call succeeds.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;

    /// Whether there is a file, a directory or a symbolic link at `path`.
    ///
    /// # Errors
    ///
    /// The error of the system, if it cannot tell.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Whether `path` is a directory, or a symbolic link to one.
    ///
    /// # Errors
    ///
    /// The error of the system, if it cannot tell.
    fn is_directory(&self, path: &Path) -> io::Result<bool>;

    /// Whether there is a regular file at `path` itself. A symbolic link, a directory or a pipe
    /// does not count.
    ///
    /// # Errors
    ///
    /// The error of the system, if it cannot tell.
    fn is_file(&self, path: &Path) -> io::Result<bool>;

    /// The absolute path of an existing file or directory, with all symbolic links resolved.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if there is none, or another error of the system.
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf>;

    /// The names of the files in a directory, in any order.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if there is no such directory, or another error of the system.
    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>>;

    /// Reads a whole file. It must be a regular file: a pipe could block the caller forever.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if there is none, [`io::ErrorKind::InvalidInput`] if it is no
    /// regular file, or another error of the system.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Opens a complete file, to be read in pieces from its first byte to its last. It must be a
    /// regular file.
    ///
    /// # Errors
    ///
    /// As for [`FileSystem::read`].
    fn open(&self, path: &Path) -> io::Result<Box<dyn StoredFile>>;

    /// Asks the system to drop the pages of a durable file from its cache, so that the next read
    /// comes from the device. It is no error if the system has no such call, or declines.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if there is no such file, or another error of opening it.
    fn drop_cache(&self, path: &Path) -> io::Result<()>;

    /// The name of this machine, which the lock file states for people; `None` if the system does
    /// not tell it.
    fn host_name(&self) -> Option<String>;

    /// The time of the last write to a file.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if there is none, or another error of the system.
    fn modified(&self, path: &Path) -> io::Result<SystemTime>;

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if there is none, or another error of the system.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    ///
    /// The error of the system.
    fn remove_directory(&self, directory: &Path) -> io::Result<()>;

    /// Locks the file at `path` until the returned lock is dropped, and writes `holder` into the
    /// file.
    ///
    /// A missing file is created. The text is only for messages: the lock holds even if the text
    /// cannot be written. A symbolic link is not followed, so that no other file is overwritten.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] if the file is locked already, [`io::ErrorKind::InvalidInput`]
    /// if it is no regular file, or another error of the system.
    fn lock(&self, path: &Path, holder: &str) -> io::Result<Lock>;

    /// Locks a directory itself until the returned lock is dropped. `None` where the system cannot
    /// lock directories, as Windows and most versions of NFS.
    ///
    /// The lock belongs to the directory and not to a name in it. So it holds although the lock
    /// file was removed, and under every path that leads to the directory.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] if the directory is locked already, or another error of the
    /// system.
    fn lock_directory(&self, directory: &Path) -> io::Result<Option<Lock>>;
}

/// A complete file that is open for reading.
pub trait StoredFile: Debug + Send {
    /// Its length in bytes.
    ///
    /// # Errors
    ///
    /// The error of the system.
    fn file_size(&self) -> io::Result<u64>;

    /// Fills `bytes` with the bytes of the file from `offset` on.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::UnexpectedEof`] if the file ends before, or another error of the system.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
}

/// A held lock, which is released when it is dropped.
pub type Lock = Box<dyn HeldLock>;

/// A locked file or directory.
pub trait HeldLock: Debug + Send + Sync {
    /// Whether the path still leads to what was locked. If a lock file was removed or replaced,
    /// other processes can lock its successor.
    ///
    /// # Errors
    ///
    /// The error of the system, if it cannot tell.
    fn is_in_place(&self) -> io::Result<bool>;
}

/// A file under a temporary name. [`io::Write`] appends to it without a buffer.
pub trait NewFile: Write + Debug + Send + Sync {
    /// Asks the system to start writing out what was appended, and does not wait for it: so a sync
    /// at the end of a large file has less to wait for. A system that cannot does nothing.
    fn start_sync(&mut self);

    /// Makes the content durable.
    ///
    /// # Errors
    ///
    /// The error of the system. It is then unknown which bytes are durable, and stays unknown even
    /// if a later call succeeds.
    fn sync(&mut self) -> io::Result<()>;

    /// Fills `bytes` with the bytes written from `offset` on. Does not change the position of the
    /// next append.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::UnexpectedEof`] if the file ends before, or another error of the system.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Closes the file descriptor. The file can still get its final name, but can no longer be
    /// written or read.
    fn close(&mut self);

    /// Gives the file its final name.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AlreadyExists`] if the name is taken, or another error of the system. The
    /// temporary file is then removed.
    fn persist_new(self: Box<Self>, path: &Path) -> io::Result<()>;

    /// Gives the file its final name, atomically in place of an existing file of that name.
    ///
    /// # Errors
    ///
    /// The error of the system. It is then unknown which of the two files has the name.
    fn replace(self: Box<Self>, path: &Path) -> io::Result<()>;
}
