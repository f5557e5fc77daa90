//! A directory is identified by its content, not by a number. If it is swapped for another,
//! restored from a copy or rebuilt, one refresh repairs a running reader, and no set mixes two
//! directories.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use sst_amqf::QuotientFilter;
use sst_format::SequenceNumber;
use sst_format::current::Current;
use sst_format::file_name::{CURRENT_FILE_NAME, FileKind, FileName};
use sst_format::meta_file::MetaFile;
use sst_format::meta_head::{CommitKind, HashRange, ListedMeta, MetaFileV3};
use sst_reader::{
    Access, LiveSet, Monitor, ReadError, ReaderOptions, SstSet, hash_key, verify_directory,
};
use sst_writer::{EntryValue, PublishError, Publisher, PublisherOptions, WriterOptions};

/// Keys that are divided between two tables.
const KEYS: [&str; 4] = ["apple", "pear", "plum", "quince"];

const ACCESS: [Access; 2] = [Access::Map, Access::Read];

fn options(access: Access) -> ReaderOptions {
    ReaderOptions::default().filter(QuotientFilter::default()).access(access)
}

/// Publishes a commit of two tables in which every key has the value `value`.
fn publish(dir: &Path, value: &str) {
    let mut publisher = Publisher::open(dir, PublisherOptions::default()).unwrap();
    let mut commit = publisher.begin();
    let mut keys = KEYS;
    keys.sort_by_key(|key| hash_key(key.as_bytes()));
    for keys in keys.chunks(2) {
        let options = WriterOptions::default().filter(QuotientFilter::default());
        let mut table = commit.create_table(options).unwrap();
        for key in keys {
            table.add((*key, EntryValue::Small(value.as_bytes()))).unwrap();
        }
        let table = table.finish().unwrap();
        commit.add_table(table).unwrap();
    }
    commit.prepare().unwrap().publish(&Monitor::default()).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// Turns a directory into the form that the original would have written.
fn strip_protection(dir: &Path) {
    let current = Current::parse(&fs::read(dir.join(CURRENT_FILE_NAME)).unwrap(), crc32fast::hash);
    let sequence = current.unwrap().sequence;
    let path = dir.join(FileName { sequence, kind: FileKind::Meta }.to_string());
    let mut bytes = fs::read(&path).unwrap();
    let end = MetaFile::parse(&bytes, crc32fast::hash).unwrap().used_keys_range().end;
    bytes.truncate(end);
    fs::write(&path, bytes).unwrap();
    fs::write(dir.join(CURRENT_FILE_NAME), sequence.0.to_be_bytes()).unwrap();
}

/// Turns a directory into the form in which the original leaves it when it has deleted files: the
/// commit that did so has a `.del` file and no meta file.
fn strip_protection_and_delete(dir: &Path) {
    strip_protection(dir);
    let current = fs::read(dir.join(CURRENT_FILE_NAME)).unwrap();
    let current = Current::parse(&current, crc32fast::hash).unwrap().sequence;
    let deletion = SequenceNumber(current.0 + 1);
    let del = FileName { sequence: deletion, kind: FileKind::Del };
    fs::write(dir.join(del.to_string()), 999_u32.to_be_bytes()).unwrap();
    fs::write(dir.join(CURRENT_FILE_NAME), deletion.0.to_be_bytes()).unwrap();
}

fn assert_all(live: &LiveSet, value: &str) {
    for key in KEYS {
        assert_eq!(live.get(key).unwrap().as_deref(), Some(value.as_bytes()), "{key}");
    }
}

/// Checks the answers of a snapshot after its directory was replaced by another: each is the old
/// value, or the error that the snapshot is outdated.
fn assert_outdated_or(set: &SstSet, value: &str) {
    let is_outdated = |error: &ReadError| matches!(error, ReadError::Outdated { .. });
    for key in KEYS {
        match set.get(key) {
            Ok(found) => assert_eq!(found.as_deref(), Some(value.as_bytes()), "{key}"),
            Err(error) => assert!(is_outdated(&error), "{key}: {error}"),
        }
    }
    for entry in set.iter() {
        match entry {
            Ok(entry) => {
                let is_it = matches!(&entry.value, sst_reader::ReadValue::Value(found)
                    if found.as_ref() == value.as_bytes());
                assert!(is_it, "{:?}", entry.value);
            }
            Err(error) => assert!(is_outdated(&error), "{error}"),
        }
    }
}

/// Opens `live` and looks up some keys. Then `replace` puts a directory with the value "new" in its
/// place, and all keys are looked up.
fn heals(live: &Path, replace: impl Fn(), access: Access, first_keys: &[&str]) {
    let set = LiveSet::open(live, &options(access)).unwrap();
    for key in first_keys {
        assert_eq!(set.get(key).unwrap().as_deref(), Some(&b"old"[..]));
    }
    let before = set.snapshot();
    replace();
    assert_outdated_or(&before, "old");
    assert!(set.refresh().unwrap(), "another commit is noticed");
    assert_all(&set, "new");
    assert!(!set.refresh().unwrap(), "the same one is not another");
    let report = verify_directory(live, &options(access), &Monitor::default()).unwrap();
    assert!(report.is_intact(), "{report:?}");
}

/// Runs a test for every kind of access; with no, one and all tables open when the directory
/// changes; for protected and unprotected directories.
fn in_all_ways(test: impl Fn(Access, &[&str], &dyn Fn(&Path))) {
    for access in ACCESS {
        for count in [0, 1, KEYS.len()] {
            let ways: [&dyn Fn(&Path); 3] =
                [&|_| {}, &strip_protection, &strip_protection_and_delete];
            for prepare in ways {
                test(access, KEYS.get(..count).unwrap(), prepare);
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn a_directory_that_was_swapped_by_a_symlink_is_noticed() {
    in_all_ways(|access, keys, prepare| {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        for (name, value) in [("a", "old"), ("b", "new")] {
            publish(&at(name), value);
            prepare(&at(name));
        }
        std::os::unix::fs::symlink("a", at("live")).unwrap();
        let swap = || {
            std::os::unix::fs::symlink("b", at("next")).unwrap();
            fs::rename(at("next"), at("live")).unwrap();
        };
        heals(&at("live"), swap, access, keys);
    });
}

#[test]
fn a_directory_that_was_rebuilt_with_the_same_number_and_sizes_is_noticed() {
    in_all_ways(|access, keys, prepare| {
        let scratch = tempfile::tempdir().unwrap();
        let live = scratch.path().join("live");
        publish(&live, "old");
        prepare(&live);
        let rebuild = || {
            fs::remove_dir_all(&live).unwrap();
            publish(&live, "new");
            prepare(&live);
        };
        heals(&live, rebuild, access, keys);
    });
}

#[test]
fn a_directory_that_was_restored_from_an_older_copy_is_noticed() {
    for access in ACCESS {
        let scratch = tempfile::tempdir().unwrap();
        let (live, backup) = (scratch.path().join("live"), scratch.path().join("backup"));
        publish(&live, "new");
        copy(&live, &backup);
        publish(&live, "mid");
        publish(&live, "old");
        let restore = || {
            fs::remove_dir_all(&live).unwrap();
            copy(&backup, &live);
        };
        heals(&live, restore, access, &KEYS);
    }
}

#[test]
fn a_commit_of_the_original_that_only_deleted_files_has_an_identity() {
    let scratch = tempfile::tempdir().unwrap();
    let mut identities = Vec::new();
    for value in ["old", "new"] {
        let dir = scratch.path().join(value);
        publish(&dir, value);
        strip_protection_and_delete(&dir);
        let set = SstSet::open(&dir, &options(Access::Read)).unwrap();
        identities.push(set.catalog().identity().unwrap());
        assert!(set.refresh().unwrap().is_none());
    }
    // Both have the same tables but for their values, and so the same meta file.
    assert_eq!(identities[0], identities[1]);
    // The data that the system has of the files makes the difference.
    let live = scratch.path().join("live");
    fs::rename(scratch.path().join("old"), &live).unwrap();
    let set = SstSet::open(&live, &options(Access::Read)).unwrap();
    fs::rename(&live, scratch.path().join("old")).unwrap();
    fs::rename(scratch.path().join("new"), &live).unwrap();
    let refreshed = set.refresh().unwrap().unwrap();
    assert_eq!(refreshed.get("apple").unwrap().as_deref(), Some(&b"new"[..]));
}

/// A meta file without tables whose commit is of the kind `kind`, and its checksum.
fn meta_file_of_kind(kind: u32) -> (Vec<u8>, u32) {
    let sequence = SequenceNumber(1);
    let hashes = HashRange::EMPTY;
    let parts = MetaFileV3 {
        family: 0,
        obsolete: &[],
        tables: &[],
        kind: CommitKind::from_number(kind),
        commit: sequence,
        live_metas: &[ListedMeta { sequence, checksum: 0, family: 0, hashes }],
        blobs: &[],
        certificates: &[],
        extension: &[],
    };
    parts.encode(crc32fast::hash).unwrap()
}

#[test]
fn commits_that_differ_in_their_core_only_are_told_apart() {
    // The checksum in the trailer has 2^16 values for them: two of these are sure to have the same.
    let mut known = HashMap::new();
    let (one, other) = (0..=1 << 16)
        .find_map(|kind| {
            let (bytes, checksum) = meta_file_of_kind(kind);
            known.insert(checksum, bytes.clone()).map(|before| (before, bytes))
        })
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("00000001.meta");
    let current = Current::encode(SequenceNumber(1), crc32fast::hash);
    fs::write(dir.path().join(CURRENT_FILE_NAME), current).unwrap();
    fs::write(&path, one).unwrap();
    let set = SstSet::open(dir.path(), &options(Access::Read)).unwrap();
    assert!(set.refresh().unwrap().is_none());
    let mut publisher = Publisher::open(dir.path(), PublisherOptions::default()).unwrap();
    fs::write(&path, other).unwrap();
    let refreshed = set.refresh().unwrap().unwrap();
    assert_ne!(set.catalog().identity(), refreshed.catalog().identity());
    assert_ne!(set.catalog().kind, refreshed.catalog().kind);
    let mut commit = publisher.begin();
    let mut table = commit.create_table(WriterOptions::default()).unwrap();
    table.add(("key", EntryValue::Small(b"value"))).unwrap();
    let table = table.finish().unwrap();
    commit.add_table(table).unwrap();
    assert!(matches!(commit.publish(&Monitor::default()), Err(PublishError::Changed { .. })));
}

#[test]
fn a_table_that_both_commits_have_stays_open() {
    let scratch = tempfile::tempdir().unwrap();
    publish(scratch.path(), "old");
    let live = LiveSet::open(scratch.path(), &options(Access::Map)).unwrap();
    assert_all(&live, "old");
    let mut publisher = Publisher::open(scratch.path(), PublisherOptions::default()).unwrap();
    let mut commit = publisher.begin();
    let mut table = commit.create_table(WriterOptions::default()).unwrap();
    table.add(("another", EntryValue::Small(b"value"))).unwrap();
    let table = table.finish().unwrap();
    commit.add_table(table).unwrap();
    commit.prepare().unwrap().publish(&Monitor::default()).unwrap();
    let held = live.snapshot().catalog().bytes_read();
    assert!(live.refresh().unwrap());
    let set = live.snapshot();
    assert_eq!(set.open_table_count(), 2);
    assert_eq!(set.tables().count(), 3);
    assert!(set.catalog().bytes_read() > held);
}
