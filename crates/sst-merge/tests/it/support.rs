//! Layers of entries, as maps in memory and as tables on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;
use sst_merge::Monitor;
use sst_reader::{Catalog, ReaderOptions, StaticSortedFile};
use sst_writer::publish::{Commit, FinishedTable};
use sst_writer::table::hash_key;
use sst_writer::{Entry, EntryValue, Publisher, PublisherOptions, WriterOptions};

/// The value or the tombstone that an entry has for its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Deleted,
    Inline(Vec<u8>),
    Small(Vec<u8>),
    Medium(Vec<u8>),
    Blob(Vec<u8>),
}

/// Keys with their entries, in the order in which they are written; a tombstone is the last.
pub(crate) type Layer = BTreeMap<Vec<u8>, Vec<Value>>;

/// Observes nothing and never cancels.
pub(crate) fn go_on() -> Monitor {
    Monitor::default()
}

/// Key number `i`: short ones, ones of 16 bytes, and ones so long that hashes are stored.
pub(crate) fn key(i: u8) -> Vec<u8> {
    match i % 3 {
        0 => vec![i],
        1 => format!("key {i:012}").into_bytes(),
        _ => format!("a key that is longer than the threshold {i}").into_bytes(),
    }
}

fn bytes(len: usize, seed: u8) -> Vec<u8> {
    // Even seeds compress, odd ones hardly do.
    let mut state = u32::from(seed);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..len).map(|_| if seed.is_multiple_of(2) { seed } else { next() }).collect()
}

fn value() -> impl Strategy<Value = Value> {
    let seed = any::<u8>();
    prop_oneof![
        (0..=8usize, seed).prop_map(|(len, seed)| Value::Inline(bytes(len, seed))),
        (0..2000usize, seed).prop_map(|(len, seed)| Value::Small(bytes(len, seed))),
        (0..9000usize, any::<u8>()).prop_map(|(len, seed)| Value::Medium(bytes(len, seed))),
        (0..50_000usize, any::<u8>()).prop_map(|(len, seed)| Value::Blob(bytes(len, seed))),
    ]
}

/// The entries of one key: mostly one value or a tombstone, sometimes several values, with or
/// without a tombstone.
fn values() -> impl Strategy<Value = Vec<Value>> {
    prop_oneof![
        6 => value().prop_map(|value| vec![value]),
        3 => Just(vec![Value::Deleted]),
        1 => (prop::collection::vec(value(), 1..4), any::<bool>()).prop_map(|(mut values, dies)| {
            if dies {
                values.push(Value::Deleted);
            }
            values
        }),
    ]
}

/// A layer of up to `max` keys out of 60.
pub(crate) fn layer(max: usize) -> impl Strategy<Value = Layer> {
    prop::collection::btree_map((0..60u8).prop_map(key), values(), 1..max)
}

/// The keys of a layer in the order of a table.
pub(crate) fn in_order(layer: &Layer) -> Vec<(&Vec<u8>, &Vec<Value>)> {
    let mut entries: Vec<_> = layer.iter().collect();
    entries.sort_by_key(|(key, _)| (hash_key(key), *key));
    entries
}

/// An entry under a hash of the test's choice.
pub(crate) struct Hashed<'a>(pub(crate) u64, pub(crate) &'a [u8], pub(crate) EntryValue<'a>);

impl Entry for Hashed<'_> {
    fn key_hash(&self) -> u64 {
        self.0
    }

    fn key_len(&self) -> usize {
        self.1.len()
    }

    fn write_key_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.1);
    }

    fn value(&self) -> EntryValue<'_> {
        self.2
    }
}

/// Writes a layer as one table of a commit.
pub(crate) fn write_table(commit: &Commit<'_>, layer: &Layer) -> FinishedTable {
    let mut table = commit.create_table(WriterOptions::default().multi_value(true)).unwrap();
    for (key, values) in in_order(layer) {
        for value in values {
            let value = match value {
                Value::Deleted => EntryValue::Deleted,
                Value::Inline(bytes) => EntryValue::Inline(bytes),
                Value::Small(bytes) => EntryValue::Small(bytes),
                Value::Medium(bytes) => EntryValue::Medium(bytes),
                Value::Blob(bytes) => EntryValue::Blob(commit.create_blob(bytes).unwrap()),
            };
            table.add((key, value)).unwrap();
        }
    }
    table.finish().unwrap()
}

pub(crate) fn publisher(dir: &Path) -> Publisher {
    Publisher::open(dir, PublisherOptions::default()).unwrap()
}

/// Publishes layers, the oldest first, as one commit each.
pub(crate) fn publish(dir: &Path, layers: &[Layer]) {
    let mut publisher = publisher(dir);
    for layer in layers {
        let mut commit = publisher.begin();
        let table = write_table(&commit, layer);
        commit.add_table(table).unwrap();
        commit.publish(&Monitor::default()).unwrap();
    }
}

/// All entries of a table as they are, with the hashes they are under.
pub(crate) fn entries_of(
    table: &StaticSortedFile,
    catalog: Option<&Catalog>,
) -> Vec<(u64, Vec<u8>, Value)> {
    use sst_format::value_ref::ValueRef;
    let mut entries = Vec::new();
    let mut cursor = table.cursor();
    while let Some(entry) = cursor.next().unwrap() {
        let kind = match entry.value_ref().unwrap() {
            ValueRef::Deleted => Value::Deleted,
            ValueRef::Inline(_) => Value::Inline(Vec::new()),
            ValueRef::Small { .. } => Value::Small(Vec::new()),
            ValueRef::Medium(_) => Value::Medium(Vec::new()),
            ValueRef::Blob(number) => {
                let blob = catalog.unwrap().read_blob(number, sst_reader::Access::Read).unwrap();
                Value::Blob(blob.to_vec())
            }
        };
        let (hash, key) = (entry.hash, entry.key);
        let value = match (kind, entry.into_value().unwrap()) {
            (Value::Inline(_), sst_reader::ReadValue::Value(value)) => {
                Value::Inline(value.to_vec())
            }
            (Value::Small(_), sst_reader::ReadValue::Value(value)) => Value::Small(value.to_vec()),
            (Value::Medium(_), sst_reader::ReadValue::Value(value)) => {
                Value::Medium(value.to_vec())
            }
            (kind, _) => kind,
        };
        entries.push((hash, key.to_vec(), value));
    }
    entries
}

/// What the tables of a directory hold, which must have disjoint ranges of hashes; and how many
/// tables there are.
pub(crate) fn content(dir: &Path) -> (Layer, usize) {
    let catalog = Catalog::read(dir).unwrap();
    let mut layer = Layer::new();
    let mut owners: BTreeMap<u64, usize> = BTreeMap::new();
    let mut tables: Vec<_> = catalog.tables.iter().collect();
    tables.sort_by_key(|table| table.record.min_hash);
    for (at, described) in tables.iter().enumerate() {
        let table = catalog.open_table(described, &ReaderOptions::default()).unwrap();
        for (hash, key, value) in entries_of(&table, Some(&catalog)) {
            assert!(owners.range(hash..).all(|(_, owner)| *owner == at), "ranges overlap");
            owners.insert(hash, at);
            layer.entry(key).or_default().push(value);
        }
    }
    (layer, tables.len())
}

/// Names of the files of a directory.
pub(crate) fn files(dir: &Path) -> BTreeSet<String> {
    let files = std::fs::read_dir(dir).unwrap();
    files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}
