//! One open table.

use std::cmp::Ordering;
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
use crate::table::search::{HashBounds, lower_bound};
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
    index: BlockIndex,
    key_block_count: usize,
    hashes: HashBounds,
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
            .map(|(meta, policy)| policy.open(meta.filter.clone()))
            .transpose()
            .map_err(|error| ReadError::corrupt(blocks.label(), error))?;
        let mut table = Self {
            blocks,
            index,
            key_block_count: 0,
            hashes: HashBounds { low: 0, high: u64::MAX },
            entry_count: protection.map(|protection| protection.entry_count),
            filter,
        };
        table.blocks.pin_raw(index)?;
        let index_block = table.index_block()?;
        // Every key block is in the index once, so that no walk is longer than the file has entries.
        index_block.validate(block_count).map_err(|e| table.corrupt(index, e))?;
        table.key_block_count = index_block.key_block_count();
        table.hashes = match meta {
            Some(meta) => HashBounds { low: meta.min_hash, high: meta.max_hash },
            None => table.recovered_hashes()?,
        };
        Ok(table)
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
        Ok(HashBounds { low: edge(0, false)?, high: edge(self.key_block_count - 1, true)? })
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
        self.key_block_count
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
        self.hashes.low
    }

    /// Hash of the last entry, by the description.
    #[must_use]
    pub const fn max_hash(&self) -> u64 {
        self.hashes.high
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
        (self.hashes.low..=self.hashes.high).contains(&hash)
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
        if !self.may_contain(hash) {
            return Ok(Lookup::NotFound);
        }
        let (block, payload, bounds) = self.key_block_for(hash)?;
        let key_block = self.parse_key_block(block, &payload)?;
        let i = find_entry(&key_block, bounds, hash, key).map_err(|e| self.corrupt(block, e))?;
        if i >= key_block.entry_count() {
            return Ok(Lookup::NotFound);
        }
        let entry = key_block.entry(i).map_err(|e| self.corrupt(block, e))?;
        if entry.key != key || entry.stored_hash.is_some_and(|stored| stored != hash) {
            return Ok(Lookup::NotFound);
        }
        self.value_of(block, &payload, &entry, Fill::Cache).map(Lookup::from)
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
        if !self.may_contain(hash) {
            return Ok(Matches::none(self));
        }
        let (block, payload, bounds) = self.key_block_for(hash)?;
        let key_block = self.parse_key_block(block, &payload)?;
        let first =
            find_entry(&key_block, bounds, hash, key).map_err(|e| self.corrupt(block, e))?;
        Ok(Matches::new(self, block, payload, first, hash, key))
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
        let first = self.key_block_of(*hashes.start())?;
        let mut cursor = Cursor::new(self, first, *hashes.end());
        cursor.skip_below(*hashes.start())?;
        Ok(cursor)
    }

    pub(crate) const fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    pub(crate) fn index_block(&self) -> Result<IndexBlock<'_>, ReadError> {
        let payload = self.blocks.pinned();
        IndexBlock::parse(payload).map_err(|e| self.corrupt(self.index, e))
    }

    pub(crate) fn corrupt(&self, block: BlockIndex, cause: impl Into<Corruption>) -> ReadError {
        ReadError::corrupt_block(self.blocks.label(), block, cause)
    }

    /// Payload of key block number `i` in index order.
    pub(crate) fn key_block_payload(
        &self,
        i: usize,
        fill: Fill,
    ) -> Result<(BlockIndex, Payload<'_>), ReadError> {
        let block = self.index_block()?.block(i).map_err(|e| self.corrupt(self.index, e))?;
        Ok((block, self.blocks.payload(block, fill)?))
    }

    #[inline]
    pub(crate) fn parse_key_block<'p>(
        &self,
        block: BlockIndex,
        payload: &'p Payload<'_>,
    ) -> Result<KeyBlock<'p>, ReadError> {
        KeyBlock::parse(payload.as_slice()).map_err(|e| self.corrupt(block, e))
    }

    /// Number, in index order, of the only key block that can hold `hash`.
    fn key_block_of(&self, hash: u64) -> Result<usize, ReadError> {
        let index = self.index_block()?;
        key_block_of(&index, self.hashes, hash).map_err(|e| self.corrupt(self.index, e))
    }

    /// The only key block that can hold `hash`, and between which hashes its entries are.
    #[inline]
    fn key_block_for(&self, hash: u64) -> Result<(BlockIndex, Payload<'_>, HashBounds), ReadError> {
        let index = self.index_block()?;
        let corrupt_index = |e| self.corrupt(self.index, e);
        let i = key_block_of(&index, self.hashes, hash).map_err(corrupt_index)?;
        let block = index.block(i).map_err(corrupt_index)?;
        let payload = self.blocks.payload(block, Fill::Cache)?;
        let bounds = HashBounds {
            low: index.first_hash(i).unwrap_or(self.hashes.low),
            high: index.first_hash(i + 1).unwrap_or(self.hashes.high),
        };
        // One wait for memory instead of several: the entry is likely within a few lines of where it is estimated.
        let bytes = payload.as_slice();
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        prefetch_around(bytes, bounds.estimate(hash, len) as usize, PREFETCH_REACH);
        Ok((block, payload, bounds))
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

/// The last key block whose first hash is not above `hash`, or the first one.
#[inline]
fn key_block_of(
    index: &IndexBlock<'_>,
    bounds: HashBounds,
    hash: u64,
) -> Result<usize, FormatError> {
    // An index of more key blocks than there are block indices is cut off: those can't be referred to.
    let others = u32::try_from(index.key_block_count() - 1).unwrap_or(u32::MAX);
    let found = lower_bound(others, bounds, hash, |i| {
        // Element `i` is the first hash of key block `i + 1`; those up to `hash`, itself included, count as below it.
        let first = index.first_hash(i as usize + 1).unwrap_or(u64::MAX);
        Ok((first, if first <= hash { Ordering::Less } else { Ordering::Greater }))
    })?;
    Ok(found as usize)
}

/// The first entry not below `(hash, key)`, or the number of entries.
#[inline]
fn find_entry(
    key_block: &KeyBlock<'_>,
    bounds: HashBounds,
    hash: u64,
    key: &[u8],
) -> Result<u32, FormatError> {
    lower_bound(key_block.entry_count(), bounds, hash, |i| {
        let entry = key_block.entry(i)?;
        let found = entry_hash(&entry);
        Ok((found, found.cmp(&hash).then_with(|| entry.key.cmp(key))))
    })
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

/// Tables are shared between threads.
const _: fn() = || {
    fn assert_send_sync<T: Send + Sync>() {}
    assert_send_sync::<Arc<StaticSortedFile>>();
};
