//! Directories: the files that a commit leaves on disk, and the commits that are refused.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use sst_format::current::Current;
use sst_format::file_name::{FileKind, FileName};
use sst_format::filter::FilterBytes;
use sst_format::meta_file::{MetaFile, MetaFileParts, TableRecord};
use sst_format::protection::{BlobRecord, LiveMeta};
use sst_format::{BlobNumber, FormatError, SequenceNumber, SstMeta, TableProtection};
use sst_writer::publish::{FinishedTable, LOCK_FILE_NAME};
use sst_writer::{Commit, EntryValue, PublishError, Publisher, PublisherOptions, WriterOptions};

fn open(directory: &Path) -> Publisher {
    Publisher::open(directory, PublisherOptions::default()).unwrap()
}

fn refused(directory: &Path) -> PublishError {
    let before = names(directory);
    let error = Publisher::open(directory, PublisherOptions::default()).unwrap_err();
    let locked = [before, vec![LOCK_FILE_NAME.to_owned()]].concat();
    assert!(locked.iter().all(|name| directory.join(name).exists()));
    error
}

/// The names of the files in a directory, except the lock.
fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != LOCK_FILE_NAME)
        .collect();
    names.sort();
    names
}

/// Writes a table with one entry.
fn table(commit: &Commit<'_>, value: EntryValue<'_>) -> FinishedTable {
    let mut table = commit.create_table(WriterOptions::default()).unwrap();
    table.add(("key", value)).unwrap();
    table.finish().unwrap()
}

/// Publishes a commit of `tables` tables. With `replace` they replace all earlier ones.
fn commit(publisher: &mut Publisher, tables: usize, replace: bool) -> Vec<SequenceNumber> {
    let mut commit = publisher.begin();
    if replace {
        commit.replace_all();
    }
    let mut sequences = Vec::new();
    for _ in 0..tables {
        let table = table(&commit, EntryValue::Inline(b"value"));
        sequences.push(table.sequence());
        commit.add_table(table).unwrap();
    }
    commit.publish().unwrap();
    sequences
}

fn live(publisher: &Publisher) -> Vec<SequenceNumber> {
    publisher.live_tables().map(|(_, table)| table.sequence).collect()
}

/// The state of a directory as a reader finds it: only through `CURRENT` and the list of live meta
/// files.
#[derive(Debug)]
struct Found {
    metas: Vec<u32>,
    obsolete_in_newest: Vec<u32>,
    /// Live tables with their family, oldest first.
    tables: Vec<(u32, TableRecord)>,
    blobs: Vec<BlobRecord>,
}

fn find(directory: &Path) -> Found {
    let read = |sequence| {
        let name = FileName { sequence, kind: FileKind::Meta };
        fs::read(directory.join(name.to_string())).unwrap()
    };
    let current = fs::read(directory.join("CURRENT")).unwrap();
    let current = Current::parse(&current, crc32fast::hash).unwrap();
    assert!(current.is_protected);
    let newest = read(current.sequence);
    let newest = MetaFile::parse(&newest, crc32fast::hash).unwrap();
    let listed: Vec<LiveMeta> = newest.protection().unwrap().live_metas().collect();
    assert!(listed.is_sorted_by_key(|meta| meta.sequence));
    assert_eq!(listed.last().unwrap(), &LiveMeta { sequence: current.sequence, checksum: 0 });
    let obsolete: BTreeSet<_> = newest.obsolete().collect();
    let mut found = Found {
        metas: Vec::new(),
        obsolete_in_newest: obsolete.iter().map(|sequence| sequence.0).collect(),
        tables: Vec::new(),
        blobs: Vec::new(),
    };
    for meta in listed {
        let bytes = read(meta.sequence);
        let file = MetaFile::parse(&bytes, crc32fast::hash).unwrap();
        let protection = file.protection().unwrap();
        assert!(meta.checksum == protection.checksum() || meta.sequence == current.sequence);
        found.metas.push(meta.sequence.0);
        found.blobs.extend(protection.blobs());
        let live = file.tables().filter(|table| !obsolete.contains(&table.sequence));
        let live: Vec<_> = live.map(|table| (file.family(), table)).collect();
        // Only the newest meta file may have no live table.
        assert!(!live.is_empty() || meta.sequence == current.sequence);
        found.tables.extend(live);
    }
    for (_, table) in &found.tables {
        let name = FileName { sequence: table.sequence, kind: FileKind::Sst }.to_string();
        assert_eq!(fs::metadata(directory.join(name)).unwrap().len(), table.file_size);
    }
    for blob in &found.blobs {
        let sequence = SequenceNumber(blob.number.0);
        let name = FileName { sequence, kind: FileKind::Blob }.to_string();
        let bytes = fs::read(directory.join(name)).unwrap();
        assert_eq!(bytes.len() as u64, blob.file_size);
        assert!(blob.header.matches(&bytes, 0));
        assert_eq!(crc32fast::hash(&bytes[8..]), blob.header.checksum);
    }
    found
}

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
    assert_eq!(third.publish().unwrap().sequence, SequenceNumber(6));
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
    let added = table(&commit, EntryValue::Large { blob: used });
    let late = commit.create_table(WriterOptions::default()).unwrap();
    commit.add_table(added.clone()).unwrap();
    let error = commit.add_table(added).unwrap_err();
    assert!(matches!(error, PublishError::ForeignTable { .. }));
    commit.publish().unwrap();
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
    let with_blob = table(&first, EntryValue::Large { blob });
    assert_eq!(with_blob.blobs(), [blob]);
    first.add_table(with_blob).unwrap();
    first.publish().unwrap();

    // A later table may refer to the blob, which then stays when the earlier table is removed.
    let mut second = publisher.begin();
    second.replace_all();
    second.add_table(table(&second, EntryValue::Large { blob })).unwrap();
    second.publish().unwrap();
    assert_eq!(find(directory.path()).blobs.len(), 1);
    drop(publisher);

    let mut publisher = open(directory.path());
    let before = names(directory.path());
    let mut third = publisher.begin();
    third.add_table(table(&third, EntryValue::Large { blob: BlobNumber(99) })).unwrap();
    match third.publish().unwrap_err() {
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
    other.publish().unwrap();
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
    commit.publish().unwrap();
    // In the order in which they were added, which is not that of their numbers.
    let found: Vec<_> = find(directory.path()).tables.iter().map(|(_, t)| t.sequence).collect();
    assert_eq!(found, order);
}

#[test]
fn one_publisher_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let publisher = open(directory.path());
    match refused(directory.path()) {
        PublishError::Locked { directory: named, holder } => {
            assert_eq!(named, directory.path());
            // On Windows a locked file cannot be read.
            if cfg!(unix) {
                assert_eq!(holder.unwrap().process, std::process::id());
            }
        }
        error => panic!("{error}"),
    }
    drop(publisher);
    open(directory.path());
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
    let foreign = ["notes.txt", "x.tmp", ".sst-notes", "1.sst"];
    let leftovers =
        [".sst-a1b2.tmp", "00000003.sst", "00000004.meta", "00000005.blob", "00000001.blob"];
    for name in foreign.iter().chain(&leftovers) {
        fs::write(path.join(name), "anything").unwrap();
    }
    let options = PublisherOptions::default().keep_obsolete_files(true);
    drop(Publisher::open(path, options).unwrap());
    assert!(path.join("00000001.blob").exists());
    assert!(!path.join("00000003.sst").exists());
    drop(open(path));
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
    drop(Publisher::open(path, options()).unwrap());
    assert_eq!(names(path).len(), 5);
    // A publisher without that option removes them.
    drop(open(path));
    assert_eq!(names(path), ["00000003.sst", "00000004.meta", "CURRENT"]);
}

#[test]
fn directories_of_others_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let current = path.join("CURRENT");
    fs::write(path.join("00000003.sst"), "theirs").unwrap();

    fs::write(&current, 2_u32.to_be_bytes()).unwrap();
    assert!(matches!(refused(path), PublishError::Unprotected { path } if path == current));
    fs::write(&current, "{\"version\":2}").unwrap();
    let revision = FormatError::UnknownRevision { len: 13, looks_like_json: true };
    assert!(matches!(refused(path), PublishError::Format { source, .. } if source == revision));

    // `CURRENT` has a checksum, but the meta file has no protection section.
    let parts = MetaFileParts {
        family: 0,
        obsolete: &[],
        tables: &[],
        live_metas: &[],
        blobs: &[],
        certificates: &[],
    };
    let (meta, _) = parts.encode(crc32fast::hash).unwrap();
    fs::write(path.join("00000002.meta"), &meta[..20]).unwrap();
    fs::write(&current, Current::encode(SequenceNumber(2), crc32fast::hash)).unwrap();
    let named = path.join("00000002.meta");
    assert!(matches!(refused(path), PublishError::Unprotected { path } if path == named));
    assert!(path.join("00000003.sst").exists());
}

#[test]
fn damaged_commits_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mut publisher = open(path);
    commit(&mut publisher, 1, false);
    commit(&mut publisher, 1, false);
    drop(publisher);
    let meta = |number: u32| path.join(format!("{number:08}.meta"));
    let (older, newer) = (fs::read(meta(2)).unwrap(), fs::read(meta(4)).unwrap());
    for (file, bytes) in [(meta(2), &older), (meta(4), &newer), (path.join("CURRENT"), &vec![0; 8])]
    {
        let intact = fs::read(&file).unwrap();
        let mut damaged = bytes.clone();
        damaged[3] ^= 0x10;
        fs::write(&file, &damaged).unwrap();
        assert!(matches!(refused(path), PublishError::Format { path, .. } if path == file));
        fs::remove_file(&file).unwrap();
        assert!(matches!(
            refused(path),
            PublishError::File(_) | PublishError::MissingCurrent { .. }
        ));
        fs::write(&file, &intact).unwrap();
    }
    // A meta file that is intact, but is not the listed one.
    let stale = MetaFileParts {
        family: 0,
        obsolete: &[],
        tables: &[],
        live_metas: &[LiveMeta { sequence: SequenceNumber(2), checksum: 0 }],
        blobs: &[],
        certificates: &[],
    };
    fs::write(meta(2), stale.encode(crc32fast::hash).unwrap().0).unwrap();
    assert!(matches!(refused(path), PublishError::BrokenChain { path, .. } if path == meta(2)));
    fs::write(meta(2), &older).unwrap();
    open(path);
}

/// The descriptions of tables in a protected meta file.
fn descriptions(bytes: &[u8]) -> Vec<(SequenceNumber, SstMeta)> {
    let meta = MetaFile::parse(bytes, crc32fast::hash).unwrap();
    let protected = meta.protection().unwrap().tables(meta.block_counts());
    let tables = meta.tables().zip(meta.filter_ranges()).zip(protected);
    tables
        .map(|((record, filter), protected)| {
            let protection = Some(TableProtection {
                entry_count: protected.entry_count,
                block_headers: protected.block_headers().collect(),
            });
            let TableRecord { block_count, min_hash, max_hash, file_size, flags, .. } = record;
            let filter = FilterBytes::new(bytes[filter].to_vec());
            let meta =
                SstMeta { block_count, min_hash, max_hash, file_size, flags, filter, protection };
            (record.sequence, meta)
        })
        .collect()
}

/// A meta file may name a table obsolete and describe it again: then its older description is dead,
/// and the new one live.
#[test]
fn a_table_described_again_stays_live_at_the_next_append() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mut publisher = open(path);
    commit(&mut publisher, 2, false);
    drop(publisher);
    let first = fs::read(path.join("00000003.meta")).unwrap();
    let checksum =
        MetaFile::parse(&first, crc32fast::hash).unwrap().protection().unwrap().checksum();
    let again = MetaFileParts {
        family: 0,
        obsolete: &[SequenceNumber(1)],
        tables: &descriptions(&first)[..1],
        live_metas: &[
            LiveMeta { sequence: SequenceNumber(3), checksum },
            LiveMeta { sequence: SequenceNumber(4), checksum: 0 },
        ],
        blobs: &[],
        certificates: &[],
    };
    fs::write(path.join("00000004.meta"), again.encode(crc32fast::hash).unwrap().0).unwrap();
    let current = Current::encode(SequenceNumber(4), crc32fast::hash);
    fs::write(path.join("CURRENT"), current).unwrap();

    let mut publisher = open(path);
    assert_eq!(live(&publisher), [2, 1].map(SequenceNumber));
    commit(&mut publisher, 1, false);
    assert_eq!(live(&publisher), [2, 1, 5].map(SequenceNumber));
    assert_eq!(live(&open_again(publisher, path)), [2, 1, 5].map(SequenceNumber));
    assert!(path.join("00000001.sst").exists());

    // When it becomes dead, all its descriptions do.
    let mut publisher = open(path);
    let mut next = publisher.begin();
    next.obsolete(SequenceNumber(1)).unwrap();
    next.publish().unwrap();
    assert_eq!(live(&publisher), [2, 5].map(SequenceNumber));
    assert_eq!(live(&open_again(publisher, path)), [2, 5].map(SequenceNumber));
    assert!(!path.join("00000001.sst").exists());
}

fn open_again(publisher: Publisher, path: &Path) -> Publisher {
    drop(publisher);
    open(path)
}

/// One commit: its number of tables, the live tables that it makes obsolete (by position), and
/// whether the directory is opened again before it.
fn step() -> impl Strategy<Value = (usize, Vec<prop::sample::Index>, bool)> {
    (0..3_usize, prop::collection::vec(any::<prop::sample::Index>(), 0..4), any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// After any sequence of commits the directory has the committed tables and no other files.
    #[test]
    fn directory_says_what_was_committed(steps in prop::collection::vec(step(), 1..10)) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let mut publisher = open(path);
        let mut expected: Vec<SequenceNumber> = Vec::new();
        for (tables, obsolete, open_again) in steps {
            let mut commit = publisher.begin();
            for index in obsolete.iter().filter(|_| !expected.is_empty()) {
                commit.obsolete(*index.get(&expected)).unwrap();
            }
            let dead: Vec<_> = match expected.as_slice() {
                [] => Vec::new(),
                all => obsolete.iter().map(|index| *index.get(all)).collect(),
            };
            expected.retain(|table| !dead.contains(table));
            for _ in 0..tables {
                let blob = commit.create_blob(b"value").unwrap();
                let table = table(&commit, EntryValue::Large { blob });
                expected.push(table.sequence());
                commit.add_table(table).unwrap();
            }
            commit.publish().unwrap();
            if open_again {
                drop(publisher);
                publisher = open(path);
            }
            let found = find(path);
            let tables: Vec<_> = found.tables.iter().map(|(_, table)| table.sequence).collect();
            prop_assert_eq!(&tables, &expected);
            prop_assert_eq!(live(&publisher), tables.clone());
            let count = tables.len() + found.metas.len() + found.blobs.len() + 1;
            prop_assert_eq!(names(path).len(), count);
        }
    }
}
