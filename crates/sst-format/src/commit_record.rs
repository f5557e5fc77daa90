//! A commit in the list of those to which a place can return.

use core::time::Duration;

use crate::SequenceNumber;
use crate::meta_head::CommitKind;

/// A commit whose meta file is still in its directory or bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitRecord {
    /// The sequence number of its newest meta file.
    pub sequence: SequenceNumber,
    /// The time of the last write to that meta file, since 1970 (UTC). `None` if the place does not
    /// tell.
    pub time: Option<Duration>,
    /// The kind of the commit; `None` for commits of older builds, which do not store it.
    pub kind: Option<CommitKind>,
    /// Whether it is the commit that readers see.
    pub is_current: bool,
    /// Whether all its files are there, so that a rollback to it is possible. A meta file may stay
    /// longer than the other files of its commit, as long as a newer commit uses some of its
    /// tables. Of a place without lists, such as one behind HTTP, only the newest commit is known,
    /// and that its files are there is not looked at.
    pub is_complete: bool,
    /// Number of live tables of all families.
    pub tables: u64,
    /// Number of entries in these tables, tombstones and entries hidden by newer ones included.
    pub entries: u64,
    /// Bytes of all tables and blob files.
    pub bytes: u64,
}

impl CommitRecord {
    /// Whether the commit only merged. It and the commit before it are one generation: a rollback
    /// without a target passes over both, and the options that say how many generations are kept
    /// count them once.
    #[must_use]
    pub const fn is_merge(&self) -> bool {
        matches!(self.kind, Some(CommitKind::Merge))
    }
}
