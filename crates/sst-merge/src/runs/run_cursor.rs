//! Walks a run: one table is open at a time.

use std::ops::RangeInclusive;
use std::sync::Arc;

use self_cell::self_cell;
use sst_format::BlobNumber;
use sst_reader::{
    Catalog, Cursor, EntryRef, FileLabel, ReadError, ReaderOptions, StaticSortedFile,
};

use super::{Run, TableInput};
use crate::MergeError;

self_cell!(
    /// An open table with a cursor in it.
    struct RunTable {
        owner: StaticSortedFile,
        #[covariant]
        dependent: Cursor,
    }
);

/// A run and its current entry: a cursor always stands on one.
pub(crate) struct RunCursor {
    hash: u64,
    is_tombstone: bool,
    /// Whether the last step left a table: `left_key` is then the previous key.
    has_left_table: bool,
    /// The last key of the table that was left last.
    left_key: Vec<u8>,
    run: OpenRun,
}

/// The tables of a run: the open one and those behind it.
struct OpenRun {
    table: RunTable,
    origin: EntryOrigin,
    /// The stored form of a medium value is read into this.
    buffer: Vec<u8>,
    /// Tables not yet reached, in order.
    rest: std::vec::IntoIter<TableInput>,
    hashes: RangeInclusive<u64>,
    options: ReaderOptions,
}

/// Where the open table lies.
struct EntryOrigin {
    label: FileLabel,
    /// The directory, if the table is listed in one.
    catalog: Option<Arc<Catalog>>,
}

/// An entry, and what is needed to read its value.
pub(crate) struct CurrentEntry<'r> {
    pub(crate) entry: EntryRef<'r>,
    /// The stored form of a medium value is read into this.
    pub(crate) buffer: &'r mut Vec<u8>,
    origin: &'r EntryOrigin,
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
        let mut cursor =
            Self { hash: 0, is_tombstone: false, has_left_table: false, left_key: Vec::new(), run };
        Ok(cursor.advance()?.then_some(cursor))
    }

    /// Moves to the next entry. `false` behind the last one: the cursor is then used up. It still
    /// has the last key, for [`RunCursor::into_last_key`].
    #[inline]
    pub(crate) fn advance(&mut self) -> Result<bool, MergeError> {
        self.has_left_table = false;
        loop {
            let next = self.run.table.with_dependent_mut(|_, cursor| cursor.next())?;
            if let Some(entry) = next {
                let hash = entry.hash;
                self.is_tombstone = entry.is_tombstone();
                if hash < self.hash {
                    return Err(self.run.unordered(self.hash));
                }
                self.hash = hash;
                return Ok(true);
            }
            if !self.leave_table()? {
                return Ok(false);
            }
        }
    }

    /// Opens the next table of the run. `false` if there is none.
    #[cold]
    fn leave_table(&mut self) -> Result<bool, MergeError> {
        if let Some(key) = self.run.table.borrow_dependent().previous_key()? {
            self.has_left_table = true;
            self.left_key.clear();
            self.left_key.extend_from_slice(key);
        }
        Ok(self.run.open_next()?)
    }

    /// Hash of the current entry.
    #[inline]
    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    /// Key of the current entry.
    pub(crate) fn key(&self) -> Result<&[u8], MergeError> {
        let key = self.run.table.borrow_dependent().current_key()?;
        key.ok_or_else(|| MergeError::internal("a run stands on an entry"))
    }

    /// The key that was the current one before the last [`RunCursor::advance`].
    pub(crate) fn previous_key(&self) -> Result<&[u8], MergeError> {
        if self.has_left_table {
            return Ok(&self.left_key);
        }
        let key = self.run.table.borrow_dependent().previous_key()?;
        key.ok_or_else(|| MergeError::internal("a run has left an entry"))
    }

    /// The last key of the run, once, after [`RunCursor::advance`] returned `false`.
    pub(crate) fn take_last_key(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.left_key)
    }

    /// Whether the current entry is a tombstone.
    #[inline]
    pub(crate) const fn is_tombstone(&self) -> bool {
        self.is_tombstone
    }

    /// The current entry.
    #[inline(always)]
    pub(crate) fn current(&mut self) -> Result<CurrentEntry<'_>, MergeError> {
        self.run.current()
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
    #[inline(always)]
    fn current(&mut self) -> Result<CurrentEntry<'_>, MergeError> {
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
        let EntryOrigin { label, catalog } = self.origin;
        catalog
            .as_ref()
            .ok_or_else(|| MergeError::BlobWithoutDirectory { file: label.clone(), blob })
    }
}

fn open_table(
    input: &TableInput,
    hashes: &RangeInclusive<u64>,
    options: &ReaderOptions,
) -> Result<(RunTable, EntryOrigin), ReadError> {
    let table = input.open(options)?;
    let origin = EntryOrigin { label: table.label().clone(), catalog: input.catalog().cloned() };
    let table = RunTable::try_new(table, |table| table.range(hashes.clone()))?;
    Ok((table, origin))
}
