//! Why a merge stopped.

use sst_format::BlobNumber;
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
    /// A key comes more than once, and [`Duplicates::Error`](crate::Duplicates::Error) says that it must not.
    #[error("{file}: the key {key} comes more than once in the inputs")]
    DuplicateKey {
        /// The table with the older of two entries.
        file: FileLabel,
        /// The key.
        key: ShortKey,
    },
    /// A table that lies in no directory refers to a blob file, of which nobody can say where it is.
    #[error("{file}: refers to blob {blob}, and no directory around it tells which file that is")]
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
    /// The output could not be written.
    #[error(transparent)]
    Publish(#[from] PublishError),
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
    /// Whether the bytes of an input are at fault, not the operating system or the caller.
    #[must_use]
    pub const fn is_corruption(&self) -> bool {
        match self {
            Self::Read(error) => error.is_corruption(),
            Self::Unordered { .. } => true,
            _ => false,
        }
    }
}
