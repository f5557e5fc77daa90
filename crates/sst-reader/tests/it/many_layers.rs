//! Sets of so many layers that their filters are asked together.

use std::collections::BTreeMap;

use sst_amqf::QuotientFilter;
use sst_reader::{ReaderOptions, SstSet};

use crate::support::{Commit, Directory, Entry, Table, Value, numbered, small};

type Live = BTreeMap<Vec<u8>, Vec<u8>>;

/// The entries of commit `i`: most of them new keys, some of other commits, and tombstones.
fn entries_of(i: u32) -> Vec<Entry> {
    let value = |key: u32| match key % 11 {
        3 if i.is_multiple_of(2) => Value::Deleted,
        4 => Value::Inline(vec![1; 3]),
        _ => small(&format!("{key} of {i}")),
    };
    let mut entries = numbered(i * 40..i * 40 + 60, value);
    entries.extend(numbered(i % 7 * 500 + 5_000..i % 7 * 500 + 5_010, value));
    entries
}

fn commit(directory: &mut Directory, live: &mut Live, i: u32) {
    let entries = entries_of(i);
    let table = Table::new(&entries);
    // Every tenth has no filter, and the sizes of the others differ by their rates.
    let rate = if i.is_multiple_of(3) { 0.001 } else { 0.01 };
    let table = match i % 10 {
        9 => table,
        _ => table.filtered(&QuotientFilter::with_false_positive_rate(rate)),
    };
    directory.commit(Commit { tables: &[table], ..Commit::default() });
    for (key, value) in entries {
        match value.bytes() {
            Some(value) => live.insert(key, value.to_vec()),
            None => live.remove(&key),
        };
    }
}

fn many_layers(count: u32) -> (Directory, Live) {
    let (mut directory, mut live) = (Directory::new(), Live::new());
    (0..count).for_each(|i| commit(&mut directory, &mut live, i));
    (directory, live)
}

fn check(set: &SstSet, live: &Live) {
    let keys: Vec<[u8; 4]> = (0..9_000_u32).step_by(17).rev().map(u32::to_be_bytes).collect();
    let together = set.multi_get(&keys).unwrap();
    for (key, together) in keys.iter().zip(together) {
        let expected = live.get(&key[..]).map(Vec::as_slice);
        assert_eq!(set.get(key).unwrap().as_deref(), expected, "{key:?}");
        assert_eq!(together.as_deref(), expected, "{key:?}");
    }
}

#[test]
fn the_newest_of_many_layers_answers_however_often_they_were_asked() {
    for count in [15, 16, 70] {
        let (mut directory, mut live) = many_layers(count);
        for options in [ReaderOptions::default(), ReaderOptions::default().max_open_files(5)] {
            let set =
                SstSet::open(directory.path(), &options.filter(QuotientFilter::default())).unwrap();
            // Nothing is known at first, then of some layers, then of all.
            check(&set, &live);
            check(&set, &live);
            set.open_all().unwrap();
            check(&set, &live);
        }
        let options = ReaderOptions::default().filter(QuotientFilter::default());
        let set = SstSet::open(directory.path(), &options).unwrap();
        check(&set, &live);
        let before = live.clone();
        commit(&mut directory, &mut live, count);
        let newer = set.refresh().unwrap().unwrap();
        check(&newer, &live);
        check(&newer, &live);
        check(&set, &before);
    }
}

#[test]
fn every_layer_is_counted_as_asked_or_skipped() {
    let (directory, _) = many_layers(100);
    let options = ReaderOptions::default().filter(QuotientFilter::default()).statistics(true);
    let set = SstSet::open(directory.path(), &options).unwrap();
    let mut before = set.statistics();
    for round in 0..3 {
        let keys = (20_000..20_300_u32).map(u32::to_be_bytes);
        let mut layers = 0;
        for key in keys {
            assert_eq!(set.get(key).unwrap(), None);
            let hash = sst_reader::hash_key(&key);
            let has = |table: &&sst_reader::CatalogTable| {
                (table.record.min_hash..=table.record.max_hash).contains(&hash)
            };
            layers += set.tables().filter(has).count() as u64;
        }
        let after = set.statistics();
        let decided = |it: &sst_reader::SetStatistics| it.filter_skips + it.tables_asked;
        assert_eq!(decided(&after) - decided(&before), layers, "{round}");
        assert_eq!(after.misses - before.misses, 300);
        before = after;
    }
    // The tenth layer without a filter is always asked.
    assert!(before.filter_skips > 5 * before.tables_asked);
}
