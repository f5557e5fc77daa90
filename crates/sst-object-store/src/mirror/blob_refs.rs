//! The blobs to which tables refer.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use sst_format::BlobNumber;
use sst_format::value_ref::ValueRef;
use sst_reader::{ReaderOptions, StaticSortedFile};

use crate::StoreError;

/// The blobs to which entries of each table with hashes in `hashes` refer. Reads the key blocks of
/// that range.
pub(super) fn blobs_of(
    tables: &[PathBuf],
    hashes: RangeInclusive<u64>,
) -> Result<Vec<BTreeSet<BlobNumber>>, StoreError> {
    let mut of_each = Vec::with_capacity(tables.len());
    for table in tables {
        let mut blobs = BTreeSet::new();
        let table = StaticSortedFile::open_standalone(table, &ReaderOptions::default())?;
        let mut cursor = table.range(hashes.clone())?;
        while let Some(entry) = cursor.next()? {
            if let ValueRef::Blob(number) = entry.value_ref()? {
                blobs.insert(number);
            }
        }
        of_each.push(blobs);
    }
    Ok(of_each)
}
