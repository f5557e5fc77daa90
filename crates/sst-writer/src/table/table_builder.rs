//! The table builder, which connects the parts of a table.

use std::path::Path;

use sst_format::block::BLOCK_HEADER_LEN;
use sst_format::limits::{BLOCK_HEADROOM, HASH_THRESHOLD, MAX_TARGET_BLOCK_SIZE};
use sst_format::value_ref::{EntryType, ValueRef};
use sst_format::{BlobNumber, BlockIndex, SstMeta, TableFlags, TableProtection};

use crate::codec::{CheckError, check_stored};
use crate::file::Sink;
use crate::invariant::{BrokenInvariant, OrBroken};
use crate::table::block_writer::BlockWriter;
use crate::table::entry_checks::{EntryChecks, StatedKey};
use crate::table::entry_digester::EntryDigester;
use crate::table::key_block_boundaries::Placement;
use crate::table::key_block_builder::KeyBlockBuilder;
use crate::table::small_value_block::{SmallValue, SmallValueBlock};
use crate::table::{EntryValue, Finished, WriteError, WriterOptions};

/// Accepts entries: checks each one, makes sure that there is room for it, and passes its key and
/// value to the parts that write them.
///
/// Each part keeps one invariant: [`EntryChecks`] the order of entries, [`KeyBlockBuilder`] that
/// only entries with a complete value reference are written, [`SmallValueBlock`] the positions of
/// small values in their block, [`BlockWriter`] the number of blocks and bytes that still fit.
pub(crate) struct TableBuilder<S> {
    /// Whether an operation on the output has failed or panicked.
    is_poisoned: bool,
    flags: TableFlags,
    checks: EntryChecks,
    /// Lower bound on the free bytes, after everything that is pending.
    /// [`TableBuilder::check_room`] computes it exactly; after that, the bytes of added entries are
    /// subtracted. Bytes that compression saves are not added before the next exact computation.
    guaranteed_free: u64,
    key_blocks: KeyBlockBuilder,
    small_values: SmallValueBlock,
    blocks: BlockWriter<S>,
    /// The blobs to which entries refer.
    blobs: Vec<BlobNumber>,
    digester: Option<EntryDigester>,
    /// The payload of the last block in stored form, if it had to be decompressed.
    decompressed: Vec<u8>,
}

/// The room that a value takes, besides its entry in a key block.
#[derive(Clone, Copy)]
struct ValueRoom {
    /// Length of a small value in bytes.
    small: Option<usize>,
    /// Length of a block for this value alone in bytes, header included.
    block: Option<u64>,
}

impl ValueRoom {
    /// The value lies in the key block or in a blob file.
    const NONE: Self = Self { small: None, block: None };

    const fn small(len: usize) -> Self {
        Self { small: Some(len), block: None }
    }

    /// The value has a block, whose stored form has `stored_len` bytes.
    const fn block(stored_len: usize) -> Self {
        Self { small: None, block: Some((BLOCK_HEADER_LEN + stored_len) as u64) }
    }

    /// Upper bound on the room that the value takes.
    const fn most(value: EntryValue<'_>) -> Self {
        match value {
            EntryValue::Small(value) => Self::small(value.len()),
            EntryValue::Medium(stored) | EntryValue::MediumStored { block: stored, .. } => {
                Self::block(stored.len())
            }
            EntryValue::Inline(_) | EntryValue::Blob(_) | EntryValue::Deleted => Self::NONE,
        }
    }
}

impl<S: Sink> TableBuilder<S> {
    pub(crate) fn new(blocks: BlockWriter<S>, options: &WriterOptions) -> Self {
        Self {
            is_poisoned: false,
            flags: options.flags,
            checks: EntryChecks::new(options.multi_value),
            guaranteed_free: 0,
            key_blocks: KeyBlockBuilder::new(options),
            small_values: SmallValueBlock::new(
                options.value_block_size.clamp(1, MAX_TARGET_BLOCK_SIZE),
            ),
            blocks,
            blobs: Vec::new(),
            digester: options.digest.then(EntryDigester::default),
            decompressed: Vec::new(),
        }
    }

    /// Number of accepted entries.
    #[inline]
    pub(crate) const fn entry_count(&self) -> u64 {
        self.checks.entry_count()
    }

    /// The key of the last entry. There must be one.
    pub(crate) fn last_key(&self) -> Result<&[u8], WriteError> {
        Ok(self.key_blocks.pending.last()?.key)
    }

    /// Whether an operation on the output has failed or panicked.
    #[inline]
    pub(crate) const fn is_poisoned(&self) -> bool {
        self.is_poisoned
    }

    /// The path of the file behind the sink, if there is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.blocks.path()
    }

    /// Adds an entry, or refuses it and changes nothing.
    #[inline(always)]
    pub(crate) fn add(
        &mut self,
        key: StatedKey<'_>,
        value: EntryValue<'_>,
    ) -> Result<(), WriteError> {
        if !self.add_same_shape(key, value)? {
            self.add_checked(key, value)?;
        }
        self.count_and_digest(key, value)
    }

    /// See [`StreamingSstWriter::add_if_room`](crate::StreamingSstWriter::add_if_room).
    #[inline(always)]
    pub(crate) fn add_if_room(
        &mut self,
        key: StatedKey<'_>,
        value: EntryValue<'_>,
    ) -> Result<bool, WriteError> {
        if !self.has_block_headroom() {
            return Ok(false);
        }
        // The short way is only open where there is room.
        if !self.add_same_shape(key, value)? {
            // An entry that no table can hold is an error, not a lack of room.
            self.checks.check_key_len(key.key.len())?;
            self.checks.check_value_class(value)?;
            if !self.has_room_for(key.hash, key.key.len(), value) {
                return Ok(false);
            }
            self.add_checked(key, value)?;
        }
        self.count_and_digest(key, value)?;
        Ok(true)
    }

    /// Whether the table is not close to the highest number of blocks.
    #[inline]
    fn has_block_headroom(&self) -> bool {
        let (value_blocks, _) = self.small_values.reserved(None);
        let blocks =
            self.blocks.block_count() + value_blocks + self.key_blocks.boundaries.unwritten();
        blocks + u64::from(BLOCK_HEADROOM) < self.blocks.capacity().blocks
    }

    /// Adds an accepted entry to the digest, and writes the value block if it is full.
    #[inline(always)]
    fn count_and_digest(
        &mut self,
        key: StatedKey<'_>,
        value: EntryValue<'_>,
    ) -> Result<(), WriteError> {
        if self.digester.is_some() {
            self.digest(key.key, value)?;
        }
        if self.small_values.is_full() || self.key_blocks.pending.is_over_budget() {
            self.guarded(Self::write_small_values)?;
        }
        Ok(())
    }

    /// Adds an accepted entry to the digest. Marked cold, so that tables without a digest do not
    /// pay for it.
    #[cold]
    fn digest(&mut self, key: &[u8], value: EntryValue<'_>) -> Result<(), WriteError> {
        self.guarded(|table| match &mut table.digester {
            Some(digester) => Ok(digester.add(key, value, &table.decompressed)?),
            None => Err(BrokenInvariant::new("only a table with a digest adds to it").into()),
        })
    }

    /// Adds an entry of the same shape as those before it, the short way. Returns whether it was
    /// added.
    ///
    /// Such an entry has the same key length and type, a hash of its own, and an inline value or a
    /// small one for the open value block. There must be more than enough room for it.
    #[inline]
    fn add_same_shape(
        &mut self,
        key: StatedKey<'_>,
        value: EntryValue<'_>,
    ) -> Result<bool, WriteError> {
        let StatedKey { hash, key: key_bytes, .. } = key;
        let (entry_type, value) = match value {
            EntryValue::Inline(value) => match EntryType::inline(value.len()) {
                Ok(entry_type) => (entry_type, SameShapeValue::Inline(value)),
                // Too long: `add_checked` refuses it.
                Err(_) => return Ok(false),
            },
            EntryValue::Small(value) => match SmallValue::new(value) {
                Some(value) if self.small_values.is_open() => {
                    (EntryType::SMALL, SameShapeValue::Small(value))
                }
                _ => return Ok(false),
            },
            EntryValue::Medium(_)
            | EntryValue::MediumStored { .. }
            | EntryValue::Blob(_)
            | EntryValue::Deleted => return Ok(false),
        };
        // The block already has inline values of this type, so the length is allowed.
        let boundaries = &mut self.key_blocks.boundaries;
        let Some(same_shape) = boundaries.same_shape(key_bytes.len(), entry_type) else {
            return Ok(false);
        };
        let needed = same_shape.growth() + value.small_len() as u64;
        if !self.checks.is_above_all(hash) || needed > self.guaranteed_free {
            return Ok(false);
        }
        if key_bytes.len() <= HASH_THRESHOLD {
            self.checks.check_hash(key)?;
        }
        self.guaranteed_free -= needed;
        boundaries.commit_same_shape(same_shape);
        let pushed = match value {
            SameShapeValue::Inline(value) => Ok(ValueRef::Inline(value)),
            SameShapeValue::Small(value) => self.small_values.push(value),
        };
        let pushed = pushed.and_then(|value_ref| {
            self.key_blocks.pending.push(hash, key_bytes, entry_type, value_ref)
        });
        pushed.map_err(|error| self.broken(error))?;
        self.checks.count(hash);
        Ok(true)
    }

    /// Adds any entry, with all checks.
    fn add_checked(&mut self, key: StatedKey<'_>, value: EntryValue<'_>) -> Result<(), WriteError> {
        let StatedKey { hash, key: key_bytes, .. } = key;
        self.checks.check_key_len(key_bytes.len())?;
        let repeats_hash = self.checks.check_order(hash, key_bytes, &self.key_blocks.pending)?;
        let entry_type = self.checks.check_value_class(value)?;
        let boundaries = &self.key_blocks.boundaries;
        let placement = match boundaries.place(repeats_hash, key_bytes.len(), entry_type) {
            Ok(placement) => placement,
            Err(source) => return Err(self.checks.run_too_long(key_bytes, source)),
        };
        // The longest key of a block never gets shorter, so a block that stores hashes now will
        // store them.
        if placement.shape.max_key_len() <= HASH_THRESHOLD {
            self.checks.check_hash(key)?;
        }
        self.key_blocks.pending.reserve(key_bytes.len())?;
        let value_ref = self.store_value(value, &placement)?;
        // The entry is accepted. From here on only the output can fail.
        self.key_blocks.boundaries.commit(placement);
        let pushed = self.key_blocks.pending.push(hash, key_bytes, entry_type, value_ref);
        pushed.map_err(|error| self.broken(error))?;
        self.checks.count(hash);
        if placement.starts_block {
            self.guarded(|table| table.key_blocks.write_ready(&mut table.blocks))?;
        }
        Ok(())
    }

    /// See [`StreamingSstWriter::is_full`](crate::StreamingSstWriter::is_full).
    pub(crate) fn is_full(&self, max_entries: u64, max_data_size: u64) -> bool {
        let (_, values_len) = self.small_values.reserved(None);
        let keys_len = self.key_blocks.boundaries.reserved_now();
        self.entry_count() >= max_entries
            || self.blocks.end() + values_len + keys_len >= max_data_size
            || !self.has_block_headroom()
    }

    /// See [`StreamingSstWriter::has_room_for`](crate::StreamingSstWriter::has_room_for).
    pub(crate) fn has_room_for(&self, hash: u64, key_len: usize, value: EntryValue<'_>) -> bool {
        let repeats_hash = self.checks.repeats_hash(hash);
        let Ok(entry_type) = self.checks.check_value_class(value) else { return false };
        self.key_blocks
            .boundaries
            .place(repeats_hash, key_len, entry_type)
            .is_ok_and(|placement| self.check_room(&placement, ValueRoom::most(value)).is_ok())
    }

    /// See [`StreamingSstWriter::finish`](crate::StreamingSstWriter::finish).
    pub(crate) fn finish(mut self) -> Result<Finished<S::Output>, WriteError> {
        if self.is_poisoned {
            return Err(WriteError::Poisoned);
        }
        let Some((min_hash, max_hash)) = self.checks.hash_range() else {
            return Err(WriteError::NoEntries);
        };
        self.key_blocks.boundaries.close();
        self.write_small_values()?;
        let (index, filter) = self.key_blocks.finish()?;
        let written = self.blocks.finish(&index)?;
        self.blobs.sort_unstable();
        self.blobs.dedup();
        let meta = SstMeta {
            block_count: written.block_count,
            min_hash,
            max_hash,
            file_size: written.file_size,
            flags: self.flags,
            filter,
            protection: Some(TableProtection {
                entry_count: self.checks.entry_count(),
                block_headers: written.headers.into(),
            }),
        };
        let digest = self.digester.map(EntryDigester::finish);
        Ok(Finished { meta, blobs: self.blobs, digest, output: written.output })
    }

    /// Checks that the table has room for all pending data, the entry, its value and the index
    /// block. Returns a lower bound on the bytes that stay free.
    fn check_room(&self, placement: &Placement, value: ValueRoom) -> Result<u64, WriteError> {
        let (value_blocks, values_len) = self.small_values.reserved(value.small);
        let (key_blocks, keys_len) = self.key_blocks.boundaries.reserved(placement);
        let (own_blocks, own_len) = value.block.map_or((0, 0), |len| (1, len));
        let blocks = value_blocks + key_blocks + own_blocks;
        self.blocks.check_room(blocks, values_len + keys_len + own_len, self.entry_count())
    }

    /// As [`TableBuilder::check_room`], for an entry that is added if there is room.
    fn reserve(&mut self, placement: &Placement, value: ValueRoom) -> Result<(), WriteError> {
        self.guaranteed_free = self.check_room(placement, value)?;
        Ok(())
    }

    /// Makes sure that there is room for an entry, and stores its value. In the reference to a
    /// small value the block index is missing.
    fn store_value<'a>(
        &mut self,
        value: EntryValue<'a>,
        placement: &Placement,
    ) -> Result<ValueRef<'a>, WriteError> {
        let room = ValueRoom::most(value);
        Ok(match value {
            EntryValue::Inline(value) => {
                self.reserve(placement, room)?;
                ValueRef::Inline(value)
            }
            EntryValue::Small(value) => {
                self.reserve(placement, room)?;
                let value = SmallValue::new(value).or_broken("the class of a value was checked")?;
                self.small_values.push(value)?
            }
            EntryValue::Medium(value) => ValueRef::Medium(self.write_medium(value, placement)?),
            EntryValue::MediumStored { header, block } => {
                let checked = check_stored(header, block, &mut self.decompressed);
                let entry = self.checks.entry_count();
                checked.map_err(|error| match error {
                    CheckError::Defect(source) => WriteError::BadStoredBlock { entry, source },
                    CheckError::NoMemory { bytes } => WriteError::out_of_memory(bytes),
                })?;
                self.reserve(placement, room)?;
                ValueRef::Medium(self.guarded(|table| table.blocks.write_stored(header, block))?)
            }
            EntryValue::Blob(blob) => {
                self.reserve(placement, room)?;
                if self.blobs.last() != Some(&blob) {
                    self.blobs.push(blob);
                }
                ValueRef::Blob(blob)
            }
            EntryValue::Deleted => {
                self.reserve(placement, room)?;
                ValueRef::Deleted
            }
        })
    }

    /// Makes sure that there is room for a medium value, and writes its block.
    fn write_medium(
        &mut self,
        value: &[u8],
        placement: &Placement,
    ) -> Result<BlockIndex, WriteError> {
        if self.reserve(placement, ValueRoom::block(value.len())).is_err() {
            // The value may fit in compressed form. It is compressed twice, but only near the end
            // of a full table.
            let len = self.blocks.block_len(value)?;
            self.reserve(placement, ValueRoom { small: None, block: Some(len) })?;
        }
        self.guarded(|table| table.blocks.write(value))
    }

    /// Writes the open value block, if there is one, and all key blocks that are then complete.
    fn write_small_values(&mut self) -> Result<(), WriteError> {
        let Some(payload) = self.small_values.payload() else {
            return self.key_blocks.write_ready(&mut self.blocks);
        };
        let block = self.blocks.write(payload)?;
        self.small_values.clear();
        self.key_blocks.resolve(block, &mut self.blocks)
    }

    /// Poisons the table, whose block boundaries and entries no longer agree.
    #[cold]
    fn broken(&mut self, invariant: BrokenInvariant) -> WriteError {
        self.is_poisoned = true;
        invariant.into()
    }

    /// Runs an action that may fail or panic halfway. If it does, the table stays poisoned.
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

/// A value that the short way can add.
#[derive(Clone, Copy)]
enum SameShapeValue<'a> {
    Inline(&'a [u8]),
    Small(SmallValue<'a>),
}

impl SameShapeValue<'_> {
    /// Number of bytes that it adds to the value block.
    #[inline]
    const fn small_len(&self) -> usize {
        match self {
            Self::Inline(_) => 0,
            Self::Small(value) => value.len(),
        }
    }
}
