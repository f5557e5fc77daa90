//! A file as the system knows it.

use std::fs::Metadata;
use std::sync::Arc;
use std::time::SystemTime;

use crate::file_store::RangedFile;

/// Tells whether the file under a name is still the one that was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileIdentity {
    /// Length in bytes.
    pub(crate) len: u64,
    /// Device and inode, where the system has them.
    inode: Option<(u64, u64)>,
    /// A file that is written anew in its place keeps its inode.
    modified: Option<SystemTime>,
    /// The version of a file of a store, where that states one.
    version: Option<Arc<str>>,
}

impl FileIdentity {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        // Not every system has a time of modification: then the rest must tell.
        let modified = metadata.modified().ok();
        Self { len: metadata.len(), inode: inode_of(metadata), modified, version: None }
    }

    /// Of a file of a store.
    pub(super) fn of_stored(file: &dyn RangedFile) -> Self {
        Self { len: file.len(), version: file.version().map(Arc::from), ..Self::default() }
    }
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other systems have none")]
fn inode_of(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn inode_of(_: &Metadata) -> Option<(u64, u64)> {
    None
}
