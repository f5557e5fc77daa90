//! The few operations on files that everything durable here is made of.
//!
//! They go through one trait, so that tests can make any of them fail, record them, or end the process in the middle.

use std::ffi::OsString;
use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use tempfile::TempPath;

use crate::LockHolder;

/// What the names of temporary files start with.
const TEMPORARY_PREFIX: &str = ".sst-";
/// What the names of temporary files end with.
const TEMPORARY_SUFFIX: &str = ".tmp";

/// Whether a file name is that of a temporary file of ours.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.starts_with(TEMPORARY_PREFIX) && name.ends_with(TEMPORARY_SUFFIX)
}

/// Every operation that this crate does to files: [`OsFileSystem`] does them for real.
///
/// Put another one underneath, with [`PublisherOptions::file_system`](crate::PublisherOptions::file_system) or
/// [`AtomicFile::create_in`](crate::file::AtomicFile::create_in), to see how a service of yours bears a full disk, a failing
/// sync or a crash between two operations. An implementation passes on to [`OsFileSystem`] what it does not fail.
///
/// # Examples
///
/// A disk that is full:
///
/// ```
/// use std::ffi::OsString;
/// use std::io;
/// use std::path::Path;
///
/// use sst_writer::file::{AtomicFile, FileSystem, Lock, NewFile, OsFileSystem};
///
/// #[derive(Debug)]
/// struct FullDisk;
///
/// impl FileSystem for FullDisk {
///     fn create_temporary(&self, _: &Path) -> io::Result<Box<dyn NewFile>> {
///         Err(io::ErrorKind::StorageFull.into())
///     }
///     fn sync_directory(&self, directory: &Path) -> io::Result<()> {
///         OsFileSystem.sync_directory(directory)
///     }
///     fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
///         OsFileSystem.read(path)
///     }
///     fn create_directory(&self, directory: &Path) -> io::Result<()> {
///         OsFileSystem.create_directory(directory)
///     }
///     fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
///         OsFileSystem.list(directory)
///     }
///     fn remove(&self, path: &Path) -> io::Result<()> {
///         OsFileSystem.remove(path)
///     }
///     fn lock(&self, path: &Path) -> io::Result<Lock> {
///         OsFileSystem.lock(path)
///     }
/// }
///
/// let directory = tempfile::tempdir()?;
/// let error = AtomicFile::create_in(std::sync::Arc::new(FullDisk), directory.path().join("file")).unwrap_err();
/// assert_eq!(error.source.kind(), io::ErrorKind::StorageFull);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait FileSystem: Debug + Send + Sync {
    /// Creates an empty file in `directory` under a name that no reader looks at. Dropped before it gets its name, it is
    /// removed.
    ///
    /// # Errors
    ///
    /// Whatever the system reports.
    fn create_temporary(&self, directory: &Path) -> io::Result<Box<dyn NewFile>>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    ///
    /// Whatever the system reports. What is durable is unknown then, and stays so whatever a later call answers.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;

    /// Reads a whole file.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if there is none, or whatever else the system reports.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Creates a directory, and those above it that are missing. That it is there already is fine.
    ///
    /// # Errors
    ///
    /// Whatever the system reports.
    fn create_directory(&self, directory: &Path) -> io::Result<()>;

    /// Names of the files of a directory, in any order.
    ///
    /// # Errors
    ///
    /// Whatever the system reports.
    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>>;

    /// Opens a file to be read back: from the device rather than from what the system remembers of it, as far as it can be
    /// asked to. Default: what [`OsFileSystem`] does.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if there is none, or whatever else the system reports.
    fn open(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        let file = File::open(path)?;
        forget(&file);
        Ok(Box::new(file))
    }

    /// When a file was last written to. Default: what the operating system says.
    ///
    /// # Errors
    ///
    /// Whatever the system reports.
    fn modified(&self, path: &Path) -> io::Result<SystemTime> {
        fs::metadata(path)?.modified()
    }

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if there is none, or whatever else the system reports.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory. Default: the operating system does it.
    ///
    /// # Errors
    ///
    /// Whatever the system reports.
    fn remove_directory(&self, directory: &Path) -> io::Result<()> {
        fs::remove_dir(directory)
    }

    /// Locks the file at `path`, which is created if it is missing, against everyone else until the answer is dropped.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] if somebody else has it locked, or whatever else the system reports.
    fn lock(&self, path: &Path) -> io::Result<Lock>;
}

/// A file that is complete, opened to be read.
pub trait StoredFile: Debug + Send {
    /// Its length in bytes.
    ///
    /// # Errors
    ///
    /// Whatever the system reports.
    fn file_size(&self) -> io::Result<u64>;

    /// Fills `bytes` from `offset` on.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::UnexpectedEof`] if there are fewer bytes, or whatever else the system reports.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
}

impl StoredFile for File {
    fn file_size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        read_exact_at(self, bytes, offset)
    }
}

/// Asks the system to forget what it has cached of a file. What is not durable yet it keeps.
#[cfg(target_os = "linux")]
fn forget(file: &File) {
    _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
    _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::Sequential);
}

#[cfg(not(target_os = "linux"))]
fn forget(_: &File) {}

/// Holds a lock for as long as it lives.
pub type Lock = Box<dyn Debug + Send + Sync>;

/// A file that has no name yet that anybody looks at. Bytes are appended to it through [`io::Write`], with no buffer.
pub trait NewFile: Write + Debug + Send + Sync {
    /// Makes the content durable.
    ///
    /// # Errors
    ///
    /// Whatever the system reports. What is durable is unknown then, and stays so whatever a later call answers.
    fn sync(&mut self) -> io::Result<()>;

    /// Fills `bytes` with what was written from `offset` on. Where the next bytes are appended does not change.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::UnexpectedEof`] if there are fewer bytes, or whatever else the system reports.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Gives back what an open file takes from the system. It can still get its name, but neither be written nor read.
    fn close(&mut self);

    /// Gives the file its name.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AlreadyExists`] if the name is taken, or whatever else the system reports. The file is removed.
    fn persist_new(self: Box<Self>, path: &Path) -> io::Result<()>;

    /// Gives the file its name, atomically in place of the file that had it, if there was one.
    ///
    /// # Errors
    ///
    /// Whatever the system reports. Which of the two files has the name is unknown then.
    fn replace(self: Box<Self>, path: &Path) -> io::Result<()>;
}

/// The file system of the operating system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OsFileSystem;

impl FileSystem for OsFileSystem {
    fn create_temporary(&self, directory: &Path) -> io::Result<Box<dyn NewFile>> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(TEMPORARY_PREFIX).suffix(TEMPORARY_SUFFIX);
        #[cfg(unix)]
        {
            // As any new file: what the umask leaves of it. Temporary files are private by default.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let temporary = builder.tempfile_in(directory).map_err(without_temporary_path)?;
        let (file, path) = temporary.into_parts();
        Ok(Box::new(OsFile { file: Some(file), path }))
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        // Only Unix lets a directory be opened and synced; elsewhere names are as durable as the system makes them.
        if cfg!(unix) {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        let lock = OsLock::take(file)?;
        // Who holds it, for those that come too late. The lock is what counts: it holds without the text too.
        let holder = LockHolder::this_process().to_text();
        let file = &lock.0;
        _ = file.set_len(0).and_then(|()| (&*file).write_all(holder.as_bytes()));
        Ok(Box::new(lock))
    }
}

/// A locked file of the operating system.
#[derive(Debug)]
struct OsLock(File);

impl OsLock {
    fn take(file: File) -> io::Result<Self> {
        file.try_lock()?;
        Ok(Self(file))
    }
}

impl Drop for OsLock {
    fn drop(&mut self) {
        // Closing alone would not do: a process that another thread of this one is just starting has the file open too, until
        // it becomes the other program.
        _ = self.0.unlock();
    }
}

/// A file of the operating system under a temporary name.
#[derive(Debug)]
struct OsFile {
    // Closed before the temporary file is removed, which some systems ask for.
    file: Option<File>,
    path: TempPath,
}

impl OsFile {
    fn open(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or_else(|| io::Error::other("the file is closed"))
    }
}

impl Write for OsFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.open()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewFile for OsFile {
    fn sync(&mut self) -> io::Result<()> {
        self.open()?.sync_all()
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        read_exact_at(self.open()?, bytes, offset)
    }

    fn close(&mut self) {
        self.file = None;
    }

    fn persist_new(self: Box<Self>, path: &Path) -> io::Result<()> {
        let Self { file, path: temporary } = *self;
        drop(file);
        temporary.persist_noclobber(path).map_err(|error| error.error)
    }

    fn replace(self: Box<Self>, path: &Path) -> io::Result<()> {
        let Self { file, path: temporary } = *self;
        drop(file);
        temporary.persist(path).map_err(|error| error.error)
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(not(unix))]
fn read_exact_at(mut file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    use std::sync::{Mutex, PoisonError};
    // The file has one place where it is read and written, which must be back at the end before anybody else comes.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    file.seek(SeekFrom::Start(offset))?;
    let result = file.read_exact(bytes);
    file.seek(SeekFrom::End(0))?;
    result
}

/// The cause of an error that names a temporary file, which means nothing to anyone.
fn without_temporary_path(error: io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| io::Error::from(error.kind()), io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_though_somebody_else_has_the_file_open() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("LOCK");
        let open = || File::options().create(true).truncate(false).write(true).open(&path).unwrap();
        let file = open();
        // As a process has it between its start and its program.
        let inherited = file.try_clone().unwrap();
        let lock = OsLock::take(file).unwrap();
        assert_eq!(OsLock::take(open()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(lock);
        drop(OsLock::take(open()).unwrap());
        drop(inherited);
    }
}
