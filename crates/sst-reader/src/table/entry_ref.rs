//! An entry that a cursor lends.

use std::fmt;

use sst_format::BlockIndex;
use sst_format::block::BlockHeader;
use sst_format::key_block::KeyEntry;
use sst_format::value_ref::{EntryType, ValueRef, small_value};

use crate::block::blocks::Fill;
use crate::block::memory::{CACHE_LINE, prefetch_at};
use crate::error::ReadError;
use crate::table::answer::ReadValue;
use crate::table::entered_blocks::{EnteredBlocks, ValueKind};
use crate::table::static_sorted_file::StaticSortedFile;

/// An entry of a table, lent by a [`Cursor`](crate::Cursor) until it moves on. Nothing is copied,
/// and no counter is touched.
pub struct EntryRef<'c> {
    /// The hash, stored or computed.
    pub hash: u64,
    /// The key.
    pub key: &'c [u8],
    entry_type: EntryType,
    value_ref: &'c [u8],
    /// The key block.
    block: BlockIndex,
    table: &'c StaticSortedFile,
    values: &'c mut EnteredBlocks,
}

impl<'c> EntryRef<'c> {
    #[inline(always)]
    pub(super) fn new(
        hash: u64,
        entry: KeyEntry<'c>,
        table: &'c StaticSortedFile,
        block: BlockIndex,
        values: &'c mut EnteredBlocks,
    ) -> Self {
        let KeyEntry { key, entry_type, value_ref, .. } = entry;
        Self { hash, key, entry_type, value_ref, block, table, values }
    }

    /// Asks for the memory a cache line behind the entry: there lies the next one, and the line of
    /// this one was asked for by an earlier entry.
    #[inline(always)]
    pub(super) fn prefetch_next(&self) {
        prefetch_at(self.value_ref.as_ptr(), self.value_ref.len() + CACHE_LINE);
    }

    /// Whether the entry is a tombstone.
    #[must_use]
    #[inline]
    pub fn is_tombstone(&self) -> bool {
        self.entry_type == EntryType::DELETED
    }

    /// The reference to the value in the key block: for callers that handle value blocks
    /// themselves.
    ///
    /// # Errors
    ///
    /// [`ReadError::Corrupt`] if it is damaged.
    #[inline]
    pub fn value_ref(&self) -> Result<ValueRef<'c>, ReadError> {
        ValueRef::parse(self.entry_type, self.value_ref)
            .map_err(|error| self.table.corrupt(self.block, error))
    }

    /// The value: only here is its block read.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the value's block cannot be read or is damaged.
    #[inline]
    pub fn into_value(self) -> Result<ReadValue<&'c [u8]>, ReadError> {
        let value_ref = self.value_ref()?;
        let Self { block: key_block, table, values, .. } = self;
        let corrupt = |error| table.corrupt(key_block, error);
        Ok(match value_ref {
            ValueRef::Deleted => ReadValue::Deleted,
            ValueRef::Blob(number) => ReadValue::Blob(number),
            ValueRef::Inline(value) => ReadValue::Value(value),
            ValueRef::Medium(block) => {
                ReadValue::Value(match table.blocks().resident_bytes(block) {
                    Some(value) => value,
                    None => values.enter(table.blocks(), block, ValueKind::Medium, Fill::Bypass)?,
                })
            }
            ValueRef::Small { block, len, offset } => {
                let blocks = table.blocks();
                let values = values.enter(blocks, block, ValueKind::Small, Fill::Bypass)?;
                ReadValue::Value(small_value(values, len, offset).map_err(corrupt)?)
            }
        })
    }

    /// The block of a medium value as it is stored, verified but not decompressed: for copying it
    /// to another table. `None` if the entry has no medium value.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the value's block cannot be read or is damaged.
    pub fn stored_medium<'b>(
        &self,
        buffer: &'b mut Vec<u8>,
    ) -> Result<Option<(BlockHeader, &'b [u8])>, ReadError>
    where
        'c: 'b,
    {
        match self.value_ref()? {
            ValueRef::Medium(block) => self.table.blocks().stored_block(block, buffer).map(Some),
            ValueRef::Inline(_)
            | ValueRef::Small { .. }
            | ValueRef::Blob(_)
            | ValueRef::Deleted => Ok(None),
        }
    }
}

impl fmt::Debug for EntryRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntryRef")
            .field("hash", &self.hash)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
