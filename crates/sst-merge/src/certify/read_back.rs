//! Reads the tables of a commit that is not visible yet from the device.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use sst_format::content_digest::{ContentDigest, Ordinals, ValueDigest};
use sst_format::file_name::{FileKind, FileName};
use sst_format::monitor::{Meter, Monitor, Phase, Progress};
use sst_format::{BlobNumber, SequenceNumber};
use sst_reader::{
    Access, BlockCache, Catalog, CatalogTable, ReadValue, ReaderOptions, SstSet, StaticSortedFile,
    sha256,
};
use sst_writer::PublishError;
use sst_writer::publish::{Commit, PreparedCommit};

use crate::{MergeError, OlderTables};

/// Room for blocks, in bytes. Walks do not use the cache, only the opening of a table does.
const CACHE_CAPACITY: u64 = 1 << 20;

/// A commit that is not visible yet, as far as reading it back needs it.
pub(crate) trait Unpublished {
    /// See [`Commit::drop_cache`].
    fn drop_cache(&self, file: FileName) -> Result<(), PublishError>;
}

impl Unpublished for Commit<'_> {
    fn drop_cache(&self, file: FileName) -> Result<(), PublishError> {
        Commit::drop_cache(self, file)
    }
}

impl Unpublished for PreparedCommit<'_> {
    fn drop_cache(&self, file: FileName) -> Result<(), PublishError> {
        PreparedCommit::drop_cache(self, file)
    }
}

/// Reads the tables of one family, as a catalog describes them, from the device.
pub(crate) struct ReadBack<'c> {
    catalog: Catalog,
    family: u32,
    commit: &'c dyn Unpublished,
    monitor: &'c Monitor,
    /// Whether files are read from the device rather than from the system's cache.
    drops_cache: bool,
    options: ReaderOptions,
    walked: Walked,
    /// Digests of the blobs that were read.
    blobs: BTreeMap<BlobNumber, ValueDigest>,
}

/// How far the walks over entries are.
#[derive(Clone, Copy, Debug, Default)]
struct Walked {
    entries: u64,
    bytes: u64,
}

/// Digests of what is on the device.
pub(crate) struct Content {
    /// All entries of each of the newest tables, the newest table first.
    pub(crate) newest: Vec<TableContent>,
    /// The live entries: of each key those of the newest table that knows it.
    pub(crate) live: ContentDigest,
}

/// Digests of the entries of one table.
pub(crate) struct TableContent {
    pub(crate) sequence: SequenceNumber,
    pub(crate) path: PathBuf,
    /// All entries, tombstones included.
    pub(crate) all: ContentDigest,
    /// All entries but tombstones: those that are live if no other table has the same keys.
    values: ContentDigest,
}

impl<'c> ReadBack<'c> {
    pub(crate) fn new(
        catalog: Catalog,
        family: u32,
        commit: &'c dyn Unpublished,
        monitor: &'c Monitor,
    ) -> Self {
        let cache = BlockCache::new(CACHE_CAPACITY);
        // Mapped pages would not be dropped from the cache, and a device that fails would end the
        // process.
        let options = ReaderOptions::default().access(Access::Read).cache(cache);
        let (walked, blobs) = (Walked::default(), BTreeMap::new());
        Self { catalog, family, commit, monitor, drops_cache: true, options, walked, blobs }
    }

    /// Reads tables whose bytes may come from the system's cache: those of another directory than
    /// the commit, and those that readers use.
    pub(crate) fn cached(
        catalog: Catalog,
        family: u32,
        commit: &'c dyn Unpublished,
        monitor: &'c Monitor,
    ) -> Self {
        Self { drops_cache: false, ..Self::new(catalog, family, commit, monitor) }
    }

    /// The digest of a blob, if it was read.
    pub(crate) fn blob(&self, number: BlobNumber) -> Option<ValueDigest> {
        self.blobs.get(&number).copied()
    }

    /// Verifies every byte of all tables, and takes the digest of the live entries and of each of
    /// the `newest` newest tables.
    pub(crate) fn read(&mut self, newest: usize) -> Result<Content, MergeError> {
        let tables = self.tables();
        let overlapping = overlapping(&tables);
        let mut content = Content { newest: Vec::new(), live: ContentDigest::default() };
        let mut layered = self.catalog.clone();
        layered.tables.clear();
        for (age, table) in tables.into_iter().enumerate() {
            let file = self.verified(&table)?;
            let overlaps = overlapping.contains(&age);
            if !overlaps || age < newest {
                let digests = self.digests(&table, &file)?;
                if !overlaps {
                    content.live.combine(&digests.values);
                }
                if age < newest {
                    content.newest.push(digests);
                }
            }
            if overlaps {
                layered.tables.push(table);
            }
        }
        // Entries of overlapping tables hide each other, so these tables are walked side by side.
        content.live.combine(&self.newest_of(layered, &OlderTables::none())?);
        Ok(content)
    }

    /// Verifies every byte of all tables, but not of blobs.
    pub(crate) fn verify(&self) -> Result<(), MergeError> {
        self.tables().iter().try_for_each(|table| self.verified(table).map(drop))
    }

    /// The tables of the family, the newest first.
    fn tables(&self) -> Vec<CatalogTable> {
        let of_family = |table: &&CatalogTable| table.family == self.family;
        self.catalog.tables.iter().filter(of_family).cloned().collect()
    }

    /// Opens a table and verifies every byte of it.
    fn verified(&self, table: &CatalogTable) -> Result<StaticSortedFile, MergeError> {
        self.monitor.check()?;
        self.drop_cache(table.sequence, FileKind::Sst)?;
        let file = self.catalog.open_table(table, &self.options)?;
        match file.verify(self.monitor)?.damage.into_iter().next() {
            Some(damage) => Err(damage.into()),
            None => Ok(file),
        }
    }

    /// Digests of the entries of one table.
    fn digests(
        &mut self,
        table: &CatalogTable,
        file: &StaticSortedFile,
    ) -> Result<TableContent, MergeError> {
        let path = table.path(&self.catalog.dir);
        let (mut all, mut values) = (ContentDigest::default(), ContentDigest::default());
        let mut ordinals = Ordinals::default();
        let mut meter = self.meter();
        let mut cursor = file.cursor();
        while let Some(entry) = cursor.next()? {
            self.walked.entries += 1;
            meter.at(self.walked.entries, self.walked.bytes)?;
            let key = entry.key;
            let ordinal = ordinal(&mut ordinals, key)?;
            let value = match entry.into_value()? {
                ReadValue::Deleted => {
                    all.add_tombstone(key, sha256);
                    continue;
                }
                ReadValue::Value(value) => ValueDigest::of(value, sha256),
                ReadValue::Blob(number) => self.read_blob(number)?,
            };
            self.walked.bytes += key.len() as u64 + value.len;
            let mut one = ContentDigest::default();
            one.add_value(key, ordinal, &value, sha256);
            all.combine(&one);
            values.combine(&one);
        }
        Ok(TableContent { sequence: table.sequence, path, all, values })
    }

    /// The digest of the newest entries of all tables: of each key those of the newest table that
    /// knows it, with the tombstones that may hide something in `older` tables. Every block is
    /// verified before its first use.
    pub(crate) fn newest_entries(
        &mut self,
        older: &OlderTables,
    ) -> Result<ContentDigest, MergeError> {
        self.newest_of(self.catalog.clone(), older)
    }

    /// [`ReadBack::newest_entries`] of some of the tables.
    fn newest_of(
        &mut self,
        catalog: Catalog,
        older: &OlderTables,
    ) -> Result<ContentDigest, MergeError> {
        let set = SstSet::from_catalog(catalog, self.family, &self.options);
        let mut newest = ContentDigest::default();
        let mut ordinals = Ordinals::default();
        let mut meter = self.meter();
        for entry in set.iter_with_tombstones() {
            self.walked.entries += 1;
            meter.at(self.walked.entries, self.walked.bytes)?;
            let entry = entry?;
            let value = match &entry.value {
                ReadValue::Deleted => {
                    if older.may_hold(entry.hash) {
                        newest.add_tombstone(&entry.key, sha256);
                    }
                    continue;
                }
                ReadValue::Value(value) => ValueDigest::of(value, sha256),
                ReadValue::Blob(number) => self.read_blob(*number)?,
            };
            self.walked.bytes += entry.key.len() as u64 + value.len;
            let ordinal = ordinal(&mut ordinals, &entry.key)?;
            newest.add_value(&entry.key, ordinal, &value, sha256);
        }
        Ok(newest)
    }

    /// The digest of a blob, which is read from the device the first time.
    fn read_blob(&mut self, number: BlobNumber) -> Result<ValueDigest, MergeError> {
        if let Some(digest) = self.blob(number) {
            return Ok(digest);
        }
        self.monitor.check()?;
        self.drop_cache(SequenceNumber(number.0), FileKind::Blob)?;
        let value = self.catalog.read_blob(number, Access::Read)?;
        let digest = ValueDigest::of(&value, sha256);
        self.blobs.insert(number, digest);
        Ok(digest)
    }

    fn drop_cache(&self, sequence: SequenceNumber, kind: FileKind) -> Result<(), MergeError> {
        if self.drops_cache {
            self.commit.drop_cache(FileName { sequence, kind })?;
        }
        Ok(())
    }

    /// Reports the progress of a walk.
    fn meter(&self) -> Meter {
        let progress = Progress::new(Phase::Certify);
        let Walked { entries, bytes } = self.walked;
        Meter::new(self.monitor, progress.entries(entries).bytes(bytes))
    }
}

/// The indexes of the tables whose range of hashes overlaps that of another one. O(n log n).
fn overlapping(tables: &[CatalogTable]) -> BTreeSet<usize> {
    let mut by_hash: Vec<_> = tables.iter().map(|table| &table.record).enumerate().collect();
    by_hash.sort_unstable_by_key(|(_, record)| record.min_hash);
    let mut overlapping = BTreeSet::new();
    // Of the tables so far the one that reaches farthest.
    let mut farthest: Option<(usize, u64)> = None;
    for (index, record) in by_hash {
        if let Some((other, max_hash)) = farthest
            && record.min_hash <= max_hash
        {
            overlapping.extend([index, other]);
            if record.max_hash <= max_hash {
                continue;
            }
        }
        farthest = Some((index, record.max_hash));
    }
    overlapping
}

fn ordinal(ordinals: &mut Ordinals, key: &[u8]) -> Result<u32, MergeError> {
    ordinals.next(key).ok_or_else(|| MergeError::internal("a key has fewer than 2^32 entries"))
}
