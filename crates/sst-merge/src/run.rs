//! Tables of which at most one can hold a given hash, walked one after the other.

use std::ops::RangeInclusive;
use std::sync::Arc;

use self_cell::self_cell;
use sst_format::block::BlockHeader;
use sst_format::value_ref::ValueRef;
use sst_reader::{
    Catalog, Cursor, EntryRef, FileLabel, ReadError, ReaderOptions, StaticSortedFile,
};

use crate::MergeError;
use crate::table_input::TableInput;

/// Tables with disjoint ranges of hashes.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// Ascending.
    tables: Vec<TableInput>,
}

impl Run {
    /// Adds a table if its range of hashes overlaps none of the others.
    pub(crate) fn insert(&mut self, table: &TableInput) -> bool {
        let place = self.tables.partition_point(|other| other.min_hash < table.min_hash);
        let next = self.tables.get(place);
        let previous = place.checked_sub(1).and_then(|previous| self.tables.get(previous));
        let is_disjoint = next.is_none_or(|next| next.min_hash > table.max_hash)
            && previous.is_none_or(|previous| previous.max_hash < table.min_hash);
        if is_disjoint {
            self.tables.insert(place, table.clone());
        }
        is_disjoint
    }
}

self_cell!(
    /// An open table with a cursor in it.
    struct OpenTable {
        owner: StaticSortedFile,
        #[covariant]
        dependent: Cursor,
    }
);

/// Walks a run: one table is open at a time.
pub(crate) struct RunCursor {
    /// Tables not yet reached, in order.
    tables: std::vec::IntoIter<TableInput>,
    hashes: RangeInclusive<u64>,
    options: ReaderOptions,
    current: Option<(OpenTable, Option<Arc<Catalog>>)>,
    hash: u64,
    /// Where the stored form of a medium value is read into.
    buffer: Vec<u8>,
}

impl RunCursor {
    pub(crate) fn new(run: Run, hashes: RangeInclusive<u64>, options: ReaderOptions) -> Self {
        let mut tables = run.tables;
        tables.retain(|table| table.min_hash <= *hashes.end() && table.max_hash >= *hashes.start());
        let tables = tables.into_iter();
        Self { tables, hashes, options, current: None, hash: 0, buffer: Vec::new() }
    }

    /// Moves to the next entry. `false` when there is none.
    #[inline]
    pub(crate) fn advance(&mut self) -> Result<bool, MergeError> {
        loop {
            if let Some((open, _)) = &mut self.current {
                let next = open.with_dependent_mut(|_, cursor| cursor.next())?;
                if let Some(hash) = next.map(|entry| entry.hash) {
                    if hash < self.hash {
                        return Err(self.unordered());
                    }
                    self.hash = hash;
                    return Ok(true);
                }
                self.current = None;
            }
            if !self.open_next()? {
                return Ok(false);
            }
        }
    }

    fn open_next(&mut self) -> Result<bool, ReadError> {
        let Some(input) = self.tables.next() else { return Ok(false) };
        if let Some(table) = input.open(&self.options)? {
            let hashes = self.hashes.clone();
            let open = OpenTable::try_new(table, |table| table.range(hashes))?;
            self.current = Some((open, input.catalog().cloned()));
        }
        Ok(true)
    }

    /// Hash of the current entry.
    #[inline]
    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    /// Key of the current entry. Empty if there is none: the last `advance` was not `Ok(true)`.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        self.current
            .as_ref()
            .and_then(|(open, _)| open.borrow_dependent().current_key().ok().flatten())
            .unwrap_or_default()
    }

    /// What stands behind the key.
    #[inline]
    pub(crate) fn value_ref(&mut self) -> Result<Option<ValueRef<'_>>, ReadError> {
        self.entry()?.map(|entry| entry.value_ref()).transpose()
    }

    /// The current entry.
    #[inline]
    pub(crate) fn entry(&mut self) -> Result<Option<EntryRef<'_>>, ReadError> {
        let Some((open, _)) = &mut self.current else { return Ok(None) };
        open.with_dependent_mut(|_, cursor| cursor.current())
    }

    /// The block of a medium value as it is stored.
    pub(crate) fn stored_medium(&mut self) -> Result<Option<Stored<'_>>, ReadError> {
        let Some((open, _)) = &mut self.current else { return Ok(None) };
        let entry = open.with_dependent_mut(|_, cursor| cursor.current())?;
        let Some(entry) = entry else { return Ok(None) };
        let stored = entry.stored_medium(&mut self.buffer)?;
        Ok(stored.map(|(header, stored)| Stored { key: entry.key, header, stored }))
    }

    /// The directory of the current table, if it lies in one.
    pub(crate) fn catalog(&self) -> Option<&Arc<Catalog>> {
        self.current.as_ref().and_then(|(_, catalog)| catalog.as_ref())
    }

    /// The current table, for messages.
    pub(crate) fn label(&self) -> FileLabel {
        match &self.current {
            Some((open, _)) => open.borrow_owner().label().clone(),
            None => FileLabel::new("".as_ref()),
        }
    }

    pub(crate) fn unordered(&self) -> MergeError {
        MergeError::Unordered { file: self.label(), hash: self.hash }
    }
}

/// A medium value in stored form, with its key.
pub(crate) struct Stored<'c> {
    pub(crate) key: &'c [u8],
    pub(crate) header: BlockHeader,
    pub(crate) stored: &'c [u8],
}
