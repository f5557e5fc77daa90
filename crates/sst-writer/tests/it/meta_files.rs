//! The meta files of commits: their version, their kind, and how much of them is read.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sst_format::meta_file::MetaFile;
use sst_writer::publish::{Commit, CommitKind, CommitRecord, MetaLimits, list_commits};
use sst_writer::{Monitor, PublishError, Publisher, PublisherOptions, WriterOptions};

use crate::filter_of_len::FilterOfLen;
use crate::test_file_system::TestFileSystem;

fn options() -> PublisherOptions {
    PublisherOptions::default().file_system(Arc::new(TestFileSystem::default()))
}

/// Adds a table with one entry and a filter of `filter` bytes.
fn add_table(commit: &mut Commit<'_>, key: &str, filter: usize) {
    let options = WriterOptions::default().filter(FilterOfLen(filter));
    let mut table = commit.create_table(options).unwrap();
    table.add((key, "value")).unwrap();
    let table = table.finish().unwrap();
    commit.add_table(table).unwrap();
}

fn append(publisher: &mut Publisher, key: &str, filter: usize) {
    let mut commit = publisher.begin();
    add_table(&mut commit, key, filter);
    commit.publish(&Monitor::default()).unwrap();
}

/// The kind of a commit, as its meta file states it.
fn kind_in(directory: &Path, sequence: u32) -> CommitKind {
    let bytes = fs::read(directory.join(format!("{sequence:08}.meta"))).unwrap();
    let meta = MetaFile::parse(&bytes, crc32fast::hash).unwrap();
    meta.protection().unwrap().head().unwrap().kind()
}

#[test]
fn commits_say_why_they_were_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    // A merged commit is no generation, so without this option its meta file would be removed.
    let mut publisher = Publisher::open(path, options().keep_obsolete_files(true)).unwrap();
    append(&mut publisher, "a", 10);
    let mut load = publisher.begin();
    load.replace_all();
    add_table(&mut load, "b", 10);
    load.publish(&Monitor::default()).unwrap();
    let mut merge = publisher.begin();
    merge.replace_all();
    merge.set_kind(CommitKind::Merge);
    add_table(&mut merge, "b", 10);
    merge.publish(&Monitor::default()).unwrap();
    publisher.rollback(Some(sst_format::SequenceNumber(2)), &Monitor::default()).unwrap();
    let kinds = [CommitKind::Append, CommitKind::Load, CommitKind::Merge, CommitKind::Rollback];
    assert_eq!([2, 4, 6, 7].map(|sequence| kind_in(path, sequence)), kinds);
    let listed = list_commits(path).unwrap();
    let listed: Vec<_> = listed.iter().rev().map(|generation| generation.kind.unwrap()).collect();
    assert_eq!(listed, kinds);
}

#[test]
fn opening_reads_heads_only() {
    const FILTER: usize = 1 << 20;
    let directory = tempfile::tempdir().unwrap();
    let mut publisher = Publisher::open(directory.path(), options()).unwrap();
    for key in ["a", "b", "c"] {
        append(&mut publisher, key, FILTER);
    }
    let before: Vec<_> = publisher.live_tables().map(|(_, table)| table.sequence).collect();
    drop(publisher);
    let counting = TestFileSystem::default();
    let options = PublisherOptions::default().file_system(Arc::new(counting.clone()));
    let publisher = Publisher::open(directory.path(), options).unwrap();
    let after: Vec<_> = publisher.live_tables().map(|(_, table)| table.sequence).collect();
    assert_eq!(after, before);
    let read = counting.read_of_metas.load(Ordering::Relaxed);
    assert!(read > 0 && read < 3 * 1000, "{read} bytes of meta files");
}

/// Sequence numbers of the live meta files, as the newest meta file lists them.
fn live_metas(directory: &Path) -> Vec<u32> {
    let current = fs::read(directory.join("CURRENT")).unwrap();
    let current = u32::from_be_bytes(current[..4].try_into().unwrap());
    let bytes = fs::read(directory.join(format!("{current:08}.meta"))).unwrap();
    let meta = MetaFile::parse(&bytes, crc32fast::hash).unwrap();
    meta.protection().unwrap().live_metas().map(|live| live.sequence.0).collect()
}

fn meta_bytes(directory: &Path) -> u64 {
    let files = fs::read_dir(directory).unwrap().map(|file| file.unwrap());
    let metas = files.filter(|file| file.file_name().to_str().unwrap().ends_with(".meta"));
    metas.map(|meta| meta.metadata().unwrap().len()).sum()
}

#[test]
fn a_thousand_commits_leave_few_meta_files() {
    const COMMITS: u64 = 1000;
    const FILTER: u64 = 100;
    // In memory if the system has such a file system, because thousands of files are synced.
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = directory.path();
    let mut publisher = Publisher::open(path, options()).unwrap();
    let mut written = 0;
    let mut most = 0;
    for i in 0..COMMITS {
        append(&mut publisher, &i.to_string(), usize::try_from(FILTER).unwrap());
        let newest = path.join(format!("{:08}.meta", publisher.current().unwrap().0));
        written += fs::metadata(newest).unwrap().len();
        most = most.max(live_metas(path).len());
    }
    // The tables keep their order, and none is missing.
    let live: Vec<_> = publisher.live_tables().map(|(_, table)| table.sequence.0).collect();
    assert_eq!(live.len() as u64, COMMITS);
    assert!(live.is_sorted());
    drop(publisher);
    let publisher = Publisher::open(path, options()).unwrap();
    assert!(publisher.live_tables().map(|(_, table)| table.sequence.0).eq(live));
    // Ten levels, and the few meta files below which no table is described again.
    assert!(most <= 18, "{most} live meta files");
    // A table takes its filter, its block headers and 54 bytes. It is described once per level.
    let once = COMMITS * (FILTER + 54 + 3 * 8);
    assert!(meta_bytes(path) < once * 2, "{} bytes of meta files", meta_bytes(path));
    assert!(written < once * 10, "{written} bytes were written, {once} would be needed");
}

#[test]
fn a_commit_of_several_meta_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let limits = MetaLimits::default().filter_bytes(250);
    let options = || options().meta_limits(limits).keep_generations(1);
    let mut publisher = Publisher::open(path, options()).unwrap();
    let mut commit = publisher.begin();
    for key in ["a", "b", "c", "d", "e"] {
        let blob = commit.create_blob(key.as_bytes()).unwrap();
        let options = WriterOptions::default().filter(FilterOfLen(100));
        let mut table = commit.create_table(options).unwrap();
        table.add((key, sst_writer::EntryValue::Blob(blob))).unwrap();
        commit.add_table(table.finish().unwrap()).unwrap();
    }
    let first = commit.publish(&Monitor::default()).unwrap().commit.0;
    // Each part has two tables, and the newest meta file the rest. Only the newest is a commit.
    assert_eq!(live_metas(path), [first - 2, first - 1, first]);
    let live: Vec<_> = publisher.live_tables().map(|(_, table)| *table).collect();
    let tables: Vec<_> = live.iter().map(|table| table.sequence.0).collect();
    assert_eq!(live.len(), 5);
    // No two overlap, so they come in the order of their hashes: each meta file has one range.
    assert!(live.is_sorted_by_key(|table| table.min_hash) && !tables.is_sorted());
    let generations = |path: &Path| -> Vec<(u32, bool, u64)> {
        let list = list_commits(path).unwrap();
        let state = |one: &CommitRecord| (one.sequence.0, one.is_complete, one.tables);
        list.iter().map(state).collect()
    };
    assert_eq!(generations(path), [(first, true, 5)]);
    drop(publisher);
    let mut publisher = Publisher::open(path, options()).unwrap();
    assert!(publisher.live_tables().map(|(_, table)| table.sequence.0).eq(tables.clone()));
    let mut load = publisher.begin();
    load.replace_all();
    add_table(&mut load, "z", 100);
    let second = load.publish(&Monitor::default()).unwrap().commit.0;
    assert_eq!(generations(path), [(second, true, 1), (first, true, 5)]);
    drop(publisher);
    // The parts are kept with their commit, count as one generation, and are live again after a
    // rollback.
    let mut publisher = Publisher::open(path, options()).unwrap();
    assert_eq!(publisher.not_removed().len(), 0);
    publisher.rollback(None, &Monitor::default()).unwrap();
    assert!(publisher.live_tables().map(|(_, table)| table.sequence.0).eq(tables));
    // A table that exceeds the limit by itself is refused.
    let mut too_large = publisher.begin();
    add_table(&mut too_large, "y", 251);
    assert!(matches!(
        too_large.publish(&Monitor::default()).unwrap_err(),
        PublishError::Format { .. }
    ));
}

#[test]
fn a_merge_is_no_generation() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let options = || options().keep_generations(1);
    let mut publisher = Publisher::open(path, options()).unwrap();
    let replace = |publisher: &mut Publisher, key: &str, kind: Option<CommitKind>| {
        let mut commit = publisher.begin();
        // What is set counts, though the replacement comes later.
        kind.into_iter().for_each(|kind| commit.set_kind(kind));
        commit.replace_all();
        add_table(&mut commit, key, 10);
        commit.publish(&Monitor::default()).unwrap().commit.0
    };
    let first = replace(&mut publisher, "a", None);
    let second = replace(&mut publisher, "b", None);
    let merged = replace(&mut publisher, "b", Some(CommitKind::Merge));
    let complete = || -> Vec<u32> {
        let list = list_commits(path).unwrap();
        list.iter().filter(|one| one.is_complete).map(|one| one.sequence.0).collect()
    };
    // The commit before the merge is the same generation, so the commit before that is kept.
    assert_eq!(complete(), [merged, first]);
    // Its meta file stays, because the original's readers learn from it that the table of the first
    // commit is dead.
    assert!(path.join(format!("{second:08}.meta")).exists());
    drop(publisher);
    let mut publisher = Publisher::open(path, options()).unwrap();
    assert_eq!(complete(), [merged, first]);
    let before: Vec<_> = publisher.live_tables().map(|(_, table)| table.sequence).collect();
    publisher.rollback(None, &Monitor::default()).unwrap();
    let after: Vec<_> = publisher.live_tables().map(|(_, table)| table.sequence).collect();
    assert_eq!((before[0].0, after[0].0), (5, 1));
}

/// Tables that overlap stay in their order, and in one part if it has room for them.
#[test]
fn parts_of_a_commit_share_no_hash_where_the_order_allows() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let limits = MetaLimits::default().filter_bytes(400);
    let mut publisher = Publisher::open(path, options().meta_limits(limits)).unwrap();
    let mut commit = publisher.begin();
    // Each round of tables has the same keys as the one before.
    for _ in 0..3 {
        for key in ["a", "b", "c", "d", "e"] {
            add_table(&mut commit, key, 100);
        }
    }
    commit.publish(&Monitor::default()).unwrap();
    let live: Vec<_> = publisher.live_tables().map(|(_, table)| *table).collect();
    assert_eq!(live.len(), 15);
    assert!(live.is_sorted_by_key(|table| (table.min_hash, table.sequence)));
    // Two groups of three have no room in one meta file.
    let newest = publisher.current().unwrap().0;
    assert_eq!(live_metas(path), (newest - 4..=newest).collect::<Vec<_>>());
    let bytes = fs::read(path.join(format!("{newest:08}.meta"))).unwrap();
    let meta = MetaFile::parse(&bytes, crc32fast::hash).unwrap();
    let listed: Vec<_> = meta.protection().unwrap().listed_metas().unwrap().collect();
    assert!(listed.windows(2).all(|pair| pair[0].hashes.max < pair[1].hashes.min), "{listed:?}");
}

/// Bytes read of meta files, and live tables, of a publisher that opens the directory.
fn opened(directory: &Path) -> (u64, u64) {
    let counting = TestFileSystem::default();
    let options = PublisherOptions::default().file_system(Arc::new(counting.clone()));
    let publisher = Publisher::open(directory, options).unwrap();
    let tables = publisher.live_tables().count() as u64;
    (counting.read_of_metas.load(Ordering::Relaxed), tables)
}

/// However many tables have died, opening reads at most 64 bytes for each live one, and 64 KiB.
#[test]
fn dead_tables_are_not_read_about_for_long() {
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = directory.path();
    let mut publisher = Publisher::open(path, options()).unwrap();
    let mut commit = publisher.begin();
    for table in 0..3000 {
        add_table(&mut commit, &table.to_string(), 10);
    }
    commit.publish(&Monitor::default()).unwrap();
    for round in 0..12 {
        // A tenth of the tables, from all over the meta files.
        let dies: Vec<_> = publisher.live_tables().map(|(_, table)| table.sequence).collect();
        let mut commit = publisher.begin();
        for table in dies.into_iter().skip(round % 7).step_by(10) {
            commit.obsolete(table).unwrap();
        }
        add_table(&mut commit, &format!("round {round}"), 10);
        commit.publish(&Monitor::default()).unwrap();
        drop(publisher);
        let (read, tables) = opened(path);
        assert!(read <= 64 * tables + (64 << 10), "{read} bytes for {tables} tables");
        publisher = Publisher::open(path, options()).unwrap();
    }
    // In the end there are few tables, and next to nothing is said of the others.
    let dies: Vec<_> = publisher.live_tables().map(|(_, table)| table.sequence).collect();
    let mut commit = publisher.begin();
    for table in dies.iter().skip(3) {
        commit.obsolete(*table).unwrap();
    }
    commit.publish(&Monitor::default()).unwrap();
    drop(publisher);
    let (read, tables) = opened(path);
    assert!(read <= 64 * tables + (4 << 10), "{read} bytes for {tables} tables");
}
