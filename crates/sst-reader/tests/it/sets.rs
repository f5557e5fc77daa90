//! Sets of many tables: layers, tombstones, families, bounded files, refreshing, live sets.

use std::collections::BTreeMap;

use sst_format::file_name::FileKind;
use sst_reader::{
    Access, Corruption, LiveSet, ReadError, ReadValue, ReaderOptions, Slice, SstSet, hash_key,
};

use crate::support::{Commit, Directory, Entry, Table, Value, numbered, small};

/// Tables of disjoint ranges of hashes with these entries.
fn split(entries: &[Entry], parts: usize) -> Vec<Table> {
    let mut sorted = entries.to_vec();
    sorted.sort_by_key(|(key, _)| hash_key(key));
    sorted.chunks(sorted.len().div_ceil(parts)).map(Table::new).collect()
}

/// Ten tables side by side, then one of a few keys, one of tombstones, and a pair side by side.
fn layered() -> (Directory, BTreeMap<Vec<u8>, Vec<u8>>) {
    let layers = [
        (numbered(0..1_000, |i| small(&format!("base {i}"))), 10),
        (numbered(0..50, |i| small(&format!("first {i}"))), 1),
        (numbered(0..20, |_| Value::Deleted), 1),
        (numbered(0..10, |_| small("back")), 2),
    ];
    let (mut directory, mut live) = (Directory::new(), BTreeMap::new());
    for (entries, parts) in layers {
        directory.commit(Commit { tables: &split(&entries, parts), ..Commit::default() });
        for (key, value) in entries {
            match value.bytes() {
                Some(value) => live.insert(key, value.to_vec()),
                None => live.remove(&key),
            };
        }
    }
    (directory, live)
}

fn every_access() -> [ReaderOptions; 4] {
    let options = ReaderOptions::default;
    [
        options(),
        options().access(Access::Read),
        options().max_open_files(3),
        options().access(Access::Read).max_open_files(1),
    ]
}

#[test]
fn every_way_to_open_gives_the_same_answers() {
    let (directory, live) = layered();
    let keys: Vec<[u8; 4]> = (0..1_100_u32).rev().map(u32::to_be_bytes).collect();
    for options in every_access() {
        let set = SstSet::open(directory.path(), &options).unwrap();
        assert_eq!(set.layer_count(), 4);
        let many = set.multi_get(&keys).unwrap();
        for (key, found) in keys.iter().zip(many) {
            let expected = live.get(&key[..]).map(Vec::as_slice);
            assert_eq!(found.as_deref(), expected, "{key:?}");
            assert_eq!(set.get(key).unwrap().as_deref(), expected, "{key:?}");
        }
        // What was looked up before is ready, unless files may be closed: those that are read are.
        let mut ready = 0;
        for key in &keys {
            if let Some(found) = set.get_ready(key) {
                ready += 1;
                let expected = live.get(&key[..]).map(Vec::as_slice);
                assert_eq!(found.unwrap().as_deref(), expected, "{key:?}");
            }
        }
        let stays_open = options.access == Access::Map && options.max_open_files.is_none();
        assert_eq!(ready, if stays_open { keys.len() } else { 0 });
        let mut walked: Vec<_> = set.iter().map(|entry| entry.unwrap().into_owned()).collect();
        assert!(walked.is_sorted_by_key(|entry| entry.hash));
        walked.sort_by(|a, b| a.key.cmp(&b.key));
        assert_eq!(walked.len(), live.len());
        for (entry, (key, value)) in walked.iter().zip(&live) {
            assert_eq!(entry.key, key.as_slice());
            assert!(matches!(&entry.value, ReadValue::Value(found) if found == value.as_slice()));
        }
    }
}

#[test]
fn ranges_hold_the_entries_between_their_ends() {
    let (directory, _) = layered();
    let options = ReaderOptions::default().max_open_files(2);
    let set = SstSet::open(directory.path(), &options).unwrap();
    let all: Vec<_> = set.iter().map(|entry| entry.unwrap().into_owned()).collect();
    for (first, last) in [(0, 10), (17, 17), (100, 900), (all.len() - 3, all.len() - 1)] {
        let (low, high) = (all[first].hash, all[last].hash);
        let found: Vec<_> = set.range(low..=high).map(Result::unwrap).collect();
        assert_eq!(found, all[first..=last]);
    }
}

#[test]
fn all_values_of_a_key_come_newest_first_down_to_a_tombstone() {
    let entry = |value: &str| (b"key".to_vec(), small(value));
    let tables = [
        Table::new(&[entry("hidden")]),
        Table::new(&[entry("3"), entry("4"), (b"key".to_vec(), Value::Deleted)]),
        Table::new(&[entry("1"), entry("2")]),
    ];
    let mut directory = Directory::new();
    for table in tables {
        directory.commit(Commit { tables: &[table], ..Commit::default() });
    }
    for options in every_access() {
        let set = SstSet::open(directory.path(), &options).unwrap();
        let found: Vec<_> = set.get_all("key").map(Result::unwrap).collect();
        let found: Vec<&[u8]> = found.iter().map(Slice::as_slice).collect();
        assert_eq!(found, [b"1", b"2", b"3", b"4"]);
        assert_eq!(set.iter_all().count(), 4);
        assert_eq!(set.get("key").unwrap().unwrap(), b"1".as_slice());
        assert_eq!(set.get_all("absent").count(), 0);
    }
}

#[test]
fn blobs_are_read_and_their_absence_is_damage() {
    let mut directory = Directory::new();
    directory.blob(1, b"a value in a file of its own");
    let table =
        Table::new(&[(b"key".to_vec(), Value::Blob(1)), (b"lost".to_vec(), Value::Blob(9))]);
    directory.commit(Commit { tables: &[table], ..Commit::default() });
    for access in [Access::Map, Access::Read] {
        let options = ReaderOptions::default().access(access);
        let set = SstSet::open(directory.path(), &options).unwrap();
        let value = set.get("key").unwrap().unwrap().into_owned();
        assert_eq!(value, b"a value in a file of its own".as_slice());
        let cause = match set.get("lost").unwrap_err() {
            ReadError::Corrupt { cause, .. } => cause,
            other => panic!("{other:?}"),
        };
        assert!(matches!(cause, Corruption::UnlistedBlob { .. }), "{cause:?}");
        drop(set);
        assert_eq!(value, b"a value in a file of its own".as_slice());
    }
    directory.damage(1, FileKind::Blob, 1);
    let set = SstSet::open(directory.path(), &ReaderOptions::default()).unwrap();
    assert!(set.get("key").unwrap_err().is_corruption());
}

#[test]
fn families_are_apart() {
    let mut directory = Directory::new();
    for family in [7, 3] {
        let table = Table::new(&[(b"key".to_vec(), small(&format!("of {family}")))]);
        directory.commit(Commit { family, tables: &[table], ..Commit::default() });
    }
    for (family, value) in [(3, Some(&b"of 3"[..])), (7, Some(b"of 7")), (0, None)] {
        let options = ReaderOptions::default();
        let set = SstSet::open_family(directory.path(), family, &options).unwrap();
        assert_eq!(set.get("key").unwrap().as_deref(), value);
        assert_eq!(set.catalog().families().into_iter().collect::<Vec<_>>(), [3, 7]);
    }
}

#[test]
fn opening_touches_no_table_and_no_more_are_open_than_allowed() {
    let (directory, live) = layered();
    for access in [Access::Map, Access::Read] {
        let options = ReaderOptions::default().access(access).max_open_files(5).statistics(true);
        let set = SstSet::open(directory.path(), &options).unwrap();
        assert_eq!((set.open_table_count(), set.statistics().tables_opened), (0, 0));
        let mut values = Vec::new();
        for (key, expected) in &live {
            values.push((set.get(key).unwrap().unwrap(), expected));
            assert!(set.open_table_count() <= 5);
        }
        let statistics = set.statistics();
        assert_eq!(statistics.tables_opened - statistics.tables_closed, 5);
        assert_eq!((statistics.lookups, statistics.hits), (990, 990));
        // The files of most values are long closed.
        for (value, expected) in values {
            assert_eq!(value, expected.as_slice());
        }
    }
    let set = SstSet::open(directory.path(), &ReaderOptions::default()).unwrap();
    set.open_all().unwrap();
    assert_eq!(set.open_table_count(), set.tables().count());
}

/// Replaces all tables by new ones with this value.
fn replace(directory: &mut Directory, obsolete: &[u32], value: &str) -> Vec<u32> {
    let tables = split(&numbered(0..100, |_| small(value)), 4);
    let tables = directory.commit(Commit { tables: &tables, obsolete, ..Commit::default() });
    for table in obsolete {
        std::fs::remove_file(directory.file(*table, FileKind::Sst)).unwrap();
    }
    tables
}

#[test]
fn a_set_that_is_too_old_says_so_and_a_refreshed_one_answers() {
    let key = 7_u32.to_be_bytes();
    for options in every_access() {
        let mut directory = Directory::new();
        let first = replace(&mut directory, &[], "one");
        let set = SstSet::open(directory.path(), &options).unwrap();
        let live = LiveSet::open(directory.path(), &options).unwrap();
        assert!(set.refresh().unwrap().is_none() && !live.refresh().unwrap());
        let second = replace(&mut directory, &first, "two");
        assert!(matches!(set.get(key), Err(ReadError::Outdated { .. })));
        let failed = set.iter().find_map(Result::err);
        assert!(matches!(failed, Some(ReadError::Outdated { .. })));
        let newer = set.refresh().unwrap().unwrap();
        assert_eq!(newer.get(key).unwrap().unwrap(), b"two".as_slice());
        // A live set refreshes itself.
        assert_eq!(live.get(key).unwrap().unwrap(), b"two".as_slice());
        assert_eq!(live.snapshot().catalog().commit, newer.catalog().commit);
        // A missing file of the newest commit is damage: no newer set would have it.
        for table in second {
            std::fs::remove_file(directory.file(table, FileKind::Sst)).unwrap();
        }
        let fresh = SstSet::open(directory.path(), &options).unwrap();
        let missing = fresh.get(key).unwrap_err();
        assert!(
            matches!(missing, ReadError::Corrupt { cause: Corruption::Missing, .. }),
            "{missing:?}"
        );
    }
}

#[test]
fn a_refreshed_set_keeps_open_tables() {
    let mut directory = Directory::of(&numbered(0..100, |_| small("base")));
    let options = ReaderOptions::default().statistics(true);
    let set = SstSet::open(directory.path(), &options).unwrap();
    set.get(7_u32.to_be_bytes()).unwrap();
    let table = Table::new(&numbered(0..3, |_| small("new")));
    directory.commit(Commit { tables: &[table], ..Commit::default() });
    let newer = set.refresh().unwrap().unwrap();
    assert_eq!((newer.tables().count(), newer.open_table_count()), (2, 1));
    assert_eq!(newer.get(2_u32.to_be_bytes()).unwrap().unwrap(), b"new".as_slice());
    assert_eq!(newer.statistics().lookups, 2);
}

#[test]
fn pairs_of_key_and_value_are_the_live_entries() {
    let (mut directory, mut live) = layered();
    directory.blob(900, b"a value in a file of its own");
    let blob = (b"with a blob".to_vec(), Value::Blob(900));
    let table = Table::new(std::slice::from_ref(&blob));
    directory.commit(Commit { tables: &[table], ..Commit::default() });
    live.insert(blob.0, b"a value in a file of its own".to_vec());
    for options in every_access() {
        let set = SstSet::open(directory.path(), &options).unwrap();
        let mut pairs = BTreeMap::new();
        for entry in &set {
            let (key, value) = entry.unwrap();
            assert!(pairs.insert(Vec::from(key), Vec::from(value)).is_none());
        }
        assert_eq!(pairs, live);
        assert_eq!(set.entry_count(), Some(1_000 + 50 + 20 + 10 + 1));
        for key in (0..1_100_u32).map(u32::to_be_bytes) {
            assert_eq!(set.contains_key(key).unwrap(), live.contains_key(&key[..]));
        }
        assert!(set.contains_key("with a blob").unwrap());
    }
}

#[test]
fn a_set_is_prepared_before_it_takes_over() {
    let (mut directory, _) = layered();
    let set = LiveSet::open(directory.path(), &ReaderOptions::default()).unwrap();
    assert!(!set.refresh_with(|_| panic!("there is no newer one")).unwrap());
    let before = set.snapshot().catalog().commit;
    directory.commit(Commit {
        tables: &[Table::new(&numbered(0..5, |_| small("new")))],
        ..Commit::default()
    });
    let damaged = || ReadError::OverLimit {
        file: sst_reader::FileLabel::new("x"),
        block: None,
        bytes: 1,
        limit: 0,
    };
    assert!(set.refresh_with(|_| Err(damaged())).is_err());
    assert_eq!(set.snapshot().catalog().commit, before);
    let mut seen = None;
    let taken = set.refresh_with(|newer| {
        seen = Some(newer.catalog().commit);
        newer.open_all()
    });
    assert!(taken.unwrap());
    let now = set.snapshot();
    assert_eq!(Some(now.catalog().commit), seen);
    assert_eq!(now.open_table_count(), now.tables().count());
}

/// Before anything was looked up, nothing is ready, and asking opens and reads nothing.
#[test]
fn what_is_not_in_memory_is_not_ready() {
    let (directory, _) = layered();
    let set = SstSet::open(directory.path(), &ReaderOptions::default()).unwrap();
    for key in 0..1_100_u32 {
        assert!(set.get_ready(key.to_be_bytes()).is_none());
    }
    assert_eq!(set.open_table_count(), 0);
    let counting = ReaderOptions::default().statistics(true);
    let set = SstSet::open(directory.path(), &counting).unwrap();
    assert!(set.get(500_u32.to_be_bytes()).unwrap().is_some());
    assert!(set.get_ready(500_u32.to_be_bytes()).is_none());
}

#[test]
fn answers_of_a_live_set_outlive_it() {
    let (directory, live) = layered();
    for options in every_access() {
        let set = LiveSet::open_family(directory.path(), 0, &options).unwrap();
        assert_eq!((set.family(), set.families()), (0, [0].into()));
        let keys: Vec<[u8; 4]> = (0..1_100_u32).map(u32::to_be_bytes).collect();
        let many = set.multi_get(&keys).unwrap();
        let all = set.get_all(keys[5]).unwrap();
        let walk = set.iter();
        assert!(set.contains_key(keys[5]).unwrap() && !set.contains_key(keys[1_050]).unwrap());
        assert_eq!(set.entry_count(), Some(1_080));
        drop(set);
        for (key, value) in keys.iter().zip(many) {
            assert_eq!(value.as_deref(), live.get(&key[..]).map(Vec::as_slice));
        }
        assert_eq!(all, ["back"]);
        let walked = walk.map(Result::unwrap);
        let walked: BTreeMap<Vec<u8>, Vec<u8>> =
            walked.map(|(key, value)| (key.into(), value.into())).collect();
        assert_eq!(walked, live);
    }
}
