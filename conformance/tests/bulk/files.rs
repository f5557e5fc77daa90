//! A load must write the same files for every memory budget and number of threads.

use sst_conformance::SplitMix;
use sst_writer::bulk::{BulkMode, Duplicates};
use sst_writer::table::hash_key;

use super::model::{Action, TestRecord, check, content, expected, files, load, options};

/// Records of every kind. Keys are repeated within a stream and between streams.
fn mixed(streams: u64, records: usize) -> Vec<Vec<TestRecord>> {
    let one = |stream: u64| {
        let mut random = SplitMix::new(stream);
        let record = move |_| {
            let word = random.word();
            let key = (word % 6000).to_be_bytes()[6 - (word % 3) as usize..].to_vec();
            let len = match random.word() % 100 {
                0..30 => random.word() % 9,
                30..90 => random.word() % 300,
                90..98 => random.word() % 5000,
                98 => random.word() % 20_000,
                _ => 60_000,
            };
            let value = random.half_random(usize::try_from(len).unwrap());
            let action = match random.word() % 50 {
                0..3 => Action::Delete,
                3 => Action::PutBlob(value),
                _ => Action::Put(value),
            };
            TestRecord { key, action }
        };
        (0..records).map(record).collect()
    };
    (0..streams).map(one).collect()
}

/// Keys of 32 bytes with the same hash: if the first eight bytes equal those of XXH3's secret, XXH3
/// multiplies the next eight bytes by zero.
fn colliding(number: u64) -> Vec<u8> {
    let secret = [0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe];
    [secret, number.to_be_bytes(), [1; 8], [2; 8]].concat()
}

#[test]
fn every_policy_leaves_the_entries_of_the_model() {
    let streams = mixed(3, 5000);
    for policy in [Duplicates::Newest, Duplicates::Keep] {
        let summary = check(&streams, &options().duplicates(policy));
        assert!(summary.tables >= 4, "{summary:?}");
        assert!(summary.blobs > 10 && summary.tombstones > 10, "{summary:?}");
    }
}

#[test]
fn unique_keys_pass_the_strict_policy() {
    let mut random = SplitMix::new(5);
    let records = (0..40_000_u64).map(|i| TestRecord::put(i.to_be_bytes(), random.bytes(100)));
    let streams = [records.collect()];
    let summary = check(&streams, &options().duplicates(Duplicates::Error));
    assert_eq!((summary.tables, summary.spilled_bytes), (16, 0));
}

#[test]
fn values_become_blobs_above_the_threshold() {
    let value = |i: usize| vec![b'v'; i % 10];
    let records = (0..300).map(|i| TestRecord::put(i.to_string(), value(i)));
    let summary = check(&[records.collect()], &options().blob_threshold(7));
    assert_eq!(summary.blobs, 60);
}

#[test]
fn floods_of_one_hash_and_of_one_key_are_sorted_on_disk() {
    assert_eq!(hash_key(&colliding(1)), hash_key(&colliding(u64::MAX)));
    let mut random = SplitMix::new(9);
    let mut stream = |records: usize, mut key: Box<dyn FnMut() -> Vec<u8>>| -> Vec<TestRecord> {
        let record = |i| TestRecord::put(key(), random.half_random(30 + i % 200));
        (0..records).map(record).collect()
    };
    let mut numbers = SplitMix::new(1);
    let one_hash = stream(60_000, Box::new(move || colliding(numbers.word() % 40_000)));
    let mut numbers = SplitMix::new(2);
    let one_key = stream(60_000, Box::new(move || vec![(numbers.word() % 3) as u8]));
    for policy in [Duplicates::Newest, Duplicates::Keep] {
        let streams = [one_hash.clone(), one_key.clone(), one_hash[..30_000].to_vec()];
        let summary = check(&streams, &options().duplicates(policy));
        // A run of equal hashes cannot be split.
        assert!(summary.tables <= 5, "{}", summary.tables);
    }
}

#[test]
fn increments_stay_on_top_and_replacements_replace() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("db");
    let streams = mixed(2, 500);
    let [first, second] = [0, 1].map(|i| vec![streams[i].clone()]);
    load(&directory, &first, options()).unwrap();
    let before = files(&directory);
    load(&directory, &second, options().mode(BulkMode::Append)).unwrap();
    let after = files(&directory);
    let kept = before.iter().filter(|(name, _)| name.as_str() != "CURRENT");
    assert!(kept.clone().count() > 1 && kept.clone().all(|(name, file)| after[name] == *file));
    load(&directory, &second, options()).unwrap();
    assert!(content(&directory) == expected(&second, Duplicates::Newest));
    assert!(kept.clone().all(|(name, _)| !files(&directory).contains_key(name)));
    // An empty replacement removes all entries.
    load(&directory, &[], options()).unwrap();
    assert_eq!(content(&directory).len(), 0);
}
