//! The file system of the operating system.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tempfile::TempPath;

use super::file_system::{
    FileSystem, HeldLock, Lock, NewFile, StoredFile, TEMPORARY_PREFIX, TEMPORARY_SUFFIX,
};

/// The file system of the operating system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OsFileSystem;

impl FileSystem for OsFileSystem {
    fn create_temporary(&self, directory: &Path) -> io::Result<Box<dyn NewFile>> {
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        // The library's error has neither the number of the system's error nor a path that means
        // anything to a user.
        let mut refusal = None;
        let temporary = tempfile::Builder::new()
            .prefix(TEMPORARY_PREFIX)
            .suffix(TEMPORARY_SUFFIX)
            .make_in(directory, |path| {
                // With the usual permissions of a new file, less the umask.
                let opened = options.open(path);
                refusal = opened.as_ref().err().and_then(io::Error::raw_os_error);
                opened
            });
        let temporary = temporary.map_err(|error| match refusal {
            Some(number) => io::Error::from_raw_os_error(number),
            None => error.kind().into(),
        })?;
        let (file, path) = temporary.into_parts();
        Ok(Box::new(OsFile { file: Some(file), path, written: 0, started: 0 }))
    }

    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        // Only Unix can open and sync a directory. Elsewhere only the system decides when names
        // become durable.
        if cfg!(unix) {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        is_found(fs::symlink_metadata(path)).map(|found| found.is_some())
    }

    fn is_directory(&self, path: &Path) -> io::Result<bool> {
        is_found(fs::metadata(path)).map(|found| found.is_some_and(|found| found.is_dir()))
    }

    fn is_file(&self, path: &Path) -> io::Result<bool> {
        is_found(fs::symlink_metadata(path)).map(|found| found.is_some_and(|found| found.is_file()))
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(path)
    }

    /// Without `fs::read_dir`, which panics if the system cannot close the directory: this is also
    /// called when a commit is live already, and then the exit code of a command must say so.
    #[cfg(unix)]
    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        use std::os::unix::ffi::OsStringExt;

        use rustix::fs::{Dir, Mode, OFlags};
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened =
            rustix::io::retry_on_intr(|| rustix::fs::open(directory, flags, Mode::empty()))?;
        let names = Dir::new(opened)?.filter_map(|entry| match entry {
            Ok(entry) => match entry.file_name().to_bytes() {
                b"." | b".." => None,
                name => Some(Ok(OsString::from_vec(name.to_vec()))),
            },
            Err(error) => Some(Err(error.into())),
        });
        names.collect()
    }

    #[cfg(not(unix))]
    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut file = open_to_read(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        let file = open_to_read(path)?;
        advise(&file, Advice::Sequential);
        Ok(Box::new(file))
    }

    fn drop_cache(&self, path: &Path) -> io::Result<()> {
        advise(&open_to_read(path)?, Advice::DontNeed);
        Ok(())
    }

    fn host_name(&self) -> Option<String> {
        // Any failure means that this source does not tell the name, so the next one is tried.
        let of_kernel = fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let of_environment =
            || ["HOSTNAME", "COMPUTERNAME"].iter().find_map(|name| std::env::var(name).ok());
        let name = of_kernel.or_else(of_environment)?.trim().to_owned();
        (!name.is_empty()).then_some(name)
    }

    fn modified(&self, path: &Path) -> io::Result<SystemTime> {
        fs::metadata(path)?.modified()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_directory(&self, directory: &Path) -> io::Result<()> {
        fs::remove_dir(directory)
    }

    fn lock(&self, path: &Path, holder: &str) -> io::Result<Lock> {
        let mut options = File::options();
        options.create(true).truncate(false).write(true);
        let file = open_regular(&mut options, path, LastLink::Refuse)?;
        let lock = OsLock::take(file, path, LastLink::Refuse)?;
        let file = &lock.file;
        // The text only names the holder in messages of other processes. The lock holds without it,
        // so a full disk must not prevent locking.
        _ = file.set_len(0).and_then(|()| (&*file).write_all(holder.as_bytes()));
        Ok(Box::new(lock))
    }

    #[cfg(unix)]
    fn lock_directory(&self, directory: &Path) -> io::Result<Option<Lock>> {
        use std::os::unix::fs::OpenOptionsExt;

        use rustix::fs::OFlags;
        // A pipe at the path is refused instead of waited for.
        let flags = (OFlags::DIRECTORY | OFlags::NONBLOCK).bits().cast_signed();
        let opened = File::options().read(true).custom_flags(flags).open(directory)?;
        match OsLock::take(opened, directory, LastLink::Follow) {
            Ok(lock) => Ok(Some(Box::new(lock))),
            Err(error) if cannot_lock_directories(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Windows opens no directory as a file that could be locked.
    #[cfg(not(unix))]
    fn lock_directory(&self, _: &Path) -> io::Result<Option<Lock>> {
        Ok(None)
    }
}

/// Whether the error of locking a directory means that the file system locks none. Linux turns the
/// lock into one of a range of bytes on NFS, which a directory, being open for reading only, cannot
/// have (`EBADF`). Others have no such call, or no service of locks.
#[cfg(unix)]
fn cannot_lock_directories(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let found = Errno::from_io_error(error);
    [Errno::BADF, Errno::INVAL, Errno::ISDIR, Errno::NOLCK, Errno::NOSYS, Errno::OPNOTSUPP]
        .iter()
        .any(|errno| found == Some(*errno))
}

impl StoredFile for File {
    fn file_size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        read_exact_at(self, bytes, offset)
    }
}

/// The treatment of a symbolic link at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastLink {
    /// Opens the file that it points to.
    Follow,
    /// Fails: the file is going to be written, and the link may point to any file.
    Refuse,
}

fn open_to_read(path: &Path) -> io::Result<File> {
    open_regular(File::options().read(true), path, LastLink::Follow)
}

/// Opens a regular file, and no other kind. Opening a pipe would wait until another process opens
/// its other end, and reading a device may never end.
fn open_regular(options: &mut OpenOptions, path: &Path, link: LastLink) -> io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;

        use rustix::fs::OFlags;
        // The flag has no effect on regular files.
        let flags = match link {
            LastLink::Follow => OFlags::NONBLOCK,
            LastLink::Refuse => OFlags::NONBLOCK | OFlags::NOFOLLOW,
        };
        options.custom_flags(flags.bits().cast_signed());
    }
    #[cfg(not(unix))]
    if link == LastLink::Refuse && fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
    {
        return Err(not_regular());
    }
    let file = options.open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular()) }
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")
}

/// The metadata of a file; `None` if there is no such file.
fn is_found(metadata: io::Result<fs::Metadata>) -> io::Result<Option<fs::Metadata>> {
    match metadata {
        Ok(metadata) => Ok(Some(metadata)),
        // `NotADirectory`: a parent in the path is a file, so there is no file at the path either.
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
            _ => Err(error),
        },
    }
}

/// The way in which a file will be read.
#[derive(Clone, Copy)]
enum Advice {
    /// From its first byte to its last.
    Sequential,
    /// From the device, not from the cache.
    DontNeed,
}

/// Advises the system how a file will be read. The result is ignored: the system may decline, and
/// bytes that are not durable yet always stay in its cache. Neither is an error.
#[cfg(target_os = "linux")]
fn advise(file: &File, advice: Advice) {
    use rustix::fs::Advice as Linux;
    let advice = match advice {
        Advice::Sequential => Linux::Sequential,
        Advice::DontNeed => Linux::DontNeed,
    };
    _ = rustix::fs::fadvise(file, 0, None, advice);
}

#[cfg(not(target_os = "linux"))]
fn advise(_: &File, _: Advice) {}

/// Asks the system to start writing out a range of a file. Linux does that when it is told that a
/// range of its cache is not needed; pages that are not on the device yet stay there.
#[cfg(target_os = "linux")]
fn start_writing(file: &File, range: Range<u64>) {
    if let Some(len) = std::num::NonZeroU64::new(range.end.saturating_sub(range.start)) {
        _ = rustix::fs::fadvise(file, range.start, Some(len), rustix::fs::Advice::DontNeed);
    }
}

#[cfg(not(target_os = "linux"))]
fn start_writing(_: &File, _: Range<u64>) {}

/// A locked file or directory of the operating system.
#[derive(Debug)]
struct OsLock {
    file: File,
    path: PathBuf,
    /// Whether a symbolic link at the path leads to the locked one.
    #[cfg(unix)]
    link: LastLink,
}

impl OsLock {
    #[cfg_attr(not(unix), expect(unused_variables, reason = "see `is_in_place`"))]
    fn take(file: File, path: &Path, link: LastLink) -> io::Result<Self> {
        file.try_lock()?;
        Ok(Self {
            file,
            path: path.to_owned(),
            #[cfg(unix)]
            link,
        })
    }
}

impl HeldLock for OsLock {
    #[cfg(unix)]
    fn is_in_place(&self) -> io::Result<bool> {
        use std::os::unix::fs::MetadataExt;
        let held = self.file.metadata()?;
        let found = is_found(match self.link {
            LastLink::Follow => fs::metadata(&self.path),
            LastLink::Refuse => fs::symlink_metadata(&self.path),
        })?;
        Ok(found.is_some_and(|found| (found.dev(), found.ino()) == (held.dev(), held.ino())))
    }

    /// Only Unix can remove or replace an open file.
    #[cfg(not(unix))]
    fn is_in_place(&self) -> io::Result<bool> {
        self.path.try_exists()
    }
}

impl Drop for OsLock {
    fn drop(&mut self) {
        // Closing the file alone might not unlock it: if another thread is just starting a child
        // process, the child has the file open too until it executes its program. If unlocking
        // fails, closing is all that is left to do.
        _ = self.file.unlock();
    }
}

/// A file of the operating system under a temporary name.
#[derive(Debug)]
struct OsFile {
    // Closed before the temporary file is removed: some systems cannot remove an open file.
    file: Option<File>,
    path: TempPath,
    /// How many bytes the system has taken.
    written: u64,
    /// How many of them it was asked to write out.
    started: u64,
}

impl OsFile {
    fn open(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or_else(|| io::Error::other("the file is closed"))
    }
}

impl Write for OsFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.open()?.write(bytes)?;
        self.written += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewFile for OsFile {
    fn start_sync(&mut self) {
        if let Some(file) = &self.file {
            start_writing(file, self.started..self.written);
            self.started = self.written;
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let file = self.open()?;
        file.sync_all()?;
        // A system may lose bytes that it has taken.
        let len = file.metadata()?.len();
        if len == self.written {
            return Ok(());
        }
        let lost = format!("{} bytes were written, and the file has {len}", self.written);
        Err(io::Error::other(lost))
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        read_exact_at(self.open()?, bytes, offset)
    }

    fn close(&mut self) {
        self.file = None;
    }

    fn persist_new(self: Box<Self>, path: &Path) -> io::Result<()> {
        let Self { file, path: temporary, .. } = *self;
        drop(file);
        temporary.persist_noclobber(path).map_err(|error| error.error)
    }

    fn replace(self: Box<Self>, path: &Path) -> io::Result<()> {
        let Self { file, path: temporary, .. } = *self;
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
    // The file has one position for reads and writes. It must be back at the end of the file before
    // another thread uses it.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    file.seek(SeekFrom::Start(offset))?;
    let result = file.read_exact(bytes);
    file.seek(SeekFrom::End(0))?;
    result
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
        // As a child process has the file between its start and the execution of its program.
        let inherited = file.try_clone().unwrap();
        let lock = OsLock::take(file, &path, LastLink::Refuse).unwrap();
        assert_eq!(
            OsLock::take(open(), &path, LastLink::Refuse).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        drop(lock);
        drop(OsLock::take(open(), &path, LastLink::Refuse).unwrap());
        drop(inherited);
    }
}
