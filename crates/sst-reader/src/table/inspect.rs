//! The blocks and entries of a table in numbers: for operators, not for lookups.

use std::collections::BTreeMap;
use std::ops::Range;

use sst_format::block::{BLOCK_HEADER_LEN, BlockHeader};
use sst_format::key_block::KeyBlockKind;
use sst_format::value_ref::{EntryType, ValueRef};
use sst_format::{BlockIndex, FormatError};

use crate::block::blocks::Fill;
use crate::block::residency::{ReadAhead, Spans};
use crate::block::slice::Slice;
use crate::error::ReadError;
use crate::table::static_sorted_file::StaticSortedFile;

/// The use of a block. No block says so itself: it follows from the references to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum BlockRole {
    /// It holds keys.
    Keys,
    /// It holds small values of many entries.
    SmallValues,
    /// It is the value of one entry.
    MediumValue,
    /// It is the index block.
    Index,
    /// Nothing refers to it.
    Unused,
}

impl BlockRole {
    /// A short name: `keys`, `small values`, `medium value`, `index`, `unused`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::SmallValues => "small values",
            Self::MediumValue => "medium value",
            Self::Index => "index",
            Self::Unused => "unused",
        }
    }
}

/// One block of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockInfo {
    /// Its index.
    pub index: BlockIndex,
    /// Its use.
    pub role: BlockRole,
    /// The kind of key block, if it is one.
    pub key_block_kind: Option<KeyBlockKind>,
    /// Number of entries, if it is a key block.
    pub entry_count: Option<u32>,
    /// Where it starts in the file, in bytes.
    pub start: u32,
    /// Length as stored, without its header, in bytes.
    pub stored_len: u64,
    /// Length after decompression, in bytes.
    pub payload_len: u64,
    /// Its header.
    pub header: BlockHeader,
}

/// The blocks and entries of a table in numbers.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TableInfo {
    /// Every block, in file order.
    pub blocks: Vec<BlockInfo>,
    /// Number of entries of each type.
    pub entry_types: BTreeMap<EntryType, u64>,
    /// Number of entries of each key length in bytes.
    pub key_lens: BTreeMap<usize, u64>,
}

impl TableInfo {
    /// Number of entries.
    #[must_use]
    pub fn entry_count(&self) -> u64 {
        self.entry_types.values().sum()
    }

    /// Number of entries by the name of their type, inline ones of all lengths together.
    #[must_use]
    pub fn entry_kinds(&self) -> BTreeMap<&'static str, u64> {
        let mut kinds = BTreeMap::new();
        for (entry_type, &count) in &self.entry_types {
            *kinds.entry(entry_type.name()).or_default() += count;
        }
        kinds
    }
}

impl StaticSortedFile {
    /// Describes every block and counts entries by type and key length. Reads all key blocks, and
    /// of the others only the headers; of an object in a store also what lies between, up to 256
    /// KiB, so that a request fetches many of them.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if a key block cannot be read or is damaged.
    pub fn inspect(&self) -> Result<TableInfo, ReadError> {
        let mut info = TableInfo { blocks: self.block_infos()?, ..TableInfo::default() };
        let index = self.blocks().index_block();
        self.assign(&mut info, index, BlockRole::Index)?;
        let mut ahead = ReadAhead::behind(self.blocks(), None);
        let key_blocks = (0..self.key_block_count()).map_while(|i| self.key_index().block(i));
        let ranges = key_blocks.map_while(|block| self.blocks().byte_range(block));
        let mut spans = Spans::new(ranges);
        for i in 0..self.key_block_count() {
            // Without such a block, the next line returns the error.
            if let Some(block) = self.key_index().block(i) {
                self.blocks().prefetch_mapped_ahead(block, &mut ahead);
            }
            self.blocks().prefetch_spans(&mut spans);
            let (block, payload) = self.key_block_payload(i, Fill::Bypass)?;
            let key_block = self.parse_key_block(block, &payload)?;
            let known = self.assign(&mut info, block, BlockRole::Keys)?;
            known.key_block_kind = Some(key_block.kind());
            known.entry_count = Some(key_block.entry_count());
            for i in 0..key_block.entry_count() {
                let entry = key_block.entry(i).map_err(|e| self.corrupt(block, e))?;
                *info.entry_types.entry(entry.entry_type).or_default() += 1;
                *info.key_lens.entry(entry.key.len()).or_default() += 1;
                match entry.value_ref().map_err(|e| self.corrupt(block, e))? {
                    ValueRef::Small { block, .. } => {
                        self.assign(&mut info, block, BlockRole::SmallValues)?;
                    }
                    ValueRef::Medium(block) => {
                        self.assign(&mut info, block, BlockRole::MediumValue)?;
                    }
                    ValueRef::Inline(_) | ValueRef::Blob(_) | ValueRef::Deleted => {}
                }
            }
        }
        Ok(info)
    }

    /// The uncompressed payload of a block, verified.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if there is no such block, or it cannot be read or is damaged.
    pub fn block(&self, block: BlockIndex) -> Result<Slice<'_>, ReadError> {
        self.blocks().payload(block, Fill::Bypass)
    }

    fn assign<'i>(
        &self,
        info: &'i mut TableInfo,
        block: BlockIndex,
        role: BlockRole,
    ) -> Result<&'i mut BlockInfo, ReadError> {
        let block_count = self.block_count();
        let no_such_block = FormatError::NoSuchBlock { block: block.0, block_count };
        let known = info.blocks.get_mut(usize::from(block.0));
        let known = known.ok_or_else(|| self.corrupt(block, no_such_block))?;
        known.role = role;
        Ok(known)
    }

    fn block_infos(&self) -> Result<Vec<BlockInfo>, ReadError> {
        let blocks = || (0..self.block_count()).map(BlockIndex);
        let ranges = blocks().map_while(|block| self.blocks().byte_range(block));
        let header = |range: Range<usize>| {
            range.start..range.end.min(range.start.saturating_add(BLOCK_HEADER_LEN))
        };
        let mut spans = Spans::new(ranges.map(header));
        blocks()
            .map(|index| {
                self.blocks().prefetch_spans(&mut spans);
                let (header, range) = self.blocks().header(index)?;
                let stored_len = u64::from(range.end - range.start) - BLOCK_HEADER_LEN as u64;
                let payload_len =
                    header.payload_len(stored_len).map_err(|e| self.corrupt(index, e))?;
                Ok(BlockInfo {
                    index,
                    role: BlockRole::Unused,
                    key_block_kind: None,
                    entry_count: None,
                    start: range.start,
                    stored_len,
                    payload_len,
                    header,
                })
            })
            .collect()
    }
}
