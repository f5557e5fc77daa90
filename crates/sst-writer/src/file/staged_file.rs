//! Files that become complete and durable before their final names are known.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::early_sync::EarlySync;
use crate::{FileError, FileOperation, FileSystem, NewFile, Sink};

/// A file that is being written under a temporary name.
///
/// [`Sink::finish`] makes its content durable. If it is dropped before, it is removed.
#[derive(Debug)]
pub(crate) struct StagingFile {
    file: Box<dyn NewFile>,
    directory: Arc<Path>,
    early_sync: EarlySync,
}

/// A durable file under a temporary name. If it is dropped without a final name, it is removed.
#[derive(Debug)]
pub(crate) struct StagedFile {
    file: Box<dyn NewFile>,
}

impl StagingFile {
    pub(crate) fn create(
        file_system: &dyn FileSystem,
        directory: Arc<Path>,
    ) -> Result<Self, FileError> {
        let file = file_system
            .create_temporary(&directory)
            .map_err(FileError::at(&directory, FileOperation::Create))?;
        Ok(Self { file, directory, early_sync: EarlySync::default() })
    }
}

impl Sink for StagingFile {
    type Output = StagedFile;

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(&mut self.file, bytes)
            .map_err(FileError::at(&self.directory, FileOperation::Write))?;
        self.early_sync.after_write(&mut *self.file, bytes.len());
        Ok(())
    }

    fn finish(self) -> io::Result<StagedFile> {
        let Self { mut file, directory, .. } = self;
        let error = FileError::at(&directory, FileOperation::Sync);
        file.sync().map_err(|cause| io::Error::from(error(cause)))?;
        // Closed because a load may have more of these files than a process may have open.
        file.close();
        Ok(StagedFile { file })
    }
}

impl StagedFile {
    /// Gives the file its final name in its directory. The name is durable only after
    /// [`FileSystem::sync_directory`].
    pub(crate) fn persist_as(self, path: &Path) -> Result<(), FileError> {
        self.file.persist_new(path).map_err(FileError::at(path, FileOperation::Rename))
    }
}
