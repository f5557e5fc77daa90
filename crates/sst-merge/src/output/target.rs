//! Where the tables of a merge go: into a commit, or into a file on its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sst_format::{BlobNumber, SstMeta};
use sst_reader::Catalog;
use sst_writer::file::AtomicFile;
use sst_writer::publish::TableWriter;
use sst_writer::table::ShortKey;
use sst_writer::{Commit, Entry, StreamingSstWriter, WriteError, WriterOptions};

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
}

/// Tables of a commit.
pub(crate) struct CommitTarget<'c, 'p> {
    commit: &'c mut Commit<'p>,
    options: WriterOptions,
    /// The directory, with all links resolved; as it was given if that fails.
    directory: PathBuf,
    /// Inputs whose blobs have been asked for, each with whether it is the directory of the commit.
    origins: Vec<(Arc<Catalog>, bool)>,
    /// Blobs that have been copied: index of the origin and number there, and number here.
    copied: BTreeMap<(usize, BlobNumber), BlobNumber>,
}

impl<'c, 'p> CommitTarget<'c, 'p> {
    pub(crate) fn new(commit: &'c mut Commit<'p>, options: WriterOptions) -> Self {
        let directory = resolved(commit.directory());
        Self { commit, options, directory, origins: Vec::new(), copied: BTreeMap::new() }
    }

    /// Number of blobs that were copied.
    pub(crate) fn copied_blobs(&self) -> u64 {
        self.copied.len() as u64
    }

    /// The place of an input in the list, and whether it is the directory of the commit.
    fn origin(&mut self, catalog: &Arc<Catalog>) -> (usize, bool) {
        for (at, (known, is_own)) in self.origins.iter().enumerate() {
            if Arc::ptr_eq(known, catalog) {
                return (at, *is_own);
            }
        }
        let is_own = resolved(&catalog.dir) == self.directory;
        self.origins.push((Arc::clone(catalog), is_own));
        (self.origins.len() - 1, is_own)
    }
}

/// The directory without symbolic links. One that cannot be resolved keeps its name: then it counts
/// as another directory than the commit's own, and its blob files are copied instead of referred
/// to.
fn resolved(directory: &Path) -> PathBuf {
    directory.canonicalize().unwrap_or_else(|_| directory.to_owned())
}

impl Target for CommitTarget<'_, '_> {
    type Table = TableWriter;

    fn create_table(&mut self) -> Result<TableWriter, MergeError> {
        Ok(self.commit.create_table(self.options.clone())?)
    }

    fn finish_table(&mut self, table: TableWriter) -> Result<u64, MergeError> {
        let table = table.finish()?;
        let SstMeta { file_size, .. } = *table.meta();
        self.commit.add_table(table)?;
        Ok(file_size)
    }

    fn copy_blob(
        &mut self,
        catalog: &Arc<Catalog>,
        number: BlobNumber,
        _: &[u8],
    ) -> Result<BlobNumber, MergeError> {
        let (origin, is_own) = self.origin(catalog);
        if is_own {
            return Ok(number);
        }
        if let Some(copy) = self.copied.get(&(origin, number)) {
            return Ok(*copy);
        }
        let listed = catalog.blob_record(number)?;
        let copy = self.commit.copy_blob(catalog.blob_path(number), listed)?;
        self.copied.insert((origin, number), copy);
        Ok(copy)
    }
}

/// One table in a file on its own.
pub(crate) struct FileTarget<'t> {
    path: &'t Path,
    options: WriterOptions,
    /// Whether a table has been started.
    has_table: bool,
    finished: Option<SstMeta>,
}

impl<'t> FileTarget<'t> {
    pub(crate) const fn new(path: &'t Path, options: WriterOptions) -> Self {
        Self { path, options, has_table: false, finished: None }
    }

    /// The description of the table, if there was any entry.
    pub(crate) fn finish(self) -> Option<SstMeta> {
        self.finished
    }
}

impl Target for FileTarget<'_> {
    type Table = StreamingSstWriter<AtomicFile>;

    fn create_table(&mut self) -> Result<Self::Table, MergeError> {
        if std::mem::replace(&mut self.has_table, true) {
            return Err(MergeError::TooLargeForOneTable);
        }
        Ok(StreamingSstWriter::create(self.path, self.options.clone())?)
    }

    fn finish_table(&mut self, table: Self::Table) -> Result<u64, MergeError> {
        let meta = table.finish()?.meta;
        let file_size = meta.file_size;
        self.finished = Some(meta);
        Ok(file_size)
    }

    fn copy_blob(
        &mut self,
        _: &Arc<Catalog>,
        _: BlobNumber,
        key: &[u8],
    ) -> Result<BlobNumber, MergeError> {
        Err(MergeError::BlobInLoneTable { key: ShortKey::new(key) })
    }
}
