//! The description of one table, with which a reader opens it.

use alloc::sync::Arc;
use core::fmt;

use crate::block::BlockHeader;
use crate::filter::FilterBytes;
use crate::{FormatError, TableFlags};

/// The description of one table.
///
/// A writer returns it, a meta file stores it, and a reader opens the table with it.
#[derive(Clone)]
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

/// In a few lines: of the filter only its length, of the blocks only their number.
impl fmt::Debug for SstMeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SstMeta")
            .field("block_count", &self.block_count)
            .field("min_hash", &format_args!("{:016x}", self.min_hash))
            .field("max_hash", &format_args!("{:016x}", self.max_hash))
            .field("file_size", &self.file_size)
            .field("flags", &self.flags)
            .field("filter", &format_args!("{} bytes", self.filter.as_slice().len()))
            .field("protection", &self.protection)
            .finish()
    }
}

impl fmt::Debug for TableProtection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableProtection")
            .field("entry_count", &self.entry_count)
            .field("block_headers", &format_args!("{} of them", self.block_headers.len()))
            .finish()
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
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TableProtection {
    /// Number of entries.
    pub entry_count: u64,
    /// A copy of the header of every block, in order. Shared: every reader of the table keeps them,
    /// 8 bytes for each block.
    pub block_headers: Arc<[BlockHeader]>,
}

impl TableProtection {
    /// The protection with the stored copies of block headers, 8 bytes each. Parsing a meta file
    /// has made sure that they are whole; opening a table checks that there is one for each block.
    #[must_use]
    pub fn from_stored(entry_count: u64, block_headers: &[u8]) -> Self {
        let headers = block_headers.as_chunks().0.iter().copied();
        Self { entry_count, block_headers: headers.map(BlockHeader::from_bytes).collect() }
    }
}
