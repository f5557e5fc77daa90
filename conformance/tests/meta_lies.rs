//! Meta files with right checksums that say what no writer says: reader, verification, writer and
//! the second decoder all refuse them, and the writer removes nothing. Then meta files that say
//! something about tables of other families, which only versions 1 and 2 may.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use sst_conformance::second_decoder;
use sst_format::block::{BlockHeader, Encoding};
use sst_format::content_digest::{CONTENT_DIGEST_LEN, ContentDigest, FamilyCertificate};
use sst_format::current::Current;
use sst_format::file_name::{CURRENT_FILE_NAME, FileKind, FileName};
use sst_format::meta_file::MetaFileParts;
use sst_format::meta_head::{CommitKind, DescribedTable, HashRange, ListedMeta, MetaFileV3};
use sst_format::protection::{BlobRecord, LiveMeta};
use sst_format::{BlobNumber, SequenceNumber, SstMeta};
use sst_reader::{Corruption, Monitor, ReadError, ReaderOptions, SstSet, verify_directory};
use sst_writer::table::hash_key;
use sst_writer::{
    EntryValue, PublishError, Publisher, PublisherOptions, StreamingSstWriter, WriterOptions,
};

/// The number of the newest meta file.
const OWN: u32 = 40;

/// The statements of a meta file, for the encoders of all versions.
#[derive(Clone, Default)]
struct Meta {
    family: u32,
    obsolete: Vec<u32>,
    tables: Vec<(u32, SstMeta)>,
    blobs: Vec<u32>,
    /// Number, checksum, family and hashes.
    listed: Vec<(u32, u32, u32, Option<HashRange>)>,
    /// Of version 3.
    commit: Option<u32>,
    is_certified: bool,
}

fn number(number: u32) -> SequenceNumber {
    SequenceNumber(number)
}

fn path(dir: &Path, sequence: u32, kind: FileKind) -> std::path::PathBuf {
    dir.join(FileName { sequence: number(sequence), kind }.to_string())
}

impl Meta {
    /// Writes it as meta file `own`, and returns its checksum.
    fn write(&self, dir: &Path, own: u32, has_head: bool) -> u32 {
        let obsolete: Vec<_> = self.obsolete.iter().copied().map(number).collect();
        let tables: Vec<_> =
            self.tables.iter().map(|(n, meta)| (number(*n), meta.clone())).collect();
        let listed = self.listed.iter().map(|&(sequence, checksum, family, hashes)| ListedMeta {
            sequence: number(sequence),
            checksum,
            family,
            hashes: hashes.unwrap_or(HashRange::FULL),
        });
        let listed: Vec<ListedMeta> = listed.collect();
        let header = BlockHeader { encoding: Encoding::Raw, checksum: crc32fast::hash(b"blob") };
        let blobs = self.blobs.iter().map(|number| BlobRecord {
            number: BlobNumber(*number),
            file_size: 12,
            header,
        });
        let blobs: Vec<BlobRecord> = blobs.collect();
        let content = ContentDigest::from_bytes(&[7; CONTENT_DIGEST_LEN]);
        let certificates = [FamilyCertificate { family: 9, content }];
        let certificates = if self.is_certified { &certificates[..] } else { &[] };
        let described = tables.iter().map(|(table, meta)| DescribedTable::new(*table, meta));
        let described = described.collect::<Result<Vec<_>, _>>().unwrap();
        let encoded = match has_head {
            true => MetaFileV3 {
                family: self.family,
                obsolete: &obsolete,
                tables: &described,
                kind: CommitKind::Append,
                commit: number(self.commit.unwrap_or(own)),
                live_metas: &listed,
                blobs: &blobs,
                certificates,
                extension: &[],
            }
            .encode(crc32fast::hash),
            false => MetaFileParts {
                family: self.family,
                obsolete: &obsolete,
                tables: &tables,
                live_metas: &listed.into_iter().map(LiveMeta::from).collect::<Vec<_>>(),
                blobs: &blobs,
                certificates,
            }
            .encode(crc32fast::hash),
        };
        let (bytes, checksum) = encoded.unwrap();
        fs::write(path(dir, own, FileKind::Meta), bytes).unwrap();
        fs::write(dir.join(CURRENT_FILE_NAME), Current::encode(number(own), crc32fast::hash))
            .unwrap();
        checksum
    }
}

/// Writes a table of these keys, each with the value `value`, as file `sequence`.
fn table(dir: &Path, sequence: u32, keys: &[&str], value: &str) -> (u32, SstMeta) {
    let mut keys = keys.to_vec();
    keys.sort_by_key(|key| hash_key(key.as_bytes()));
    let mut writer = StreamingSstWriter::new(Vec::new(), WriterOptions::default());
    for key in keys {
        writer.add((key, EntryValue::Small(value.as_bytes()))).unwrap();
    }
    let finished = writer.finish().unwrap();
    fs::write(path(dir, sequence, FileKind::Sst), finished.output).unwrap();
    (sequence, finished.meta)
}

fn files(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|file| file.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    // Lock files come and go.
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}

fn decoded(dir: &Path) -> Option<i32> {
    let code = second_decoder::exit_code(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), dir);
    if code.is_none() {
        eprintln!("NOT RUN: the second decoder, since there is no Python");
    }
    code
}

fn damage(dir: &Path) -> Vec<ReadError> {
    verify_directory(dir, &ReaderOptions::default(), &Monitor::default()).unwrap().damage
}

/// Checks that every party refuses the directory, and that the writer leaves all files.
fn assert_refused(dir: &Path, lie: &str) {
    let refused = |error: ReadError| assert!(error.is_corruption(), "{lie}: {error}");
    match SstSet::open(dir, &ReaderOptions::default()) {
        Err(error) => refused(error),
        // Of version 3 the list of blobs is read when a blob is.
        Ok(set) => refused(set.catalog().blobs().map(|_| ()).unwrap_err()),
    }
    assert!(!damage(dir).is_empty(), "{lie}");
    let before = files(dir);
    let error = Publisher::open(dir, PublisherOptions::default()).unwrap_err();
    let is_damage =
        matches!(error, PublishError::Format { .. } | PublishError::PartOfCommit { .. });
    assert!(is_damage, "{lie}: {error}");
    assert_eq!(files(dir), before, "{lie}");
    assert_eq!(decoded(dir).unwrap_or(2), 2, "{lie}");
}

#[test]
fn a_meta_file_at_odds_with_its_own_number_is_damage_to_every_party() {
    let itself = (OWN, 0, 0, None);
    for has_head in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let older = table(dir, 1, &["key"], "value");
        let newer = table(dir, 99, &["key"], "value");
        let blob = [&[0; 4][..], &crc32fast::hash(b"blob").to_be_bytes(), b"blob"].concat();
        for number in [2, 98] {
            fs::write(path(dir, number, FileKind::Blob), &blob).unwrap();
        }
        let truth = Meta { tables: vec![older.clone()], listed: vec![itself], ..Meta::default() };
        let lies = [
            ("a table above CURRENT", Meta { tables: vec![newer], ..truth.clone() }),
            ("a blob above CURRENT", Meta { blobs: vec![98], ..truth.clone() }),
            ("nothing is listed", Meta { listed: vec![], ..truth.clone() }),
            ("a checksum of itself", Meta { listed: vec![(OWN, 7, 0, None)], ..truth.clone() }),
            ("another one listed", Meta { listed: vec![(OWN - 1, 7, 0, None)], ..truth.clone() }),
            ("a later one", Meta { listed: vec![itself, (OWN + 1, 7, 0, None)], ..truth.clone() }),
        ];
        for (lie, meta) in lies {
            meta.write(dir, OWN, has_head);
            assert_refused(dir, lie);
        }
        truth.write(dir, OWN, has_head);
        assert!(
            SstSet::open(dir, &ReaderOptions::default()).unwrap().get("key").unwrap().is_some()
        );
        assert_eq!(decoded(dir).unwrap_or(0), 0);
    }
}

#[test]
fn a_part_that_is_none_is_damage_to_every_party() {
    let part = OWN - 1;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let truth = Meta {
        tables: vec![table(dir, 1, &["key"], "value")],
        commit: Some(OWN),
        ..Meta::default()
    };
    let lies = [
        ("a part with a list", Meta { listed: vec![(part, 0, 0, None)], ..truth.clone() }),
        ("a part with certificates", Meta { is_certified: true, ..truth.clone() }),
        ("a part of an older commit", Meta { commit: Some(part - 1), ..truth.clone() }),
    ];
    let newest = |checksum| Meta {
        listed: vec![(part, checksum, 0, None), (OWN, 0, 0, Some(HashRange::EMPTY))],
        ..Meta::default()
    };
    for (lie, meta) in lies {
        let checksum = meta.write(dir, part, true);
        newest(checksum).write(dir, OWN, true);
        assert_refused(dir, lie);
    }
    let checksum = truth.write(dir, part, true);
    newest(checksum).write(dir, OWN, true);
    assert!(damage(dir).is_empty());
    assert_eq!(decoded(dir).unwrap_or(0), 0);
}

/// A meta file of version 1 of family 1 that names a table of family 0 obsolete, and what a later
/// commit of version 3 makes of it.
#[test]
fn a_set_of_a_range_heeds_what_older_versions_say_of_other_families() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let dead = table(dir, 1, &["dead", "also dead"], "old");
    let live = table(dir, 2, &["live"], "value");
    let other = table(dir, 3, &["other"], "value");
    let first =
        Meta { tables: vec![dead, live], listed: vec![(10, 0, 0, None)], ..Meta::default() };
    let checksum = first.write(dir, 10, false);
    let second = Meta {
        family: 1,
        obsolete: vec![1],
        tables: vec![other],
        listed: vec![(10, checksum, 0, None), (11, 0, 1, None)],
        ..Meta::default()
    };
    second.write(dir, 11, false);
    let check = |when: &str| {
        let options = ReaderOptions::default();
        let whole = SstSet::open(dir, &options).unwrap();
        let range = SstSet::open_range(dir, 0, 0..=u64::MAX, &options).unwrap();
        for set in [&whole, &range] {
            assert_eq!(set.get("dead").unwrap(), None, "{when}");
            assert_eq!(set.get("live").unwrap().as_deref(), Some(&b"value"[..]), "{when}");
        }
        assert!(damage(dir).is_empty(), "{when}");
    };
    check("version 1 is the newest");
    let mut publisher = Publisher::open(dir, PublisherOptions::default()).unwrap();
    let mut commit = publisher.begin_family(1);
    let mut table = commit.create_table(WriterOptions::default()).unwrap();
    table.add(("another", EntryValue::Small(b"value"))).unwrap();
    let table = table.finish().unwrap();
    commit.add_table(table).unwrap();
    commit.publish(&Monitor::default()).unwrap();
    check("version 3 is the newest");
}

#[test]
fn a_table_of_another_family_that_version_3_names_is_found_by_verification() {
    for is_described in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let of_family_0 = table(dir, 1, &["key"], "value");
        let of_family_1 = table(dir, 2, &["other"], "value");
        let first = Meta {
            tables: vec![of_family_0.clone()],
            listed: vec![(10, 0, 0, None)],
            ..Meta::default()
        };
        let checksum = first.write(dir, 10, true);
        let second = Meta {
            family: 1,
            obsolete: if is_described { vec![] } else { vec![1] },
            tables: if is_described { vec![of_family_1, of_family_0] } else { vec![of_family_1] },
            listed: vec![(10, checksum, 0, None), (11, 0, 1, None)],
            ..Meta::default()
        };
        second.write(dir, 11, true);
        let found = damage(dir);
        let is_it = |error: &ReadError| {
            let expected = Corruption::OfOtherFamily { table: number(1), family: 0 };
            matches!(error, ReadError::Corrupt { cause, .. } if *cause == expected)
        };
        assert!(found.iter().any(is_it), "{found:?}");
        assert_eq!(decoded(dir).unwrap_or(2), 2);
    }
}

#[test]
fn a_blob_that_is_listed_twice_is_found_by_verification() {
    for (has_head, blobs) in
        [(false, vec![1]), (true, vec![1]), (false, vec![1, 1]), (true, vec![1, 1])]
    {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let blob = [&[0; 4][..], &crc32fast::hash(b"blob").to_be_bytes(), b"blob"].concat();
        fs::write(path(dir, 1, FileKind::Blob), &blob).unwrap();
        let mut writer = StreamingSstWriter::new(Vec::new(), WriterOptions::default());
        writer.add(("key", EntryValue::Blob(BlobNumber(1)))).unwrap();
        let finished = writer.finish().unwrap();
        fs::write(path(dir, 2, FileKind::Sst), finished.output).unwrap();
        let (tables, listed) = (vec![(2, finished.meta)], vec![(OWN, 0, 0, None)]);
        let is_right = blobs.len() == 1;
        Meta { tables, blobs, listed, ..Meta::default() }.write(dir, OWN, has_head);
        let found = damage(dir);
        let is_it = |error: &ReadError| {
            let expected = Corruption::BlobListedTwice { blob: BlobNumber(1) };
            matches!(error, ReadError::Corrupt { cause, .. } if *cause == expected)
        };
        assert_eq!(found.is_empty(), is_right, "{found:?}");
        assert_eq!(found.iter().any(is_it), !is_right, "{found:?}");
        let code = if is_right { 0 } else { 2 };
        assert_eq!(decoded(dir).unwrap_or(code), code);
    }
}

/// A blob of a live table that its meta file does not list. A lookup fails, and the file is the
/// only copy of the value: no commit, merge or rollback removes it.
#[test]
fn a_live_blob_that_no_meta_file_lists_stays() {
    for (has_head, is_listed_before) in [(false, false), (true, false), (false, true), (true, true)]
    {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let blob = [&[0; 4][..], &crc32fast::hash(b"blob").to_be_bytes(), b"blob"].concat();
        fs::write(path(dir, 1, FileKind::Blob), &blob).unwrap();
        let mut writer = StreamingSstWriter::new(Vec::new(), WriterOptions::default());
        writer.add(("key", EntryValue::Blob(BlobNumber(1)))).unwrap();
        let finished = writer.finish().unwrap();
        fs::write(path(dir, 2, FileKind::Sst), finished.output).unwrap();
        let tables = vec![(2, finished.meta)];
        let truth = Meta {
            tables: tables.clone(),
            blobs: vec![1],
            listed: vec![(OWN - 1, 0, 0, None)],
            ..Meta::default()
        };
        if is_listed_before {
            // An older meta file lists it, which the newest one replaces.
            truth.write(dir, OWN - 1, has_head);
        }
        let lie = Meta { tables, listed: vec![(OWN, 0, 0, None)], ..Meta::default() };
        lie.write(dir, OWN, has_head);
        assert!(!damage(dir).is_empty());
        let is_there = || path(dir, 1, FileKind::Blob).exists();
        let options = PublisherOptions::default;
        let mut publisher = Publisher::open(dir, options()).unwrap();
        assert!(is_there(), "opened");
        let mut commit = publisher.begin();
        let mut table = commit.create_table(WriterOptions::default()).unwrap();
        table.add(("another", EntryValue::Small(b"value"))).unwrap();
        let table = table.finish().unwrap();
        commit.add_table(table).unwrap();
        commit.publish(&Monitor::default()).unwrap();
        assert!(is_there(), "published");
        drop(publisher);
        Publisher::open(dir, options()).unwrap();
        assert!(is_there(), "opened again");
    }
}

/// A generation that is to be kept, and whose meta file is damaged: which files it needs is
/// unknown, so all files stay.
#[test]
fn files_stay_while_a_generation_to_be_kept_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let load = |value: &str, keep: usize| {
        let options = PublisherOptions::default().keep_generations(keep);
        let mut publisher = Publisher::open(dir, options).unwrap();
        let mut commit = publisher.begin();
        commit.replace_all();
        let mut table = commit.create_table(WriterOptions::default()).unwrap();
        table.add(("key", EntryValue::Small(value.as_bytes()))).unwrap();
        let table = table.finish().unwrap();
        commit.add_table(table).unwrap();
        commit.publish(&Monitor::default()).unwrap().not_removed
    };
    load("first", 2);
    load("second", 2);
    let damaged = path(dir, 2, FileKind::Meta);
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[20] ^= 1;
    fs::write(&damaged, &bytes).unwrap();
    let publisher = Publisher::open(dir, PublisherOptions::default().keep_generations(2)).unwrap();
    assert_eq!(publisher.not_removed().len(), 1);
    drop(publisher);
    load("third", 2);
    assert!(path(dir, 1, FileKind::Sst).exists());
    // Two newer generations are kept now, and the damaged one need not be.
    load("fourth", 2);
    let options = PublisherOptions::default().keep_generations(2);
    let mut publisher = Publisher::open(dir, options).unwrap();
    assert!(publisher.remove_obsolete_files().unwrap().is_empty());
    assert!(!path(dir, 1, FileKind::Sst).exists() && !damaged.exists());
}
