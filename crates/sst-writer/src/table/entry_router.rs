//! Checks entries and routes them to the parts of the writer.

use std::cmp::Ordering;
use std::path::Path;

use sst_format::block::BLOCK_HEADER_LEN;
use sst_format::index_block::IndexBlockEncoder;
use sst_format::limits::{
    BLOCK_HEADROOM, HASH_THRESHOLD, MAX_INLINE_LEN, MAX_KEY_LEN, MAX_MEDIUM_VALUE_LEN,
    MAX_SMALL_LEN, MIN_KEY_LEN_TO_COMPRESS,
};
use sst_format::value_ref::{EntryType, ValueRef};
use sst_format::{BlobNumber, BlockIndex, SstMeta, TableFlags, TableProtection};

use crate::file::Sink;
use crate::table::block_sink::BlockSink;
use crate::table::entry_digester::{DigestedValue, EntryDigester};
use crate::table::filter_feed::FilterFeed;
use crate::table::key_block_boundaries::{KeyBlockBoundaries, Placement};
use crate::table::pending_entries::PendingEntries;
use crate::table::raw_block::check_raw_block;
use crate::table::small_value_block::SmallValueBlock;
use crate::table::{Finished, ShortKey};
use crate::{EntryValue, WriteError, WriterOptions, hash_key};

/// A key as an entry gave it.
#[derive(Clone, Copy)]
pub(crate) struct StatedKey<'a> {
    pub(crate) hash: u64,
    pub(crate) key: &'a [u8],
    /// Whether the hash is known to be that of the key.
    pub(crate) is_proven: bool,
}

/// Takes entries whose keys are written out: checks their order, hashes, lengths and the room for them, then routes
/// their parts.
///
/// The other four parts of the writer keep an invariant each: [`PendingEntries`] that an entry leaves only with a reference
/// that is known, [`KeyBlockBoundaries`] where key blocks end, [`SmallValueBlock`] where in its block a small value lies,
/// [`BlockSink`] what is on disk and what still fits. This one keeps theirs in step.
pub(crate) struct EntryRouter<S> {
    is_poisoned: bool,
    multi_value: bool,
    flags: TableFlags,
    entry_count: u64,
    min_hash: u64,
    /// Hash of the last entry; 0 before the first.
    last_hash: u64,
    /// Bytes that are left in any case beside everything that waits: as many as there were at the last exact reckoning,
    /// less what was added since. What has been compressed since is not in it.
    sure_room: u64,
    pending: PendingEntries,
    boundaries: KeyBlockBoundaries,
    small_values: SmallValueBlock,
    blocks: BlockSink<S>,
    index: IndexBlockEncoder,
    filter: FilterFeed,
    blobs: Vec<BlobNumber>,
    digester: Option<EntryDigester>,
    /// Where raw blocks are decompressed to be checked.
    decompressed: Vec<u8>,
}

impl<S: Sink> EntryRouter<S> {
    pub(crate) fn new(blocks: BlockSink<S>, options: &WriterOptions) -> Self {
        Self {
            is_poisoned: false,
            multi_value: options.multi_value,
            flags: options.flags,
            entry_count: 0,
            min_hash: 0,
            last_hash: 0,
            sure_room: 0,
            pending: PendingEntries::default(),
            boundaries: KeyBlockBoundaries::default(),
            small_values: SmallValueBlock::default(),
            blocks,
            index: IndexBlockEncoder::new(),
            filter: FilterFeed::new(options.filter.as_deref()),
            blobs: Vec::new(),
            digester: options.digest.then(EntryDigester::default),
            decompressed: Vec::new(),
        }
    }

    /// Number of entries taken.
    #[inline]
    pub(crate) const fn entry_count(&self) -> u64 {
        self.entry_count
    }

    /// Whether an operation on the output has failed or panicked.
    #[inline]
    pub(crate) const fn is_poisoned(&self) -> bool {
        self.is_poisoned
    }

    /// The file behind the sink, if it is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.blocks.path()
    }

    /// Takes an entry, or refuses it and changes nothing.
    #[inline(always)]
    pub(crate) fn add(
        &mut self,
        key: StatedKey<'_>,
        value: EntryValue<'_>,
    ) -> Result<(), WriteError> {
        if !self.add_alike(key, value)? {
            self.add_any(key, value)?;
        }
        if self.digester.is_some() {
            self.digest(key.key, value);
        }
        if self.small_values.is_full() || self.pending.is_over_budget() {
            self.guarded(Self::write_small_values)?;
        }
        Ok(())
    }

    /// Adds an entry that was just taken to the digest. Out of the way of those who take none.
    #[cold]
    fn digest(&mut self, key: &[u8], value: EntryValue<'_>) {
        let value = match value {
            EntryValue::Inline(value) | EntryValue::Small(value) | EntryValue::Medium(value) => {
                DigestedValue::Bytes(value)
            }
            EntryValue::MediumRaw { uncompressed_size: 0, block, .. } => {
                DigestedValue::Bytes(block)
            }
            // Its check has decompressed it.
            EntryValue::MediumRaw { .. } => DigestedValue::Bytes(&self.decompressed),
            EntryValue::Large { blob } => DigestedValue::Blob(blob),
            EntryValue::Deleted => DigestedValue::Deleted,
        };
        if let Some(digester) = &mut self.digester {
            digester.add(key, value);
        }
    }

    /// The short way for an entry like those before it: the same key length and type, a hash of its own, an inline value
    /// or a small one for the open value block, and more than enough room. Returns whether it took the entry.
    #[inline]
    fn add_alike(&mut self, key: StatedKey<'_>, value: EntryValue<'_>) -> Result<bool, WriteError> {
        let StatedKey { hash, key: key_bytes, .. } = key;
        let (entry_type, small) = match value {
            EntryValue::Inline(value) => match EntryType::inline(value.len()) {
                Ok(entry_type) => (entry_type, None),
                Err(_) => return Ok(false),
            },
            EntryValue::Small(value) => (EntryType::SMALL, Some(value)),
            _ => return Ok(false),
        };
        // An inline value of a type that is in the block already is short enough.
        let Some(growth) = self.boundaries.growth_if_alike(key_bytes.len(), entry_type) else {
            return Ok(false);
        };
        let needed = growth + small.map_or(0, <[u8]>::len) as u64;
        let is_alike = hash > self.last_hash
            && needed <= self.sure_room
            && small
                .is_none_or(|value| value.len() <= MAX_SMALL_LEN && self.small_values.is_open());
        if !is_alike {
            return Ok(false);
        }
        if key_bytes.len() <= HASH_THRESHOLD {
            self.check_hash(key)?;
        }
        self.sure_room -= needed;
        self.boundaries.commit_alike();
        let value_ref = match value {
            EntryValue::Inline(value) => ValueRef::Inline(value),
            _ => self.small_values.push(small.unwrap_or_default()),
        };
        self.pending.push(hash, key_bytes, entry_type, value_ref);
        self.last_hash = hash;
        self.entry_count += 1;
        Ok(true)
    }

    /// The long way: every check.
    fn add_any(&mut self, key: StatedKey<'_>, value: EntryValue<'_>) -> Result<(), WriteError> {
        let StatedKey { hash, key: key_bytes, .. } = key;
        if key_bytes.len() > MAX_KEY_LEN {
            return Err(WriteError::KeyTooLong { entry: self.entry_count, len: key_bytes.len() });
        }
        let repeats_hash = self.check_order(hash, key_bytes)?;
        let entry_type = self.check_value(value)?;
        let placement = match self.boundaries.place(repeats_hash, key_bytes.len(), entry_type) {
            Ok(placement) => placement,
            Err(source) => {
                let (entry, key) = (self.entry_count, ShortKey::new(key_bytes));
                return Err(WriteError::RunTooLong { entry, key, source });
            }
        };
        // Keys of the block only get longer, so a block that stores hashes now will.
        if placement.shape.max_key_len() <= HASH_THRESHOLD {
            self.check_hash(key)?;
        }
        let value_ref = self.take_value(value, &placement)?;
        // The entry is accepted: from here on only the output can fail.
        self.boundaries.commit(placement);
        self.pending.push(hash, key_bytes, entry_type, value_ref);
        if self.entry_count == 0 {
            self.min_hash = hash;
        }
        self.last_hash = hash;
        self.entry_count += 1;
        if placement.starts_block {
            self.guarded(Self::write_key_blocks)?;
        }
        Ok(())
    }

    /// See [`StreamingSstWriter::is_full`](crate::StreamingSstWriter::is_full).
    pub(crate) fn is_full(&self, max_entries: u64, max_data_size: u64) -> bool {
        let (value_blocks, values_len) = self.small_values.reserved(None);
        let (key_blocks, keys_len) = self.boundaries.reserved_now();
        let blocks = self.blocks.block_count() + value_blocks + key_blocks;
        let end = self.blocks.end() + values_len + keys_len;
        self.entry_count >= max_entries
            || end >= max_data_size
            || blocks + u64::from(BLOCK_HEADROOM) >= self.blocks.capacity().blocks
    }

    /// See [`StreamingSstWriter::has_room_for`](crate::StreamingSstWriter::has_room_for).
    pub(crate) fn has_room_for(&self, hash: u64, key_len: usize, value: EntryValue<'_>) -> bool {
        let (small_len, medium_len) = match value {
            EntryValue::Small(value) => (Some(value.len()), None),
            EntryValue::Medium(stored) | EntryValue::MediumRaw { block: stored, .. } => {
                (None, Some((BLOCK_HEADER_LEN + stored.len()) as u64))
            }
            EntryValue::Inline(_) | EntryValue::Large { .. } | EntryValue::Deleted => (None, None),
        };
        let repeats_hash = self.pending.last().is_some_and(|(last, _)| last == hash);
        let Ok(entry_type) = self.check_value(value) else { return false };
        self.boundaries
            .place(repeats_hash, key_len, entry_type)
            .is_ok_and(|placement| self.check_room(&placement, small_len, medium_len).is_ok())
    }

    /// See [`StreamingSstWriter::finish`](crate::StreamingSstWriter::finish).
    pub(crate) fn finish(mut self) -> Result<Finished<S::Output>, WriteError> {
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
        let digest = self.digester.map(EntryDigester::finish);
        Ok(Finished { meta, blobs: self.blobs, digest, output: written.output })
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
            Ordering::Equal if self.pending.last_type() == Some(EntryType::DELETED) => {
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
    fn check_hash(&self, key: StatedKey<'_>) -> Result<(), WriteError> {
        let StatedKey { hash: stated, key, is_proven } = key;
        if is_proven {
            return Ok(());
        }
        let computed = hash_key(key);
        let computed = sst_format::planted!("hash-unchecked", computed, stated);
        if stated != computed {
            let (entry, key) = (self.entry_count, ShortKey::new(key));
            return Err(WriteError::KeyHashMismatch { entry, key, stated, computed });
        }
        Ok(())
    }

    /// Checks that the table can still hold everything that waits, the entry and the index block. `small_len` and
    /// `medium_len` are the length of a small value, and of the block of a medium one. Returns how many bytes are left.
    fn check_room(
        &self,
        placement: &Placement,
        small_len: Option<usize>,
        medium_len: Option<u64>,
    ) -> Result<u64, WriteError> {
        let (value_blocks, values_len) = self.small_values.reserved(small_len);
        let (key_blocks, keys_len) = self.boundaries.reserved(placement);
        let blocks = value_blocks + key_blocks + u64::from(medium_len.is_some());
        let len = values_len + keys_len + medium_len.unwrap_or(0);
        self.blocks.check_room(blocks, len, self.entry_count)
    }

    /// Checks the room for an entry and takes its value over. The reference is that to be written, but for the block index of
    /// a small value.
    fn take_value<'a>(
        &mut self,
        value: EntryValue<'a>,
        placement: &Placement,
    ) -> Result<ValueRef<'a>, WriteError> {
        Ok(match value {
            EntryValue::Inline(value) => {
                self.reserve(placement, None, None)?;
                ValueRef::Inline(value)
            }
            EntryValue::Small(value) => {
                self.reserve(placement, Some(value.len()), None)?;
                self.small_values.push(value)
            }
            EntryValue::Medium(value) => ValueRef::Medium(self.write_medium(value, placement)?),
            EntryValue::MediumRaw { uncompressed_size, checksum, block } => {
                let header =
                    check_raw_block(uncompressed_size, checksum, block, &mut self.decompressed);
                let entry = self.entry_count;
                let header = header.map_err(|reason| WriteError::BadRawBlock { entry, reason })?;
                self.reserve(placement, None, Some((BLOCK_HEADER_LEN + block.len()) as u64))?;
                ValueRef::Medium(self.guarded(|writer| writer.blocks.write_stored(header, block))?)
            }
            EntryValue::Large { blob } => {
                self.reserve(placement, None, None)?;
                if self.blobs.last() != Some(&blob) {
                    self.blobs.push(blob);
                }
                ValueRef::Blob(blob)
            }
            EntryValue::Deleted => {
                self.reserve(placement, None, None)?;
                ValueRef::Deleted
            }
        })
    }

    /// Checks the room for a medium value and writes its block.
    fn write_medium(
        &mut self,
        value: &[u8],
        placement: &Placement,
    ) -> Result<BlockIndex, WriteError> {
        let longest = (BLOCK_HEADER_LEN + value.len()) as u64;
        if self.reserve(placement, None, Some(longest)).is_ok() {
            return self.guarded(|writer| writer.blocks.write(value));
        }
        // It may fit compressed.
        let prepared = self.blocks.prepare(value);
        if let Err(error) = self.reserve(placement, None, Some(prepared.len())) {
            self.blocks.discard(prepared);
            return Err(error);
        }
        self.guarded(|writer| writer.blocks.commit(prepared))
    }

    /// As [`EntryRouter::check_room`], for an entry that will be taken if there is room.
    fn reserve(
        &mut self,
        placement: &Placement,
        small_len: Option<usize>,
        medium_len: Option<u64>,
    ) -> Result<(), WriteError> {
        self.sure_room = self.check_room(placement, small_len, medium_len)?;
        Ok(())
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
            if self.pending.resolved_count() < needed {
                break;
            }
            let hashes = self.pending.first_hashes(&shape);
            let Some(&first_hash) = hashes.first() else { break };
            self.filter.add(hashes);
            let is_worth_trying = shape.max_key_len() >= MIN_KEY_LEN_TO_COMPRESS;
            let block = self
                .blocks
                .write_encoded(is_worth_trying, |out| self.pending.encode_first(&shape, out))?;
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
