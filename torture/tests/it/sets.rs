//! Sets of many tables: opened lazily, bounded in open files, refreshed during lookups, and
//! outdated by the writer.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use sst_conformance::{TestEntry, TestValue};
use sst_reader::{Access, LiveSet, ReadError, ReadValue, ReaderOptions, SstSet};
use sst_torture::model::database::{Changes, Database};
use sst_torture::model::{numbered, reader_options};

/// Splits sorted entries into `parts` tables of disjoint hash ranges.
fn split(entries: &[TestEntry], parts: usize) -> Vec<Vec<TestEntry>> {
    entries.chunks(entries.len().div_ceil(parts)).map(<[TestEntry]>::to_vec).collect()
}

fn small(text: &str) -> TestValue {
    TestValue::Small(text.as_bytes().to_vec())
}

/// 100 tables with disjoint ranges, and three increments above them: a table of a few keys, a table
/// of tombstones, and again several tables with disjoint ranges.
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
    // Of the tombstones' 20 keys, 10 were written again later.
    assert_eq!((found.lookups, found.hits, found.misses), (6_000, hits, misses));
    assert_eq!((found.tombstones, found.errors), (0, 0));
    assert!(found.filter_skips > 6_000, "{found:?}");
    assert_eq!(found.tables_asked, found.hits + found.false_positives);
    set.multi_get(&keys).unwrap();
    let twice = set.statistics();
    assert_eq!((twice.lookups, twice.hits), (12_000, 2 * hits));
    assert_eq!(twice.filter_skips, 2 * found.filter_skips);
    // Each block is verified only once.
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

/// Replaces all entries by `count` entries with the value `text`, in 8 tables.
fn replace(database: &mut Database, count: u32, text: &str) {
    let obsolete = database.live_tables().into_iter().collect();
    let entries = numbered(count, |_| small(text));
    database.commit(Changes { tables: split(&entries, 8), obsolete, ..Changes::default() });
}

/// The number of entries of a set, and the value that all of them have.
fn the_value(set: &SstSet) -> Result<(usize, Vec<u8>), ReadError> {
    let mut values = BTreeMap::new();
    for entry in set.iter() {
        if let ReadValue::Value(value) = entry?.value {
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
                        // The set is opened again for each snapshot, at any moment of the writer's
                        // work.
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
