//! Why a merge stopped.

use std::io;
use std::path::PathBuf;

use sst_format::BlobNumber;
use sst_format::content_digest::ContentDigest;
use sst_format::monitor::Cancelled;
use sst_reader::{FileLabel, ReadError};
use sst_writer::table::ShortKey;
use sst_writer::{PublishError, WriteError};

/// Why tables could not be merged, compared, split or sampled. Nothing was published then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// An input could not be read, or is damaged.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An input is not in the order of its format.
    #[error("{file}: entries are out of order at hash {hash:016x}")]
    Unordered {
        /// The table.
        file: FileLabel,
        /// Hash of the entry that should have come earlier.
        hash: u64,
    },
    /// A key comes more than once, and [`Duplicates::Error`](crate::Duplicates::Error) says that it
    /// must not.
    #[error("{file}: the key {key} comes more than once in the inputs")]
    DuplicateKey {
        /// The table with the older of two entries.
        file: FileLabel,
        /// The key.
        key: ShortKey,
    },
    /// A table that lies in no directory refers to a blob file: only a directory knows the numbers
    /// of its blob files.
    #[error(
        "{file}: refers to blob {blob}, but the table is not listed in the directory around it"
    )]
    BlobWithoutDirectory {
        /// The table.
        file: FileLabel,
        /// The blob.
        blob: BlobNumber,
    },
    /// A table on its own is to be written, and a value in a blob file is among the entries.
    #[error("a table on its own cannot hold the value of key {key}, which has a file of its own")]
    BlobInLoneTable {
        /// The key.
        key: ShortKey,
    },
    /// A table on its own is to be written, and the entries are too many for one.
    #[error("the entries are too many for one table")]
    TooLargeForOneTable,
    /// A table was read back from the device, and does not hold the entries that were put into it.
    #[error("{} holds {found}, but {expected} were put in", path.display())]
    Content {
        /// The table.
        path: PathBuf,
        /// Digest of the entries that were put in.
        expected: Box<ContentDigest>,
        /// Digest of the entries that are there.
        found: Box<ContentDigest>,
    },
    /// A merge in place of a certified directory was read back, and does not have the newest
    /// entries of the tables that it was to replace.
    #[error(
        "the merge was read back and holds {found}, but what it was to replace holds {expected}"
    )]
    NotAsMerged {
        /// Digest of the newest entries of the tables that were merged.
        expected: Box<ContentDigest>,
        /// Digest of the newest entries of the output.
        found: Box<ContentDigest>,
    },
    /// A commit cannot be certified, since its publisher took no digests of what was put in: open
    /// it with [`PublisherOptions::digest`](sst_writer::PublisherOptions::digest).
    #[error("the commit cannot be certified: no digests were taken of what was put in")]
    NoDigests,
    /// An input is a directory that holds one shard of a source. It is complete for lookups of its
    /// keys only: its tables reach beyond the shard, and what is newer there is in other shards.
    #[error("{} holds shard {index} of {count}: take the directory it is copied from", path.display())]
    OfShard {
        /// The directory.
        path: PathBuf,
        /// The number of the shard.
        index: u32,
        /// The number of shards.
        count: u32,
    },
    /// There is no commit to be gathered, or it has no table of the family, though of others.
    #[error("{} has no commit with tables of family {family}", path.display())]
    NotAFragment {
        /// The fragment.
        path: PathBuf,
        /// The family of the commit that it was to be part of.
        family: u32,
    },
    /// A table of a fragment is in the commit already, byte for byte.
    #[error("{} has a table that the commit has already", path.display())]
    FragmentTwice {
        /// The fragment added later.
        path: PathBuf,
    },
    /// Two fragments have tables whose ranges of hashes overlap.
    #[error("{} and {} may have keys in common", path.display(), other.display())]
    FragmentsOverlap {
        /// The fragment added later.
        path: PathBuf,
        /// The one added before.
        other: PathBuf,
    },
    /// The output could not be written.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// An invariant of this crate is broken: a bug, found before anything was published. No input
    /// is at fault.
    #[error("internal error, please report it: this does not hold: {0}")]
    Internal(&'static str),
    /// The operation was cancelled through its [`Monitor`](crate::Monitor).
    #[error("cancelled")]
    Cancelled,
}

impl From<Cancelled> for MergeError {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

impl From<WriteError> for MergeError {
    fn from(error: WriteError) -> Self {
        Self::Publish(error.into())
    }
}

impl MergeError {
    /// Whether the operation was cancelled through its [`Monitor`](crate::Monitor), in whichever
    /// crate.
    #[must_use]
    pub const fn is_cancelled(&self) -> bool {
        matches!(
            self,
            Self::Cancelled
                | Self::Read(ReadError::Cancelled { .. })
                | Self::Publish(PublishError::Cancelled)
        )
    }

    /// The error of an invariant that is broken. Debug builds stop at once.
    #[cold]
    pub(crate) fn internal(invariant: &'static str) -> Self {
        debug_assert!(false, "this does not hold: {invariant}");
        Self::Internal(invariant)
    }

    /// Whether the bytes of an input are at fault, not the operating system or the caller.
    #[must_use]
    pub const fn is_corruption(&self) -> bool {
        match self {
            Self::Read(error) => error.is_corruption(),
            Self::Publish(error) => error.is_corruption(),
            Self::Unordered { .. } | Self::Content { .. } | Self::NotAsMerged { .. } => true,
            Self::DuplicateKey { .. }
            | Self::BlobWithoutDirectory { .. }
            | Self::BlobInLoneTable { .. }
            | Self::TooLargeForOneTable
            | Self::NoDigests
            | Self::NotAFragment { .. }
            | Self::FragmentTwice { .. }
            | Self::FragmentsOverlap { .. }
            | Self::OfShard { .. }
            | Self::Internal(_)
            | Self::Cancelled => false,
        }
    }
}

/// The error of a reader or a writer keeps its kind; the [`MergeError`] itself is inside otherwise.
impl From<MergeError> for io::Error {
    fn from(error: MergeError) -> Self {
        let kind = match error {
            MergeError::Read(error) => return error.into(),
            MergeError::Publish(error) => return error.into(),
            MergeError::Cancelled => io::ErrorKind::Interrupted,
            MergeError::Unordered { .. }
            | MergeError::Content { .. }
            | MergeError::NotAsMerged { .. } => io::ErrorKind::InvalidData,
            MergeError::Internal(_) => io::ErrorKind::Other,
            MergeError::DuplicateKey { .. }
            | MergeError::BlobWithoutDirectory { .. }
            | MergeError::BlobInLoneTable { .. }
            | MergeError::TooLargeForOneTable
            | MergeError::NoDigests
            | MergeError::NotAFragment { .. }
            | MergeError::FragmentTwice { .. }
            | MergeError::FragmentsOverlap { .. }
            | MergeError::OfShard { .. } => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}

impl MergeError {
    pub(crate) const fn of_shard(path: PathBuf, shard: &sst_format::meta_head::Shard) -> Self {
        Self::OfShard { path, index: shard.index, count: shard.count }
    }
}
