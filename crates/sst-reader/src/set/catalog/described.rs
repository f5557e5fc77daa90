//! Catalogs of commits that are not the current one of their directory: an earlier one, or one that
//! is about to be published.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use sst_format::current::Current;
use sst_format::filter::FilterBytes;
use sst_format::meta_file::TableRecord;
use sst_format::protection::BlobRecord;
use sst_format::{SequenceNumber, SstMeta};

use super::super::CatalogTable;
use super::super::meta_bytes::MetaBytes;
use super::Catalog;
use crate::block::memory::HeldBytes;
use crate::{Access, ReadError};

impl Catalog {
    /// Reads a commit of the directory `dir` that need not be the current one: that of the meta
    /// file `sequence`. `CURRENT` is not looked at. Its files may have been removed since.
    ///
    /// # Errors
    ///
    /// As [`Catalog::read`]; [`ReadError::Corrupt`] if the meta file has no protection section.
    pub fn read_commit_of(
        dir: impl AsRef<Path>,
        sequence: SequenceNumber,
    ) -> Result<Self, ReadError> {
        Self::read_commit(dir.as_ref(), Current { sequence, is_protected: true }, Access::Read)
    }

    /// A catalog without tables, for a directory that has no commit yet.
    #[must_use]
    pub fn empty(dir: impl AsRef<Path>) -> Self {
        Self {
            dir: dir.as_ref().to_owned(),
            commit: SequenceNumber::default(),
            is_protected: true,
            tables: Vec::new(),
            blobs: BTreeMap::new(),
            certificates: Vec::new(),
            meta_files: Vec::new(),
        }
    }

    /// The catalog that a directory will have after a commit of `family` that is not visible yet:
    /// of this catalog the tables that are not `obsolete`, and on top of them `tables`, the oldest
    /// first, and `blobs`. Lets a writer's output be read back before it is published. O(blocks of
    /// `tables`).
    ///
    /// Descriptions without a protection section are taken as they are. Filters are left out, since
    /// they are in no file yet. Certificates are dropped: they are of the commit before.
    #[must_use]
    pub fn followed_by(
        mut self,
        family: u32,
        tables: &[(SequenceNumber, SstMeta)],
        obsolete: &[SequenceNumber],
        blobs: &[BlobRecord],
    ) -> Self {
        let obsolete: HashSet<_> = obsolete.iter().collect();
        self.tables.retain(|table| !obsolete.contains(&table.sequence));
        let newest_first = tables.iter().rev();
        let described = newest_first.map(|(table, meta)| describe(*table, family, meta));
        self.tables = described.chain(self.tables).collect();
        self.blobs.extend(blobs.iter().map(|blob| (blob.number, *blob)));
        self.certificates.clear();
        self
    }
}

fn describe(sequence: SequenceNumber, family: u32, meta: &SstMeta) -> CatalogTable {
    let SstMeta { block_count, min_hash, max_hash, file_size, flags, ref protection, .. } = *meta;
    let mut headers = Vec::new();
    for header in protection.iter().flat_map(|known| &known.block_headers) {
        header.encode(&mut headers);
    }
    CatalogTable {
        sequence,
        // It will be described by a meta file that is not there yet.
        meta_file: SequenceNumber::default(),
        family,
        record: TableRecord {
            sequence,
            block_count,
            min_hash,
            max_hash,
            file_size,
            flags,
            filter_end: 0,
        },
        entry_count: protection.as_ref().map(|known| known.entry_count),
        filter: FilterBytes::new([]),
        headers: protection.as_ref().and_then(|_| {
            HeldBytes::of_file(Arc::new(MetaBytes::of(headers)), |all| Some(all.as_ref()))
        }),
    }
}
