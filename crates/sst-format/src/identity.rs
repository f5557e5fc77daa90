//! Identities of commits and of tables.
//!
//! A sequence number is no identity. A directory may be swapped for another one, restored from a
//! copy, or rebuilt: then the same number stands for other content, or the number goes down.

use crate::bytes::u32_in;
use crate::meta_start::TableRecord;
use crate::protection_records::{TRAILER_LEN, Trailer};
use crate::{FormatError, SequenceNumber, Structure};

/// A commit of a directory. Two equal identities mean the same meta files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CommitIdentity {
    /// A commit of a directory with protection: one chain of checksums.
    Protected {
        /// The number in `CURRENT`.
        sequence: SequenceNumber,
        /// The checksum in the trailer of the meta file with this number.
        checksum: u32,
        /// The 4 bytes before the trailer: in version 3 the checksum of the core. The one in the
        /// trailer alone keeps 16 bits of the core, because that checksum follows the core.
        core_checksum: u32,
    },
    /// A commit of a directory without protection. A caller that can should also compare device,
    /// inode and time of modification of `CURRENT` and of the meta file.
    Bare {
        /// The number in `CURRENT`. The original deletes files by a commit that has no meta file of
        /// this number, only a `.del` file.
        sequence: SequenceNumber,
        /// The number of the newest live meta file.
        meta_file: SequenceNumber,
        /// The CRC-32 of that meta file up to its filter area.
        start_checksum: u32,
        /// The length of that meta file in bytes.
        file_len: u64,
    },
}

/// Length of the end of a protected meta file that tells the identity of its commit, in bytes.
pub const IDENTITY_LEN: usize = 4 + TRAILER_LEN;

impl CommitIdentity {
    /// The identity of the commit whose newest meta file is `sequence`, from the last bytes of that
    /// file, at least [`IDENTITY_LEN`] of them. Nothing is verified. O(1).
    ///
    /// # Errors
    ///
    /// [`FormatError`] if the bytes do not end with a trailer.
    pub fn of_last_bytes(sequence: SequenceNumber, last_bytes: &[u8]) -> Result<Self, FormatError> {
        let checksum = Trailer::parse(last_bytes)?.checksum;
        let last: &[u8; IDENTITY_LEN] = last_bytes.last_chunk().ok_or(FormatError::TooShort {
            structure: Structure::ProtectionSection,
            needed: IDENTITY_LEN as u64,
            available: last_bytes.len() as u64,
        })?;
        Ok(Self::Protected { sequence, checksum, core_checksum: u32_in::<0, _>(last) })
    }

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
