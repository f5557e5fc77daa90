//! The division of sorted entries into tables.

use sst_format::BlobNumber;
use sst_format::file_name::FileKind;

use super::budget::{BUCKET_BITS, Totals};
use super::bulk_error::BulkError;
use super::bulk_options::BulkOptions;
use super::duplicates::Duplicates;
use super::load_file::{LoadFile, LoadedFile};
use super::record::{DetachedValue, Record, RecordValue};
use super::refused::{RefusedRecord, RefusedRecords};
use super::shared::Shared;
use super::unnumbered_blobs::BlobNumbers;
use crate::invariant::OrBroken;
use crate::table::{Finished, HashedEntry};
use crate::{EntryValue, StreamingSstWriter, WriteError, WriterOptions};

/// Highest number of medium values of a table, each of which takes a block. This is half of the
/// blocks that a table can have, so that there is room for a run of equal hashes, which cannot be
/// cut.
const MAX_MEDIUM_VALUES: u64 = 1 << 15;
/// Fewest bytes of keys and values of a table that is made for a thread of its own to write it.
const MIN_TABLE_BYTES: u64 = 16 << 20;
/// Highest number of first bits of the hash that give the range.
const MAX_RANGE_BITS: u32 = 24;

/// The plan of where tables end. It follows from the totals of the records and the options alone.
///
/// The space of hashes is divided into 2ⁿ ranges of equal length. The plan takes the smallest n for
/// which, with evenly spread hashes, each range has at most seven eighths of the entries and bytes
/// that a table may hold, or a higher one if the options ask for more tables. Each range starts a
/// table; a range that has more than a table may hold is cut further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TablePlan {
    range_bits: u32,
    max_entries: u64,
    max_bytes: u64,
}

impl TablePlan {
    pub(super) fn new(totals: Totals, options: &BulkOptions) -> Self {
        let (max_entries, max_bytes) =
            (options.max_table_entries.max(1), options.max_table_bytes.max(1));
        let fits = |bits: u32| {
            let most = |max: u64| (u128::from(max) * 7 / 8) << bits;
            u128::from(totals.records) <= most(max_entries)
                && u128::from(totals.bytes) <= most(max_bytes)
        };
        let range_bits = (0..MAX_RANGE_BITS).find(|&bits| fits(bits)).unwrap_or(MAX_RANGE_BITS);
        // Of 2ⁿ tables, as many as are asked for and as have enough bytes each.
        let wanted = (options.min_tables as u64).min(totals.bytes / MIN_TABLE_BYTES);
        let wanted_bits = wanted.max(1).ilog2();
        Self { range_bits: range_bits.max(wanted_bits.min(BUCKET_BITS)), max_entries, max_bytes }
    }

    /// Number of shares that can be written in parallel. Each share is a whole number of tables and
    /// of buckets.
    pub(super) const fn shares(&self) -> usize {
        let bits = if self.range_bits < BUCKET_BITS { self.range_bits } else { BUCKET_BITS };
        1 << bits
    }

    /// Expected number of entries of a table, if hashes are spread evenly.
    pub(super) fn table_entries(&self, totals: Totals) -> u64 {
        (totals.records >> self.range_bits).min(self.max_entries)
    }

    fn range_of(&self, hash: u64) -> u64 {
        // With 0 bits there is one range, number 0.
        hash.checked_shr(u64::BITS - self.range_bits).unwrap_or(0)
    }
}

/// Writes the entries of one share into one table after the other.
pub(super) struct TableSequence<'a> {
    shared: &'a Shared,
    plan: TablePlan,
    numbers: &'a BlobNumbers,
    options: WriterOptions,
    open: Option<UnfinishedTable>,
    last_hash: Option<u64>,
    is_stopped: bool,
    detached: Vec<u8>,
    pub(super) written: WrittenTables,
    pub(super) refused: RefusedRecords,
}

/// The table being written.
struct UnfinishedTable {
    writer: StreamingSstWriter<LoadFile>,
    range: u64,
    bytes: u64,
    medium_values: u64,
}

/// Tables that are written and durable, in the order of their hashes, and their figures.
#[derive(Debug, Default)]
pub(super) struct WrittenTables {
    pub(super) tables: Vec<Finished<LoadedFile>>,
    pub(super) entries: u64,
    pub(super) tombstones: u64,
}

impl<'a> TableSequence<'a> {
    pub(super) fn new(shared: &'a Shared, plan: TablePlan, numbers: &'a BlobNumbers) -> Self {
        let multi_value = shared.options.duplicates == Duplicates::Keep;
        Self {
            shared,
            plan,
            numbers,
            options: shared.options.writer.clone().multi_value(multi_value),
            open: None,
            last_hash: None,
            is_stopped: false,
            detached: Vec::new(),
            written: WrittenTables::default(),
            refused: RefusedRecords::default(),
        }
    }

    /// Stops writing: the load has failed, and further records only serve to find the first error.
    pub(super) fn stop_writing(&mut self) {
        self.is_stopped = true;
        self.open = None;
    }

    /// Adds the entry of a record. Entries must be added in ascending order.
    #[inline]
    pub(super) fn add(&mut self, hash: u64, record: &Record<'_>) -> Result<(), BulkError> {
        if self.is_stopped {
            return Ok(());
        }
        let value = match record.value {
            RecordValue::Detached(value) => return self.add_detached(hash, record, value),
            RecordValue::Bytes(bytes) => {
                // The writer refuses a value that is too long for a table.
                EntryValue::for_bytes(bytes).unwrap_or(EntryValue::Medium(bytes))
            }
            RecordValue::Blob(ticket) => EntryValue::Blob(self.blob(ticket)?),
            RecordValue::Deleted => EntryValue::Deleted,
        };
        self.add_entry(&HashedEntry { hash, key: record.key, value }, record)
    }

    #[cold]
    fn add_detached(
        &mut self,
        hash: u64,
        record: &Record<'_>,
        value: DetachedValue,
    ) -> Result<(), BulkError> {
        let mut bytes = std::mem::take(&mut self.detached);
        self.shared.store.file(value.file)?.read(value.location, &mut bytes)?;
        // As above, the writer refuses a value that is too long.
        let value = EntryValue::for_bytes(&bytes).unwrap_or(EntryValue::Medium(&bytes));
        let result = self.add_entry(&HashedEntry { hash, key: record.key, value }, record);
        self.detached = bytes;
        result
    }

    fn blob(&self, ticket: u64) -> Result<BlobNumber, BulkError> {
        Ok(self.numbers.get(&ticket).copied().or_broken("each blob has a number")?)
    }

    #[inline]
    fn add_entry(&mut self, entry: &HashedEntry<'_>, record: &Record<'_>) -> Result<(), BulkError> {
        let is_run = self.last_hash == Some(entry.hash);
        let len = entry_len(entry);
        if !is_run && self.open.as_ref().is_some_and(|open| self.is_full(open, entry.hash, len)) {
            self.finish_table()?;
        }
        let error = match self.add_to_open(entry, len) {
            Ok(()) => return Ok(()),
            Err(BulkError::Write(error)) => error,
            Err(error) => return Err(error),
        };
        if error.is_capacity() && !is_run && self.open_entries() > 0 {
            self.finish_table()?;
            return self.add_to_open(entry, len);
        }
        if is_run && error.is_capacity() || matches!(error, WriteError::RunTooLong { .. }) {
            // The run goes on, because a shorter key or a tombstone may still fit.
            self.refused
                .add(RefusedRecord { input_position: record.input_position, source: error });
            return Ok(());
        }
        Err(at_record(error, record))
    }

    #[inline]
    fn add_to_open(&mut self, entry: &HashedEntry<'_>, len: u64) -> Result<(), BulkError> {
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let file = self.shared.create(FileKind::Sst)?;
                self.open.insert(UnfinishedTable {
                    writer: StreamingSstWriter::new(file, self.options.clone()),
                    range: self.plan.range_of(entry.hash),
                    bytes: 0,
                    medium_values: 0,
                })
            }
        };
        open.writer.add(entry)?;
        open.bytes += len;
        open.medium_values += u64::from(matches!(entry.value, EntryValue::Medium(_)));
        self.last_hash = Some(entry.hash);
        self.written.entries += 1;
        self.written.tombstones += u64::from(entry.value == EntryValue::Deleted);
        Ok(())
    }

    #[inline]
    fn is_full(&self, open: &UnfinishedTable, hash: u64, len: u64) -> bool {
        self.plan.range_of(hash) != open.range
            || open.writer.entry_count() >= self.plan.max_entries
            || open.bytes.saturating_add(len) > self.plan.max_bytes
            || open.medium_values >= MAX_MEDIUM_VALUES
            || open.writer.is_full(u64::MAX, u64::MAX)
    }

    fn open_entries(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.writer.entry_count())
    }

    /// Finishes the table being written, if there is one.
    pub(super) fn finish_table(&mut self) -> Result<(), BulkError> {
        if let Some(open) = self.open.take() {
            self.shared.check()?;
            self.written.tables.push(open.writer.finish()?);
        }
        Ok(())
    }
}

/// Adds the input position of the record to an error of writing, if the error is about the record.
fn at_record(error: WriteError, record: &Record<'_>) -> BulkError {
    match error {
        WriteError::Io { .. }
        | WriteError::Exists { .. }
        | WriteError::Filter(_)
        | WriteError::Poisoned
        | WriteError::Internal(_) => error.into(),
        source => BulkError::Entry { input_position: record.input_position, source },
    }
}

/// Length of an entry's key and value in bytes. A blob counts as 0.
fn entry_len(entry: &HashedEntry<'_>) -> u64 {
    let value_len = match entry.value {
        EntryValue::Inline(bytes) | EntryValue::Small(bytes) | EntryValue::Medium(bytes) => {
            bytes.len()
        }
        // A load takes no value in stored form.
        EntryValue::MediumStored { block, .. } => block.len(),
        EntryValue::Blob(_) | EntryValue::Deleted => 0,
    };
    (entry.key.len() + value_len) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(records: u64, bytes: u64, max_entries: u64, max_bytes: u64) -> TablePlan {
        let options =
            BulkOptions::default().max_table_entries(max_entries).max_table_bytes(max_bytes);
        TablePlan::new(Totals { records, bytes }, &options)
    }

    #[test]
    fn there_are_as_few_ranges_as_will_do() {
        for (records, bytes, bits) in
            [(0, 0, 0), (875, 1000, 0), (876, 1000, 1), (1, 17_500, 1), (1, 17_501, 2)]
        {
            assert_eq!(plan(records, bytes, 1000, 10_000).range_bits, bits, "{records} {bytes}");
        }
        assert_eq!(plan(u64::MAX, u64::MAX, 0, 0).range_bits, MAX_RANGE_BITS);
        assert_eq!(plan(u64::MAX, 0, 1, 1).shares(), 256);
        assert_eq!(plan(1 << 20, 0, 1 << 19, 1).shares(), 4);
    }

    #[test]
    fn more_tables_are_made_if_each_has_enough_bytes() {
        for (bytes, min_tables, tables) in [
            (1 << 30, 0, 1),
            (1 << 30, 1, 1),
            (1 << 30, 3, 2),
            (1 << 30, 4, 4),
            ((32 << 20) - 1, 8, 1),
            (32 << 20, 8, 2),
            (116_000_000, 8, 4),
            (u64::MAX, usize::MAX, 256),
        ] {
            let options = BulkOptions::default().max_table_bytes(u64::MAX).min_tables(min_tables);
            let plan = TablePlan::new(Totals { records: 1, bytes }, &options);
            assert_eq!(plan.shares(), tables, "{bytes} bytes, {min_tables} tables");
        }
    }

    #[test]
    fn ranges_are_the_first_bits() {
        let plan = plan(4000, 0, 1000, 1);
        assert_eq!(plan.range_bits, 3);
        assert_eq!((plan.range_of(0), plan.range_of(u64::MAX), plan.range_of(1 << 61)), (0, 7, 1));
        assert_eq!(TablePlan { range_bits: 0, ..plan }.range_of(u64::MAX), 0);
    }
}
