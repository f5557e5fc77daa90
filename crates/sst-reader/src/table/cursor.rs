//! Walking a table in order.

use std::fmt;

use sst_format::BlockIndex;
use sst_format::block::BlockHeader;
use sst_format::key_block::KeyEntry;
use sst_format::value_ref::{ValueRef, small_value};

use crate::block::blocks::Fill;
use crate::block::residency::ReadAhead;
use crate::block::slice::Slice;
use crate::error::ReadError;
use crate::table::answer::EntryValue;
use crate::table::entered_blocks::{EnteredBlocks, ValueKind};
use crate::table::static_sorted_file::{StaticSortedFile, entry_hash};

/// A key block on which a cursor stands.
struct Position<'a> {
    block: BlockIndex,
    payload: Slice<'a>,
    /// Index of the current entry.
    entry: u32,
    entry_count: u32,
}

impl Position<'_> {
    #[inline]
    fn entry(&self, table: &StaticSortedFile) -> Result<KeyEntry<'_>, ReadError> {
        let key_block = table.parse_key_block(self.block, &self.payload)?;
        key_block.entry(self.entry).map_err(|error| table.corrupt(self.block, error))
    }
}

/// A position in a table that moves forward. One key block, the last block of small values and the
/// last medium value are in memory at a time.
///
/// A file whose entries come back to a value block that they have left, which no writer makes, has
/// such blocks kept until the cursor is dropped: each block is decompressed at most twice, and
/// memory stays below 255 times what is stored.
///
/// It starts before the first entry. [`Cursor::next`] moves it to the next one and lends that.
/// Blocks that a scan decompresses stay out of the cache.
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
    /// Number of the key block to enter next, in the order of the index.
    next_key_block: usize,
    last_hash: u64,
    position: Option<Position<'a>>,
    ahead: ReadAhead,
    values: EnteredBlocks,
    /// Set by `skip_below`: the next step stays where it is.
    on_first: bool,
    /// Set behind the last entry, and by errors.
    is_over: bool,
}

impl StaticSortedFile {
    /// All entries in order.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter::new(self.cursor())
    }

    /// A cursor before the first entry: walks all entries in order without handing out owned ones.
    #[must_use]
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor::new(self, 0, u64::MAX)
    }

    /// A cursor over the entries whose hashes are in `hashes`.
    ///
    /// # Errors
    ///
    /// As [`StaticSortedFile::lookup`].
    pub fn range(&self, hashes: std::ops::RangeInclusive<u64>) -> Result<Cursor<'_>, ReadError> {
        let first = self.key_index().key_block_of(*hashes.start());
        let mut cursor = Cursor::new(self, first, *hashes.end());
        cursor.skip_below(*hashes.start())?;
        Ok(cursor)
    }
}

impl<'a> IntoIterator for &'a StaticSortedFile {
    type Item = Result<IterEntry<'a>, ReadError>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<'a> Cursor<'a> {
    fn new(table: &'a StaticSortedFile, first_key_block: usize, last_hash: u64) -> Self {
        // Values lie in front of their key block.
        let before = first_key_block.checked_sub(1).and_then(|i| table.key_index().block(i));
        Self {
            table,
            next_key_block: first_key_block,
            last_hash,
            position: None,
            ahead: ReadAhead::behind(table.blocks(), before),
            values: EnteredBlocks::default(),
            on_first: false,
            is_over: false,
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
    /// The value is not looked at before [`EntryRef::into_value`] asks for it: a walk over keys
    /// reads no value blocks.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if a key block cannot be read or is damaged. The cursor is then at its end.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend from itself")]
    pub fn next(&mut self) -> Result<Option<EntryRef<'_>>, ReadError> {
        if self.step()? { self.lend() } else { Ok(None) }
    }

    /// The entry that the last [`Cursor::next`] gave, once more; `None` before the first and behind
    /// the last one.
    ///
    /// # Errors
    ///
    /// As [`Cursor::next`].
    #[inline]
    pub fn current(&mut self) -> Result<Option<EntryRef<'_>>, ReadError> {
        if self.is_over || self.on_first { Ok(None) } else { self.lend() }
    }

    /// The key of [`Cursor::current`]: two cursors can be compared by it.
    ///
    /// # Errors
    ///
    /// As [`Cursor::next`].
    #[inline]
    pub fn current_key(&self) -> Result<Option<&[u8]>, ReadError> {
        match &self.position {
            Some(position) if !self.is_over && !self.on_first => {
                position.entry(self.table).map(|entry| Some(entry.key))
            }
            _ => Ok(None),
        }
    }

    /// Moves by one entry. `false` behind the last one of the last key block.
    #[inline]
    fn step(&mut self) -> Result<bool, ReadError> {
        if std::mem::take(&mut self.on_first) {
            return Ok(true);
        }
        match &mut self.position {
            _ if self.is_over => return Ok(false),
            Some(position) if position.entry + 1 < position.entry_count => position.entry += 1,
            position if self.next_key_block < self.table.key_block_count() => {
                let entered = enter_key_block(self.table, self.next_key_block, &mut self.ahead)
                    .inspect_err(|_| self.is_over = true)?;
                *position = Some(entered);
                self.next_key_block += 1;
            }
            _ => {
                self.is_over = true;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The entry at the position, unless it is behind the last hash that is asked for.
    #[inline]
    fn lend(&mut self) -> Result<Option<EntryRef<'_>>, ReadError> {
        let Some(position) = &self.position else { return Ok(None) };
        let entry = position.entry(self.table).inspect_err(|_| self.is_over = true)?;
        let hash = entry_hash(&entry);
        if hash > self.last_hash {
            self.is_over = true;
            return Ok(None);
        }
        let (table, block, values) = (self.table, position.block, &mut self.values);
        Ok(Some(EntryRef { hash, key: entry.key, entry, block, table, values }))
    }

    /// Moves to the next entry and gives its hash and key, to be kept.
    pub(crate) fn next_key(&mut self) -> Result<Option<(u64, Slice<'a>)>, ReadError> {
        let Some(EntryRef { hash, .. }) = self.next()? else { return Ok(None) };
        let position = self.position.as_ref().ok_or_else(|| {
            ReadError::internal(self.table.label(), "a cursor with an entry has a position")
        })?;
        let key = position.entry(self.table)?.key;
        Ok(Some((hash, self.table.slice_of(&position.payload, key)?)))
    }

    /// Moves to the next entry and gives it, to be kept.
    fn next_owned(&mut self) -> Result<Option<IterEntry<'a>>, ReadError> {
        if self.step()? { self.owned_entry() } else { Ok(None) }
    }

    /// The entry at the position, to be kept.
    pub(crate) fn owned_entry(&mut self) -> Result<Option<IterEntry<'a>>, ReadError> {
        let Some(position) = &self.position else { return Ok(None) };
        let entry = position.entry(self.table)?;
        let hash = entry_hash(&entry);
        if hash > self.last_hash {
            return Ok(None);
        }
        let corrupt = |error| self.table.corrupt(position.block, error);
        let value = entry.value_ref().map_err(corrupt)?;
        let (block, payload, entered) = (position.block, &position.payload, &mut self.values);
        let value = self.table.kept_value(block, payload, value, Fill::Bypass, entered)?;
        let key = self.table.slice_of(&position.payload, entry.key)?;
        Ok(Some(IterEntry { hash, key, value }))
    }
}

fn enter_key_block<'a>(
    table: &'a StaticSortedFile,
    number: usize,
    ahead: &mut ReadAhead,
) -> Result<Position<'a>, ReadError> {
    if let Some(block) = table.key_index().block(number) {
        table.blocks().read_ahead(block, ahead);
    }
    let (block, payload) = table.key_block_payload(number, Fill::Bypass)?;
    let entry_count = table.parse_key_block(block, &payload)?.entry_count();
    let payload = payload.unguarded();
    Ok(Position { block, payload, entry: 0, entry_count })
}

/// An entry of a table, lent by a [`Cursor`] until it moves on. Nothing is copied, and no counter
/// is touched.
pub struct EntryRef<'c> {
    /// The hash, stored or computed.
    pub hash: u64,
    /// The key.
    pub key: &'c [u8],
    entry: KeyEntry<'c>,
    /// The key block.
    block: BlockIndex,
    table: &'c StaticSortedFile,
    values: &'c mut EnteredBlocks,
}

impl<'c> EntryRef<'c> {
    /// The reference to the value in the key block: for callers that handle value blocks
    /// themselves.
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
            ValueRef::Medium(block) => EntryValue::Value(match table.blocks().ready_bytes(block) {
                Some(value) => value,
                None => values.enter(table.blocks(), block, ValueKind::Medium, Fill::Bypass)?,
            }),
            ValueRef::Small { block, len, offset } => {
                let blocks = table.blocks();
                let values = values.enter(blocks, block, ValueKind::Small, Fill::Bypass)?;
                EntryValue::Value(small_value(values, len, offset).map_err(corrupt)?)
            }
        })
    }

    /// The block of a medium value as it is stored, verified but not decompressed: for copying it
    /// to another table. `None` if the entry has no medium value.
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

/// One entry, handed out by [`Iter`]. It keeps its file and its blocks alive.
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
        let entry = self.cursor.next_owned();
        self.cursor.is_over |= !matches!(entry, Ok(Some(_)));
        entry.transpose()
    }
}

impl<'a> From<Cursor<'a>> for Iter<'a> {
    fn from(cursor: Cursor<'a>) -> Self {
        Self::new(cursor)
    }
}
