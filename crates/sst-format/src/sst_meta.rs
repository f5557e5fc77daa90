//! The description of one table, which a reader needs to open it.

use alloc::vec::Vec;

use crate::block::BlockHeader;
use crate::filter::FilterBytes;
use crate::{FormatError, TableFlags};

/// Description of one table: what a writer returns, a meta file keeps and a reader opens the table
/// with.
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
    /// The filter, opaque; empty if there is none.
    pub filter: FilterBytes,
    /// What only our own meta files tell; `None` for a table of the original's.
    pub protection: Option<TableProtection>,
}

impl SstMeta {
    /// Checks what the description can be checked for without the table.
    ///
    /// # Errors
    ///
    /// [`FormatError::EmptyHashRange`] if no hash lies between its lowest and its highest: such a
    /// table would answer every question with "not there".
    pub const fn validate(&self) -> Result<(), FormatError> {
        validate_hashes(self.min_hash, self.max_hash)
    }
}

/// The lowest hash of a table is not above its highest.
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
