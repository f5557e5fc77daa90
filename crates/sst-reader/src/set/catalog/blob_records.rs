//! The records of the blobs of a directory, which are read when the first of them is asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use sst_format::BlobNumber;
use sst_format::protection::BlobRecord;

use super::super::loaded_meta::LoadedMeta;
use super::Catalog;
use crate::ReadError;

/// Lists of blobs of some meta files, read or not.
#[derive(Default)]
pub(super) struct BlobRecords {
    metas: Vec<Arc<LoadedMeta>>,
    /// Blobs of a commit that has no meta file yet.
    added: Vec<BlobRecord>,
    read: OnceLock<BTreeMap<BlobNumber, BlobRecord>>,
}

impl BlobRecords {
    /// The lists of `metas`, and on top of them `added`.
    pub(super) fn new(metas: Vec<Arc<LoadedMeta>>, added: Vec<BlobRecord>) -> Self {
        Self { metas, added, read: OnceLock::new() }
    }

    fn records(&self) -> Result<&BTreeMap<BlobNumber, BlobRecord>, ReadError> {
        if let Some(read) = self.read.get() {
            return Ok(read);
        }
        let mut records = BTreeMap::new();
        for meta in &self.metas {
            records.extend(meta.blobs()?.into_iter().map(|blob| (blob.number, blob)));
        }
        records.extend(self.added.iter().map(|blob| (blob.number, *blob)));
        Ok(self.read.get_or_init(|| records))
    }
}

impl Catalog {
    /// The records of the blob files; empty without protection. Read from the meta files at the
    /// first call, in O(number of blobs).
    ///
    /// # Errors
    ///
    /// [`ReadError`] that names the meta file whose list cannot be read or is damaged.
    pub fn blobs(&self) -> Result<&BTreeMap<BlobNumber, BlobRecord>, ReadError> {
        self.blobs.records()
    }
}
