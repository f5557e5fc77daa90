//! Walking a table in order.

use std::fmt;

use sst_format::BlockIndex;
use sst_format::block::BlockHeader;
use sst_format::key_block::{KeyBlockLayout, KeyEntry};
use sst_format::value_ref::{EntryType, ValueRef, small_value};

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
    /// Index of the current entry.
    entry: u32,
    entry_count: u32,
    payload: Slice<'a>,
    /// The parsed start of the payload.
    layout: KeyBlockLayout,
}

impl Position<'_> {
    /// Entry number `i` of the key block.
    #[inline(always)]
    fn entry_at(&self, i: u32, table: &StaticSortedFile) -> Result<KeyEntry<'_>, ReadError> {
        let entry = self.layout.attach(&self.payload).and_then(|key_block| key_block.entry(i));
        entry.map_err(|error| table.corrupt(self.block, error))
    }

    #[inline(always)]
    fn entry(&self, table: &StaticSortedFile) -> Result<KeyEntry<'_>, ReadError> {
        self.entry_at(self.entry, table)
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
    position: Option<Position<'a>>,
    /// Hash of the entry that was lent last.
    hash: u64,
    last_hash: u64,
    /// Set by `skip_below`: the next step stays where it is.
    on_first: bool,
    /// Set behind the last entry, and by errors.
    is_over: bool,
    /// Set by errors, and behind the last hash: what ends a walk over several tables, too.
    is_stopped: bool,
    /// Whether the last step left a key block: `left_key` is then the previous key.
    has_left_block: bool,
    /// Number of the key block to enter next, in the order of the index.
    next_key_block: usize,
    values: EnteredBlocks,
    ahead: ReadAhead,
    /// The last key of the key block that was left last.
    left_key: Vec<u8>,
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
            position: None,
            hash: 0,
            last_hash,
            on_first: false,
            is_over: false,
            is_stopped: false,
            has_left_block: false,
            next_key_block: first_key_block,
            values: EnteredBlocks::default(),
            ahead: ReadAhead::behind(table.blocks(), before),
            left_key: Vec::new(),
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
        if self.step()? { self.lend_stepped() } else { Ok(None) }
    }

    /// Lends the entry to which [`Cursor::step`] has moved. `None` if it is behind the last hash
    /// that is asked for.
    #[inline]
    pub(crate) fn lend_stepped(&mut self) -> Result<Option<EntryRef<'_>>, ReadError> {
        let Some(position) = &self.position else { return Err(no_position(self.table)) };
        let entry = position
            .entry(self.table)
            .inspect_err(|_| (self.is_over, self.is_stopped) = (true, true))?;
        self.hash = entry_hash(&entry);
        if self.hash > self.last_hash {
            (self.is_over, self.is_stopped) = (true, true);
            return Ok(None);
        }
        let (table, values) = (self.table, &mut self.values);
        Ok(Some(EntryRef::new(self.hash, entry, table, position.block, values)))
    }

    /// Moves to the next entry and gives its hash. `None` behind the last one.
    #[inline]
    pub(crate) fn advance(&mut self) -> Result<Option<u64>, ReadError> {
        Ok(self.next()?.map(|entry| entry.hash))
    }

    /// The entry that the last [`Cursor::next`] gave, once more; `None` before the first and behind
    /// the last one.
    ///
    /// # Errors
    ///
    /// As [`Cursor::next`].
    #[inline]
    pub fn current(&mut self) -> Result<Option<EntryRef<'_>>, ReadError> {
        match &self.position {
            Some(position) if !self.is_over && !self.on_first => {
                let entry = position.entry(self.table)?;
                let (table, values) = (self.table, &mut self.values);
                Ok(Some(EntryRef::new(self.hash, entry, table, position.block, values)))
            }
            _ => Ok(None),
        }
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

    /// The key of the entry before the current one or, behind the last entry, of the last one;
    /// `None` if there is none. A merging iterator compares the key of the next entry with it, and
    /// so need not copy every key.
    ///
    /// Before the first entry of a range there may be one that is not in the range.
    ///
    /// # Errors
    ///
    /// As [`Cursor::next`].
    pub fn previous_key(&self) -> Result<Option<&[u8]>, ReadError> {
        if self.has_left_block {
            return Ok(Some(&self.left_key));
        }
        let Some(position) = &self.position else { return Ok(None) };
        match position.entry.checked_sub(1) {
            Some(previous) => position.entry_at(previous, self.table).map(|entry| Some(entry.key)),
            None => Ok(None),
        }
    }

    /// Whether the current entry is a tombstone. To be asked only if there is one.
    #[inline]
    pub(crate) fn is_tombstone(&self) -> Result<bool, ReadError> {
        let Some(position) = &self.position else { return Err(no_position(self.table)) };
        if let Some(entry_type) = position.layout.common_type() {
            return Ok(entry_type == EntryType::DELETED);
        }
        Ok(position.entry(self.table)?.entry_type == EntryType::DELETED)
    }

    /// Whether the cursor is at its end because of an error, or of an entry behind the last hash.
    pub(crate) const fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Moves by one entry. `false` behind the last one of the last key block.
    #[inline]
    pub(crate) fn step(&mut self) -> Result<bool, ReadError> {
        match &mut self.position {
            Some(position)
                if position.entry + 1 < position.entry_count && !self.on_first && !self.is_over =>
            {
                position.entry += 1;
                self.has_left_block = false;
                Ok(true)
            }
            _ => self.leave_key_block(),
        }
    }

    /// Moves to the first entry of the next key block. `false` if there is none.
    #[inline(never)]
    fn leave_key_block(&mut self) -> Result<bool, ReadError> {
        if std::mem::take(&mut self.on_first) {
            return Ok(true);
        }
        if self.is_over {
            return Ok(false);
        }
        self.has_left_block = self.position.is_some();
        if let Some(position) = &self.position {
            let key = position.entry(self.table).inspect_err(|_| self.is_over = true)?.key;
            self.left_key.clear();
            self.left_key.extend_from_slice(key);
        }
        if self.next_key_block >= self.table.key_block_count() {
            self.is_over = true;
            return Ok(false);
        }
        let entered = enter_key_block(self.table, self.next_key_block, &mut self.ahead)
            .inspect_err(|_| self.is_over = true)?;
        self.position = Some(entered);
        self.next_key_block += 1;
        Ok(true)
    }

    /// The entry at the position, to be kept. `is_stepped`: [`Cursor::step`] has moved to it, so
    /// its hash is not known yet, and it may be behind the last one, where this gives `None`.
    ///
    /// Inlined into the iterators, and without a `Result` around each part: an entry that is passed
    /// on in memory takes longer to copy than to make.
    #[inline(always)]
    pub(crate) fn owned_entry(
        &mut self,
        is_stepped: bool,
    ) -> Option<Result<IterEntry<'a>, ReadError>> {
        let Some(position) = &self.position else { return Some(Err(no_position(self.table))) };
        let (block, payload) = (position.block, &position.payload);
        let entry = match position.entry(self.table) {
            Ok(entry) => entry,
            Err(error) => {
                (self.is_over, self.is_stopped) = (true, true);
                return Some(Err(error));
            }
        };
        if is_stepped {
            self.hash = entry_hash(&entry);
            if self.hash > self.last_hash {
                (self.is_over, self.is_stopped) = (true, true);
                return None;
            }
        }
        let value = match entry.value_ref() {
            Ok(ValueRef::Inline(value)) => match payload.clone_of_part(value) {
                Some(value) => EntryValue::Value(value),
                None => return Some(Err(self.table.not_in_its_block())),
            },
            Ok(value) => {
                let fill = Fill::Bypass;
                match self.table.kept_value(block, payload, value, fill, &mut self.values) {
                    Ok(value) => value,
                    Err(error) => return Some(Err(error)),
                }
            }
            Err(error) => return Some(Err(self.table.corrupt(block, error))),
        };
        match payload.clone_of_part(entry.key) {
            Some(key) => Some(Ok(IterEntry { hash: self.hash, key, value })),
            None => Some(Err(self.table.not_in_its_block())),
        }
    }
}

#[cold]
fn no_position(table: &StaticSortedFile) -> ReadError {
    ReadError::internal(table.label(), "a cursor with an entry has a position")
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
    let key_block = table.parse_key_block(block, &payload)?;
    let (entry_count, layout) = (key_block.entry_count(), key_block.layout());
    Ok(Position { block, entry: 0, entry_count, payload: payload.unguarded(), layout })
}

/// An entry of a table, lent by a [`Cursor`] until it moves on. Nothing is copied, and no counter
/// is touched.
pub struct EntryRef<'c> {
    /// The hash, stored or computed.
    pub hash: u64,
    /// The key.
    pub key: &'c [u8],
    entry_type: EntryType,
    value_ref: &'c [u8],
    /// The key block.
    block: BlockIndex,
    table: &'c StaticSortedFile,
    values: &'c mut EnteredBlocks,
}

impl<'c> EntryRef<'c> {
    #[inline(always)]
    fn new(
        hash: u64,
        entry: KeyEntry<'c>,
        table: &'c StaticSortedFile,
        block: BlockIndex,
        values: &'c mut EnteredBlocks,
    ) -> Self {
        let KeyEntry { key, entry_type, value_ref, .. } = entry;
        Self { hash, key, entry_type, value_ref, block, table, values }
    }

    /// Whether the entry is a tombstone.
    #[must_use]
    #[inline]
    pub fn is_tombstone(&self) -> bool {
        self.entry_type == EntryType::DELETED
    }

    /// The reference to the value in the key block: for callers that handle value blocks
    /// themselves.
    ///
    /// # Errors
    ///
    /// [`ReadError::Corrupt`] if it is damaged.
    #[inline]
    pub fn value_ref(&self) -> Result<ValueRef<'c>, ReadError> {
        ValueRef::parse(self.entry_type, self.value_ref)
            .map_err(|error| self.table.corrupt(self.block, error))
    }

    /// The value: only here is its block read.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the value's block cannot be read or is damaged.
    #[inline]
    pub fn into_value(self) -> Result<EntryValue<&'c [u8]>, ReadError> {
        let value_ref = self.value_ref()?;
        let Self { block: key_block, table, values, .. } = self;
        let corrupt = |error| table.corrupt(key_block, error);
        Ok(match value_ref {
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
        match self.cursor.step() {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => return Some(Err(error)),
        }
        let entry = self.cursor.owned_entry(true);
        if matches!(entry, Some(Err(_))) {
            self.cursor.is_over = true;
        }
        entry
    }
}

impl<'a> From<Cursor<'a>> for Iter<'a> {
    fn from(cursor: Cursor<'a>) -> Self {
        Self::new(cursor)
    }
}
