//! Walking a table in order.

use sst_format::BlockIndex;
use sst_format::key_block::{KeyBlockLayout, KeyEntry};
use sst_format::value_ref::{EntryType, ValueRef};

use crate::block::blocks::Fill;
use crate::block::residency::ReadAhead;
use crate::block::slice::Slice;
use crate::error::ReadError;
use crate::hash::entry_hash;
use crate::table::answer::ReadValue;
use crate::table::entered_blocks::EnteredBlocks;
use crate::table::entry_ref::EntryRef;
use crate::table::static_sorted_file::StaticSortedFile;

/// A key block on which a cursor stands.
struct Position<'a> {
    block: BlockIndex,
    /// Index of the current entry.
    entry: u32,
    entry_count: u32,
    payload: Slice<'a>,
    /// The parsed start of the payload.
    layout: KeyBlockLayout,
    /// Whether one of the entries may be a tombstone.
    may_have_tombstones: bool,
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

    #[inline(never)]
    fn is_tombstone(&self, table: &StaticSortedFile) -> Result<bool, ReadError> {
        Ok(self.entry(table)?.entry_type == EntryType::DELETED)
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
    pace: Pace,
    /// Whether the last step left a key block: `left_key` is then the previous key.
    has_left_block: bool,
    /// Number of the key block to enter next, in the order of the index.
    next_key_block: usize,
    values: EnteredBlocks,
    ahead: ReadAhead,
    /// The last key of the key block that was left last.
    left_key: Vec<u8>,
}

/// How far a walk may go.
#[derive(Default)]
struct Pace {
    /// Why it is at its end; `None` if it is not.
    end: Option<End>,
    /// The entries of the key block to which a step may go without a look at anything else are
    /// those before this one. 0 where there are none, at the end, and if the next step stays.
    quick_end: u32,
}

impl Pace {
    /// Ends the walk.
    const fn stop(&mut self, end: End) {
        *self = Self { end: Some(end), quick_end: 0 };
    }
}

/// Why a walk is at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The table has no more entries.
    OfTable,
    /// An error, or an entry behind the last hash: it ends a walk over several tables, too.
    OfWalk,
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
            pace: Pace::default(),
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
                self.pace.quick_end = 0;
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
    #[inline(always)]
    pub(crate) fn lend_stepped(&mut self) -> Result<Option<EntryRef<'_>>, ReadError> {
        let Some(position) = &self.position else { return Err(no_position(self.table)) };
        let entry = position.entry(self.table).inspect_err(|_| self.pace.stop(End::OfWalk))?;
        self.hash = entry_hash(&entry);
        if self.hash > self.last_hash {
            self.pace.stop(End::OfWalk);
            return Ok(None);
        }
        let (table, values) = (self.table, &mut self.values);
        Ok(Some(EntryRef::new(self.hash, entry, table, position.block, values)))
    }

    /// Moves to the next entry and gives its hash. `None` behind the last one.
    ///
    /// For a walk over several tables, which comes back to this one after entries of the others:
    /// the memory behind the entry is asked for now, since no processor sees by itself that so
    /// many places are read one after the other (docs/DECISIONS.md, 151).
    #[inline]
    pub(crate) fn advance(&mut self) -> Result<Option<u64>, ReadError> {
        Ok(self.next()?.map(|entry| {
            entry.prefetch_next();
            entry.hash
        }))
    }

    /// The entry that the last [`Cursor::next`] gave, once more; `None` before the first and behind
    /// the last one.
    ///
    /// # Errors
    ///
    /// As [`Cursor::next`].
    #[inline(always)]
    pub fn current(&mut self) -> Result<Option<EntryRef<'_>>, ReadError> {
        match &self.position {
            Some(position) if self.pace.end.is_none() && !self.on_first => {
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
            Some(position) if self.pace.end.is_none() && !self.on_first => {
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
        Ok(position.may_have_tombstones && position.is_tombstone(self.table)?)
    }

    /// Whether the cursor is at its end because of an error, or of an entry behind the last hash.
    pub(crate) fn is_stopped(&self) -> bool {
        self.pace.end == Some(End::OfWalk)
    }

    /// Moves by one entry. `false` behind the last one of the last key block.
    #[inline]
    pub(crate) fn step(&mut self) -> Result<bool, ReadError> {
        match &mut self.position {
            Some(position) if position.entry + 1 < self.pace.quick_end => {
                position.entry += 1;
                self.has_left_block = false;
                Ok(true)
            }
            _ => self.leave_key_block(),
        }
    }

    /// [`Cursor::step`] to the next entry, if that is in the key block and no tombstone is.
    #[inline(always)]
    pub(crate) fn step_in_live_block(&mut self) -> bool {
        match &mut self.position {
            Some(position)
                if position.entry + 1 < self.pace.quick_end && !position.may_have_tombstones =>
            {
                position.entry += 1;
                self.has_left_block = false;
                true
            }
            _ => false,
        }
    }

    /// [`Cursor::step`] to the next entry that is no tombstone, or to one in any case if
    /// `with_tombstones`.
    #[inline]
    pub(crate) fn step_live(&mut self, with_tombstones: bool) -> Result<bool, ReadError> {
        while self.step()? {
            if with_tombstones || !self.is_tombstone()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Moves to the first entry of the next key block. `false` if there is none.
    #[inline(never)]
    fn leave_key_block(&mut self) -> Result<bool, ReadError> {
        if std::mem::take(&mut self.on_first) {
            self.pace.quick_end = self.position.as_ref().map_or(0, |position| position.entry_count);
            return Ok(true);
        }
        if self.pace.end.is_some() {
            return Ok(false);
        }
        self.has_left_block = self.position.is_some();
        if let Some(position) = &self.position {
            let key = position.entry(self.table).inspect_err(|_| self.pace.stop(End::OfWalk))?.key;
            self.left_key.clear();
            self.left_key.extend_from_slice(key);
        }
        if self.next_key_block >= self.table.key_block_count() {
            self.pace.stop(End::OfTable);
            return Ok(false);
        }
        let entered = enter_key_block(self.table, self.next_key_block, &mut self.ahead)
            .inspect_err(|_| self.pace.stop(End::OfWalk))?;
        self.pace.quick_end = entered.entry_count;
        self.position = Some(entered);
        self.next_key_block += 1;
        Ok(true)
    }

    /// The entry at the position, to be kept. `is_stepped`: [`Cursor::step`] has moved to it, so
    /// its hash is not known yet, and it may be behind the last one, where this gives `None`. An
    /// error ends the walk, and is returned as `describe` gives it.
    ///
    /// Inlined into the iterators, and without a `Result` around each part or a look at the one
    /// that is returned: an entry that is passed on in memory takes longer to copy than to make.
    #[inline(always)]
    pub(crate) fn owned_entry(
        &mut self,
        is_stepped: bool,
        describe: impl FnOnce(ReadError) -> ReadError,
    ) -> Option<Result<IterEntry<'a>, ReadError>> {
        let error = 'failed: {
            let Some(position) = &self.position else { break 'failed no_position(self.table) };
            let (block, payload) = (position.block, &position.payload);
            let entry = match position.entry(self.table) {
                Ok(entry) => entry,
                Err(error) => break 'failed error,
            };
            if is_stepped {
                self.hash = entry_hash(&entry);
                if self.hash > self.last_hash {
                    self.pace.stop(End::OfWalk);
                    return None;
                }
            }
            let value = match entry.value_ref() {
                Ok(ValueRef::Inline(value)) => match payload.clone_of_part(value) {
                    Some(value) => ReadValue::Value(value),
                    None => break 'failed self.table.not_in_its_block(),
                },
                Ok(value) => {
                    let fill = Fill::Bypass;
                    match self.table.kept_value(block, payload, value, fill, &mut self.values) {
                        Ok(value) => value,
                        Err(error) => break 'failed error,
                    }
                }
                Err(error) => break 'failed self.table.corrupt(block, error),
            };
            match payload.clone_of_part(entry.key) {
                Some(key) => return Some(Ok(IterEntry { hash: self.hash, key, value })),
                None => break 'failed self.table.not_in_its_block(),
            }
        };
        self.pace.stop(End::OfWalk);
        Some(Err(describe(error)))
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
    // Without such a block, the next line returns the error.
    if let Some(block) = table.key_index().block(number) {
        table.blocks().prefetch_ahead(block, ahead);
    }
    let (block, payload) = table.key_block_payload(number, Fill::Bypass)?;
    let key_block = table.parse_key_block(block, &payload)?;
    let (entry_count, layout) = (key_block.entry_count(), key_block.layout());
    let may_have_tombstones =
        layout.common_type().is_none_or(|of_all| of_all == EntryType::DELETED);
    let payload = payload.unguarded();
    Ok(Position { block, entry: 0, entry_count, payload, layout, may_have_tombstones })
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
    pub value: ReadValue<Slice<'a>>,
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
        self.cursor.owned_entry(true, |error| error)
    }
}

impl<'a> From<Cursor<'a>> for Iter<'a> {
    fn from(cursor: Cursor<'a>) -> Self {
        Self::new(cursor)
    }
}
