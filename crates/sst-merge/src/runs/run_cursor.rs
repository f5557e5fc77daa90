//! Walks a run: one table is open at a time.

use std::ops::RangeInclusive;
use std::sync::Arc;

use self_cell::self_cell;
use sst_format::BlobNumber;
use sst_format::value_ref::ValueRef;
use sst_reader::{
    Catalog, Cursor, EntryRef, FileLabel, ReadError, ReaderOptions, StaticSortedFile,
};

use super::{Run, TableInput};
use crate::MergeError;

self_cell!(
    /// An open table with a cursor in it.
    struct OpenTable {
        owner: StaticSortedFile,
        #[covariant]
        dependent: Cursor,
    }
);

/// A run and its current entry: a cursor always stands on one.
///
/// It has a copy of the entry's key, so that the order of two cursors is known without an error.
pub(crate) struct RunCursor {
    hash: u64,
    key: Vec<u8>,
    is_tombstone: bool,
    run: OpenRun,
}

/// The tables of a run: the open one and those behind it.
pub(crate) struct OpenRun {
    table: OpenTable,
    origin: Origin,
    /// The stored form of a medium value is read into this.
    buffer: Vec<u8>,
    /// Tables not yet reached, in order.
    rest: std::vec::IntoIter<TableInput>,
    hashes: RangeInclusive<u64>,
    options: ReaderOptions,
}

/// Where the open table lies.
struct Origin {
    label: FileLabel,
    /// The directory, if the table is listed in one.
    catalog: Option<Arc<Catalog>>,
}

/// An entry, and what is needed to read its value.
pub(crate) struct CurrentEntry<'r> {
    pub(crate) entry: EntryRef<'r>,
    /// The stored form of a medium value is read into this.
    pub(crate) buffer: &'r mut Vec<u8>,
    origin: &'r Origin,
}

impl RunCursor {
    /// Opens the first table of a run that has an entry with a hash in `hashes`, and stands on that
    /// entry. `None` if there is no such table.
    pub(crate) fn open(
        run: Run,
        hashes: RangeInclusive<u64>,
        options: ReaderOptions,
    ) -> Result<Option<Self>, MergeError> {
        let mut tables = run.tables;
        tables.retain(|table| table.min_hash <= *hashes.end() && table.max_hash >= *hashes.start());
        let mut rest = tables.into_iter();
        let Some(first) = rest.next() else { return Ok(None) };
        let (table, origin) = open_table(&first, &hashes, &options)?;
        let run = OpenRun { table, origin, buffer: Vec::new(), rest, hashes, options };
        let mut cursor = Self { hash: 0, key: Vec::new(), is_tombstone: false, run };
        Ok(cursor.advance()?.then_some(cursor))
    }

    /// Moves to the next entry. `false` behind the last one: the cursor is then used up, and must
    /// be dropped.
    #[inline]
    pub(crate) fn advance(&mut self) -> Result<bool, MergeError> {
        loop {
            let next = self.run.table.with_dependent_mut(|_, cursor| cursor.next())?;
            if let Some(entry) = next {
                let hash = entry.hash;
                self.key.clear();
                self.key.extend_from_slice(entry.key);
                self.is_tombstone = entry.value_ref()? == ValueRef::Deleted;
                if hash < self.hash {
                    return Err(self.run.unordered(self.hash));
                }
                self.hash = hash;
                return Ok(true);
            }
            if !self.run.open_next()? {
                return Ok(false);
            }
        }
    }

    /// Hash of the current entry.
    #[inline]
    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    /// Key of the current entry.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Hands out the key of the current entry before the cursor moves on, in exchange for a buffer
    /// of which the content does not matter.
    #[inline]
    pub(crate) const fn swap_key(&mut self, key: &mut Vec<u8>) {
        std::mem::swap(&mut self.key, key);
    }

    /// Whether the current entry is a tombstone.
    #[inline]
    pub(crate) const fn is_tombstone(&self) -> bool {
        self.is_tombstone
    }

    /// The current entry in parts: its key, and the run that its value is read from.
    #[inline]
    pub(crate) fn parts(&mut self) -> (&[u8], &mut OpenRun) {
        (&self.key, &mut self.run)
    }

    /// The open table, for messages.
    pub(crate) fn label(&self) -> FileLabel {
        self.run.origin.label.clone()
    }

    /// The error of an entry that comes too late.
    pub(crate) fn unordered(&self) -> MergeError {
        self.run.unordered(self.hash)
    }
}

impl OpenRun {
    /// Opens the next table of the run. `false` if there is none.
    fn open_next(&mut self) -> Result<bool, ReadError> {
        let Some(input) = self.rest.next() else { return Ok(false) };
        (self.table, self.origin) = open_table(&input, &self.hashes, &self.options)?;
        Ok(true)
    }

    /// The current entry.
    #[inline]
    pub(crate) fn current(&mut self) -> Result<CurrentEntry<'_>, MergeError> {
        let Self { table, buffer, origin, .. } = self;
        let entry = table.with_dependent_mut(|_, cursor| cursor.current())?;
        let entry = entry.ok_or_else(|| MergeError::internal("a run stands on an entry"))?;
        Ok(CurrentEntry { entry, buffer, origin })
    }

    fn unordered(&self, hash: u64) -> MergeError {
        MergeError::Unordered { file: self.origin.label.clone(), hash }
    }
}

impl<'r> CurrentEntry<'r> {
    /// The directory that knows a blob to which the entry refers.
    pub(crate) fn catalog_of(&self, blob: BlobNumber) -> Result<&'r Arc<Catalog>, MergeError> {
        let Origin { label, catalog } = self.origin;
        catalog
            .as_ref()
            .ok_or_else(|| MergeError::BlobWithoutDirectory { file: label.clone(), blob })
    }
}

fn open_table(
    input: &TableInput,
    hashes: &RangeInclusive<u64>,
    options: &ReaderOptions,
) -> Result<(OpenTable, Origin), ReadError> {
    let table = input.open(options)?;
    let origin = Origin { label: table.label().clone(), catalog: input.catalog().cloned() };
    let table = OpenTable::try_new(table, |table| table.range(hashes.clone()))?;
    Ok((table, origin))
}
