//! A fragment that is being added to a commit.

use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use sst_format::file_name::{CURRENT_FILE_NAME, FileKind, FileName};
use sst_format::filter::{FilterBytes, FilterPolicy};
use sst_format::monitor::{Meter, Phase, Progress};
use sst_format::protection::BlobRecord;
use sst_format::value_ref::ValueRef;
use sst_format::{BlobNumber, SstMeta};
use sst_reader::{BlockCache, Catalog, CatalogTable, ReadError, ReaderOptions};
use sst_writer::publish::Commit;
use sst_writer::{PublishError, WriteError};

use super::rewritten_table::RewrittenTable;
use crate::certify::read_back::ReadBack;
use crate::output::TableSplitter;
use crate::runs::{Run, RunCursor, TableInput};
use crate::{Duplicates, MergeCursor, MergeError, MergeOptions, Monitor, OlderTables};

/// All hashes.
const ALL: RangeInclusive<u64> = 0..=u64::MAX;
/// Room for blocks, in bytes. Walks do not use the cache, only the opening of a table does.
const CACHE_CAPACITY: u64 = 1 << 20;
/// Hashes that a filter is given at a time.
const HASHES_AT_ONCE: usize = 1 << 10;

/// A fragment that is being added.
pub(super) struct Fragment {
    catalog: Arc<Catalog>,
    family: u32,
    options: ReaderOptions,
    /// Tables of the catalog that have not been taken, the oldest last.
    rest: Vec<CatalogTable>,
    /// Numbers in this fragment of the blobs that were copied, and numbers of the copies.
    copied: BTreeMap<BlobNumber, BlobNumber>,
}

impl Fragment {
    /// Reads the meta files of a fragment.
    pub(super) fn open(path: &Path, family: u32) -> Result<Self, MergeError> {
        let catalog = read_catalog(path, family)?;
        if let Some(shard) = &catalog.shard {
            return Err(MergeError::of_shard(path.to_owned(), shard));
        }
        if !catalog.is_protected {
            return Err(PublishError::Unprotected { path: path.to_owned() }.into());
        }
        let of_family = |table: &&CatalogTable| table.family == family;
        let rest: Vec<_> = catalog.tables.iter().filter(of_family).cloned().collect();
        if rest.is_empty() && !catalog.tables.is_empty() {
            return Err(MergeError::NotAFragment { path: path.to_owned(), family });
        }
        let options = ReaderOptions::default().cache(BlockCache::new(CACHE_CAPACITY));
        let catalog = Arc::new(catalog);
        Ok(Self { catalog, family, options, rest, copied: BTreeMap::new() })
    }

    pub(super) const fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Descriptions of its tables, the oldest first.
    pub(super) fn descriptions(&self) -> Result<Vec<SstMeta>, MergeError> {
        let newest_first = self.catalog.tables.iter().filter(|table| table.family == self.family);
        let mut descriptions =
            newest_first.map(CatalogTable::meta).collect::<Result<Vec<_>, _>>()?;
        descriptions.reverse();
        Ok(descriptions)
    }

    /// Records of the blobs that were copied into a commit.
    pub(super) fn copied_blobs(
        &self,
        commit: &Commit<'_>,
    ) -> impl Iterator<Item = Result<BlobRecord, MergeError>> {
        let record = |copy: &BlobNumber| {
            commit
                .blob(*copy)
                .ok_or_else(|| MergeError::internal("a commit knows the blobs copied into it"))
        };
        self.copied.values().map(record)
    }

    /// Copies the oldest table that has not been taken into a commit, or writes it anew if it
    /// refers to blobs, whose numbers are part of it. Returns whether it was written anew. A table
    /// without a filter gets one of this kind.
    pub(super) fn copy_next_table(
        &mut self,
        commit: &mut Commit<'_>,
        filter: Option<&dyn FilterPolicy>,
        monitor: &Monitor,
    ) -> Result<bool, MergeError> {
        let table = self
            .rest
            .pop()
            .ok_or_else(|| MergeError::internal("a fragment has as many tables as descriptions"))?;
        let mut description = table.meta()?;
        if let Some(policy) = filter.filter(|_| description.filter.as_slice().is_empty()) {
            description.filter = self.build_filter(&table, policy, monitor)?;
        }
        if self.refers_to_blobs(&table, monitor)? {
            self.rewrite(&table, description, commit, monitor)?;
            return Ok(true);
        }
        commit.copy_table(table.path(&self.catalog.dir), description, monitor)?;
        Ok(false)
    }

    /// Builds the filter of a table that has none.
    fn build_filter(
        &self,
        table: &CatalogTable,
        policy: &dyn FilterPolicy,
        monitor: &Monitor,
    ) -> Result<FilterBytes, MergeError> {
        let file = self.catalog.open_table(table, &self.options)?;
        let mut builder = policy.builder();
        let mut hashes = Vec::with_capacity(HASHES_AT_ONCE);
        let mut meter = Meter::new(monitor, Progress::new(Phase::Adopt));
        let mut entries = 0;
        let mut cursor = file.cursor();
        while let Some(entry) = cursor.next()? {
            entries += 1;
            meter.at(entries, 0)?;
            hashes.push(entry.hash);
            if hashes.len() == HASHES_AT_ONCE {
                builder.add_hashes(&hashes);
                hashes.clear();
            }
        }
        builder.add_hashes(&hashes);
        Ok(FilterBytes::new(builder.finish().map_err(WriteError::from)?))
    }

    fn refers_to_blobs(&self, table: &CatalogTable, monitor: &Monitor) -> Result<bool, MergeError> {
        if self.catalog.blobs()?.is_empty() {
            return Ok(false);
        }
        let file = self.catalog.open_table(table, &self.options)?;
        let mut cursor = file.cursor();
        let mut meter = Meter::new(monitor, Progress::new(Phase::Adopt));
        let mut entries = 0;
        while let Some(entry) = cursor.next()? {
            entries += 1;
            meter.at(entries, 0)?;
            if let ValueRef::Blob(_) = entry.value_ref()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes a table anew, with the numbers that copies of its blobs have in the commit.
    fn rewrite(
        &mut self,
        table: &CatalogTable,
        description: SstMeta,
        commit: &mut Commit<'_>,
        monitor: &Monitor,
    ) -> Result<(), MergeError> {
        let run = Run::of(TableInput::listed(Arc::clone(&self.catalog), table));
        let run = RunCursor::open(run, ALL, self.options.clone())?;
        // Every entry is kept, tombstones too: it may hide entries of other tables.
        let mut cursor = MergeCursor::new(vec![run], Duplicates::Keep, OlderTables::unknown())?;
        let mut meter = Meter::new(monitor, Progress::new(Phase::Adopt));
        let target = RewrittenTable { commit, monitor, description, copied: &mut self.copied };
        let options = MergeOptions::default().max_table_entries(u64::MAX).max_table_bytes(u64::MAX);
        let mut splitter = TableSplitter::new(target, &options);
        let mut entries = 0;
        while let Some(entry) = cursor.next()? {
            entries += 1;
            meter.at(entries, 0)?;
            splitter.add(entry)?;
        }
        splitter.finish()?;
        Ok(())
    }

    /// The first damage in the fragment's own tables, if there is any.
    pub(super) fn damage(&self, commit: &Commit<'_>, monitor: &Monitor) -> Option<MergeError> {
        let catalog = (*self.catalog).clone();
        ReadBack::cached(catalog, self.family, commit, monitor).verify().err()
    }
}

/// Reads the catalog of a directory, or of the commit of a meta file in it.
fn read_catalog(path: &Path, family: u32) -> Result<Catalog, MergeError> {
    let name = path.file_name().and_then(|name| FileName::parse(name.to_str()?));
    if let Some(FileName { sequence, kind: FileKind::Meta }) = name {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        return Ok(Catalog::read_commit_of(directory.unwrap_or(Path::new(".")), sequence)?);
    }
    Catalog::read(path).map_err(|error| match error {
        ReadError::Io { file, source, .. }
            if source.kind() == io::ErrorKind::NotFound
                && file.path() == path.join(CURRENT_FILE_NAME) =>
        {
            MergeError::NotAFragment { path: path.to_owned(), family }
        }
        error => error.into(),
    })
}
