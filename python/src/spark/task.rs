//! A task of a job: writes the rows of one range of hashes.

use arrow_array::RecordBatchReader;
use arrow_array::ffi_stream::RecordBatchStreamReader;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sst_format::monitor::{Monitor, Phase, Progress};
use sst_object_store::Place;
use sst_writer::WriterOptions;
use sst_writer::publish::JobId;
use sst_writer::table::{EntryValue, HashedEntry};

use super::sorted_rows::{Repeated, SortedRows};
use super::task_tables::{TaskTable, TaskTables, with_runtime};
use crate::blocking::Observer;
use crate::columns::{Column, Scratch};
use crate::errors::Error;
use crate::load::writer_options;
use crate::memory::import_batches;
use crate::place::{path_of, place_of};
use crate::record_source::Nulls;

/// Entries and bytes after which a table ends, as for a load.
const MAX_TABLE_ENTRIES: u64 = 1 << 22;
const MAX_TABLE_BYTES: u64 = 256 << 20;

/// Longest value that is kept in a table; a longer one becomes a blob.
const MAX_TABLE_VALUE: usize = sst_format::limits::MAX_MEDIUM_VALUE_LEN;

/// What a task is asked to do.
struct TaskPlan {
    place: Place,
    job: JobId,
    family: u32,
    ranges: u32,
    repeated: Repeated,
    nulls: Nulls,
    options: WriterOptions,
    certify: bool,
}

/// What a task has done.
#[pyclass(frozen, module = "sst_files._native", get_all)]
pub(crate) struct SparkTaskReport {
    /// Its description for the driver.
    report: Py<PyBytes>,
    /// The number of its range; `None` if it had no row.
    range: Option<u32>,
    /// Rows that were read.
    rows: u64,
    /// Entries that were written.
    entries: u64,
    /// How many of these delete their key.
    tombstones: u64,
    /// Rows that were left out: in favour of a later one of their key, or for a null.
    skipped: u64,
    /// Tables.
    tables: u64,
    /// Bytes of these.
    bytes: u64,
}

/// Writes a stream of batches with the columns `key` and `value`, prepared as one of `ranges`
/// ranges of hashes, into the place `path` under numbers that it claims for job `job`. Nothing is
/// visible before `spark_commit` publishes what this returns; nothing stays after an error.
///
/// Raises `EntryError` for a row that is out of order, of another range, or whose key is null;
/// `DuplicateKeyError`; `UsageError`.
#[pyfunction]
#[pyo3(signature = (path, batches, *, job, ranges, family = 0, duplicates = "error",
    nulls = "error", compression = "lz4", certify = false))]
#[expect(clippy::too_many_arguments, reason = "they are the keywords of a function of Python")]
pub(crate) fn spark_write_task(
    py: Python<'_>,
    path: &Bound<'_, PyAny>,
    batches: &Bound<'_, PyAny>,
    job: u32,
    ranges: u32,
    family: u32,
    duplicates: &str,
    nulls: &str,
    compression: &str,
    certify: bool,
) -> Result<SparkTaskReport, Error> {
    let plan = TaskPlan {
        place: place_of(&path_of(path)?)?,
        job: JobId(job),
        family,
        ranges,
        repeated: Repeated::of(duplicates)?,
        nulls: Nulls::of(nulls)?,
        options: writer_options(compression)?,
        certify,
    };
    if plan.repeated == Repeated::Kept && plan.nulls == Nulls::Delete {
        let text =
            "nulls=\"delete\" does not go with duplicates=\"keep\": a tombstone among values";
        return Err(Error::usage(format!("{text} says nothing")));
    }
    let batches = import_batches(batches)?;
    let observer = Observer::new(None)?;
    let written = observer.run(py, move |monitor| {
        let monitor = monitor.clone();
        with_runtime(move |runtime| {
            let TaskPlan { place, job, family, certify, .. } = &plan;
            let tables = TaskTables::open(place, *job, *family, *certify, runtime)?;
            let mut task = Task::new(tables, &plan);
            match task.write_all(batches, &monitor) {
                Ok(()) => task.finish(&monitor),
                Err(error) => {
                    task.discard();
                    Err(error)
                }
            }
        })
    })?;
    let Written { report, range, rows, entries, tombstones, skipped, tables, bytes } = written;
    let report = PyBytes::new(py, &report).unbind();
    Ok(SparkTaskReport { report, range, rows, entries, tombstones, skipped, tables, bytes })
}

struct Written {
    report: Vec<u8>,
    range: Option<u32>,
    rows: u64,
    entries: u64,
    tombstones: u64,
    skipped: u64,
    tables: u64,
    bytes: u64,
}

/// A row that is written once the next one is known to be of another key.
#[derive(Default)]
struct HeldRow {
    hash: u64,
    key: Vec<u8>,
    /// `None` for a tombstone.
    value: Option<Vec<u8>>,
    is_held: bool,
}

/// A task at work.
struct Task<'p> {
    plan: &'p TaskPlan,
    // Before the tables, whose drop removes files.
    table: Option<TaskTable>,
    tables: TaskTables,
    rows: SortedRows,
    held: HeldRow,
    /// Hash of the last entry.
    last_hash: u64,
    entries: u64,
    tombstones: u64,
    skipped: u64,
}

impl<'p> Task<'p> {
    fn new(tables: TaskTables, plan: &'p TaskPlan) -> Self {
        let rows = SortedRows::new(plan.ranges);
        let (held, last_hash) = (HeldRow::default(), 0);
        let (entries, tombstones, skipped) = (0, 0, 0);
        Self { plan, table: None, tables, rows, held, last_hash, entries, tombstones, skipped }
    }

    fn write_all(
        &mut self,
        batches: RecordBatchStreamReader,
        monitor: &Monitor,
    ) -> Result<(), Error> {
        let schema = batches.schema();
        let place = |name: &str| {
            let missing = || Error::usage(format!("there is no column {name:?} in the rows"));
            schema.column_with_name(name).map(|(place, _)| place).ok_or_else(missing)
        };
        let (key, value) = (place("key")?, place("value")?);
        for batch in batches {
            let batch = batch?;
            let column = |place: usize, name| match batch.columns().get(place) {
                Some(column) => Column::new(column, name),
                None => Err(Error::Internal("a batch has the columns of its schema")),
            };
            let (keys, values) = (column(key, "key")?, column(value, "value")?);
            let (mut of_key, mut of_value) = (Scratch::default(), Scratch::default());
            for row in 0..batch.num_rows() {
                self.write(keys.get(row, &mut of_key), values.get(row, &mut of_value))?;
            }
            let progress = Progress::new(Phase::Write).entries(self.rows.rows());
            monitor.step(progress).map_err(|_| Error::Stopped)?;
        }
        self.write_held()
    }

    /// Writes a row.
    fn write(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), Error> {
        let position = self.rows.rows();
        let sorted = self.rows.next(key)?;
        // `SortedRows` refuses nulls.
        let key = key.ok_or(Error::Internal("a null is no sorted key"))?;
        if value.is_none() {
            match self.plan.nulls {
                Nulls::Delete => {}
                Nulls::Skip => {
                    self.skipped += 1;
                    return Ok(());
                }
                Nulls::Error => {
                    return Err(Error::Entry { position, reason: "its value is null" });
                }
            }
        }
        if self.plan.repeated != Repeated::LastCounts {
            return self.add(sorted.hash, key, value);
        }
        if sorted.repeats && self.held.is_held {
            self.skipped += 1;
        } else {
            self.write_held()?;
            self.held.hash = sorted.hash;
            self.held.key.clear();
            self.held.key.extend_from_slice(key);
            self.held.is_held = true;
        }
        match value {
            None => self.held.value = None,
            Some(value) => {
                let held = self.held.value.get_or_insert_default();
                held.clear();
                held.extend_from_slice(value);
            }
        }
        Ok(())
    }

    /// Writes the row that is held back.
    fn write_held(&mut self) -> Result<(), Error> {
        let held = std::mem::take(&mut self.held);
        if held.is_held {
            self.add(held.hash, &held.key, held.value.as_deref())?;
        }
        // Its memory is used again.
        self.held = HeldRow { is_held: false, ..held };
        Ok(())
    }

    /// Adds an entry to the table, after which a new one may start.
    fn add(&mut self, hash: u64, key: &[u8], value: Option<&[u8]>) -> Result<(), Error> {
        // A table ends between two hashes only, so that the ranges of tables do not overlap.
        let is_full = |table: &TaskTable| table.is_full(MAX_TABLE_ENTRIES, MAX_TABLE_BYTES);
        if self.last_hash != hash && self.table.as_ref().is_some_and(is_full) {
            self.end_table()?;
        }
        let value = match value {
            None => EntryValue::Deleted,
            Some(value) if value.len() > MAX_TABLE_VALUE => {
                EntryValue::Blob(self.tables.create_blob(value)?)
            }
            Some(value) => EntryValue::for_bytes(value)
                .map_err(|_| Error::Internal("a longer value becomes a blob"))?,
        };
        self.tombstones += u64::from(matches!(value, EntryValue::Deleted));
        let table = match &mut self.table {
            Some(table) => table,
            None => {
                let keeps = self.plan.repeated == Repeated::Kept;
                let options = self.plan.options.clone().multi_value(keeps);
                self.table.insert(self.tables.create_table(options)?)
            }
        };
        table.add(&HashedEntry { hash, key, value })?;
        self.last_hash = hash;
        self.entries += 1;
        Ok(())
    }

    fn end_table(&mut self) -> Result<(), Error> {
        match self.table.take() {
            Some(table) => self.tables.end_table(table),
            // No row has come since the last table ended.
            None => Ok(()),
        }
    }

    fn finish(mut self, monitor: &Monitor) -> Result<Written, Error> {
        if let Err(error) = self.end_table() {
            self.discard();
            return Err(error);
        }
        let Self { tables, rows, entries, tombstones, skipped, .. } = self;
        let report = tables.finish(monitor)?;
        Ok(Written {
            range: rows.range_number(),
            rows: rows.rows(),
            entries,
            tombstones,
            skipped,
            tables: report.tables.len() as u64,
            bytes: report.tables.iter().map(|table| table.meta.file_size).sum(),
            report: report.to_bytes()?,
        })
    }

    /// Removes what was written so far.
    fn discard(self) {
        let Self { table, tables, .. } = self;
        drop(table);
        tables.discard();
    }
}
