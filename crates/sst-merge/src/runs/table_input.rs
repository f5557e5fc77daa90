//! One table to be merged, not yet open.

use std::path::PathBuf;
use std::sync::Arc;

use sst_reader::{Catalog, CatalogTable, ReadError, ReaderOptions, StaticSortedFile};

/// A table to be merged.
#[derive(Clone, Debug)]
pub(crate) struct TableInput {
    origin: InputOrigin,
    pub(crate) min_hash: u64,
    pub(crate) max_hash: u64,
}

/// Where a table is, and how it is described there.
#[derive(Clone, Debug)]
enum InputOrigin {
    /// In a directory that describes it.
    Listed { catalog: Arc<Catalog>, table: CatalogTable },
    /// On its own.
    Lone { path: PathBuf, file_size: u64 },
}

impl TableInput {
    /// A table of a catalog.
    pub(crate) fn listed(catalog: Arc<Catalog>, table: &CatalogTable) -> Self {
        let (min_hash, max_hash) = (table.record.min_hash, table.record.max_hash);
        Self { origin: InputOrigin::Listed { catalog, table: table.clone() }, min_hash, max_hash }
    }

    /// The table at `path`, which has been open.
    pub(crate) fn lone(path: PathBuf, table: &StaticSortedFile) -> Self {
        let origin = InputOrigin::Lone { path, file_size: table.file_size() };
        Self { origin, min_hash: table.min_hash(), max_hash: table.max_hash() }
    }

    /// Number of entries, if the directory has a protection section that states it.
    pub(crate) const fn entry_count(&self) -> Option<u64> {
        match &self.origin {
            InputOrigin::Listed { table, .. } => table.entry_count(),
            InputOrigin::Lone { .. } => None,
        }
    }

    pub(crate) const fn file_size(&self) -> u64 {
        match &self.origin {
            InputOrigin::Listed { table, .. } => table.record.file_size,
            InputOrigin::Lone { file_size, .. } => *file_size,
        }
    }

    /// The directory that the table is listed in.
    pub(crate) const fn catalog(&self) -> Option<&Arc<Catalog>> {
        match &self.origin {
            InputOrigin::Listed { catalog, .. } => Some(catalog),
            InputOrigin::Lone { .. } => None,
        }
    }

    pub(crate) fn open(&self, options: &ReaderOptions) -> Result<StaticSortedFile, ReadError> {
        match &self.origin {
            InputOrigin::Listed { catalog, table } => catalog.open_table(table, options),
            InputOrigin::Lone { path, .. } => StaticSortedFile::open_standalone(path, options),
        }
    }
}
