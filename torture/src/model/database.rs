//! Directories made with the publisher, and a model of the right answers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sst_amqf::QuotientFilter;
use sst_conformance::{TestEntry, TestValue};
use sst_format::SequenceNumber;
use sst_reader::{ReadValue, SstSet};
use sst_writer::table::Compression;
use sst_writer::{Monitor, Publisher, PublisherOptions, WriterOptions};
use tempfile::TempDir;

use super::outcome::Outcome;
use super::{absent, same_key, scratch};

/// One commit to be made. The number in [`TestValue::Blob`] is the index among all blobs of the
/// database since its first commit.
#[derive(Default)]
pub struct Changes {
    /// The family.
    pub family: u32,
    /// The sorted entries of each table. A later table wins.
    pub tables: Vec<Vec<TestEntry>>,
    /// New blobs.
    pub blobs: Vec<Vec<u8>>,
    /// Tables to be made obsolete.
    pub obsolete: Vec<SequenceNumber>,
    /// Compression of tables and blobs.
    pub compression: Compression,
}

impl Changes {
    /// A commit of one table.
    pub fn table(entries: Vec<TestEntry>) -> Self {
        Self { tables: vec![entries], ..Self::default() }
    }
}

/// A table as written.
struct ModelTable {
    family: u32,
    sequence: SequenceNumber,
    entries: Vec<TestEntry>,
}

/// A directory and a model of its content.
pub struct Database {
    root: TempDir,
    dir: PathBuf,
    options: PublisherOptions,
    /// Live tables, oldest first.
    tables: Vec<ModelTable>,
    /// The number and the value of each blob.
    blobs: Vec<(u32, Vec<u8>)>,
}

impl Default for Database {
    fn default() -> Self {
        Self::new()
    }
}

impl Database {
    /// A directory without a commit.
    #[must_use]
    pub fn new() -> Self {
        Self::with_options(PublisherOptions::default())
    }

    /// A directory without a commit, in which commits are made with these options.
    pub fn with_options(options: PublisherOptions) -> Self {
        let root = scratch();
        let dir = root.path().join("db");
        Self { root, dir, options, tables: Vec::new(), blobs: Vec::new() }
    }

    /// A directory of one commit with one table.
    pub fn of_table(entries: Vec<TestEntry>) -> Self {
        let mut database = Self::new();
        database.commit(Changes::table(entries));
        database
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Creates a directory beside this one, removed together with it.
    pub fn beside(&self, name: &str) -> PathBuf {
        let dir = self.root.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        dir
    }

    /// Makes a commit. Returns the sequence numbers of the new tables.
    pub fn commit(&mut self, changes: Changes) -> Vec<SequenceNumber> {
        let options = self.options.clone().blob_compression(changes.compression);
        let mut publisher = Publisher::open(&self.dir, options).unwrap();
        let mut commit = publisher.begin_family(changes.family);
        for value in changes.blobs {
            self.blobs.push((commit.create_blob(&value).unwrap().0, value));
        }
        let mut new = Vec::new();
        for mut entries in changes.tables {
            let options = WriterOptions::default()
                .filter(QuotientFilter::default())
                .multi_value(true)
                .compression(changes.compression);
            let mut table = commit.create_table(options).unwrap();
            for entry in &mut entries {
                if let TestValue::Blob(number) = &mut entry.value {
                    *number = self.blobs[*number as usize].0;
                }
                table.add(&*entry).unwrap();
            }
            let sequence = table.sequence();
            new.push(sequence);
            commit.add_table(table.finish().unwrap()).unwrap();
            self.tables.push(ModelTable { family: changes.family, sequence, entries });
        }
        for &sequence in &changes.obsolete {
            commit.obsolete(sequence).unwrap();
        }
        self.tables.retain(|table| !changes.obsolete.contains(&table.sequence));
        let info = commit.publish(&Monitor::default()).unwrap();
        assert!(info.not_removed.is_empty());
        new
    }

    /// The right answers for family 0.
    pub fn expected(&self) -> Expected {
        self.expected_of(0)
    }

    /// The right answers for a family.
    pub fn expected_of(&self, family: u32) -> Expected {
        let tables = self.tables.iter().rev().filter(|table| table.family == family);
        let groups = tables.flat_map(|table| table.entries.chunk_by(same_key));
        let mut by_key: BTreeMap<(u64, &[u8]), Vec<&[TestEntry]>> = BTreeMap::new();
        for group in groups {
            by_key.entry((group[0].hash, &group[0].key)).or_default().push(group);
        }
        let keys = by_key.into_iter().map(|((hash, key), groups)| ExpectedKey {
            hash,
            key: key.to_vec(),
            first: self.value(&groups[0][0].value),
            newest: groups[0].iter().filter_map(|entry| self.value(&entry.value)).collect(),
            all: self.values_until_tombstone(&groups),
        });
        Expected { keys: keys.collect() }
    }

    /// Sequence numbers of the live tables of all families.
    pub fn live_tables(&self) -> BTreeSet<SequenceNumber> {
        self.tables.iter().map(|table| table.sequence).collect()
    }

    fn values_until_tombstone(&self, groups: &[&[TestEntry]]) -> Vec<Vec<u8>> {
        let entries = groups.iter().copied().flatten();
        entries.map_while(|entry| self.value(&entry.value)).collect()
    }

    /// The bytes of a value; `None` for a tombstone.
    fn value(&self, value: &TestValue) -> Option<Vec<u8>> {
        match value {
            TestValue::Blob(number) => {
                self.blobs.iter().find(|(known, _)| known == number).map(|(_, value)| value.clone())
            }
            value => value.bytes().map(<[u8]>::to_vec),
        }
    }
}

/// The right answers for one family of a directory.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The keys, ordered by hash and key.
    keys: Vec<ExpectedKey>,
}

#[derive(Clone, Debug)]
struct ExpectedKey {
    hash: u64,
    key: Vec<u8>,
    /// The value of the first entry in the newest table; `None` for a tombstone.
    first: Option<Vec<u8>>,
    /// The values in the newest table.
    newest: Vec<Vec<u8>>,
    /// The values in all tables, the newest first, up to the first tombstone.
    all: Vec<Vec<u8>>,
}

impl Expected {
    /// Each key with the value that a lookup returns.
    pub fn values(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.keys.iter().map(|expected| (&*expected.key, expected.first.as_deref()))
    }

    /// Looks up every key in every way, and some absent keys, and judges the answers.
    pub fn judge(&self, set: &SstSet) -> Outcome {
        let mut outcome = Outcome::default();
        for ExpectedKey { key, first, all, .. } in &self.keys {
            if let Some(found) = outcome.ok(set.get(key)) {
                outcome.judge(key, &found.as_deref(), &first.as_deref());
            }
            if let Some(found) = outcome.ok(set.get_all(key).collect::<Result<Vec<_>, _>>()) {
                let found: Vec<&[u8]> = found.iter().map(AsRef::as_ref).collect();
                let expected: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
                outcome.judge(key, &found, &expected);
            }
        }
        for (_, key) in absent() {
            if let Some(found) = outcome.ok(set.get(&key)) {
                outcome.judge(&key, &found.as_deref(), &None);
            }
        }
        self.scan(set, &mut outcome);
        outcome
    }

    fn scan(&self, set: &SstSet, outcome: &mut Outcome) {
        let values = self.keys.iter().flat_map(|expected| {
            expected.newest.iter().map(|value| (expected.hash, &*expected.key, &**value))
        });
        let mut values = values.peekable();
        for entry in set.iter() {
            let Some(entry) = outcome.ok(entry) else { return };
            let value = match entry.value {
                ReadValue::Deleted => None,
                ReadValue::Blob(number) => match outcome.ok(set.read_blob(number)) {
                    Some(value) => Some(value),
                    None => return,
                },
                ReadValue::Value(value) => Some(value),
            };
            let found = value.as_deref().map(|value| (entry.hash, &*entry.key, value));
            outcome.judge(b"iteration", &found, &values.next());
        }
        outcome.judge(b"end of iteration", &values.next(), &None);
    }
}
