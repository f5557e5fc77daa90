//! Writes entries into tables, and decides where one ends and the next begins.

use sst_format::limits::MAX_INLINE_VALUE_LEN;
use sst_writer::table::HashedEntry;
use sst_writer::{EntryValue, WriteError};

use super::MergeOptions;
use super::target::{Table, Target};
use crate::{MergeError, MergedEntry, StoredValue};

/// The tables and bytes that were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) entries: u64,
    pub(crate) tombstones: u64,
    pub(crate) stored_blocks: u64,
    pub(crate) blobs: u64,
    pub(crate) tables: u64,
    pub(crate) table_bytes: u64,
}

/// Writes entries, in ascending order, into one table after the other. Entries with equal hashes
/// part only where a table has no room for all of them: which table holds a hash should be clear.
///
/// Loads one after the other may build such a run of equal hashes, for which one key block is too
/// small: each load takes what one table can hold. The tables that share its hash then are two
/// layers, as the loads were, and entries of one key never part: of two tables with a key, the
/// newer one hides the other.
pub(crate) struct TableSplitter<T: Target> {
    target: T,
    max_entries: u64,
    max_bytes: u64,
    /// A table ends before this hash, and then before each of the rest.
    next_cut: Option<u64>,
    cuts: std::vec::IntoIter<u64>,
    table: Option<T::Table>,
    /// Bytes of the keys and values of the table.
    bytes: u64,
    last_hash: u64,
    written: Written,
}

/// Whether the error says that the table, or its last key block, has no room for an entry.
const fn is_full(error: &WriteError) -> bool {
    matches!(error, WriteError::RunTooLong { .. }) || error.is_capacity()
}

impl<T: Target> TableSplitter<T> {
    pub(crate) fn new(target: T, options: &MergeOptions) -> Self {
        let mut cuts = options.cuts.clone().into_iter();
        Self {
            target,
            next_cut: cuts.next(),
            cuts,
            max_entries: options.max_table_entries,
            max_bytes: options.max_table_bytes,
            table: None,
            bytes: 0,
            last_hash: 0,
            written: Written::default(),
        }
    }

    /// Writes the next entry.
    #[inline]
    pub(crate) fn add(&mut self, entry: MergedEntry<'_>) -> Result<(), MergeError> {
        let (hash, key) = (entry.hash, entry.key);
        let stored = entry.into_stored()?;
        let len = key.len() as u64 + stored.table_len();
        let value = self.value(key, stored)?;
        // It is lent: a copy would have to wait until all of its parts are stored.
        let new = &HashedEntry { hash, key, value };
        // Saturated, the sum is above every limit.
        let bytes = self.bytes.saturating_add(len);
        let (max_entries, max_bytes) = (self.max_entries, self.max_bytes);
        let is_cut = self.next_cut.is_some_and(|cut| hash >= cut);
        if is_cut {
            self.skip_cuts(hash);
        }
        let is_added = match &mut self.table {
            _ if is_cut => false,
            // Entries of one hash stay in one table, whatever its limits, as long as it has room.
            Some(table) if hash == self.last_hash => match table.add(new) {
                Ok(()) => true,
                Err(error) if is_full(&error) && table.last_key()? != key => false,
                Err(error) => return Err(error.into()),
            },
            Some(table) if table.entry_count() < max_entries && bytes <= max_bytes => {
                table.add_if_room(new)?
            }
            _ => false,
        };
        if is_added {
            self.bytes = bytes;
        } else {
            self.finish_table()?;
            self.table.insert(self.target.create_table()?).add(new)?;
            self.bytes = len;
        }
        self.last_hash = hash;
        self.written.entries += 1;
        match value {
            EntryValue::Deleted => self.written.tombstones += 1,
            EntryValue::MediumStored { .. } => self.written.stored_blocks += 1,
            EntryValue::Blob(_) => self.written.blobs += 1,
            EntryValue::Inline(_) | EntryValue::Small(_) | EntryValue::Medium(_) => {}
        }
        Ok(())
    }

    /// Goes to the first cut above a hash.
    #[cold]
    fn skip_cuts(&mut self, hash: u64) {
        self.next_cut = self.cuts.find(|cut| *cut > hash);
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
            self.bytes = 0;
        }
        Ok(())
    }

    /// The value as the writer takes it: in the class it has.
    fn value<'c>(
        &mut self,
        key: &[u8],
        stored: StoredValue<'c>,
    ) -> Result<EntryValue<'c>, MergeError> {
        Ok(match stored {
            // Readers accept inline values of up to 255 bytes, writers write at most 8.
            StoredValue::InTable(EntryValue::Inline(value))
                if value.len() > MAX_INLINE_VALUE_LEN =>
            {
                EntryValue::Small(value)
            }
            StoredValue::InTable(value) => value,
            StoredValue::InBlob { number, catalog } => {
                EntryValue::Blob(self.target.copy_blob(catalog, number, key)?)
            }
        })
    }
}
