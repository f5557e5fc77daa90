//! The description of one live table.

use std::fmt;
use std::path::{Path, PathBuf};

use sst_format::block::BlockHeader;
use sst_format::file_name::FileKind;
use sst_format::filter::FilterBytes;
use sst_format::meta_file::TableRecord;
use sst_format::{SequenceNumber, SstMeta, TableProtection};

use super::catalog::path_of;
use super::meta_bytes::MetaBytes;
use crate::block::memory::HeldBytes;

/// A live table of a directory. Its filter and the copies of its block headers stay in the meta
/// file's bytes until they are asked for, so that a directory of 10,000 tables is read in
/// milliseconds.
#[derive(Clone)]
#[non_exhaustive]
pub struct CatalogTable {
    /// Its sequence number.
    pub sequence: SequenceNumber,
    /// The meta file that describes it.
    pub meta_file: SequenceNumber,
    /// The key space it belongs to.
    pub family: u32,
    /// Its line in the meta file: size, hashes, flags.
    pub record: TableRecord,
    /// Number of entries; `None` if the directory is not protected.
    pub entry_count: Option<u64>,
    /// Empty if it has none.
    pub(super) filter: FilterBytes,
    /// The copies of its block headers; `None` without protection.
    pub(super) headers: Option<HeldBytes<'static, MetaBytes>>,
}

impl CatalogTable {
    /// Where its file is in the directory `dir`.
    #[must_use]
    pub fn path(&self, dir: impl AsRef<Path>) -> PathBuf {
        path_of(dir.as_ref(), self.sequence, FileKind::Sst)
    }

    /// Whether the meta file protects it.
    #[must_use]
    pub const fn is_protected(&self) -> bool {
        self.entry_count.is_some()
    }

    /// The bytes of its filter, not copied; empty if it has none.
    #[must_use]
    pub fn filter(&self) -> FilterBytes {
        self.filter.clone()
    }

    /// Its description, as [`StaticSortedFile::open`](crate::StaticSortedFile::open) takes it.
    /// O(number of blocks).
    #[must_use]
    pub fn meta(&self) -> SstMeta {
        let TableRecord { block_count, min_hash, max_hash, file_size, flags, .. } = self.record;
        let filter = self.filter();
        let protection = self.protection();
        SstMeta { block_count, min_hash, max_hash, file_size, flags, filter, protection }
    }

    fn protection(&self) -> Option<TableProtection> {
        let entry_count = self.entry_count?;
        // Parsing has made sure that there are whole headers only, and opening a table that there
        // is one for each block.
        let headers = self.headers.as_ref()?.as_slice().as_chunks().0;
        let block_headers = headers.iter().copied().map(BlockHeader::from_bytes).collect();
        Some(TableProtection { entry_count, block_headers })
    }

    /// Whether both describe the same file, though perhaps in different meta files.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        let place = |table: &Self| (table.sequence, table.family, table.entry_count);
        let shape = |table: &Self| TableRecord { filter_end: 0, ..table.record };
        place(self) == place(other) && shape(self) == shape(other)
    }
}

impl fmt::Debug for CatalogTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatalogTable")
            .field("sequence", &self.sequence)
            .field("meta_file", &self.meta_file)
            .field("family", &self.family)
            .field("record", &self.record)
            .field("entry_count", &self.entry_count)
            .field("filter_len", &self.filter.as_slice().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl CatalogTable {
    /// A table without files.
    pub(super) fn stub(sequence: u32, min_hash: u64, max_hash: u64) -> Self {
        let sequence = SequenceNumber(sequence);
        Self {
            sequence,
            meta_file: SequenceNumber(0),
            family: 0,
            record: TableRecord {
                sequence,
                block_count: 2,
                min_hash,
                max_hash,
                file_size: 0,
                flags: sst_format::TableFlags(0),
                filter_end: 0,
            },
            entry_count: None,
            filter: FilterBytes::new([]),
            headers: None,
        }
    }
}
