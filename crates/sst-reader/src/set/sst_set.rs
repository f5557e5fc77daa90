//! Lookups in a directory of tables.

use std::collections::HashMap;
use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::sync::Arc;

use sst_format::meta_head::{HashRange, Shard};
use sst_format::{BlobNumber, SequenceNumber};

use super::catalog::Scope;
use super::filter_matrix::FilterMatrix;
use super::layer::{Layer, layers_of};
use super::open_files::OpenFiles;
use super::set_table::{Opening, SetTable};
use super::statistics::{Counters, Tally};
use super::{Catalog, SetStatistics};
use crate::{
    BlockCache, CatalogTable, FileLabel, Lookup, ReadError, ReaderOptions, Slice, hash_key,
};

/// One key space of a directory as of one commit: newest wins, tombstones hide, blobs are read.
///
/// A set never changes: it goes on answering from its commit after later ones. [`SstSet::refresh`]
/// gives the set of a newer commit, and [`LiveSet`](crate::LiveSet) holds the newest one for many
/// threads.
///
/// Opening reads the meta files only. Tables are opened when a lookup first needs them, so a file
/// that the writer has removed since is met late: the lookup then fails with
/// [`ReadError::Outdated`], and works in a refreshed set.
///
/// ```no_run
/// use sst_reader::{ReaderOptions, SstSet};
///
/// let set = SstSet::open("unicode.db", &ReaderOptions::default())?;
/// if let Some(value) = set.get("1F600")? {
///     println!("{}", value.escape_ascii());
/// }
/// # Ok::<(), sst_reader::ReadError>(())
/// ```
pub struct SstSet {
    catalog: Catalog,
    family: u32,
    /// The hashes that the directory has: all of them, unless it holds a shard.
    shard_hashes: HashRange,
    options: ReaderOptions,
    /// Newest layer first.
    layers: Vec<Layer>,
    /// If there are many layers.
    matrix: Option<FilterMatrix>,
    shared: Shared,
}

/// The parts that a set shares with the sets that it is refreshed to.
#[derive(Clone)]
struct Shared {
    cache: Arc<BlockCache>,
    open_files: Option<Arc<OpenFiles>>,
    counters: Option<Arc<Counters>>,
}

impl SstSet {
    /// Opens family 0 of the directory `dir`, ours or the original's, as of its current commit.
    ///
    /// # Errors
    ///
    /// As [`Catalog::read`].
    pub fn open(dir: impl AsRef<Path>, options: &ReaderOptions) -> Result<Self, ReadError> {
        Self::open_family(dir, 0, options)
    }

    /// Opens one family of the directory `dir`. A family without tables is empty, not an error.
    ///
    /// # Errors
    ///
    /// As [`Catalog::read`].
    pub fn open_family(
        dir: impl AsRef<Path>,
        family: u32,
        options: &ReaderOptions,
    ) -> Result<Self, ReadError> {
        let catalog = Catalog::read_with(dir, options)?;
        Ok(Self::from_catalog(catalog, family, options))
    }

    /// Opens the keys of one family of the directory `dir` whose hashes are in `hashes`: the set
    /// shows no others. Of a commit that is several meta files, each of one range of hashes, only
    /// those are read that the range needs. A set of less than all hashes has no
    /// [`SstSet::certificate`].
    ///
    /// # Errors
    ///
    /// As [`Catalog::read`].
    pub fn open_range(
        dir: impl AsRef<Path>,
        family: u32,
        hashes: RangeInclusive<u64>,
        options: &ReaderOptions,
    ) -> Result<Self, ReadError> {
        let range = match (*hashes.start(), *hashes.end()) {
            (min, max) if min <= max => HashRange { min, max },
            _ => HashRange::EMPTY,
        };
        let scope = Scope::of(family, range);
        let catalog = Catalog::read_scope(dir.as_ref(), &options.way(), scope)?;
        Ok(Self::from_catalog(catalog, family, options))
    }

    /// Opens one family of a directory whose meta files have been read. No table is opened before
    /// it is needed.
    #[must_use]
    pub fn from_catalog(catalog: Catalog, family: u32, options: &ReaderOptions) -> Self {
        let options = catalog.options_for(options);
        let cache = options.cache_or_default();
        let open_files = options.open_files_limit(&catalog.dir);
        let shared = Shared {
            cache: Arc::clone(&cache),
            open_files: open_files.map(|limit| Arc::new(OpenFiles::new(limit))),
            counters: options.statistics.then(|| Arc::new(Counters::new())),
        };
        let filters = catalog.tables.iter().filter(|table| table.family == family);
        let filters = filters.filter(|table| table.filter_len() > 0).count();
        if options.filter.is_none() && filters > 0 {
            crate::telemetry::filters_unused(&catalog.dir, filters);
        }
        // All tables of the set share one cache, given or not.
        let options = options.into_owned().cache(cache);
        Self::build(catalog, family, options, shared, None)
    }

    fn build(
        catalog: Catalog,
        family: u32,
        options: ReaderOptions,
        shared: Shared,
        earlier: Option<&Self>,
    ) -> Self {
        let known = earlier.into_iter().flat_map(|set| &set.layers).flat_map(Layer::tables);
        let known: HashMap<SequenceNumber, &SetTable> =
            known.map(|table| (table.sequence(), table)).collect();
        let described = catalog.tables.iter().filter(|table| table.family == family);
        let tables = described.map(|described| match known.get(&described.sequence) {
            Some(table) if table.described().is_same_file(described) => {
                table.described_by(described)
            }
            _ => SetTable::new(described, shared.open_files.is_some()),
        });
        #[cfg(sst_planted)]
        let tables = tables.enumerate().map(|(i, table)| match known.values().next() {
            Some(old) if i == 0 && sst_format::is_planted("refresh-mixes-commits") => {
                SetTable::clone(old)
            }
            _ => table,
        });
        let layers = layers_of(tables.collect(), catalog.hashes());
        let matrix = FilterMatrix::new(&layers, earlier.and_then(|set| set.matrix.as_ref()));
        let shard_hashes = catalog.shard_hashes();
        Self { catalog, family, shard_hashes, options, layers, matrix, shared }
    }

    /// The set of the directory's current commit, if that is another one than this set's. Tables
    /// that both have stay open and keep their filters and cached blocks; statistics go on. Meta
    /// files that this set holds are not read again.
    ///
    /// Commits are told apart by their checksums, not their numbers: a directory that was swapped
    /// for another one, restored from a copy or rebuilt is noticed, and its number may be lower. A
    /// few bytes are read to see that nothing has changed. Without protection they are the start of
    /// the newest meta file, and the system's data of it.
    ///
    /// # Errors
    ///
    /// As [`SstSet::open`]; this set goes on as before.
    pub fn refresh(&self) -> Result<Option<Self>, ReadError> {
        let Some(catalog) = Catalog::read_if_changed(&self.catalog)? else { return Ok(None) };
        crate::telemetry::refreshed(&catalog.dir, self.catalog.commit, catalog.commit);
        let shared = self.shared.clone();
        Ok(Some(Self::build(catalog, self.family, self.options.clone(), shared, Some(self))))
    }

    /// Opens every table and every filter now, rather than when they are first needed: later
    /// lookups don't wait for it, and a damaged or missing file is found. With
    /// [`ReaderOptions::max_open_files`] the earlier ones are closed again.
    ///
    /// # Errors
    ///
    /// As [`StaticSortedFile::open`](crate::StaticSortedFile::open); [`ReadError::Outdated`].
    pub fn open_all(&self) -> Result<(), ReadError> {
        let mut tally = Tally::default();
        let opened = self.layers.iter().flat_map(Layer::tables).try_for_each(|table| {
            table.open_filter(self.opening())?;
            table.open(self.opening(), &mut tally).map(drop)
        });
        if let Some(matrix) = &self.matrix {
            matrix.fill();
        }
        self.count(&tally);
        opened
    }

    /// The catalog of the whole directory, other families included. Of a set of a range of hashes
    /// ([`SstSet::open_range`]) it has the tables of that family and range only, and the meta files
    /// that these need; its certificates are those of the commit.
    #[must_use]
    pub const fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The family that the set shows.
    #[must_use]
    pub const fn family(&self) -> u32 {
        self.family
    }

    /// The shard that the directory holds; `None` if it holds everything. Walks of the set show the
    /// entries of the shard, and lookups of other keys fail with [`ReadError::OfOtherShard`].
    #[must_use]
    pub const fn shard(&self) -> Option<Shard> {
        self.catalog.shard
    }

    /// Fails if the directory holds a shard to which a hash does not belong: it knows nothing of
    /// such keys.
    #[inline]
    pub(super) fn check_shard(&self, hash: u64) -> Result<(), ReadError> {
        if self.shard_hashes.contains(hash) { Ok(()) } else { Err(self.of_other_shard(hash)) }
    }

    #[cold]
    fn of_other_shard(&self, hash: u64) -> ReadError {
        let file = FileLabel::new(&self.catalog.dir);
        match self.catalog.shard {
            Some(shard) => {
                ReadError::OfOtherShard { file, hash, index: shard.index, count: shard.count }
            }
            None => ReadError::internal(&file, "a directory without a shard has all hashes"),
        }
    }

    /// Descriptions of the set's tables: those of newer layers first, ascending by hash within a
    /// layer.
    pub fn tables(&self) -> impl Iterator<Item = &CatalogTable> {
        self.layers.iter().flat_map(Layer::tables).map(|table| table.described())
    }

    /// Number of layers of disjoint tables: how many tables a lookup asks at most, before filters
    /// are asked.
    #[must_use]
    pub const fn layer_count(&self) -> usize {
        self.layers.len()
    }

    /// Number of entries of all tables of the set, as the commit states it: tombstones and hidden
    /// entries are counted too. `None` if the directory is not protected. O(number of tables).
    #[must_use]
    pub fn entry_count(&self) -> Option<u64> {
        self.tables().map(|table| table.entry_count()).sum()
    }

    /// Number of live entries of the family, as its certificate states it; `None` if the commit is
    /// not certified. [`SstSet::iter`] counts them otherwise.
    #[must_use]
    pub fn live_entry_count(&self) -> Option<u64> {
        let mut certificates = self.catalog.certificates.iter();
        let of_family = certificates.find(|certificate| certificate.family == self.family)?;
        // A set of a part of the hashes has fewer.
        let is_whole = self.catalog.hashes() == HashRange::FULL;
        is_whole.then(|| of_family.content.entries())
    }

    /// Number of tables whose files are open now. O(number of tables).
    #[must_use]
    pub fn open_table_count(&self) -> usize {
        self.layers.iter().flat_map(Layer::tables).filter(|table| table.is_open()).count()
    }

    /// Outcomes of lookups so far, in this set and those it was refreshed from and to. Zeros but
    /// for the cache without [`ReaderOptions::statistics`]. A few hundred loads, no lock.
    #[must_use]
    pub fn statistics(&self) -> SetStatistics {
        SetStatistics::new(self.shared.counters.as_deref(), self.shared.cache.statistics())
    }

    pub(super) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    pub(super) const fn matrix(&self) -> Option<&FilterMatrix> {
        self.matrix.as_ref()
    }

    /// The parts that opening a table needs.
    #[inline]
    pub(super) fn opening(&self) -> Opening<'_> {
        let open_files = self.shared.open_files.as_deref();
        Opening { catalog: &self.catalog, options: &self.options, open_files }
    }

    /// Whether there are counters.
    pub(super) const fn is_counting(&self) -> bool {
        self.shared.counters.is_some()
    }

    /// Adds to the counters, if there are any.
    #[inline]
    pub(super) fn count(&self, tally: &Tally) {
        if let Some(counters) = &self.shared.counters {
            counters.add(tally);
        }
    }

    /// The value of a key, blobs included; `None` if it has none or was deleted.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if a file on the way cannot be read or is damaged;
    /// [`ReadError::OfOtherShard`] if the directory holds a shard, and the key is of another.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Slice<'_>>, ReadError> {
        let key = key.as_ref();
        match self.lookup(hash_key(key), key)? {
            Lookup::NotFound | Lookup::Deleted => Ok(None),
            Lookup::Value(value) => Ok(Some(value)),
            Lookup::Blob(number) => self.read_blob(number).map(Some),
        }
    }

    /// Whether [`SstSet::get`] finds a value. A value in a blob file is not read.
    ///
    /// # Errors
    ///
    /// As [`SstSet::get`].
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> Result<bool, ReadError> {
        let key = key.as_ref();
        match self.lookup(hash_key(key), key)? {
            Lookup::NotFound | Lookup::Deleted => Ok(false),
            Lookup::Value(_) | Lookup::Blob(_) => Ok(true),
        }
    }

    /// The answer of the newest table that knows the key.
    ///
    /// Expected O(layers) to find the tables that can hold the hash, then one lookup in each that
    /// its filter doesn't rule out. A lookup in open tables takes no lock, and allocates nothing
    /// where a table's does not.
    ///
    /// # Errors
    ///
    /// As [`SstSet::get`].
    #[inline]
    pub fn lookup(&self, hash: u64, key: impl AsRef<[u8]>) -> Result<Lookup<'_>, ReadError> {
        let mut tally = Tally::default();
        let found = self.lookup_tallied(hash, key.as_ref(), &mut tally);
        if let Some(counters) = &self.shared.counters {
            tally.outcome(&found);
            counters.add(&tally);
        }
        found.map_err(|error| self.catalog.outdated_or(error))
    }

    #[inline]
    fn lookup_tallied(
        &self,
        hash: u64,
        key: &[u8],
        tally: &mut Tally,
    ) -> Result<Lookup<'_>, ReadError> {
        self.check_shard(hash)?;
        if let Some(matrix) = &self.matrix {
            return self.lookup_in_many(matrix, hash, key, tally);
        }
        for layer in &self.layers {
            match Self::lookup_in_layer(layer, hash, key, self.opening(), tally)? {
                Lookup::NotFound => {}
                found => return Ok(found),
            }
        }
        Ok(Lookup::NotFound)
    }

    /// [`SstSet::lookup_tallied`] in layers of which most need not be asked.
    fn lookup_in_many(
        &self,
        matrix: &FilterMatrix,
        hash: u64,
        key: &[u8],
        tally: &mut Tally,
    ) -> Result<Lookup<'_>, ReadError> {
        let mut next = 0;
        let found = matrix.ask_layers(hash, |i| {
            self.count_skipped(next..i, hash, tally);
            next = i + 1;
            // The matrix was made for these layers.
            let Some(layer) = self.layers.get(i) else { return Err(self.no_such_layer()) };
            match Self::lookup_in_layer(layer, hash, key, self.opening(), tally)? {
                Lookup::NotFound => Ok(None),
                found => Ok(Some(found)),
            }
        })?;
        if found.is_none() {
            self.count_skipped(next..self.layers.len(), hash, tally);
        }
        Ok(found.unwrap_or(Lookup::NotFound))
    }

    /// Counts the tables of layers that a filter matrix ruled out, if there are counters.
    #[inline]
    pub(super) fn count_skipped(&self, layers: Range<usize>, hash: u64, tally: &mut Tally) {
        if self.shared.counters.is_some() {
            let skipped = self.layers.iter().take(layers.end).skip(layers.start);
            // A layer without a table of the hash has nothing to skip.
            let skipped = skipped.filter(|layer| matches!(layer.table_of(hash), Ok(Some(_))));
            tally.filter_skips += skipped.count() as u64;
        }
    }

    #[cold]
    pub(super) fn no_such_layer(&self) -> ReadError {
        let label = FileLabel::new(&self.catalog.dir);
        ReadError::internal(&label, "the columns of a matrix are the layers of its set")
    }

    #[inline]
    pub(super) fn lookup_in_layer<'s>(
        layer: &'s Layer,
        hash: u64,
        key: &[u8],
        opening: Opening<'_>,
        tally: &mut Tally,
    ) -> Result<Lookup<'s>, ReadError> {
        match layer.table_of(hash) {
            Ok(Some(table)) => table.lookup(hash, key, opening, tally),
            Ok(None) => Ok(Lookup::NotFound),
            Err(uneven) => Err(uneven.in_catalog(opening.catalog)),
        }
    }

    /// Reads a blob file of the directory. O(length of the value).
    ///
    /// # Errors
    ///
    /// [`ReadError`] if it is missing, damaged, or not the one that the commit lists.
    pub fn read_blob(&self, number: BlobNumber) -> Result<Slice<'static>, ReadError> {
        let limit = self.options.payload_limit();
        self.catalog.read_blob_within(number, self.options.access, limit)
    }
}

impl fmt::Debug for SstSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SstSet")
            .field("dir", &self.catalog.dir)
            .field("commit", &self.catalog.commit)
            .field("family", &self.family)
            .field("tables", &self.tables().count())
            .field("layers", &self.layers.len())
            .field("access", &self.options.access)
            .finish_non_exhaustive()
    }
}
