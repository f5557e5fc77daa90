//! A set of tables that is open for lookups.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyMemoryView, PyTuple};
use sst_format::SequenceNumber;
use sst_reader::{SstSet, verify_directory};

use crate::arrow_array::ArrowArray;
use crate::blocking::Observer;
use crate::bytes_of::bytes_of;
use crate::errors::Error;
use crate::keys::{Keys, PresentKeys, bytes_of_objects};
use crate::many::{cells_of, list_of};
use crate::memory::ValueBuffer;
use crate::open_arguments::OpenArguments;
use crate::open_set::OpenSet;
use crate::place::{hashes_of, plain_options};
use crate::reports::{PyCertificate, PyStatistics, PyVerifyReport, inspect_catalog};
use crate::walk::{EntryIterator, Part, Scan, ScanPlan, Walk};

/// Rows of a batch of a scan, unless another number is asked for.
const BATCH_ROWS: usize = 1 << 16;

/// A directory or bucket of tables, open for lookups: a mapping of `bytes` to `bytes`.
///
/// Keys may also be given as `str` (their UTF-8) and `int` (their decimal digits). It shows the
/// newest commit as of the last `refresh`; each call answers from one commit. All methods may be
/// called from any number of threads, and release the GIL while Rust works, but for a lookup of
/// which all is in memory. `sst_files.open` makes it. A child that is forked opens the directory
/// anew at its first use; a pickle does where it arrives.
#[pyclass(frozen, weakref, mapping, module = "sst_files", name = "Db")]
pub(crate) struct Db {
    set: OpenSet,
    /// Number of live entries of a commit, once they were counted.
    counted: Mutex<Option<(SequenceNumber, u64)>>,
}

impl Db {
    pub(crate) fn open(arguments: OpenArguments) -> Result<Self, Error> {
        Ok(Self { set: OpenSet::open(arguments)?, counted: Mutex::default() })
    }

    fn iterate(&self, py: Python<'_>, part: Part) -> Result<EntryIterator, Error> {
        let set = self.set.snapshot(py)?;
        let walk = py.detach(|| Walk::new(set, 0..=u64::MAX));
        Ok(EntryIterator::new(walk, part))
    }

    /// The value of a key. An answer that is in memory is taken at once: to release the GIL would
    /// take a tenth of the time again. For all else the GIL is released.
    #[inline]
    fn value<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
    ) -> Result<Option<Bound<'py, PyBytes>>, Error> {
        let key = bytes_of(key)?;
        let key: &[u8] = &key;
        let object = |value: Option<&[u8]>| value.map(|value| PyBytes::new(py, value));
        if let Some(found) = self.set.ready(key, object)? {
            return Ok(found);
        }
        let found = self.set.detached(py, |live| live.get(key))?;
        Ok(found.map(|value| PyBytes::new(py, &value)))
    }

    fn many<'py>(
        &self,
        py: Python<'py>,
        keys: &PresentKeys<'_>,
        to_arrow: bool,
        text: bool,
    ) -> Result<Bound<'py, PyAny>, Error> {
        if to_arrow {
            let array =
                self.set.detached(py, |live| Ok(cells_of(live, keys)?.into_array(text, None)));
            return Ok(Bound::new(py, ArrowArray(array??))?.into_any());
        }
        let values = self.set.detached(py, |live| live.multi_get(&keys.keys))?;
        Ok(list_of(py, keys, values)?.into_any())
    }
}

/// A view of `sst_files._views`.
fn view<'py>(slf: &Bound<'py, Db>, name: &str) -> Result<Bound<'py, PyAny>, Error> {
    Ok(slf.py().import("sst_files._views")?.getattr(name)?.call1((slf,))?)
}

#[pymethods]
impl Db {
    fn __getitem__<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
    ) -> Result<Bound<'py, PyBytes>, Error> {
        match self.value(py, key)? {
            Some(value) => Ok(value),
            None => Err(Error::MissingKey(bytes_of(key)?.into_owned())),
        }
    }

    fn __contains__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> Result<bool, Error> {
        let key = bytes_of(key)?;
        let key: &[u8] = &key;
        if let Some(found) = self.set.ready(key, |value| value.is_some())? {
            return Ok(found);
        }
        self.set.detached(py, |live| live.contains_key(key))
    }

    /// Number of live entries. O(1) if the commit is certified, otherwise the entries are counted,
    /// once for each commit.
    fn __len__(&self, py: Python<'_>) -> Result<usize, Error> {
        let set = self.set.snapshot(py)?;
        let commit = set.catalog().commit;
        // The lock guards one value, which a panic leaves whole.
        let known = *self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let count = match (set.live_entry_count(), known) {
            (Some(count), _) => count,
            (None, Some((of, count))) if of == commit => count,
            (None, _) => {
                let observer = Observer::new(None)?;
                let count = observer.run(py, |monitor| {
                    let mut cursor = set.cursor();
                    let mut count = 0_u64;
                    while cursor.next()?.is_some() {
                        count += 1;
                        if count.is_multiple_of(4096) && monitor.token().is_cancelled() {
                            return Err(Error::Stopped);
                        }
                    }
                    Ok(count)
                })?;
                let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
                *counted = Some((commit, count));
                count
            }
        };
        usize::try_from(count).map_err(|_| Error::usage("more entries than len() can give"))
    }

    /// Whether there is any entry. O(1), unlike `len`.
    fn __bool__(&self, py: Python<'_>) -> Result<bool, Error> {
        let set = self.set.snapshot(py)?;
        Ok(py.detach(|| set.cursor().next().map(|entry| entry.is_some()))?)
    }

    fn __iter__(&self, py: Python<'_>) -> Result<EntryIterator, Error> {
        self.iterate(py, Part::Keys)
    }

    /// The value of a key, or `default`. A key with several values gives one of them.
    #[pyo3(signature = (key, default = None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> Result<Option<Bound<'py, PyAny>>, Error> {
        match self.value(py, key)? {
            Some(value) => Ok(Some(value.into_any())),
            None => Ok(default),
        }
    }

    /// The value of a key as far as memory has it: `None` if it has none, `NotImplemented` if only
    /// `get` can tell.
    fn _get_ready<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
    ) -> Result<Bound<'py, PyAny>, Error> {
        let key = bytes_of(key)?;
        let object = |value: Option<&[u8]>| value.map(|value| PyBytes::new(py, value));
        Ok(match self.set.ready(&key, object)? {
            Some(Some(value)) => value.into_any(),
            Some(None) => py.None().into_bound(py),
            None => py.NotImplemented().into_bound(py),
        })
    }

    /// All values of a key, for data that was loaded with `duplicates="keep"`: in the order of the
    /// input. An empty list if there is none.
    fn get_all<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
    ) -> Result<Bound<'py, PyList>, Error> {
        let key = bytes_of(key)?;
        let key: &[u8] = &key;
        let values = self.set.detached(py, |live| live.get_all(key))?;
        Ok(PyList::new(py, values.iter().map(|value| PyBytes::new(py, value)))?)
    }

    /// The value of a key as a read-only `memoryview` of the memory where it lies: the map of its
    /// table or of its blob file, or a block of the cache. Nothing is copied, whatever its length.
    /// `None` if there is none. The view stays valid after later commits and after `close`.
    fn get_view<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
    ) -> Result<Option<Bound<'py, PyMemoryView>>, Error> {
        let key = bytes_of(key)?;
        let key: &[u8] = &key;
        let Some(value) = self.set.detached(py, |live| live.get(key))? else { return Ok(None) };
        let buffer = Bound::new(py, ValueBuffer::new(value))?;
        Ok(Some(PyMemoryView::from(&buffer)?))
    }

    /// The values of many keys, in their order, all of one commit; `None` for those that are not
    /// there.
    ///
    /// `keys` is a list or anything that can be iterated, an array of NumPy (of bytes `S`, `V`, or
    /// rows of `uint8`; of text, integers or objects), or an array or a series of Arrow. With
    /// `to="arrow"` the result is an `ArrowArray` with nulls instead of a list; `text` makes it one
    /// of strings, which fails with `UsageError` if a value is no UTF-8. For arrays of NumPy of
    /// kind `S`, zeros at the end of an element are no part of it, as NumPy has it.
    ///
    /// Each block is visited once for each call, so that many keys take far less time than one by
    /// one. O(keys × log(keys)).
    #[pyo3(signature = (keys, *, to = "list", text = false))]
    fn get_many<'py>(
        &self,
        py: Python<'py>,
        keys: &Bound<'py, PyAny>,
        to: &str,
        text: bool,
    ) -> Result<Bound<'py, PyAny>, Error> {
        let to_arrow = match (to, text) {
            ("list", false) => false,
            ("arrow", _) => true,
            ("list", true) => return Err(Error::usage("text=True is for to=\"arrow\"")),
            _ => return Err(Error::usage(format!("to={to:?} is neither \"list\" nor \"arrow\""))),
        };
        match Keys::of(keys)? {
            Keys::Objects(objects) => {
                let bytes = bytes_of_objects(&objects)?;
                let keys = bytes.iter().map(AsRef::as_ref).collect();
                self.many(py, &PresentKeys { keys, nulls: Vec::new() }, to_arrow, text)
            }
            Keys::Held(held) => {
                let mut digits = Vec::new();
                let keys = py.detach(|| held.present(&mut digits));
                self.many(py, &keys, to_arrow, text)
            }
        }
    }

    /// A view of the keys, in the order of their hashes.
    fn keys<'py>(slf: &Bound<'py, Self>) -> Result<Bound<'py, PyAny>, Error> {
        view(slf, "EntryKeys")
    }

    /// A view of the values, in the order of the hashes of their keys.
    fn values<'py>(slf: &Bound<'py, Self>) -> Result<Bound<'py, PyAny>, Error> {
        view(slf, "EntryValues")
    }

    /// A view of the pairs of key and value, in the order of the hashes of keys. A key with several
    /// values comes several times.
    fn items<'py>(slf: &Bound<'py, Self>) -> Result<Bound<'py, PyAny>, Error> {
        view(slf, "EntryItems")
    }

    fn _iter_values(&self, py: Python<'_>) -> Result<EntryIterator, Error> {
        self.iterate(py, Part::Values)
    }

    fn _iter_items(&self, py: Python<'_>) -> Result<EntryIterator, Error> {
        self.iterate(py, Part::Items)
    }

    /// The entries as batches of Arrow with the columns `key` and `value`, in the order of the
    /// hashes of keys: those with hashes from the first to the second number of `hashes`, both
    /// included, or those of `shard=(i, n)`. A batch has `batch_rows` rows, and fewer if they are
    /// more than 64 MiB. `text` makes the columns strings, which fails if an entry is no UTF-8.
    #[pyo3(signature = (*, hashes = None, shard = None, batch_rows = BATCH_ROWS, text = false))]
    fn scan(
        &self,
        py: Python<'_>,
        hashes: Option<(u64, u64)>,
        shard: Option<(u32, u32)>,
        batch_rows: usize,
        text: bool,
    ) -> Result<Scan, Error> {
        if batch_rows == 0 {
            return Err(Error::usage("a batch has one row at least"));
        }
        let plan = ScanPlan { hashes: hashes_of(hashes, shard)?, batch_rows, is_text: text };
        let set = self.set.snapshot(py)?;
        Ok(py.detach(|| Scan::new(set, plan)))
    }

    /// Switches to the newest commit, and returns whether it is another one than before. Of a
    /// bucket, the commit is pulled into the cache first. Lookups of other threads go on meanwhile.
    #[pyo3(signature = (*, progress = None))]
    fn refresh(&self, py: Python<'_>, progress: Option<&Bound<'_, PyAny>>) -> Result<bool, Error> {
        if let Some(bucket) = &self.set.arguments().bucket {
            // Closed sets fail before anything is copied.
            self.set.detached(py, |_| Ok(()))?;
            Observer::new(progress)?.run(py, |monitor| bucket.pull(monitor))?;
        }
        self.set.detached(py, |live| live.refresh_with(SstSet::open_all))
    }

    /// Starts a thread that calls `refresh` every `interval` seconds, until `stop` of the
    /// `Follower` that is returned, the end of its `with` block, or `close` of this set.
    ///
    /// `on_commit` is called with the number of each new commit, `on_error` with each error; the
    /// thread goes on after an error, and the set stays with the commit that it has.
    #[pyo3(signature = (interval = 1.0, *, on_commit = None, on_error = None))]
    fn follow<'py>(
        slf: &Bound<'py, Self>,
        interval: f64,
        on_commit: Option<Bound<'py, PyAny>>,
        on_error: Option<Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyAny>, Error> {
        let follower = slf.py().import("sst_files._follower")?.getattr("Follower")?;
        Ok(follower.call1((slf, interval, on_commit, on_error))?)
    }

    /// Checks every byte of the directory, all families: see `sst_files.verify`.
    #[pyo3(signature = (*, progress = None))]
    fn verify(
        &self,
        py: Python<'_>,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> Result<PyVerifyReport, Error> {
        self.set.detached(py, |_| Ok(()))?;
        let (directory, options) = (&self.set.arguments().directory, plain_options());
        let report = Observer::new(progress)?
            .run(py, |monitor| Ok(verify_directory(directory, &options, monitor)?))?;
        Ok(PyVerifyReport::new(py, &report)?)
    }

    /// Facts about the commit: see `sst_files.inspect`.
    fn inspect<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>, Error> {
        let set = self.set.detached(py, |live| Ok(live.snapshot()))?;
        inspect_catalog(py, set.catalog())
    }

    /// The certificate of the family: a digest of its live entries that does not depend on how they
    /// lie in tables. `None` if the commit has none; `load(certify=True)` makes one.
    fn certificate(&self, py: Python<'_>) -> Result<Option<PyCertificate>, Error> {
        let set = self.set.detached(py, |live| Ok(live.snapshot()))?;
        Ok(set.certificate().map(|digest| PyCertificate::new(self.set.arguments().family, &digest)))
    }

    /// Counters of lookups, of the tables that they asked, and of the cache. Zeros but for the
    /// cache unless the set was opened with `statistics=True`.
    fn statistics(&self, py: Python<'_>) -> Result<PyStatistics, Error> {
        let set = self.set.detached(py, |live| Ok(live.snapshot()))?;
        Ok(PyStatistics::new(&set.statistics()))
    }

    /// The families of the directory, ascending.
    fn families(&self, py: Python<'_>) -> Result<Vec<u32>, Error> {
        let families: BTreeSet<u32> = self.set.detached(py, |live| Ok(live.families()))?;
        Ok(families.into_iter().collect())
    }

    /// Another family of the same directory, with a cache of its own.
    #[pyo3(name = "with_family")]
    fn with_family(&self, py: Python<'_>, family: u32) -> Result<Self, Error> {
        self.set.detached(py, |_| Ok(()))?;
        let arguments = OpenArguments { family, ..self.set.arguments().clone() };
        py.detach(|| Self::open(arguments))
    }

    /// The family whose entries it shows.
    #[getter]
    fn family(&self) -> u32 {
        self.set.arguments().family
    }

    /// Number of the commit that it shows.
    #[getter]
    fn commit(&self, py: Python<'_>) -> Result<u32, Error> {
        self.set.detached(py, |live| Ok(live.snapshot().catalog().commit.0))
    }

    /// The directory that is read: of a bucket, the one in the cache.
    #[getter]
    fn path(&self) -> PathBuf {
        self.set.arguments().directory.clone()
    }

    /// The URL of the bucket; `None` if it is a directory.
    #[getter]
    fn url(&self) -> Option<&str> {
        self.set.arguments().bucket.as_ref().map(|bucket| bucket.url.as_str())
    }

    /// Number of entries of all tables, those that others hide included; `None` if the directory is
    /// of another implementation, which does not store it. O(tables).
    #[getter]
    fn entry_count(&self, py: Python<'_>) -> Result<Option<u64>, Error> {
        self.set.detached(py, |live| Ok(live.entry_count()))
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.set.is_closed()
    }

    /// Releases the tables. Views of values, and iterators that are under way, keep those that they
    /// need. Closing twice is no error.
    fn close(&self, py: Python<'_>) {
        self.set.close(py);
    }

    fn __enter__(slf: Bound<'_, Self>) -> Result<Bound<'_, Self>, Error> {
        if slf.get().closed() { Err(Error::Closed("set")) } else { Ok(slf) }
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) {
        self.close(py);
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>, Error> {
        let package = py.import("sst_files")?;
        let kwargs = self.set.arguments().to_kwargs(py)?;
        let partial = py.import("functools")?.getattr("partial")?;
        let open = partial.call((package.getattr("open")?,), Some(&kwargs))?;
        let location = self.set.arguments().location.clone();
        Ok((open, (location,)).into_pyobject(py)?.into_any())
    }

    fn __repr__(&self) -> String {
        let location = self.set.arguments().location.display().to_string();
        let state = if self.closed() { ", closed" } else { "" };
        format!("<sst_files.Db {location:?}, family {}{state}>", self.set.arguments().family)
    }
}
