//! The writer of one table.

use std::cmp::Ordering;
use std::fmt;
use std::path::Path;

use sst_format::block::BLOCK_HEADER_LEN;
use sst_format::index_block::IndexBlockEncoder;
use sst_format::limits::{
    BLOCK_HEADROOM, HASH_THRESHOLD, MAX_INLINE_LEN, MAX_KEY_LEN, MAX_MEDIUM_VALUE_LEN,
    MAX_SMALL_LEN, MIN_KEY_LEN_TO_COMPRESS,
};
use sst_format::value_ref::EntryType;
use sst_format::{BlobNumber, BlockIndex, SstMeta, TableFlags, TableProtection};

use crate::block_sink::{BlockSink, Capacity, ENCODABLE, PreparedBlock};
use crate::filter_feed::FilterFeed;
use crate::key_block_boundaries::{KeyBlockBoundaries, Placement};
use crate::pending_entries::{PendingEntries, PendingValue};
use crate::raw_block::check_raw_block;
use crate::small_value_block::SmallValueBlock;
use crate::{
    AtomicFile, Entry, EntryValue, Finished, ShortKey, Sink, WriteError, WriterOptions, hash_key,
};

/// Writes one table from entries in ascending (hash, key) order, without ever holding all of them.
///
/// Five parts share the work: the writer checks and routes entries; a queue keeps those whose value block has no index
/// yet; one part decides where key blocks end; one is the small value block being filled; one compresses, frames and
/// writes blocks and knows how many more there can be.
///
/// Every check is made before anything changes, so after a refused entry the writer is as it was. After a failed
/// operation on the output it is poisoned. Dropped without [`StreamingSstWriter::finish`], a file leaves nothing behind.
///
/// # Memory
///
/// Highest use, in bytes, beside what the filter keeps (4 per entry for a quotient filter):
///
/// | bytes | for |
/// |---|---|
/// | 52 per block | where it ends, its header, its place in the index block, and as much again for room to grow |
/// | 8 per reference to a blob | its number, likewise |
/// | 2 MiB | entries that wait, and one key block |
/// | 1 MiB | buffers |
/// | 3 × the longest medium value | its compressed form, in the output buffer |
/// | 6 × the longest run of equal hashes | keys and 40 bytes per entry; it makes one key block |
///
/// # Examples
///
/// ```
/// use sst_writer::{StreamingSstWriter, WriterOptions, hash_key};
///
/// let mut rows = vec![("apple", "red"), ("pear", "green"), ("plum", "a rather dark kind of blue")];
/// rows.sort_by_key(|(key, _)| (hash_key(key.as_bytes()), *key));
/// let mut writer = StreamingSstWriter::new(Vec::new(), WriterOptions::default());
/// for row in &rows {
///     writer.add(row)?;
/// }
/// let finished = writer.finish()?;
/// assert_eq!(finished.meta.file_size, finished.output.len() as u64);
/// # Ok::<(), sst_writer::WriteError>(())
/// ```
pub struct StreamingSstWriter<S: Sink> {
    /// The key of the entry at hand.
    key: Vec<u8>,
    is_poisoned: bool,
    multi_value: bool,
    flags: TableFlags,
    entry_count: u64,
    min_hash: u64,
    last_is_tombstone: bool,
    pending: PendingEntries,
    boundaries: KeyBlockBoundaries,
    small_values: SmallValueBlock,
    blocks: BlockSink<S>,
    index: IndexBlockEncoder,
    filter: FilterFeed,
    blobs: Vec<BlobNumber>,
    /// Where raw blocks are decompressed to be checked.
    decompressed: Vec<u8>,
}

impl StreamingSstWriter<AtomicFile> {
    /// Starts a table in a new file, which appears under its name when the table is finished.
    ///
    /// # Errors
    ///
    /// [`WriteError::Exists`] if there is such a file already, [`WriteError::Io`] if the directory is not there or cannot
    /// be written to.
    pub fn create(path: impl AsRef<Path>, options: WriterOptions) -> Result<Self, WriteError> {
        let file = AtomicFile::create(path)?;
        Ok(Self::in_file(file, options))
    }

    pub(crate) fn in_file(file: AtomicFile, options: WriterOptions) -> Self {
        let path = file.path().to_owned();
        let blocks = BlockSink::new(file, Some(path), options.compression, ENCODABLE);
        Self::with_blocks(blocks, &options)
    }
}

impl<S: Sink> StreamingSstWriter<S> {
    /// Starts a table in any sink.
    #[must_use]
    pub fn new(sink: S, options: WriterOptions) -> Self {
        Self::with_capacity(sink, options, ENCODABLE)
    }

    pub(crate) fn with_capacity(sink: S, options: WriterOptions, capacity: Capacity) -> Self {
        Self::with_blocks(BlockSink::new(sink, None, options.compression, capacity), &options)
    }

    fn with_blocks(blocks: BlockSink<S>, options: &WriterOptions) -> Self {
        Self {
            key: Vec::new(),
            is_poisoned: false,
            multi_value: options.multi_value,
            flags: options.flags,
            entry_count: 0,
            min_hash: 0,
            last_is_tombstone: false,
            pending: PendingEntries::default(),
            boundaries: KeyBlockBoundaries::default(),
            small_values: SmallValueBlock::default(),
            blocks,
            index: IndexBlockEncoder::new(),
            filter: FilterFeed::new(options.filter.as_deref()),
            blobs: Vec::new(),
            decompressed: Vec::new(),
        }
    }

    /// Adds the next entry, in ascending (hash, key) order.
    ///
    /// Amortized O(length of key and value).
    ///
    /// # Errors
    ///
    /// [`WriteError`]: its groups say whether the writer can go on. All of them but a failure of the output are found
    /// before anything is changed.
    pub fn add(&mut self, entry: impl Entry) -> Result<(), WriteError> {
        if self.is_poisoned {
            return Err(WriteError::Poisoned);
        }
        // All code of the caller's runs here, before anything changes: it may panic.
        let (hash, stated, value) = (entry.key_hash(), entry.key_len(), entry.value());
        if stated > MAX_KEY_LEN {
            return Err(WriteError::KeyTooLong { entry: self.entry_count, len: stated });
        }
        self.key.clear();
        entry.write_key_to(&mut self.key);
        let written = self.key.len();
        if written != stated {
            return Err(WriteError::KeyLenMismatch { entry: self.entry_count, stated, written });
        }
        let key = std::mem::take(&mut self.key);
        let result = self.add_parts(hash, &key, value);
        self.key = key;
        result
    }

    fn add_parts(
        &mut self,
        hash: u64,
        key: &[u8],
        value: EntryValue<'_>,
    ) -> Result<(), WriteError> {
        let repeats_hash = self.check_order(hash, key)?;
        let entry_type = self.check_value(value)?;
        let placement = match self.boundaries.place(repeats_hash, key.len(), entry_type) {
            Ok(placement) => placement,
            Err(source) => {
                let (entry, key) = (self.entry_count, ShortKey::new(key));
                return Err(WriteError::RunTooLong { entry, key, source });
            }
        };
        self.check_hash(hash, key, &placement)?;
        let value = self.take_value(value, entry_type, &placement)?;
        // The entry is accepted: from here on only the output can fail.
        self.boundaries.commit(placement);
        self.pending.push(hash, key, value);
        if self.entry_count == 0 {
            self.min_hash = hash;
        }
        self.entry_count += 1;
        self.last_is_tombstone = entry_type == EntryType::DELETED;
        if self.filter.push(hash) {
            self.guarded(|writer| {
                writer.filter.flush();
                Ok(())
            })?;
        }
        if self.small_values.is_full() || self.pending.is_over_budget() {
            self.guarded(Self::write_small_values)?;
        } else if placement.starts_block {
            self.guarded(Self::write_key_blocks)?;
        }
        Ok(())
    }

    /// Number of entries added.
    #[must_use]
    pub const fn entry_count(&self) -> u64 {
        self.entry_count
    }

    /// Whether it is time to finish this table and start the next: it has that many entries, could take that many bytes,
    /// or comes close to the number of blocks a table can have.
    ///
    /// The size reckoned is what the table would take if nothing that still waits compressed at all. `u64::MAX` means no
    /// limit of one's own. O(1).
    #[must_use]
    pub fn is_full(&self, max_entries: u64, max_data_size: u64) -> bool {
        let (value_blocks, values_len) = self.small_values.reserved(None);
        let (key_blocks, keys_len) = self.boundaries.reserved_now();
        let (blocks, end) =
            self.blocks.with_reserved(value_blocks + key_blocks, values_len + keys_len);
        self.entry_count >= max_entries
            || end >= max_data_size
            || blocks + u64::from(BLOCK_HEADROOM) >= self.blocks.capacity().blocks
    }

    /// Whether the table has blocks and bytes left for the entry, even if its value does not compress. Says nothing of
    /// its order. O(1).
    #[must_use]
    pub fn has_room_for(&self, entry: &impl Entry) -> bool {
        let value = entry.value();
        let (small_len, medium_len) = match value {
            EntryValue::Small(value) => (Some(value.len()), None),
            EntryValue::Medium(stored) | EntryValue::MediumRaw { block: stored, .. } => {
                (None, Some((BLOCK_HEADER_LEN + stored.len()) as u64))
            }
            EntryValue::Inline(_) | EntryValue::Large { .. } | EntryValue::Deleted => (None, None),
        };
        let hash = entry.key_hash();
        let repeats_hash = self.pending.last().is_some_and(|(last, _)| last == hash);
        let Ok(entry_type) = self.check_value(value) else { return false };
        self.boundaries
            .place(repeats_hash, entry.key_len(), entry_type)
            .is_ok_and(|placement| self.check_room(&placement, small_len, medium_len).is_ok())
    }

    /// Writes what waits, the index block and the offset table, and ends the output.
    ///
    /// # Errors
    ///
    /// [`WriteError::NoEntries`], or a failure of the output or the filter. A file is then not there.
    pub fn finish(mut self) -> Result<Finished<S::Output>, WriteError> {
        if self.is_poisoned {
            return Err(WriteError::Poisoned);
        }
        let Some((max_hash, _)) = self.pending.last() else {
            return Err(WriteError::NoEntries);
        };
        self.boundaries.close();
        self.write_small_values()?;
        let filter = self.filter.finish()?;
        let index = self.index.finish().map_err(WriteError::Internal)?;
        let written = self.blocks.finish(&index)?;
        self.blobs.sort_unstable();
        self.blobs.dedup();
        let block_count = u16::try_from(written.headers.len()).unwrap_or(u16::MAX);
        let meta = SstMeta {
            block_count,
            min_hash: self.min_hash,
            max_hash,
            file_size: written.file_size,
            flags: self.flags,
            filter,
            protection: Some(TableProtection {
                entry_count: self.entry_count,
                block_headers: written.headers,
            }),
        };
        Ok(Finished { meta, blobs: self.blobs, output: written.output })
    }

    /// Checks that the entry comes after the last one. Returns whether their hashes are equal.
    #[inline]
    fn check_order(&self, hash: u64, key: &[u8]) -> Result<bool, WriteError> {
        let Some((last_hash, last_key)) = self.pending.last() else {
            return Ok(false);
        };
        if hash > last_hash {
            return Ok(false);
        }
        let entry = self.entry_count;
        match hash.cmp(&last_hash).then_with(|| key.cmp(last_key)) {
            Ordering::Greater => Ok(true),
            Ordering::Equal if !self.multi_value => {
                Err(WriteError::DuplicateKey { entry, key: ShortKey::new(key) })
            }
            Ordering::Equal if self.last_is_tombstone => {
                Err(WriteError::TombstoneNotLast { entry, key: ShortKey::new(key) })
            }
            Ordering::Equal => Ok(true),
            Ordering::Less => Err(WriteError::OutOfOrder {
                entry,
                hash,
                key: ShortKey::new(key),
                previous_hash: last_hash,
                previous_key: ShortKey::new(last_key),
            }),
        }
    }

    /// Checks the length of a value against its class. Returns the type its entry will have.
    #[inline]
    fn check_value(&self, value: EntryValue<'_>) -> Result<EntryType, WriteError> {
        let entry = self.entry_count;
        match value {
            EntryValue::Inline(value) => match EntryType::inline(value.len()) {
                Ok(entry_type) if value.len() <= MAX_INLINE_LEN => Ok(entry_type),
                _ => Err(WriteError::InlineTooLong { entry, len: value.len() }),
            },
            EntryValue::Small(value) if value.len() > MAX_SMALL_LEN => {
                Err(WriteError::SmallTooLong { entry, len: value.len() })
            }
            EntryValue::Medium(value) if value.len() > MAX_MEDIUM_VALUE_LEN => {
                Err(WriteError::MediumTooLong { entry, len: value.len() })
            }
            EntryValue::Small(_) => Ok(EntryType::SMALL),
            EntryValue::Medium(_) | EntryValue::MediumRaw { .. } => Ok(EntryType::MEDIUM),
            EntryValue::Large { .. } => Ok(EntryType::BLOB),
            EntryValue::Deleted => Ok(EntryType::DELETED),
        }
    }

    /// Checks that a reader will look for the entry under its hash: it computes hashes where they are not stored.
    #[inline]
    fn check_hash(&self, stated: u64, key: &[u8], placement: &Placement) -> Result<(), WriteError> {
        // Keys of the block only get longer, so a block that stores hashes now will.
        if placement.shape.max_key_len() > HASH_THRESHOLD {
            return Ok(());
        }
        let computed = hash_key(key);
        if stated != computed {
            let (entry, key) = (self.entry_count, ShortKey::new(key));
            return Err(WriteError::KeyHashMismatch { entry, key, stated, computed });
        }
        Ok(())
    }

    /// Checks that the table can still hold everything that waits, the entry and the index block. `small_len` and
    /// `medium_len` are the length of a small value, and of the block of a medium one.
    #[inline]
    fn check_room(
        &self,
        placement: &Placement,
        small_len: Option<usize>,
        medium_len: Option<u64>,
    ) -> Result<(), WriteError> {
        let (value_blocks, values_len) = self.small_values.reserved(small_len);
        let (key_blocks, keys_len) = self.boundaries.reserved(placement);
        let blocks = value_blocks + key_blocks + u64::from(medium_len.is_some());
        let len = values_len + keys_len + medium_len.unwrap_or(0);
        self.blocks.check_room(blocks, len, self.entry_count)
    }

    /// Checks the room for an entry and takes its value over.
    #[inline]
    fn take_value(
        &mut self,
        value: EntryValue<'_>,
        entry_type: EntryType,
        placement: &Placement,
    ) -> Result<PendingValue, WriteError> {
        let medium = match value {
            EntryValue::Medium(value) => {
                let prepared = self.blocks.prepare(value);
                Some(self.write_medium(prepared, value, placement)?)
            }
            EntryValue::MediumRaw { uncompressed_size, checksum, block } => {
                let header =
                    check_raw_block(uncompressed_size, checksum, block, &mut self.decompressed);
                let entry = self.entry_count;
                let header = header.map_err(|reason| WriteError::BadRawBlock { entry, reason })?;
                let prepared = PreparedBlock::stored(header, block.len());
                Some(self.write_medium(prepared, block, placement)?)
            }
            EntryValue::Small(value) => {
                self.check_room(placement, Some(value.len()), None)?;
                None
            }
            EntryValue::Inline(_) | EntryValue::Large { .. } | EntryValue::Deleted => {
                self.check_room(placement, None, None)?;
                None
            }
        };
        Ok(match (value, medium) {
            (_, Some(block)) => PendingValue::medium(block),
            (EntryValue::Inline(value), None) => PendingValue::inline(value, entry_type),
            (EntryValue::Small(value), None) => {
                let len = u16::try_from(value.len()).unwrap_or(u16::MAX);
                PendingValue::waiting(len, self.small_values.push(value))
            }
            (EntryValue::Large { blob }, None) => {
                if self.blobs.last() != Some(&blob) {
                    self.blobs.push(blob);
                }
                PendingValue::blob(blob)
            }
            _ => PendingValue::deleted(),
        })
    }

    /// Checks the room for a medium value and writes its block.
    fn write_medium(
        &mut self,
        prepared: PreparedBlock,
        stored: &[u8],
        placement: &Placement,
    ) -> Result<BlockIndex, WriteError> {
        if let Err(error) = self.check_room(placement, None, Some(prepared.len())) {
            self.blocks.discard(prepared);
            return Err(error);
        }
        self.guarded(|writer| writer.blocks.commit(prepared, stored))
    }

    /// Writes the small value block, if there is one, then the key blocks that have waited for it.
    fn write_small_values(&mut self) -> Result<(), WriteError> {
        if let Some(payload) = self.small_values.payload() {
            let block = self.blocks.write(payload)?;
            self.small_values.clear();
            self.pending.resolve(block);
        }
        self.write_key_blocks()
    }

    /// Writes every key block that can be written: it is closed, and all its entries are resolved and the first entry of
    /// the next block is too.
    fn write_key_blocks(&mut self) -> Result<(), WriteError> {
        while let Some((shape, needed)) = self.boundaries.next_to_write() {
            let Some(first_hash) = self.pending.first_hash() else { break };
            if self.pending.resolved_count() < needed {
                break;
            }
            let try_to_compress = shape.max_key_len() >= MIN_KEY_LEN_TO_COMPRESS;
            let block = self
                .blocks
                .write_encoded(try_to_compress, |out| self.pending.encode_first(&shape, out))?;
            self.index.push(first_hash, block);
            self.boundaries.written();
        }
        self.pending.remove_written();
        Ok(())
    }

    /// Runs what can fail or panic halfway. If it does, the writer stays poisoned.
    fn guarded<T>(
        &mut self,
        action: impl FnOnce(&mut Self) -> Result<T, WriteError>,
    ) -> Result<T, WriteError> {
        self.is_poisoned = true;
        let result = action(self)?;
        self.is_poisoned = false;
        Ok(result)
    }
}

impl<S: Sink> fmt::Debug for StreamingSstWriter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamingSstWriter")
            .field("path", &self.blocks.path())
            .field("entry_count", &self.entry_count)
            .field("is_poisoned", &self.is_poisoned)
            .finish_non_exhaustive()
    }
}

/// Writes a table of entries that are all in memory, in ascending (hash, key) order, to a new file.
///
/// # Errors
///
/// As [`StreamingSstWriter`]; there is then no file.
pub fn write_static_sorted_file<E: Entry>(
    entries: &[E],
    path: impl AsRef<Path>,
    options: WriterOptions,
) -> Result<Finished<()>, WriteError> {
    let mut writer = StreamingSstWriter::create(path, options)?;
    entries.iter().try_for_each(|entry| writer.add(entry))?;
    writer.finish()
}

#[cfg(test)]
mod tests;
