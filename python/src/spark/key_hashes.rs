//! The hashes of keys, and the ranges that they are in.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use pyo3::prelude::*;
use sst_reader::hash_key;

use super::range_of;
use crate::arrow_array::ArrowBatch;
use crate::columns::{Column, Scratch};
use crate::errors::Error;
use crate::memory::import_array;

/// The highest bit of a hash, whose other value makes the order of signed integers that of hashes.
const SIGN: u64 = 1 << 63;

/// The hashes of an array of keys: a batch with the columns `order` and `range`. `order` is an
/// `int64` that ascends as the hash does, `range` the number of the hash's range of `ranges`, an
/// `int32`. A null as a key is an `EntryError`, whose position is that in the array.
#[pyfunction]
pub(crate) fn spark_key_hashes(
    py: Python<'_>,
    keys: &Bound<'_, PyAny>,
    ranges: u32,
) -> Result<ArrowBatch, Error> {
    let array = import_array(keys)?;
    if ranges == 0 || i32::try_from(ranges).is_err() {
        return Err(Error::usage("there are 1 to 2^31 - 1 ranges"));
    }
    py.detach(|| {
        let keys = Column::new(&array, "key")?;
        let mut orders = Vec::with_capacity(keys.len());
        let mut numbers = Vec::with_capacity(keys.len());
        let mut scratch = Scratch::default();
        for row in 0..keys.len() {
            let key = keys.get(row, &mut scratch);
            let position = row as u64;
            let key = key.ok_or(Error::Entry { position, reason: "its key is null" })?;
            let hash = hash_key(key);
            orders.push((hash ^ SIGN).cast_signed());
            numbers.push(range_of(hash, ranges).cast_signed());
        }
        let columns: Vec<ArrayRef> =
            vec![Arc::new(Int64Array::from(orders)), Arc::new(Int32Array::from(numbers))];
        let fields = vec![
            Field::new("order", DataType::Int64, false),
            Field::new("range", DataType::Int32, false),
        ];
        Ok(ArrowBatch(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?))
    })
}
