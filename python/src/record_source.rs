//! The records of a load: made by one thread, put by several.
//!
//! Records of Python are made by the thread that has called `load`, which holds the GIL while it
//! asks Python for them; those of Arrow by a thread that does not. Both send them in chunks to
//! threads that put them into the loader. The position of a record in the input decides which of
//! two records of a key is the later one, so it does not matter which thread puts it.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use arrow_array::RecordBatchReader;
use arrow_array::ffi_stream::RecordBatchStreamReader;
use arrow_schema::Schema;
use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyIterator, PyMapping, PyString, PyTuple};
use sst_format::monitor::{Phase, Progress};
use sst_writer::BulkLoader;
use sst_writer::bulk::BulkHandle;

use crate::blocking::Observer;
use crate::bytes_of::bytes_of;
use crate::columns::{Column, Scratch};
use crate::errors::Error;
use crate::memory::import_batches;

/// Rows of Arrow in a chunk.
const CHUNK_ROWS: usize = 1 << 14;
/// Records of Python in a chunk, and their bytes, at most.
const CHUNK_RECORDS: usize = 4096;
const CHUNK_BYTES: usize = 1 << 20;

/// What a null as a value does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nulls {
    Error,
    Skip,
    Delete,
}

impl Nulls {
    pub(crate) fn of(text: &str) -> Result<Self, Error> {
        match text {
            "error" => Ok(Self::Error),
            "skip" => Ok(Self::Skip),
            "delete" => Ok(Self::Delete),
            _ => {
                let text = format!("nulls={text:?} is none of \"error\", \"skip\", \"delete\"");
                Err(Error::usage(text))
            }
        }
    }
}

/// Where records come from.
pub(crate) struct RecordSource {
    records: Records,
    nulls: Nulls,
}

enum Records {
    Arrow { batches: RecordBatchStreamReader, key: usize, value: usize },
    Python { iterator: Py<PyIterator>, fields: Option<(Py<PyAny>, Py<PyAny>)> },
}

impl RecordSource {
    pub(crate) fn new(
        data: &Bound<'_, PyAny>,
        key: Option<&Bound<'_, PyAny>>,
        value: Option<&Bound<'_, PyAny>>,
        nulls: Nulls,
    ) -> Result<Self, Error> {
        let records = match Self::arrow(data, key, value)? {
            Some(records) => records,
            None => Self::python(data, key, value)?,
        };
        Ok(Self { records, nulls })
    }

    fn arrow(
        data: &Bound<'_, PyAny>,
        key: Option<&Bound<'_, PyAny>>,
        value: Option<&Bound<'_, PyAny>>,
    ) -> Result<Option<Records>, Error> {
        if !data.hasattr("__arrow_c_stream__")? {
            return Ok(None);
        }
        let batches = match import_batches(data) {
            Ok(batches) => batches,
            // pandas has the method, and needs pyarrow for it.
            Err(Error::Python(error)) if error.is_instance_of::<PyImportError>(data.py()) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let schema = batches.schema();
        let (key, value) = match (key, value) {
            (Some(key), Some(value)) => (column(&schema, key)?, column(&schema, value)?),
            (None, None) if schema.fields().len() == 2 => (0, 1),
            (Some(key), None) if schema.fields().len() == 2 => {
                let key = column(&schema, key)?;
                (key, 1 - key)
            }
            (None, Some(value)) if schema.fields().len() == 2 => {
                let value = column(&schema, value)?;
                (1 - value, value)
            }
            _ => {
                let names = names(&schema);
                return Err(Error::usage(format!(
                    "choose a key and a value of the columns {names}"
                )));
            }
        };
        Ok(Some(Records::Arrow { batches, key, value }))
    }

    fn python(
        data: &Bound<'_, PyAny>,
        key: Option<&Bound<'_, PyAny>>,
        value: Option<&Bound<'_, PyAny>>,
    ) -> Result<Records, Error> {
        let py = data.py();
        // A frame of pandas without pyarrow: its columns.
        if data.hasattr("columns")? && data.hasattr("itertuples")? {
            let pairs =
                py.import("sst_files._frames")?.getattr("pairs")?.call1((data, key, value))?;
            return Ok(Records::Python { iterator: pairs.try_iter()?.unbind(), fields: None });
        }
        let fields = match (key, value) {
            (None, None) => None,
            (Some(key), Some(value)) => Some((key.clone().unbind(), value.clone().unbind())),
            _ => {
                return Err(Error::usage("name both the key and the value of records, or neither"));
            }
        };
        let iterator = match data.cast::<PyMapping>() {
            Ok(_) if fields.is_some() => {
                return Err(Error::usage("the records of a mapping have no names"));
            }
            Ok(mapping) => mapping.as_any().call_method0("items")?.try_iter()?,
            Err(_) => data.try_iter()?,
        };
        Ok(Records::Python { iterator: iterator.unbind(), fields })
    }
}

/// The place of a column with a name or a number.
fn column(schema: &Schema, chosen: &Bound<'_, PyAny>) -> Result<usize, Error> {
    if let Ok(number) = chosen.extract::<usize>()
        && number < schema.fields().len()
    {
        return Ok(number);
    }
    let name: String = chosen.str()?.extract()?;
    let found = schema.fields().iter().position(|field| *field.name() == name);
    let missing = || Error::usage(format!("there is no column {name:?} in {}", names(schema)));
    found.ok_or_else(missing)
}

fn names(schema: &Schema) -> String {
    let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    names.join(", ")
}

/// Some records, and the position of the first.
struct Chunk {
    first: u64,
    rows: Rows,
}

enum Rows {
    Arrow { columns: Arc<(Column, Column)>, rows: Range<usize> },
    Python(Packed),
}

/// Records of Python, copied one after the other.
#[derive(Default)]
struct Packed {
    bytes: Vec<u8>,
    /// Where the key of each record ends, and its value, unless that is null.
    ends: Vec<(usize, Option<usize>)>,
}

impl Chunk {
    fn put(&self, handle: &mut BulkHandle, nulls: Nulls) -> Result<(), Error> {
        let mut position = self.first;
        let mut put = |key: Option<&[u8]>, value: Option<&[u8]>| -> Result<(), Error> {
            let Some(key) = key else {
                return Err(Error::Entry { position, reason: "its key is null" });
            };
            match (value, nulls) {
                (Some(value), _) => handle.put_at(position, key, value)?,
                (None, Nulls::Delete) => handle.delete_at(position, key)?,
                (None, Nulls::Skip) => {}
                (None, Nulls::Error) => {
                    return Err(Error::Entry { position, reason: "its value is null" });
                }
            }
            position += 1;
            Ok(())
        };
        match &self.rows {
            Rows::Arrow { columns, rows } => {
                let (keys, values) = &**columns;
                let (mut of_key, mut of_value) = (Scratch::default(), Scratch::default());
                for row in rows.clone() {
                    put(keys.get(row, &mut of_key), values.get(row, &mut of_value))?;
                }
            }
            Rows::Python(packed) => {
                let mut start = 0;
                for (key_end, value_end) in &packed.ends {
                    let key = packed.bytes.get(start..*key_end);
                    let value = value_end.and_then(|end| packed.bytes.get(*key_end..end));
                    put(key, value)?;
                    start = value_end.unwrap_or(*key_end);
                }
            }
        }
        Ok(())
    }
}

/// The threads that put records, as the thread sees them that makes the records.
struct Feed<'a> {
    sender: SyncSender<Chunk>,
    /// Whether a thread has failed, so that no more records are wanted.
    has_failed: &'a AtomicBool,
}

impl Feed<'_> {
    fn send(&self, chunk: Chunk) -> Result<(), Error> {
        if self.has_failed.load(Ordering::Relaxed) {
            return Err(Error::Stopped);
        }
        self.sender.send(chunk).map_err(|_| Error::Stopped)
    }
}

/// Puts all records of a source, with some threads.
pub(crate) fn put_all(
    py: Python<'_>,
    loader: &BulkLoader<'_>,
    source: RecordSource,
    threads: usize,
    observer: &Observer,
) -> Result<(), Error> {
    let RecordSource { records, nulls } = source;
    match records {
        Records::Arrow { batches, key, value } => observer.run(py, |monitor| {
            with_threads(loader, threads, nulls, |feed| {
                let mut first = 0;
                for batch in batches {
                    let batch = batch?;
                    let column_of = |place: usize| match batch.columns().get(place) {
                        Some(column) => {
                            let schema = batch.schema_ref();
                            let name = schema.fields().get(place).map_or("", |it| it.name());
                            Column::new(column, name)
                        }
                        None => Err(Error::Internal("a batch has the columns of its schema")),
                    };
                    let columns = Arc::new((column_of(key)?, column_of(value)?));
                    let mut start = 0;
                    while start < batch.num_rows() {
                        let end = batch.num_rows().min(start + CHUNK_ROWS);
                        let (columns, rows) = (Arc::clone(&columns), start..end);
                        feed.send(Chunk { first, rows: Rows::Arrow { columns, rows } })?;
                        first += (end - start) as u64;
                        start = end;
                        let progress = Progress::new(Phase::Read).entries(first);
                        monitor.step(progress).map_err(|_| Error::Stopped)?;
                    }
                }
                Ok(())
            })
        }),
        Records::Python { iterator, fields } => py.detach(|| {
            with_threads(loader, threads, nulls, |feed| {
                let mut first = 0;
                loop {
                    let packed = Python::attach(|py| {
                        observer.monitor.report(Progress::new(Phase::Read).entries(first));
                        observer.poll(py)?;
                        pack(iterator.bind(py), fields.as_ref(), first)
                    })?;
                    let records = packed.ends.len() as u64;
                    if records == 0 {
                        return Ok(());
                    }
                    feed.send(Chunk { first, rows: Rows::Python(packed) })?;
                    first += records;
                }
            })
        }),
    }
}

/// Runs `make` with threads that put what it sends. The error of a thread counts more than that of
/// `make`, which the thread has stopped.
fn with_threads(
    loader: &BulkLoader<'_>,
    threads: usize,
    nulls: Nulls,
    make: impl FnOnce(&Feed<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let has_failed = AtomicBool::new(false);
    let (sender, receiver) = mpsc::sync_channel(2 * threads);
    let receiver = Mutex::new(receiver);
    thread::scope(|scope| {
        let (receiver, has_failed) = (&receiver, &has_failed);
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let handle = loader.handle(0);
                scope.spawn(move || {
                    let put = put_chunks(handle, receiver, nulls, has_failed);
                    if put.is_err() {
                        has_failed.store(true, Ordering::Relaxed);
                    }
                    put
                })
            })
            .collect();
        let made = make(&Feed { sender, has_failed });
        if made.is_err() {
            has_failed.store(true, Ordering::Relaxed);
        }
        let mut failed = Ok(());
        for worker in workers {
            let put = worker.join().map_err(|_| Error::Internal("no thread of a load panics"));
            match put.and_then(|put| put) {
                Err(Error::Stopped) | Ok(()) => {}
                Err(error) if failed.is_ok() => failed = Err(error),
                Err(_) => {}
            }
        }
        match (made, failed) {
            (Err(Error::Stopped) | Ok(()), Err(error)) => Err(error),
            (made, _) => made,
        }
    })
}

fn put_chunks(
    mut handle: BulkHandle,
    receiver: &Mutex<Receiver<Chunk>>,
    nulls: Nulls,
    has_failed: &AtomicBool,
) -> Result<(), Error> {
    loop {
        // A thread that panicked while it waited has taken nothing.
        let chunk = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(chunk) = chunk else { break };
        // The rest is taken, so that the thread that makes records never waits in vain.
        if !has_failed.load(Ordering::Relaxed)
            && let Err(error) = chunk.put(&mut handle, nulls)
        {
            has_failed.store(true, Ordering::Relaxed);
            drop(chunk);
            while receiver.lock().unwrap_or_else(PoisonError::into_inner).recv().is_ok() {}
            return Err(error);
        }
    }
    if has_failed.load(Ordering::Relaxed) {
        return Err(Error::Stopped);
    }
    Ok(handle.finish()?)
}

/// Asks Python for records until a chunk is full.
fn pack(
    iterator: &Bound<'_, PyIterator>,
    fields: Option<&(Py<PyAny>, Py<PyAny>)>,
    first: u64,
) -> Result<Packed, Error> {
    let py = iterator.py();
    let mut packed = Packed::default();
    let mut iterator = iterator.clone();
    while packed.ends.len() < CHUNK_RECORDS && packed.bytes.len() < CHUNK_BYTES {
        let Some(record) = iterator.next() else { break };
        let record = record?;
        let position = first + packed.ends.len() as u64;
        let (key, value) = match fields {
            Some((key, value)) => match record.cast::<PyDict>() {
                Ok(record) => (
                    record.get_item(key)?.ok_or_else(|| missing_field(py, key, position))?,
                    record.get_item(value)?.ok_or_else(|| missing_field(py, value, position))?,
                ),
                Err(_) => (record.get_item(key)?, record.get_item(value)?),
            },
            None => pair(&record, position)?,
        };
        if key.is_none() {
            return Err(Error::Entry { position, reason: "its key is null" });
        }
        packed.bytes.extend_from_slice(&bytes_of(&key)?);
        let key_end = packed.bytes.len();
        let value_end = match value.is_none() {
            true => None,
            false => {
                packed.bytes.extend_from_slice(&bytes_of(&value)?);
                Some(packed.bytes.len())
            }
        };
        packed.ends.push((key_end, value_end));
    }
    Ok(packed)
}

fn missing_field(py: Python<'_>, name: &Py<PyAny>, position: u64) -> Error {
    Error::usage(format!("record {position} has no {}", name.bind(py)))
}

type Pair<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// The key and value of a record that is a pair.
fn pair<'py>(record: &Bound<'py, PyAny>, position: u64) -> Result<Pair<'py>, Error> {
    if let Ok(tuple) = record.cast::<PyTuple>()
        && tuple.len() == 2
    {
        return Ok((tuple.get_item(0)?, tuple.get_item(1)?));
    }
    let not_a_pair = || {
        let text = "is no pair of key and value; name the two of a mapping with key= and value=";
        Error::usage(format!("record {position} {text}"))
    };
    let is_text = record.is_instance_of::<PyString>() || record.is_instance_of::<PyBytes>();
    if is_text || record.cast::<PyMapping>().is_ok() || record.try_iter().is_err() {
        return Err(not_a_pair());
    }
    // A list, a row of an array, a row of sqlite.
    let mut parts = record.try_iter()?;
    match (parts.next().transpose()?, parts.next().transpose()?, parts.next()) {
        (Some(key), Some(value), None) => Ok((key, value)),
        _ => Err(not_a_pair()),
    }
}
