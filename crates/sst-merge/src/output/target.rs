//! The receiver of the tables of a merge.

use std::sync::Arc;

use sst_format::BlobNumber;
use sst_reader::Catalog;
use sst_writer::file::AtomicFile;
use sst_writer::publish::TableWriter;
use sst_writer::{Entry, StreamingSstWriter, WriteError};

use crate::MergeError;

/// Takes the tables of a merge, one after the other.
pub(crate) trait Target {
    /// A table in the making.
    type Table: Table;

    /// Starts a table.
    fn create_table(&mut self) -> Result<Self::Table, MergeError>;

    /// Finishes a table and takes it over. Returns its length in bytes.
    fn finish_table(&mut self, table: Self::Table) -> Result<u64, MergeError>;

    /// Makes a blob of an input one of the target's own. Returns the number it has there.
    fn copy_blob(
        &mut self,
        catalog: &Arc<Catalog>,
        number: BlobNumber,
        key: &[u8],
    ) -> Result<BlobNumber, MergeError>;
}

/// The operations of a table's writer that a merge uses.
pub(crate) trait Table {
    fn entry_count(&self) -> u64;
    fn add(&mut self, entry: impl Entry) -> Result<(), WriteError>;
    fn add_if_room(&mut self, entry: impl Entry) -> Result<bool, WriteError>;
    fn last_key(&self) -> Result<&[u8], WriteError>;
}

impl Table for TableWriter {
    #[inline]
    fn entry_count(&self) -> u64 {
        Self::entry_count(self)
    }

    #[inline]
    fn add(&mut self, entry: impl Entry) -> Result<(), WriteError> {
        Self::add(self, entry)
    }

    #[inline]
    fn add_if_room(&mut self, entry: impl Entry) -> Result<bool, WriteError> {
        Self::add_if_room(self, entry)
    }

    fn last_key(&self) -> Result<&[u8], WriteError> {
        Self::last_key(self)
    }
}

impl Table for StreamingSstWriter<AtomicFile> {
    #[inline]
    fn entry_count(&self) -> u64 {
        Self::entry_count(self)
    }

    #[inline]
    fn add(&mut self, entry: impl Entry) -> Result<(), WriteError> {
        Self::add(self, entry)
    }

    #[inline]
    fn add_if_room(&mut self, entry: impl Entry) -> Result<bool, WriteError> {
        Self::add_if_room(self, entry)
    }

    fn last_key(&self) -> Result<&[u8], WriteError> {
        Self::last_key(self)
    }
}
