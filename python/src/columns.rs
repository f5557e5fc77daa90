//! Columns of Arrow whose cells are keys or values.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowDictionaryKeyType, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, DictionaryArray, FixedSizeBinaryArray,
    LargeBinaryArray, LargeStringArray, StringArray, StringViewArray,
};
use arrow_schema::DataType;

use crate::errors::Error;

/// A column of bytes, text or integers.
#[derive(Clone)]
pub(crate) enum Column {
    Binary(BinaryArray),
    LargeBinary(LargeBinaryArray),
    BinaryView(BinaryViewArray),
    FixedSizeBinary(FixedSizeBinaryArray),
    Text(StringArray),
    LargeText(LargeStringArray),
    TextView(StringViewArray),
    Integers(ArrayRef),
    /// Values of a dictionary, and for each row the place of its value; `None` for a null.
    Dictionary(Box<Column>, Vec<Option<usize>>),
    /// Nulls only.
    Null(usize),
}

/// Writes integers. It is kept between cells, so that they share its memory.
#[derive(Default)]
pub(crate) struct Scratch(String);

impl Column {
    /// The column of an array; an error if its cells are something else.
    pub(crate) fn new(array: &ArrayRef, name: &str) -> Result<Self, Error> {
        // Offsets that go backwards would be read as lengths of anything.
        array.to_data().validate_full()?;
        Self::of_valid(array, name)
    }

    fn of_valid(array: &ArrayRef, name: &str) -> Result<Self, Error> {
        Ok(match array.data_type() {
            DataType::Binary => Self::Binary(array.as_binary().clone()),
            DataType::LargeBinary => Self::LargeBinary(array.as_binary().clone()),
            DataType::BinaryView => Self::BinaryView(array.as_binary_view().clone()),
            DataType::FixedSizeBinary(_) => {
                Self::FixedSizeBinary(array.as_fixed_size_binary().clone())
            }
            DataType::Utf8 => Self::Text(array.as_string().clone()),
            DataType::LargeUtf8 => Self::LargeText(array.as_string().clone()),
            DataType::Utf8View => Self::TextView(array.as_string_view().clone()),
            // Decimals without a fraction are the long integers of some: duckdb sums integers to
            // them.
            DataType::Decimal128(_, 0) => Self::Integers(ArrayRef::clone(array)),
            data_type if data_type.is_integer() => Self::Integers(ArrayRef::clone(array)),
            DataType::Dictionary(key, _) => match **key {
                DataType::Int8 => Self::of_dictionary(array.as_dictionary::<Int8Type>(), name)?,
                DataType::Int16 => Self::of_dictionary(array.as_dictionary::<Int16Type>(), name)?,
                DataType::Int32 => Self::of_dictionary(array.as_dictionary::<Int32Type>(), name)?,
                DataType::Int64 => Self::of_dictionary(array.as_dictionary::<Int64Type>(), name)?,
                DataType::UInt8 => Self::of_dictionary(array.as_dictionary::<UInt8Type>(), name)?,
                DataType::UInt16 => Self::of_dictionary(array.as_dictionary::<UInt16Type>(), name)?,
                DataType::UInt32 => Self::of_dictionary(array.as_dictionary::<UInt32Type>(), name)?,
                _ => Self::of_dictionary(array.as_dictionary::<UInt64Type>(), name)?,
            },
            DataType::Null => Self::Null(array.len()),
            other => {
                return Err(Error::usage(format!(
                    "{name}: {other} is no type of keys or values: cast it to binary, string or an \
                     integer first"
                )));
            }
        })
    }

    fn of_dictionary<K: ArrowDictionaryKeyType>(
        array: &DictionaryArray<K>,
        name: &str,
    ) -> Result<Self, Error> {
        let values = Self::of_valid(array.values(), name)?;
        let places = (0..array.len()).map(|row| array.key(row)).collect();
        Ok(Self::Dictionary(Box::new(values), places))
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Binary(array) => array.len(),
            Self::LargeBinary(array) => array.len(),
            Self::BinaryView(array) => array.len(),
            Self::FixedSizeBinary(array) => array.len(),
            Self::Text(array) => array.len(),
            Self::LargeText(array) => array.len(),
            Self::TextView(array) => array.len(),
            Self::Integers(array) => array.len(),
            Self::Dictionary(_, places) => places.len(),
            Self::Null(len) => *len,
        }
    }

    /// The bytes of a cell; `None` if it is null. `row` is below [`Column::len`].
    #[inline]
    pub(crate) fn get<'a>(&'a self, row: usize, scratch: &'a mut Scratch) -> Option<&'a [u8]> {
        debug_assert!(row < self.len(), "a row beyond the column would count as a null");
        match self {
            Self::Integers(array) => scratch.integer(array, row),
            Self::Dictionary(values, places) => {
                let place = places.get(row).copied().flatten()?;
                values.get(place, scratch)
            }
            // The bytes of all others lie in the column.
            _ => self.borrowed(row),
        }
    }

    /// The bytes of a cell that lie in the column; `None` if it is null or an integer.
    #[inline]
    pub(crate) fn borrowed(&self, row: usize) -> Option<&[u8]> {
        debug_assert!(row < self.len(), "a row beyond the column would count as a null");
        macro_rules! cell {
            ($array:ident) => {
                if $array.is_null(row) { None } else { Some($array.value(row).as_ref()) }
            };
        }
        match self {
            Self::Binary(array) => cell!(array),
            Self::LargeBinary(array) => cell!(array),
            Self::BinaryView(array) => cell!(array),
            Self::FixedSizeBinary(array) => cell!(array),
            Self::Text(array) => cell!(array),
            Self::LargeText(array) => cell!(array),
            Self::TextView(array) => cell!(array),
            Self::Dictionary(values, places) => {
                values.borrowed(places.get(row).copied().flatten()?)
            }
            Self::Integers(_) | Self::Null(_) => None,
        }
    }

    /// Calls `each` with the bytes of all cells, in their order, in a column that
    /// [`Column::has_bytes`]; with `None` for a null.
    pub(crate) fn for_each_borrowed<'a>(&'a self, mut each: impl FnMut(Option<&'a [u8]>)) {
        macro_rules! cells {
            ($array:ident) => {
                $array.iter().for_each(|cell| each(cell.map(AsRef::as_ref)))
            };
        }
        match self {
            Self::Binary(array) => cells!(array),
            Self::LargeBinary(array) => cells!(array),
            Self::BinaryView(array) => cells!(array),
            Self::FixedSizeBinary(array) => cells!(array),
            Self::Text(array) => cells!(array),
            Self::LargeText(array) => cells!(array),
            Self::TextView(array) => cells!(array),
            Self::Dictionary(..) | Self::Integers(_) | Self::Null(_) => {
                (0..self.len()).for_each(|row| each(self.borrowed(row)));
            }
        }
    }

    /// Whether the cells lie in the column as bytes.
    pub(crate) fn has_bytes(&self) -> bool {
        match self {
            Self::Integers(_) => false,
            Self::Dictionary(values, _) => values.has_bytes(),
            Self::Binary(_)
            | Self::LargeBinary(_)
            | Self::BinaryView(_)
            | Self::FixedSizeBinary(_)
            | Self::Text(_)
            | Self::LargeText(_)
            | Self::TextView(_)
            | Self::Null(_) => true,
        }
    }
}

impl Scratch {
    /// The decimal digits of an integer.
    fn integer(&mut self, array: &ArrayRef, row: usize) -> Option<&[u8]> {
        use std::fmt::Write;

        if array.is_null(row) {
            return None;
        }
        self.0.clear();
        macro_rules! digits {
            ($type:ty) => {
                write!(self.0, "{}", array.as_primitive::<$type>().value(row))
            };
        }
        let written = match array.data_type() {
            DataType::Int8 => digits!(Int8Type),
            DataType::Int16 => digits!(Int16Type),
            DataType::Int32 => digits!(Int32Type),
            DataType::Int64 => digits!(Int64Type),
            DataType::UInt8 => digits!(UInt8Type),
            DataType::UInt16 => digits!(UInt16Type),
            DataType::UInt32 => digits!(UInt32Type),
            DataType::UInt64 => digits!(UInt64Type),
            // `Column::new` takes no others.
            _ => digits!(Decimal128Type),
        };
        // Writing to a string does not fail.
        written.ok()?;
        Some(self.0.as_bytes())
    }
}
