//! Answers to lookups.

use sst_format::BlobNumber;

use crate::block::slice::Slice;

/// A table's answer to a lookup: one of four (FORMAT.md section 11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<'a> {
    /// The table does not know the key; an older one may.
    NotFound,
    /// The key was deleted: older tables don't count.
    Deleted,
    /// The value is in a blob file.
    Blob(BlobNumber),
    /// The value.
    Value(Slice<'a>),
}

impl<'a> Lookup<'a> {
    /// The value, if there is one in the table itself.
    #[must_use]
    pub fn into_value(self) -> Option<Slice<'a>> {
        match self {
            Self::Value(value) => Some(value),
            Self::NotFound | Self::Deleted | Self::Blob(_) => None,
        }
    }

    /// The same answer, free of the borrow, without a copy: see [`Slice::into_owned`].
    #[must_use]
    pub fn into_owned(self) -> Lookup<'static> {
        match self {
            Self::NotFound => Lookup::NotFound,
            Self::Deleted => Lookup::Deleted,
            Self::Blob(number) => Lookup::Blob(number),
            Self::Value(value) => Lookup::Value(value.into_owned()),
        }
    }
}

/// The value of an entry of a table. `V` is how its bytes are handed out: [`Slice`] to be kept,
/// `&[u8]` in passing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadValue<V> {
    /// A tombstone.
    Deleted,
    /// The value is in a blob file.
    Blob(BlobNumber),
    /// The value.
    Value(V),
}

impl<V> ReadValue<V> {
    /// The same with the bytes handed out in another way.
    #[inline(always)]
    pub(crate) fn map<W>(self, how: impl FnOnce(V) -> W) -> ReadValue<W> {
        match self {
            Self::Deleted => ReadValue::Deleted,
            Self::Blob(number) => ReadValue::Blob(number),
            Self::Value(value) => ReadValue::Value(how(value)),
        }
    }
}

impl<'a> From<ReadValue<Slice<'a>>> for Lookup<'a> {
    #[inline(always)]
    fn from(value: ReadValue<Slice<'a>>) -> Self {
        match value {
            ReadValue::Deleted => Self::Deleted,
            ReadValue::Blob(number) => Self::Blob(number),
            ReadValue::Value(value) => Self::Value(value),
        }
    }
}
