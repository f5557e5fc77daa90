//! The result of a mirror.

use sst_format::identity::CommitIdentity;
use sst_writer::PublishError;
use sst_writer::file::FileError;

/// The result of a mirror.
#[derive(Debug)]
#[non_exhaustive]
pub struct MirrorReport {
    /// The newest commit of the source. It is that of the target too, unless the target holds a
    /// shard of it, with meta files of its own.
    pub commit: CommitIdentity,
    /// The newest commit of the target before; `None` if it had none. Of a shard: the commit of the
    /// source that it was taken from, if it held one.
    pub before: Option<CommitIdentity>,
    /// Files that were copied.
    pub copied_files: u64,
    /// Their bytes.
    pub copied_bytes: u64,
    /// Files that were there: of the commit before, or from a mirror that was interrupted, whose
    /// files were read and verified.
    pub kept_files: u64,
    /// Files of a directory that no commit needs, but that could not be removed.
    pub not_removed: Vec<FileError>,
    /// The error that has kept the directory from being tidied. The commit is live all the same,
    /// and the next mirror tries again.
    pub not_tidied: Option<PublishError>,
}

impl MirrorReport {
    /// The report of a mirror that has copied nothing yet.
    pub(super) const fn new(commit: CommitIdentity, before: Option<CommitIdentity>) -> Self {
        Self {
            commit,
            before,
            copied_files: 0,
            copied_bytes: 0,
            kept_files: 0,
            not_removed: Vec::new(),
            not_tidied: None,
        }
    }

    /// Whether the target has another commit than before.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.before != Some(self.commit)
    }
}

/// The result of removing the files that no commit of a directory needs.
#[derive(Debug, Default)]
pub(super) struct Tidied {
    pub(super) not_removed: Vec<FileError>,
    pub(super) error: Option<PublishError>,
}

impl MirrorReport {
    pub(super) fn set_tidied(&mut self, tidied: Tidied) {
        self.not_removed = tidied.not_removed;
        self.not_tidied = tidied.error;
    }
}
