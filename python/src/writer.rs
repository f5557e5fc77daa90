//! `Writer`: entries in the order of tables, straight into a commit.

use std::mem::ManuallyDrop;
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::PyTuple;
use self_cell::MutBorrow;
use sst_format::monitor::Monitor;
use sst_reader::hash_key;
use sst_writer::publish::{Commit, CommitInfo, TableWriter};
use sst_writer::table::{EntryValue, HashedEntry};
use sst_writer::{PublishError, Publisher, WriterOptions};

use crate::blocking::Observer;
use crate::bytes_of::bytes_of;
use crate::errors::Error;
use crate::fork::Epoch;
use crate::load::writer_options;
use crate::place::path_of;
use crate::reports::PyCertificate;
use crate::target::{Mode, PublishPlan, Published, Target, error_after};

/// Entries and bytes after which a table ends, as for a load.
const MAX_TABLE_ENTRIES: u64 = 1 << 22;
const MAX_TABLE_BYTES: u64 = 256 << 20;

/// Longest value that is kept in a table; a longer one becomes a blob.
const MAX_TABLE_VALUE: usize = sst_format::limits::MAX_MEDIUM_VALUE_LEN;

self_cell::self_cell!(
    /// A commit, and the publisher that it borrows.
    struct OwnedCommit {
        owner: MutBorrow<Publisher>,

        #[not_covariant]
        dependent: OpenCommit,
    }
);

/// A commit, until it is published.
type OpenCommit<'p> = Option<Commit<'p>>;

impl OwnedCommit {
    fn with<T>(
        &mut self,
        act: impl FnOnce(&mut Commit<'_>) -> Result<T, PublishError>,
    ) -> Result<T, Error> {
        self.with_dependent_mut(|_, commit| match commit {
            Some(commit) => Ok(act(commit)?),
            None => Err(Error::Internal("a commit is there until it is published")),
        })
    }

    fn publish(&mut self, monitor: &Monitor) -> Result<CommitInfo, Error> {
        self.with_dependent_mut(|_, commit| match commit.take() {
            Some(commit) => Ok(sst_merge::publish(commit, monitor)?),
            None => Err(Error::Internal("a commit is there until it is published")),
        })
    }
}

/// The commit and the table that are being written.
struct Writing {
    // Before the commit, which removes the files of tables that it does not have.
    table: Option<TableWriter>,
    commit: OwnedCommit,
    options: WriterOptions,
    target: Target,
    before: Option<sst_format::SequenceNumber>,
    /// Hash and key of the last entry.
    last: Option<(u64, Vec<u8>)>,
    entries: u64,
    tables: u64,
}

impl Writing {
    fn add(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Error> {
        let hash = hash_key(key);
        let is_new_key = match &self.last {
            Some((last_hash, last_key)) => (*last_hash, last_key.as_slice()) != (hash, key),
            None => true,
        };
        // A table ends between two keys only, so that their ranges do not overlap.
        let is_full = |table: &TableWriter| table.is_full(MAX_TABLE_ENTRIES, MAX_TABLE_BYTES);
        let differs = self.last.as_ref().is_some_and(|(last, _)| *last < hash);
        if differs && self.table.as_ref().is_some_and(is_full) {
            self.end_table()?;
        }
        let value = match value {
            None => EntryValue::Deleted,
            Some(value) if value.len() > MAX_TABLE_VALUE => {
                let blob = self.commit.with(|commit| commit.create_blob(value))?;
                EntryValue::Blob(blob)
            }
            Some(value) => EntryValue::for_bytes(value)
                .map_err(|_| Error::Internal("a longer value becomes a blob"))?,
        };
        let table = match &mut self.table {
            Some(table) => table,
            None => {
                if self.last.as_ref().is_some_and(|(last, _)| *last > hash) {
                    return Err(Error::Entry { position: self.entries, reason: OUT_OF_ORDER });
                }
                let options = self.options.clone();
                let table = self.commit.with(|commit| commit.create_table(options))?;
                self.table.insert(table)
            }
        };
        table.add(HashedEntry { hash, key, value })?;
        if is_new_key {
            let (last_hash, last_key) = self.last.get_or_insert_default();
            *last_hash = hash;
            last_key.clear();
            last_key.extend_from_slice(key);
        }
        self.entries += 1;
        Ok(())
    }

    fn end_table(&mut self) -> Result<(), Error> {
        let Some(table) = self.table.take() else { return Ok(()) };
        let table = table.finish()?;
        self.commit.with(|commit| commit.add_table(table))?;
        self.tables += 1;
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
            drop(writing.take());
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
            let target = Target::new(&path, plan, None)?;
            let publisher = target.publisher()?;
            let before = publisher.current();
            let commit = OwnedCommit::new(MutBorrow::new(publisher), |publisher| {
                let mut commit = publisher.borrow_mut().begin_family(family);
                if plan.mode == Mode::Replace {
                    commit.replace_all();
                }
                Some(commit)
            });
            let (entries, tables) = (0, 0);
            Ok::<_, Error>(Writing {
                commit,
                table: None,
                options,
                target,
                before,
                last: None,
                entries,
                tables,
            })
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
        let mut writing = self.take(py)?.ok_or(Error::Closed("writer"))?;
        let family = self.plan.family;
        observer.run(py, move |monitor| {
            writing.end_table()?;
            let Writing { mut commit, target, before, entries, tables, .. } = *writing;
            let published = commit.publish(monitor);
            let publisher = commit.into_owner().into_inner();
            let info = published.map_err(|error| {
                let (directory, is_poisoned) = (publisher.directory(), publisher.is_poisoned());
                error_after(directory, is_poisoned, before, error)
            })?;
            drop(publisher);
            let published = Published { commit: info.commit, certificates: info.certificates };
            let published = target.finish(published, monitor)?;
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
        let writing = self.take(py)?;
        py.detach(|| drop(writing));
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
