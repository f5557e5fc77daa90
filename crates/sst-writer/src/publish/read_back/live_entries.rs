//! The entries of many tables on disk, merged, each with whether it is live.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::PathBuf;

use sst_format::SstMeta;

use super::stored_entries::StoredEntries;
use crate::{FileSystem, PublishError};

/// A table that takes part in a walk.
#[derive(Debug)]
pub(crate) struct WalkedTable {
    pub(crate) path: PathBuf,
    pub(crate) meta: SstMeta,
}

/// The place of a table's next entry in the order: hash, key, and the number of the table, 0 for the newest. A table that is
/// not open yet stands for its lowest hash with the empty key, before any of its entries.
type Place = (u64, Vec<u8>, usize);

/// Walks tables side by side in (hash, key) order, the newest first among equal keys. Of each key the entries of the newest
/// table that knows it are live; the walk shows the others too.
///
/// A table is open from its first entry to its last, so of disjoint ones only one at a time is.
pub(crate) struct LiveEntries<'a> {
    file_system: &'a dyn FileSystem,
    /// The newest first.
    tables: &'a [WalkedTable],
    open: Vec<Option<StoredEntries>>,
    heap: BinaryHeap<Reverse<Place>>,
    /// The table of the current entry, which is not in the heap.
    current: Option<usize>,
    /// Hash and key of the current entry, and the newest table that knows it.
    key: (u64, Vec<u8>),
    newest: Option<usize>,
    /// Room for the next key, where one that has been passed was.
    spare: Vec<u8>,
}

impl<'a> LiveEntries<'a> {
    /// A walk before the first entry of `tables`, the newest of which comes first.
    pub(crate) fn new(file_system: &'a dyn FileSystem, tables: &'a [WalkedTable]) -> Self {
        let places = tables.iter().enumerate();
        let heap = places.map(|(age, table)| Reverse((table.meta.min_hash, Vec::new(), age)));
        Self {
            file_system,
            tables,
            open: tables.iter().map(|_| None).collect(),
            heap: heap.collect(),
            current: None,
            key: (0, Vec::new()),
            newest: None,
            spare: Vec::new(),
        }
    }

    /// Moves to the next entry of any table. Returns the number of its table; `None` behind the last.
    pub(crate) fn advance(&mut self) -> Result<Option<usize>, PublishError> {
        if let Some(age) = self.current.take() {
            self.push_next(age)?;
        }
        while let Some(Reverse((hash, key, age))) = self.heap.pop() {
            if self.open_if_new(age)? {
                self.push_next(age)?;
                continue;
            }
            self.current = Some(age);
            if self.newest.is_none() || self.key.0 != hash || self.key.1 != key {
                self.newest = Some(age);
                self.spare = std::mem::replace(&mut self.key, (hash, key)).1;
            } else {
                self.spare = key;
            }
            return Ok(Some(age));
        }
        Ok(None)
    }

    /// Whether a table had not been opened yet, which it now is.
    fn open_if_new(&mut self, age: usize) -> Result<bool, PublishError> {
        match (self.open.get_mut(age), self.tables.get(age)) {
            (Some(slot @ None), Some(table)) => {
                *slot = Some(StoredEntries::open(self.file_system, &table.path, &table.meta)?);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Moves a table to its next entry; one that has no more is closed and does not come back.
    fn push_next(&mut self, age: usize) -> Result<(), PublishError> {
        let Some(slot) = self.open.get_mut(age) else { return Ok(()) };
        let Some(entries) = slot else { return Ok(()) };
        if entries.advance()? {
            let mut key = std::mem::take(&mut self.spare);
            key.clear();
            key.extend_from_slice(entries.key()?);
            self.heap.push(Reverse((entries.hash(), key, age)));
        } else {
            *slot = None;
        }
        Ok(())
    }

    /// Whether the current entry is of the newest table that knows its key.
    pub(crate) fn is_live(&self) -> bool {
        self.current.is_some() && self.current == self.newest
    }

    /// The table of the current entry, standing on it.
    pub(crate) fn current(&mut self) -> Option<&mut StoredEntries> {
        self.open.get_mut(self.current?)?.as_mut()
    }
}
