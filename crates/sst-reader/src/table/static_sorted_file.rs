//! One open table.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use sst_format::filter::Filter;
use sst_format::index_block::IndexBlock;
use sst_format::key_block::{KeyBlock, KeyEntry};
use sst_format::offset_table::{OFFSET_LEN, recover_block_count};
use sst_format::value_ref::{ValueRef, small_value};
use sst_format::{BlockIndex, FormatError, SstMeta};

use crate::block::blocks::{Blocks, Fill};
use crate::block::memory::prefetch_around;
use crate::block::slice::Payload;
use crate::block::source::Source;
use crate::table::key_index::KeyIndex;
use crate::table::key_search::{self, Estimate};
use crate::table::outlook::Outlook;
use crate::table::search::HashBounds;
use crate::{
    Corruption, Cursor, EntryValue, FileLabel, Iter, Lookup, Matches, ReadError, ReaderOptions,
    Slice, hash_key,
};

/// Cache lines to either side of an estimated entry that are fetched beforehand: among the 455 entries of 24 bytes of a
/// full block, two thirds of all estimates are off by less than 250 bytes.
const PREFETCH_REACH: usize = 6;

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

/// A key block that can hold a hash.
struct Located<'a> {
    block: BlockIndex,
    payload: Payload<'a>,
    estimate: Estimate,
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

    /// Whether the table may hold an entry with this hash, by its range of hashes and its filter.
    #[must_use]
    #[inline]
    pub fn may_contain(&self, hash: u64) -> bool {
        (self.key_index.bounds().low..=self.key_index.bounds().high).contains(&hash)
            && self.filter.as_ref().is_none_or(|filter| filter.may_contain(hash))
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
        match self.passes(hash) {
            true => self.lookup_unfiltered(hash, key),
            false => Ok(Lookup::NotFound),
        }
    }

    /// As [`StaticSortedFile::lookup`], without asking the filter.
    #[inline]
    pub(crate) fn lookup_unfiltered(&self, hash: u64, key: &[u8]) -> Result<Lookup<'_>, ReadError> {
        let found = self.locate(hash)?;
        let key_block = self.parse_key_block(found.block, &found.payload)?;
        let entry = key_search::first_entry(&key_block, found.estimate, hash, key)
            .and_then(|first| first.map(|i| key_block.entry(i)).transpose())
            .map_err(|e| self.corrupt(found.block, e))?;
        match entry {
            Some(entry) => {
                self.value_of(found.block, &found.payload, &entry, Fill::Cache).map(Lookup::from)
            }
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
        if !self.passes(hash) {
            return Ok(Matches::none(self));
        }
        let Located { block, payload, estimate } = self.locate(hash)?;
        let key_block = self.parse_key_block(block, &payload)?;
        let first = key_search::first_entry(&key_block, estimate, hash, key)
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

    /// Whether the table may hold an entry with this hash, for a lookup that will go on if so.
    #[inline]
    fn passes(&self, hash: u64) -> bool {
        let bounds = self.key_index.bounds();
        (bounds.low..=bounds.high).contains(&hash) && self.passes_filter(self.filter(), hash)
    }

    /// What the filter says, its own or one that a set keeps for it: where the outlook is good, the key block is fetched
    /// before the filter has answered.
    #[inline]
    pub(crate) fn passes_filter(&self, filter: Option<&dyn Filter>, hash: u64) -> bool {
        let Some(filter) = filter else { return true };
        let outlook = Outlook::of(self.blocks.id());
        if outlook.is_hit() {
            filter.prefetch(hash);
            self.prefetch_key_block(hash);
        }
        let is_hit = filter.may_contain(hash);
        outlook.learn(is_hit);
        is_hit
    }

    /// The key block that can hold `hash`, and where. What is there is fetched before it is needed.
    #[inline]
    fn locate(&self, hash: u64) -> Result<Located<'_>, ReadError> {
        let i = self.key_index.key_block_of(hash);
        let (block, payload) = self.key_block_payload(i, Fill::Cache)?;
        let bounds = self.key_index.bounds_of(i);
        let place = bounds.fraction(hash);
        let bytes = payload.as_slice();
        prefetch_around::<PREFETCH_REACH>(bytes, place.of_len(bytes.len()));
        let estimate = Estimate { place, bounds, density: self.key_index.density() };
        Ok(Located { block, payload, estimate })
    }

    /// Fetches the start of the key block and the cache line in which `hash` is estimated to be, if the block is ready to
    /// be used.
    #[inline]
    pub(crate) fn prefetch_key_block(&self, hash: u64) {
        let i = self.key_index.key_block_of(hash);
        let block = self.key_index.block(i);
        if let Some(payload) = block.and_then(|block| self.blocks.verified_in_place(block)) {
            let place = self.key_index.bounds_of(i).fraction(hash);
            let bytes = payload.as_slice();
            prefetch_around::<0>(bytes, place.of_len(bytes.len()));
            prefetch_around::<0>(bytes, 0);
        }
    }

    /// Resolves the value of an entry of the key block with this payload.
    #[inline]
    pub(crate) fn value_of<'a>(
        &'a self,
        block: BlockIndex,
        payload: &Payload<'a>,
        entry: &KeyEntry<'_>,
        fill: Fill,
    ) -> Result<EntryValue<Slice<'a>>, ReadError> {
        match entry.value_ref().map_err(|e| self.corrupt(block, e))? {
            ValueRef::Deleted => Ok(EntryValue::Deleted),
            ValueRef::Blob(number) => Ok(EntryValue::Blob(number)),
            ValueRef::Inline(value) => Ok(EntryValue::Value(payload.slice_of(value))),
            ValueRef::Medium(block) => {
                Ok(EntryValue::Value(Slice::whole(self.blocks.payload(block, fill)?)))
            }
            ValueRef::Small { block: value_block, len, offset } => {
                let values = self.blocks.payload(value_block, fill)?;
                values
                    .into_part(|payload| small_value(payload, len, offset))
                    .map(EntryValue::Value)
                    .map_err(|e| self.corrupt(block, e))
            }
        }
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
