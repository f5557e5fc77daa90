//! A directory whose damaged meta files are replaced by intact copies.

use std::path::Path;
use std::sync::Arc;

use sst_format::SequenceNumber;

use crate::file::sync_watch::SyncWatch;
use crate::publish::directory_lock::DirectoryLock;
use crate::publish::meta_state::meta_path;
use crate::publish::replica::ReplicaFile;
use crate::{AtomicFile, FileError, FileOperation, FileSystem, PublishError, PublisherOptions};

/// A directory whose damaged meta files are replaced by intact copies.
///
/// A [`Replica`](crate::publish::Replica) needs the newest commit, which cannot be read if one of
/// its meta files is damaged. This needs nothing but the lock of the directory. `CURRENT` and all
/// other files stay as they are.
///
/// The caller must have verified that the new bytes are those of the commit. Readers that have
/// opened the damaged file go on with it.
#[derive(Debug)]
pub struct MetaRepair {
    directory: Arc<Path>,
    file_system: Arc<SyncWatch>,
    /// Released when this is dropped.
    lock: DirectoryLock,
}

impl MetaRepair {
    /// Locks a directory, which must exist. Of the options it uses
    /// [`PublisherOptions::file_system`].
    ///
    /// # Errors
    ///
    /// [`PublishError::Locked`] if there is another writer; [`PublishError::File`].
    pub fn open(
        directory: impl AsRef<Path>,
        options: &PublisherOptions,
    ) -> Result<Self, PublishError> {
        let directory = directory.as_ref();
        let file_system = Arc::new(SyncWatch::new(Arc::clone(&options.file_system)));
        let lock = DirectoryLock::take(Arc::clone(&file_system) as _, directory)?;
        Ok(Self { directory: directory.into(), file_system, lock })
    }

    /// Starts a meta file. When it is finished, it takes the place of the damaged one.
    ///
    /// # Errors
    ///
    /// [`PublishError::File`].
    pub fn create(&self, meta: SequenceNumber) -> Result<ReplicaFile, PublishError> {
        let file_system: Arc<dyn FileSystem> = Arc::clone(&self.file_system) as _;
        let path = meta_path(&self.directory, meta);
        Ok(ReplicaFile::new(AtomicFile::replacing(file_system, &path)?))
    }

    /// Makes the names of the new files durable, and releases the lock.
    ///
    /// # Errors
    ///
    /// [`PublishError::File`]; [`PublishError::LockLost`]: another writer may have worked
    /// meanwhile.
    pub fn end(self) -> Result<(), PublishError> {
        let synced = self.file_system.sync_directory(&self.directory);
        synced.map_err(FileError::at(&self.directory, FileOperation::SyncDirectory))?;
        self.lock.check()
    }
}
