//! Directories: the files that commits leave on disk.

use std::collections::BTreeSet;
use std::fs;

use sst_format::{BlobNumber, SequenceNumber};
use sst_writer::publish::FinishedTable;
use sst_writer::{EntryValue, Monitor, PublishError, Publisher, PublisherOptions, WriterOptions};

use crate::published::{commit, find, live, names, open, table};

#[test]
fn commits_follow_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mut publisher = open(path);
    assert_eq!(publisher.current(), None);
    assert_eq!(commit(&mut publisher, 2, false), [SequenceNumber(1), SequenceNumber(2)]);
    commit(&mut publisher, 1, false);
    let expected =
        ["00000001.sst", "00000002.sst", "00000003.meta", "00000004.sst", "00000005.meta"];
    assert_eq!(names(path), [&expected[..], &["CURRENT"]].concat());
    let found = find(path);
    assert_eq!(found.metas, [3, 5]);
    assert_eq!(live(&publisher), [1, 2, 4].map(SequenceNumber));

    // The tables of the first commit become dead one after the other. Its meta file is removed with
    // the last.
    let mut third = publisher.begin();
    third.obsolete(SequenceNumber(1)).unwrap();
    assert_eq!(third.publish(&Monitor::default()).unwrap().commit, SequenceNumber(6));
    assert_eq!((find(path).metas, find(path).obsolete_in_newest), (vec![3, 5, 6], vec![1]));
    assert!(!path.join("00000001.sst").exists());

    // The list of obsolete tables also names tables that became dead earlier, because the meta file
    // that named them first is no longer live.
    drop(publisher);
    let mut publisher = open(path);
    commit(&mut publisher, 1, false);
    assert_eq!((find(path).metas, find(path).obsolete_in_newest), (vec![3, 5, 8], vec![1]));
    assert_eq!(live(&publisher), [2, 4, 7].map(SequenceNumber));

    commit(&mut publisher, 1, true);
    assert_eq!(find(path).metas, [10]);
    assert_eq!(names(path), ["00000009.sst", "00000010.meta", "CURRENT"]);
    commit(&mut publisher, 1, false);
    assert_eq!(find(path).obsolete_in_newest, [0; 0]);
    assert_eq!(live(&publisher), [9, 11].map(SequenceNumber));
    drop(publisher);
    assert_eq!(live(&open(path)), [9, 11].map(SequenceNumber));
}

#[test]
fn commit_that_is_dropped_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut publisher = open(directory.path());
    commit(&mut publisher, 1, false);
    let before = names(directory.path());
    let mut dropped = publisher.begin();
    dropped.create_blob(b"blob").unwrap();
    let finished = table(&dropped, EntryValue::Deleted);
    let unfinished = dropped.create_table(WriterOptions::default()).unwrap();
    dropped.add_table(finished.clone()).unwrap();
    drop(dropped);
    let sequence = unfinished.sequence();
    match unfinished.finish().unwrap_err() {
        PublishError::CommitEnded { table } => assert_eq!(table, sequence),
        error => panic!("{error}"),
    }
    assert_eq!(names(directory.path()), before);
    let mut next = publisher.begin();
    let error = next.add_table(finished).unwrap_err();
    assert!(matches!(error, PublishError::ForeignTable { .. }));
}

#[test]
fn tables_that_are_not_added_and_blobs_without_a_table_go() {
    let directory = tempfile::tempdir().unwrap();
    let mut publisher = open(directory.path());
    let mut commit = publisher.begin();
    let used = commit.create_blob(b"used").unwrap();
    commit.create_blob(b"unused").unwrap();
    _ = table(&commit, EntryValue::Deleted);
    let added = table(&commit, EntryValue::Blob(used));
    let late = commit.create_table(WriterOptions::default()).unwrap();
    commit.add_table(added.clone()).unwrap();
    let error = commit.add_table(added).unwrap_err();
    assert!(matches!(error, PublishError::ForeignTable { .. }));
    commit.publish(&Monitor::default()).unwrap();
    late.finish().unwrap_err();
    let expected = ["00000001.blob", "00000004.sst", "00000006.meta", "CURRENT"];
    assert_eq!(names(directory.path()), expected);
    assert_eq!(find(directory.path()).blobs.len(), 1);
}

#[test]
fn blobs_must_be_known() {
    let directory = tempfile::tempdir().unwrap();
    let mut publisher = open(directory.path());
    let mut first = publisher.begin();
    let blob = first.create_blob([1; 10_000]).unwrap();
    let with_blob = table(&first, EntryValue::Blob(blob));
    assert_eq!(with_blob.blobs(), [blob]);
    first.add_table(with_blob).unwrap();
    first.publish(&Monitor::default()).unwrap();

    // A later table may refer to the blob, which then stays when the earlier table is removed.
    let mut second = publisher.begin();
    second.replace_all();
    second.add_table(table(&second, EntryValue::Blob(blob))).unwrap();
    second.publish(&Monitor::default()).unwrap();
    assert_eq!(find(directory.path()).blobs.len(), 1);
    drop(publisher);

    let mut publisher = open(directory.path());
    let before = names(directory.path());
    let mut third = publisher.begin();
    third.add_table(table(&third, EntryValue::Blob(BlobNumber(99)))).unwrap();
    match third.publish(&Monitor::default()).unwrap_err() {
        PublishError::UnknownBlob { blob, .. } => assert_eq!(blob, BlobNumber(99)),
        error => panic!("{error}"),
    }
    assert_eq!(names(directory.path()), before);
    commit(&mut publisher, 1, true);
    assert!(!directory.path().join(format!("{:08}.blob", blob.0)).exists());
}

#[test]
fn families_keep_to_themselves() {
    let directory = tempfile::tempdir().unwrap();
    let mut publisher = open(directory.path());
    commit(&mut publisher, 1, false);
    let mut other = publisher.begin_family(7);
    other.replace_all();
    match other.obsolete(SequenceNumber(1)).unwrap_err() {
        PublishError::NotLive { table, family: 7 } => assert_eq!(table, SequenceNumber(1)),
        error => panic!("{error}"),
    }
    other.add_table(table(&other, EntryValue::Deleted)).unwrap();
    other.publish(&Monitor::default()).unwrap();
    let families: Vec<_> =
        find(directory.path()).tables.iter().map(|(family, _)| *family).collect();
    assert_eq!(families, [0, 7]);
    assert!(publisher.begin().obsolete(SequenceNumber(99)).is_err());
}

#[test]
fn tables_are_written_by_several_threads() {
    let directory = tempfile::tempdir().unwrap();
    let mut publisher = open(directory.path());
    let mut commit = publisher.begin();
    let tables: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| table(&commit, EntryValue::Deleted))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let numbers: BTreeSet<_> = tables.iter().map(|table| table.sequence().0).collect();
    assert_eq!(numbers, (1..5).collect());
    let order: Vec<_> = tables.iter().rev().map(FinishedTable::sequence).collect();
    tables.into_iter().rev().for_each(|table| commit.add_table(table).unwrap());
    commit.publish(&Monitor::default()).unwrap();
    // In the order in which they were added, which is not that of their numbers.
    let found: Vec<_> = find(directory.path()).tables.iter().map(|(_, t)| t.sequence).collect();
    assert_eq!(found, order);
}

#[test]
fn directory_is_created_unless_told_not_to() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("a/b");
    let options = PublisherOptions::default().create_directory(false);
    assert!(matches!(Publisher::open(&path, options).unwrap_err(), PublishError::File(_)));
    assert!(!path.exists());
    open(&path);
    assert!(path.is_dir());
}

#[test]
fn leftovers_are_removed_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    commit(&mut open(path), 1, false);
    let before = names(path);
    // No meta file tells whose a blob below `CURRENT` is.
    let foreign = ["notes.txt", "x.tmp", ".sst-notes", "1.sst", "00000001.blob"];
    let leftovers = [
        ".sst-a1b2-tmp",
        ".sst-c3d4.tmp",
        "00000003.sst",
        "00000004.meta",
        "00000005.blob",
        "00000001.meta",
    ];
    for name in foreign.iter().chain(&leftovers) {
        fs::write(path.join(name), "anything").unwrap();
    }
    let options = PublisherOptions::default().keep_obsolete_files(true);
    let mut publisher = Publisher::open(path, options).unwrap();
    assert!(publisher.remove_obsolete_files().unwrap().is_empty());
    drop(publisher);
    assert!(path.join("00000001.meta").exists());
    assert!(!path.join("00000003.sst").exists());
    assert!(open(path).remove_obsolete_files().unwrap().is_empty());
    let left: BTreeSet<_> = names(path).into_iter().collect();
    assert_eq!(left, before.into_iter().chain(foreign.map(str::to_owned)).collect());
}

#[test]
fn obsolete_files_are_kept_if_told_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let options = || PublisherOptions::default().keep_obsolete_files(true);
    let mut publisher = Publisher::open(path, options()).unwrap();
    commit(&mut publisher, 1, false);
    commit(&mut publisher, 1, true);
    assert_eq!(find(path).metas, [4]);
    drop(publisher);
    let mut publisher = Publisher::open(path, options()).unwrap();
    assert!(publisher.remove_obsolete_files().unwrap().is_empty());
    assert_eq!(names(path).len(), 5);
    drop(publisher);
    // A publisher without that option removes them.
    assert!(open(path).remove_obsolete_files().unwrap().is_empty());
    assert_eq!(names(path), ["00000003.sst", "00000004.meta", "CURRENT"]);
}
