//! A file system that asks a tap before every operation whether to perform, alter or fail it.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use sst_writer::file::{FileSystem, HeldLock, Lock, NewFile, OsFileSystem, StoredFile};

/// An operation that is about to be performed. `file` is the number of a new file, unique within
/// one [`Tapped`] file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// Creates a file under a temporary name.
    Create {
        /// The directory.
        directory: &'a Path,
        /// The number of the file.
        file: u64,
    },
    /// Appends bytes to a new file.
    Write {
        /// The number of the file.
        file: u64,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Reads back bytes of a new file.
    ReadBack {
        /// The number of the file.
        file: u64,
    },
    /// Makes the content of a new file durable.
    Sync {
        /// The number of the file.
        file: u64,
    },
    /// Gives a new file a name that must not exist yet.
    PersistNew {
        /// The number of the file.
        file: u64,
        /// The path.
        path: &'a Path,
    },
    /// Gives a new file a name, replacing a file with that name.
    Replace {
        /// The number of the file.
        file: u64,
        /// The path.
        path: &'a Path,
    },
    /// Removes a new file that has no name yet.
    Discard {
        /// The number of the file.
        file: u64,
    },
    /// Makes the names of a directory durable.
    SyncDirectory {
        /// The directory.
        directory: &'a Path,
    },
    /// Reads a file.
    Read {
        /// The path.
        path: &'a Path,
    },
    /// Opens an existing file to read parts of it.
    Open {
        /// The path.
        path: &'a Path,
    },
    /// Gets the length of an open file.
    Size {
        /// The path.
        path: &'a Path,
    },
    /// Reads a part of an open file.
    ReadPart {
        /// The path.
        path: &'a Path,
    },
    /// Drops the cached pages of a file.
    DropCache {
        /// The path.
        path: &'a Path,
    },
    /// Checks whether a file or directory exists.
    Exists {
        /// The path.
        path: &'a Path,
    },
    /// Checks whether a directory exists.
    IsDirectory {
        /// The path.
        path: &'a Path,
    },
    /// Checks whether a regular file exists.
    IsFile {
        /// The path.
        path: &'a Path,
    },
    /// Resolves symbolic links in a path.
    Canonicalize {
        /// The path.
        path: &'a Path,
    },
    /// Gets the time when a file was last modified.
    Modified {
        /// The path.
        path: &'a Path,
    },
    /// Creates a directory and its ancestors.
    CreateDirectory {
        /// The directory.
        directory: &'a Path,
    },
    /// Lists a directory.
    List {
        /// The directory.
        directory: &'a Path,
    },
    /// Removes a file.
    Remove {
        /// The path.
        path: &'a Path,
    },
    /// Removes an empty directory.
    RemoveDirectory {
        /// The directory.
        directory: &'a Path,
    },
    /// Takes a lock.
    Lock {
        /// The path.
        path: &'a Path,
    },
    /// Takes the lock of a directory itself.
    LockDirectory {
        /// The directory.
        directory: &'a Path,
    },
    /// Checks whether a locked file or directory still has its path.
    LockInPlace {
        /// The path.
        path: &'a Path,
    },
}

impl Operation<'_> {
    /// The operation's name, for messages.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Write { .. } => "write",
            Self::ReadBack { .. } => "read back",
            Self::Sync { .. } => "sync",
            Self::PersistNew { .. } => "persist",
            Self::Replace { .. } => "replace",
            Self::Discard { .. } => "discard",
            Self::SyncDirectory { .. } => "sync directory",
            Self::Read { .. } => "read",
            Self::Open { .. } => "open",
            Self::Size { .. } => "size",
            Self::ReadPart { .. } => "read part",
            Self::DropCache { .. } => "drop cache",
            Self::Exists { .. } => "exists",
            Self::IsDirectory { .. } => "is directory",
            Self::IsFile { .. } => "is file",
            Self::Canonicalize { .. } => "canonicalize",
            Self::Modified { .. } => "modified",
            Self::CreateDirectory { .. } => "create directory",
            Self::List { .. } => "list",
            Self::Remove { .. } => "remove",
            Self::RemoveDirectory { .. } => "remove directory",
            Self::Lock { .. } => "lock",
            Self::LockDirectory { .. } => "lock directory",
            Self::LockInPlace { .. } => "lock in place",
        }
    }
}

/// The tap's decision about an operation.
#[derive(Debug)]
pub enum Order {
    /// Perform the operation.
    Proceed,
    /// Fail without performing the operation.
    Fail(io::Error),
    /// Perform the operation, then fail.
    FailAfterwards(io::Error),
    /// Perform only the first `len` bytes of a write; then report that count, or fail.
    Partial {
        /// Number of bytes written.
        len: usize,
        /// The error; `None` to report success.
        error: Option<io::Error>,
    },
    /// Report success of a sync without performing it.
    Pretend,
    /// Write these bytes instead, as many as given, and report success.
    Alter(Vec<u8>),
}

/// Decides what to do with operations.
pub trait Tap: std::fmt::Debug + Send + Sync + 'static {
    /// Called before each operation, by the thread that performs it.
    fn order(&self, operation: &Operation<'_>) -> Order;
}

/// A tap that lets all operations pass except syncs. Syncs are slow, and have no effect in a test
/// during which the system keeps running.
#[derive(Clone, Copy, Debug)]
pub struct WithoutSync;

impl Tap for WithoutSync {
    fn order(&self, operation: &Operation<'_>) -> Order {
        match operation {
            Operation::Sync { .. } | Operation::SyncDirectory { .. } => Order::Pretend,
            _ => Order::Proceed,
        }
    }
}

/// The file system of the operating system, with a tap. Clones share the tap.
#[derive(Debug)]
pub struct Tapped<T> {
    tap: Arc<T>,
    files: Arc<AtomicU64>,
}

impl<T> Clone for Tapped<T> {
    fn clone(&self) -> Self {
        Self { tap: Arc::clone(&self.tap), files: Arc::clone(&self.files) }
    }
}

impl<T: Tap> Tapped<T> {
    /// A tapped file system.
    pub fn new(tap: T) -> Self {
        Self { tap: Arc::new(tap), files: Arc::default() }
    }

    /// The tap.
    #[must_use]
    pub fn tap(&self) -> &T {
        &self.tap
    }

    fn perform<R>(
        &self,
        operation: &Operation<'_>,
        act: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        match self.tap.order(operation) {
            Order::Fail(error) | Order::Partial { error: Some(error), .. } => Err(error),
            Order::FailAfterwards(error) => act().and(Err(error)),
            Order::Proceed
            | Order::Pretend
            | Order::Alter(_)
            | Order::Partial { error: None, .. } => act(),
        }
    }

    fn perform_sync(
        &self,
        operation: &Operation<'_>,
        act: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        match self.tap.order(operation) {
            Order::Fail(error) => Err(error),
            Order::Pretend => Ok(()),
            Order::FailAfterwards(error) => act().and(Err(error)),
            Order::Proceed | Order::Alter(_) | Order::Partial { .. } => act(),
        }
    }
}

impl<T: Tap> FileSystem for Tapped<T> {
    fn create_temporary(&self, directory: &Path) -> io::Result<Box<dyn NewFile>> {
        let file = self.files.fetch_add(1, Ordering::Relaxed);
        let create = || OsFileSystem.create_temporary(directory);
        let inner = self.perform(&Operation::Create { directory, file }, create)?;
        Ok(Box::new(TappedFile { inner: Some(inner), file, file_system: self.clone() }))
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let operation = Operation::SyncDirectory { directory };
        self.perform_sync(&operation, || OsFileSystem.sync_directory(directory))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.perform(&Operation::Read { path }, || OsFileSystem.read(path))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        let inner = self.perform(&Operation::Open { path }, || OsFileSystem.open(path))?;
        let path = path.to_owned();
        Ok(Box::new(TappedStored { inner, path, file_system: self.clone() }))
    }

    fn host_name(&self) -> Option<String> {
        // No operation on a file.
        OsFileSystem.host_name()
    }

    fn modified(&self, path: &Path) -> io::Result<SystemTime> {
        self.perform(&Operation::Modified { path }, || OsFileSystem.modified(path))
    }

    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        let operation = Operation::CreateDirectory { directory };
        self.perform(&operation, || OsFileSystem.create_directory(directory))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        self.perform(&Operation::List { directory }, || OsFileSystem.list(directory))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.perform(&Operation::Remove { path }, || OsFileSystem.remove(path))
    }

    fn remove_directory(&self, directory: &Path) -> io::Result<()> {
        let operation = Operation::RemoveDirectory { directory };
        self.perform(&operation, || OsFileSystem.remove_directory(directory))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.perform(&Operation::Exists { path }, || OsFileSystem.exists(path))
    }

    fn is_directory(&self, path: &Path) -> io::Result<bool> {
        self.perform(&Operation::IsDirectory { path }, || OsFileSystem.is_directory(path))
    }

    fn is_file(&self, path: &Path) -> io::Result<bool> {
        self.perform(&Operation::IsFile { path }, || OsFileSystem.is_file(path))
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        self.perform(&Operation::Canonicalize { path }, || OsFileSystem.canonicalize(path))
    }

    fn drop_cache(&self, path: &Path) -> io::Result<()> {
        self.perform(&Operation::DropCache { path }, || OsFileSystem.drop_cache(path))
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Lock> {
        let lock = || OsFileSystem.lock(path, holder);
        let inner = self.perform(&Operation::Lock { path }, lock)?;
        Ok(Box::new(TappedLock { inner, path: path.to_owned(), file_system: self.clone() }))
    }

    fn lock_directory(&self, directory: &Path) -> io::Result<Option<Lock>> {
        let lock = || OsFileSystem.lock_directory(directory);
        let inner = self.perform(&Operation::LockDirectory { directory }, lock)?;
        let tapped = |inner| {
            let lock = TappedLock { inner, path: directory.into(), file_system: self.clone() };
            Box::new(lock) as Lock
        };
        Ok(inner.map(tapped))
    }
}

/// A lock, with a tap.
#[derive(Debug)]
struct TappedLock<T> {
    inner: Lock,
    path: PathBuf,
    file_system: Tapped<T>,
}

impl<T: Tap> HeldLock for TappedLock<T> {
    fn is_in_place(&self) -> io::Result<bool> {
        let operation = Operation::LockInPlace { path: &self.path };
        self.file_system.perform(&operation, || self.inner.is_in_place())
    }
}

/// An existing file, with a tap.
#[derive(Debug)]
struct TappedStored<T> {
    inner: Box<dyn StoredFile>,
    path: PathBuf,
    file_system: Tapped<T>,
}

impl<T: Tap> StoredFile for TappedStored<T> {
    fn file_size(&self) -> io::Result<u64> {
        let operation = Operation::Size { path: &self.path };
        self.file_system.perform(&operation, || self.inner.file_size())
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let operation = Operation::ReadPart { path: &self.path };
        self.file_system.perform(&operation, || self.inner.read_exact_at(bytes, offset))
    }
}

/// A new file, with a tap.
#[derive(Debug)]
struct TappedFile<T: Tap> {
    /// `None` after the file got its name.
    inner: Option<Box<dyn NewFile>>,
    file: u64,
    file_system: Tapped<T>,
}

impl<T: Tap> TappedFile<T> {
    fn inner(&mut self) -> io::Result<&mut Box<dyn NewFile>> {
        self.inner.as_mut().ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    fn name(
        mut self,
        operation: &Operation<'_>,
        act: impl FnOnce(Box<dyn NewFile>) -> io::Result<()>,
    ) -> io::Result<()> {
        let file_system = self.file_system.clone();
        file_system.perform(operation, || {
            let inner = self.inner.take().ok_or(io::ErrorKind::InvalidInput)?;
            act(inner)
        })
    }
}

impl<T: Tap> Write for TappedFile<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let operation = Operation::Write { file: self.file, bytes };
        match self.file_system.tap.order(&operation) {
            Order::Fail(error) => Err(error),
            Order::Partial { len, error } => {
                let part = &bytes[..len];
                Write::write_all(self.inner()?, part)?;
                error.map_or(Ok(part.len()), Err)
            }
            Order::FailAfterwards(error) => Write::write_all(self.inner()?, bytes).and(Err(error)),
            Order::Alter(other) => {
                Write::write_all(self.inner()?, &other)?;
                Ok(bytes.len())
            }
            Order::Proceed | Order::Pretend => self.inner()?.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner()?.flush()
    }
}

impl<T: Tap> NewFile for TappedFile<T> {
    /// Promises nothing, so there is nothing to tap.
    fn start_sync(&mut self) {
        if let Some(inner) = &mut self.inner {
            inner.start_sync();
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let (file_system, operation) =
            (self.file_system.clone(), Operation::Sync { file: self.file });
        let inner = self.inner()?;
        file_system.perform_sync(&operation, || inner.sync())
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let inner = self.inner.as_ref().ok_or(io::ErrorKind::InvalidInput)?;
        let operation = Operation::ReadBack { file: self.file };
        self.file_system.perform(&operation, || inner.read_exact_at(bytes, offset))
    }

    fn close(&mut self) {
        if let Some(inner) = &mut self.inner {
            inner.close();
        }
    }

    fn persist_new(self: Box<Self>, path: &Path) -> io::Result<()> {
        let operation = Operation::PersistNew { file: self.file, path };
        self.name(&operation, |inner| inner.persist_new(path))
    }

    fn replace(self: Box<Self>, path: &Path) -> io::Result<()> {
        let operation = Operation::Replace { file: self.file, path };
        self.name(&operation, |inner| inner.replace(path))
    }
}

impl<T: Tap> Drop for TappedFile<T> {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        if let Order::Fail(_) = self.file_system.tap.order(&Operation::Discard { file: self.file })
        {
            // The temporary file stays, as after a failed removal.
            std::mem::forget(inner);
        }
    }
}
