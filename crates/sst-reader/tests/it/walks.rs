//! Walks of random sets beside a model: equal hashes, tombstones, families, several values of a
//! key.

use std::collections::BTreeMap;

use sst_format::file_name::FileKind;
use sst_reader::{Access, ReadValue, ReaderOptions, SetCursor, SetIter, SstSet, hash_key};

use crate::support::{Commit, Directory, Entry, Table, Value};

/// The entries of a family as its tables have them, newest commit first.
type Layers = Vec<BTreeMap<(u64, Vec<u8>), Vec<Value>>>;

/// A walk as it should be: hash, key and value.
type Walk = Vec<(u64, Vec<u8>, Value)>;

/// Numbers that look random, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        u32::try_from((self.0 >> 33) % u64::from(bound)).unwrap()
    }
}

/// Long keys share a few hashes, at both ends of all hashes too; short ones have their own.
fn hash_of(key: &[u8]) -> u64 {
    match key {
        [first, ..] if key.len() > 32 => match first % 8 {
            7 => u64::MAX,
            low => u64::from(low) << 61,
        },
        _ => hash_key(key),
    }
}

fn key(number: u32) -> Vec<u8> {
    let len = if number.is_multiple_of(2) { 40 } else { 3 };
    vec![u8::try_from(number).unwrap(); len]
}

/// Entries of some keys: one value or several, perhaps a tombstone behind them.
fn entries(random: &mut Random, keys: u32) -> Vec<Entry> {
    let mut entries = Vec::new();
    for number in (0..keys).filter(|_| random.below(3) == 0).collect::<Vec<_>>() {
        let values = [0, 1, 1, 1, 3][random.below(5) as usize];
        for _ in 0..values {
            let value = random.below(1000).to_be_bytes();
            entries.push(match random.below(3) {
                0 => (key(number), Value::Inline(value.to_vec())),
                1 => (key(number), Value::Small(value.repeat(5))),
                _ => (key(number), Value::Medium(value.repeat(1100))),
            });
        }
        if values == 0 || random.below(4) == 0 {
            entries.push((key(number), Value::Deleted));
        }
    }
    entries
}

/// Tables of disjoint ranges of hashes with these entries.
fn tables(entries: &[Entry], count: usize) -> Vec<Table> {
    let mut sorted = entries.to_vec();
    sorted.sort_by_key(|(key, _)| hash_of(key));
    let mut tables = Vec::new();
    let mut rest = &sorted[..];
    while !rest.is_empty() {
        let mut len = entries.len().div_ceil(count).min(rest.len());
        // Entries of one hash stay together.
        while len < rest.len() && hash_of(&rest[len].0) == hash_of(&rest[len - 1].0) {
            len += 1;
        }
        let (table, behind) = rest.split_at(len);
        tables.push(Table::with_hashes(table, hash_of));
        rest = behind;
    }
    tables
}

/// The entries that count of each key: of the newest layer, or of all down to a tombstone.
fn expected(layers: &Layers, all: bool, with_tombstones: bool) -> Walk {
    let mut keys: Vec<_> = layers.iter().flat_map(BTreeMap::keys).collect();
    keys.sort();
    keys.dedup();
    let mut walk = Vec::new();
    for key in keys {
        for values in layers.iter().filter_map(|layer| layer.get(key)) {
            let values_of = |value: &&Value| with_tombstones || **value != Value::Deleted;
            let lent = values.iter().filter(values_of).cloned();
            walk.extend(lent.map(|value| (key.0, key.1.clone(), value)));
            if !all || values.contains(&Value::Deleted) {
                break;
            }
        }
    }
    walk
}

fn value_of(value: &ReadValue<impl AsRef<[u8]>>) -> Value {
    match value {
        ReadValue::Deleted => Value::Deleted,
        ReadValue::Blob(number) => Value::Blob(number.0),
        ReadValue::Value(value) => match value.as_ref() {
            value if value.len() <= 8 => Value::Inline(value.to_vec()),
            value if value.len() <= 4096 => Value::Small(value.to_vec()),
            value => Value::Medium(value.to_vec()),
        },
    }
}

fn handed_out(walk: SetIter<'_>) -> Walk {
    let of =
        |entry: sst_reader::IterEntry<'_>| (entry.hash, entry.key.to_vec(), value_of(&entry.value));
    walk.map(|entry| of(entry.unwrap())).collect()
}

fn lent(mut cursor: SetCursor<'_>) -> Walk {
    let mut walk = Vec::new();
    while let Some(entry) = cursor.next().unwrap() {
        let (hash, key, is_tombstone) = (entry.hash, entry.key.to_vec(), entry.is_tombstone());
        let value = value_of(&entry.into_value().unwrap());
        assert_eq!(is_tombstone, value == Value::Deleted);
        walk.push((hash, key, value));
    }
    assert!(cursor.next().unwrap().is_none(), "a walk that has ended stays at its end");
    walk
}

#[track_caller]
fn check(set: &SstSet, layers: &Layers) {
    let newest = expected(layers, false, false);
    assert_eq!(lent(set.cursor()), newest);
    assert_eq!(handed_out(set.iter()), newest);
    let with_tombstones = expected(layers, false, true);
    assert_eq!(lent(set.iter_with_tombstones().into_cursor()), with_tombstones);
    assert_eq!(handed_out(set.iter_with_tombstones()), with_tombstones);
    let all = expected(layers, true, false);
    assert_eq!(lent(set.iter_all().into_cursor()), all);
    assert_eq!(handed_out(set.iter_all()), all);
    for (low, high) in [(0, 0), (1 << 61, 3 << 61), (5, u64::MAX - 1), (u64::MAX, u64::MAX)] {
        let within = |(hash, _, _): &(u64, _, _)| (low..=high).contains(hash);
        let newest: Walk = newest.iter().filter(|entry| within(entry)).cloned().collect();
        assert_eq!(lent(set.range(low..=high).into_cursor()), newest, "{low:x} to {high:x}");
        assert_eq!(handed_out(set.range(low..=high)), newest, "{low:x} to {high:x}");
    }
    // A walk may change its form on the way.
    let mut iter = set.iter();
    let first: Vec<_> = iter.by_ref().take(newest.len() / 2).map(Result::unwrap).collect();
    assert_eq!(first.len() + lent(iter.into_cursor()).len(), newest.len());
}

#[test]
fn walks_are_those_of_a_model() {
    let mut random = Random(1);
    for (round, commits) in [0, 1, 1, 2, 2, 3, 4, 7, 20].into_iter().enumerate() {
        let mut directory = Directory::new();
        let mut families = [Layers::new(), Layers::new()];
        for _ in 0..commits {
            for family in [0, 1] {
                let keys = [4, 20, 60][random.below(3) as usize];
                let entries = entries(&mut random, keys);
                let count = 1 + random.below(3) as usize;
                let tables = tables(&entries, count);
                directory.commit(Commit { tables: &tables, family, ..Commit::default() });
                let mut layer = BTreeMap::<_, Vec<Value>>::new();
                for (key, value) in entries {
                    layer.entry((hash_of(&key), key)).or_default().push(value);
                }
                families[family as usize].insert(0, layer);
            }
        }
        if commits == 0 {
            continue;
        }
        let options = ReaderOptions::default;
        for options in [
            options(),
            options().access(Access::Read),
            options().max_open_files(2),
            options().access(Access::Read).max_open_files(1),
        ] {
            for (family, layers) in (0..).zip(&families) {
                let set = SstSet::open_family(directory.path(), family, &options).unwrap();
                assert!(set.layer_count() <= commits, "round {round}");
                check(&set, layers);
            }
        }
    }
}

/// Of a walk that has failed nothing more comes, although tables behind the damage could be read.
#[test]
fn a_walk_ends_with_the_first_error() {
    let entries: Vec<Entry> = crate::support::numbered(0..200, |_| Value::Inline(vec![1]));
    for layers in [1, 2] {
        let mut directory = Directory::new();
        let mut numbers = Vec::new();
        for _ in 0..layers {
            let tables = tables(&entries, 4);
            numbers = directory.commit(Commit { tables: &tables, ..Commit::default() });
        }
        // The last bytes of a table are its offsets and its index; before them is a key block.
        directory.damage(numbers[1], FileKind::Sst, 120);
        let set = SstSet::open(directory.path(), &ReaderOptions::default()).unwrap();
        assert_eq!(set.layer_count(), layers);
        let mut cursor = set.cursor();
        let mut count = 0;
        let error = loop {
            match cursor.next() {
                Ok(Some(_)) => count += 1,
                Ok(None) => panic!("the damage is on the way"),
                Err(error) => break error,
            }
        };
        assert!(count < 150 && error.is_corruption(), "{error}");
        assert!(cursor.next().unwrap().is_none());
        let walked: Vec<_> = set.iter().collect();
        assert_eq!(walked.len(), count + 1);
        assert!(walked[count].is_err());
    }
}
