//! Errors of reading: of the file system, or of the bytes.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use sst_format::content_digest::ContentDigest;
use sst_format::filter::FilterError;
use sst_format::{BlobNumber, BlockIndex, FormatError, SequenceNumber, Structure};

use crate::{Diagnosis, FileStoreError};

/// The name of a file for messages: its path, or a word for bytes in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLabel(Arc<Path>);

impl FileLabel {
    /// The label of the file at `path`.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self(Arc::from(path.as_ref()))
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl fmt::Display for FileLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

/// Why a read failed. Names the file and, where one is at fault, the block.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The operating system refused.
    #[error("cannot {operation} {file}")]
    Io {
        /// The file or directory.
        file: FileLabel,
        /// The operation: `open`, `read`, `map`, `list`.
        operation: &'static str,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The bytes are not those that a writer wrote.
    #[error("cannot use {file}{}", OfBlock(*block))]
    Corrupt {
        /// The damaged file.
        file: FileLabel,
        /// The damaged block of a table, if it is one.
        block: Option<BlockIndex>,
        /// The damage.
        #[source]
        cause: Corruption,
    },
    /// The system has no memory for a block or a value. The file may be intact.
    #[error("no memory for {bytes} bytes of {file}{}", OfBlock(*block))]
    OutOfMemory {
        /// The file.
        file: FileLabel,
        /// The block of a table, if it is one.
        block: Option<BlockIndex>,
        /// How many bytes were asked for.
        bytes: u64,
    },
    /// A block or a value is longer than
    /// [`ReaderOptions::max_payload_len`](crate::ReaderOptions::max_payload_len). The file may be
    /// intact.
    #[error("{file}{}: {bytes} bytes are over the limit of {limit}", OfBlock(*block))]
    OverLimit {
        /// The file.
        file: FileLabel,
        /// The block of a table, if it is one.
        block: Option<BlockIndex>,
        /// Its length after decompression, in bytes.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The operation was cancelled through its [`Monitor`](crate::Monitor).
    #[error("cancelled while reading {file}")]
    Cancelled {
        /// The file or directory that was being read.
        file: FileLabel,
    },
    /// A file of the commit that a set shows was removed or replaced, because the directory has
    /// another commit: a newer one, or one of a directory that was put in its place, whose number
    /// may be any. [`SstSet::refresh`](crate::SstSet::refresh) gives the set of that commit.
    #[error("{file} is gone: commit {commit} was replaced by {current}, refresh to read that")]
    Outdated {
        /// The file that was needed.
        file: FileLabel,
        /// The commit of the set.
        commit: SequenceNumber,
        /// The commit of the directory now.
        current: SequenceNumber,
    },
    /// An object of a store is no longer the one that was opened: its version or its length is
    /// another.
    #[error("{file} has changed since it was opened")]
    Changed {
        /// The object.
        file: FileLabel,
    },
    /// A store asks for fewer requests, and has refused all repetitions of one.
    #[error("cannot {operation} {file}: its store is throttling requests")]
    Throttled {
        /// The object.
        file: FileLabel,
        /// The operation, as in [`ReadError::Io`].
        operation: &'static str,
        /// The answer of the store.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The key is not one of this directory, which holds a shard of a source: whether there is such
    /// a key, another shard knows.
    #[error("{file} holds shard {index} of {count}, to which hash {hash:016x} does not belong")]
    OfOtherShard {
        /// The directory.
        file: FileLabel,
        /// The hash of the key.
        hash: u64,
        /// The number of the shard that the directory holds.
        index: u32,
        /// The number of shards.
        count: u32,
    },
    /// A rule that this crate keeps among its own parts is broken: a bug in it, no damage of the
    /// file.
    #[error(
        "internal error, please report it: while reading {file} this does not hold: {invariant}"
    )]
    Internal {
        /// The file that was read.
        file: FileLabel,
        /// The rule.
        invariant: &'static str,
    },
}

struct FoundChecksum(Option<u32>);

impl fmt::Display for FoundChecksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(found) => write!(f, "its checksum is {found:08x}"),
            None => f.write_str("it has no checksum"),
        }
    }
}

struct OfBlock(Option<BlockIndex>);

impl fmt::Display for OfBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(block) => write!(f, ", block {block}"),
            None => Ok(()),
        }
    }
}

impl ReadError {
    pub(crate) fn io(file: &FileLabel, operation: &'static str, source: io::Error) -> Self {
        let file = file.clone();
        // Errors of a store pass through the code for files.
        match source.downcast::<FileStoreError>() {
            Ok(FileStoreError::Changed) => Self::Changed { file },
            Ok(FileStoreError::Throttled(source)) => Self::Throttled { file, operation, source },
            Ok(error) => Self::Io { file, operation, source: error.into() },
            Err(source) => Self::Io { file, operation, source },
        }
    }

    pub(crate) fn cancelled(file: &FileLabel) -> Self {
        Self::Cancelled { file: file.clone() }
    }

    pub(crate) fn corrupt(file: &FileLabel, cause: impl Into<Corruption>) -> Self {
        Self::Corrupt { file: file.clone(), block: None, cause: cause.into() }
    }

    pub(crate) fn corrupt_block(
        file: &FileLabel,
        block: BlockIndex,
        cause: impl Into<Corruption>,
    ) -> Self {
        Self::Corrupt { file: file.clone(), block: Some(block), cause: cause.into() }
    }

    /// A broken rule of this crate's own. Debug builds stop here.
    #[cold]
    pub(crate) fn internal(file: &FileLabel, invariant: &'static str) -> Self {
        debug_assert!(false, "this does not hold: {invariant}");
        Self::Internal { file: file.clone(), invariant }
    }

    /// Whether the bytes are at fault, not the operating system. The bytes of a later build are not
    /// at fault: see [`ReadError::is_unknown_version`].
    #[must_use]
    pub const fn is_corruption(&self) -> bool {
        match self {
            Self::Corrupt { .. } => !self.is_unknown_version(),
            Self::Io { .. }
            | Self::OutOfMemory { .. }
            | Self::OverLimit { .. }
            | Self::Cancelled { .. }
            | Self::Outdated { .. }
            | Self::Changed { .. }
            | Self::OfOtherShard { .. }
            | Self::Throttled { .. }
            | Self::Internal { .. } => false,
        }
    }

    /// Whether a later build wrote the file, in a version of the protection section that this build
    /// does not know. Nothing of it is damaged: a later build reads it.
    #[must_use]
    pub const fn is_unknown_version(&self) -> bool {
        match self {
            Self::Corrupt { cause: Corruption::Format(error), .. } => error.is_unknown_version(),
            _ => false,
        }
    }

    /// The file at fault.
    #[must_use]
    pub const fn file(&self) -> &FileLabel {
        match self {
            Self::Io { file, .. }
            | Self::Corrupt { file, .. }
            | Self::OutOfMemory { file, .. }
            | Self::OverLimit { file, .. }
            | Self::Cancelled { file }
            | Self::Outdated { file, .. }
            | Self::Changed { file }
            | Self::OfOtherShard { file, .. }
            | Self::Throttled { file, .. }
            | Self::Internal { file, .. } => file,
        }
    }
}

/// The kind tells damage ([`InvalidData`](io::ErrorKind::InvalidData)) from errors of the system;
/// the [`ReadError`] itself is inside.
impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        let kind = match &error {
            ReadError::Io { source, .. } => source.kind(),
            ReadError::Corrupt { cause: Corruption::Missing, .. } => io::ErrorKind::NotFound,
            ReadError::Corrupt { .. } if error.is_unknown_version() => io::ErrorKind::Unsupported,
            ReadError::Corrupt { .. } | ReadError::OverLimit { .. } => io::ErrorKind::InvalidData,
            ReadError::OutOfMemory { .. } => io::ErrorKind::OutOfMemory,
            ReadError::Cancelled { .. } => io::ErrorKind::Interrupted,
            ReadError::OfOtherShard { .. } => io::ErrorKind::InvalidInput,
            ReadError::Changed { .. } => io::ErrorKind::StaleNetworkFileHandle,
            ReadError::Throttled { .. } => io::ErrorKind::ResourceBusy,
            ReadError::Outdated { .. } | ReadError::Internal { .. } => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// The kinds of damage to a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Corruption {
    /// A structure is not as the format has it.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The filter is not one, or could answer wrongly.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A stored payload does not match its checksum, or a meta file or `CURRENT` its own.
    #[error("checksum is {computed:08x}, stored is {stored:08x}{diagnosis}")]
    Checksum {
        /// The checksum that is stored.
        stored: u32,
        /// The checksum of the bytes.
        computed: u32,
        /// Where the damage is, as far as it can be told.
        diagnosis: Diagnosis,
    },
    /// An area of a meta file does not match its checksum in the head.
    #[error("checksum of its {structure} is {computed:08x}, stored is {stored:08x}{diagnosis}")]
    Area {
        /// The area.
        structure: Structure,
        /// The checksum that is stored.
        stored: u32,
        /// The checksum of the bytes.
        computed: u32,
        /// Where the damage is, as far as it can be told.
        diagnosis: Diagnosis,
    },
    /// A block's header is not the one that the protection section has a copy of.
    #[error("block header differs from its protected copy{diagnosis}")]
    HeaderMismatch {
        /// Where the damage is, as far as it can be told.
        diagnosis: Diagnosis,
    },
    /// A payload with the right checksum is not an LZ4 block of the stated length.
    #[error("does not decompress to the stated {stated} bytes")]
    Decompression {
        /// Length that the header states.
        stated: u64,
    },
    /// The index block is compressed, which no writer does.
    #[error("index block is compressed")]
    CompressedIndex,
    /// The file does not have the length that its description states.
    #[error("file has {found} bytes where {expected} are expected")]
    FileSize {
        /// Length by the description.
        expected: u64,
        /// Length of the file.
        found: u64,
    },
    /// The table holds another number of entries than its description states.
    #[error("holds {found} entries where {expected} are expected")]
    EntryCount {
        /// Count by the description.
        expected: u64,
        /// Count in the file.
        found: u64,
    },
    /// The first or last hash is not the one that the description states.
    #[error("{end} hash is {found:016x} where {expected:016x} is expected")]
    HashRange {
        /// `lowest` or `highest`.
        end: &'static str,
        /// Hash by the description.
        expected: u64,
        /// Hash in the file.
        found: u64,
    },
    /// The first entry of a key block is below the hash that the index has for it, or above that of
    /// the next.
    #[error("hash {hash:016x} is outside of what the index says of its block")]
    IndexMismatch {
        /// The hash.
        hash: u64,
    },
    /// The filter denies a hash that the table holds: lookups would miss it.
    #[error("filter denies hash {hash:016x}, which the table holds")]
    FilterDenies {
        /// The hash.
        hash: u64,
    },
    /// A block is neither a key block in the index nor referred to by an entry.
    #[error("block belongs to no entry")]
    UnusedBlock,
    /// A block is used both for keys and for values, or as the index too.
    #[error("block is used for keys and for values at once")]
    BlockUsedTwice,
    /// A file that a commit needs is not there.
    #[error("file is missing")]
    Missing,
    /// A meta file is not the one that the newest one lists.
    #[error(
        "is not the file that meta file {by} lists: {}, listed is {expected:08x}", FoundChecksum(*found)
    )]
    NotTheListedFile {
        /// Meta file with the list.
        by: SequenceNumber,
        /// Checksum in the list.
        expected: u32,
        /// Checksum of the file; `None` if it is not protected.
        found: Option<u32>,
    },
    /// `CURRENT` and the newest meta file disagree on whether the directory is protected.
    #[error("CURRENT and meta file {meta} disagree on whether the directory is protected")]
    ProtectionMismatch {
        /// The newest meta file.
        meta: SequenceNumber,
    },
    /// The list has another family for a meta file than it has itself.
    #[error("is of family {found}, for which meta file {by} lists family {expected}")]
    ListedFamily {
        /// Meta file with the list.
        by: SequenceNumber,
        /// Family in the list.
        expected: u32,
        /// Family of the file.
        found: u32,
    },
    /// A meta file names a table whose hashes are outside of those that the list has for it.
    #[error("names a table of hashes {min:016x} to {max:016x}, which meta file {by} does not list")]
    ListedHashes {
        /// Meta file with the list.
        by: SequenceNumber,
        /// Lowest hash of the table.
        min: u64,
        /// Highest hash of the table.
        max: u64,
    },
    /// A meta file of version 3 names a table that belongs to another family than its own.
    #[error("names table {table}, which another meta file describes as one of family {family}")]
    OfOtherFamily {
        /// The table.
        table: SequenceNumber,
        /// The family of the other meta file.
        family: u32,
    },
    /// A meta file has two records of a blob, and does not say which tables refer to it.
    #[error("lists blob {blob} twice")]
    BlobListedTwice {
        /// The blob.
        blob: BlobNumber,
    },
    /// A description beside a table is not of one table.
    #[error("describes {found} tables where it is to describe one")]
    NotOfOneTable {
        /// Number of tables.
        found: usize,
    },
    /// A meta file that is taken for a commit is a part of another one.
    #[error("is a part of commit {commit}, not a commit of its own")]
    PartOfCommit {
        /// The newest meta file of that commit.
        commit: SequenceNumber,
    },
    /// The live entries of a family are not those that the commit says they are.
    #[error("certifies {expected} in family {family}, where there are {found}")]
    Certificate {
        /// The family.
        family: u32,
        /// The certificate.
        expected: Box<ContentDigest>,
        /// The digest of the entries.
        found: Box<ContentDigest>,
    },
    /// A meta file has two records of one blob that differ.
    #[error("has two records of blob {blob} that differ")]
    UnequalBlobs {
        /// The blob.
        blob: BlobNumber,
    },
    /// A table refers to a blob that its commit does not know.
    #[error("refers to blob {blob}, which its commit does not list")]
    UnlistedBlob {
        /// The blob.
        blob: BlobNumber,
    },
}
