//! Walks the tables of a layer one after the other, with one of them open at a time.

use std::ops::RangeInclusive;
use std::slice;

use super::SstSet;
use super::layer::Layer;
use super::set_table::SetTable;
use super::statistics::Tally;
use super::table_cursor::TableCursor;
use crate::{EntryRef, FileLabel, IterEntry, ReadError};

/// A cursor over the entries of a layer in (hash, key) order.
pub(super) struct LayerCursor<'s> {
    current: Option<TableCursor<'s>>,
    /// Whether the last step left a table: `left_key` is then the previous key.
    has_left_table: bool,
    /// The last key of the table that was left last.
    left_key: Vec<u8>,
    /// Those behind the current one.
    tables: slice::Iter<'s, SetTable>,
    set: &'s SstSet,
    hashes: RangeInclusive<u64>,
}

impl<'s> LayerCursor<'s> {
    /// A cursor before the first entry whose hash is in `hashes`. Opens nothing yet.
    pub(super) fn new(
        set: &'s SstSet,
        layer: &'s Layer,
        hashes: RangeInclusive<u64>,
    ) -> Result<Self, ReadError> {
        let tables = layer.tables_in(&hashes);
        let tables = tables.map_err(|uneven| uneven.in_catalog(set.catalog()))?.iter();
        let left_key = Vec::new();
        Ok(Self { current: None, has_left_table: false, left_key, tables, set, hashes })
    }

    /// Moves to the next entry and gives its hash. `None` behind the last one.
    #[inline]
    pub(super) fn advance(&mut self) -> Result<Option<u64>, ReadError> {
        if let Some(cursor) = &mut self.current
            && let Some(hash) = cursor.advance()?
        {
            self.has_left_table = false;
            return Ok(Some(hash));
        }
        self.advance_to_next_table()
    }

    /// Goes to the first entry of the next table that has one.
    #[inline(never)]
    fn advance_to_next_table(&mut self) -> Result<Option<u64>, ReadError> {
        while let Some(cursor) = self.open_next()? {
            if let Some(hash) = cursor.advance()? {
                return Ok(Some(hash));
            }
        }
        Ok(None)
    }

    /// Leaves the current table, and opens the next one. `None` if there is none.
    fn open_next(&mut self) -> Result<Option<&mut TableCursor<'s>>, ReadError> {
        // The table is closed before the next one is opened.
        if let Some(left) = self.current.take()
            && let Some(key) = left.previous_key()?
        {
            self.has_left_table = true;
            self.left_key.clear();
            self.left_key.extend_from_slice(key);
        }
        let Some(table) = self.tables.next() else { return Ok(None) };
        let mut tally = Tally::default();
        let table = table.open(self.set.opening(), &mut tally);
        self.set.count(&tally);
        Ok(Some(self.current.insert(TableCursor::new(table?, self.hashes.clone())?)))
    }

    /// As [`LayerCursor::step`], if that is easy; `false` means unknown.
    #[inline(always)]
    pub(super) fn step_in_live_block(&mut self) -> bool {
        self.current.as_mut().is_some_and(TableCursor::step_in_live_block)
    }

    /// Moves by one entry, into the next table where one ends: to the next one that is no
    /// tombstone, or to one in any case if `with_tombstones`. `false` behind the last one of the
    /// last table.
    ///
    /// The walk of a layer that is the only one: it needs no hashes. [`LayerCursor::lend_stepped`]
    /// or [`LayerCursor::owned_entry`] gives the entry.
    pub(super) fn step(&mut self, with_tombstones: bool) -> Result<bool, ReadError> {
        if let Some(cursor) = &mut self.current
            && cursor.step_live(with_tombstones)?
        {
            return Ok(true);
        }
        self.step_into_next_table(with_tombstones)
    }

    fn step_into_next_table(&mut self, with_tombstones: bool) -> Result<bool, ReadError> {
        if self.current.as_ref().is_some_and(TableCursor::is_stopped) {
            return Ok(false);
        }
        while let Some(cursor) = self.open_next()? {
            if cursor.step_live(with_tombstones)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Lends the entry to which [`LayerCursor::step`] has moved. `None` behind the last hash: no
    /// later table has a lower one.
    #[inline(always)]
    pub(super) fn lend_stepped(&mut self) -> Result<Option<EntryRef<'_>>, ReadError> {
        match &mut self.current {
            Some(cursor) => cursor.lend_stepped(),
            None => Err(no_entry(self.set)),
        }
    }

    /// The current entry, to be kept. `is_stepped`: [`LayerCursor::step`] has moved to it, so it
    /// may be behind the last hash, where this gives `None`; else [`LayerCursor::advance`] has.
    /// After an error the layer has no more entries.
    #[inline(always)]
    pub(super) fn owned_entry(
        &mut self,
        is_stepped: bool,
    ) -> Option<Result<IterEntry<'s>, ReadError>> {
        let set = self.set;
        let describe = |error| set.catalog().outdated_or(error);
        match &mut self.current {
            Some(TableCursor::Borrowing(cursor)) => cursor.owned_entry(is_stepped, describe),
            Some(TableCursor::Owning(cursor)) => cursor.owned_entry(is_stepped, describe),
            None => Some(Err(no_entry(set))),
        }
    }

    /// Whether the current entry is a tombstone.
    #[inline]
    pub(super) fn is_tombstone(&self) -> Result<bool, ReadError> {
        match &self.current {
            Some(cursor) => cursor.is_tombstone(),
            None => Err(no_entry(self.set)),
        }
    }

    /// The key of the current entry.
    pub(super) fn key(&self) -> Result<&[u8], ReadError> {
        let key = match &self.current {
            Some(cursor) => cursor.key()?,
            None => None,
        };
        key.ok_or_else(|| no_entry(self.set))
    }

    /// The key of the entry that the last [`LayerCursor::advance`] has left.
    pub(super) fn previous_key(&self) -> Result<&[u8], ReadError> {
        let key = match &self.current {
            Some(cursor) if !self.has_left_table => cursor.previous_key()?,
            _ if self.has_left_table => Some(&*self.left_key),
            _ => None,
        };
        key.ok_or_else(|| no_entry(self.set))
    }

    /// Lends the current entry.
    #[inline]
    pub(super) fn lend(&mut self) -> Result<EntryRef<'_>, ReadError> {
        let entry = match &mut self.current {
            Some(cursor) => cursor.lend()?,
            None => None,
        };
        entry.ok_or_else(|| no_entry(self.set))
    }
}

/// The error of a cursor that is asked for an entry where there is none.
#[cold]
fn no_entry(set: &SstSet) -> ReadError {
    let dir = FileLabel::new(&set.catalog().dir);
    ReadError::internal(&dir, "a layer that is asked for an entry stands on one")
}
