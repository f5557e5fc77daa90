//! The tables of a merge go into a commit.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sst_format::{BlobNumber, SstMeta};
use sst_reader::{Access, Catalog};
use sst_writer::WriterOptions;
use sst_writer::publish::{Commit, TableWriter};

use super::Target;
use crate::{MergeError, Monitor};

/// The copy of a blob that is registered under `key`, made by `copy` if there is none yet.
pub(crate) fn copy_once<K: Ord>(
    copied: &mut BTreeMap<K, BlobNumber>,
    key: K,
    copy: impl FnOnce() -> Result<BlobNumber, MergeError>,
) -> Result<BlobNumber, MergeError> {
    match copied.entry(key) {
        Entry::Occupied(known) => Ok(*known.get()),
        Entry::Vacant(unknown) => Ok(*unknown.insert(copy()?)),
    }
}

/// Copies a blob of another directory into a commit, and compares it with its record there.
pub(crate) fn copy_listed(
    commit: &Commit<'_>,
    catalog: &Catalog,
    number: BlobNumber,
    monitor: &Monitor,
) -> Result<BlobNumber, MergeError> {
    if catalog.is_stored() {
        // An object has no path to copy from: its value is taken, in memory.
        let value = catalog.read_blob(number, Access::Read)?;
        return Ok(commit.create_blob(value)?);
    }
    let listed = catalog.blob_record(number)?;
    Ok(commit.copy_blob(catalog.blob_path(number), listed, monitor)?)
}

/// Tables of a commit.
pub(crate) struct CommitTarget<'c, 'p> {
    commit: &'c mut Commit<'p>,
    options: WriterOptions,
    monitor: &'c Monitor,
    /// The directory, with all links resolved; as it was given if that fails.
    directory: PathBuf,
    /// Inputs whose blobs have been asked for, each with whether it is the directory of the commit.
    origins: Vec<(Arc<Catalog>, bool)>,
    /// Blobs that have been copied: index of the origin and number there, and number here.
    copied: BTreeMap<(usize, BlobNumber), BlobNumber>,
}

impl<'c, 'p> CommitTarget<'c, 'p> {
    pub(crate) fn new(
        commit: &'c mut Commit<'p>,
        options: WriterOptions,
        monitor: &'c Monitor,
    ) -> Self {
        let directory = resolved(commit.directory());
        Self { commit, options, monitor, directory, origins: Vec::new(), copied: BTreeMap::new() }
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
        let Self { commit, copied, monitor, .. } = self;
        copy_once(copied, (origin, number), || copy_listed(commit, catalog, number, monitor))
    }
}
