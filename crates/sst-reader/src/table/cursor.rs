//! Walking a table in order.

use sst_format::block::BlockHeader;
use sst_format::key_block::KeyEntry;
use sst_format::value_ref::{ValueRef, small_value};
use sst_format::{BlockIndex, FormatError};

use crate::block::blocks::Fill;
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
    hash: u64,
}

/// A position in a table that moves forward: one key block and one value block in memory at a time.
///
/// It starts before the first entry. [`Cursor::advance`] moves it; the other methods tell of the entry it stands on.
/// Blocks that a scan decompresses stay out of the cache.
///
/// ```
/// # fn show(table: &sst_reader::StaticSortedFile) -> Result<(), sst_reader::ReadError> {
/// let mut cursor = table.cursor();
/// while cursor.advance()? {
///     let entry = cursor.entry()?;
///     println!("{:016x} {:?} {:?}", entry.hash, entry.key, entry.value);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Cursor<'a> {
    table: &'a StaticSortedFile,
    next_key_block: usize,
    last_hash: u64,
    position: Option<Position<'a>>,
    values: Option<(BlockIndex, Payload<'a>)>,
    /// Set by `skip_below`: the next `advance` stays where it is.
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

    /// Moves to the first entry with a hash not below `first`, so that the next `advance` finds it.
    pub(crate) fn skip_below(&mut self, first: u64) -> Result<(), ReadError> {
        while self.advance()? {
            if self.hash() >= first {
                self.on_first = true;
                break;
            }
        }
        Ok(())
    }

    /// Moves to the next entry. `false` when there is none: the cursor then stands on no entry.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if a block cannot be read or is damaged. The cursor is then at its end.
    #[inline]
    pub fn advance(&mut self) -> Result<bool, ReadError> {
        if std::mem::take(&mut self.on_first) {
            return Ok(true);
        }
        let moved = self.step();
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
    fn step(&mut self) -> Result<bool, ReadError> {
        match &mut self.position {
            Some(position) if position.entry + 1 < position.entry_count => position.entry += 1,
            _ if self.next_key_block >= self.table.key_block_count() => return Ok(false),
            _ => self.enter_next_key_block()?,
        }
        let hash = entry_hash(&self.key_entry()?);
        match &mut self.position {
            Some(position) if hash <= self.last_hash => {
                position.hash = hash;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn enter_next_key_block(&mut self) -> Result<(), ReadError> {
        let (block, payload) = self.table.key_block_payload(self.next_key_block, Fill::Bypass)?;
        let entry_count = self.table.parse_key_block(block, &payload)?.entry_count();
        self.next_key_block += 1;
        self.position = Some(Position { block, payload, entry: 0, entry_count, hash: 0 });
        Ok(())
    }

    #[inline]
    fn key_entry(&self) -> Result<KeyEntry<'_>, ReadError> {
        let not_on_an_entry = || Self::not_on_an_entry(self.table);
        let position = self.position.as_ref().ok_or_else(not_on_an_entry)?;
        self.table
            .parse_key_block(position.block, &position.payload)?
            .entry(position.entry)
            .map_err(|error| self.table.corrupt(position.block, error))
    }

    #[cold]
    fn not_on_an_entry(table: &StaticSortedFile) -> ReadError {
        let nothing = FormatError::NoSuchEntry { index: 0, count: 0 };
        ReadError::corrupt(table.label(), nothing)
    }

    /// Hash of the current entry; 0 if the cursor stands on none.
    #[must_use]
    #[inline]
    pub fn hash(&self) -> u64 {
        self.position.as_ref().map_or(0, |position| position.hash)
    }

    /// Key of the current entry.
    ///
    /// # Errors
    ///
    /// [`ReadError::Corrupt`] if the cursor stands on none: the last `advance` was not `Ok(true)`.
    #[inline]
    pub fn key(&self) -> Result<&[u8], ReadError> {
        self.key_entry().map(|entry| entry.key)
    }

    /// What stands behind the key in its block: for callers that handle value blocks themselves.
    ///
    /// # Errors
    ///
    /// As [`Cursor::key`].
    pub fn value_ref(&self) -> Result<ValueRef<'_>, ReadError> {
        let block = self.position.as_ref().map_or(BlockIndex(0), |position| position.block);
        self.key_entry()?.value_ref().map_err(|error| self.table.corrupt(block, error))
    }

    /// The block of a medium value as it is stored, verified but not decompressed: for copying it to another table.
    /// `None` if the current entry has no medium value.
    ///
    /// # Errors
    ///
    /// As [`Cursor::key`], and [`ReadError`] if the block cannot be read or is damaged.
    pub fn stored_medium<'b>(
        &'b self,
        buffer: &'b mut Vec<u8>,
    ) -> Result<Option<(BlockHeader, &'b [u8])>, ReadError> {
        match self.value_ref()? {
            ValueRef::Medium(block) => self.table.blocks().stored(block, buffer).map(Some),
            _ => Ok(None),
        }
    }

    /// The current entry, borrowed: nothing is copied, and no counter is touched.
    ///
    /// # Errors
    ///
    /// As [`Cursor::key`], and [`ReadError`] if the value's block cannot be read or is damaged.
    #[inline]
    pub fn entry(&mut self) -> Result<EntryRef<'_>, ReadError> {
        let parts = self.parts()?;
        let value = parts.value.map(|(_, bytes)| bytes);
        Ok(EntryRef { hash: parts.hash, key: parts.key, value })
    }

    /// The current entry, to be kept.
    pub(crate) fn owned_entry(&mut self) -> Result<IterEntry<'a>, ReadError> {
        let parts = self.parts()?;
        let value = parts.value.map(|(payload, bytes)| payload.slice_of(bytes));
        Ok(IterEntry { hash: parts.hash, key: parts.key_block.slice_of(parts.key), value })
    }

    /// Key of the current entry, to be kept.
    pub(crate) fn owned_key(&self) -> Result<Slice<'a>, ReadError> {
        let position = self.position.as_ref().ok_or_else(|| Self::not_on_an_entry(self.table))?;
        Ok(position.payload.slice_of(self.key_entry()?.key))
    }

    fn parts(&mut self) -> Result<Parts<'_, 'a>, ReadError> {
        let not_on_an_entry = || Self::not_on_an_entry(self.table);
        let Position { block, payload, entry, hash, .. } =
            self.position.as_ref().ok_or_else(not_on_an_entry)?;
        let corrupt = |error| self.table.corrupt(*block, error);
        let entry = self.table.parse_key_block(*block, payload)?.entry(*entry).map_err(corrupt)?;
        let value = match entry.value_ref().map_err(corrupt)? {
            ValueRef::Deleted => EntryValue::Deleted,
            ValueRef::Blob(number) => EntryValue::Blob(number),
            ValueRef::Inline(value) => EntryValue::Value((payload, value)),
            ValueRef::Medium(value_block) => {
                let values = enter_value_block(&mut self.values, self.table, value_block)?;
                EntryValue::Value((values, values.as_slice()))
            }
            ValueRef::Small { block: value_block, len, offset } => {
                let values = enter_value_block(&mut self.values, self.table, value_block)?;
                let value = small_value(values.as_slice(), len, offset).map_err(corrupt)?;
                EntryValue::Value((values, value))
            }
        };
        Ok(Parts { hash: *hash, key_block: payload, key: entry.key, value })
    }
}

/// The current entry of a cursor, with the payloads its bytes are in.
struct Parts<'c, 'a> {
    hash: u64,
    key_block: &'c Payload<'a>,
    key: &'c [u8],
    value: EntryValue<(&'c Payload<'a>, &'c [u8])>,
}

/// The payload of a value block. Small values come in the order of their entries, so the block of the last one is
/// nearly always the next one's.
fn enter_value_block<'c, 'a>(
    values: &'c mut Option<(BlockIndex, Payload<'a>)>,
    table: &'a StaticSortedFile,
    block: BlockIndex,
) -> Result<&'c Payload<'a>, ReadError> {
    let known = values.take_if(|(current, _)| *current == block);
    let entered = match known {
        Some(known) => known,
        None => (block, table.blocks().payload(block, Fill::Bypass)?),
    };
    Ok(&values.insert(entered).1)
}

/// The entry on which a [`Cursor`] stands, borrowed until it moves on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntryRef<'c> {
    /// The hash, stored or computed.
    pub hash: u64,
    /// The key.
    pub key: &'c [u8],
    /// The value.
    pub value: EntryValue<&'c [u8]>,
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
        let entry = match self.cursor.advance() {
            Ok(true) => self.cursor.owned_entry(),
            Ok(false) => return None,
            Err(error) => Err(error),
        };
        if entry.is_err() {
            self.cursor.end();
        }
        Some(entry)
    }
}

impl<'a> From<Cursor<'a>> for Iter<'a> {
    fn from(cursor: Cursor<'a>) -> Self {
        Self::new(cursor)
    }
}
