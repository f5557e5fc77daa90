//! The keys of a call for many: a list, an array of NumPy, or one of Arrow.

use std::borrow::Cow;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::bytes_of::bytes_of;
use crate::columns::{Column, Scratch};
use crate::errors::Error;
use crate::memory::{ForeignBuffer, import_array, import_chunks};

/// Keys, held for as long as they are looked up.
pub(crate) enum Keys<'py> {
    Objects(Vec<Bound<'py, PyAny>>),
    Columns(Vec<Column>),
    /// Keys of one length, one after the other, from the memory of an array.
    Rows {
        bytes: Vec<u8>,
        len: usize,
        count: usize,
        strips_zeros: bool,
    },
}

impl<'py> Keys<'py> {
    pub(crate) fn of(object: &Bound<'py, PyAny>) -> Result<Self, Error> {
        if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
            return Self::objects(object);
        }
        if object.is_instance_of::<PyBytes>() || object.is_instance_of::<PyString>() {
            return Err(Error::Type("many keys are asked for, not one: use `get`".to_owned()));
        }
        if object.hasattr("__arrow_c_array__")? {
            return Ok(Self::Columns(vec![Column::new(&import_array(object)?, "keys")?]));
        }
        if object.hasattr("__arrow_c_stream__")? {
            match import_chunks(object) {
                Ok(chunks) => {
                    let columns = chunks.map(|chunk| Column::new(&chunk?, "keys"));
                    return Ok(Self::Columns(columns.collect::<Result<_, _>>()?));
                }
                // pandas has the method, and needs pyarrow for it.
                Err(Error::Python(error)) if error.is_instance_of::<PyImportError>(object.py()) => {
                }
                Err(error) => return Err(error),
            }
        }
        if object.hasattr("dtype")? && object.hasattr("tolist")? {
            return Self::of_array(object);
        }
        Self::objects(object)
    }

    /// The elements of anything that can be iterated.
    fn objects(object: &Bound<'py, PyAny>) -> Result<Self, Error> {
        Ok(Self::Objects(object.try_iter()?.collect::<PyResult<_>>()?))
    }

    /// The elements of an array of NumPy. Rows of bytes are taken from its memory, all else as
    /// objects.
    fn of_array(array: &Bound<'py, PyAny>) -> Result<Self, Error> {
        let dtype = array.getattr("dtype")?;
        let kind: String = dtype.getattr("kind")?.extract()?;
        let dimensions: usize = array.getattr("ndim")?.extract()?;
        let item_len: usize = dtype.getattr("itemsize")?.extract()?;
        let is_plain = dtype.getattr("names").is_ok_and(|names| names.is_none());
        let rows = match (kind.as_str(), dimensions) {
            ("S", 1) => Some(true),
            ("V", 1) if is_plain => Some(false),
            ("u", 2) if item_len == 1 => Some(false),
            _ => None,
        };
        if let (None, 2..) = (rows, dimensions) {
            return Err(Error::Type("keys are an array of one dimension".to_owned()));
        }
        let Some(strips_zeros) = rows else {
            return Self::objects(&array.call_method0("tolist")?);
        };
        let array = array.call_method0("copy")?;
        let buffer = ForeignBuffer::of(&array)?;
        let layout = buffer.layout();
        let count = layout.shape.first().copied().unwrap_or(0);
        let len = layout.item_len * layout.shape.iter().skip(1).product::<usize>();
        Ok(Self::Rows { bytes: buffer.to_vec(), len, count, strips_zeros })
    }

    /// The bytes of the keys, in their order; `None` for a null.
    pub(crate) fn bytes(&self) -> Result<Vec<Option<Cow<'_, [u8]>>>, Error> {
        match self {
            Self::Objects(objects) => {
                objects.iter().map(|object| bytes_of(object).map(Some)).collect()
            }
            Self::Columns(columns) => {
                let mut keys = Vec::with_capacity(columns.iter().map(Column::len).sum());
                for column in columns {
                    if column.has_bytes() {
                        keys.extend(
                            (0..column.len()).map(|row| column.borrowed(row).map(Cow::Borrowed)),
                        );
                    } else {
                        let mut scratch = Scratch::default();
                        keys.extend((0..column.len()).map(|row| {
                            column.get(row, &mut scratch).map(|key| Cow::Owned(key.to_vec()))
                        }));
                    }
                }
                Ok(keys)
            }
            Self::Rows { len: 0, count, .. } => {
                Ok((0..*count).map(|_| Some(Cow::Borrowed(&[][..]))).collect())
            }
            Self::Rows { bytes, len, strips_zeros, .. } => {
                let keys = bytes.chunks_exact(*len).map(|row| match strips_zeros {
                    true => without_zeros(row),
                    false => row,
                });
                Ok(keys.map(|key| Some(Cow::Borrowed(key))).collect())
            }
        }
    }
}

/// A row of an array of bytes as NumPy shows it: without the zeros at its end.
fn without_zeros(row: &[u8]) -> &[u8] {
    let len = row.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    row.get(..len).unwrap_or(row)
}
