//! Walking a table in order.

use std::fmt;

use sst_format::BlockIndex;
use sst_format::block::BlockHeader;
use sst_format::key_block::KeyEntry;
use sst_format::value_ref::{ValueRef, small_value, small_value_range};

use crate::block::blocks::Fill;
use crate::block::cached_block::SharedBlock;
use crate::block::slice::Payload;
use crate::table::static_sorted_file::entry_hash;
use crate::{EntryValue, ReadError, Slice, StaticSortedFile};

/// A key block on which a cursor stands.
struct Position<'a> {
    block: BlockIndex,
    payload: Payload<'a>,
    /// Index of the current entry.
    entry: u32,
    entry_count: u32,
    /// Hash of the current entry.
    hash: u64,
}

impl Position<'_> {
    #[inline]
    fn entry(&self, table: &StaticSortedFile) -> Result<KeyEntry<'_>, ReadError> {
        let key_block = table.parse_key_block(self.block, &self.payload)?;
        key_block.entry(self.entry).map_err(|error| table.corrupt(self.block, error))
    }
}

/// A position in a table that moves forward: one key block and one value block in memory at a time.
///
/// It starts before the first entry. [`Cursor::next`] moves it to the next one and lends that. Blocks
/// that a scan decompresses stay out of the cache.
///
/// ```
/// # fn show(table: &sst_reader::StaticSortedFile) -> Result<(), sst_reader::ReadError> {
/// let mut cursor = table.cursor();
/// while let Some(entry) = cursor.next()? {
///     let (hash, key) = (entry.hash, entry.key);
///     println!("{hash:016x} {key:?} {:?}", entry.into_value()?);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Cursor<'a> {
    table: &'a StaticSortedFile,
    next_key_block: usize,
    last_hash: u64,
    position: Option<Position<'a>>,
    /// The value block last entered, if it does not lie uncompressed in memory as part of the file.
    values: Option<(BlockIndex, SharedBlock)>,
    /// Set by `skip_below`: the next step stays where it is.
    on_first: bool,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(
        table: &'a StaticSortedFile,
        first_key_block: usize,
        last_hash: u64,
    ) -> Self {
        Self {
            table,
            next_key_block: first_key_block,
            last_hash,
            position: None,
            values: None,
            on_first: false,
        }
    }

    /// Moves to the first entry with a hash not below `first`, so that the next step finds it.
    pub(crate) fn skip_below(&mut self, first: u64) -> Result<(), ReadError> {
        while let Some(entry) = self.next()? {
            if entry.hash >= first {
                self.on_first = true;
                break;
            }
        }
        Ok(())
    }

    /// Moves to the next entry and lends it. `None` behind the last one.
    ///
    /// The value is not looked at before [`EntryRef::into_value`] asks for it: a walk over keys reads no
    /// value blocks.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if a key block cannot be read or is damaged. The cursor is then at its end.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend from itself")]
    pub fn next(&mut self) -> Result<Option<EntryRef<'_>>, ReadError> {
        if self.step()? { self.current() } else { Ok(None) }
    }

    /// The entry that the last [`Cursor::next`] gave, once more; `None` before the first and behind the
    /// last one.
    ///
    /// # Errors
    ///
    /// As [`Cursor::next`].
    #[inline]
    pub fn current(&mut self) -> Result<Option<EntryRef<'_>>, ReadError> {
        let Some(position) = &self.position else { return Ok(None) };
        let entry = position.entry(self.table)?;
        let (table, block, hash) = (self.table, position.block, position.hash);
        let values = &mut self.values;
        Ok(Some(EntryRef { hash, key: entry.key, entry, block, table, values }))
    }

    /// The key of [`Cursor::current`]: two cursors can be compared by it.
    ///
    /// # Errors
    ///
    /// As [`Cursor::next`].
    #[inline]
    pub fn current_key(&self) -> Result<Option<&[u8]>, ReadError> {
        let Some(position) = &self.position else { return Ok(None) };
        position.entry(self.table).map(|entry| Some(entry.key))
    }

    /// As [`Cursor::next`], without a look at the entry: whether there is one.
    #[inline]
    pub(crate) fn step(&mut self) -> Result<bool, ReadError> {
        if std::mem::take(&mut self.on_first) {
            return Ok(true);
        }
        let moved = self.try_step();
        if !matches!(moved, Ok(true)) {
            self.end();
        }
        moved
    }

    /// Moves behind the last entry.
    fn end(&mut self) {
        self.position = None;
        self.next_key_block = usize::MAX;
    }

    #[inline]
    fn try_step(&mut self) -> Result<bool, ReadError> {
        let position = match &mut self.position {
            Some(position) if position.entry + 1 < position.entry_count => {
                position.entry += 1;
                position
            }
            _ if self.next_key_block >= self.table.key_block_count() => return Ok(false),
            position => {
                let entered = enter_key_block(self.table, self.next_key_block)?;
                self.next_key_block += 1;
                position.insert(entered)
            }
        };
        position.hash = entry_hash(&position.entry(self.table)?);
        Ok(position.hash <= self.last_hash)
    }

    /// The current entry, to be kept.
    pub(crate) fn owned_entry(&mut self) -> Result<Option<IterEntry<'a>>, ReadError> {
        let Some(position) = &self.position else { return Ok(None) };
        let entry = position.entry(self.table)?;
        let corrupt = |error| self.table.corrupt(position.block, error);
        let value = match entry.value_ref().map_err(corrupt)? {
            ValueRef::Deleted => EntryValue::Deleted,
            ValueRef::Blob(number) => EntryValue::Blob(number),
            ValueRef::Inline(value) => EntryValue::Value(position.payload.slice_of(value)),
            ValueRef::Medium(block) => {
                let values = value_payload(&mut self.values, self.table, block)?;
                EntryValue::Value(Slice::whole(values))
            }
            ValueRef::Small { block, len, offset } => {
                let values = value_payload(&mut self.values, self.table, block)?;
                let range = |payload_len| small_value_range(payload_len, len, offset);
                EntryValue::Value(values.into_part(range).map_err(corrupt)?)
            }
        };
        let key = position.payload.slice_of(entry.key);
        Ok(Some(IterEntry { hash: position.hash, key, value }))
    }

    /// Hash and key of the current entry, to be kept.
    pub(crate) fn owned_key(&self) -> Result<Option<(u64, Slice<'a>)>, ReadError> {
        let Some(position) = &self.position else { return Ok(None) };
        let key = position.entry(self.table)?.key;
        Ok(Some((position.hash, position.payload.slice_of(key))))
    }
}

fn enter_key_block(table: &StaticSortedFile, number: usize) -> Result<Position<'_>, ReadError> {
    let (block, payload) = table.key_block_payload(number, Fill::Bypass)?;
    let entry_count = table.parse_key_block(block, &payload)?.entry_count();
    Ok(Position { block, payload, entry: 0, entry_count, hash: 0 })
}

/// The payload of a value block, lent. Small values come in the order of their entries, so the block
/// of one entry is nearly always that of the next.
fn value_bytes<'c>(
    values: &'c mut Option<(BlockIndex, SharedBlock)>,
    table: &'c StaticSortedFile,
    block: BlockIndex,
) -> Result<&'c [u8], ReadError> {
    let known = values.take_if(|(known, _)| *known == block);
    let entered = match known {
        Some((_, known)) => known,
        None => match table.blocks().payload(block, Fill::Bypass)? {
            Payload::InPlace { bytes, .. } => return Ok(bytes),
            Payload::Cached(guard) => guard.to_shared(),
            Payload::Shared(loaded) => loaded,
        },
    };
    Ok(&values.insert((block, entered)).1.slice)
}

/// As [`value_bytes`], to be kept.
fn value_payload<'a>(
    values: &mut Option<(BlockIndex, SharedBlock)>,
    table: &'a StaticSortedFile,
    block: BlockIndex,
) -> Result<Payload<'a>, ReadError> {
    if let Some((_, known)) = values.as_ref().filter(|(known, _)| *known == block) {
        return Ok(Payload::Shared(SharedBlock::clone(known)));
    }
    let entered = match table.blocks().payload(block, Fill::Bypass)? {
        in_place @ Payload::InPlace { .. } => return Ok(in_place),
        Payload::Cached(guard) => guard.to_shared(),
        Payload::Shared(loaded) => loaded,
    };
    *values = Some((block, SharedBlock::clone(&entered)));
    Ok(Payload::Shared(entered))
}

/// An entry of a table, lent by a [`Cursor`] until it moves on. Nothing is copied, and no counter is
/// touched.
pub struct EntryRef<'c> {
    /// The hash, stored or computed.
    pub hash: u64,
    /// The key.
    pub key: &'c [u8],
    entry: KeyEntry<'c>,
    /// The key block.
    block: BlockIndex,
    table: &'c StaticSortedFile,
    values: &'c mut Option<(BlockIndex, SharedBlock)>,
}

impl<'c> EntryRef<'c> {
    /// What the key block says of the value: for callers that handle value blocks themselves.
    ///
    /// # Errors
    ///
    /// [`ReadError::Corrupt`] if it is damaged.
    pub fn value_ref(&self) -> Result<ValueRef<'c>, ReadError> {
        self.entry.value_ref().map_err(|error| self.table.corrupt(self.block, error))
    }

    /// The value: only here is its block read.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the value's block cannot be read or is damaged.
    #[inline]
    pub fn into_value(self) -> Result<EntryValue<&'c [u8]>, ReadError> {
        let Self { entry, block: key_block, table, values, .. } = self;
        let corrupt = |error| table.corrupt(key_block, error);
        Ok(match entry.value_ref().map_err(corrupt)? {
            ValueRef::Deleted => EntryValue::Deleted,
            ValueRef::Blob(number) => EntryValue::Blob(number),
            ValueRef::Inline(value) => EntryValue::Value(value),
            ValueRef::Medium(block) => EntryValue::Value(value_bytes(values, table, block)?),
            ValueRef::Small { block, len, offset } => {
                let values = value_bytes(values, table, block)?;
                EntryValue::Value(small_value(values, len, offset).map_err(corrupt)?)
            }
        })
    }

    /// The block of a medium value as it is stored, verified but not decompressed: for copying it to
    /// another table. `None` if the entry has no medium value.
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
            ValueRef::Medium(block) => self.table.blocks().stored(block, buffer).map(Some),
            _ => Ok(None),
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

/// One entry, handed out by [`Iter`]. It keeps alive what it refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IterEntry<'a> {
    /// The hash, stored or computed.
    pub hash: u64,
    /// The key.
    pub key: Slice<'a>,
    /// The value.
    pub value: EntryValue<Slice<'a>>,
}

impl IterEntry<'_> {
    /// The same entry, free of the borrow, without a copy: see [`Slice::into_owned`].
    #[must_use]
    pub fn into_owned(self) -> IterEntry<'static> {
        let Self { hash, key, value } = self;
        IterEntry { hash, key: key.into_owned(), value: value.map(Slice::into_owned) }
    }
}

/// Iterator over the entries of a table in (hash, key) order. It ends after the first error.
pub struct Iter<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Iter<'a> {
    pub(crate) const fn new(cursor: Cursor<'a>) -> Self {
        Self { cursor }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Result<IterEntry<'a>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = match self.cursor.step() {
            Ok(true) => self.cursor.owned_entry(),
            Ok(false) => return None,
            Err(error) => Err(error),
        };
        if entry.is_err() {
            self.cursor.end();
        }
        entry.transpose()
    }
}

impl<'a> From<Cursor<'a>> for Iter<'a> {
    fn from(cursor: Cursor<'a>) -> Self {
        Self::new(cursor)
    }
}
