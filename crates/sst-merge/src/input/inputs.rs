//! The inputs of a merge: tables, from the oldest to the newest.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sst_format::SequenceNumber;
use sst_format::meta_head::Shard;
use sst_reader::{Access, BlockCache, Catalog, CatalogTable, ReaderOptions, StaticSortedFile};

use crate::runs::{Run, RunCursor, TableInput};
use crate::{Duplicates, MergeCursor, MergeError, OlderTables};

/// Room for blocks, in bytes, if the caller brings no cache. Only opening a table uses the cache.
const CACHE_CAPACITY: u64 = 1 << 20;

/// Tables and directories to be merged, in the order of their age.
///
/// A later input is newer: if two inputs have a key, the later one wins. Nothing is held
/// open but one table for each run of tables with disjoint ranges of hashes, so a directory of ten
/// thousand tables needs as many files open as it has levels, and one block of memory for each.
///
/// # Examples
///
/// ```no_run
/// use sst_merge::Inputs;
/// use sst_reader::ReaderOptions;
///
/// let mut inputs = Inputs::new(&ReaderOptions::default());
/// inputs.add_directory("yesterday.db", 0)?;
/// inputs.add_directory("today.db", 0)?;
/// inputs.add_table("corrections.sst")?;
/// # Ok::<(), sst_merge::MergeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Inputs {
    options: ReaderOptions,
    /// Oldest first.
    tables: Vec<TableInput>,
    /// A directory among the inputs that holds a shard, which cannot be merged.
    shard: Option<(PathBuf, Shard)>,
}

impl Inputs {
    /// No inputs yet. `options` say how tables are opened; filters are not needed, and not opened.
    #[must_use]
    pub fn new(options: &ReaderOptions) -> Self {
        let mut options = options.clone();
        if options.cache.is_none() {
            options = options.cache(BlockCache::new(CACHE_CAPACITY));
        }
        options.filter = None;
        Self { options, tables: Vec::new(), shard: None }
    }

    /// Adds the tables of one family of a directory, as of its current commit. A family without
    /// tables adds none.
    ///
    /// # Errors
    ///
    /// As [`Catalog::read`].
    pub fn add_directory(&mut self, dir: impl AsRef<Path>, family: u32) -> Result<(), MergeError> {
        let options = self.options.clone().access(Access::Read);
        self.add_catalog(&Arc::new(Catalog::read_with(dir, &options)?), family);
        Ok(())
    }

    /// Adds the tables of one family of a directory whose meta files have been read.
    pub fn add_catalog(&mut self, catalog: &Arc<Catalog>, family: u32) {
        // All tables are added: there are no older ones.
        _ = self.add_newest(catalog, family, usize::MAX);
    }

    /// Adds the `count` newest tables of one family of a directory. Returns the others, which are
    /// older.
    #[must_use = "without it tombstones that still hide something would be dropped"]
    pub fn add_newest(&mut self, catalog: &Arc<Catalog>, family: u32, count: usize) -> OlderTables {
        self.note_shard(catalog);
        let of_family = |table: &&CatalogTable| table.family == family;
        let newest_first: Vec<_> = catalog.tables.iter().filter(of_family).collect();
        let (newest, older) = newest_first.split_at(count.min(newest_first.len()));
        self.tables.extend(
            newest.iter().rev().map(|table| TableInput::listed(Arc::clone(catalog), table)),
        );
        OlderTables::of(older.iter().map(|table| table.record.min_hash..=table.record.max_hash))
    }

    /// Adds the tables of one family of a directory that are among `chosen`. Returns the others,
    /// which are older than those of `chosen` that they overlap.
    #[must_use = "without it tombstones that still hide something would be dropped"]
    pub(crate) fn add_chosen(
        &mut self,
        catalog: &Arc<Catalog>,
        family: u32,
        chosen: &HashSet<SequenceNumber>,
    ) -> OlderTables {
        self.note_shard(catalog);
        let of_family = catalog.tables.iter().filter(|table| table.family == family);
        let (merged, stay): (Vec<_>, Vec<_>) =
            of_family.partition(|table| chosen.contains(&table.sequence));
        let oldest_first = merged.iter().rev();
        self.tables
            .extend(oldest_first.map(|table| TableInput::listed(Arc::clone(catalog), table)));
        OlderTables::of(stay.iter().map(|table| table.record.min_hash..=table.record.max_hash))
    }

    /// Adds one table: as the directory around it describes it, if that lists it, else on its own.
    ///
    /// # Errors
    ///
    /// As [`Catalog::around_table`] and [`StaticSortedFile::open_standalone`].
    pub fn add_table(&mut self, path: impl AsRef<Path>) -> Result<(), MergeError> {
        let path = path.as_ref();
        if let Some((catalog, table)) = Catalog::around_table(path, &self.options)? {
            let catalog = Arc::new(catalog);
            self.note_shard(&catalog);
            self.tables.push(TableInput::listed(catalog, &table));
            return Ok(());
        }
        let table = StaticSortedFile::open_standalone(path, &self.options)?;
        self.tables.push(TableInput::lone(path.to_owned(), &table));
        Ok(())
    }

    /// Remembers a directory that holds a shard.
    fn note_shard(&mut self, catalog: &Catalog) {
        if let Some(shard) = catalog.shard {
            self.shard.get_or_insert((catalog.dir.clone(), shard));
        }
    }

    /// Number of tables.
    #[must_use]
    pub const fn table_count(&self) -> usize {
        self.tables.len()
    }

    /// Number of entries of all tables; `None` if a table has no protection section that tells.
    #[must_use]
    pub fn entry_count(&self) -> Option<u64> {
        self.tables.iter().map(TableInput::entry_count).sum()
    }

    /// Length of all tables in bytes, without blob files.
    #[must_use]
    pub fn table_bytes(&self) -> u64 {
        self.tables.iter().map(TableInput::file_size).sum()
    }

    /// The merged entries with hashes in `hashes`, in order. Tables are opened as the walk gets to
    /// them.
    ///
    /// `older` tells which tombstones stay: see [`OlderTables`].
    ///
    /// # Errors
    ///
    /// As [`MergeCursor::next`].
    pub fn cursor(
        &self,
        hashes: RangeInclusive<u64>,
        duplicates: Duplicates,
        older: OlderTables,
    ) -> Result<MergeCursor, MergeError> {
        // Its tables hold entries of other shards too, of which they may be outdated versions. One
        // without tables is no empty directory: other shards have the entries.
        if let Some((dir, shard)) = &self.shard {
            return Err(MergeError::of_shard(dir.clone(), shard));
        }
        let open = |run| RunCursor::open(run, hashes.clone(), self.options.clone());
        let runs = self.runs().into_iter().map(open).collect::<Result<Vec<_>, _>>()?;
        MergeCursor::new(runs, duplicates, older)
    }

    /// The live entries with hashes in `hashes`: no tombstones.
    ///
    /// # Errors
    ///
    /// As [`MergeCursor::next`].
    pub fn live(
        &self,
        hashes: RangeInclusive<u64>,
        duplicates: Duplicates,
    ) -> Result<MergeCursor, MergeError> {
        self.cursor(hashes, duplicates, OlderTables::none())
    }

    /// The tables in runs, the newest first. Where two tables may hold the same hash, the newer is
    /// in a newer run.
    fn runs(&self) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for table in self.tables.iter().rev() {
            // A table may join the oldest run only: any newer one comes before tables that overlap
            // it.
            if !runs.last_mut().is_some_and(|run| run.insert(table)) {
                runs.push(Run::of(table.clone()));
            }
        }
        runs
    }
}
