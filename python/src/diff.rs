//! `diff`: the keys in which two sets differ.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::PyBytes;
use sst_merge::{Change, Diff, DiffCounts, Inputs, MergeError, MergedEntry};

use crate::errors::Error;
use crate::fork::Epoch;
use crate::load::duplicates_of;
use crate::operations::{family_of, inputs_of};
use crate::place::{path_of, readable};

/// Differences and bytes that are read ahead without the GIL.
const PAGE_DIFFERENCES: usize = 256;
const PAGE_BYTES: usize = 1 << 20;

/// A key in which two sets differ.
#[pyclass(frozen, module = "sst_files", name = "Difference")]
pub(crate) struct Difference {
    change: &'static str,
    key: Py<PyBytes>,
    old: Option<Py<PyBytes>>,
    new: Option<Py<PyBytes>>,
}

#[pymethods]
impl Difference {
    /// `"added"`, `"removed"` or `"changed"`.
    #[getter]
    fn change(&self) -> &'static str {
        self.change
    }

    /// The key.
    #[getter]
    fn key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        self.key.bind(py).clone()
    }

    /// The value in the old set; `None` if the key was added.
    #[getter]
    fn old<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.old.as_ref().map(|value| value.bind(py).clone())
    }

    /// The value in the new set; `None` if the key was removed.
    #[getter(new)]
    fn new_value<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.new.as_ref().map(|value| value.bind(py).clone())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Difference({:?}, {})", self.change, self.key.bind(py).repr()?))
    }
}

/// A difference, outside of Python.
struct Found {
    change: &'static str,
    key: Vec<u8>,
    old: Option<Vec<u8>>,
    new: Option<Vec<u8>>,
}

fn value_of(entry: Option<MergedEntry<'_>>) -> Result<Option<Vec<u8>>, MergeError> {
    let value = entry.map(MergedEntry::into_value).transpose()?.flatten();
    Ok(value.map(|value| value.to_vec()))
}

struct Reading {
    diff: Option<Diff>,
    page: std::vec::IntoIter<Found>,
    counts: DiffCounts,
}

impl Reading {
    fn fill(&mut self) -> Result<(), Error> {
        let Some(diff) = &mut self.diff else { return Ok(()) };
        let mut page = Vec::new();
        let mut bytes = 0;
        while page.len() < PAGE_DIFFERENCES && bytes < PAGE_BYTES {
            let Some(found) = diff.next()? else {
                self.counts = diff.counts();
                self.diff = None;
                break;
            };
            let change = match found.change {
                Change::Added => "added",
                Change::Removed => "removed",
                Change::Changed => "changed",
            };
            let key = found.key.to_vec();
            let (old, new) = (value_of(found.old)?, value_of(found.new)?);
            bytes +=
                key.len() + old.as_ref().map_or(0, Vec::len) + new.as_ref().map_or(0, Vec::len);
            page.push(Found { change, key, old, new });
        }
        if let Some(diff) = &self.diff {
            self.counts = diff.counts();
        }
        self.page = page.into_iter();
        Ok(())
    }
}

/// The keys in which two sets differ, in the order of their hashes: an iterator of `Difference`.
#[pyclass(frozen, module = "sst_files", name = "Differences")]
pub(crate) struct Differences {
    reading: Mutex<Reading>,
    epoch: Epoch,
}

#[pymethods]
impl Differences {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> Result<Option<Difference>, Error> {
        if !self.epoch.is_now() {
            return Err(Error::Forked("comparison"));
        }
        // A comparison that a panic has ended is one that is over.
        let locked = self.reading.lock_py_attached(py);
        let mut reading = locked.unwrap_or_else(PoisonError::into_inner);
        let reading = &mut *reading;
        if reading.page.len() == 0 {
            py.check_signals()?;
            let filled = py.detach(|| reading.fill());
            if filled.is_err() {
                reading.diff = None;
            }
            filled?;
        }
        let Some(Found { change, key, old, new }) = reading.page.next() else { return Ok(None) };
        let bytes = |bytes: Vec<u8>| PyBytes::new(py, &bytes).unbind();
        Ok(Some(Difference { change, key: bytes(key), old: old.map(bytes), new: new.map(bytes) }))
    }

    /// How many keys were met so far, as a dict with `added`, `removed`, `changed` and `same`: at
    /// the end of the iteration those of the whole sets.
    #[getter]
    fn counts(&self, py: Python<'_>) -> std::collections::BTreeMap<&'static str, u64> {
        let locked = self.reading.lock_py_attached(py);
        let DiffCounts { added, removed, changed, same, .. } =
            locked.unwrap_or_else(PoisonError::into_inner).counts;
        [("added", added), ("removed", removed), ("changed", changed), ("same", same)].into()
    }
}

/// Compares two directories, buckets or tables, and returns an iterator of the keys in which they
/// differ. Values are compared as they are stored, and decompressed only where that leaves it open.
/// `duplicates="keep"` compares all values of a key.
#[pyfunction]
#[pyo3(signature = (old, new, *, family = None, duplicates = "newest"))]
pub(crate) fn diff(
    py: Python<'_>,
    old: &Bound<'_, PyAny>,
    new: &Bound<'_, PyAny>,
    family: Option<u32>,
    duplicates: &str,
) -> Result<Differences, Error> {
    let open = |path: &Bound<'_, PyAny>| readable(path_of(path)?);
    let (old, new): (PathBuf, PathBuf) = (open(old)?, open(new)?);
    let duplicates = duplicates_of(duplicates)?;
    let diff = py.detach(|| {
        let open = |path: PathBuf| -> Result<Inputs, Error> {
            let family = family_of(family, std::slice::from_ref(&path))?;
            inputs_of(&[path], family)
        };
        let (old, new) = (open(old)?, open(new)?);
        let monitor = sst_format::monitor::Monitor::default();
        Ok::<_, Error>(Diff::new(&old, &new, 0..=u64::MAX, duplicates, &monitor)?)
    })?;
    let (page, counts) = (Vec::new().into_iter(), DiffCounts::default());
    let reading = Mutex::new(Reading { diff: Some(diff), page, counts });
    Ok(Differences { reading, epoch: Epoch::now() })
}
