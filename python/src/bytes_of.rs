//! Keys and values of Python objects.
//!
//! An object that has bytes is those bytes, a text its UTF-8, an integer its decimal digits: the
//! key 42 is that of the text "42", as `sst load` stores a column of integers.

use std::borrow::Cow;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyInt, PyString};

use crate::errors::Error;
use crate::memory::ForeignBuffer;

/// The bytes of a key or value. They are borrowed from `bytes` and `str`, which never change, and
/// copied from all else.
pub(crate) fn bytes_of<'a>(object: &'a Bound<'_, PyAny>) -> Result<Cow<'a, [u8]>, Error> {
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(Cow::Borrowed(bytes.as_bytes()));
    }
    other_bytes_of(object)
}

#[cold]
fn other_bytes_of<'a>(object: &'a Bound<'_, PyAny>) -> Result<Cow<'a, [u8]>, Error> {
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(Cow::Borrowed(text.to_str()?.as_bytes()));
    }
    if object.is_instance_of::<PyInt>() && !object.is_instance_of::<PyBool>() {
        return Ok(Cow::Owned(object.str()?.to_str()?.as_bytes().to_vec()));
    }
    // `bytearray`, `memoryview`, `numpy.bytes_` … but no array of numbers, whose bytes are not
    // meant.
    if let Ok(buffer) = ForeignBuffer::of(object)
        && is_of_bytes(&buffer.layout().format)
    {
        return Ok(Cow::Owned(buffer.to_vec()));
    }
    let name = object.get_type().name()?;
    Err(Error::Type(format!("not bytes, str or int: {name}")))
}

fn is_of_bytes(format: &str) -> bool {
    matches!(format, "B" | "b" | "c" | "<B" | "@B" | "|B") || format.ends_with('s')
}
