//! Sets of many tables: lazily opened, bounded, refreshed while lookups go on, and outrun by the
//! writer.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use sst_conformance::{TestEntry, TestValue};
use sst_reader::{Access, Corruption, EntryValue, LiveSet, ReadError, ReaderOptions, SstSet};
use sst_torture::model::database::{Changes, Database};
use sst_torture::model::{numbered, reader_options};

/// Splits sorted entries into `parts` tables of disjoint hash ranges.
fn split(entries: &[TestEntry], parts: usize) -> Vec<Vec<TestEntry>> {
    entries.chunks(entries.len().div_ceil(parts)).map(<[TestEntry]>::to_vec).collect()
}

fn small(text: &str) -> TestValue {
    TestValue::Small(text.as_bytes().to_vec())
}

/// 100 tables side by side, and three increments on top: one of a few keys, one of tombstones, one
/// side by side again.
fn layered() -> Database {
    let mut database = Database::new();
    let base = numbered(5_000, |i| small(&format!("base {i}")));
    database.commit(Changes { tables: split(&base, 100), ..Changes::default() });
    database.commit(Changes::table(numbered(50, |i| small(&format!("first {i}")))));
    database.commit(Changes::table(numbered(20, |_| TestValue::Deleted)));
    let last =
        numbered(1_000, |i| if i < 10 { small("back") } else { small(&format!("last {i}")) });
    database.commit(Changes { tables: split(&last, 7), ..Changes::default() });
    database
}

fn every_access() -> [ReaderOptions; 4] {
    [
        reader_options(),
        reader_options().access(Access::Read),
        reader_options().max_open_files(3),
        reader_options().access(Access::Read).max_open_files(1),
    ]
}

#[test]
fn every_way_to_open_gives_the_same_answers() {
    let database = layered();
    for options in every_access() {
        let set = SstSet::open(database.dir(), &options).unwrap();
        assert_eq!(set.layer_count(), 4);
        let outcome = database.expected().judge(&set);
        assert!(outcome.is_right(), "{outcome:?}");
        let keys: Vec<[u8; 4]> = (0..6_000_u32).rev().map(u32::to_be_bytes).collect();
        let found = set.multi_get(&keys).unwrap();
        for (key, found) in keys.iter().zip(found) {
            assert_eq!(found, set.get(key).unwrap(), "{key:?}");
        }
    }
}

#[test]
fn ranges_across_tables_hold_all_entries_between() {
    let database = layered();
    let set = SstSet::open(database.dir(), &reader_options().max_open_files(2)).unwrap();
    let all: Vec<_> = set.iter().map(|entry| entry.unwrap().into_owned()).collect();
    for (first, last) in [(0, 10), (17, 17), (100, 900), (all.len() - 3, all.len() - 1)] {
        let (low, high) = (all[first].hash, all[last].hash);
        let found: Vec<_> = set.range(low..=high).map(|entry| entry.unwrap()).collect();
        assert_eq!(found, all[first..=last]);
    }
}

#[test]
fn opening_touches_no_table() {
    let database = layered();
    let set = SstSet::open(database.dir(), &reader_options().statistics(true)).unwrap();
    assert_eq!((set.open_table_count(), set.statistics().tables_opened), (0, 0));
    assert_eq!(set.get(30_u32.to_be_bytes()).unwrap().as_deref(), Some(&b"last 30"[..]));
    assert_eq!(set.open_table_count(), 1);
    set.open_all().unwrap();
    assert_eq!(set.open_table_count(), set.tables().count());
}

#[test]
fn no_more_files_are_open_than_allowed_and_values_outlive_them() {
    let database = layered();
    for access in [Access::Map, Access::Read] {
        let options = reader_options().access(access).max_open_files(5).statistics(true);
        let set = SstSet::open(database.dir(), &options).unwrap();
        let mut values = BTreeMap::new();
        for key in 0..5_000_u32 {
            values.insert(key, set.get(key.to_be_bytes()).unwrap());
            assert!(set.open_table_count() <= 5);
        }
        let statistics = set.statistics();
        assert_eq!(statistics.tables_opened - statistics.tables_closed, 5);
        // All files that the values came from are long closed; another set finds the same.
        let other = SstSet::open(database.dir(), &reader_options()).unwrap();
        for (key, value) in values {
            assert_eq!(value, other.get(key.to_be_bytes()).unwrap());
        }
        assert_eq!(set.iter().count(), other.iter().count());
        assert!(set.open_table_count() <= 5);
    }
}

#[test]
fn statistics_add_up() {
    let database = layered();
    let options = reader_options().statistics(true);
    let set = SstSet::open(database.dir(), &options).unwrap();
    let keys: Vec<[u8; 4]> = (0..6_000_u32).map(u32::to_be_bytes).collect();
    let (mut hits, mut misses) = (0, 0);
    for key in &keys {
        *if set.get(key).unwrap().is_some() { &mut hits } else { &mut misses } += 1;
    }
    let found = set.statistics();
    // Tombstones of 20 keys, 10 of which were written again.
    assert_eq!((found.lookups, found.hits, found.misses), (6_000, hits, misses));
    assert_eq!((found.tombstones, found.errors), (0, 0));
    assert!(found.filter_skips > 6_000, "{found:?}");
    assert_eq!(found.tables_asked, found.hits + found.false_positives);
    set.multi_get(&keys).unwrap();
    let twice = set.statistics();
    assert_eq!((twice.lookups, twice.hits), (12_000, 2 * hits));
    assert_eq!(twice.filter_skips, 2 * found.filter_skips);
    // Blocks are verified once.
    assert!(found.cache.blocks_loaded > 0);
    assert_eq!(twice.cache.blocks_loaded, found.cache.blocks_loaded);

    let quiet = SstSet::open(database.dir(), &reader_options()).unwrap();
    quiet.get(keys[0]).unwrap();
    assert_eq!(quiet.statistics().lookups, 0);
}

#[test]
fn tombstones_are_counted_apart() {
    let mut database = Database::of_table(numbered(10, |_| small("old")));
    database.commit(Changes::table(numbered(4, |_| TestValue::Deleted)));
    let set = SstSet::open(database.dir(), &reader_options().statistics(true)).unwrap();
    for key in 0..20_u32 {
        set.get(key.to_be_bytes()).unwrap();
    }
    let found = set.statistics();
    assert_eq!((found.lookups, found.hits, found.tombstones, found.misses), (20, 6, 4, 10));
}

/// Replaces everything by `count` entries with the value `text`, in 8 tables.
fn replace(database: &mut Database, count: u32, text: &str) {
    let obsolete = database.live_tables().into_iter().collect();
    let entries = numbered(count, |_| small(text));
    database.commit(Changes { tables: split(&entries, 8), obsolete, ..Changes::default() });
}

#[test]
fn a_set_that_the_writer_outran_says_so() {
    let mut database = Database::new();
    replace(&mut database, 100, "one");
    for options in every_access() {
        let set = SstSet::open(database.dir(), &options).unwrap();
        replace(&mut database, 100, "two");
        let outdated = set.get(7_u32.to_be_bytes());
        assert!(matches!(outdated, Err(ReadError::Outdated { .. })), "{outdated:?}");
        let outdated = set.iter().find_map(Result::err);
        assert!(matches!(outdated, Some(ReadError::Outdated { .. })), "{outdated:?}");
        let newer = set.refresh().unwrap().unwrap();
        assert_eq!(newer.get(7_u32.to_be_bytes()).unwrap().as_deref(), Some(&b"two"[..]));
        assert!(newer.refresh().unwrap().is_none());
    }
    // A file that the newest commit needs is missing: that is damage, not an outdated set.
    let set = SstSet::open(database.dir(), &reader_options()).unwrap();
    for table in set.tables() {
        std::fs::remove_file(table.path(database.dir())).unwrap();
    }
    let missing = set.get(7_u32.to_be_bytes());
    assert!(
        matches!(missing, Err(ReadError::Corrupt { cause: Corruption::Missing, .. })),
        "{missing:?}"
    );
}

#[test]
fn a_live_set_goes_on_by_itself() {
    let mut database = Database::new();
    replace(&mut database, 100, "one");
    let live = LiveSet::open(database.dir(), &reader_options()).unwrap();
    let before = live.snapshot();
    before.open_all().unwrap();
    replace(&mut database, 100, "two");
    // Open files answer on. A set that has not opened them is refreshed on the way.
    assert_eq!(live.get(7_u32.to_be_bytes()).unwrap().as_deref(), Some(&b"one"[..]));
    let live = LiveSet::open(database.dir(), &reader_options()).unwrap();
    replace(&mut database, 100, "three");
    assert_eq!(live.get(7_u32.to_be_bytes()).unwrap().as_deref(), Some(&b"three"[..]));
    assert!(!live.refresh().unwrap());
    assert_eq!(before.get(7_u32.to_be_bytes()).unwrap().as_deref(), Some(&b"one"[..]));
}

/// The one value that all entries of a set have.
fn the_value(set: &SstSet) -> Result<(usize, Vec<u8>), ReadError> {
    let mut values = BTreeMap::new();
    for entry in set.iter() {
        if let EntryValue::Value(value) = entry?.value {
            *values.entry(value.to_vec()).or_insert(0) += 1;
        }
    }
    assert_eq!(values.len(), 1, "commits are mixed: {values:?}");
    let (value, count) = values.pop_first().unwrap();
    Ok((count, value))
}

#[test]
fn readers_beside_a_writer_never_mix_commits_and_never_fail() {
    for options in every_access() {
        let mut database = Database::new();
        replace(&mut database, 200, "0");
        let live = LiveSet::open(database.dir(), &options).unwrap();
        let dir = database.dir().to_owned();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = |through_live: bool| {
                let mut last = 0;
                while !done.load(Ordering::Acquire) {
                    let (count, value) = if through_live {
                        live.with(the_value).unwrap()
                    } else {
                        // Opened anew each time, in the middle of whatever the writer does.
                        fresh(&dir, &options)
                    };
                    let number: u32 = String::from_utf8(value).unwrap().parse().unwrap();
                    assert_eq!(count, 200 + number as usize);
                    assert!(number >= last);
                    last = number;
                }
            };
            scope.spawn(move || reader(true));
            scope.spawn(move || reader(false));
            for number in 1..=40 {
                replace(&mut database, 200 + number, &number.to_string());
            }
            live.refresh().unwrap();
            done.store(true, Ordering::Release);
        });
        assert_eq!(live.with(the_value).unwrap(), (240, b"40".to_vec()));
    }
}

fn fresh(dir: &Path, options: &ReaderOptions) -> (usize, Vec<u8>) {
    loop {
        match SstSet::open(dir, options).and_then(|set| the_value(&set)) {
            Err(ReadError::Outdated { .. }) => {}
            found => return found.unwrap(),
        }
    }
}

#[test]
fn refresh_keeps_unchanged_tables_open() {
    let mut database = Database::of_table(numbered(100, |_| small("base")));
    let options = reader_options().statistics(true);
    let set = SstSet::open(database.dir(), &options).unwrap();
    set.get(7_u32.to_be_bytes()).unwrap();
    database.commit(Changes::table(numbered(3, |_| small("new"))));
    let newer = set.refresh().unwrap().unwrap();
    assert_eq!((newer.tables().count(), newer.open_table_count()), (2, 1));
    assert_eq!(newer.get(2_u32.to_be_bytes()).unwrap().as_deref(), Some(&b"new"[..]));
    assert_eq!(newer.statistics().lookups, 2);
}

#[test]
fn every_family_with_live_tables_is_listed() {
    let mut database = Database::new();
    for family in [7, 3] {
        let tables = vec![numbered(3, |_| small("value"))];
        database.commit(Changes { family, tables, ..Changes::default() });
    }
    let set = SstSet::open(database.dir(), &reader_options()).unwrap();
    assert_eq!(set.catalog().families().into_iter().collect::<Vec<_>>(), [3, 7]);
}
