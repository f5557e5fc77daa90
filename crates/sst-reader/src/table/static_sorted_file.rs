//! One open table.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use sst_format::filter::Filter;
use sst_format::index_block::IndexBlock;
use sst_format::key_block::{KeyBlock, KeyEntry};
use sst_format::offset_table::{OFFSET_LEN, recover_block_count};
use sst_format::{BlockIndex, FormatError, SstMeta};

use crate::block::blocks::{Blocks, Fill};
use crate::block::slice::Payload;
use crate::block::source::Source;
use crate::table::key_index::KeyIndex;
use crate::table::key_search;
use crate::table::search::HashBounds;
use crate::{
    Corruption, Cursor, FileLabel, Iter, Lookup, Matches, ReadError, ReaderOptions, Slice, hash_key,
};

/// An open table: answers lookups from any number of threads.
///
/// Opening reads the offset table and the index block, nothing else. Every other block is checked when it is first
/// needed. Share it by reference or in an [`Arc`].
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
    /// [`ReadError::Io`]; [`ReadError::Corrupt`] if the file is not the one described, or its offset table, its index
    /// block or its filter is damaged.
    pub fn open(path: &Path, meta: &SstMeta, options: &ReaderOptions) -> Result<Self, ReadError> {
        let label = FileLabel::new(path);
        let source = Source::open(&label, options.access)?;
        Self::from_source(label, source, Some(meta), options)
    }

    /// Opens the table at `path` without a description: what is needed is recovered from the file itself
    /// (FORMAT.md section 3). Without the description there is no filter and no protection.
    ///
    /// # Errors
    ///
    /// As [`StaticSortedFile::open`].
    pub fn open_standalone(path: &Path, options: &ReaderOptions) -> Result<Self, ReadError> {
        let label = FileLabel::new(path);
        let source = Source::open(&label, options.access)?;
        Self::from_source(label, source, None, options)
    }

    /// Opens a table in memory. `name` stands for the path in messages.
    ///
    /// # Errors
    ///
    /// As [`StaticSortedFile::open`].
    pub fn from_bytes(
        name: &str,
        bytes: impl AsRef<[u8]> + Send + Sync + 'static,
        meta: Option<&SstMeta>,
        options: &ReaderOptions,
    ) -> Result<Self, ReadError> {
        let label = FileLabel::new(Path::new(name));
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
        let blocks = Blocks::open(label, source, block_count, protection, options)?;
        let index = BlockIndex(block_count.saturating_sub(1));
        let filter = meta
            .filter(|meta| !meta.filter.as_slice().is_empty())
            .zip(options.filter.as_ref())
            .map(|(meta, policy)| match protection {
                // What describes a protected table has a checksum of its own, filters and all.
                Some(_) => policy.open_verified(meta.filter.clone()),
                None => policy.open(meta.filter.clone()),
            })
            .transpose()
            .map_err(|error| ReadError::corrupt(blocks.label(), error))?;
        let key_index = Self::read_key_index(&blocks, index)?;
        let entry_count = protection.map(|protection| protection.entry_count);
        let mut table = Self { blocks, key_index, entry_count, filter };
        let bounds = match meta {
            Some(meta) => HashBounds { low: meta.min_hash, high: meta.max_hash },
            None => table.recovered_hashes()?,
        };
        table.key_index = table.key_index.within(bounds);
        Ok(table)
    }

    fn read_key_index(blocks: &Blocks, index: BlockIndex) -> Result<KeyIndex, ReadError> {
        let payload = blocks.raw_payload(index)?;
        let corrupt = |error| ReadError::corrupt_block(blocks.label(), index, error);
        let index_block = IndexBlock::parse(payload.as_slice()).map_err(corrupt)?;
        // Every key block is in the index once, so that no walk is longer than the file has entries.
        index_block.validate(blocks.block_count()).map_err(corrupt)?;
        Ok(KeyIndex::new(&index_block))
    }

    fn recovered_block_count(label: &FileLabel, source: &Source) -> Result<u16, ReadError> {
        let len = source.len();
        let start = len.saturating_sub(OFFSET_LEN as u64);
        let mut buffer = Vec::new();
        let bytes = source
            .with_bytes(start..len, &mut buffer)
            .map_err(|error| ReadError::io(label, "read", error))?;
        let last = bytes.first_chunk().map_or(0, |word| u32::from_be_bytes(*word));
        recover_block_count(len, last).map_err(|error| ReadError::corrupt(label, error))
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

    /// The filter, if there is one and the options have what opens it.
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

    /// Looks a key up. Where it occurs more than once, the first of its entries counts.
    ///
    /// # Errors
    ///
    /// As [`StaticSortedFile::lookup`].
    #[inline]
    pub fn get(&self, key: &[u8]) -> Result<Lookup<'_>, ReadError> {
        self.lookup(hash_key(key), key)
    }

    /// Looks up a key whose hash is known: [`hash_key`] of it, unless its writer chose another.
    ///
    /// Expected O(1) block accesses and O(log log n) probes, at most O(log n) for any hashes. A warm lookup in a
    /// mapped file whose blocks are raw allocates nothing, takes no lock and writes to no shared memory.
    ///
    /// # Errors
    ///
    /// [`ReadError::Io`]; [`ReadError::Corrupt`] if a block on the way is damaged.
    #[inline]
    pub fn lookup(&self, hash: u64, key: &[u8]) -> Result<Lookup<'_>, ReadError> {
        match self.pass(hash) {
            Some(estimate) => self.lookup_at(&estimate, hash, key),
            None => Ok(Lookup::NotFound),
        }
    }

    /// All entries of a key, in the order in which they were written; a tombstone comes last.
    ///
    /// # Errors
    ///
    /// As [`StaticSortedFile::lookup`]; the iterator may give them too.
    pub fn get_all<'a, 'k>(&'a self, key: &'k [u8]) -> Result<Matches<'a, 'k>, ReadError> {
        self.lookup_all(hash_key(key), key)
    }

    /// [`StaticSortedFile::get_all`] of a key whose hash is known.
    ///
    /// # Errors
    ///
    /// As [`StaticSortedFile::lookup`]; the iterator may give them too.
    pub fn lookup_all<'a, 'k>(
        &'a self,
        hash: u64,
        key: &'k [u8],
    ) -> Result<Matches<'a, 'k>, ReadError> {
        let Some(estimate) = self.pass(hash) else { return Ok(Matches::none(self)) };
        let block = estimate.block;
        let payload = self.blocks.payload(block, Fill::Cache)?;
        let key_block = self.parse_key_block(block, &payload)?;
        let first = key_search::first_entry(&key_block, &self.key_index, &estimate, hash, key)
            .map_err(|e| self.corrupt(block, e))?;
        Ok(match first {
            Some(first) => Matches::new(self, block, payload, first, hash, key),
            None => Matches::none(self),
        })
    }

    /// All entries in order.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter::new(self.cursor())
    }

    /// A cursor before the first entry: walks all entries in order without handing out owned ones.
    #[must_use]
    pub const fn cursor(&self) -> Cursor<'_> {
        Cursor::new(self, 0, u64::MAX)
    }

    /// A cursor over the entries whose hashes are in `hashes`.
    ///
    /// # Errors
    ///
    /// As [`StaticSortedFile::lookup`].
    pub fn range(&self, hashes: std::ops::RangeInclusive<u64>) -> Result<Cursor<'_>, ReadError> {
        let first = self.key_index.key_block_of(*hashes.start());
        let mut cursor = Cursor::new(self, first, *hashes.end());
        cursor.skip_below(*hashes.start())?;
        Ok(cursor)
    }

    pub(crate) const fn key_index(&self) -> &KeyIndex {
        &self.key_index
    }

    pub(crate) const fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    pub(crate) fn corrupt(&self, block: BlockIndex, cause: impl Into<Corruption>) -> ReadError {
        ReadError::corrupt_block(self.blocks.label(), block, cause)
    }

    /// Payload of key block number `i` in index order.
    #[inline]
    pub(crate) fn key_block_payload(
        &self,
        i: usize,
        fill: Fill,
    ) -> Result<(BlockIndex, Payload<'_>), ReadError> {
        let block = self.key_index.block(i).ok_or_else(|| self.no_such_key_block(i))?;
        Ok((block, self.blocks.payload(block, fill)?))
    }

    #[cold]
    fn no_such_key_block(&self, i: usize) -> ReadError {
        let (index, count) = (i as u64, self.key_block_count() as u64);
        ReadError::corrupt(self.label(), FormatError::NoSuchEntry { index, count })
    }

    #[inline(always)]
    pub(crate) fn parse_key_block<'p>(
        &self,
        block: BlockIndex,
        payload: &'p Payload<'_>,
    ) -> Result<KeyBlock<'p>, ReadError> {
        KeyBlock::parse(payload.as_slice()).map_err(|e| self.corrupt(block, e))
    }
}

/// The hash of an entry, stored or computed.
#[inline]
pub(crate) fn entry_hash(entry: &KeyEntry<'_>) -> u64 {
    entry.stored_hash.unwrap_or_else(|| hash_key(entry.key))
}

impl<'a> IntoIterator for &'a StaticSortedFile {
    type Item = Result<crate::IterEntry<'a>, ReadError>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
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
