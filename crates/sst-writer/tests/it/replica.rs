//! Directories that receive the commits of others.

use std::fs;
use std::path::Path;

use sst_format::SequenceNumber;
use sst_format::file_name::{FileKind, FileName};
use sst_format::protection::Trailer;
use sst_writer::publish::Replica;
use sst_writer::{EntryValue, Monitor, PublishError, Publisher, PublisherOptions};

use crate::published::{commit, find, find_as_original, live, names, open, table};

fn replica(directory: &Path) -> Replica {
    Replica::open(directory, &PublisherOptions::default()).unwrap()
}

/// Copies a file of `origin`, unless it is there.
fn receive(replica: &Replica, origin: &Path, name: FileName) {
    let to = replica.directory().join(name.to_string());
    if !to.exists() {
        let mut file = replica.create(name).unwrap();
        file.write(fs::read(origin.join(name.to_string())).unwrap()).unwrap();
        assert!(!to.exists());
        file.finish().unwrap();
    }
}

/// Copies all files of `origin` but `CURRENT`.
fn receive_all(replica: &Replica, origin: &Path) {
    for name in names(origin).iter().filter_map(|name| FileName::parse(name)) {
        receive(replica, origin, name);
    }
}

/// The newest commit of a directory: the number of its meta file, and its checksum.
fn newest(origin: &Path) -> (SequenceNumber, u32) {
    let sequence = open(origin).current().unwrap();
    let name = FileName { sequence, kind: FileKind::Meta };
    let bytes = fs::read(origin.join(name.to_string())).unwrap();
    (sequence, Trailer::parse(&bytes).unwrap().checksum)
}

#[test]
fn a_received_commit_is_the_same_set_of_files() {
    let parent = tempfile::tempdir().unwrap();
    let (origin, copy) = (parent.path().join("origin"), parent.path().join("copy"));
    let mut publisher = open(&origin);
    commit(&mut publisher, 2, false);
    let mut large = publisher.begin();
    let blob = large.create_blob([7; 100_000]).unwrap();
    let with_blob = table(&large, EntryValue::Blob(blob));
    large.add_table(with_blob).unwrap();
    large.publish(&Monitor::default()).unwrap();
    drop(publisher);
    let (sequence, checksum) = newest(&origin);
    let mut received = replica(&copy);
    assert_eq!(received.current(), None);
    receive_all(&received, &origin);
    assert!(!copy.join("CURRENT").exists());
    received.publish(sequence, checksum).unwrap();
    assert_eq!(received.current(), Some(sequence));
    drop(received);
    assert_eq!(names(&copy), names(&origin));
    for name in names(&origin) {
        assert_eq!(fs::read(copy.join(&name)).unwrap(), fs::read(origin.join(&name)).unwrap());
    }
    assert_eq!(live(&open(&copy)), live(&open(&origin)));
}

#[test]
fn files_stay_for_the_next_replica_until_a_publisher_finds_them() {
    let parent = tempfile::tempdir().unwrap();
    let (origin, copy) = (parent.path().join("origin"), parent.path().join("copy"));
    commit(&mut open(&origin), 2, false);
    receive_all(&replica(&copy), &origin);
    let mut resumed = replica(&copy);
    assert_eq!(resumed.present().unwrap().len(), 3);
    let (sequence, checksum) = newest(&origin);
    resumed.publish(sequence, checksum).unwrap();
    drop(resumed);
    commit(&mut open(&origin), 1, true);
    receive_all(&replica(&copy), &origin);
    let not_removed = replica(&copy).tidy(PublisherOptions::default()).unwrap();
    assert!(not_removed.is_empty());
    let names = names(&copy);
    assert_eq!(names, ["00000001.sst", "00000002.sst", "00000003.meta", "CURRENT"]);
}

#[test]
fn a_file_that_was_begun_goes_when_the_next_replica_opens() {
    let parent = tempfile::tempdir().unwrap();
    let (origin, copy) = (parent.path().join("origin"), parent.path().join("copy"));
    commit(&mut open(&origin), 1, false);
    let killed = replica(&copy);
    receive(&killed, &origin, FileName { sequence: SequenceNumber(2), kind: FileKind::Meta });
    let mut begun =
        killed.create(FileName { sequence: SequenceNumber(1), kind: FileKind::Sst }).unwrap();
    begun.write("begun").unwrap();
    // As if the process were killed: the file is not removed.
    std::mem::forget(begun);
    drop(killed);
    assert!(names(&copy).iter().any(|name| name.ends_with("-tmp")));
    drop(replica(&copy));
    let left: Vec<_> = names(&copy).into_iter().filter(|name| !name.starts_with('.')).collect();
    assert_eq!(left, ["00000002.meta"]);
    assert!(!names(&copy).iter().any(|name| name.ends_with("-tmp")));
}

#[test]
fn a_commit_that_is_not_whole_does_not_become_visible() {
    let parent = tempfile::tempdir().unwrap();
    let (origin, copy) = (parent.path().join("origin"), parent.path().join("copy"));
    commit(&mut open(&origin), 2, false);
    let (sequence, checksum) = newest(&origin);
    let name = |number, kind| FileName { sequence: SequenceNumber(number), kind };
    let mut received = replica(&copy);
    let missing = received.publish(sequence, checksum).unwrap_err();
    assert!(matches!(missing, PublishError::MissingMeta { .. }));
    receive(&received, &origin, name(3, FileKind::Meta));
    receive(&received, &origin, name(1, FileKind::Sst));
    let missing = received.publish(sequence, checksum).unwrap_err();
    assert!(matches!(missing, PublishError::File(_)));
    let mut short = received.create(name(2, FileKind::Sst)).unwrap();
    short.write("short").unwrap();
    short.finish().unwrap();
    let short = received.publish(sequence, checksum).unwrap_err();
    assert!(matches!(short, PublishError::NotAsWritten { .. }));
    fs::remove_file(copy.join("00000002.sst")).unwrap();
    receive(&received, &origin, name(2, FileKind::Sst));
    let other = received.publish(sequence, checksum ^ 1).unwrap_err();
    assert!(matches!(other, PublishError::BrokenChain { .. }));
    assert!(!copy.join("CURRENT").exists());
    received.publish(sequence, checksum).unwrap();
    let needed = received.create(name(2, FileKind::Sst)).unwrap_err();
    assert!(matches!(needed, PublishError::Needed { .. }));
}

#[test]
fn a_replica_is_the_only_writer_of_its_directory() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("copy");
    let received = replica(&directory);
    let options = PublisherOptions::default();
    let locked = Publisher::open(&directory, options.clone()).unwrap_err();
    assert!(matches!(locked, PublishError::Locked { .. }));
    drop(received);
    fs::write(directory.join("00000001.sst"), "of a directory that has lost its CURRENT").unwrap();
    let lost = Replica::open(&directory, &options).unwrap_err();
    assert!(matches!(lost, PublishError::MissingCurrent { .. }));
}

#[test]
fn meta_files_that_are_not_live_are_hidden_from_the_original() {
    let parent = tempfile::tempdir().unwrap();
    let (origin, copy) = (parent.path().join("origin"), parent.path().join("copy"));
    commit(&mut open(&origin), 1, false);
    let (first, checksum) = newest(&origin);
    let mut received = replica(&copy);
    receive_all(&received, &origin);
    received.publish(first, checksum).unwrap();
    // Two commits later, nothing in the newest meta file tells that the first is obsolete.
    commit(&mut open(&origin), 1, true);
    commit(&mut open(&origin), 1, true);
    let (last, checksum) = newest(&origin);
    receive_all(&received, &origin);
    received.publish(last, checksum).unwrap();
    let del = fs::read(copy.join(format!("{:08}.del", last.0))).unwrap();
    assert_eq!(del, first.0.to_be_bytes());
    // Without the file of the first commit there is nothing to hide, so no such file is left.
    drop(received);
    replica(&copy).tidy(PublisherOptions::default()).unwrap();
    commit(&mut open(&copy), 1, false);
    assert!(names(&copy).iter().all(|name| !name.ends_with(".del")));
}

/// The original's writer removes the meta files that a `.del` file names. An earlier commit that is
/// kept needs its own.
#[test]
fn kept_commits_that_hide_nothing_are_not_named() {
    let parent = tempfile::tempdir().unwrap();
    let (origin, copy) = (parent.path().join("origin"), parent.path().join("copy"));
    let mut received = replica(&copy);
    for replace in [false, true] {
        commit(&mut open(&origin), 1, replace);
        let (sequence, checksum) = newest(&origin);
        receive_all(&received, &origin);
        received.publish(sequence, checksum).unwrap();
    }
    received.tidy(PublisherOptions::default().keep_generations(1)).unwrap();
    let names = names(&copy);
    assert_eq!(names.iter().filter(|name| name.ends_with(".meta")).count(), 2);
    assert!(names.iter().all(|name| !name.ends_with(".del")), "{names:?}");
}

/// After a rollback and another one forward, an older `.del` file would name a live meta file.
#[test]
fn no_del_file_names_a_meta_file_that_is_live_again() {
    let parent = tempfile::tempdir().unwrap();
    let (origin, copy) = (parent.path().join("origin"), parent.path().join("copy"));
    let options = PublisherOptions::default().keep_generations(9);
    let mut publisher = Publisher::open(&origin, options).unwrap();
    let mut received = replica(&copy);
    commit(&mut publisher, 1, false);
    let first = publisher.current();
    commit(&mut publisher, 1, true);
    let second = publisher.current();
    for to in [None, first, second] {
        if to.is_some() {
            publisher.rollback(to, &Monitor::default()).unwrap();
        }
        let sequence = publisher.current().unwrap();
        let meta = FileName { sequence, kind: FileKind::Meta }.to_string();
        let meta = fs::read(origin.join(meta)).unwrap();
        let found = find(&origin);
        let metas = found.metas.iter().map(|meta| (*meta, FileKind::Meta));
        let tables = found.tables.iter().map(|(_, table)| (table.sequence.0, FileKind::Sst));
        for (number, kind) in tables.chain(metas) {
            receive(&received, &origin, FileName { sequence: SequenceNumber(number), kind });
        }
        received.publish(sequence, Trailer::parse(&meta).unwrap().checksum).unwrap();
        let (_, deleted) = find_as_original(&copy);
        assert!(find(&copy).metas.iter().all(|meta| !deleted.contains(meta)), "{deleted:?}");
    }
}
