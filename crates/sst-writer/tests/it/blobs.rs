//! The blobs of dead tables, as their meta files are described again.

use std::path::Path;

use sst_format::file_name::{FileKind, FileName};
use sst_format::meta_file::MetaFile;
use sst_format::{BlobNumber, SequenceNumber};
use sst_writer::publish::Commit;
use sst_writer::{EntryValue, Monitor, Publisher, PublisherOptions, WriterOptions};

use crate::published::{find, names};

fn open(directory: &Path) -> Publisher {
    let options = PublisherOptions::default()
        .file_system(std::sync::Arc::new(crate::test_file_system::TestFileSystem::default()));
    Publisher::open(directory, options).unwrap()
}

/// A directory in memory if the system has such a file system, because many files are synced.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Adds a table that refers to these blobs.
fn add_table(commit: &mut Commit<'_>, blobs: &[BlobNumber]) -> SequenceNumber {
    let mut table = commit.create_table(WriterOptions::default().multi_value(true)).unwrap();
    table.add(("key", EntryValue::Inline(b"value"))).unwrap();
    for blob in blobs {
        table.add(("key", EntryValue::Blob(*blob))).unwrap();
    }
    let table = table.finish().unwrap();
    let sequence = table.sequence();
    commit.add_table(table).unwrap();
    sequence
}

fn append(publisher: &mut Publisher) {
    let mut commit = publisher.begin();
    add_table(&mut commit, &[]);
    commit.publish(&Monitor::default()).unwrap();
}

fn make_obsolete(publisher: &mut Publisher, table: SequenceNumber) {
    let mut commit = publisher.begin();
    commit.obsolete(table).unwrap();
    commit.publish(&Monitor::default()).unwrap();
}

fn blobs(directory: &Path) -> Vec<String> {
    names(directory).into_iter().filter(|name| name.ends_with(".blob")).collect()
}

/// The numbers of the blobs in the list of the newest meta file, and how many belong to each table.
fn listed(directory: &Path, publisher: &Publisher) -> (Vec<u32>, Option<Vec<u32>>) {
    let newest = FileName { sequence: publisher.current().unwrap(), kind: FileKind::Meta };
    let bytes = std::fs::read(directory.join(newest.to_string())).unwrap();
    let meta = MetaFile::parse(&bytes, crc32fast::hash).unwrap();
    let section = meta.protection().unwrap();
    let numbers = section.blobs().map(|blob| blob.number.0).collect();
    (numbers, section.head().unwrap().blob_counts().map(Iterator::collect))
}

/// Two tables with two blobs, of which they share one; then the first table dies.
#[test]
fn a_blob_of_a_dead_table_is_gone_300_appends_later() {
    let directory = directory();
    let path = directory.path();
    let mut publisher = open(path);
    let mut commit = publisher.begin();
    let of_first = commit.create_blob(b"of the first table").unwrap();
    let of_both = commit.create_blob(b"of both").unwrap();
    let first = add_table(&mut commit, &[of_first, of_both]);
    let second = add_table(&mut commit, &[of_both]);
    commit.publish(&Monitor::default()).unwrap();
    let [gone, kept] = [of_first, of_both].map(|blob| blob.0);
    assert_eq!(listed(path, &publisher), (vec![gone, kept, kept], Some(vec![2, 1])));
    make_obsolete(&mut publisher, first);
    for _ in 0..300 {
        append(&mut publisher);
    }
    assert_eq!(blobs(path), [format!("{kept:08}.blob")]);
    let found = find(path);
    assert_eq!(found.blobs.iter().map(|blob| blob.number.0).collect::<Vec<_>>(), [kept]);
    assert!(found.tables.iter().any(|(_, table)| table.sequence == second));
    assert_eq!(found.tables.len(), 301);
    // The table itself was described again more than once since.
    drop(publisher);
    let publisher = open(path);
    assert_eq!(publisher.live_tables().count(), 301);
    assert_eq!(blobs(path), [format!("{kept:08}.blob")]);
}

/// A blob that is larger than all descriptions is worth writing them again at once.
#[test]
fn a_large_blob_of_a_dead_table_is_gone_at_the_next_commit() {
    let directory = directory();
    let path = directory.path();
    let mut publisher = open(path);
    let value: Vec<u8> =
        (0..100_000_u32).flat_map(|i| i.wrapping_mul(0x9e37_79b9).to_be_bytes()).collect();
    let mut commit = publisher.begin();
    let blob = commit.create_blob(&value).unwrap();
    let dies = add_table(&mut commit, &[blob]);
    for _ in 0..50 {
        add_table(&mut commit, &[]);
    }
    commit.publish(&Monitor::default()).unwrap();
    append(&mut publisher);
    assert_eq!(blobs(path).len(), 1);
    make_obsolete(&mut publisher, dies);
    assert!(blobs(path).is_empty());
    assert_eq!(publisher.live_tables().count(), 51);
    // No meta file says anything of the table any more.
    let (numbers, counts) = listed(path, &publisher);
    assert_eq!((numbers, counts), (vec![], None));
    assert_eq!(find(path).tables.len(), 51);
}
