//! One open table.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use sst_format::filter::Filter;
use sst_format::index_block::IndexBlock;
use sst_format::key_block::KeyBlock;
use sst_format::offset_table::{OFFSET_LEN, recover_block_count};
use sst_format::{BlockIndex, SstMeta};

use crate::block::blocks::{Blocks, Fill};
use crate::block::slice::Slice;
use crate::block::source::Source;
use crate::error::{Corruption, FileLabel, ReadError};
use crate::hash::entry_hash;
use crate::options::ReaderOptions;
use crate::table::key_index::KeyIndex;
use crate::table::search::HashBounds;

/// An open table: answers lookups from any number of threads.
///
/// Opening reads the offset table and the index block, nothing else. Every other block is checked
/// when it is first needed. Share it by reference or in an [`Arc`].
pub struct StaticSortedFile {
    blocks: Blocks,
    key_index: KeyIndex,
    entry_count: Option<u64>,
    filter: Option<Box<dyn Filter>>,
}

impl StaticSortedFile {
    /// Opens the table at `path` that `meta` describes.
    ///
    /// # Errors
    ///
    /// [`ReadError::Io`]; [`ReadError::Corrupt`] if the file is not the one described, or its
    /// offset table, its index block or its filter is damaged.
    pub fn open(
        path: impl AsRef<Path>,
        meta: &SstMeta,
        options: &ReaderOptions,
    ) -> Result<Self, ReadError> {
        let label = FileLabel::new(path);
        let source = Source::open(&label, &options.way())?;
        Self::from_source(label, source, Some(meta), options)
    }

    /// Opens the table at `path` with what the file itself tells: no filter, no protection.
    pub(crate) fn open_undescribed(
        path: &Path,
        options: &ReaderOptions,
    ) -> Result<Self, ReadError> {
        let label = FileLabel::new(path);
        let source = Source::open(&label, &options.way())?;
        Self::from_source(label, source, None, options)
    }

    /// Opens a table in memory. `name` stands for the path in messages.
    ///
    /// # Errors
    ///
    /// As [`StaticSortedFile::open`].
    pub fn from_bytes(
        name: impl AsRef<Path>,
        bytes: impl AsRef<[u8]> + Send + Sync + 'static,
        meta: Option<&SstMeta>,
        options: &ReaderOptions,
    ) -> Result<Self, ReadError> {
        let label = FileLabel::new(name);
        Self::from_source(label, Source::Memory(Box::new(bytes)), meta, options)
    }

    fn from_source(
        label: FileLabel,
        source: Source,
        meta: Option<&SstMeta>,
        options: &ReaderOptions,
    ) -> Result<Self, ReadError> {
        if let Some(meta) = meta {
            meta.validate().map_err(|error| ReadError::corrupt(&label, error))?;
        }
        let found = source.len();
        if let Some(expected) = meta.map(|meta| meta.file_size).filter(|&size| size != found) {
            return Err(ReadError::corrupt(&label, Corruption::FileSize { expected, found }));
        }
        let block_count = match meta {
            Some(meta) => meta.block_count,
            None => Self::recovered_block_count(&label, &source)?,
        };
        let protection = meta.and_then(|meta| meta.protection.as_ref());
        let (cache, limit) = (options.cache_or_default(), options.payload_limit());
        let blocks = Blocks::open(label, source, block_count, protection, cache, limit)?;
        let filter = meta
            .filter(|meta| !meta.filter.as_slice().is_empty())
            .zip(options.filter.as_ref())
            .map(|(meta, policy)| match protection {
                // The description of a protected table has a checksum of its own, which covers the
                // filter.
                Some(_) => policy.open_verified(meta.filter.clone()),
                None => policy.open(meta.filter.clone()),
            })
            .transpose()
            .map_err(|error| ReadError::corrupt(blocks.label(), error))?;
        let key_index = Self::read_key_index(&blocks)?;
        let entry_count = protection.map(|protection| protection.entry_count);
        let mut table = Self { blocks, key_index, entry_count, filter };
        let bounds = match meta {
            Some(meta) => HashBounds { low: meta.min_hash, high: meta.max_hash },
            None => table.recovered_hashes()?,
        };
        table.key_index = table.key_index.within(bounds);
        Ok(table)
    }

    fn read_key_index(blocks: &Blocks) -> Result<KeyIndex, ReadError> {
        let index = blocks.index_block();
        let payload = blocks.raw_payload(index)?;
        let corrupt = |error| ReadError::corrupt_block(blocks.label(), index, error);
        let index_block = IndexBlock::parse(payload.as_slice()).map_err(corrupt)?;
        // Every key block is in the index once, so that no walk is longer than the file has
        // entries.
        index_block.validate(blocks.block_count()).map_err(corrupt)?;
        KeyIndex::new(&index_block).map_err(|_| ReadError::OutOfMemory {
            file: blocks.label().clone(),
            block: Some(index),
            bytes: KeyIndex::len_of(index_block.key_block_count()) as u64,
        })
    }

    fn recovered_block_count(label: &FileLabel, source: &Source) -> Result<u16, ReadError> {
        let len = source.len();
        let last_word = match len.checked_sub(OFFSET_LEN as u64) {
            Some(start) => source.array(start).map_err(|e| ReadError::io(label, "read", e))?,
            // Too short for any table; the last word does not matter then.
            None => [0; OFFSET_LEN],
        };
        recover_block_count(len, u32::from_be_bytes(last_word))
            .map_err(|error| ReadError::corrupt(label, error))
    }

    /// The hashes of the first and the last entry.
    fn recovered_hashes(&self) -> Result<HashBounds, ReadError> {
        let edge = |key_block: usize, last: bool| {
            let (block, payload) = self.key_block_payload(key_block, Fill::Cache)?;
            let parsed = self.parse_key_block(block, &payload)?;
            let i = if last { parsed.entry_count() - 1 } else { 0 };
            parsed.entry(i).map(|entry| entry_hash(&entry)).map_err(|e| self.corrupt(block, e))
        };
        Ok(HashBounds { low: edge(0, false)?, high: edge(self.key_block_count() - 1, true)? })
    }

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
