//! Reading: batches of the entries of one range of hashes, and lookups of some keys.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{RecordBatchIterator, RecordBatchReader};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use sst_format::SequenceNumber;
use sst_object_store::Place;
use sst_reader::{Catalog, ReaderOptions, SstSet, hash_key};

use super::base::conflict;
use super::hash_range;
use crate::entry_batches::{EntryBatches, EntryColumns};
use crate::errors::Error;
use crate::memory::export_stream;
use crate::place::{path_of, place_of, plain_options};
use crate::walk::Walk;

/// Batches of Arrow, which can be handed over once.
#[pyclass(frozen, module = "sst_files._native")]
pub(crate) struct SparkBatches(Mutex<Option<Box<dyn RecordBatchReader + Send>>>);

#[pymethods]
impl SparkBatches {
    /// A capsule of the batches: the PyCapsule interface of Arrow.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyCapsule>, Error> {
        drop(requested_schema);
        // The lock guards one value, which a panic leaves whole.
        let batches = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let batches = batches.ok_or_else(|| Error::usage("the batches were handed over before"))?;
        export_stream(py, batches)
    }
}

/// Opens commit `commit` of a place: tasks of one job read one commit, whatever is published
/// meanwhile. `hashes` are those that are needed.
fn open_commit(
    place: &Place,
    family: u32,
    commit: u32,
    hashes: std::ops::RangeInclusive<u64>,
) -> Result<SstSet, Error> {
    let options: ReaderOptions = plain_options();
    let name = match place {
        Place::Directory(directory) => directory.clone(),
        Place::Bucket(store) => store.name().into(),
    };
    let set = SstSet::open_range(&name, family, hashes, &options)?;
    let newest = set.catalog().commit;
    if newest.0 == commit {
        return Ok(set);
    }
    match place {
        // Its files are there as long as it is one of the generations that are kept.
        Place::Directory(directory) => {
            let catalog = Catalog::read_commit_of(directory, SequenceNumber(commit))?;
            Ok(SstSet::from_catalog(catalog, family, &options))
        }
        Place::Bucket(_) => Err(conflict(place, Some(commit), Some(newest))),
    }
}

/// The entries of range `range` of `ranges` as of a commit, in the order of their hashes, as
/// batches with the columns `columns`: pairs of `"key"` or `"value"` and `"binary"` or `"string"`.
#[pyfunction]
#[pyo3(signature = (path, columns, *, commit, range, ranges, family = 0, batch_rows = 10_000))]
#[expect(clippy::too_many_arguments, reason = "they are the keywords of a function of Python")]
pub(crate) fn spark_scan(
    py: Python<'_>,
    path: &Bound<'_, PyAny>,
    columns: Vec<(String, String)>,
    commit: u32,
    range: u32,
    ranges: u32,
    family: u32,
    batch_rows: usize,
) -> Result<SparkBatches, Error> {
    let place = place_of(&path_of(path)?)?;
    let columns = EntryColumns::named(&columns)?;
    let hashes = hash_range(range, ranges)?;
    let hashes = hashes.min..=hashes.max;
    let set = py.detach(|| open_commit(&place, family, commit, hashes.clone()))?;
    let batches = EntryBatches::new(Walk::new(Arc::new(set), hashes), columns, batch_rows);
    Ok(SparkBatches(Mutex::new(Some(Box::new(batches)))))
}

/// The entries of some keys as of a commit, as `spark_scan` gives them. Keys that are not there
/// have no row, keys with several values have several.
#[pyfunction]
#[pyo3(signature = (path, columns, keys, *, commit, family = 0))]
pub(crate) fn spark_lookup(
    py: Python<'_>,
    path: &Bound<'_, PyAny>,
    columns: Vec<(String, String)>,
    keys: Vec<Vec<u8>>,
    commit: u32,
    family: u32,
) -> Result<SparkBatches, Error> {
    let place = place_of(&path_of(path)?)?;
    let columns = EntryColumns::named(&columns)?;
    py.detach(|| {
        let set = Arc::new(open_commit(&place, family, commit, 0..=u64::MAX)?);
        let mut rows = columns.rows();
        for key in &keys {
            // Filters are asked first. The walk then shows what a scan shows: the entries of the
            // newest table that has the key.
            if !set.contains_key(key)? {
                continue;
            }
            let hash = hash_key(key);
            let mut walk = Walk::new(Arc::clone(&set), hash..=hash);
            while rows.take_next(&mut walk, Some(key))? {}
        }
        let batch = columns.batch(rows)?;
        let schema = batch.schema();
        let batches = RecordBatchIterator::new([Ok(batch)], schema);
        Ok(SparkBatches(Mutex::new(Some(Box::new(batches)))))
    })
}
