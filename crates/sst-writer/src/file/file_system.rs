//! The few operations on files that everything durable here is made of.
//!
//! They go through one trait, so that tests can make any of them fail.

use std::ffi::OsString;
use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use tempfile::TempPath;

/// What the names of temporary files start with.
const TEMPORARY_PREFIX: &str = ".sst-";
/// What the names of temporary files end with.
const TEMPORARY_SUFFIX: &str = ".tmp";

/// Whether a file name is that of a temporary file of ours.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.starts_with(TEMPORARY_PREFIX) && name.ends_with(TEMPORARY_SUFFIX)
}

/// Operations on files. [`OsFileSystem`] is the real one.
pub(crate) trait FileSystem: Debug + Send + Sync {
    /// Creates a file in `directory` that is removed unless it gets a name.
    fn create_temporary(&self, directory: &Path) -> io::Result<(File, TempPath)>;
    /// Appends bytes.
    fn write_all(&self, file: &mut File, bytes: &[u8]) -> io::Result<()>;
    /// Makes the content durable.
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Gives a temporary file its name; fails if the name is taken.
    fn persist_new(&self, temporary: TempPath, path: &Path) -> io::Result<()>;
    /// Gives a temporary file its name, atomically in place of the file that had it.
    fn replace(&self, temporary: TempPath, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;
    /// Reads a whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Creates a directory, and those above it that are missing.
    fn create_directory(&self, directory: &Path) -> io::Result<()>;
    /// Names of the files of a directory.
    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// The file system of the operating system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OsFileSystem;

impl FileSystem for OsFileSystem {
    fn create_temporary(&self, directory: &Path) -> io::Result<(File, TempPath)> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(TEMPORARY_PREFIX).suffix(TEMPORARY_SUFFIX);
        #[cfg(unix)]
        {
            // As any new file: what the umask leaves of it. Temporary files are private by default.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let temporary = builder.tempfile_in(directory).map_err(without_temporary_path)?;
        Ok(temporary.into_parts())
    }

    fn write_all(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn persist_new(&self, temporary: TempPath, path: &Path) -> io::Result<()> {
        temporary.persist_noclobber(path).map_err(|error| error.error)
    }

    fn replace(&self, temporary: TempPath, path: &Path) -> io::Result<()> {
        temporary.persist(path).map_err(|error| error.error)
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
}

/// The cause of an error that names a temporary file, which means nothing to anyone.
fn without_temporary_path(error: io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| io::Error::from(error.kind()), io::Error::from_raw_os_error)
}
