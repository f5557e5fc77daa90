//! Lookups in a directory of tables.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use sst_format::{BlobNumber, SequenceNumber};

use super::merge::Values;
use super::{Catalog, SetIter};
use crate::{EntryValue, Lookup, ReadError, ReaderOptions, Slice, StaticSortedFile, hash_key};

/// One key space of a directory as of one commit: newest wins, tombstones hide, blobs are read.
///
/// A set never changes: it goes on answering from its commit after later ones. [`SstSet::refresh`] gives the set of a
/// newer commit.
///
/// ```no_run
/// use sst_reader::{ReaderOptions, SstSet};
///
/// let set = SstSet::open("unicode.db".as_ref(), &ReaderOptions::default())?;
/// if let Some(value) = set.get(b"1F600")? {
///     println!("{}", value.escape_ascii());
/// }
/// # Ok::<(), sst_reader::ReadError>(())
/// ```
pub struct SstSet {
    catalog: Catalog,
    family: u32,
    options: ReaderOptions,
    /// Newest run first; within a run the ranges of hashes are disjoint and ascend.
    runs: Vec<Run>,
}

/// Tables of which at most one can hold a given hash.
#[derive(Default)]
struct Run {
    /// Ascending by hash range.
    tables: Vec<Arc<SetTable>>,
}

pub(super) struct SetTable {
    sequence: SequenceNumber,
    pub(super) file: StaticSortedFile,
}

impl Run {
    /// Where a table with this lowest hash belongs.
    fn place(&self, min_hash: u64) -> usize {
        self.tables.partition_point(|table| table.file.min_hash() < min_hash)
    }

    /// Adds a table if its range of hashes overlaps none of the others.
    fn insert(&mut self, table: &Arc<SetTable>) -> bool {
        let place = self.place(table.file.min_hash());
        let overlaps_next = self
            .tables
            .get(place)
            .is_some_and(|next| next.file.min_hash() <= table.file.max_hash());
        let overlaps_previous = place
            .checked_sub(1)
            .and_then(|previous| self.tables.get(previous))
            .is_some_and(|previous| previous.file.max_hash() >= table.file.min_hash());
        let disjoint = !overlaps_next && !overlaps_previous;
        if disjoint {
            self.tables.insert(place, Arc::clone(table));
        }
        disjoint
    }

    /// The only table that can hold `hash`.
    #[inline]
    fn table_of(&self, hash: u64) -> Option<&StaticSortedFile> {
        let above = self.tables.partition_point(|table| table.file.min_hash() <= hash);
        let table = &self.tables.get(above.checked_sub(1)?)?.file;
        (hash <= table.max_hash()).then_some(table)
    }
}

impl SstSet {
    /// Opens family 0 of the directory `dir`, ours or the original's, as of its current commit.
    ///
    /// # Errors
    ///
    /// As [`Catalog::read`] and [`StaticSortedFile::open`].
    pub fn open(dir: &Path, options: &ReaderOptions) -> Result<Self, ReadError> {
        Self::open_family(dir, 0, options)
    }

    /// Opens one family of the directory `dir`. A family without tables is empty, not an error.
    ///
    /// # Errors
    ///
    /// As [`Catalog::read`] and [`StaticSortedFile::open`].
    pub fn open_family(
        dir: &Path,
        family: u32,
        options: &ReaderOptions,
    ) -> Result<Self, ReadError> {
        Self::from_catalog(Catalog::read(dir)?, family, options)
    }

    /// Opens one family of a directory whose meta files have been read.
    ///
    /// # Errors
    ///
    /// As [`StaticSortedFile::open`].
    pub fn from_catalog(
        catalog: Catalog,
        family: u32,
        options: &ReaderOptions,
    ) -> Result<Self, ReadError> {
        // All tables of the set share one cache, given or not.
        let options = options.clone().cache(options.cache_or_default());
        Self::build(catalog, family, options, &[])
    }

    fn build(
        catalog: Catalog,
        family: u32,
        options: ReaderOptions,
        open: &[Run],
    ) -> Result<Self, ReadError> {
        let open_table = |sequence: SequenceNumber| {
            open.iter().flat_map(|run| &run.tables).find(|table| table.sequence == sequence)
        };
        let mut runs: Vec<Run> = Vec::new();
        for described in catalog.tables.iter().filter(|table| table.family == family) {
            let table = match open_table(described.sequence) {
                Some(table) => Arc::clone(table),
                None => {
                    let file = catalog.open_table(described, &options)?;
                    Arc::new(SetTable { sequence: described.sequence, file })
                }
            };
            // A table may join the oldest run only: any newer one comes before tables that overlap it.
            if !runs.last_mut().is_some_and(|run| run.insert(&table)) {
                let mut run = Run::default();
                run.insert(&table);
                runs.push(run);
            }
        }
        Ok(Self { catalog, family, options, runs })
    }

    /// The set of the directory's current commit, if that is another one than this set's. Tables that both have stay
    /// open and keep their cached blocks.
    ///
    /// # Errors
    ///
    /// As [`SstSet::open`]; this set goes on as before.
    pub fn refresh(&self) -> Result<Option<Self>, ReadError> {
        let catalog = Catalog::read(&self.catalog.dir)?;
        if catalog.commit == self.catalog.commit {
            return Ok(None);
        }
        Self::build(catalog, self.family, self.options.clone(), &self.runs).map(Some)
    }

    /// What the meta files say of the whole directory, other families included.
    #[must_use]
    pub const fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The family that the set shows.
    #[must_use]
    pub const fn family(&self) -> u32 {
        self.family
    }

    /// The open tables, in no particular order.
    pub fn tables(&self) -> impl Iterator<Item = (SequenceNumber, &StaticSortedFile)> {
        self.runs.iter().flat_map(|run| &run.tables).map(|table| (table.sequence, &table.file))
    }

    /// The tables, newest first where they overlap.
    pub(super) fn tables_by_age(&self) -> impl Iterator<Item = &StaticSortedFile> {
        self.runs.iter().flat_map(|run| &run.tables).map(|table| &table.file)
    }

    /// The value of a key, blobs included; `None` if it has none or was deleted.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if a file on the way cannot be read or is damaged.
    pub fn get(&self, key: &[u8]) -> Result<Option<Slice<'_>>, ReadError> {
        match self.lookup(hash_key(key), key)? {
            Lookup::NotFound | Lookup::Deleted => Ok(None),
            Lookup::Value(value) => Ok(Some(value)),
            Lookup::Blob(number) => self.read_blob(number).map(Some),
        }
    }

    /// What the newest table that knows the key says of it. O(runs × log(tables of a run)), then one lookup in each
    /// table that its range and its filter don't rule out.
    ///
    /// # Errors
    ///
    /// As [`SstSet::get`].
    pub fn lookup(&self, hash: u64, key: &[u8]) -> Result<Lookup<'_>, ReadError> {
        for table in self.runs.iter().filter_map(|run| run.table_of(hash)) {
            match table.lookup(hash, key)? {
                Lookup::NotFound => {}
                found => return Ok(found),
            }
        }
        Ok(Lookup::NotFound)
    }

    /// All values of a key of a multi-value table: those of the newest table first, each table's in the order in
    /// which they were written. A tombstone hides the values of older tables, not those of its own.
    ///
    /// # Errors
    ///
    /// As [`SstSet::get`].
    pub fn get_all(&self, key: &[u8]) -> Result<Vec<Slice<'_>>, ReadError> {
        let hash = hash_key(key);
        let mut values = Vec::new();
        for table in self.runs.iter().filter_map(|run| run.table_of(hash)) {
            for entry in table.lookup_all(hash, key)? {
                match entry? {
                    EntryValue::Deleted => return Ok(values),
                    EntryValue::Value(value) => values.push(value),
                    EntryValue::Blob(number) => values.push(self.read_blob(number)?),
                }
            }
        }
        Ok(values)
    }

    /// All live entries in (hash, key) order, each key as its newest table has it: what [`SstSet::get`] answers from.
    #[must_use]
    pub fn iter(&self) -> SetIter<'_> {
        self.range(0..=u64::MAX)
    }

    /// [`SstSet::iter`] over the keys whose hashes are in `hashes`: what tables hold below is not read.
    #[must_use]
    pub fn range(&self, hashes: RangeInclusive<u64>) -> SetIter<'_> {
        SetIter::new(self, hashes, Values::Newest)
    }

    /// All live entries in (hash, key) order, each key with its entries in all tables: what [`SstSet::get_all`] answers
    /// from.
    #[must_use]
    pub fn iter_all(&self) -> SetIter<'_> {
        self.range_all(0..=u64::MAX)
    }

    /// [`SstSet::iter_all`] over the keys whose hashes are in `hashes`.
    #[must_use]
    pub fn range_all(&self, hashes: RangeInclusive<u64>) -> SetIter<'_> {
        SetIter::new(self, hashes, Values::All)
    }

    /// Reads a blob file of the directory. O(length of the value).
    ///
    /// # Errors
    ///
    /// [`ReadError`] if it is missing, damaged, or not the one that the commit lists.
    pub fn read_blob(&self, number: BlobNumber) -> Result<Slice<'static>, ReadError> {
        self.catalog.read_blob(number, self.options.access)
    }
}

impl fmt::Debug for SstSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SstSet")
            .field("dir", &self.catalog.dir)
            .field("commit", &self.catalog.commit)
            .field("family", &self.family)
            .field("tables", &self.tables().count())
            .field("runs", &self.runs.len())
            .field("access", &self.options.access)
            .finish_non_exhaustive()
    }
}
