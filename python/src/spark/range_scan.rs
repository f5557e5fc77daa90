//! Reading: batches of the entries of one range of hashes, and lookups of some keys.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{
    ArrayRef, RecordBatch, RecordBatchIterator, RecordBatchOptions, RecordBatchReader,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use sst_format::SequenceNumber;
use sst_object_store::Place;
use sst_reader::{
    Catalog, EntryRef, ReadError, ReadValue, ReaderOptions, SetCursor, SstSet, hash_key,
};

use super::base::conflict;
use super::hash_range;
use crate::arrow_array::Cells;
use crate::errors::Error;
use crate::memory::export_stream;
use crate::place::{path_of, place_of, plain_options};

/// Bytes after which a batch ends, so that its offsets fit into 32 bits.
const BATCH_BYTES: usize = 16 << 20;

/// The columns of a scan, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Key,
    Value,
}

/// The columns that are asked for: names, parts of the entry, and whether each is text.
#[derive(Clone, Debug)]
struct Columns {
    parts: Vec<(Part, bool)>,
    schema: SchemaRef,
}

impl Columns {
    /// `columns` are pairs of a name, `key` or `value`, and a type, `binary` or `string`.
    fn new(columns: &[(String, String)]) -> Result<Self, Error> {
        let mut parts = Vec::with_capacity(columns.len());
        let mut fields = Vec::with_capacity(columns.len());
        for (name, kind) in columns {
            let part = match name.as_str() {
                "key" => Part::Key,
                "value" => Part::Value,
                _ => {
                    return Err(Error::usage(format!(
                        "there is no column {name:?}: a set has key and value"
                    )));
                }
            };
            let is_text = match kind.as_str() {
                "binary" => false,
                "string" => true,
                _ => {
                    return Err(Error::usage(format!(
                        "column {name:?} is binary or string, not {kind}"
                    )));
                }
            };
            let data_type = if is_text { DataType::Utf8 } else { DataType::Binary };
            fields.push(Field::new(name, data_type, true));
            parts.push((part, is_text));
        }
        Ok(Self { parts, schema: Arc::new(Schema::new(fields)) })
    }

    fn wants_values(&self) -> bool {
        self.parts.iter().any(|(part, _)| *part == Part::Value)
    }

    /// The batch of some entries.
    fn batch(&self, keys: Cells, values: Cells, rows: usize) -> Result<RecordBatch, Error> {
        let (mut keys, mut values) = (Some(keys), Some(values));
        let mut made: [Option<ArrayRef>; 2] = [None, None];
        let mut arrays = Vec::with_capacity(self.parts.len());
        for (part, is_text) in &self.parts {
            let [key, value] = &mut made;
            let (cells, array) = match part {
                Part::Key => (&mut keys, key),
                Part::Value => (&mut values, value),
            };
            if let Some(cells) = cells.take() {
                *array = Some(cells.into_array(*is_text, Some(false))?);
            }
            let twice = || Error::usage("a column is asked for once");
            arrays.push(array.take().ok_or_else(twice)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)?)
    }
}

self_cell::self_cell!(
    /// A cursor, and the set that it walks.
    struct OwnedCursor {
        owner: Arc<SstSet>,

        #[not_covariant]
        dependent: SetCursor,
    }
);

/// The batches of a range.
struct Batches {
    cursor: Option<OwnedCursor>,
    columns: Columns,
    rows: usize,
}

impl Batches {
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, Error> {
        let Some(cursor) = &mut self.cursor else { return Ok(None) };
        let (mut keys, mut values) = (Cells::default(), Cells::default());
        let wants_values = self.columns.wants_values();
        let mut rows = 0;
        let mut is_over = false;
        while rows < self.rows && keys.byte_len() + values.byte_len() < BATCH_BYTES {
            let taken = cursor.with_dependent_mut(|set, cursor| {
                take_next(set, cursor, wants_values, &mut keys, &mut values)
            });
            is_over = !taken?;
            if is_over {
                break;
            }
            rows += 1;
        }
        if is_over {
            self.cursor = None;
        }
        if rows == 0 {
            return Ok(None);
        }
        self.columns.batch(keys, values, rows).map(Some)
    }
}

/// Takes the next entry; false at the end.
fn take_next(
    set: &SstSet,
    cursor: &mut SetCursor<'_>,
    wants_values: bool,
    keys: &mut Cells,
    values: &mut Cells,
) -> Result<bool, Error> {
    let Some(entry) = cursor.next()? else { return Ok(false) };
    take(set, entry, wants_values, keys, values)?;
    Ok(true)
}

fn take(
    set: &SstSet,
    entry: EntryRef<'_>,
    wants_values: bool,
    keys: &mut Cells,
    values: &mut Cells,
) -> Result<(), Error> {
    keys.push(Some(entry.key));
    // The block of a value is read only if the value is wanted.
    if wants_values {
        let found: Result<ReadValue<&[u8]>, ReadError> = entry.into_value();
        match found? {
            ReadValue::Value(value) => values.push(Some(value)),
            ReadValue::Blob(number) => values.push(Some(&set.read_blob(number)?)),
            ReadValue::Deleted => return Err(Error::Internal("live entries are no tombstones")),
        }
    }
    Ok(())
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.next_batch();
        if batch.is_err() {
            self.cursor = None;
        }
        let batch = batch.transpose()?;
        Some(batch.map_err(|error| ArrowError::ExternalError(Box::new(error))))
    }
}

impl RecordBatchReader for Batches {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.columns.schema)
    }
}

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
    let columns = Columns::new(&columns)?;
    let hashes = hash_range(range, ranges)?;
    let hashes = hashes.min..=hashes.max;
    let set = py.detach(|| open_commit(&place, family, commit, hashes.clone()))?;
    let cursor = OwnedCursor::new(Arc::new(set), |set| set.range(hashes).into_cursor());
    let batches = Batches { cursor: Some(cursor), columns, rows: batch_rows.max(1) };
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
    let columns = Columns::new(&columns)?;
    py.detach(|| {
        let set = open_commit(&place, family, commit, 0..=u64::MAX)?;
        let (mut found_keys, mut values) = (Cells::default(), Cells::default());
        let mut rows = 0;
        let wants_values = columns.wants_values();
        for key in &keys {
            // Filters are asked first. The walk then shows what a scan shows: the entries of the
            // newest table that has the key.
            if !set.contains_key(key)? {
                continue;
            }
            let hash = hash_key(key);
            let mut cursor = set.range(hash..=hash).into_cursor();
            while let Some(entry) = cursor.next()? {
                if entry.key == key.as_slice() {
                    take(&set, entry, wants_values, &mut found_keys, &mut values)?;
                    rows += 1;
                }
            }
        }
        let batch = columns.batch(found_keys, values, rows)?;
        let schema = batch.schema();
        let batches = RecordBatchIterator::new([Ok(batch)], schema);
        Ok(SparkBatches(Mutex::new(Some(Box::new(batches)))))
    })
}
