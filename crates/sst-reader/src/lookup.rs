//! Answers to lookups.

use sst_format::BlobNumber;

use crate::Slice;

/// What a table says of a key: four different answers (FORMAT.md section 11).
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
    pub fn value(self) -> Option<Slice<'a>> {
        match self {
            Self::Value(value) => Some(value),
            _ => None,
        }
    }
}

/// What an entry of a table holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryValue<'a> {
    /// A tombstone.
    Deleted,
    /// The value is in a blob file.
    Blob(BlobNumber),
    /// The value.
    Value(Slice<'a>),
}

impl<'a> From<EntryValue<'a>> for Lookup<'a> {
    fn from(value: EntryValue<'a>) -> Self {
        match value {
            EntryValue::Deleted => Self::Deleted,
            EntryValue::Blob(number) => Self::Blob(number),
            EntryValue::Value(value) => Self::Value(value),
        }
    }
}
