//! The keys of a call for many: a list, an array of NumPy, or one of Arrow.

use std::borrow::Cow;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyList, PyMemoryView, PyString, PyTuple};

use crate::bytes_of::bytes_of;
use crate::columns::{Column, Scratch};
use crate::errors::Error;
use crate::memory::{ForeignBuffer, import_array, import_chunks};

/// Keys, held for as long as they are looked up.
pub(crate) enum Keys<'py> {
    Objects(Vec<Bound<'py, PyAny>>),
    Held(HeldKeys),
}

/// Keys that hold nothing of Python's.
pub(crate) enum HeldKeys {
    Columns(Vec<Column>),
    /// Keys of one length, one after the other, from the memory of an array.
    Rows {
        bytes: Vec<u8>,
        len: usize,
        count: usize,
        strips_zeros: bool,
    },
}

/// The bytes of keys, without the nulls among them.
pub(crate) struct PresentKeys<'k> {
    pub(crate) keys: Vec<&'k [u8]>,
    /// The places of nulls, ascending.
    pub(crate) nulls: Vec<usize>,
}

impl PresentKeys<'_> {
    /// Number of keys, nulls included.
    pub(crate) fn len(&self) -> usize {
        self.keys.len() + self.nulls.len()
    }

    /// Calls `each` with the answer of each key, those of nulls included.
    pub(crate) fn with_nulls<V, E>(
        &self,
        values: Vec<Option<V>>,
        mut each: impl FnMut(Option<V>) -> Result<(), E>,
    ) -> Result<(), E> {
        debug_assert_eq!(values.len() + self.nulls.len(), self.len(), "each key has an answer");
        let mut values = values.into_iter();
        let mut next_null = self.nulls.iter().peekable();
        for place in 0..self.len() {
            match next_null.next_if_eq(&&place) {
                Some(_) => each(None)?,
                // There is a value, or none, for each key.
                None => each(values.next().flatten())?,
            }
        }
        Ok(())
    }
}

impl<'py> Keys<'py> {
    pub(crate) fn of(object: &Bound<'py, PyAny>) -> Result<Self, Error> {
        if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
            return Self::objects(object);
        }
        if is_one_key(object) {
            return Err(Error::Type("many keys are asked for, not one: use `get`".to_owned()));
        }
        if object.hasattr("__arrow_c_array__")? {
            let column = Column::new(&import_array(object)?, "keys")?;
            return Ok(Self::Held(HeldKeys::Columns(vec![column])));
        }
        if object.hasattr("__arrow_c_stream__")? {
            match import_chunks(object) {
                Ok(chunks) => {
                    let columns = chunks.map(|chunk| Column::new(&chunk?, "keys"));
                    let columns = columns.collect::<Result<_, Error>>()?;
                    return Ok(Self::Held(HeldKeys::Columns(columns)));
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

    /// The elements of an array of NumPy, or of pandas. Rows of bytes are taken from its memory,
    /// all else as objects.
    fn of_array(array: &Bound<'py, PyAny>) -> Result<Self, Error> {
        let dimensions: usize = array.getattr("ndim")?.extract()?;
        let rows = rows_of_bytes(&array.getattr("dtype")?, dimensions)?;
        if rows.is_none() && dimensions != 1 {
            return Err(Error::Type("keys are an array of one dimension".to_owned()));
        }
        let Some(strips_zeros) = rows else {
            return Self::objects(&array.call_method0("tolist")?);
        };
        let array = array.call_method0("copy")?;
        let buffer = ForeignBuffer::of(&array)?;
        let layout = buffer.layout()?;
        let broken = || Error::Internal("the shape of an array is that of its bytes");
        let (count, row) = layout.shape.split_first().ok_or_else(broken)?;
        let len = layout.item_len * row.iter().product::<usize>();
        let bytes = buffer.to_vec()?;
        match count.checked_mul(len) == Some(bytes.len()) {
            true => Ok(Self::Held(HeldKeys::Rows { bytes, len, count: *count, strips_zeros })),
            false => Err(broken()),
        }
    }
}

/// Whether an object is a key rather than many.
fn is_one_key(object: &Bound<'_, PyAny>) -> bool {
    object.is_instance_of::<PyBytes>()
        || object.is_instance_of::<PyString>()
        || object.is_instance_of::<PyByteArray>()
        || object.is_instance_of::<PyMemoryView>()
}

/// Whether the rows of an array are keys as they lie in memory, and if so, whether zeros at their
/// end are no part of them.
fn rows_of_bytes(dtype: &Bound<'_, PyAny>, dimensions: usize) -> Result<Option<bool>, Error> {
    // Types of pandas have other kinds, or none of these attributes.
    let (Some(kind), Some(item_len)) = (dtype.getattr_opt("kind")?, dtype.getattr_opt("itemsize")?)
    else {
        return Ok(None);
    };
    let is_plain = dtype.getattr_opt("names")?.is_some_and(|names| names.is_none());
    let (kind, item_len): (String, usize) = (kind.extract()?, item_len.extract()?);
    Ok(match (kind.as_str(), dimensions) {
        ("S", 1) => Some(true),
        ("V", 1) if is_plain => Some(false),
        ("u", 2) if item_len == 1 => Some(false),
        _ => None,
    })
}

/// The bytes of objects. Those of `bytes` and `str` are borrowed.
pub(crate) fn bytes_of_objects<'k>(
    objects: &'k [Bound<'_, PyAny>],
) -> Result<Vec<Cow<'k, [u8]>>, Error> {
    let numbered = objects.iter().enumerate();
    let bytes = numbered.map(|(place, object)| {
        bytes_of(object).map_err(|error| match error {
            Error::Type(text) => Error::Type(format!("key {place}: {text}")),
            other => other,
        })
    });
    bytes.collect()
}

impl HeldKeys {
    /// The bytes of the keys, in their order. `digits` is where those of integers are put.
    pub(crate) fn present<'k>(&'k self, digits: &'k mut Vec<u8>) -> PresentKeys<'k> {
        match self {
            Self::Columns(columns) => of_columns(columns, digits),
            Self::Rows { len: 0, count, .. } => {
                PresentKeys { keys: vec![&[]; *count], nulls: Vec::new() }
            }
            Self::Rows { bytes, len, strips_zeros, .. } => {
                let keys = bytes.chunks_exact(*len).map(|row| match strips_zeros {
                    true => without_zeros(row),
                    false => row,
                });
                PresentKeys { keys: keys.collect(), nulls: Vec::new() }
            }
        }
    }
}

fn of_columns<'k>(columns: &'k [Column], digits: &'k mut Vec<u8>) -> PresentKeys<'k> {
    let len = columns.iter().map(Column::len).sum();
    let (mut keys, mut nulls) = (Vec::with_capacity(len), Vec::new());
    let mut place = 0;
    if columns.iter().all(Column::has_bytes) {
        for column in columns {
            column.for_each_borrowed(|key| {
                match key {
                    Some(key) => keys.push(key),
                    None => nulls.push(place),
                }
                place += 1;
            });
        }
        return PresentKeys { keys, nulls };
    }
    // Integers: all digits first, then the parts of them.
    let mut lens = Vec::with_capacity(len);
    let mut scratch = Scratch::default();
    for column in columns {
        for row in 0..column.len() {
            match column.get(row, &mut scratch) {
                Some(key) => {
                    digits.extend_from_slice(key);
                    lens.push(key.len());
                }
                None => nulls.push(place),
            }
            place += 1;
        }
    }
    let mut rest = digits.as_slice();
    for len in lens {
        let (key, after) = rest.split_at(len);
        keys.push(key);
        rest = after;
    }
    PresentKeys { keys, nulls }
}

/// A row of an array of bytes as NumPy shows it: without the zeros at its end.
fn without_zeros(mut row: &[u8]) -> &[u8] {
    while let [start @ .., 0] = row {
        row = start;
    }
    row
}
