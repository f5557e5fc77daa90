//! Merging into a commit and into a file, against the model.

use proptest::prelude::*;
use sst_merge::{
    Duplicates, Inputs, MergeOptions, OlderTables, merge_into_commit, merge_into_file,
};
use sst_reader::{Access, Catalog, ReaderOptions, StaticSortedFile};
use sst_writer::table::{hash_key, write_static_sorted_file};
use sst_writer::{BulkLoader, BulkOptions, EntryValue, Monitor};

use crate::model::merged;
use crate::support::{
    Hashed, Layer, Value, content, entries_of, files, go_on, key, layer, publish, publisher,
};

/// Merges directories into a new one. Returns what it then holds, and how many tables.
fn merge(
    dirs: &[&std::path::Path],
    out: &std::path::Path,
    options: &MergeOptions,
) -> (Layer, usize) {
    let mut inputs = Inputs::new(&ReaderOptions::default().access(Access::Read));
    for dir in dirs {
        inputs.add_directory(dir, 0).unwrap();
    }
    let mut publisher = publisher(out);
    let mut commit = publisher.begin();
    let report = merge_into_commit(&inputs, &mut commit, options, &go_on()).unwrap();
    commit.publish(&Monitor::default()).unwrap();
    let (found, tables) = content(out);
    let entries: usize = found.values().map(Vec::len).sum();
    assert_eq!((report.entries, report.tables), (entries as u64, tables as u64));
    assert_eq!(Some(report.read), inputs.entry_count());
    assert_eq!(report.read, report.entries + report.hidden + report.dropped_tombstones);
    (found, tables)
}

fn duplicates() -> impl Strategy<Value = Duplicates> {
    prop_oneof![Just(Duplicates::Newest), Just(Duplicates::Keep)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_layers_in_any_directories_merge_as_maps_do(
        layers in prop::collection::vec(layer(40), 1..6),
        first_dir in 0..6usize,
        duplicates in duplicates(),
        max_entries in prop_oneof![Just(u64::MAX), 1..20u64],
        keep_tombstones in any::<bool>(),
    ) {
        let scratch = tempfile::tempdir().unwrap();
        let (a, b, out) = (scratch.path().join("a"), scratch.path().join("b"), scratch.path().join("out"));
        let (older, newer) = layers.split_at(first_dir.min(layers.len()));
        let mut dirs = Vec::new();
        for (dir, layers) in [(&a, older), (&b, newer)] {
            if !layers.is_empty() {
                publish(dir, layers);
                dirs.push(dir.as_path());
            }
        }
        let older = if keep_tombstones { OlderTables::unknown() } else { OlderTables::none() };
        let options =
            MergeOptions::default().duplicates(duplicates).max_table_entries(max_entries).older(older);
        let (found, tables) = merge(&dirs, &out, &options);
        prop_assert_eq!(&found, &merged(&layers, duplicates, |_| keep_tombstones));
        let entries = found.values().map(Vec::len).sum::<usize>() as u64;
        // Only entries of one key, or equal hashes, make a table longer than it should be.
        prop_assert!(tables as u64 <= entries.div_ceil(max_entries.min(entries.max(1))));
        prop_assert!(max_entries != u64::MAX || tables <= 1);
    }

    #[test]
    fn a_part_of_all_hashes_merges_to_the_same_part(
        layers in prop::collection::vec(layer(40), 1..4),
        ends in any::<(u64, u64)>(),
    ) {
        let scratch = tempfile::tempdir().unwrap();
        let (dir, out) = (scratch.path().join("dir"), scratch.path().join("out"));
        publish(&dir, &layers);
        let hashes = ends.0.min(ends.1)..=ends.0.max(ends.1);
        let mut inputs = Inputs::new(&ReaderOptions::default());
        inputs.add_directory(&dir, 0).unwrap();
        let mut publisher = publisher(&out);
        let mut commit = publisher.begin();
        let options = MergeOptions::default().hashes(hashes.clone());
        merge_into_commit(&inputs, &mut commit, &options, &go_on()).unwrap();
        commit.publish(&Monitor::default()).unwrap();
        let mut expected = merged(&layers, Duplicates::Newest, |_| false);
        expected.retain(|key, _| hashes.contains(&hash_key(key)));
        prop_assert_eq!(content(&out).0, expected);
    }
}

fn small(pairs: &[(&str, &str)]) -> Layer {
    pairs
        .iter()
        .map(|(key, value)| {
            (key.as_bytes().to_vec(), vec![Value::Small(value.as_bytes().to_vec())])
        })
        .collect()
}

#[test]
fn later_inputs_are_newer_whatever_they_are() {
    let scratch = tempfile::tempdir().unwrap();
    let (a, out) = (scratch.path().join("a"), scratch.path().join("out.sst"));
    publish(&a, &[small(&[("in all", "directory"), ("in the directory", "directory")])]);
    let (b, c) = (scratch.path().join("b.sst"), scratch.path().join("c.sst"));
    write_static_sorted_file(&[("in all", "file b")], &b, Default::default()).unwrap();
    write_static_sorted_file(&[("in all", "file c")], &c, Default::default()).unwrap();
    let mut inputs = Inputs::new(&ReaderOptions::default());
    inputs.add_table(&c).unwrap();
    // A table that its directory lists counts as one on its own.
    let catalog = Catalog::read(&a).unwrap();
    inputs.add_table(catalog.tables[0].path(&a)).unwrap();
    inputs.add_table(&b).unwrap();
    assert_eq!((inputs.table_count(), inputs.entry_count()), (3, None));
    let options = MergeOptions::default();
    let (report, meta) = merge_into_file(&inputs, &out, &options, &go_on()).unwrap();
    assert_eq!((report.read, report.hidden, report.entries), (4, 2, 2));
    let table = StaticSortedFile::open(&out, &meta.unwrap(), &ReaderOptions::default()).unwrap();
    assert_eq!(&*table.get(b"in all").unwrap().into_value().unwrap(), b"file b");
    assert_eq!(&*table.get(b"in the directory").unwrap().into_value().unwrap(), b"directory");
}

#[test]
fn nothing_left_makes_no_file() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("dir");
    publish(&dir, &[Layer::from([(b"gone".to_vec(), vec![Value::Deleted])])]);
    let mut inputs = Inputs::new(&ReaderOptions::default());
    inputs.add_directory(&dir, 0).unwrap();
    inputs.add_directory(&dir, 7).unwrap();
    let before = files(scratch.path());
    let out = scratch.path().join("out.sst");
    let merged = merge_into_file(&inputs, &out, &MergeOptions::default(), &go_on()).unwrap();
    assert_eq!((merged.0.dropped_tombstones, merged.1.is_none()), (1, true));
    assert_eq!(files(scratch.path()), before);
}

#[test]
fn entries_with_equal_hashes_stay_in_one_table() {
    let scratch = tempfile::tempdir().unwrap();
    let keys: Vec<String> =
        (0..40).map(|i| format!("{i:02} a key so long that its hash is stored with it")).collect();
    let hash = |i: usize| if (10..30).contains(&i) { 1 << 32 } else { i as u64 };
    let mut order: Vec<usize> = (0..40).collect();
    order.sort_by_key(|&i| (hash(i), &keys[i]));
    let mut inputs = Inputs::new(&ReaderOptions::default());
    for part in 0..4 {
        let path = scratch.path().join(format!("{part}.sst"));
        let entries: Vec<_> = order
            .iter()
            .filter(|&i| i % 4 == part)
            .map(|&i| Hashed(hash(i), keys[i].as_bytes(), EntryValue::Inline(b"v")))
            .collect();
        write_static_sorted_file(&entries, &path, Default::default()).unwrap();
        inputs.add_table(&path).unwrap();
    }
    let out = scratch.path().join("out");
    let mut publisher = publisher(&out);
    let mut commit = publisher.begin();
    let options = MergeOptions::default().max_table_entries(3);
    merge_into_commit(&inputs, &mut commit, &options, &go_on()).unwrap();
    commit.publish(&Monitor::default()).unwrap();
    let (_, tables) = content(&out);
    // Ten below, in threes; the twenty with the last of the ten or alone; ten above.
    let catalog = Catalog::read(&out).unwrap();
    let lens: Vec<u64> =
        catalog.tables.iter().rev().map(|table| table.entry_count().unwrap()).collect();
    assert_eq!(tables, lens.len());
    assert_eq!(lens.iter().sum::<u64>(), 40);
    let of_the_run = catalog
        .tables
        .iter()
        .filter(|table| (table.record.min_hash..=table.record.max_hash).contains(&(1 << 32)));
    assert_eq!(of_the_run.count(), 1);
    assert!(lens.contains(&20) || lens.contains(&22) || lens.contains(&21), "{lens:?}");
    let mut found = Vec::new();
    for table in catalog.tables.iter().rev() {
        let table = catalog.open_table(table, &ReaderOptions::default()).unwrap();
        found.extend(entries_of(&table, None).into_iter().map(|(hash, key, _)| (hash, key)));
    }
    let expected: Vec<_> = order.iter().map(|&i| (hash(i), keys[i].clone().into_bytes())).collect();
    assert_eq!(found, expected);
}

#[test]
fn tables_end_by_uncompressed_bytes_as_those_of_a_load_do() {
    let scratch = tempfile::tempdir().unwrap();
    let [from, merged, loaded] = ["from", "merged", "loaded"].map(|name| scratch.path().join(name));
    let value = vec![7; 10_000];
    let layer: Layer = (0..60).map(|i| (key(i), vec![Value::Medium(value.clone())])).collect();
    publish(&from, &[layer]);
    let mut inputs = Inputs::new(&ReaderOptions::default());
    inputs.add_directory(&from, 0).unwrap();
    let options = MergeOptions::default().max_table_bytes(100_500);
    let mut target = publisher(&merged);
    let mut commit = target.begin();
    let report = merge_into_commit(&inputs, &mut commit, &options, &go_on()).unwrap();
    commit.publish(&Monitor::default()).unwrap();
    // Ten values fit with their keys, eleven do not.
    assert_eq!(report.tables, 6);
    assert!(report.table_bytes < 100_000, "the values compress");

    let mut target = publisher(&loaded);
    let options = BulkOptions::default().max_table_bytes(100_500);
    let loader = BulkLoader::new(&mut target, options, &Monitor::default()).unwrap();
    let mut handle = loader.handle(0);
    (0..60).for_each(|i| handle.put(key(i), &value).unwrap());
    handle.finish().unwrap();
    loader.finish().unwrap();
    for table in Catalog::read(&loaded).unwrap().tables {
        assert!(table.entry_count().unwrap() <= 10);
    }
    let defaults = (MergeOptions::default(), BulkOptions::default());
    assert_eq!(defaults.0.max_table_bytes, defaults.1.max_table_bytes);
    assert_eq!(defaults.0.max_table_entries, defaults.1.max_table_entries);
}
