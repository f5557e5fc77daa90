//! Opens tables: by their description, or with what the file itself tells.

use std::path::Path;

use sst_format::SstMeta;
use sst_format::index_block::IndexBlock;
use sst_format::offset_table::{OFFSET_LEN, recover_block_count};

use crate::block::blocks::{Blocks, Fill};
use crate::block::source::Source;
use crate::error::{Corruption, FileLabel, ReadError};
use crate::hash::entry_hash;
use crate::options::ReaderOptions;
use crate::table::key_index::KeyIndex;
use crate::table::search::HashBounds;
use crate::table::static_sorted_file::StaticSortedFile;

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
}
