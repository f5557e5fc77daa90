//! Keys and values of Python objects.
//!
//! An object that has bytes is those bytes, a text its UTF-8, an integer its decimal digits: the
//! key 42 is that of the text "42", as `sst load` stores a column of integers.

use std::borrow::Cow;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyInt, PyMemoryView, PyString};

use crate::errors::Error;
use crate::memory::ForeignBuffer;

/// The bytes of a key or value. They are borrowed from `bytes` and `str`, which never change, and
/// copied from all else.
#[inline]
pub(crate) fn bytes_of<'a>(object: &'a Bound<'_, PyAny>) -> Result<Cow<'a, [u8]>, Error> {
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(Cow::Borrowed(bytes.as_bytes()));
    }
    other_bytes_of(object)
}

#[inline(never)]
fn other_bytes_of<'a>(object: &'a Bound<'_, PyAny>) -> Result<Cow<'a, [u8]>, Error> {
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(Cow::Borrowed(text.to_str()?.as_bytes()));
    }
    if let Ok(integer) = object.cast::<PyInt>() {
        return match object.is_instance_of::<PyBool>() {
            true => Err(unsuitable(object)),
            false => digits_of(integer).map(Cow::Owned),
        };
    }
    if is_time(object)? {
        return Err(unsuitable(object));
    }
    if let Ok(buffer) = ForeignBuffer::of(object) {
        let layout = buffer.layout()?;
        // `bytearray`, `memoryview`, `numpy.bytes_` … but no array of numbers, whose bytes are not
        // meant, and no single number of one byte.
        if is_of_bytes(&layout.format) && !layout.is_number() {
            return Ok(Cow::Owned(buffer.to_vec()?));
        }
        if !layout.is_number() {
            return Err(unsuitable(object));
        }
    } else if object.is_instance_of::<PyMemoryView>()
        && is_of_bytes(object.getattr("format")?.extract()?)
    {
        // A view of bytes that do not lie one after the other.
        let bytes = object.call_method0("tobytes")?;
        return Ok(Cow::Owned(bytes.cast::<PyBytes>().map_err(PyErr::from)?.as_bytes().to_vec()));
    }
    // Integers that are none of Python's, such as those of NumPy.
    let index = object.py().import("operator")?.getattr("index")?;
    match index.call1((object,)) {
        Ok(integer) => Ok(Cow::Owned(digits_of(integer.cast().map_err(PyErr::from)?)?)),
        Err(_) => Err(unsuitable(object)),
    }
}

#[cold]
fn unsuitable(object: &Bound<'_, PyAny>) -> Error {
    match object.get_type().name() {
        Ok(name) => Error::Type(format!("not bytes, str or int: {name}")),
        Err(error) => error.into(),
    }
}

/// The decimal digits of an integer, whatever a class that is derived from `int` shows instead.
fn digits_of(integer: &Bound<'_, PyInt>) -> Result<Vec<u8>, Error> {
    if let Ok(integer) = integer.extract::<i64>() {
        return Ok(integer.to_string().into_bytes());
    }
    let digits = integer.py().get_type::<PyInt>().call_method1("__repr__", (integer,))?;
    Ok(digits.cast::<PyString>().map_err(PyErr::from)?.to_str()?.as_bytes().to_vec())
}

/// Whether it is a time of NumPy, which shows its memory as bytes.
fn is_time(object: &Bound<'_, PyAny>) -> Result<bool, Error> {
    let Some(dtype) = object.getattr_opt("dtype")? else { return Ok(false) };
    let Some(kind) = dtype.getattr_opt("kind")? else { return Ok(false) };
    Ok(kind.extract::<char>().is_ok_and(|kind| matches!(kind, 'm' | 'M')))
}

/// Whether this is the format of a buffer of bytes.
pub(crate) fn is_of_bytes(format: &str) -> bool {
    matches!(format, "B" | "b" | "c" | "<B" | "@B" | "|B") || format.ends_with(['s', 'x'])
}
