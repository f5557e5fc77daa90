//! One open table.

use std::fmt;
use std::sync::Arc;

use sst_format::BlockIndex;
use sst_format::filter::Filter;
use sst_format::key_block::KeyBlock;

use crate::block::blocks::{Blocks, Fill};
use crate::block::slice::Slice;
use crate::error::{Corruption, FileLabel, ReadError};
use crate::table::key_index::KeyIndex;

/// An open table: answers lookups from any number of threads.
///
/// Opening reads the offset table and the index block, nothing else. Every other block is checked
/// when it is first needed. Share it by reference or in an [`Arc`].
pub struct StaticSortedFile {
    pub(super) blocks: Blocks,
    pub(super) key_index: KeyIndex,
    pub(super) entry_count: Option<u64>,
    pub(super) filter: Option<Box<dyn Filter>>,
}

impl StaticSortedFile {
    /// The file, for messages.
    #[must_use]
    pub fn label(&self) -> &FileLabel {
        self.blocks.label()
    }

    /// Number of blocks, the index block included.
    #[must_use]
    pub fn block_count(&self) -> u16 {
        self.blocks.block_count()
    }

    /// Number of key blocks.
    #[must_use]
    pub const fn key_block_count(&self) -> usize {
        self.key_index.key_block_count()
    }

    /// Number of entries; `None` if no protection section tells.
    #[must_use]
    pub const fn entry_count(&self) -> Option<u64> {
        self.entry_count
    }

    /// Length of the file in bytes.
    #[must_use]
    pub fn file_size(&self) -> u64 {
        self.blocks.file_size()
    }

    /// Hash of the first entry, by the description.
    #[must_use]
    pub const fn min_hash(&self) -> u64 {
        self.key_index.bounds().low
    }

    /// Hash of the last entry, by the description.
    #[must_use]
    pub const fn max_hash(&self) -> u64 {
        self.key_index.bounds().high
    }

    /// The filter, if there is one and the options name its kind.
    #[must_use]
    pub fn filter(&self) -> Option<&dyn Filter> {
        self.filter.as_deref()
    }

    #[inline]
    pub(crate) fn is_in_range(&self, hash: u64) -> bool {
        (self.min_hash()..=self.max_hash()).contains(&hash)
    }

    /// Whether the table may hold an entry with this hash, by its range of hashes and its filter.
    #[must_use]
    #[inline]
    pub fn may_contain(&self, hash: u64) -> bool {
        self.is_in_range(hash) && self.filter.as_ref().is_none_or(|filter| filter.may_contain(hash))
    }

    pub(crate) const fn key_index(&self) -> &KeyIndex {
        &self.key_index
    }

    pub(crate) const fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn corrupt(&self, block: BlockIndex, cause: impl Into<Corruption>) -> ReadError {
        ReadError::corrupt_block(self.blocks.label(), block, cause)
    }

    /// Payload of key block number `i` in index order.
    #[inline]
    pub(crate) fn key_block_payload(
        &self,
        i: usize,
        fill: Fill,
    ) -> Result<(BlockIndex, Slice<'_>), ReadError> {
        let block = self.key_index.block(i).ok_or_else(|| {
            ReadError::internal(self.label(), "the index knows every key block that is asked for")
        })?;
        Ok((block, self.blocks.payload(block, fill)?))
    }

    #[inline(always)]
    pub(crate) fn parse_key_block<'p>(
        &self,
        block: BlockIndex,
        payload: &'p [u8],
    ) -> Result<KeyBlock<'p>, ReadError> {
        KeyBlock::parse(payload).map_err(|e| self.corrupt(block, e))
    }

    /// `part`, a slice of `payload`, to be kept.
    #[inline(always)]
    pub(crate) fn slice_of<'a>(
        &self,
        payload: &Slice<'a>,
        part: &[u8],
    ) -> Result<Slice<'a>, ReadError> {
        payload.clone_of_part(part).ok_or_else(|| self.not_in_its_block())
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn not_in_its_block(&self) -> ReadError {
        ReadError::internal(self.label(), "keys and inline values lie in their key block")
    }
}

impl fmt::Debug for StaticSortedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticSortedFile")
            .field("file", self.label())
            .field("blocks", &self.block_count())
            .field("filter", &self.filter)
            .finish_non_exhaustive()
    }
}

/// Tables and their values are shared between threads.
const _: fn() = || {
    fn assert_send_sync<T: Send + Sync>() {}
    assert_send_sync::<Arc<StaticSortedFile>>();
    assert_send_sync::<Slice<'static>>();
};
