//! Walks the tables of a layer one after the other, with one of them open at a time.

use std::ops::RangeInclusive;
use std::slice;
use std::sync::Arc;

use super::SstSet;
use super::layer::Layer;
use super::set_table::SetTable;
use super::statistics::Tally;
use super::table_cursor::TableCursor;
use crate::{IterEntry, ReadError, Slice};

/// A cursor over the entries of a layer in (hash, key) order.
pub(super) struct LayerCursor<'s> {
    set: &'s SstSet,
    hashes: RangeInclusive<u64>,
    /// Those behind the current one.
    tables: slice::Iter<'s, Arc<SetTable>>,
    current: Option<TableCursor<'s>>,
}

impl<'s> LayerCursor<'s> {
    /// A cursor before the first entry whose hash is in `hashes`. Opens nothing yet.
    pub(super) fn new(set: &'s SstSet, layer: &'s Layer, hashes: RangeInclusive<u64>) -> Self {
        let tables = layer.tables_in(&hashes).iter();
        Self { set, hashes, tables, current: None }
    }

    /// Moves to the next entry. `false` when there is none.
    pub(super) fn advance(&mut self) -> Result<bool, ReadError> {
        loop {
            if let Some(cursor) = &mut self.current
                && cursor.advance()?
            {
                return Ok(true);
            }
            let Some(table) = self.tables.next() else { return Ok(false) };
            let mut tally = Tally::default();
            // The table before is let go first.
            self.current = None;
            let table = table.open(self.set.opening(), &mut tally);
            self.set.count(&tally);
            self.current = Some(TableCursor::new(table?, self.hashes.clone())?);
        }
    }

    /// Hash of the current entry; 0 if it stands on none.
    pub(super) fn hash(&self) -> u64 {
        self.current.as_ref().map_or(0, TableCursor::hash)
    }

    /// Key of the current entry, to be kept; `None` if it stands on none.
    pub(super) fn owned_key(&self) -> Result<Option<Slice<'s>>, ReadError> {
        self.current.as_ref().map(TableCursor::owned_key).transpose()
    }

    /// The current entry, to be kept; `None` if it stands on none.
    pub(super) fn owned_entry(&mut self) -> Result<Option<IterEntry<'s>>, ReadError> {
        self.current.as_mut().map(TableCursor::owned_entry).transpose()
    }
}
