//! Blobs of tables that later commits describe again: reader, verification, writer and the second
//! decoder agree on which there are.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sst_conformance::second_decoder;
use sst_format::meta_file::MetaFile;
use sst_format::meta_head::{BlockHeaders, DescribedTable, MetaFileV3, blob_counts_field};
use sst_format::protection::BlobRecord;
use sst_format::{BlobNumber, SequenceNumber};
use sst_reader::{
    Catalog, Corruption, Monitor, ReadError, ReaderOptions, SstSet, verify_directory,
};
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

/// Writes the newest meta file again, with these numbers of blobs of each table.
fn rewrite_with(dir: &Path, counts: &[u32]) {
    rewrite_blobs(dir, counts, |_| {});
}

/// [`rewrite_with`], with other records of blobs.
fn rewrite_blobs(dir: &Path, counts: &[u32], change: impl FnOnce(&mut Vec<BlobRecord>)) {
    let newest = Catalog::read(dir).unwrap().commit;
    let path = dir.join(format!("{:08}.meta", newest.0));
    let bytes = fs::read(&path).unwrap();
    let meta = MetaFile::parse(&bytes, crc32fast::hash).unwrap();
    let section = meta.protection().unwrap();
    let described = meta.described().unwrap().into_iter().map(|table| {
        let protection = table.protection.unwrap();
        DescribedTable {
            record: table.record,
            entry_count: protection.entry_count,
            filter: bytes.get(table.filter).unwrap(),
            headers: BlockHeaders::Stored(bytes.get(protection.block_headers).unwrap()),
            filter_checksum: None,
            headers_checksum: None,
        }
    });
    let mut blobs = section.blobs().collect::<Vec<_>>();
    change(&mut blobs);
    let parts = MetaFileV3 {
        family: meta.family(),
        obsolete: &[],
        tables: &described.collect::<Vec<_>>(),
        kind: section.head().unwrap().kind(),
        commit: newest,
        live_metas: &section.listed_metas().unwrap().collect::<Vec<_>>(),
        blobs: &blobs,
        certificates: &[],
        extension: &blob_counts_field(counts.iter().copied()).unwrap(),
    };
    let (bytes, _) = parts.encode(crc32fast::hash).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A meta file that has a table's blob for another table: the next description would lose it.
#[test]
fn a_blob_that_belongs_to_another_table_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let mut publisher = Publisher::open(dir.path(), PublisherOptions::default()).unwrap();
    let mut commit = publisher.begin();
    for key in ["first", "second"] {
        let blob = commit.create_blob(key).unwrap();
        let mut table = commit.create_table(WriterOptions::default()).unwrap();
        table.add((key, EntryValue::Blob(blob))).unwrap();
        let table = table.finish().unwrap();
        commit.add_table(table).unwrap();
    }
    commit.publish(&Monitor::default()).unwrap();
    drop(publisher);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (counts, is_right) in
        [([1, 1], true), ([0, 0], true), ([1, 0], true), ([0, 2], false), ([0, 1], false)]
    {
        rewrite_with(dir.path(), &counts);
        let (options, monitor) = (ReaderOptions::default(), Monitor::default());
        let report = verify_directory(dir.path(), &options, &monitor).unwrap();
        assert_eq!(report.is_intact(), is_right, "{counts:?}: {report:?}");
        match second_decoder::exit_code(&root, dir.path()) {
            Some(code) => assert_eq!(code, if is_right { 0 } else { 2 }, "{counts:?}"),
            None => eprintln!("NOT RUN: the second decoder, since there is no Python"),
        }
    }
}

/// Two tables that share a blob may each have a record of it. Records that differ contradict one
/// another: a copy of the directory would not know how long the blob is.
#[test]
fn unequal_records_of_one_blob_are_damage() {
    for difference in [0, 1] {
        let dir = tempfile::tempdir().unwrap();
        let mut publisher = Publisher::open(dir.path(), PublisherOptions::default()).unwrap();
        let mut commit = publisher.begin();
        let blob = commit.create_blob("shared").unwrap();
        for key in ["first", "second"] {
            let mut table = commit.create_table(WriterOptions::default()).unwrap();
            table.add((key, EntryValue::Blob(blob))).unwrap();
            let table = table.finish().unwrap();
            commit.add_table(table).unwrap();
        }
        commit.publish(&Monitor::default()).unwrap();
        drop(publisher);
        rewrite_blobs(dir.path(), &[1, 1], |blobs| {
            let mut record = *blobs.first().unwrap();
            blobs.truncate(1);
            record.file_size += difference;
            blobs.push(record);
        });
        let (options, monitor) = (ReaderOptions::default(), Monitor::default());
        let report = verify_directory(dir.path(), &options, &monitor).unwrap();
        let is_it = |error: &ReadError| {
            let expected = Corruption::UnequalBlobs { blob };
            matches!(error, ReadError::Corrupt { cause, .. } if *cause == expected)
        };
        assert_eq!(report.is_intact(), difference == 0, "{report:?}");
        assert_eq!(report.damage.iter().any(is_it), difference != 0, "{report:?}");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        match second_decoder::exit_code(&root, dir.path()) {
            Some(code) => assert_eq!(code, if difference == 0 { 0 } else { 2 }),
            None => eprintln!("NOT RUN: the second decoder, since there is no Python"),
        }
    }
}
