//! Identities of commits and of tables.
//!
//! A sequence number is no identity. A directory may be swapped for another one, restored from a
//! copy, or rebuilt: then the same number stands for other content, or the number goes down.

use crate::SequenceNumber;
use crate::meta_start::TableRecord;

/// A commit of a directory. Two equal identities mean the same meta files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CommitIdentity {
    /// A commit of a directory with protection: one chain of checksums.
    Protected {
        /// The number in `CURRENT`.
        sequence: SequenceNumber,
        /// The checksum in the trailer of the meta file with this number:
        /// [`Trailer`](crate::protection::Trailer) reads it from the last 12 bytes.
        checksum: u32,
    },
    /// A commit of a directory without protection. A caller that can should also compare device and
    /// inode of the meta file.
    Bare {
        /// The number in `CURRENT`.
        sequence: SequenceNumber,
        /// The CRC-32 of the newest meta file up to its filter area.
        start_checksum: u32,
        /// The length of that meta file in bytes.
        file_len: u64,
    },
}

impl CommitIdentity {
    /// The number in `CURRENT`.
    #[must_use]
    pub const fn sequence(&self) -> SequenceNumber {
        match *self {
            Self::Protected { sequence, .. } | Self::Bare { sequence, .. } => sequence,
        }
    }
}

/// A table, identified by its description.
///
/// Two equal identities mean the same blocks. So open files, filters and cached blocks of one table
/// serve the other, even if another meta file describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TableIdentity {
    /// Sequence number.
    pub sequence: SequenceNumber,
    /// Number of blocks.
    pub block_count: u16,
    /// Hash of the first entry.
    pub min_hash: u64,
    /// Hash of the last entry.
    pub max_hash: u64,
    /// Length of the file in bytes.
    pub file_size: u64,
    /// Number of entries, and the CRC-32 of the copies of the block headers, which hold the
    /// checksums of all blocks. `None` without protection: then only the identity of the commit
    /// tells whether the file is the same.
    pub content: Option<(u64, u32)>,
}

impl TableIdentity {
    /// The identity of a described table. It leaves out the flags and the position of the filter.
    #[must_use]
    pub const fn new(record: &TableRecord, content: Option<(u64, u32)>) -> Self {
        let TableRecord { sequence, block_count, min_hash, max_hash, file_size, .. } = *record;
        Self { sequence, block_count, min_hash, max_hash, file_size, content }
    }
}
