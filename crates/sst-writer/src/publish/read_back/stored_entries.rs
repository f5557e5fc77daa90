//! The entries of a table on disk, one after the other.

use std::path::Path;

use sst_format::block::BlockHeader;
use sst_format::index_block::IndexBlock;
use sst_format::key_block::{KeyBlock, KeyEntry};
use sst_format::value_ref::{ValueRef, small_value};
use sst_format::{BlobNumber, BlockIndex, FormatError, SstMeta, Structure};

use super::stored_table::StoredTable;
use super::table_defect::TableDefect;
use crate::{FileSystem, PublishError, hash_key};

/// A value on disk.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StoredValue<'a> {
    /// Beside the key.
    Inline(&'a [u8]),
    /// In a block with others.
    Small(&'a [u8]),
    /// In a block of its own, uncompressed.
    Medium(&'a [u8]),
    /// In a file of its own.
    Blob(BlobNumber),
    /// None: a tombstone.
    Deleted,
}

/// Walks a table in (hash, key) order. At the end every block has been verified and everything that the description says
/// has been compared. Two blocks are in memory at a time.
#[derive(Debug)]
pub(crate) struct StoredEntries {
    table: StoredTable,
    index: Vec<u8>,
    next_key_block: usize,
    block: BlockIndex,
    key_block: Vec<u8>,
    entry: u32,
    entry_count: u32,
    hash: u64,
    /// Entries before the current key block.
    entries_before: u64,
    /// Key of the last entry of the key block before, if any.
    last_key: Option<Vec<u8>>,
    /// The value block whose payload is in `values`.
    value_block: Option<BlockIndex>,
    values: Vec<u8>,
}

impl StoredEntries {
    /// Opens a table. The walk starts before its first entry.
    pub(crate) fn open(
        file_system: &dyn FileSystem,
        path: &Path,
        meta: &SstMeta,
    ) -> Result<Self, PublishError> {
        let mut table = StoredTable::open(file_system, path, meta)?;
        let index_block = BlockIndex(meta.block_count.saturating_sub(1));
        let mut index = Vec::new();
        table.refer_to(index_block);
        table.payload(index_block, &mut index)?;
        IndexBlock::parse(&index)
            .and_then(|index| index.validate(meta.block_count))
            .map_err(|cause| table.defect(Some(index_block), cause))?;
        Ok(Self {
            table,
            index,
            next_key_block: 0,
            block: BlockIndex(0),
            key_block: Vec::new(),
            entry: 0,
            entry_count: 0,
            hash: 0,
            entries_before: 0,
            last_key: None,
            value_block: None,
            values: Vec::new(),
        })
    }

    /// Moves to the next entry; `false` behind the last, when everything has been checked.
    pub(crate) fn advance(&mut self) -> Result<bool, PublishError> {
        if self.entry + 1 < self.entry_count {
            self.entry += 1;
        } else if !self.enter_next_key_block()? {
            return Ok(false);
        }
        let entry = self.key_entry()?;
        let hash = entry.stored_hash.unwrap_or_else(|| hash_key(entry.key));
        let value = entry.value_ref().map_err(|cause| self.defect(cause))?;
        if let ValueRef::Small { block, .. } | ValueRef::Medium(block) = value {
            self.table.refer_to(block);
        }
        self.hash = hash;
        Ok(true)
    }

    fn enter_next_key_block(&mut self) -> Result<bool, PublishError> {
        let last_hash = self.hash;
        if self.entry_count > 0 {
            self.last_key = Some(self.key()?.to_vec());
            self.entries_before += u64::from(self.entry_count);
        }
        self.entry_count = 0;
        let index = IndexBlock::parse(&self.index).map_err(|cause| self.defect(cause))?;
        if self.next_key_block >= index.key_block_count() {
            self.check_end()?;
            return Ok(false);
        }
        let (first, next) =
            (index.first_hash(self.next_key_block), index.first_hash(self.next_key_block + 1));
        self.block = index.block(self.next_key_block).map_err(|cause| self.defect(cause))?;
        self.next_key_block += 1;
        self.table.refer_to(self.block);
        self.table.payload(self.block, &mut self.key_block)?;
        let block = KeyBlock::parse(&self.key_block).map_err(|cause| self.defect(cause))?;
        block.validate(hash_key).map_err(|cause| self.defect(cause))?;
        self.entry = 0;
        self.entry_count = block.entry_count();
        self.check_key_block(last_hash, first, next)?;
        Ok(true)
    }

    /// The key block lies where the index says, behind the one before.
    fn check_key_block(
        &self,
        last_hash: u64,
        first: Option<u64>,
        next: Option<u64>,
    ) -> Result<(), PublishError> {
        let block = KeyBlock::parse(&self.key_block).map_err(|cause| self.defect(cause))?;
        let entry_at = |i: u32| -> Result<_, PublishError> {
            let entry = block.entry(i).map_err(|cause| self.defect(cause))?;
            Ok((entry.stored_hash.unwrap_or_else(|| hash_key(entry.key)), entry.key))
        };
        let (found, key) = entry_at(0)?;
        let is_first = self.last_key.is_none();
        let follows =
            self.last_key.as_ref().is_none_or(|last| (last_hash, last.as_slice()) < (found, key));
        if !follows {
            let structure = Structure::KeyBlock;
            return Err(self.defect(FormatError::OutOfOrder { structure, index: 0 }));
        }
        let expected = first.or(is_first.then_some(self.table.meta.min_hash));
        if expected.is_some_and(|expected| expected != found) {
            return Err(self.defect(TableDefect::Hash { found }));
        }
        let (last, _) = entry_at(self.entry_count.saturating_sub(1))?;
        if next.is_some_and(|next| last >= next) {
            return Err(self.defect(TableDefect::Hash { found: last }));
        }
        Ok(())
    }

    /// What can be told only once all entries were seen.
    fn check_end(&mut self) -> Result<(), PublishError> {
        if self.hash != self.table.meta.max_hash {
            return Err(self.table.defect(None, TableDefect::Hash { found: self.hash }));
        }
        let stated = self.table.meta.protection.as_ref().map(|protection| protection.entry_count);
        let found = self.entries_before;
        if let Some(expected) = stated.filter(|&stated| stated != found) {
            return Err(self.table.defect(None, TableDefect::EntryCount { expected, found }));
        }
        self.table.read_the_rest()
    }

    /// An error in the current key block.
    pub(crate) fn defect(&self, reason: impl Into<TableDefect>) -> PublishError {
        self.table.defect(Some(self.block), reason)
    }

    fn key_entry(&self) -> Result<KeyEntry<'_>, PublishError> {
        KeyBlock::parse(&self.key_block)
            .and_then(|block| block.entry(self.entry))
            .map_err(|cause| self.defect(cause))
    }

    /// Hash of the current entry.
    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    /// Key of the current entry.
    pub(crate) fn key(&self) -> Result<&[u8], PublishError> {
        self.key_entry().map(|entry| entry.key)
    }

    /// Key and value of the current entry.
    pub(crate) fn entry(&mut self) -> Result<(&[u8], StoredValue<'_>), PublishError> {
        let value = self.key_entry()?.value_ref().map_err(|cause| self.defect(cause))?;
        if let ValueRef::Small { block, .. } | ValueRef::Medium(block) = value {
            self.enter_value_block(block)?;
        }
        let entry = self.key_entry()?;
        let defect = |cause: FormatError| self.table.defect(Some(self.block), cause);
        let value = match entry.value_ref().map_err(defect)? {
            ValueRef::Inline(value) => StoredValue::Inline(value),
            ValueRef::Small { len, offset, .. } => {
                StoredValue::Small(small_value(&self.values, len, offset).map_err(defect)?)
            }
            ValueRef::Medium(_) => StoredValue::Medium(&self.values),
            ValueRef::Blob(number) => StoredValue::Blob(number),
            ValueRef::Deleted => StoredValue::Deleted,
        };
        Ok((entry.key, value))
    }

    fn enter_value_block(&mut self, block: BlockIndex) -> Result<(), PublishError> {
        if self.value_block != Some(block) {
            // Not known before it is read.
            self.value_block = None;
            self.table.payload(block, &mut self.values)?;
            self.value_block = Some(block);
        }
        Ok(())
    }

    /// The block of the current entry's medium value as it is stored; `None` if it has none.
    pub(crate) fn stored_medium(&mut self) -> Result<Option<(BlockHeader, &[u8])>, PublishError> {
        match self.value_ref()? {
            ValueRef::Medium(block) => self.table.stored(block).map(Some),
            _ => Ok(None),
        }
    }

    /// The blob that the current entry refers to, if it refers to one.
    pub(crate) fn blob(&self) -> Result<Option<BlobNumber>, PublishError> {
        match self.value_ref()? {
            ValueRef::Blob(number) => Ok(Some(number)),
            _ => Ok(None),
        }
    }

    fn value_ref(&self) -> Result<ValueRef<'_>, PublishError> {
        self.key_entry()?.value_ref().map_err(|cause| self.defect(cause))
    }
}
