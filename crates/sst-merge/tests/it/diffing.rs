//! Comparing two sets of tables, against maps.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use sst_merge::{
    Change, Diff, DiffCounts, Duplicates, Inputs, MergeOptions, MergedEntry, merge_into_commit,
};
use sst_reader::ReaderOptions;
use sst_writer::table::{Compression, hash_key, write_static_sorted_file};
use sst_writer::{EntryValue, Monitor, WriterOptions};

use crate::model::merged;
use crate::support::{Layer, Value, go_on, layer, publish, publisher};

fn inputs(dir: &Path) -> Inputs {
    let mut inputs = Inputs::new(&ReaderOptions::default());
    inputs.add_directory(dir, 0).unwrap();
    inputs
}

type Changes = BTreeMap<Vec<u8>, (Change, Option<Vec<u8>>, Option<Vec<u8>>)>;

/// All differences by key, with the values shown for each.
fn diff(old: &Inputs, new: &Inputs, duplicates: Duplicates) -> (Changes, DiffCounts) {
    let mut diff = Diff::new(old, new, 0..=u64::MAX, duplicates, &go_on()).unwrap();
    let mut changes = Changes::new();
    let mut last = None;
    while let Some(found) = diff.next().unwrap() {
        let (change, key) = (found.change, found.key.to_vec());
        let place = (hash_key(&key), key.clone());
        assert_eq!(found.hash, place.0);
        assert!(last.as_ref().is_none_or(|last| *last < place), "out of order");
        last = Some(place);
        let bytes = |entry: MergedEntry<'_>| entry.into_value().unwrap().unwrap().to_vec();
        let (old, new) = (found.old.map(bytes), found.new.map(bytes));
        changes.insert(key, (change, old, new));
    }
    (changes, diff.counts())
}

/// The bytes of the values of each key.
fn values(layers: &[Layer], duplicates: Duplicates) -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
    let bytes = |value: Value| match value {
        Value::Deleted => unreachable!("live"),
        Value::Inline(bytes) | Value::Small(bytes) | Value::Medium(bytes) | Value::Blob(bytes) => {
            bytes
        }
    };
    let live = merged(layers, duplicates, |_| false).into_iter();
    live.map(|(key, values)| (key, values.into_iter().map(bytes).collect())).collect()
}

/// The differences between two maps.
fn expected(
    old: &BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    new: &BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
) -> Changes {
    let mut changes = Changes::new();
    for key in old.keys().chain(new.keys()) {
        let none = Vec::new();
        let (a, b) = (old.get(key).unwrap_or(&none), new.get(key).unwrap_or(&none));
        if a == b {
            continue;
        }
        let change = match (a.is_empty(), b.is_empty()) {
            (true, _) => Change::Added,
            (_, true) => Change::Removed,
            _ => Change::Changed,
        };
        let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
        changes.insert(key.clone(), (change, a.get(same).cloned(), b.get(same).cloned()));
    }
    changes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn differences_are_those_of_maps(
        common in prop::collection::vec(layer(40), 1..3),
        more in prop::collection::vec(layer(6), 0..3),
        keep in any::<bool>(),
    ) {
        let scratch = tempfile::tempdir().unwrap();
        let (a, b) = (scratch.path().join("a"), scratch.path().join("b"));
        let new: Vec<Layer> = common.iter().chain(&more).cloned().collect();
        publish(&a, &common);
        publish(&b, &new);
        let duplicates = if keep { Duplicates::Keep } else { Duplicates::Newest };
        let (old_values, new_values) = (values(&common, duplicates), values(&new, duplicates));
        let (found, counts) = diff(&inputs(&a), &inputs(&b), duplicates);
        prop_assert_eq!(&found, &expected(&old_values, &new_values));
        let same = old_values.iter().filter(|(key, value)| new_values.get(*key) == Some(*value)).count();
        prop_assert_eq!(counts.same, same as u64);
        prop_assert_eq!(counts.added + counts.removed + counts.changed, found.len() as u64);
        // The other way round.
        let (found, _) = diff(&inputs(&b), &inputs(&a), duplicates);
        prop_assert_eq!(found, expected(&new_values, &old_values));
    }

    #[test]
    fn the_same_content_in_other_tables_does_not_differ(
        layers in prop::collection::vec(layer(40), 1..4),
        max_entries in 1..30u64,
        compress in any::<bool>(),
    ) {
        let scratch = tempfile::tempdir().unwrap();
        let (a, b) = (scratch.path().join("a"), scratch.path().join("b"));
        publish(&a, &layers);
        let mut publisher = publisher(&b);
        let mut commit = publisher.begin();
        let compression = if compress { Compression::Lz4 } else { Compression::None };
        let writer = WriterOptions::default().compression(compression);
        let options = MergeOptions::default().max_table_entries(max_entries).writer(writer);
        merge_into_commit(&inputs(&a), &mut commit, &options, &go_on()).unwrap();
        commit.publish(&Monitor::default()).unwrap();
        let (found, counts) = diff(&inputs(&a), &inputs(&b), Duplicates::Newest);
        prop_assert_eq!(found, Changes::new());
        prop_assert_eq!(counts.same, values(&layers, Duplicates::Newest).len() as u64);
    }
}

#[test]
fn values_are_decompressed_only_where_stored_forms_leave_it_open() {
    let scratch = tempfile::tempdir().unwrap();
    let value = vec![5; 20_000];
    let mut other = value.clone();
    other[10_000] = 6;
    let file = |name: &str, value: &[u8], compression| {
        let path = scratch.path().join(name);
        let options = WriterOptions::default().compression(compression);
        write_static_sorted_file(&[("key", EntryValue::Medium(value))], &path, options).unwrap();
        let mut inputs = Inputs::new(&ReaderOptions::default());
        inputs.add_table(&path).unwrap();
        inputs
    };
    let lz4 = file("lz4", &value, Compression::Lz4);
    let same = file("same", &value, Compression::Lz4);
    let raw = file("raw", &value, Compression::None);
    let other_lz4 = file("other lz4", &other, Compression::Lz4);
    let other_raw = file("other raw", &other, Compression::None);
    let longer = file("longer", &[5; 20_001], Compression::Lz4);
    for (old, new, is_same, decoded) in [
        (&lz4, &same, true, 0),
        (&lz4, &raw, true, 1),
        (&lz4, &other_lz4, false, 1),
        (&raw, &other_raw, false, 0),
        (&lz4, &longer, false, 0),
    ] {
        let (found, counts) = diff(old, new, Duplicates::Newest);
        assert_eq!((found.is_empty(), counts.decoded), (is_same, decoded));
    }
}

#[test]
fn blobs_differ_where_their_bytes_do() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = |name: &str, value: Value| {
        let path = scratch.path().join(name);
        publish(&path, &[Layer::from([(b"key".to_vec(), vec![value])])]);
        inputs(&path)
    };
    let blob = dir("blob", Value::Blob(vec![1; 30_000]));
    let same = dir("same", Value::Blob(vec![1; 30_000]));
    let medium = dir("medium", Value::Medium(vec![1; 30_000]));
    let other = dir("other", Value::Blob(vec![2; 30_000]));
    for (old, new, is_same, decoded) in [
        (&blob, &blob, true, 0),
        (&blob, &same, true, 1),
        (&blob, &medium, true, 1),
        (&blob, &other, false, 1),
        (&medium, &other, false, 1),
    ] {
        let (found, counts) = diff(old, new, Duplicates::Newest);
        assert_eq!((found.is_empty(), counts.decoded), (is_same, decoded));
    }
}
