//! Blobs of tables that later commits describe again: reader, verification, writer and the second
//! decoder agree on which there are.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sst_conformance::second_decoder;
use sst_format::meta_file::MetaFile;
use sst_format::{BlobNumber, SequenceNumber};
use sst_reader::{Catalog, Monitor, ReaderOptions, SstSet, verify_directory};
use sst_writer::{EntryValue, Publisher, PublisherOptions, WriterOptions};

/// Publishes a table with one key and no blob.
fn publish_small(publisher: &mut Publisher, number: u32) {
    let mut commit = publisher.begin();
    let mut table = commit.create_table(WriterOptions::default()).unwrap();
    table.add((format!("small {number}").as_str(), "inline")).unwrap();
    let table = table.finish().unwrap();
    commit.add_table(table).unwrap();
    commit.publish(&Monitor::default()).unwrap();
}

/// Publishes a table with one new blob, and perhaps one that other tables refer to.
fn publish_blob(
    publisher: &mut Publisher,
    number: u32,
    shared: Option<BlobNumber>,
) -> (SequenceNumber, BlobNumber) {
    let mut commit = publisher.begin();
    let blob = commit.create_blob(format!("blob {number}")).unwrap();
    let mut rows = vec![(format!("key {number}"), blob)];
    rows.extend(shared.map(|shared| (format!("shared {number}"), shared)));
    rows.sort_by_key(|(key, _)| sst_writer::table::hash_key(key.as_bytes()));
    let mut table = commit.create_table(WriterOptions::default()).unwrap();
    for (key, blob) in &rows {
        table.add((key.as_str(), EntryValue::Blob(*blob))).unwrap();
    }
    let table = table.finish().unwrap();
    let sequence = table.sequence();
    commit.add_table(table).unwrap();
    commit.publish(&Monitor::default()).unwrap();
    (sequence, blob)
}

fn assert_all_agree(dir: &Path, expected: &BTreeMap<String, String>) {
    let report = verify_directory(dir, &ReaderOptions::default(), &Monitor::default()).unwrap();
    assert!(report.is_intact(), "{report:?}");
    let set = SstSet::open(dir, &ReaderOptions::default()).unwrap();
    for (key, value) in expected {
        assert_eq!(set.get(key).unwrap().as_deref(), Some(value.as_bytes()), "{key}");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match second_decoder::exit_code(&root, dir) {
        Some(code) => assert_eq!(code, 0),
        None => eprintln!("NOT RUN: the second decoder, since there is no Python"),
    }
}

/// Whether a meta file describes several tables of commits of one each, and lists their blobs.
fn describes_blobs_again(dir: &Path) -> bool {
    Catalog::read(dir).unwrap().meta_files.iter().any(|meta| {
        let bytes = fs::read(dir.join(format!("{:08}.meta", meta.0))).unwrap();
        let meta = MetaFile::parse(&bytes, crc32fast::hash).unwrap();
        meta.tables().len() > 1 && meta.protection().unwrap().blobs().len() > 1
    })
}

#[test]
fn blobs_that_are_described_again() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let mut publisher = Publisher::open(dir.path(), PublisherOptions::default()).unwrap();
    let (first, shared) = publish_blob(&mut publisher, 0, None);
    let mut expected = BTreeMap::new();
    let mut tables = Vec::new();
    for number in 1..30 {
        let (table, blob) = publish_blob(&mut publisher, number, Some(shared));
        expected.insert(format!("key {number}"), format!("blob {number}"));
        expected.insert(format!("shared {number}"), "blob 0".to_owned());
        tables.push((number, table, blob));
    }
    assert!(describes_blobs_again(dir.path()));
    assert_all_agree(dir.path(), &expected);
    // The first table dies, whose blob is still needed, and every third, whose own blob is not.
    let mut commit = publisher.begin();
    commit.obsolete(first).unwrap();
    for (number, table, _) in tables.iter().filter(|(number, ..)| number % 3 == 0) {
        commit.obsolete(*table).unwrap();
        expected.remove(&format!("key {number}"));
        expected.remove(&format!("shared {number}"));
    }
    commit.publish(&Monitor::default()).unwrap();
    assert_all_agree(dir.path(), &expected);
    for number in 0..100 {
        publish_small(&mut publisher, number);
    }
    assert_all_agree(dir.path(), &expected);
    for (number, _, blob) in &tables {
        let is_there = dir.path().join(format!("{:08}.blob", blob.0)).exists();
        assert_eq!(is_there, number % 3 != 0, "blob of table {number}");
    }
    assert!(dir.path().join(format!("{:08}.blob", shared.0)).exists());
}
