//! One table to be merged, not yet open.

use std::path::PathBuf;
use std::sync::Arc;

use sst_reader::{Catalog, CatalogTable, ReadError, ReaderOptions, StaticSortedFile};

/// A table to be merged.
#[derive(Clone, Debug)]
pub(crate) struct TableInput {
    place: Place,
    pub(crate) min_hash: u64,
    pub(crate) max_hash: u64,
}

#[derive(Clone, Debug)]
enum Place {
    /// In a directory that describes it.
    Listed { catalog: Arc<Catalog>, index: usize },
    /// On its own.
    Lone { path: PathBuf, file_size: u64 },
}

impl TableInput {
    /// Table number `index` of a catalog. A number that it does not have makes a table that cannot hold anything.
    pub(crate) fn listed(catalog: Arc<Catalog>, index: usize) -> Self {
        let (min_hash, max_hash) = catalog
            .tables
            .get(index)
            .map_or((0, 0), |table| (table.record.min_hash, table.record.max_hash));
        Self { place: Place::Listed { catalog, index }, min_hash, max_hash }
    }

    /// The table at `path`, which has been open.
    pub(crate) fn lone(path: PathBuf, table: &StaticSortedFile) -> Self {
        let place = Place::Lone { path, file_size: table.file_size() };
        Self { place, min_hash: table.min_hash(), max_hash: table.max_hash() }
    }

    pub(crate) fn entry_count(&self) -> Option<u64> {
        self.described()?.entry_count
    }

    pub(crate) fn file_size(&self) -> Option<u64> {
        match &self.place {
            Place::Listed { .. } => self.described().map(|table| table.record.file_size),
            Place::Lone { file_size, .. } => Some(*file_size),
        }
    }

    /// The directory that tells where blobs are.
    pub(crate) const fn catalog(&self) -> Option<&Arc<Catalog>> {
        match &self.place {
            Place::Listed { catalog, .. } => Some(catalog),
            Place::Lone { .. } => None,
        }
    }

    /// Opens it; `None` if there is no such table.
    pub(crate) fn open(
        &self,
        options: &ReaderOptions,
    ) -> Result<Option<StaticSortedFile>, ReadError> {
        match &self.place {
            Place::Listed { catalog, .. } => {
                self.described().map(|table| catalog.open_table(table, options)).transpose()
            }
            Place::Lone { path, .. } => StaticSortedFile::open_standalone(path, options).map(Some),
        }
    }

    fn described(&self) -> Option<&CatalogTable> {
        match &self.place {
            Place::Listed { catalog, index } => catalog.tables.get(*index),
            Place::Lone { .. } => None,
        }
    }
}
