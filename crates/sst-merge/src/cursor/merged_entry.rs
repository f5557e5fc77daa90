//! An entry of a merge, and its value.

use std::sync::Arc;

use sst_format::BlobNumber;
use sst_format::block::Encoding;
use sst_format::value_ref::ValueRef;
use sst_reader::{Access, Catalog, ReadValue};
use sst_writer::EntryValue;

use super::ValueBytes;
use crate::MergeError;
use crate::runs::CurrentEntry;

/// An entry of the merged sequence, lent by a [`MergeCursor`](crate::MergeCursor) until it moves
/// on.
pub struct MergedEntry<'c> {
    /// The hash, stored or computed.
    pub hash: u64,
    /// The key.
    pub key: &'c [u8],
    /// Whether it is the first entry of its key.
    pub starts_key: bool,
    current: CurrentEntry<'c>,
}

/// A value as its table has it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum StoredValue<'c> {
    /// A value in the table, in its class, or a tombstone. A medium value is
    /// [`EntryValue::MediumStored`]: verified, and not decompressed.
    InTable(EntryValue<'c>),
    /// A value in a blob file.
    InBlob {
        /// Its number in the directory.
        number: BlobNumber,
        /// The directory.
        catalog: &'c Arc<Catalog>,
    },
}

impl StoredValue<'_> {
    /// Bytes of the value in the table, uncompressed: 0 for a tombstone, and for a value in a blob
    /// file.
    #[must_use]
    pub const fn table_len(&self) -> u64 {
        match self {
            Self::InTable(EntryValue::MediumStored { header, block }) => match header.encoding {
                Encoding::Raw => block.len() as u64,
                Encoding::Lz4 { uncompressed_len } => uncompressed_len as u64,
            },
            Self::InTable(
                EntryValue::Inline(bytes) | EntryValue::Small(bytes) | EntryValue::Medium(bytes),
            ) => bytes.len() as u64,
            Self::InTable(EntryValue::Deleted | EntryValue::Blob(_)) | Self::InBlob { .. } => 0,
        }
    }
}

impl<'c> MergedEntry<'c> {
    #[inline(always)]
    pub(super) fn new(current: CurrentEntry<'c>, starts_key: bool) -> Self {
        let (hash, key) = (current.entry.hash, current.entry.key);
        Self { hash, key, starts_key, current }
    }

    /// The value as it is stored: only here is its block read.
    ///
    /// # Errors
    ///
    /// [`MergeError::Read`] if the value's block cannot be read or is damaged;
    /// [`MergeError::BlobWithoutDirectory`].
    #[inline(always)]
    pub fn into_stored(self) -> Result<StoredValue<'c>, MergeError> {
        // `self.current` is not moved to a variable of its own: that is a copy, which waits.
        let value = match self.current.entry.value_ref()? {
            ValueRef::Deleted => EntryValue::Deleted,
            ValueRef::Inline(value) => EntryValue::Inline(value),
            ValueRef::Small { .. } => match self.current.entry.into_value()? {
                ReadValue::Value(value) => EntryValue::Small(value),
                ReadValue::Deleted | ReadValue::Blob(_) => {
                    return Err(MergeError::internal("a small value has bytes"));
                }
            },
            ValueRef::Medium(_) => match self.current.entry.stored_medium(self.current.buffer)? {
                Some((header, block)) => EntryValue::MediumStored { header, block },
                None => return Err(MergeError::internal("a medium value has a block")),
            },
            ValueRef::Blob(number) => {
                let catalog = self.current.catalog_of(number)?;
                return Ok(StoredValue::InBlob { number, catalog });
            }
        };
        Ok(StoredValue::InTable(value))
    }

    /// The bytes of the value: decompressed, or read from its blob file. `None` for a tombstone.
    ///
    /// # Errors
    ///
    /// As [`MergedEntry::into_stored`], and [`MergeError::Read`] if a blob cannot be read or is
    /// damaged.
    pub fn into_value(self) -> Result<Option<ValueBytes<'c>>, MergeError> {
        let current = self.current;
        if let ValueRef::Blob(number) = current.entry.value_ref()? {
            let bytes = current.catalog_of(number)?.read_blob(number, Access::Read)?;
            return Ok(Some(ValueBytes::of_blob(bytes)));
        }
        match current.entry.into_value()? {
            ReadValue::Value(value) => Ok(Some(ValueBytes::in_block(value))),
            ReadValue::Deleted => Ok(None),
            ReadValue::Blob(_) => Err(MergeError::internal("a value beside a blob is no blob")),
        }
    }
}

impl std::fmt::Debug for MergedEntry<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MergedEntry")
            .field("hash", &self.hash)
            .field("key", &self.key)
            .field("starts_key", &self.starts_key)
            .finish_non_exhaustive()
    }
}
