//! Why a load failed.

use std::path::PathBuf;

use sst_format::monitor::Cancelled;

use super::input_position::InputPosition;
use crate::file::FileError;
use crate::invariant::BrokenInvariant;
use crate::table::ShortKey;
use crate::{PublishError, WriteError};

/// Why records could not be loaded.
///
/// Whatever it is, the directory stays as it was: temporary files are removed, and readers go on
/// with the commit before. After [`BulkError::Entry`] the loader goes on with other records; any
/// other error has ended the load.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BulkError {
    /// A record that the format cannot hold. If a put returned this, nothing of the record was
    /// taken.
    #[error("{place}: the entry cannot be written")]
    Entry {
        /// Where the record comes from.
        place: InputPosition,
        /// What is wrong with it. Numbers of entries in it are those of its table.
        source: WriteError,
    },
    /// A key comes twice, and the policy is [`Duplicates::Error`](crate::bulk::Duplicates::Error).
    /// Of all such keys it is the one whose second record comes first.
    #[error("key {key} comes twice: {first} and {second}")]
    Duplicate {
        /// The key.
        key: ShortKey,
        /// Its first record.
        first: InputPosition,
        /// Its second record.
        second: InputPosition,
    },
    /// What was spilled did not come back as it was written.
    #[error("what was spilled to {} is damaged: {len} bytes from byte {offset}", path.display())]
    SpillDamaged {
        /// The folder of the temporary file.
        path: PathBuf,
        /// Where the damaged piece starts in the file, in bytes.
        offset: u64,
        /// Its length in bytes.
        len: u64,
    },
    /// The load was called off through [`BulkOptions::monitor`](crate::BulkOptions).
    #[error("the load was cancelled")]
    Cancelled,
    /// A handle was dropped without [`BulkHandle::finish`](crate::bulk::BulkHandle::finish), so its
    /// records may be incomplete.
    #[error("the handle of stream {stream} was dropped before it was finished")]
    HandleLost {
        /// Its stream.
        stream: u64,
    },
    /// Handles are still in use.
    #[error("{handles} handles are not finished")]
    HandlesOpen {
        /// How many.
        handles: usize,
    },
    /// An earlier failure has ended the load.
    #[error("the load has failed before")]
    Failed,
    /// An invariant of this crate does not hold: a bug, found before anything was published.
    #[error("a bug of the loader was caught: this does not hold: {0}")]
    Internal(&'static str),
    /// A file could not be written or read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A table could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The commit could not be made.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl From<Cancelled> for BulkError {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

impl From<BrokenInvariant> for BulkError {
    fn from(BrokenInvariant(rule): BrokenInvariant) -> Self {
        Self::Internal(rule)
    }
}
