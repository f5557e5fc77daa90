//! Compaction in place: answers stay, tables go.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use sst_merge::{
    Compaction, Duplicates, MergeOptions, MergePlan, MergePolicy, auto_compact, compact,
    plan_compaction,
};
use sst_reader::{Catalog, ReaderOptions, SstSet, verify_directory};
use sst_writer::publish::{CommitKind, list_commits};
use sst_writer::table::hash_key;
use sst_writer::{Monitor, Publisher, PublisherOptions, WriterOptions};

use crate::support::{
    Layer, Value, content, files, go_on, key, layer, publish, publisher, write_table,
};

type Answers = BTreeMap<Vec<u8>, (Option<Vec<u8>>, Vec<Vec<u8>>)>;

/// What the directory answers for every key there may be.
fn answers(dir: &Path) -> Answers {
    let set = SstSet::open(dir, &ReaderOptions::default()).unwrap();
    (0..70u8)
        .map(|i| {
            let key = key(i);
            let one = set.get(&key).unwrap().map(|value| value.to_vec());
            let all = set.get_all(&key).map(|value| value.unwrap().to_vec()).collect();
            (key, (one, all))
        })
        .collect()
}

fn tombstones(layer: &Layer) -> usize {
    layer.values().flatten().filter(|value| **value == Value::Deleted).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn answers_stay_whatever_is_compacted(
        layers in prop::collection::vec(layer(40), 1..6),
        newest in 1..7usize,
        max_entries in prop_oneof![Just(u64::MAX), 1..20u64],
    ) {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("dir");
        publish(&dir, &layers);
        let before = answers(&dir);
        let mut publisher = publisher(&dir);
        let options =
            MergeOptions::default().duplicates(Duplicates::Keep).max_table_entries(max_entries);
        let done = compact(&mut publisher, 0, newest, &options, &ReaderOptions::default(), &go_on());
        let done = done.unwrap().unwrap();
        prop_assert_eq!(done.replaced_tables, newest.min(layers.len()) as u64);
        prop_assert_eq!(answers(&dir), before);
        if newest >= layers.len() {
            let (content, tables) = content(&dir);
            prop_assert_eq!(tombstones(&content), 0);
            prop_assert_eq!(tables as u64, done.report.tables);
        }
        prop_assert_eq!(done.report.copied_blobs, 0);
        drop(publisher);
        let report = verify_directory(&dir, &ReaderOptions::default(), &go_on()).unwrap();
        prop_assert!(report.damage.is_empty(), "{:?}", report.damage);
    }
}

#[test]
fn a_tombstone_stays_as_long_as_it_hides_something() {
    let scratch = tempfile::tempdir().unwrap();
    let layer = |values: &[(u8, Value)]| -> Layer {
        values.iter().map(|(i, value)| (key(*i), vec![value.clone()])).collect()
    };
    let value = || Value::Inline(b"v".to_vec());
    publish(
        scratch.path(),
        &[
            layer(&[(1, value()), (2, value())]),
            layer(&[(1, Value::Deleted), (3, value())]),
            layer(&[(3, Value::Deleted), (4, value())]),
        ],
    );
    let mut publisher = publisher(scratch.path());
    let mut compact = |newest| {
        let options = MergeOptions::default();
        compact(&mut publisher, 0, newest, &options, &ReaderOptions::default(), &go_on())
            .unwrap()
            .unwrap()
            .report
    };
    let first = compact(2);
    assert_eq!((first.tombstones + first.dropped_tombstones, first.hidden), (2, 1));
    assert!(first.tombstones >= 1, "that of key 1 hides something");
    let set = SstSet::open(scratch.path(), &ReaderOptions::default()).unwrap();
    assert_eq!(set.get(key(1)).unwrap(), None);
    let second = compact(usize::MAX);
    assert_eq!((second.tombstones, second.entries), (0, 2));
    assert_eq!(content(scratch.path()).0, layer(&[(2, value()), (4, value())]));
}

#[test]
fn a_directory_of_nothing_but_tombstones_becomes_empty() {
    let scratch = tempfile::tempdir().unwrap();
    let gone = Layer::from([(key(1), vec![Value::Deleted])]);
    publish(scratch.path(), &[gone.clone(), gone]);
    let mut publisher = publisher(scratch.path());
    let options = MergeOptions::default();
    let mut run =
        || compact(&mut publisher, 0, 9, &options, &ReaderOptions::default(), &go_on()).unwrap();
    let done = run().unwrap();
    assert_eq!((done.report.tables, done.replaced_tables), (0, 2));
    assert!(run().is_none(), "there is nothing left to do");
    drop(publisher);
    assert!(Catalog::read(scratch.path()).unwrap().tables.is_empty());
    assert!(files(scratch.path()).iter().all(|name| !name.ends_with(".sst")));
}

#[test]
fn other_families_are_left_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let mut publisher = publisher(scratch.path());
    for family in [3, 0, 3, 0] {
        let mut commit = publisher.begin_family(family);
        let value = Value::Small(format!("family {family}").into_bytes());
        let table = write_table(&commit, &Layer::from([(key(1), vec![value])]));
        commit.add_table(table).unwrap();
        commit.publish(&Monitor::default()).unwrap();
    }
    let options = MergeOptions::default();
    compact(&mut publisher, 3, usize::MAX, &options, &ReaderOptions::default(), &go_on()).unwrap();
    let families: Vec<u32> = publisher.live_tables().map(|(family, _)| family).collect();
    assert_eq!(families.iter().filter(|family| **family == 3).count(), 1);
    assert_eq!(families.iter().filter(|family| **family == 0).count(), 2);
    let set = SstSet::open_family(scratch.path(), 3, &ReaderOptions::default()).unwrap();
    assert_eq!(&*set.get(key(1)).unwrap().unwrap(), b"family 3");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Loads with a merge by policy after each: the answers stay, the layers stay few, and the
    /// merges are those of the dry run.
    #[test]
    fn answers_stay_whatever_a_policy_merges(
        layers in prop::collection::vec(layer(40), 2..9),
        max_layers in 1..4usize,
    ) {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("dir");
        let policy = MergePolicy::default().max_layers(max_layers).max_space_percent(1000);
        let options = MergeOptions::default().duplicates(Duplicates::Keep);
        publish(&dir, &layers);
        let before = answers(&dir);
        let catalog = Catalog::read(&dir).unwrap();
        let plans = plan_compaction(&catalog, 0, &policy);
        let mut publisher = publisher(&dir);
        let (reader, mut merges) = (ReaderOptions::default(), Vec::new());
        auto_compact(&mut publisher, 0, &policy, &options, &reader, &go_on(), |plan, merged| {
            assert_eq!(plan.tables.len() as u64, merged.replaced_tables);
            merges.push(plan.layers);
        })
        .unwrap();
        drop(publisher);
        let set = SstSet::open(&dir, &reader).unwrap();
        prop_assert!(set.layer_count() <= max_layers);
        prop_assert_eq!(answers(&dir), before);
        prop_assert_eq!(merges.first(), plans.first().map(|plan| &plan.layers));
        let report = verify_directory(&dir, &reader, &go_on()).unwrap();
        prop_assert!(report.damage.is_empty(), "{:?}", report);
        let nothing = plan_compaction(&Catalog::read(&dir).unwrap(), 0, &policy);
        prop_assert!(nothing.is_empty());
    }
}

/// The tables of a layer, each with the keys of a part of all hashes.
fn split(layer: &Layer, bits: u32) -> Vec<Layer> {
    let mut parts: BTreeMap<u64, Layer> = BTreeMap::new();
    for (key, values) in layer {
        let part = hash_key(key) >> 32 >> (32 - bits);
        parts.entry(part).or_default().insert(key.clone(), values.clone());
    }
    parts.into_values().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Layers of several tables, merged in runs that may not read all of it: the answers and the
    /// certificate stay, and each run keeps to its limit.
    #[test]
    fn answers_stay_if_ranges_are_merged_one_after_the_other(
        layers in prop::collection::vec((layer(60), 0..4_u32), 2..7),
        part in 1..5_u64,
        max_layers in 1..5_usize,
        max_space in 101..140_u64,
    ) {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("dir");
        let mut publisher =
            Publisher::open(&dir, PublisherOptions::default().digest(true)).unwrap();
        for (layer, bits) in &layers {
            let mut commit = publisher.begin();
            for part in split(layer, *bits) {
                let table = write_table(&commit, &part);
                commit.add_table(table).unwrap();
            }
            sst_merge::publish(commit, &Monitor::default()).unwrap();
        }
        drop(publisher);
        let newest_of = || -> Vec<_> { answers(&dir).into_values().map(|(one, _)| one).collect() };
        let (before, certificates) = (newest_of(), Catalog::read(&dir).unwrap().certificates);
        prop_assert_eq!(certificates.len(), 1);
        let bytes: u64 =
            Catalog::read(&dir).unwrap().tables.iter().map(|table| table.record.file_size).sum();
        let policy = MergePolicy::default().max_layers(max_layers).max_space_percent(max_space);
        let policy = policy.max_bytes(bytes / part);
        let (options, reader) = (MergeOptions::default(), ReaderOptions::default());
        let mut publisher = Publisher::open(&dir, PublisherOptions::default()).unwrap();
        for run in 0.. {
            prop_assert!(run < 100, "runs do not come to an end");
            let mut read = 0;
            let count = |plan: &MergePlan, merged: &Compaction| {
                assert_eq!(plan.tables.len() as u64, merged.replaced_tables);
                read += plan.bytes;
            };
            auto_compact(&mut publisher, 0, &policy, &options, &reader, &go_on(), count).unwrap();
            prop_assert!(read <= policy.max_bytes);
            prop_assert_eq!(newest_of(), before.clone());
            if read == 0 {
                break;
            }
        }
        drop(publisher);
        prop_assert_eq!(Catalog::read(&dir).unwrap().certificates, certificates);
        let report = verify_directory(&dir, &reader, &go_on()).unwrap();
        prop_assert!(report.damage.is_empty(), "{:?}", report);
    }
}

/// Kinds of commits, the newest first.
fn kinds(dir: &Path) -> Vec<CommitKind> {
    let generations = list_commits(dir).unwrap();
    generations.iter().map(|one| one.kind.unwrap()).collect()
}

/// A merge is no generation, because lookups answer as before. With entries of several tables kept
/// they may not, so that merge is a generation, unless the certificate holds for it too.
#[test]
fn a_merge_that_may_change_answers_is_a_generation() {
    let append = |publisher: &mut Publisher, key: &str, value: &str| {
        let mut commit = publisher.begin();
        let mut table = commit.create_table(WriterOptions::default()).unwrap();
        table.add((key, value)).unwrap();
        let table = table.finish().unwrap();
        commit.add_table(table).unwrap();
        sst_merge::publish(commit, &Monitor::default()).unwrap();
    };
    for (keys, duplicates, digest, expected) in [
        (["a", "a"], Duplicates::Newest, false, CommitKind::Merge),
        (["a", "a"], Duplicates::Keep, false, CommitKind::Append),
        (["a", "a"], Duplicates::Keep, true, CommitKind::Append),
        // Nothing shows that no key was in both tables.
        (["a", "b"], Duplicates::Keep, false, CommitKind::Append),
        (["a", "b"], Duplicates::Keep, true, CommitKind::Merge),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let options = PublisherOptions::default().keep_generations(5).digest(digest);
        let mut publisher = Publisher::open(scratch.path(), options).unwrap();
        for (key, value) in keys.into_iter().zip(["first", "second"]) {
            append(&mut publisher, key, value);
        }
        let (options, reader) =
            (MergeOptions::default().duplicates(duplicates), ReaderOptions::default());
        compact(&mut publisher, 0, usize::MAX, &options, &reader, &go_on()).unwrap().unwrap();
        assert_eq!(kinds(scratch.path())[0], expected, "{keys:?} {duplicates:?} {digest}");
        // A rollback without a target goes to the commit before the merge only if that is another
        // generation.
        publisher.rollback(None, &Monitor::default()).unwrap();
        let tables = publisher.live_tables().count();
        assert_eq!(tables, if expected == CommitKind::Merge { 1 } else { 2 });
    }
}
