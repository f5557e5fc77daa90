//! The description of one table, with which a reader opens it.

use alloc::vec::Vec;

use crate::block::BlockHeader;
use crate::filter::FilterBytes;
use crate::{FormatError, TableFlags};

/// The description of one table.
///
/// A writer returns it, a meta file stores it, and a reader opens the table with it.
#[derive(Clone, Debug)]
pub struct SstMeta {
    /// Number of blocks, the index block included.
    pub block_count: u16,
    /// Hash of the first entry.
    pub min_hash: u64,
    /// Hash of the last entry.
    pub max_hash: u64,
    /// Length of the file in bytes.
    pub file_size: u64,
    /// Flags.
    pub flags: TableFlags,
    /// The bytes of the filter; empty if there is none.
    pub filter: FilterBytes,
    /// The part that only our own meta files store; `None` for a table of the original's.
    pub protection: Option<TableProtection>,
}

impl SstMeta {
    /// Checks those properties of the description that need no access to the table.
    ///
    /// # Errors
    ///
    /// [`FormatError::EmptyHashRange`] if the lowest hash is above the highest: every lookup in
    /// such a table would answer "not there".
    pub const fn validate(&self) -> Result<(), FormatError> {
        validate_hashes(self.min_hash, self.max_hash)
    }
}

/// Checks that the lowest hash of a table is not above its highest.
pub(crate) const fn validate_hashes(min_hash: u64, max_hash: u64) -> Result<(), FormatError> {
    if min_hash > max_hash {
        return Err(FormatError::EmptyHashRange { min_hash, max_hash });
    }
    Ok(())
}

/// The part of a table's description that the protection section adds (FORMAT.md section 9).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableProtection {
    /// Number of entries.
    pub entry_count: u64,
    /// A copy of the header of every block, in order.
    pub block_headers: Vec<BlockHeader>,
}
