//! Walks the tables of a layer one after the other, with one of them open at a time.

use std::ops::RangeInclusive;
use std::slice;
use std::sync::Arc;

use super::SstSet;
use super::layer::Layer;
use super::set_table::SetTable;
use super::statistics::Tally;
use super::table_cursor::TableCursor;
use crate::{FileLabel, IterEntry, ReadError, Slice};

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

    /// Moves to the next entry and gives its hash and key, to be kept. `None` behind the last one.
    pub(super) fn next_key(&mut self) -> Result<Option<(u64, Slice<'s>)>, ReadError> {
        loop {
            if let Some(cursor) = &mut self.current
                && let Some(key) = cursor.next_key()?
            {
                return Ok(Some(key));
            }
            let Some(table) = self.tables.next() else { return Ok(None) };
            let mut tally = Tally::default();
            // The table before is let go first.
            self.current = None;
            let table = table.open(self.set.opening(), &mut tally);
            self.set.count(&tally);
            self.current = Some(TableCursor::new(table?, self.hashes.clone())?);
        }
    }

    /// The entry whose key was given last, to be kept.
    pub(super) fn current_entry(&mut self) -> Result<IterEntry<'s>, ReadError> {
        let entry = match &mut self.current {
            Some(cursor) => cursor.owned_entry()?,
            None => None,
        };
        entry.ok_or_else(|| {
            let dir = FileLabel::new(&self.set.catalog().dir);
            ReadError::internal(&dir, "a key that was given belongs to an entry")
        })
    }
}
