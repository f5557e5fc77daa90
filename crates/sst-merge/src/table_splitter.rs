//! Writes entries into tables, and decides where one ends and the next begins.

use std::sync::Arc;

use sst_format::BlobNumber;
use sst_reader::Catalog;
use sst_writer::EntryValue;
use sst_writer::table::HashedEntry;

use crate::target::{Table, Target, refused};
use crate::{MergeError, MergeOptions, MergedEntry, MergedValue};

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) entries: u64,
    pub(crate) tombstones: u64,
    pub(crate) raw_blocks: u64,
    pub(crate) blobs: u64,
    pub(crate) tables: u64,
    pub(crate) table_bytes: u64,
}

/// Writes entries, in ascending order, into one table after the other. Entries with equal hashes never part: which table
/// holds a hash must be clear.
pub(crate) struct TableSplitter<T: Target> {
    target: T,
    max_entries: u64,
    max_bytes: u64,
    table: Option<T::Table>,
    last_hash: u64,
    written: Written,
}

impl<T: Target> TableSplitter<T> {
    pub(crate) fn new(target: T, options: &MergeOptions) -> Self {
        Self {
            target,
            max_entries: options.max_table_entries,
            max_bytes: options.max_table_bytes,
            table: None,
            last_hash: 0,
            written: Written::default(),
        }
    }

    /// Writes the next entry.
    #[inline]
    pub(crate) fn add(&mut self, entry: &MergedEntry<'_>) -> Result<(), MergeError> {
        let value = self.value(entry)?;
        let new = HashedEntry { hash: entry.hash, key: entry.key, value };
        let starts_hash = entry.hash != self.last_hash;
        let is_full = |table: &T::Table| {
            table.is_full(self.max_entries, self.max_bytes) || !table.has_room_for(&new)
        };
        if starts_hash && self.table.as_ref().is_some_and(is_full) {
            self.finish_table()?;
        }
        let table = match &mut self.table {
            Some(table) => table,
            None => self.table.insert(self.target.create_table()?),
        };
        table.add(new).map_err(refused)?;
        self.last_hash = entry.hash;
        self.written.entries += 1;
        match value {
            EntryValue::Deleted => self.written.tombstones += 1,
            EntryValue::MediumRaw { .. } => self.written.raw_blocks += 1,
            EntryValue::Large { .. } => self.written.blobs += 1,
            _ => {}
        }
        Ok(())
    }

    /// Finishes the last table.
    pub(crate) fn finish(mut self) -> Result<(Written, T), MergeError> {
        self.finish_table()?;
        Ok((self.written, self.target))
    }

    fn finish_table(&mut self) -> Result<(), MergeError> {
        if let Some(table) = self.table.take() {
            self.written.table_bytes += self.target.finish_table(table)?;
            self.written.tables += 1;
        }
        Ok(())
    }

    /// The value as the writer takes it: in the class it has.
    fn value<'c>(&mut self, entry: &MergedEntry<'c>) -> Result<EntryValue<'c>, MergeError> {
        Ok(match entry.value {
            MergedValue::Deleted => EntryValue::Deleted,
            // Readers accept longer inline values than writers may write.
            MergedValue::Inline(value) => {
                EntryValue::for_bytes(value).unwrap_or(EntryValue::Small(value))
            }
            MergedValue::Small(value) => EntryValue::Small(value),
            MergedValue::Medium { header, stored } => EntryValue::of_stored(header, stored),
            MergedValue::Blob { number, catalog } => {
                EntryValue::Large { blob: self.take_blob(catalog, number, entry.key)? }
            }
        })
    }

    fn take_blob(
        &mut self,
        catalog: &Arc<Catalog>,
        number: BlobNumber,
        key: &[u8],
    ) -> Result<BlobNumber, MergeError> {
        self.target.take_blob(catalog, number, key)
    }
}
