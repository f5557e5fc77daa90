//! Directories of every version of the protection section, written by builds of their time: they
//! must be readable, verify, and accept further commits.
//!
//! `conformance/vectors/versions/N` contains one directory of each version. Each has two commits of
//! two tables with a blob; the second commit replaces a key. Version 2 has a certificate, version 3
//! has a commit of two meta files. The directories of versions 1 and 2 were written by old builds
//! and cannot be written again. The directory of version 3 is written by
//!
//! ```text
//! cargo test -p sst-conformance --test meta_versions -- --ignored
//! ```

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::{fs, io};

use byteorder::{BigEndian, ByteOrder};
use sst_amqf::QuotientFilter;
use sst_conformance::{chains, second_decoder, version_3};
use sst_format::FormatError;
use sst_format::meta_file::MetaFile;
use sst_format::meta_head::HeadLocation;
use sst_reader::{Access, Monitor, ReadError, ReaderOptions, SstSet, verify_directory};
use sst_writer::publish::{Commit, LOCK_FILE_NAME};
use sst_writer::{EntryValue, PublishError, Publisher, PublisherOptions, WriterOptions};

const VERSIONS: [u32; 3] = [1, 2, 3];

fn vector(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/versions").join(version.to_string())
}

/// A copy of the directory of a version, since publishing changes it.
fn copy(version: u32) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in fs::read_dir(vector(version)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

/// Adds a table of keys with the same value, and with a blob for an additional key.
fn add_table(commit: &mut Commit<'_>, keys: &[&str], value: &str, with_blob: bool) {
    let blob = with_blob.then(|| commit.create_blob([7; 5000]).unwrap());
    let options = WriterOptions::default().filter(QuotientFilter::default());
    let mut table = commit.create_table(options).unwrap();
    let mut entries: Vec<(&str, EntryValue<'_>)> =
        keys.iter().map(|key| (*key, EntryValue::Small(value.as_bytes()))).collect();
    entries.extend(blob.map(|blob| ("blob", EntryValue::Blob(blob))));
    entries.sort_by_key(|(key, _)| sst_reader::hash_key(key.as_bytes()));
    entries.into_iter().for_each(|entry| table.add(entry).unwrap());
    let table = table.finish().unwrap();
    commit.add_table(table).unwrap();
}

fn publish(dir: &Path) {
    let mut publisher = Publisher::open(dir, PublisherOptions::default()).unwrap();
    for value in ["old value", "new value"] {
        let mut commit = publisher.begin();
        add_table(&mut commit, &["apple", "pear"], value, true);
        add_table(&mut commit, &["quince", value], value, false);
        sst_merge::publish(commit, &Monitor::default()).unwrap();
    }
}

/// Checks the content that each version has, and the key `added`.
fn check_content(dir: &Path, added: Option<&str>) {
    let options = ReaderOptions::default().filter(QuotientFilter::default());
    let report = verify_directory(dir, &options, &Monitor::default()).unwrap();
    assert!(report.is_intact(), "{:?}", report.damage);
    let set = SstSet::open(dir, &options).unwrap();
    assert!(set.catalog().is_protected);
    for key in ["apple", "pear", "quince", "new value"] {
        assert_eq!(set.get(key.as_bytes()).unwrap().unwrap(), b"new value"[..], "{key}");
    }
    assert_eq!(set.get(b"old value").unwrap().unwrap(), b"old value"[..]);
    assert_eq!(set.get(b"blob").unwrap().unwrap(), [7; 5000][..]);
    assert_eq!(set.get(b"added").unwrap().is_some(), added.is_some());
    assert_eq!(set.iter().count(), 6 + usize::from(added.is_some()));
}

fn version_of(dir: &Path, newest: u32) -> u32 {
    let bytes = fs::read(dir.join(format!("{newest:08}.meta"))).unwrap();
    let start = MetaFile::parse(&bytes, crc32fast::hash).unwrap().used_keys_range().end;
    BigEndian::read_u32(&bytes[start..])
}

fn current(dir: &Path) -> u32 {
    BigEndian::read_u32(&fs::read(dir.join("CURRENT")).unwrap())
}

#[test]
fn every_version_is_read_verified_and_added_to() {
    for version in VERSIONS {
        let copy = copy(version);
        let dir = copy.path();
        assert_eq!(version_of(dir, current(dir)), version);
        check_content(dir, None);
        let mut publisher = Publisher::open(dir, PublisherOptions::default()).unwrap();
        assert_eq!(publisher.live_tables().count(), 4, "version {version}");
        let mut commit = publisher.begin();
        add_table(&mut commit, &["added"], "later", false);
        commit.publish(&Monitor::default()).unwrap();
        drop(publisher);
        check_content(dir, Some("later"));
        // The new commit lists meta files of both versions.
        assert_eq!(version_of(dir, current(dir)), 3);
        assert_eq!(version_of(dir, 4), version);
    }
}

/// The newest meta file of a directory in version 4, with the right checksums, as a later build may
/// write it.
fn in_version_4(dir: &Path) {
    let path = dir.join(format!("{:08}.meta", current(dir)));
    let mut bytes = fs::read(&path).unwrap();
    let section = MetaFile::parse(&bytes, crc32fast::hash).unwrap().used_keys_range().end;
    let place = HeadLocation::parse(&bytes, bytes.len() as u64).unwrap();
    let core: usize = place.end_range().start.try_into().unwrap();
    for at in [section, core] {
        assert_eq!(BigEndian::read_u32(&bytes[at..]), 3);
        BigEndian::write_u32(&mut bytes[at..], 4);
    }
    // The checksum of the core, which covers all but itself and the trailer, then that of the file.
    for (start, end) in [(core, bytes.len() - 16), (0, bytes.len() - 8)] {
        let checksum = crc32fast::hash(&bytes[start..end]);
        BigEndian::write_u32(&mut bytes[end..], checksum);
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_version_of_a_later_build_is_unknown_to_every_party_and_never_damage() {
    let copy = copy(3);
    let dir = copy.path();
    in_version_4(dir);
    let files = || {
        let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|f| f.unwrap().path()).collect();
        files.retain(|path| !path.ends_with(LOCK_FILE_NAME));
        files.sort();
        files
    };
    let before = files();
    let unknown = |error: &ReadError| error.is_unknown_version() && !error.is_corruption();
    for access in [Access::Map, Access::Read] {
        let error = SstSet::open(dir, &ReaderOptions::default().access(access)).unwrap_err();
        assert!(unknown(&error), "{error}");
    }
    let verified = verify_directory(dir, &ReaderOptions::default(), &Monitor::default());
    let error = verified.unwrap_err();
    assert!(unknown(&error), "{error}");
    let error = Publisher::open(dir, PublisherOptions::default()).unwrap_err();
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::Unsupported);
    let error = Publisher::open(dir, PublisherOptions::default()).unwrap_err();
    let expected = FormatError::UnknownVersion { found: 4 };
    assert!(matches!(error, PublishError::Format { source, .. } if source == expected));
    assert_eq!(files(), before, "the writer removes nothing that it does not understand");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match second_decoder::exit_code(&root, dir) {
        Some(code) => assert_eq!(code, 3, "not 2, which is damage"),
        None => eprintln!("NOT RUN: the second decoder, since there is no Python"),
    }
}

#[test]
fn a_part_of_a_commit_is_no_commit() {
    let copy = copy(3);
    let dir = copy.path();
    let part = current(dir) - 1;
    let bytes = fs::read(dir.join(format!("{part:08}.meta"))).unwrap();
    let meta = MetaFile::parse(&bytes, crc32fast::hash).unwrap();
    let head = meta.protection().unwrap().head().unwrap();
    assert_eq!(head.commit().0, current(dir));
    let sequence = sst_format::SequenceNumber(part);
    let wrong = sst_format::current::Current::encode(sequence, crc32fast::hash);
    fs::write(dir.join("CURRENT"), wrong).unwrap();
    assert!(SstSet::open(dir, &ReaderOptions::default()).unwrap_err().is_corruption());
}

#[test]
fn chains_of_meta_files_are_as_the_rule_says() {
    for row in chains::check_some(20_000, 50) {
        assert!(row.is_ok(), "{:?}", row.failures);
    }
}

#[test]
#[ignore = "makes the vector of version 3 if it is missing"]
fn make_vector() {
    let dir = vector(3);
    if dir.exists() {
        return;
    }
    fs::create_dir_all(&dir).unwrap();
    publish(&dir);
    version_3::rewrite(&dir).unwrap();
    for name in ["LOCK", ".lock"] {
        // The publisher's lock files are not part of the vector.
        if dir.join(name).exists() {
            fs::remove_file(dir.join(name)).unwrap();
        }
    }
}
