//! Errors of publishing.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use sst_format::meta_head::Shard;
use sst_format::monitor::Cancelled;
use sst_format::{BlobNumber, FormatError, SequenceNumber};

use crate::invariant::BrokenInvariant;
use crate::{FileError, LockHolder, StoredBlockDefect, WriteError};

/// The reason why a directory could not be opened for publishing, or why a commit failed.
///
/// The commit before is intact in all cases.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Another publisher has the directory open.
    #[error("{} is being written to by {}", directory.display(), Holder(holder.as_ref()))]
    Locked {
        /// The directory.
        directory: PathBuf,
        /// The process that has it open, if the lock file states it.
        holder: Option<LockHolder>,
    },
    /// The lock file was removed or replaced since the publisher locked it, or an older build has
    /// locked the directory. Another publisher may be writing there. Open the directory again.
    #[error("{} is no longer the file that was locked: another process may be writing there; open the directory again", path.display())]
    LockLost {
        /// The lock file.
        path: PathBuf,
    },
    /// The directory is not at the commit that the publisher has read: it was swapped, restored,
    /// rebuilt, or written to by another process. Open it again.
    #[error("{} was changed by another since the directory was opened: open it again", path.display())]
    Changed {
        /// `CURRENT`, or the newest meta file.
        path: PathBuf,
    },
    /// There is no such commit for a rollback, or its files are gone.
    #[error("{}: {}", directory.display(), NoGeneration(*generation))]
    NoSuchGeneration {
        /// The directory.
        directory: PathBuf,
        /// The requested commit; `None` for any earlier one.
        generation: Option<SequenceNumber>,
    },
    /// The newest commit was written by the original implementation. Its directories can only be
    /// read.
    #[error("{} was written without checksums by another implementation: it can only be read", path.display())]
    Unprotected {
        /// The file without protection.
        path: PathBuf,
    },
    /// There is no `CURRENT`, and no marker says that the files are leftovers of a first commit.
    #[error("{} has files of earlier commits but no CURRENT", directory.display())]
    MissingCurrent {
        /// The directory.
        directory: PathBuf,
    },
    /// There is no meta file of this name, which `CURRENT` or a commit lists.
    #[error("{} is missing, although a commit needs it", path.display())]
    MissingMeta {
        /// The meta file.
        path: PathBuf,
    },
    /// A file is damaged or of another revision of the format, or was written by a later build
    /// ([`FormatError::is_unknown_version`]).
    #[error("{} {}", path.display(), Suspicion(source))]
    Format {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: FormatError,
    },
    /// A meta file is not the one that the newest commit lists.
    #[error("{} has checksum {found:08x} where the newest commit expects {expected:08x}", path.display())]
    BrokenChain {
        /// The meta file.
        path: PathBuf,
        /// The checksum that the newest meta file lists.
        expected: u32,
        /// The checksum of the file.
        found: u32,
    },
    /// A meta file is a part of a commit that has several: it is no commit by itself.
    #[error("{} is a part of commit {commit}", path.display())]
    PartOfCommit {
        /// The meta file.
        path: PathBuf,
        /// The commit it belongs to.
        commit: SequenceNumber,
    },
    /// A directory holds one shard of a source: it changes only by copies of the source's commits,
    /// and by rollbacks.
    #[error("{} holds shard {index} of {count}: publish in the directory it is copied from", path.display())]
    OfShard {
        /// The directory.
        path: PathBuf,
        /// The number of the shard.
        index: u32,
        /// The number of shards.
        count: u32,
    },
    /// A table of the commit refers to a blob that neither this commit nor an earlier one has made.
    #[error("table {table} refers to blob {blob}, which is not there")]
    UnknownBlob {
        /// The table.
        table: SequenceNumber,
        /// The blob.
        blob: BlobNumber,
    },
    /// A blob file to be copied is damaged.
    #[error("{} is damaged", path.display())]
    BadBlob {
        /// The file.
        path: PathBuf,
        /// The defect.
        source: StoredBlockDefect,
    },
    /// A blob file to be copied does not have the length or the header that its commit lists.
    #[error("{} is not the blob file that its commit lists", path.display())]
    NotTheListedBlob {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be replaced, because the newest commit needs it.
    #[error("{} is needed by the newest commit of its directory, and cannot be replaced", path.display())]
    Needed {
        /// The file.
        path: PathBuf,
    },
    /// A file was written and made durable without an error, but the device holds other bytes.
    #[error("{} does not hold what was written to it: the device is not to be trusted", path.display())]
    NotAsWritten {
        /// The file.
        path: PathBuf,
    },
    /// A table cannot be made obsolete, because it is not live or is of another family.
    #[error("table {table} is not a live table of family {family}")]
    NotLive {
        /// The table.
        table: SequenceNumber,
        /// The family of the commit.
        family: u32,
    },
    /// The bytes of a task's report are damaged, or another build's.
    #[error("the bytes of a task's report cannot be used")]
    TaskReport(#[source] TaskReportDefect),
    /// A file that a task has reported is not there, or not with the length that it reports.
    #[error("{} {}", path.display(), TaskFileLen(*expected, *found))]
    TaskFile {
        /// The file.
        path: PathBuf,
        /// The length that the task reports.
        expected: u64,
        /// The length of the file; `None` if it is missing.
        found: Option<u64>,
    },
    /// A task reports a file under a number that it has not claimed.
    #[error("the task {owner:016x} has not claimed number {number}")]
    NotClaimed {
        /// The number.
        number: SequenceNumber,
        /// The owner of the task's claims.
        owner: u64,
    },
    /// Two tasks report tables with hashes in common: each should have written its own range.
    #[error(
        "another task has hashes from {min_hash:016x} to {max_hash:016x}, too, as table {table}"
    )]
    TasksOverlap {
        /// The table of the task added last.
        table: SequenceNumber,
        /// Its lowest hash.
        min_hash: u64,
        /// Its highest hash.
        max_hash: u64,
    },
    /// A task reports tables of another family than that of the commit.
    #[error("the tables are of family {found}, and the commit of family {expected}")]
    WrongFamily {
        /// The family of the commit.
        expected: u32,
        /// The family of the tables.
        found: u32,
    },
    /// A table was made for another commit, or added before.
    #[error("table {table} was not made for this commit, or was added before")]
    ForeignTable {
        /// The table.
        table: SequenceNumber,
    },
    /// A table was finished after its commit had ended.
    #[error("the commit of table {table} has ended")]
    CommitEnded {
        /// The table.
        table: SequenceNumber,
    },
    /// A claim on numbers has ended by its age: the numbers may be another writer's. Nothing of
    /// this commit is visible.
    #[error("{}: the claim has ended", path.display())]
    ClaimLost {
        /// The claim.
        path: PathBuf,
    },
    /// All 32-bit sequence numbers are used up.
    #[error("{} has used up all sequence numbers", directory.display())]
    NumbersExhausted {
        /// The directory.
        directory: PathBuf,
    },
    /// A table or blob could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// An operation on a file failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The commit was cancelled through the [`Monitor`](crate::Monitor) of a call. Drop it: the
    /// directory is unchanged.
    #[error("the commit was cancelled")]
    Cancelled,
    /// An invariant of this crate is broken, which is a bug. The commit is not published.
    #[error("internal error, please report it: this does not hold: {0}")]
    Internal(&'static str),
    /// After an earlier error the state of the disk is unknown. Open the directory again.
    #[error("{} must be opened again: an earlier operation on it failed", directory.display())]
    Poisoned {
        /// The directory.
        directory: PathBuf,
    },
}

/// A defect of the bytes of a report.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskReportDefect {
    /// They do not begin as a report does, or are those of a later build.
    #[error("they are no report of this version")]
    Magic,
    /// They end too early, or are followed by others.
    #[error("they have the wrong length")]
    Len,
    /// They do not have the checksum at their end.
    #[error("they have the checksum {computed:08x} where {stored:08x} is stated")]
    Checksum {
        /// The checksum at the end.
        stored: u32,
        /// That of the bytes.
        computed: u32,
    },
    /// The description of a table is wrong.
    #[error("the description of a table is wrong")]
    Table(#[source] FormatError),
}

impl From<TaskReportDefect> for PublishError {
    fn from(defect: TaskReportDefect) -> Self {
        Self::TaskReport(defect)
    }
}

impl From<BrokenInvariant> for PublishError {
    fn from(BrokenInvariant(rule): BrokenInvariant) -> Self {
        Self::Internal(rule)
    }
}

impl PublishError {
    pub(crate) fn of_shard(path: &Path, shard: &Shard) -> Self {
        Self::OfShard { path: path.to_owned(), index: shard.index, count: shard.count }
    }

    /// Whether the commit was cancelled through its monitor.
    #[must_use]
    pub const fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled)
    }
}

impl From<Cancelled> for PublishError {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

impl PublishError {
    /// The error of an existing file that could not be read or written now, but perhaps later. Any
    /// other error is returned unchanged, also that of a directory or a pipe in place of a file.
    pub(crate) fn into_transient(self) -> Result<FileError, Self> {
        let is_lasting =
            |kind| matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::InvalidInput);
        match self {
            Self::File(error) if !is_lasting(error.source.kind()) => Ok(error),
            error => Err(error),
        }
    }
}

struct Holder<'a>(Option<&'a LockHolder>);

impl fmt::Display for Holder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(holder) => holder.fmt(f),
            None => f.write_str("another publisher"),
        }
    }
}

/// The likely reason why a file cannot be parsed. A file of a later build is intact.
struct Suspicion<'a>(&'a FormatError);

impl fmt::Display for Suspicion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.is_unknown_version() {
            true => "was written by a later build, and only that can add to it",
            false => "is damaged, or of another revision of the format",
        })
    }
}

/// How the length of a file differs from the one that was reported.
struct TaskFileLen(u64, Option<u64>);

impl fmt::Display for TaskFileLen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(expected, Some(found)) => {
                write!(f, "has {found} bytes where its task reports {expected}")
            }
            Self(_, None) => f.write_str("is missing, although its task reports it"),
        }
    }
}

struct NoGeneration(Option<SequenceNumber>);

impl fmt::Display for NoGeneration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(generation) => write!(f, "there is no generation {generation} to roll back to"),
            None => f.write_str("there is no earlier generation to roll back to"),
        }
    }
}

/// The kind says whether the input, the data or the system is at fault; the [`PublishError`] itself
/// is inside.
impl From<PublishError> for io::Error {
    fn from(error: PublishError) -> Self {
        Self::new(error.io_kind(), error)
    }
}

impl PublishError {
    /// Whether a file of the directory is damaged or missing: no repetition helps, and nothing may
    /// be published there before the directory is repaired.
    #[must_use]
    pub const fn is_corruption(&self) -> bool {
        match self {
            Self::Format { source, .. } => !source.is_unknown_version(),
            Self::MissingCurrent { .. }
            | Self::MissingMeta { .. }
            | Self::BrokenChain { .. }
            | Self::PartOfCommit { .. }
            | Self::BadBlob { .. }
            | Self::NotTheListedBlob { .. }
            | Self::NotAsWritten { .. } => true,
            Self::Locked { .. }
            | Self::LockLost { .. }
            | Self::Changed { .. }
            | Self::NoSuchGeneration { .. }
            | Self::Unprotected { .. }
            | Self::OfShard { .. }
            | Self::Needed { .. }
            | Self::NotLive { .. }
            | Self::ForeignTable { .. }
            | Self::CommitEnded { .. }
            | Self::TaskReport(_)
            | Self::TaskFile { .. }
            | Self::TasksOverlap { .. }
            | Self::WrongFamily { .. }
            | Self::NotClaimed { .. }
            | Self::ClaimLost { .. }
            | Self::UnknownBlob { .. }
            | Self::NumbersExhausted { .. }
            | Self::Write(_)
            | Self::File(_)
            | Self::Internal(_)
            | Self::Cancelled
            | Self::Poisoned { .. } => false,
        }
    }

    /// The kind of the error among those of the system.
    pub(crate) fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::File(error) => error.source.kind(),
            Self::Write(error) => error.io_kind(),
            Self::Locked { .. } => io::ErrorKind::ResourceBusy,
            Self::NoSuchGeneration { .. } => io::ErrorKind::NotFound,
            Self::Unprotected { .. } => io::ErrorKind::Unsupported,
            Self::Format { source, .. } if source.is_unknown_version() => {
                io::ErrorKind::Unsupported
            }
            Self::Format { .. }
            | Self::MissingCurrent { .. }
            | Self::MissingMeta { .. }
            | Self::BrokenChain { .. }
            | Self::BadBlob { .. }
            | Self::NotTheListedBlob { .. }
            | Self::NotAsWritten { .. } => io::ErrorKind::InvalidData,
            Self::Cancelled => io::ErrorKind::Interrupted,
            Self::UnknownBlob { .. }
            | Self::NotLive { .. }
            | Self::ForeignTable { .. }
            | Self::NotClaimed { .. }
            | Self::TasksOverlap { .. }
            | Self::WrongFamily { .. } => io::ErrorKind::InvalidInput,
            Self::TaskReport(_) | Self::TaskFile { found: Some(_), .. } => {
                io::ErrorKind::InvalidData
            }
            Self::TaskFile { found: None, .. } => io::ErrorKind::NotFound,
            Self::LockLost { .. }
            | Self::ClaimLost { .. }
            | Self::OfShard { .. }
            | Self::Changed { .. }
            | Self::PartOfCommit { .. }
            | Self::Needed { .. }
            | Self::CommitEnded { .. }
            | Self::NumbersExhausted { .. }
            | Self::Internal(_)
            | Self::Poisoned { .. } => io::ErrorKind::Other,
        }
    }
}
