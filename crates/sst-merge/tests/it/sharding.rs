//! Splitting into shards, and samples.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use sst_merge::{
    Duplicates, Inputs, MergeOptions, Sample, SampleSize, ShardMap, merge_into_commit,
    merge_into_file, sample_into_commit, sample_into_file, split,
};
use sst_reader::{ReaderOptions, StaticSortedFile};
use sst_writer::table::{hash_key, write_static_sorted_file};
use sst_writer::{EntryValue, Monitor, PublisherOptions};

use crate::model::merged;
use crate::support::{Hashed, Layer, Value, content, go_on, layer, publish, publisher};

fn inputs<'p>(dirs: impl IntoIterator<Item = &'p Path>) -> Inputs {
    let mut inputs = Inputs::new(&ReaderOptions::default());
    dirs.into_iter().for_each(|dir| inputs.add_directory(dir, 0).unwrap());
    inputs
}

fn entry_count(layer: &Layer) -> usize {
    layer.values().map(Vec::len).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn shards_are_exact_and_merge_to_what_was_split(
        layers in prop::collection::vec(layer(50), 1..4),
        count in 1..9u32,
        by_entries in any::<bool>(),
    ) {
        let scratch = tempfile::tempdir().unwrap();
        let (dir, back) = (scratch.path().join("dir"), scratch.path().join("back"));
        publish(&dir, &layers);
        let all = inputs([dir.as_path()]);
        let map = match by_entries {
            true => ShardMap::by_entries(&all, count, Duplicates::Newest, &go_on()).unwrap(),
            false => ShardMap::by_hash(count),
        };
        let shard_dir = |shard: usize| scratch.path().join(format!("shard {shard}"));
        let shards = split(&all, &map, 0, &MergeOptions::default(), &PublisherOptions::default(), shard_dir, &go_on()).unwrap();
        prop_assert_eq!(shards.len(), count as usize);
        let mut sum = Layer::new();
        for (shard, written) in shards.iter().enumerate() {
            let (found, _) = content(&shard_dir(shard));
            prop_assert_eq!(written.report.entries, entry_count(&found) as u64);
            prop_assert!(found.keys().all(|key| map.shard_of(key) == shard));
            if by_entries && found.values().all(|values| values.len() == 1) {
                let ideal = entry_count(&merged(&layers, Duplicates::Newest, |_| false)) / count as usize;
                let longest = layers.iter().flat_map(Layer::values).map(Vec::len).max().unwrap();
                prop_assert!(entry_count(&found).abs_diff(ideal) <= longest);
            }
            sum.extend(found);
        }
        let expected = merged(&layers, Duplicates::Newest, |_| false);
        prop_assert_eq!(&sum, &expected);
        // Back in one directory, they are what a merge of the original is.
        let dirs: Vec<_> = (0..shards.len()).map(shard_dir).collect();
        let mut publisher = publisher(&back);
        let mut commit = publisher.begin();
        let shards = inputs(dirs.iter().map(std::path::PathBuf::as_path));
        merge_into_commit(&shards, &mut commit, &MergeOptions::default(), &go_on()).unwrap();
        commit.publish(&Monitor::default()).unwrap();
        prop_assert_eq!(content(&back).0, expected);
    }

    #[test]
    fn samples_are_what_the_window_holds(
        layers in prop::collection::vec(layer(50), 1..4),
        seed in any::<u64>(),
        fraction in 0.0..1.0f64,
        count in 0..70u64,
    ) {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("dir");
        publish(&dir, &layers);
        let live = merged(&layers, Duplicates::Newest, |_| false);
        let take = |name: &str, sample: &Sample| {
            let out = scratch.path().join(name);
            let mut publisher = publisher(&out);
            let mut commit = publisher.begin();
            let options = MergeOptions::default();
            sample_into_commit(&inputs([dir.as_path()]), sample, &mut commit, &options, &go_on()).unwrap();
            commit.publish(&Monitor::default()).unwrap();
            content(&out).0
        };
        let sample = Sample::new(SampleSize::Fraction(fraction)).seed(seed);
        let mut expected = live.clone();
        expected.retain(|key, _| sample.holds(hash_key(key)).unwrap());
        prop_assert_eq!(take("fraction", &sample), expected);
        // By number: the keys that come first, going round from the start of the window.
        let start = if seed == 0 { 0 } else { hash_key(&seed.to_be_bytes()) };
        let mut order: Vec<_> = live.keys().cloned().collect();
        order.sort_by_key(|key| hash_key(key).wrapping_sub(start));
        let chosen: BTreeSet<_> = order.into_iter().take(usize::try_from(count).unwrap()).collect();
        let mut expected = live;
        expected.retain(|key, _| chosen.contains(key));
        let sample = Sample::new(SampleSize::Keys(count)).seed(seed);
        prop_assert_eq!(sample.holds(0), None);
        prop_assert_eq!(take("count", &sample), expected);
    }
}

/// A table of numbers as keys.
fn numbers(path: &Path, count: u32) -> Inputs {
    let mut keys: Vec<_> = (0..count).map(u32::to_be_bytes).collect();
    keys.sort_by_key(|key| (hash_key(key), *key));
    let entries: Vec<_> = keys.iter().map(|key| (key, EntryValue::Small(key))).collect();
    write_static_sorted_file(&entries, path, Default::default()).unwrap();
    let mut inputs = Inputs::new(&ReaderOptions::default());
    inputs.add_table(path).unwrap();
    inputs
}

#[test]
fn many_entries_split_to_within_one_of_each_other() {
    let scratch = tempfile::tempdir().unwrap();
    // More than there are marks, so that shards end between them.
    let all = numbers(&scratch.path().join("all.sst"), 100_003);
    let map = ShardMap::by_entries(&all, 7, Duplicates::Newest, &go_on()).unwrap();
    let mut sizes = vec![0u32; 7];
    (0..100_003u32).for_each(|i| sizes[map.shard_of(i.to_be_bytes())] += 1);
    assert_eq!(sizes.iter().sum::<u32>(), 100_003);
    let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
    assert!(most - least <= 1, "{sizes:?}");
}

#[test]
fn shards_merge_back_to_the_same_bytes() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("all.sst");
    let all = numbers(&path, 30_000);
    let map = ShardMap::by_entries(&all, 5, Duplicates::Newest, &go_on()).unwrap();
    let dir = |shard: usize| scratch.path().join(shard.to_string());
    split(&all, &map, 0, &MergeOptions::default(), &PublisherOptions::default(), dir, &go_on())
        .unwrap();
    let dirs: Vec<_> = (0..5).rev().map(dir).collect();
    let shards = inputs(dirs.iter().map(std::path::PathBuf::as_path));
    let back = scratch.path().join("back.sst");
    merge_into_file(&shards, &back, &MergeOptions::default(), &go_on()).unwrap();
    assert!(std::fs::read(back).unwrap() == std::fs::read(path).unwrap());
}

#[test]
fn equal_hashes_are_in_one_shard() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("all.sst");
    let keys: Vec<_> =
        (0..10).map(|i| format!("{i} is a key so long that its hash is stored with it")).collect();
    let hash = |i: usize| if i < 8 { 77 } else { u64::MAX };
    let entries: Vec<_> =
        (0..10).map(|i| Hashed(hash(i), keys[i].as_bytes(), EntryValue::Inline(b"v"))).collect();
    write_static_sorted_file(&entries, &path, Default::default()).unwrap();
    let mut all = Inputs::new(&ReaderOptions::default());
    all.add_table(&path).unwrap();
    let map = ShardMap::by_entries(&all, 5, Duplicates::Newest, &go_on()).unwrap();
    let dir = |shard: usize| scratch.path().join(shard.to_string());
    let shards =
        split(&all, &map, 0, &MergeOptions::default(), &PublisherOptions::default(), dir, &go_on())
            .unwrap();
    let sizes: Vec<u64> = shards.iter().map(|shard| shard.report.entries).collect();
    assert_eq!(sizes.iter().sum::<u64>(), 10);
    assert_eq!(sizes.iter().filter(|size| **size > 0).count(), 2, "{sizes:?}");
    assert_eq!(sizes[map.shard_of_hash(77)], 8);
    assert_eq!(sizes[map.shard_of_hash(u64::MAX)], 2);
}

#[test]
fn a_sample_is_as_large_as_it_should_be_and_costs_no_more() {
    let scratch = tempfile::tempdir().unwrap();
    let all = numbers(&scratch.path().join("all.sst"), 100_000);
    for seed in 0..20 {
        let out = scratch.path().join(format!("{seed}.sst"));
        let sample = Sample::new(SampleSize::Fraction(0.1)).seed(seed);
        let options = MergeOptions::default();
        let (report, meta) = sample_into_file(&all, &sample, &out, &options, &go_on()).unwrap();
        // Five standard deviations: √(100,000 × 0.1 × 0.9) = 95.
        assert!(report.entries.abs_diff(10_000) < 475, "{seed}: {}", report.entries);
        assert!(report.read <= report.entries + 2);
        let table =
            StaticSortedFile::open(&out, &meta.unwrap(), &ReaderOptions::default()).unwrap();
        assert!(table.iter().all(|entry| sample.holds(entry.unwrap().hash).unwrap()));
    }
}

#[test]
fn all_entries_of_a_key_are_in_the_sample_or_none() {
    let scratch = tempfile::tempdir().unwrap();
    let values = || vec![Value::Inline(b"1".to_vec()), Value::Inline(b"2".to_vec())];
    let layer: Layer = (0..30u8).map(|i| (vec![i], values())).collect();
    publish(scratch.path(), std::slice::from_ref(&layer));
    let out = scratch.path().join("out.sst");
    let sample = Sample::new(SampleSize::Keys(7)).seed(3);
    let all = inputs([scratch.path()]);
    let (report, _) =
        sample_into_file(&all, &sample, &out, &MergeOptions::default(), &go_on()).unwrap();
    assert_eq!(report.entries, 14);
}
