//! Walks of a set: iterators of entries, and scans as batches of Arrow.

use std::mem;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyCapsule, PyTuple};
use sst_reader::{FileLabel, ReadError, ReadValue, SetCursor, SstSet};

use crate::arrow_array::ArrowBatch;
use crate::entry_batches::{EntryBatches, EntryColumns};
use crate::errors::Error;
use crate::fork::Epoch;
use crate::memory::export_stream;

/// Entries and bytes after which a page of an iterator ends.
const PAGE_ENTRIES: usize = 1024;
const PAGE_BYTES: usize = 256 << 10;

self_cell::self_cell!(
    /// A cursor, and the set that it walks.
    struct OwnedCursor {
        owner: Arc<SstSet>,

        #[not_covariant]
        dependent: SetCursor,
    }
);

/// A cursor that owns its set.
pub(crate) struct Walk(OwnedCursor);

impl Walk {
    /// Starts to walk the live entries with hashes in a range.
    pub(crate) fn new(set: Arc<SstSet>, hashes: RangeInclusive<u64>) -> Self {
        Self(OwnedCursor::new(set, |set| set.range(hashes).into_cursor()))
    }

    /// Calls `take` with the key and the value of the next entry. `None` at the end.
    pub(crate) fn next<T>(
        &mut self,
        take: impl FnOnce(&[u8], &[u8]) -> T,
    ) -> Result<Option<T>, ReadError> {
        self.0.with_dependent_mut(|set, cursor| {
            let Some(entry) = cursor.next()? else { return Ok(None) };
            let key = entry.key;
            match entry.into_value()? {
                ReadValue::Value(value) => Ok(Some(take(key, value))),
                ReadValue::Blob(number) => Ok(Some(take(key, &set.read_blob(number)?))),
                // Walks of live entries leave tombstones out.
                ReadValue::Deleted => Err(ReadError::Internal {
                    file: FileLabel::new(&set.catalog().dir),
                    invariant: "live entries are no tombstones",
                }),
            }
        })
    }

    /// Calls `take` with the key of the next entry, whose value is not read. `None` at the end.
    pub(crate) fn next_key<T>(
        &mut self,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, ReadError> {
        self.0.with_dependent_mut(|_, cursor| Ok(cursor.next()?.map(|entry| take(entry.key))))
    }
}

/// Some entries, read ahead without the GIL.
#[derive(Default)]
struct Page {
    bytes: Vec<u8>,
    /// Where key and value of each entry end.
    ends: Vec<(usize, usize)>,
    /// The next entry, and where it starts.
    next: usize,
    start: usize,
}

impl Page {
    fn fill(&mut self, walk: &mut Walk) -> Result<(), ReadError> {
        self.bytes.clear();
        self.ends.clear();
        (self.next, self.start) = (0, 0);
        while self.ends.len() < PAGE_ENTRIES && self.bytes.len() < PAGE_BYTES {
            let Self { bytes, ends, .. } = self;
            let taken = walk.next(|key, value| {
                bytes.extend_from_slice(key);
                let key_end = bytes.len();
                bytes.extend_from_slice(value);
                ends.push((key_end, bytes.len()));
            })?;
            if taken.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn pop(&mut self) -> Option<(&[u8], &[u8])> {
        let (key_end, end) = *self.ends.get(self.next)?;
        let start = mem::replace(&mut self.start, end);
        self.next += 1;
        Some((self.bytes.get(start..key_end)?, self.bytes.get(key_end..end)?))
    }
}

/// Which parts of entries an iterator gives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Keys,
    Values,
    Items,
}

struct WalkState {
    walk: Option<Walk>,
    page: Page,
}

/// An iterator over the entries of one commit, in the order of their hashes. A later commit does
/// not change it.
#[pyclass(frozen, module = "sst_files._native")]
pub(crate) struct EntryIterator {
    state: Mutex<WalkState>,
    part: Part,
    epoch: Epoch,
}

impl EntryIterator {
    pub(crate) fn new(walk: Walk, part: Part) -> Self {
        let state = WalkState { walk: Some(walk), page: Page::default() };
        Self { state: Mutex::new(state), part, epoch: Epoch::now() }
    }
}

#[pymethods]
impl EntryIterator {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> Result<Option<Bound<'py, PyAny>>, Error> {
        if !self.epoch.is_now() {
            return Err(Error::Forked("iterator"));
        }
        // Another thread may hold the lock and wait for the GIL, so it is not held meanwhile. A
        // page that a panic left half done gives its whole entries.
        let locked = self.state.lock_py_attached(py);
        let mut state = locked.unwrap_or_else(PoisonError::into_inner);
        let WalkState { walk, page } = &mut *state;
        if page.next == page.ends.len()
            && let Some(reading) = walk
        {
            let filled = py.detach(|| page.fill(reading));
            if filled.is_err() || page.ends.is_empty() {
                *walk = None;
            }
            filled?;
        }
        let Some((key, value)) = page.pop() else { return Ok(None) };
        Ok(Some(match self.part {
            Part::Keys => PyBytes::new(py, key).into_any(),
            Part::Values => PyBytes::new(py, value).into_any(),
            Part::Items => {
                PyTuple::new(py, [PyBytes::new(py, key), PyBytes::new(py, value)])?.into_any()
            }
        }))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A walk that a panic has ended is one that is over.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a scan reads.
#[derive(Clone)]
pub(crate) struct ScanPlan {
    pub(crate) hashes: RangeInclusive<u64>,
    pub(crate) batch_rows: usize,
    pub(crate) is_text: bool,
}

/// The entries of one commit as batches of Arrow, in the order of their hashes.
///
/// It is an iterator of batches. It can also be handed over as a stream, as often as it is asked
/// for: `pyarrow.table(scan)`, `polars.DataFrame(scan)`, `duckdb.from_arrow(scan)`. Once it was
/// iterated, a stream has the batches that are left, and ends the iteration.
#[pyclass(frozen, module = "sst_files", name = "Scan")]
pub(crate) struct Scan {
    set: Arc<SstSet>,
    plan: ScanPlan,
    state: Mutex<ScanState>,
    epoch: Epoch,
}

enum ScanState {
    New,
    Begun(EntryBatches),
    HandedOver,
}

impl Scan {
    pub(crate) fn new(set: Arc<SstSet>, plan: ScanPlan) -> Self {
        Self { set, plan, state: Mutex::new(ScanState::New), epoch: Epoch::now() }
    }

    fn batches(&self) -> EntryBatches {
        let walk = Walk::new(Arc::clone(&self.set), self.plan.hashes.clone());
        let columns = EntryColumns::key_and_value(self.plan.is_text);
        EntryBatches::new(walk, columns, self.plan.batch_rows)
    }

    fn check(&self) -> Result<(), Error> {
        if self.epoch.is_now() { Ok(()) } else { Err(Error::Forked("scan")) }
    }
}

#[pymethods]
impl Scan {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> Result<Option<ArrowBatch>, Error> {
        self.check()?;
        let batch = py.detach(|| {
            let mut state = lock(&self.state);
            if let ScanState::New = *state {
                *state = ScanState::Begun(self.batches());
            }
            match &mut *state {
                ScanState::Begun(batches) => batches.next_batch(),
                ScanState::New => Err(Error::Internal("a scan that is iterated has begun")),
                ScanState::HandedOver => {
                    Err(Error::usage("the rest of the scan was handed over as a stream"))
                }
            }
        });
        Ok(batch?.map(ArrowBatch))
    }

    /// A capsule of all batches, or of those that are left: the PyCapsule interface of Arrow.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyCapsule>, Error> {
        drop(requested_schema);
        self.check()?;
        let batches = py.detach(|| {
            let mut state = lock(&self.state);
            if let ScanState::New = *state {
                return Ok(self.batches());
            }
            match mem::replace(&mut *state, ScanState::HandedOver) {
                ScanState::Begun(batches) => Ok(batches),
                _ => Err(Error::usage("the rest of the scan was handed over before")),
            }
        });
        export_stream(py, Box::new(batches?))
    }
}
