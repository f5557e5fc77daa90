//! The error of writing a table.

use std::io;
use std::path::{Path, PathBuf};

use sst_format::FormatError;
use sst_format::filter::FilterError;
use sst_format::limits::{
    MAX_BLOCK_COUNT, MAX_BLOCKS_END, MAX_INLINE_LEN, MAX_KEY_LEN, MAX_MEDIUM_VALUE_LEN,
    MAX_SMALL_LEN,
};

use crate::codec::CompressError;
use crate::codec::StoredBlockDefect;
use crate::file::{FileError, FileOperation};
use crate::invariant::BrokenInvariant;
use crate::table::ShortKey;

/// The reason why an entry could not be added, or a table could not be finished.
///
/// | kind | variants | consequence |
/// |---|---|---|
/// | misuse | [`OutOfOrder`](Self::OutOfOrder) … [`NoEntries`](Self::NoEntries) | none: go on |
/// | capacity | [`TooManyBlocks`](Self::TooManyBlocks) | finish, and start a new table |
/// | | [`FileTooLarge`](Self::FileTooLarge) | the same |
/// | failure | [`Exists`](Self::Exists), [`Io`](Self::Io) | the table is lost |
/// | | [`Filter`](Self::Filter), [`Poisoned`](Self::Poisoned) | the same |
/// | | [`OutOfMemory`](Self::OutOfMemory), [`Internal`](Self::Internal) | the same |
///
/// [`Description`](Self::Description) comes only from
/// [`write_description`](crate::table::write_description).
///
/// `entry` is always the number of the refused entry, counted from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The entry does not come after the one before it in (hash, key) order.
    #[error(
        "entry {entry} is out of order: key {key} with hash {hash:016x} after key {previous_key} with hash {previous_hash:016x}"
    )]
    OutOfOrder {
        /// Number of the entry.
        entry: u64,
        /// Its hash.
        hash: u64,
        /// Its key.
        key: ShortKey,
        /// Hash of the entry before.
        previous_hash: u64,
        /// Key of the entry before.
        previous_key: ShortKey,
    },
    /// The key was added before, and the table is not a multi-value one.
    #[error("entry {entry} repeats key {key} in a table that holds every key once")]
    DuplicateKey {
        /// Number of the entry.
        entry: u64,
        /// Its key.
        key: ShortKey,
    },
    /// An entry follows the tombstone of its key.
    #[error("entry {entry} follows the tombstone of its key {key}, which must be the last")]
    TombstoneNotLast {
        /// Number of the entry.
        entry: u64,
        /// Its key.
        key: ShortKey,
    },
    /// The hash is not that of the key, and the key block stores no hashes, so no reader would find
    /// the entry.
    #[error("entry {entry} has hash {stated:016x} where that of its key {key} is {computed:016x}")]
    KeyHashMismatch {
        /// Number of the entry.
        entry: u64,
        /// Its key.
        key: ShortKey,
        /// The hash that the entry states.
        stated: u64,
        /// The hash of the key.
        computed: u64,
    },
    /// [`Entry::key_len`](crate::Entry::key_len) differs from the length that
    /// [`Entry::write_key_to`](crate::Entry::write_key_to) wrote.
    #[error("entry {entry} states a key of {stated} bytes and writes one of {written}")]
    KeyLenMismatch {
        /// Number of the entry.
        entry: u64,
        /// The length that `key_len` returned.
        stated: usize,
        /// The length that `write_key_to` wrote.
        written: usize,
    },
    /// The key is too long for the encoding.
    #[error("entry {entry} has a key of {len} bytes: the highest is {MAX_KEY_LEN}")]
    KeyTooLong {
        /// Number of the entry.
        entry: u64,
        /// Length of its key in bytes.
        len: usize,
    },
    /// An inline value over 8 bytes.
    #[error("entry {entry} has an inline value of {len} bytes: the highest is {MAX_INLINE_LEN}")]
    InlineTooLong {
        /// Number of the entry.
        entry: u64,
        /// Length of its value in bytes.
        len: usize,
    },
    /// A small value over 65,535 bytes.
    #[error("entry {entry} has a small value of {len} bytes: the highest is {MAX_SMALL_LEN}")]
    SmallTooLong {
        /// Number of the entry.
        entry: u64,
        /// Length of its value in bytes.
        len: usize,
    },
    /// A medium value over 64 MiB, which belongs in a blob file.
    #[error(
        "entry {entry} has a value of {len} bytes: the highest is {MAX_MEDIUM_VALUE_LEN}, above is for blob files"
    )]
    MediumTooLong {
        /// Number of the entry.
        entry: u64,
        /// Length of its value in bytes.
        len: usize,
    },
    /// Entries with equal hashes share a key block, and the block has no room for this one.
    #[error("entry {entry} with key {key} makes a run of equal hashes too long")]
    RunTooLong {
        /// Number of the entry.
        entry: u64,
        /// Its key.
        key: ShortKey,
        /// The limit of the key block.
        source: FormatError,
    },
    /// A block in stored form does not match its header.
    #[error("entry {entry} has a value block in stored form that is damaged")]
    BadStoredBlock {
        /// Number of the entry.
        entry: u64,
        /// The defect.
        source: StoredBlockDefect,
    },
    /// A bulk load takes values as bytes, not in stored form and not as the number of a blob file.
    #[error("entry {entry} has its value in stored form, which a bulk load does not take")]
    StoredForm {
        /// Number of the entry.
        entry: u64,
    },
    /// A table needs at least one entry.
    #[error("a table without entries cannot be written")]
    NoEntries,
    /// The table has as many blocks as a table may have.
    #[error(
        "entry {entry} does not fit: the table would have {blocks} blocks of {MAX_BLOCK_COUNT}"
    )]
    TooManyBlocks {
        /// Number of the entry.
        entry: u64,
        /// Number of blocks that the table would have.
        blocks: u64,
    },
    /// The table has as many bytes as a table may have. Pending data counts as if it did not
    /// compress.
    #[error("entry {entry} does not fit: the blocks would end at byte {end} of {MAX_BLOCKS_END}")]
    FileTooLarge {
        /// Number of the entry.
        entry: u64,
        /// The end of the last block that the table could have, in bytes.
        end: u64,
    },
    /// The file to be written exists already. It was not changed.
    #[error("{} exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// An operation on the output failed.
    #[error("cannot {operation} {}", display_path(path.as_deref()))]
    Io {
        /// The path of the file, if the output is one.
        path: Option<PathBuf>,
        /// The operation.
        operation: FileOperation,
        /// The error of the system.
        source: io::Error,
    },
    /// The filter could not be built.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The given description is not that of a finished table.
    #[error("not the description of a finished table")]
    Description(#[source] FormatError),
    /// The system has no memory for a buffer.
    #[error("no memory for {bytes} bytes")]
    OutOfMemory {
        /// Number of bytes that were requested.
        bytes: u64,
    },
    /// An earlier failure left the output in an unknown state.
    #[error("the table cannot be written: an earlier operation on it failed")]
    Poisoned,
    /// An invariant of this crate is broken, which is a bug. The table is not finished.
    #[error("internal error, please report it: this does not hold: {0}")]
    Internal(&'static str),
}

impl WriteError {
    /// Whether the entry did not fit into this table and belongs in the next one.
    #[must_use]
    pub const fn is_capacity(&self) -> bool {
        matches!(self, Self::TooManyBlocks { .. } | Self::FileTooLarge { .. })
    }

    /// The kind of the error among those of the system.
    pub(crate) fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::Io { source, .. } => source.kind(),
            Self::Exists { .. } => io::ErrorKind::AlreadyExists,
            Self::OutOfMemory { .. } => io::ErrorKind::OutOfMemory,
            Self::TooManyBlocks { .. } | Self::FileTooLarge { .. } => io::ErrorKind::FileTooLarge,
            Self::Poisoned | Self::Internal(_) | Self::Filter(_) => io::ErrorKind::Other,
            Self::OutOfOrder { .. }
            | Self::DuplicateKey { .. }
            | Self::TombstoneNotLast { .. }
            | Self::KeyHashMismatch { .. }
            | Self::KeyLenMismatch { .. }
            | Self::KeyTooLong { .. }
            | Self::InlineTooLong { .. }
            | Self::SmallTooLong { .. }
            | Self::MediumTooLong { .. }
            | Self::RunTooLong { .. }
            | Self::BadStoredBlock { .. }
            | Self::StoredForm { .. }
            | Self::NoEntries
            | Self::Description(_) => io::ErrorKind::InvalidInput,
        }
    }

    /// Reserves memory in a buffer for `more` elements.
    #[inline]
    pub(crate) fn try_reserve<T>(buffer: &mut Vec<T>, more: usize) -> Result<(), Self> {
        buffer.try_reserve(more).map_err(|_| Self::out_of_memory(more * size_of::<T>()))
    }

    #[cold]
    pub(crate) const fn out_of_memory(bytes: usize) -> Self {
        Self::OutOfMemory { bytes: bytes as u64 }
    }

    /// The error of an operation on the output. `path` is known if the output is a file.
    pub(crate) fn io(path: Option<&Path>, operation: FileOperation, source: io::Error) -> Self {
        match FileError::from_io(source) {
            Ok(error) => error.into(),
            Err(source) => Self::Io { path: path.map(Path::to_owned), operation, source },
        }
    }
}

/// The kind says whether the input, the data or the system is at fault; the [`WriteError`] itself
/// is inside.
impl From<WriteError> for io::Error {
    fn from(error: WriteError) -> Self {
        Self::new(error.io_kind(), error)
    }
}

impl From<BrokenInvariant> for WriteError {
    fn from(BrokenInvariant(rule): BrokenInvariant) -> Self {
        Self::Internal(rule)
    }
}

impl From<CompressError> for WriteError {
    fn from(error: CompressError) -> Self {
        match error {
            CompressError::Broken(broken) => broken.into(),
            CompressError::NoMemory { bytes } => Self::out_of_memory(bytes),
        }
    }
}

impl From<FileError> for WriteError {
    fn from(error: FileError) -> Self {
        let FileError { path, operation, source } = error;
        if operation == FileOperation::Rename && source.kind() == io::ErrorKind::AlreadyExists {
            return Self::Exists { path };
        }
        Self::Io { path: Some(path), operation, source }
    }
}

fn display_path(path: Option<&Path>) -> String {
    path.map_or_else(|| "the output".to_owned(), |path| path.display().to_string())
}
