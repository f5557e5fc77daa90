//! Files that appear whole or not at all.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sst_format::planted;

use super::early_sync::EarlySync;
use crate::{FileError, FileOperation, FileSystem, NewFile, OsFileSystem, Sink};

/// A file that appears under its name only when it is complete and durable.
///
/// It is written under a temporary name in the same directory. [`AtomicFile::persist`] makes its
/// content durable, gives it its final name and makes the name durable. A file that is dropped
/// before that is removed. It never replaces another file.
///
/// # Examples
///
/// ```
/// use sst_writer::file::AtomicFile;
///
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("greeting");
/// let mut file = AtomicFile::create(&path)?;
/// file.write("hello")?;
/// assert!(!path.exists());
/// file.persist()?;
/// assert_eq!(std::fs::read(&path)?, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AtomicFile {
    file: Box<dyn NewFile>,
    early_sync: EarlySync,
    path: PathBuf,
    file_system: Arc<dyn FileSystem>,
    /// Whether the caller syncs the directory later.
    is_name_synced_later: bool,
}

impl AtomicFile {
    /// Starts a file whose final name is `path`.
    ///
    /// # Errors
    ///
    /// [`FileError`] if the directory does not exist or cannot be written to, or if there is a file
    /// of that name already. The latter is operation [`FileOperation::Rename`] with
    /// [`io::ErrorKind::AlreadyExists`].
    pub fn create(path: impl AsRef<Path>) -> Result<Self, FileError> {
        Self::create_in(Arc::new(OsFileSystem), path)
    }

    /// As [`AtomicFile::create`], with the caller's file system.
    ///
    /// # Errors
    ///
    /// As [`AtomicFile::create`].
    pub fn create_in(
        file_system: Arc<dyn FileSystem>,
        path: impl AsRef<Path>,
    ) -> Result<Self, FileError> {
        let path = path.as_ref();
        Self::create_by_way_of(file_system, path, directory_of(path))
    }

    /// As [`AtomicFile::create_in`], with the temporary name in another directory of the same file
    /// system, of which the holder of this directory's lock knows that the writer needs it.
    pub(crate) fn create_by_way_of(
        file_system: Arc<dyn FileSystem>,
        path: impl AsRef<Path>,
        temporaries: &Path,
    ) -> Result<Self, FileError> {
        let path = path.as_ref();
        // Reported early, before any work is done. `persist` checks again when it renames.
        if file_system.exists(path).map_err(FileError::at(path, FileOperation::Inspect))? {
            let exists = io::ErrorKind::AlreadyExists.into();
            return Err(FileError::at(path, FileOperation::Rename)(exists));
        }
        Self::temporary(file_system, path, temporaries)
    }

    /// Starts a file that may replace another one. [`AtomicFile::replace`] ends it.
    pub(crate) fn replacing(
        file_system: Arc<dyn FileSystem>,
        path: &Path,
    ) -> Result<Self, FileError> {
        Self::temporary(file_system, path, directory_of(path))
    }

    fn temporary(
        file_system: Arc<dyn FileSystem>,
        path: &Path,
        temporaries: &Path,
    ) -> Result<Self, FileError> {
        let file = file_system
            .create_temporary(temporaries)
            .map_err(FileError::at(path, FileOperation::Create))?;
        let path = path.to_owned();
        let early_sync = EarlySync::default();
        Ok(Self { file, early_sync, path, file_system, is_name_synced_later: false })
    }

    /// Leaves it to the caller to make the name durable: one sync of the directory does for all
    /// files that got their names before it.
    pub(crate) const fn name_synced_later(mut self) -> Self {
        self.is_name_synced_later = true;
        self
    }

    /// The final name of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends bytes. There is no buffer: write large pieces.
    ///
    /// # Errors
    ///
    /// [`FileError`]. The file must then be dropped.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), FileError> {
        let bytes = bytes.as_ref();
        // `write_all` goes on after short writes and interruptions.
        Write::write_all(&mut self.file, bytes)
            .map_err(FileError::at(&self.path, FileOperation::Write))?;
        self.early_sync.after_write(&mut *self.file, bytes.len());
        Ok(())
    }

    /// Makes the content durable, gives the file its final name and makes the name durable.
    ///
    /// # Errors
    ///
    /// [`FileError`]; there is then no new file. If there was a file of that name before, it is
    /// untouched, and the error is that of [`AtomicFile::create`].
    pub fn persist(self) -> Result<(), FileError> {
        let (path, file_system) = (self.path.clone(), Arc::clone(&self.file_system));
        let rename = |file: Box<dyn NewFile>, path: &Path| {
            file.persist_new(path).map_err(FileError::at(path, FileOperation::Rename))
        };
        self.persist_with(rename).inspect_err(|error| {
            if error.operation == FileOperation::SyncDirectory {
                // The name exists but may vanish in a crash, so the file is removed. If that fails
                // too, a complete file stays; the caller gets the first error.
                _ = file_system.remove(&path);
            }
        })
    }

    /// A planted bug: [`AtomicFile::persist`] without the sync of the content.
    #[cfg(sst_planted)]
    pub(crate) fn persist_unsynced(self) -> Result<(), FileError> {
        let Self { file, path, file_system, .. } = self;
        file.persist_new(&path).map_err(FileError::at(&path, FileOperation::Rename))?;
        file_system
            .sync_directory(directory_of(&path))
            .map_err(FileError::at(&path, FileOperation::SyncDirectory))
    }

    /// As [`AtomicFile::persist`], but replaces the file of that name. `before_rename` is called
    /// once the content is durable; its error stops the rename. An error after that leaves it
    /// unknown which of the two files has the name.
    pub(crate) fn replace<E: From<FileError>>(
        self,
        before_rename: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        self.persist_with(|file, path| {
            before_rename()?;
            file.replace(path).map_err(|e| FileError::at(path, FileOperation::Rename)(e).into())
        })
    }

    fn persist_with<E: From<FileError>>(
        self,
        rename: impl FnOnce(Box<dyn NewFile>, &Path) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { mut file, path, file_system, is_name_synced_later, .. } = self;
        let error = |operation| FileError::at(&path, operation);
        planted!("file-sync-skipped", file.sync(), Ok(())).map_err(error(FileOperation::Sync))?;
        rename(file, &path)?;
        if is_name_synced_later {
            return Ok(());
        }
        planted!("directory-sync-skipped" => return Ok(()));
        let synced = file_system.sync_directory(directory_of(&path));
        synced.map_err(|e| error(FileOperation::SyncDirectory)(e).into())
    }
}

impl Sink for AtomicFile {
    type Output = ();

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        Ok(self.write(bytes)?)
    }

    fn finish(self) -> io::Result<()> {
        Ok(self.persist()?)
    }
}

/// The directory that holds a file.
pub(crate) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}
