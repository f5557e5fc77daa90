//! Arrays of Arrow that Python gets, through the PyCapsule interface.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BinaryArray, LargeBinaryArray, RecordBatch, StructArray};
use arrow_array::{LargeStringArray, OffsetSizeTrait, StringArray};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PyList, PyString, PyTuple};

use crate::columns::{Column, Scratch};
use crate::errors::Error;
use crate::memory::export_array;

/// Cells of bytes, one after the other.
#[derive(Default)]
pub(crate) struct Cells {
    bytes: Vec<u8>,
    /// Where each cell ends.
    ends: Vec<usize>,
    /// Whether each cell has a value.
    valid: Vec<bool>,
    nulls: usize,
}

impl Cells {
    pub(crate) fn with_capacity(cells: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            ends: Vec::with_capacity(cells),
            valid: Vec::with_capacity(cells),
            nulls: 0,
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, cell: Option<&[u8]>) {
        match cell {
            Some(cell) => self.bytes.extend_from_slice(cell),
            None => self.nulls += 1,
        }
        self.ends.push(self.bytes.len());
        self.valid.push(cell.is_some());
    }

    /// Adds the cells of another array behind these.
    pub(crate) fn append(&mut self, other: &Self) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.ends.extend(other.ends.iter().map(|end| start + end));
        self.valid.extend_from_slice(&other.valid);
        self.nulls += other.nulls;
    }

    pub(crate) fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// An array of them, of text if `is_text`. Cells of 2 GiB in sum get offsets of 64 bits if
    /// `is_large` is `None`, else as it says.
    pub(crate) fn into_array(
        self,
        is_text: bool,
        is_large: Option<bool>,
    ) -> Result<ArrayRef, Error> {
        let Self { bytes, ends, valid, nulls } = self;
        let fits = i32::try_from(bytes.len()).is_ok();
        let nulls = (nulls > 0).then(|| NullBuffer::from(valid));
        let bytes = Buffer::from_vec(bytes);
        if is_large.unwrap_or(!fits) {
            let offsets = offsets(&ends, |end| i64::try_from(end).ok())?;
            return Ok(match is_text {
                true => Arc::new(LargeStringArray::try_new(offsets, bytes, nulls)?),
                false => Arc::new(LargeBinaryArray::try_new(offsets, bytes, nulls)?),
            });
        }
        let offsets = offsets(&ends, |end| i32::try_from(end).ok())?;
        Ok(match is_text {
            true => Arc::new(StringArray::try_new(offsets, bytes, nulls)?),
            false => Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?),
        })
    }
}

fn offsets<O: OffsetSizeTrait>(
    ends: &[usize],
    offset: impl Fn(usize) -> Option<O>,
) -> Result<OffsetBuffer<O>, Error> {
    let mut offsets = Vec::with_capacity(ends.len() + 1);
    offsets.push(O::usize_as(0));
    for end in ends {
        let too_long = || Error::usage("a batch has more than 2 GiB: ask for fewer rows");
        offsets.push(offset(*end).ok_or_else(too_long)?);
    }
    Ok(OffsetBuffer::new(ScalarBuffer::from(offsets)))
}

/// An array of Arrow: `pyarrow.array(it)`, `polars.Series(it)` and others take it without a copy.
#[pyclass(frozen, module = "sst_files", name = "ArrowArray")]
pub(crate) struct ArrowArray(pub(crate) ArrayRef);

#[pymethods]
impl ArrowArray {
    /// Number of elements.
    fn __len__(&self) -> usize {
        self.0.len()
    }

    /// Number of nulls.
    #[getter]
    fn null_count(&self) -> usize {
        self.0.null_count()
    }

    /// The type of Arrow, such as `Binary`.
    #[getter(r#type)]
    fn data_type(&self) -> String {
        self.0.data_type().to_string()
    }

    /// Its elements as `bytes`, or `str` if it is of text.
    fn to_pylist<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyList>, Error> {
        to_list(py, &self.0)
    }

    /// An element, as in `to_pylist`. Negative numbers count from the end.
    fn __getitem__<'py>(&self, py: Python<'py>, index: isize) -> Result<Bound<'py, PyAny>, Error> {
        let len = self.0.len();
        let place = match usize::try_from(index) {
            Ok(place) => Some(place),
            Err(_) => len.checked_sub(index.unsigned_abs()),
        };
        match place.filter(|place| *place < len) {
            Some(place) => Ok(to_list(py, &self.0.slice(place, 1))?.get_item(0)?),
            None => Err(PyIndexError::new_err("there is no such element").into()),
        }
    }

    /// An iterator over its elements, as in `to_pylist`.
    fn __iter__<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyIterator>, Error> {
        Ok(to_list(py, &self.0)?.try_iter()?)
    }

    /// Capsules of its schema and its data: the PyCapsule interface of Arrow. A wish for another
    /// schema is ignored, as the interface allows.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyTuple>, Error> {
        drop(requested_schema);
        export_array(py, &self.0, "")
    }

    fn __repr__(&self) -> String {
        let (len, data_type) = (self.0.len(), self.0.data_type());
        format!("ArrowArray({data_type}, len={len}, null_count={})", self.0.null_count())
    }
}

/// A batch of entries of Arrow, with the columns `key` and `value`.
#[pyclass(frozen, module = "sst_files", name = "ArrowBatch")]
pub(crate) struct ArrowBatch(pub(crate) RecordBatch);

#[pymethods]
impl ArrowBatch {
    /// Number of rows.
    fn __len__(&self) -> usize {
        self.0.num_rows()
    }

    /// Number of rows.
    #[getter]
    fn num_rows(&self) -> usize {
        self.0.num_rows()
    }

    /// The keys.
    #[getter]
    fn keys(&self) -> Result<ArrowArray, Error> {
        self.column(0)
    }

    /// The values.
    #[getter]
    fn values(&self) -> Result<ArrowArray, Error> {
        self.column(1)
    }

    /// Capsules of its schema and its data: the PyCapsule interface of Arrow.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyTuple>, Error> {
        drop(requested_schema);
        let array: ArrayRef = Arc::new(StructArray::from(self.0.clone()));
        export_array(py, &array, "")
    }

    fn __repr__(&self) -> String {
        format!("ArrowBatch(num_rows={})", self.0.num_rows())
    }
}

impl ArrowBatch {
    fn column(&self, index: usize) -> Result<ArrowArray, Error> {
        let column = self.0.columns().get(index);
        let column = column.ok_or(Error::Internal("a batch of entries has two columns"))?;
        Ok(ArrowArray(ArrayRef::clone(column)))
    }
}

fn to_list<'py>(py: Python<'py>, array: &ArrayRef) -> Result<Bound<'py, PyList>, Error> {
    let is_text = matches!(array.data_type(), DataType::Utf8 | DataType::LargeUtf8);
    let column = Column::new(array, "array")?;
    let mut scratch = Scratch::default();
    let list = PyList::empty(py);
    for row in 0..column.len() {
        match column.get(row, &mut scratch) {
            None => list.append(py.None())?,
            Some(cell) if is_text => list.append(PyString::from_bytes(py, cell)?)?,
            Some(cell) => list.append(PyBytes::new(py, cell))?,
        }
    }
    Ok(list)
}
