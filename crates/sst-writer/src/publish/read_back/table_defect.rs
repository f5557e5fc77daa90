//! What is wrong with a table or a blob that was read back.

use sst_format::content_digest::ContentDigest;
use sst_format::{BlobNumber, FormatError};

/// What is wrong with a table or a blob that was read back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableDefect {
    /// A structure is not as the format has it.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The file does not have the length that its description states.
    #[error("has {found} bytes where {expected} are expected")]
    FileSize {
        /// Length by the description.
        expected: u64,
        /// Length of the file.
        found: u64,
    },
    /// A block's header is not the one that its description has a copy of.
    #[error("block header differs from its copy")]
    Header,
    /// A stored payload does not match its checksum.
    #[error("checksum is {computed:08x}, stored is {stored:08x}")]
    Checksum {
        /// The checksum in the header.
        stored: u32,
        /// The checksum of the bytes.
        computed: u32,
    },
    /// A payload is not an LZ4 block of the stated length.
    #[error("does not decompress to the stated {stated} bytes")]
    Decompression {
        /// Length that the header states.
        stated: u64,
    },
    /// The table holds another number of entries than its description states.
    #[error("holds {found} entries where {expected} are expected")]
    EntryCount {
        /// Count by the description.
        expected: u64,
        /// Count in the file.
        found: u64,
    },
    /// The first or last hash is not the one that the description states, or one is outside of what the index says.
    #[error("hash {found:016x} is not where it should be")]
    Hash {
        /// The hash.
        found: u64,
    },
    /// A block belongs to no entry, so nothing has checked it.
    #[error("block belongs to no entry")]
    UnusedBlock,
    /// An entry refers to a blob that its commit does not list.
    #[error("refers to blob {blob}, which is not listed")]
    UnlistedBlob {
        /// The blob.
        blob: BlobNumber,
    },
    /// The entries are not those that were put in, or that a certificate states.
    #[error("holds {found}, not the {expected} that it should")]
    Content {
        /// What was put in, or stated.
        expected: Box<ContentDigest>,
        /// What is there.
        found: Box<ContentDigest>,
    },
}
