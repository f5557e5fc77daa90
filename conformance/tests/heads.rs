//! Sets of directories of version 3. Opening reads only heads. Damaged areas are detected when they
//! are used. A refresh reads only new meta files. A part of a commit is not a commit. A set of a
//! range of hashes reads only the meta files of that range.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use sst_amqf::QuotientFilter;
use sst_conformance::version_3;
use sst_format::SequenceNumber;
use sst_format::file_name::{FileKind, FileName};
use sst_format::meta_head::{Area, HeadLocation, MetaHead};
use sst_reader::{
    Access, Catalog, Corruption, Monitor, ReadError, ReaderOptions, SstSet, StaticSortedFile,
    hash_key, verify_directory,
};
use sst_writer::publish::MetaLimits;
use sst_writer::table::{write_description, write_static_sorted_file};
use sst_writer::{EntryValue, Publisher, PublisherOptions, WriteError, WriterOptions};

fn reader_options(access: Access) -> ReaderOptions {
    ReaderOptions::default().filter(QuotientFilter::default()).access(access)
}

fn key(i: u32) -> String {
    format!("key {i}")
}

/// Publishes a commit of the keys `keys` in `table_count` tables with disjoint ranges of hashes.
fn publish(dir: &Path, keys: Range<u32>, table_count: u64, value: &str) {
    let mut publisher = Publisher::open(dir, PublisherOptions::default()).unwrap();
    publish_by(&mut publisher, 0, keys, table_count, value);
}

/// [`publish`] by an open publisher, in a family.
fn publish_by(
    publisher: &mut Publisher,
    family: u32,
    keys: Range<u32>,
    table_count: u64,
    value: &str,
) {
    let mut commit = publisher.begin_family(family);
    let mut sorted: Vec<(u64, String)> =
        keys.map(|i| (hash_key(key(i).as_bytes()), key(i))).collect();
    sorted.sort();
    let table_of = |hash: u64| (u128::from(hash) * u128::from(table_count)) >> 64;
    for entries in sorted.chunk_by(|a, b| table_of(a.0) == table_of(b.0)) {
        let options = WriterOptions::default().filter(QuotientFilter::default());
        let mut table = commit.create_table(options).unwrap();
        for (_, key) in entries {
            table.add((key.as_str(), EntryValue::Small(value.as_bytes()))).unwrap();
        }
        let table = table.finish().unwrap();
        commit.add_table(table).unwrap();
    }
    commit.prepare().unwrap().publish(&Monitor::default()).unwrap();
}

fn meta_path(dir: &Path, sequence: SequenceNumber) -> PathBuf {
    dir.join(FileName { sequence, kind: FileKind::Meta }.to_string())
}

/// A directory of version 3 with two commits: 20,000 keys in 8 tables, then some of the keys again.
fn directory() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    publish(dir.path(), 0..20_000, 8, "old");
    publish(dir.path(), 0..2000, 4, "new");
    version_3::rewrite(dir.path()).unwrap();
    dir
}

#[test]
fn opening_reads_the_heads_only() {
    for access in [Access::Map, Access::Read] {
        let dir = tempfile::tempdir().unwrap();
        publish(dir.path(), 0..200_000, 12, "value");
        version_3::rewrite(dir.path()).unwrap();
        let set = SstSet::open(dir.path(), &reader_options(access)).unwrap();
        let metas = &set.catalog().meta_files;
        let all: u64 = metas
            .iter()
            .map(|meta| fs::metadata(meta_path(dir.path(), *meta)).unwrap().len())
            .sum();
        let opened = set.catalog().bytes_read();
        let tables = set.tables().count() as u64;
        assert!(all > 200_000, "the filters are large: {all}");
        assert!(opened <= 64 * tables + (64 << 10), "{opened} bytes for {tables} tables");
        assert_eq!(set.get(key(77)).unwrap().as_deref(), Some(&b"value"[..]));
        let of_one_table = set.catalog().bytes_read() - opened;
        assert!((1..all / 6).contains(&of_one_table), "{of_one_table} of {all}");
        assert_eq!(set.get(key(77)).unwrap().as_deref(), Some(&b"value"[..]));
        assert_eq!(set.catalog().bytes_read() - opened, of_one_table, "it was read before");
    }
}

/// How many bytes this thread has read through the system so far.
#[cfg(target_os = "linux")]
fn read_by_this_thread() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/io").unwrap();
    text.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

/// How many bytes this thread reads through the system during `work`.
#[cfg(target_os = "linux")]
fn read_during<T>(work: impl FnOnce() -> T) -> (u64, T) {
    // To look at the counter is counted, too.
    let before = read_by_this_thread();
    let look = read_by_this_thread() - before;
    let start = read_by_this_thread();
    let done = work();
    (read_by_this_thread() - start - look, done)
}

/// The promise of FORMAT.md section 9, as the system counts: whatever filters and blocks there are,
/// in few meta files of many tables and in many of few, in many families.
#[cfg(target_os = "linux")]
#[test]
fn opening_reads_at_most_64_bytes_a_table_and_64_kib() {
    // `CURRENT`, a trailer, and what the counter itself takes.
    const SLACK: u64 = 64;
    for (families, commits, tables_each) in [(1, 1, 1), (1, 1, 300), (1, 40, 2), (12, 8, 3)] {
        let dir = tempfile::tempdir().unwrap();
        let mut publisher = Publisher::open(dir.path(), PublisherOptions::default()).unwrap();
        for commit in 0..commits {
            for family in 0..families {
                let keys = commit * tables_each * 50..(commit + 1) * tables_each * 50;
                publish_by(&mut publisher, family, keys, u64::from(tables_each), "value");
            }
        }
        let catalog = Catalog::read(dir.path()).unwrap();
        let bytes_of = |meta: &SequenceNumber| fs::metadata(meta_path(dir.path(), *meta)).unwrap();
        let all: u64 = catalog.meta_files.iter().map(|meta| bytes_of(meta).len()).sum();
        let (tables, metas) = (catalog.tables.len() as u64, catalog.meta_files.len() as u64);
        assert_eq!(tables, u64::from(families * commits * tables_each));
        for access in [Access::Map, Access::Read] {
            let options = ReaderOptions::default().access(access);
            let (read, opened) = read_during(|| Catalog::read_with(dir.path(), &options).unwrap());
            assert_eq!(opened.tables.len() as u64, tables);
            let case = format!("{read} bytes for {tables} tables, {metas} meta files of {all}");
            assert!(read <= 64 * tables + (64 << 10), "{case}");
            // What the documentation of `Catalog::read_with` says of each meta file.
            assert!(read <= 64 * tables + 640 * metas + SLACK, "{case}");
            // The list of meta files, 28 bytes each, may be in a map, which is no read.
            let said = opened.bytes_read();
            assert!(said.abs_diff(read) <= 28 * metas + SLACK, "{case}, said {said}");
        }
    }
}

/// Commits of several meta files each, every one of them of one range of hashes.
fn split_directory() -> (tempfile::TempDir, PublisherOptions) {
    let dir = tempfile::tempdir().unwrap();
    let options =
        || PublisherOptions::default().meta_limits(MetaLimits::default().filter_bytes(900));
    let mut publisher = Publisher::open(dir.path(), options()).unwrap();
    publish_by(&mut publisher, 0, 0..4000, 16, "old");
    publish_by(&mut publisher, 0, 1000..3000, 8, "new");
    (dir, options())
}

/// All entries of a set, as text.
fn entries(set: &SstSet) -> Vec<(Vec<u8>, String)> {
    let entries = set.iter().map(Result::unwrap);
    entries.map(|entry| (entry.key.to_vec(), format!("{:?}", entry.value))).collect()
}

/// The meta files that a set of a range of hashes has opened are those that it needs: it opens, and
/// refreshes, where all others are gone.
#[test]
fn a_set_of_a_range_opens_the_meta_files_of_that_range_only() {
    for access in [Access::Map, Access::Read] {
        let (dir, options) = split_directory();
        let open = |hashes| SstSet::open_range(dir.path(), 0, hashes, &reader_options(access));
        let range = 0..=u64::MAX / 8;
        let all = SstSet::open(dir.path(), &reader_options(access)).unwrap();
        let part = open(range.clone()).unwrap();
        let needed = part.catalog().meta_files.clone();
        let count = all.catalog().meta_files.len();
        assert!(needed.len() * 3 < count, "{} of {count}", needed.len());
        assert!(part.catalog().bytes_read() * 2 < all.catalog().bytes_read());
        let expected: Vec<_> = all.range(range.clone()).map(Result::unwrap).collect();
        assert!(expected.len() > 100);
        assert_eq!(entries(&part).len(), expected.len());

        let mut publisher = Publisher::open(dir.path(), options).unwrap();
        publish_by(&mut publisher, 0, 0..2000, 16, "newest");
        drop(publisher);
        let after = open(range.clone()).unwrap().catalog().meta_files.clone();
        let everything = Catalog::read(dir.path()).unwrap().meta_files;
        assert!(after.len() * 3 < everything.len(), "{after:?} of {everything:?}");
        for gone in everything.iter().filter(|meta| !after.contains(meta)) {
            fs::remove_file(meta_path(dir.path(), *gone)).unwrap();
        }
        assert!(SstSet::open(dir.path(), &reader_options(access)).is_err());
        let refreshed = part.refresh().unwrap().unwrap();
        assert_eq!(refreshed.catalog().meta_files, after);
        assert_eq!(entries(&refreshed).len(), expected.len());
        assert_eq!(entries(&refreshed), entries(&open(range).unwrap()));
    }
}

/// The live meta files, the newest first.
fn metas(dir: &Path) -> Vec<SequenceNumber> {
    Catalog::read(dir).unwrap().meta_files
}

/// The areas of the first table of a meta file: its filter and its block headers.
fn areas(bytes: &[u8]) -> (Area, Area) {
    let len = bytes.len() as u64;
    let location = HeadLocation::parse(bytes, len).unwrap();
    let start = &bytes[..location.start_range().end.try_into().unwrap()];
    let end = &bytes[location.end_range().start.try_into().unwrap()..];
    let head = MetaHead::parse(start, end, len, crc32fast::hash).unwrap();
    let table = head.tables().next().unwrap();
    (table.filter, table.headers)
}

#[test]
fn a_damaged_area_is_named_when_it_is_used_and_found_by_verification() {
    for access in [Access::Map, Access::Read] {
        for choose in [|(filter, _)| filter, |(_, headers)| headers] {
            let dir = directory();
            let path = meta_path(dir.path(), metas(dir.path())[0]);
            let mut bytes = fs::read(&path).unwrap();
            let area: Area = choose(areas(&bytes));
            let at: usize = area.range().start.try_into().unwrap();
            bytes[at + 5] ^= 16;
            fs::write(&path, bytes).unwrap();
            let options = reader_options(access);
            let set = SstSet::open(dir.path(), &options).unwrap();
            let names_it = |error: &ReadError| match error {
                ReadError::Corrupt { file, cause: Corruption::Area { diagnosis, .. }, .. } => {
                    let bit = diagnosis.flipped.unwrap();
                    (file.path(), bit.byte, bit.bit) == (path.as_path(), at as u64 + 5, 4)
                }
                _ => false,
            };
            let error = set.open_all().unwrap_err();
            assert!(names_it(&error), "{error}");
            let report = verify_directory(dir.path(), &options, &Monitor::default()).unwrap();
            assert!(report.damage.iter().any(|error| error.file().path() == path), "{report:?}");
        }
    }
}

#[test]
fn a_refresh_reads_meta_files_that_it_does_not_hold() {
    let dir = directory();
    let set = SstSet::open(dir.path(), &reader_options(Access::Read)).unwrap();
    set.open_all().unwrap();
    let held = set.catalog().meta_files.clone();
    assert!(set.refresh().unwrap().is_none());
    publish(dir.path(), 0..10, 1, "newest");
    // The set holds the older meta files in memory, so their files are not needed.
    for &meta in &held {
        if meta != *held.first().unwrap() {
            fs::remove_file(meta_path(dir.path(), meta)).unwrap();
        }
    }
    let refreshed = set.refresh().unwrap().unwrap();
    assert_eq!(refreshed.get(key(5)).unwrap().as_deref(), Some(&b"newest"[..]));
    assert_eq!(refreshed.get(key(1999)).unwrap().as_deref(), Some(&b"new"[..]));
    assert_eq!(refreshed.get(key(19_999)).unwrap().as_deref(), Some(&b"old"[..]));
    assert_eq!(refreshed.open_table_count(), set.tables().count() + 1);
}

/// The meta files in `dir` that this process has open or mapped although they are removed.
#[cfg(target_os = "linux")]
fn removed_but_held(dir: &Path) -> Vec<String> {
    let files = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    // A descriptor may be closed meanwhile by another test of this process.
    let open = files.filter_map(|file| fs::read_link(file).ok());
    let open = open.map(|file| file.to_str().unwrap().to_owned());
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let is_it =
        |line: &String| line.contains(dir.to_str().unwrap()) && line.ends_with(".meta (deleted)");
    open.chain(maps.lines().map(str::to_owned)).filter(is_it).collect()
}

#[test]
fn a_refreshed_set_needs_no_meta_file_that_its_commit_does_not_have() {
    const COMMITS: u32 = 40;
    for access in [Access::Map, Access::Read] {
        let dir = tempfile::tempdir().unwrap();
        let mut publisher = Publisher::open(dir.path(), PublisherOptions::default()).unwrap();
        publish_by(&mut publisher, 0, 0..500, 1, "value");
        let mut set = SstSet::open(dir.path(), &reader_options(access)).unwrap();
        for i in 1..COMMITS {
            publish_by(&mut publisher, 0, i * 500..(i + 1) * 500, 1, "value");
            set = set.refresh().unwrap().unwrap();
        }
        let metas = &set.catalog().meta_files;
        assert_eq!(*metas, Catalog::read(dir.path()).unwrap().meta_files);
        assert_eq!(set.tables().count(), COMMITS as usize);
        for table in set.tables() {
            let meta = table.meta_file.unwrap();
            assert!(metas.contains(&meta), "{table:?} is of none of {metas:?}");
        }
        #[cfg(target_os = "linux")]
        assert_eq!(removed_but_held(dir.path()), Vec::<String>::new());
        set.open_all().unwrap();
        for i in 0..COMMITS {
            assert!(set.get(key(i * 500)).unwrap().is_some());
        }
    }
}

#[test]
fn a_part_is_no_commit() {
    let dir = directory();
    let metas = metas(dir.path());
    let newest = Catalog::read(dir.path()).unwrap();
    assert_eq!(newest.commit, metas[0]);
    for part in &metas[1..4] {
        let error = Catalog::read_commit_of(dir.path(), *part).unwrap_err();
        let ReadError::Corrupt { cause: Corruption::PartOfCommit { commit }, .. } = error else {
            unreachable!("{error}");
        };
        assert_eq!(commit, metas[0]);
    }
    let report =
        verify_directory(dir.path(), &ReaderOptions::default(), &Monitor::default()).unwrap();
    assert!(report.is_intact(), "{report:?}");
}

#[test]
fn a_set_of_a_range_shows_the_keys_of_that_range() {
    let dir = directory();
    let options = reader_options(Access::Map);
    let all = SstSet::open(dir.path(), &options).unwrap();
    let entries: Vec<_> = all.iter().map(Result::unwrap).collect();
    for hashes in [0..=u64::MAX / 3, u64::MAX / 3..=u64::MAX / 2, u64::MAX..=u64::MAX] {
        let set = SstSet::open_range(dir.path(), 0, hashes.clone(), &options).unwrap();
        let is_shown = |hash: u64| hashes.contains(&hash);
        let expected = entries.iter().filter(|entry| is_shown(hash_key(&entry.key)));
        let expected: Vec<_> = expected.map(|entry| &entry.key).collect();
        let found: Vec<_> = set.iter().map(|entry| entry.unwrap().key).collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected);
        let keys: Vec<String> = (0..20_000).step_by(97).map(key).collect();
        let many = set.multi_get(&keys).unwrap();
        for (key, of_many) in keys.iter().zip(many) {
            let expected = all.get(key).unwrap().filter(|_| is_shown(hash_key(key.as_bytes())));
            assert_eq!(set.get(key).unwrap(), expected, "{key}");
            assert_eq!(of_many, expected, "{key}");
        }
    }
}

#[test]
fn a_bare_table_has_what_the_description_beside_it_tells() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fruit.sst");
    let mut entries: Vec<_> = (0..3000).map(|i| (key(i), "value")).collect();
    entries.sort_by_key(|(key, _)| (hash_key(key.as_bytes()), key.clone()));
    let options = WriterOptions::default().filter(QuotientFilter::default());
    let finished = write_static_sorted_file(&entries, &path, options).unwrap();
    for access in [Access::Map, Access::Read] {
        let open = || StaticSortedFile::open_standalone(&path, &reader_options(access));
        let bare = open().unwrap();
        assert!(bare.filter().is_none());
        write_description(&path, &finished.meta).unwrap();
        let described = open().unwrap();
        assert!(described.filter().is_some());
        assert_eq!(described.entry_count(), Some(3000));
        assert!(described.verify(&Monitor::default()).unwrap().is_intact());
        let beside = dir.path().join("fruit.sst.meta");
        let intact = fs::read(&beside).unwrap();
        let mut damaged = intact.clone();
        let at: usize = areas(&intact).0.range().start.try_into().unwrap();
        damaged[at + 1] ^= 1;
        fs::write(&beside, damaged).unwrap();
        assert!(open().unwrap_err().is_corruption());
        fs::remove_file(&beside).unwrap();
    }
}

/// A description is replaced only by the next description of the table. Any other file stays.
#[test]
fn a_description_of_a_bare_table_replaces_only_its_own_kind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fruit.sst");
    let beside = dir.path().join("fruit.sst.meta");
    let write_table = |value: &str| {
        _ = fs::remove_file(&path);
        let options = WriterOptions::default().filter(QuotientFilter::default());
        write_static_sorted_file(&[("key", value)], &path, options).unwrap().meta
    };
    write_description(&path, &write_table("old")).unwrap();
    let old = fs::read(&beside).unwrap();
    let meta = write_table("a longer value");
    let open = || StaticSortedFile::open_standalone(&path, &reader_options(Access::Read));
    // The old description is not that of the new table.
    assert!(open().is_err());
    write_description(&path, &meta).unwrap();
    assert_ne!(fs::read(&beside).unwrap(), old);
    assert!(open().unwrap().verify(&Monitor::default()).unwrap().is_intact());
    // Nothing else is in the directory.
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);

    let of_commit = {
        let dir = tempfile::tempdir().unwrap();
        publish(dir.path(), 0..10, 1, "value");
        fs::read(dir.path().join("00000002.meta")).unwrap()
    };
    let mut damaged = old.clone();
    damaged[3] ^= 1;
    for other in [&b""[..], b"notes about fruit", &of_commit, &damaged, &old[..old.len() - 1]] {
        fs::write(&beside, other).unwrap();
        let refused = write_description(&path, &meta).unwrap_err();
        assert!(matches!(refused, WriteError::Exists { path } if path == beside));
        assert_eq!(fs::read(&beside).unwrap(), other);
    }
    fs::remove_file(&beside).unwrap();
    fs::create_dir(&beside).unwrap();
    assert!(matches!(write_description(&path, &meta), Err(WriteError::Exists { .. })));
    assert!(beside.is_dir());
}
