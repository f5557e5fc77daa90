//! `Writer`: entries in the order of tables, straight into a commit.

use std::mem::ManuallyDrop;
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::PyTuple;
use sst_reader::hash_key;
use sst_writer::table::{EntryValue, HashedEntry};

use crate::blocking::Observer;
use crate::bytes_of::bytes_of;
use crate::errors::Error;
use crate::fork::Epoch;
use crate::load::writer_options;
use crate::place::path_of;
use crate::reports::PyCertificate;
use crate::target::{Mode, PublishPlan};
use crate::writer_output::WriterOutput;

/// Longest value that is kept in a table; a longer one becomes a blob.
const MAX_TABLE_VALUE: usize = sst_format::limits::MAX_MEDIUM_VALUE_LEN;

/// What is being written.
struct Writing {
    output: WriterOutput,
    /// Hash and key of the last entry.
    last: Option<(u64, Vec<u8>)>,
    entries: u64,
}

impl Writing {
    fn add(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Error> {
        let hash = hash_key(key);
        let is_new_key = match &self.last {
            Some((last_hash, last_key)) => (*last_hash, last_key.as_slice()) != (hash, key),
            None => true,
        };
        // A table ends between two keys only, so that their ranges do not overlap.
        if self.last.as_ref().is_some_and(|(last, _)| *last < hash) && self.output.is_full() {
            self.output.end_table()?;
        }
        if !self.output.has_table() && self.last.as_ref().is_some_and(|(last, _)| *last > hash) {
            return Err(Error::Entry { position: self.entries, reason: OUT_OF_ORDER });
        }
        let value = match value {
            None => EntryValue::Deleted,
            Some(value) if value.len() > MAX_TABLE_VALUE => {
                EntryValue::Blob(self.output.create_blob(value)?)
            }
            Some(value) => EntryValue::for_bytes(value)
                .map_err(|_| Error::Internal("a longer value becomes a blob"))?,
        };
        self.output.add(HashedEntry { hash, key, value })?;
        if is_new_key {
            let (last_hash, last_key) = self.last.get_or_insert_default();
            *last_hash = hash;
            last_key.clear();
            last_key.extend_from_slice(key);
        }
        self.entries += 1;
        Ok(())
    }
}

const OUT_OF_ORDER: &str = "it is out of order: entries ascend by (key_hash(key), key)";

/// What a writer has published.
#[pyclass(frozen, module = "sst_files", name = "WriteReport", get_all)]
pub(crate) struct WriteReport {
    /// Number of the commit.
    commit: u32,
    /// Entries that were written.
    entries: u64,
    /// Tables that they are in.
    tables: u64,
    /// The certificate, if it was asked for.
    certificate: Option<PyCertificate>,
}

#[pymethods]
impl WriteReport {
    fn __repr__(&self) -> String {
        let Self { commit, entries, tables, .. } = self;
        format!("WriteReport(commit={commit}, entries={entries}, tables={tables})")
    }
}

/// Writes entries that come in the order of tables: ascending by `(key_hash(key), key)`. It needs
/// neither the memory nor the time of sorting; `load` takes any order.
///
/// In a `with` block, its end publishes one commit, and an exception abandons it: nothing of it
/// stays. The directory is locked meanwhile. Arguments are as of `load`; with
/// `duplicates="keep"` a key may have several values.
#[pyclass(frozen, module = "sst_files", name = "Writer")]
pub(crate) struct Writer {
    // Boxed: parts of it are aligned to 64 bytes, and Python aligns objects to 16.
    writing: ManuallyDrop<Mutex<Option<Box<Writing>>>>,
    plan: PublishPlan,
    epoch: Epoch,
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The files of a commit that is abandoned are removed. In a child they are those that its
        // parent is writing: there the commit is forgotten.
        if self.epoch.is_now() {
            let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(writing) = writing.take() {
                writing.output.abandon();
            }
        }
    }
}

impl Writer {
    fn add_entry(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        value: Option<&Bound<'_, PyAny>>,
    ) -> Result<(), Error> {
        let key = bytes_of(key)?;
        let value = value.map(bytes_of).transpose()?;
        self.check()?;
        let (key, value): (&[u8], Option<&[u8]>) = (&key, value.as_deref());
        py.detach(|| {
            // A panic while an entry was added has poisoned the table, which says so.
            let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
            writing.as_mut().ok_or(Error::Closed("writer"))?.add(key, value)
        })
    }

    fn check(&self) -> Result<(), Error> {
        if self.epoch.is_now() { Ok(()) } else { Err(Error::Forked("writer")) }
    }

    fn take(&self, py: Python<'_>) -> Result<Option<Box<Writing>>, Error> {
        self.check()?;
        let locked = self.writing.lock_py_attached(py);
        Ok(locked.unwrap_or_else(PoisonError::into_inner).take())
    }
}

#[pymethods]
impl Writer {
    #[new]
    #[pyo3(signature = (path, *, mode = "replace", family = 0, duplicates = "error",
        compression = "lz4", certify = false, keep_generations = 1))]
    #[expect(clippy::too_many_arguments, reason = "they are the keywords of a function of Python")]
    fn new(
        py: Python<'_>,
        path: &Bound<'_, PyAny>,
        mode: &str,
        family: u32,
        duplicates: &str,
        compression: &str,
        certify: bool,
        keep_generations: usize,
    ) -> Result<Self, Error> {
        let path = path_of(path)?;
        let plan = PublishPlan { family, mode: Mode::of(mode)?, certify, keep_generations };
        let multi_value = match duplicates {
            "error" => false,
            "keep" => true,
            _ => return Err(Error::usage("duplicates of a writer are \"error\" or \"keep\"")),
        };
        let options = writer_options(compression)?.multi_value(multi_value);
        let writing = py.detach(|| {
            let output = WriterOutput::begin(&path, plan, options)?;
            Ok::<_, Error>(Writing { output, last: None, entries: 0 })
        })?;
        let writing = ManuallyDrop::new(Mutex::new(Some(Box::new(writing))));
        Ok(Self { writing, plan, epoch: Epoch::now() })
    }

    /// Adds an entry. Raises `EntryError` if it is out of order, `DuplicateKeyError` for a second
    /// value of a key; the writer goes on after both.
    fn add(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> Result<(), Error> {
        self.add_entry(py, key, Some(value))
    }

    /// Adds an entry that deletes its key, for `mode="append"`.
    fn delete(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> Result<(), Error> {
        self.add_entry(py, key, None)
    }

    /// Publishes the commit, and returns a `WriteReport`.
    #[pyo3(signature = (*, progress = None))]
    fn finish(
        &self,
        py: Python<'_>,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> Result<WriteReport, Error> {
        let observer = Observer::new(progress)?;
        let writing = self.take(py)?.ok_or(Error::Closed("writer"))?;
        let family = self.plan.family;
        observer.run(py, move |monitor| {
            let Writing { output, entries, .. } = *writing;
            let (published, tables) = output.publish(monitor)?;
            Ok(WriteReport {
                commit: published.commit.0,
                entries,
                tables,
                certificate: published.certificate(family),
            })
        })
    }

    /// Abandons the commit: nothing of it stays. It does nothing after `finish`.
    fn abandon(&self, py: Python<'_>) -> Result<(), Error> {
        if let Some(writing) = self.take(py)? {
            py.detach(|| writing.output.abandon());
        }
        Ok(())
    }

    /// Entries that were added so far.
    #[getter]
    fn entries(&self, py: Python<'_>) -> u64 {
        let locked = self.writing.lock_py_attached(py);
        let writing = locked.unwrap_or_else(PoisonError::into_inner);
        writing.as_ref().map_or(0, |writing| writing.entries)
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (kind = None, *_exception))]
    fn __exit__(
        &self,
        py: Python<'_>,
        kind: Option<&Bound<'_, PyAny>>,
        _exception: &Bound<'_, PyTuple>,
    ) -> Result<(), Error> {
        if kind.is_some() {
            return self.abandon(py);
        }
        let is_open = {
            let locked = self.writing.lock_py_attached(py);
            locked.unwrap_or_else(PoisonError::into_inner).is_some()
        };
        if is_open { self.finish(py, None).map(drop) } else { Ok(()) }
    }
}
