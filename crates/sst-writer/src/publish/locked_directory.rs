//! A directory that is locked for writing.

use std::path::Path;
use std::sync::Arc;

use crate::file::directory::create_directory;
use crate::file::sync_watch::SyncWatch;
use crate::publish::directory_lock::DirectoryLock;
use crate::publish::directory_state::DirectoryState;
use crate::{PublishError, PublisherOptions};

/// A directory whose lock is held, and its newest commit.
#[derive(Debug)]
pub(crate) struct LockedDirectory {
    pub(crate) file_system: Arc<SyncWatch>,
    pub(crate) state: DirectoryState,
    /// Released when it is dropped.
    pub(crate) lock: DirectoryLock,
}

impl LockedDirectory {
    /// Creates the directory if the options say so, locks it, and reads its newest commit. Of the
    /// options it uses [`PublisherOptions::create_directory`] and
    /// [`PublisherOptions::file_system`].
    pub(crate) fn open(directory: &Path, options: &PublisherOptions) -> Result<Self, PublishError> {
        let file_system = Arc::new(SyncWatch::new(Arc::clone(&options.file_system)));
        if options.create_directory {
            create_directory(&*file_system, directory)?;
        }
        let lock = DirectoryLock::take(Arc::clone(&file_system) as _, directory)?;
        let state = DirectoryState::load(&*file_system, directory)?;
        Ok(Self { file_system, state, lock })
    }
}
