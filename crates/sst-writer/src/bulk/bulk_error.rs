//! The error of a load.

use std::io;
use std::path::PathBuf;

use sst_format::monitor::Cancelled;

use super::input_position::InputPosition;
use crate::codec::CompressError;
use crate::file::FileError;
use crate::invariant::BrokenInvariant;
use crate::table::ShortKey;
use crate::{PublishError, WriteError};

/// The reason why records could not be loaded.
///
/// The directory always stays unchanged: temporary files are removed, and readers still see the
/// last commit. After [`BulkError::Entry`] the load can go on with other records; any other error
/// has ended it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BulkError {
    /// A record that the format cannot hold. If a put returns this, the load has taken nothing of
    /// the record.
    #[error("{input_position}: the entry cannot be written")]
    Entry {
        /// The input position of the record.
        input_position: InputPosition,
        /// The reason. An entry number in it counts the entries of the record's table.
        source: WriteError,
    },
    /// A key occurs twice, and the policy is [`Duplicates::Error`](crate::bulk::Duplicates::Error).
    /// If there are several such keys, this is the one whose second record has the lowest input
    /// position.
    #[error("key {key} comes twice: {first} and {second}")]
    Duplicate {
        /// The key.
        key: ShortKey,
        /// Its first record.
        first: InputPosition,
        /// Its second record.
        second: InputPosition,
    },
    /// A record without a position was put behind one at the last position of its stream,
    /// `u64::MAX`. The load has taken nothing of it.
    #[error("stream {stream} has no position left behind its last record")]
    NoPosition {
        /// The stream.
        stream: u64,
    },
    /// Bytes read back from a spill file are not the bytes that were written.
    #[error("a spill file in {} is damaged: {len} bytes from byte {offset}", path.display())]
    SpillDamaged {
        /// The folder of the temporary file.
        path: PathBuf,
        /// The byte of the file at which the damaged piece starts.
        offset: u64,
        /// Its length in bytes.
        len: u64,
    },
    /// The load was cancelled through its [`Monitor`](crate::Monitor).
    #[error("the load was cancelled")]
    Cancelled,
    /// A handle was dropped before [`BulkHandle::finish`](crate::bulk::BulkHandle::finish), so its
    /// records may be incomplete.
    #[error("the handle of stream {stream} was dropped before it was finished")]
    HandleLost {
        /// Its stream.
        stream: u64,
    },
    /// Handles are still in use.
    #[error("{handles} handles are not finished")]
    HandlesOpen {
        /// Their number.
        handles: usize,
    },
    /// An earlier failure has ended the load.
    #[error("the load has already failed")]
    Failed,
    /// An invariant of this crate is broken, which is a bug. Nothing was published.
    #[error("internal error, please report it: this does not hold: {0}")]
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

impl BulkError {
    /// Whether the load was cancelled, while it sorted, wrote or published.
    #[must_use]
    pub const fn is_cancelled(&self) -> bool {
        match self {
            Self::Cancelled => true,
            Self::Publish(error) => error.is_cancelled(),
            Self::Entry { .. }
            | Self::Duplicate { .. }
            | Self::NoPosition { .. }
            | Self::SpillDamaged { .. }
            | Self::HandleLost { .. }
            | Self::HandlesOpen { .. }
            | Self::Failed
            | Self::Internal(_)
            | Self::File(_)
            | Self::Write(_) => false,
        }
    }
}

impl From<Cancelled> for BulkError {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

impl From<CompressError> for BulkError {
    fn from(error: CompressError) -> Self {
        WriteError::from(error).into()
    }
}

impl From<BrokenInvariant> for BulkError {
    fn from(BrokenInvariant(rule): BrokenInvariant) -> Self {
        Self::Internal(rule)
    }
}

/// The kind says whether the input, the data or the system is at fault; the [`BulkError`] itself is
/// inside.
impl From<BulkError> for io::Error {
    fn from(error: BulkError) -> Self {
        let kind = match &error {
            BulkError::Entry { source, .. } | BulkError::Write(source) => source.io_kind(),
            BulkError::Duplicate { .. } => io::ErrorKind::InvalidInput,
            BulkError::SpillDamaged { .. } => io::ErrorKind::InvalidData,
            BulkError::Cancelled => io::ErrorKind::Interrupted,
            BulkError::File(error) => error.source.kind(),
            BulkError::Publish(error) => error.io_kind(),
            BulkError::NoPosition { .. }
            | BulkError::HandleLost { .. }
            | BulkError::HandlesOpen { .. }
            | BulkError::Failed
            | BulkError::Internal(_) => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
