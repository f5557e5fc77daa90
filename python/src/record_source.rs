//! The records of a load: made by one thread, put by several.
//!
//! Records of Python are made by the thread that has called `load`, which holds the GIL while it
//! asks Python for them; those of Arrow by a thread that does not. Both send them in chunks to
//! threads that put them into the loader. The position of a record in the input decides which of
//! two records of a key is the later one, so it does not matter which thread puts it.

use std::borrow::Cow;
use std::mem;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use arrow_schema::Schema;
use pyo3::exceptions::{PyImportError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyIterator, PyMapping, PyString, PyTuple};
use sst_format::monitor::{Phase, Progress};
use sst_writer::bulk::BulkHandle;

use crate::arrow_batches::ArrowBatches;
use crate::blocking::Observer;
use crate::bytes_of::bytes_of;
use crate::columns::{Column, Scratch};
use crate::errors::Error;
use crate::fork::Epoch;

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
    Arrow { batches: ArrowBatches, key: usize, value: usize },
    Python { iterator: Py<PyIterator>, fields: Option<(Py<PyAny>, Py<PyAny>)> },
}

impl RecordSource {
    pub(crate) fn new(
        data: &Bound<'_, PyAny>,
        key: Option<&Bound<'_, PyAny>>,
        value: Option<&Bound<'_, PyAny>>,
        nulls: Nulls,
    ) -> Result<Self, Error> {
        let frames = data.py().import("sst_files._frames")?;
        let frame = frames.getattr("of_pandas")?.call1((data, key, value))?;
        let records = if !frame.is_none() {
            Self::pandas(&frame, &frames.getattr("pairs")?)?
        } else if let Some(batches) = ArrowBatches::of(data)? {
            Self::arrow(batches, key, value)?
        } else {
            Self::python(data, key, value)?
        };
        Ok(Self { records, nulls })
    }

    /// The records of a frame of pandas with two columns. pandas needs pyarrow to give batches, and
    /// that takes no column with objects of several types.
    fn pandas(frame: &Bound<'_, PyAny>, pairs: &Bound<'_, PyAny>) -> Result<Records, Error> {
        let py = frame.py();
        match ArrowBatches::of(frame) {
            Ok(Some(batches)) => return Ok(Records::Arrow { batches, key: 0, value: 1 }),
            Ok(None) => {}
            Err(Error::Python(error))
                if error.is_instance_of::<PyImportError>(py)
                    || error.is_instance_of::<PyTypeError>(py)
                    || error.is_instance_of::<PyValueError>(py) => {}
            Err(error) => return Err(error),
        }
        let iterator = pairs.call1((frame,))?.try_iter()?.unbind();
        Ok(Records::Python { iterator, fields: None })
    }

    fn arrow(
        batches: ArrowBatches,
        key: Option<&Bound<'_, PyAny>>,
        value: Option<&Bound<'_, PyAny>>,
    ) -> Result<Records, Error> {
        let schema = batches.schema();
        let (key, value) = match (key, value) {
            (Some(key), Some(value)) => (column(schema, key)?, column(schema, value)?),
            (None, None) if schema.fields().len() == 2 => (0, 1),
            (Some(key), None) if schema.fields().len() == 2 => {
                let key = column(schema, key)?;
                (key, 1 - key)
            }
            (None, Some(value)) if schema.fields().len() == 2 => {
                let value = column(schema, value)?;
                (1 - value, value)
            }
            _ => {
                let names = names(schema);
                return Err(Error::usage(format!(
                    "choose a key and a value of the columns {names}"
                )));
            }
        };
        Ok(Records::Arrow { batches, key, value })
    }

    fn python(
        data: &Bound<'_, PyAny>,
        key: Option<&Bound<'_, PyAny>>,
        value: Option<&Bound<'_, PyAny>>,
    ) -> Result<Records, Error> {
        refuse_one_object(data)?;
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

/// Refuses what are no records, though some of it can be iterated: a text, which most often is the
/// path of a file, bytes, and anything that holds nothing.
fn refuse_one_object(data: &Bound<'_, PyAny>) -> Result<(), Error> {
    let is_text = data.is_instance_of::<PyString>() || data.is_instance_of::<PyBytes>();
    if is_text || data.hasattr("__fspath__")? {
        return Err(Error::Type(
            "the data is a text or a path: load takes records, so read a file first, for example \
             with pandas.read_csv"
                .to_owned(),
        ));
    }
    if !data.hasattr("__iter__")? && !data.hasattr("__getitem__")? {
        let name = data.get_type().name()?;
        return Err(Error::Type(format!("the data is neither a table nor records, but {name}")));
    }
    Ok(())
}

/// The place of a column with a name or a number.
fn column(schema: &Schema, chosen: &Bound<'_, PyAny>) -> Result<usize, Error> {
    // To Python, `True` is the number 1.
    if !chosen.is_instance_of::<PyBool>()
        && let Ok(number) = chosen.extract::<usize>()
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
                // A record that is not in its bytes would count as one with a null.
                let broken = || Error::Internal("the records of a chunk lie in its bytes");
                let part = |range: Range<usize>| packed.bytes.get(range).ok_or_else(broken);
                for (key_end, value_end) in &packed.ends {
                    let key = part(start..*key_end)?;
                    let value = value_end.map(|end| part(*key_end..end)).transpose()?;
                    put(Some(key), value)?;
                    // The next record starts where this one ends; a null has no bytes.
                    start = value_end.unwrap_or(*key_end);
                }
            }
        }
        Ok(())
    }
}

/// The threads that put records, as the thread sees them that makes the records.
struct Feed {
    sender: SyncSender<Chunk>,
    /// Whether a thread has failed, so that no more records are wanted.
    has_failed: Arc<AtomicBool>,
    epoch: Epoch,
}

impl Feed {
    fn send(&self, chunk: Chunk) -> Result<(), Error> {
        // Code of Python that makes records may fork. The child has none of the threads.
        if !self.epoch.is_now() {
            return Err(Error::Forked("load"));
        }
        if self.has_failed.load(Ordering::Relaxed) {
            return Err(Error::Stopped);
        }
        self.sender.send(chunk).map_err(|_| Error::Stopped)
    }
}

/// Puts all records of a source, with some threads, each through a handle of its own of `load`.
pub(crate) fn put_all(
    py: Python<'_>,
    load: &(dyn Fn() -> BulkHandle + Sync),
    source: RecordSource,
    threads: usize,
    observer: &Observer,
) -> Result<(), Error> {
    let RecordSource { records, nulls } = source;
    match records {
        Records::Arrow { mut batches, key, value } => observer.run(py, |monitor| {
            with_threads(load, threads, nulls, |feed| {
                let mut first = 0;
                while let Some(columns) = batches.next_columns(key, value)? {
                    let (len, columns) = (columns.0.len(), Arc::new(columns));
                    let mut start = 0;
                    while start < len {
                        let end = len.min(start + CHUNK_ROWS);
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
            with_threads(load, threads, nulls, |feed| {
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
/// `make`, which the thread has stopped. In a child that `make` has forked the threads do not
/// exist: nothing is waited for, and nothing is dropped whose lock one of them may have held.
fn with_threads(
    load: &(dyn Fn() -> BulkHandle + Sync),
    threads: usize,
    nulls: Nulls,
    make: impl FnOnce(&Feed) -> Result<(), Error>,
) -> Result<(), Error> {
    let has_failed = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = mpsc::sync_channel(2 * threads);
    let receiver = Arc::new(Mutex::new(receiver));
    let feed = Feed { sender, has_failed: Arc::clone(&has_failed), epoch: Epoch::now() };
    let mut workers = Vec::with_capacity(threads);
    for _ in 0..threads {
        let (handle, receiver) = (load(), Arc::clone(&receiver));
        let has_failed = Arc::clone(&has_failed);
        let work = move || {
            let put = put_chunks(handle, &receiver, nulls, &has_failed);
            if put.is_err() {
                has_failed.store(true, Ordering::Relaxed);
            }
            put
        };
        match thread::Builder::new().spawn(work) {
            Ok(worker) => workers.push(worker),
            Err(error) if workers.is_empty() => return Err(PyErr::from(error).into()),
            // The threads that the system has granted do the work of all.
            Err(_) => break,
        }
    }
    let made = make(&feed);
    if !feed.epoch.is_now() {
        mem::forget((feed, workers, receiver));
        return made.and(Err(Error::Forked("load")));
    }
    if made.is_err() {
        has_failed.store(true, Ordering::Relaxed);
    }
    drop(feed);
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
        packed.bytes.extend_from_slice(&bytes_of_part(&key, "key", position)?);
        let key_end = packed.bytes.len();
        let value_end = match value.is_none() {
            true => None,
            false => {
                packed.bytes.extend_from_slice(&bytes_of_part(&value, "value", position)?);
                Some(packed.bytes.len())
            }
        };
        packed.ends.push((key_end, value_end));
    }
    Ok(packed)
}

/// The bytes of a part of a record, which an error names.
fn bytes_of_part<'a>(
    object: &'a Bound<'_, PyAny>,
    part: &str,
    position: u64,
) -> Result<Cow<'a, [u8]>, Error> {
    bytes_of(object).map_err(|error| match error {
        Error::Type(text) => Error::Type(format!("the {part} of record {position} is {text}")),
        error => error,
    })
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
