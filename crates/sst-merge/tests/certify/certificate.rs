//! Certified commits: the device holds what was put in, and the commit states its digest.

use std::fs;

use sha2::{Digest, Sha256};
use sst_format::block::Encoding;
use sst_merge::{MergeError, certify, publish as publish_certified};
use sst_reader::{Corruption, ReadError};
use sst_writer::bulk::Duplicates;
use sst_writer::table::{Compression, hash_key};
use sst_writer::{
    BulkLoader, BulkOptions, EntryValue, Monitor, PublishError, Publisher, PublisherOptions,
    WriterOptions,
};

use crate::rows::{Row, Value, finish, open, sorted};

/// The digest of live entries by FORMAT.md section 12. Entries are key, number of values of the key
/// before this one, and value.
fn digest(entries: &[(&[u8], u32, &[u8])]) -> [u8; 32] {
    let mut sum = [0_u8; 32];
    for (key, ordinal, value) in entries {
        let mut hasher = Sha256::new();
        match ordinal {
            0 => hasher.update([1]),
            n => hasher.update([[2].as_slice(), &n.to_be_bytes()].concat()),
        }
        hasher.update(key);
        hasher.update(Sha256::digest(value));
        let hash: [u8; 32] = hasher.finalize().into();
        let mut carry = 0;
        for (byte, term) in sum.iter_mut().zip(hash).rev() {
            carry += u32::from(*byte) + u32::from(term);
            *byte = u8::try_from(carry & 0xff).unwrap();
            carry >>= 8;
        }
    }
    sum
}

/// Publishes tables of rows in the order given. Returns the certificate of family 0: entries,
/// bytes, digest.
fn publish(
    publisher: &mut Publisher,
    tables: &[&[Row]],
    options: &WriterOptions,
    replace: bool,
) -> (u64, u64, [u8; 32]) {
    let mut commit = publisher.begin();
    if replace {
        commit.replace_all();
    }
    for rows in tables {
        let mut table = commit.create_table(options.clone()).unwrap();
        sorted(rows.to_vec()).iter().for_each(|row| table.add(row.entry()).unwrap());
        commit.add_table(table.finish().unwrap()).unwrap();
    }
    let info = publish_certified(commit, &Monitor::default()).unwrap();
    let [certificate] = info.certificates[..] else { panic!("{info:?}") };
    assert_eq!(certificate.family, 0);
    let content = certificate.content;
    (content.entries(), content.bytes(), content.sum())
}

fn small(key: &str, value: &[u8]) -> Row {
    Row::new(key, Value::Small(value.to_vec()))
}

fn deleted(key: &str) -> Row {
    Row::new(key, Value::Deleted)
}

#[test]
fn the_digest_is_that_of_the_format() {
    let directory = tempfile::tempdir().unwrap();
    let mut publisher = open(directory.path());
    let medium = vec![b'm'; 100_000];
    let compressed = lz4_flex::block::compress(&medium);
    let mut commit = publisher.begin();
    let blob = commit.create_blob(b"in a file of its own").unwrap();
    let rows = [
        Row::new("inline", Value::Inline(b"1".to_vec())),
        small("small", b"small value"),
        small("small", b"another"),
        deleted("small"),
        Row::new("medium", Value::Medium(medium.clone())),
        Row::new("raw", Value::Stored(Encoding::Lz4 { uncompressed_len: 100_000 }, compressed)),
        Row::new("stored", Value::Stored(Encoding::Raw, b"as it is".to_vec())),
        Row::new("blob", Value::Blob(blob.0)),
        deleted("gone"),
    ];
    let mut table = commit.create_table(WriterOptions::default().multi_value(true)).unwrap();
    sorted(rows.to_vec()).iter().for_each(|row| table.add(row.entry()).unwrap());
    commit.add_table(table.finish().unwrap()).unwrap();
    let info = publish_certified(commit, &Monitor::default()).unwrap();
    let live: &[(&[u8], u32, &[u8])] = &[
        (b"inline", 0, b"1"),
        (b"small", 0, b"small value"),
        (b"small", 1, b"another"),
        (b"medium", 0, &medium),
        (b"raw", 0, &medium),
        (b"stored", 0, b"as it is"),
        (b"blob", 0, b"in a file of its own"),
    ];
    let content = info.certificates[0].content;
    assert_eq!(content.sum(), digest(live));
    let bytes: usize = live.iter().map(|(key, _, value)| key.len() + value.len()).sum();
    assert_eq!((content.entries(), content.bytes()), (7, bytes as u64));
}

#[test]
fn the_same_live_entries_have_the_same_certificate() {
    let parent = tempfile::tempdir().unwrap();
    let rows: Vec<Row> = (0..2000).map(|i| small(&format!("k{i}"), &[7; 300])).collect();
    let plain = WriterOptions::default();
    let expected = publish(&mut open(&parent.path().join("one")), &[&rows], &plain, false);
    let bytes = rows.iter().map(|row| row.key.len() as u64 + 300).sum();
    assert_eq!((expected.0, expected.1), (2000, bytes));

    // In other tables, in another order, stored otherwise.
    let stored = WriterOptions::default().compression(Compression::None);
    let tables: [&[Row]; 3] = [&rows[1500..], &rows[..700], &rows[700..1500]];
    let mut several = open(&parent.path().join("several"));
    assert_eq!(publish(&mut several, &tables, &stored, false), expected);

    // On top of entries that it hides, with tombstones for what is not there.
    let mut layered = open(&parent.path().join("layered"));
    let old: Vec<Row> = (0..2100).map(|i| small(&format!("k{i}"), b"an old value")).collect();
    publish(&mut layered, &[&old], &plain, false);
    let others: Vec<Row> = (2000..2100).map(|i| deleted(&format!("k{i}"))).collect();
    publish(&mut layered, &[&others, &rows[1000..]], &plain, false);
    assert_ne!(publish(&mut layered, &[&[deleted("nobody")]], &plain, false), expected);
    assert_eq!(publish(&mut layered, &[&rows[..1000]], &plain, false), expected);

    // Through a bulk load, some values in blobs.
    let mut loaded = open(&parent.path().join("loaded"));
    let options = BulkOptions::default().max_table_entries(300).blob_threshold(299);
    let loader = BulkLoader::new(&mut loaded, options, &Monitor::default()).unwrap();
    let mut handle = loader.handle(0);
    rows[..50].iter().for_each(|row| handle.put(&row.key, [7; 300]).unwrap());
    handle.finish().unwrap();
    let summary = finish(loader).unwrap();
    assert_eq!((summary.blobs, summary.certificates[0].content.entries()), (50, 50));
    let first = publish(&mut open(&parent.path().join("first")), &[&rows[..50]], &plain, false);
    assert_eq!(summary.certificates[0].content.sum(), first.2);
}

#[test]
fn other_live_entries_have_another_certificate() {
    let parent = tempfile::tempdir().unwrap();
    let options = WriterOptions::default().multi_value(true);
    let rows = [small("a", b"one"), small("a", b"two"), small("b", b"three")];
    let contents: [&[Row]; 6] = [
        &rows,
        &rows[..2],
        &[small("a", b"two"), small("a", b"one"), small("b", b"three")],
        &[small("a", b"one"), small("a", b"twO"), small("b", b"three")],
        &[small("a", b"one"), small("b", b"two"), small("b", b"three")],
        &[small("a", b"one"), small("a", b"two"), small("bt", b"hree")],
    ];
    let mut seen = Vec::new();
    for (i, rows) in contents.into_iter().enumerate() {
        let mut publisher = open(&parent.path().join(i.to_string()));
        let certificate = publish(&mut publisher, &[rows], &options, false);
        assert!(!seen.contains(&certificate.2), "{i}");
        seen.push(certificate.2);
    }
}

#[test]
fn no_byte_of_a_table_or_blob_can_be_wrong() {
    let parent = tempfile::tempdir().unwrap();
    let rows = [small("a", &[b'x'; 40]), small("b", b"a value of some length")];
    let mut at = 0;
    loop {
        let path = parent.path().join("db");
        let mut publisher = open(&path);
        let mut commit = publisher.begin();
        let blob = commit.create_blob(b"some blob").unwrap();
        let mut table = commit.create_table(WriterOptions::default()).unwrap();
        let mut rows = rows.to_vec();
        rows.push(Row::new("c", Value::Blob(blob.0)));
        sorted(rows).iter().for_each(|row| table.add(row.entry()).unwrap());
        let table = table.finish().unwrap();
        let files = [
            path.join(format!("{:08}.sst", table.sequence().0)),
            path.join(format!("{:08}.blob", blob.0)),
        ];
        commit.add_table(table).unwrap();
        let lens = files.each_ref().map(|file| fs::read(file).unwrap().len());
        let (file, offset) = match at {
            at if at < lens[0] => (&files[0], at),
            at if at < lens[0] + lens[1] => (&files[1], at - lens[0]),
            _ => break,
        };
        let mut bytes = fs::read(file).unwrap();
        bytes[offset] ^= 1;
        fs::write(file, bytes).unwrap();
        let refused = publish_certified(commit, &Monitor::default());
        assert!(
            matches!(&refused, Err(MergeError::Read(ReadError::Corrupt { file: named, .. }))
                if named.path() == file),
            "byte {offset} of {}: {refused:?}",
            file.display(),
        );
        assert_eq!(publisher.current(), None);
        drop(publisher);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "LOCK alone");
        at += 1;
    }
    assert!(at > 100, "{at}");
}

#[test]
fn a_missing_or_short_table_is_not_published() {
    for len in [None, Some(0), Some(3), Some(60)] {
        let directory = tempfile::tempdir().unwrap();
        let mut publisher = open(directory.path());
        let mut commit = publisher.begin();
        let mut table = commit.create_table(WriterOptions::default()).unwrap();
        table.add(("key", "a value that is not inline")).unwrap();
        let table = table.finish().unwrap();
        let file = directory.path().join(format!("{:08}.sst", table.sequence().0));
        commit.add_table(table).unwrap();
        match len {
            None => fs::remove_file(&file).unwrap(),
            Some(len) => fs::File::options().write(true).open(&file).unwrap().set_len(len).unwrap(),
        }
        let refused = publish_certified(commit, &Monitor::default()).unwrap_err();
        let is_short = matches!(
            &refused,
            MergeError::Read(ReadError::Corrupt { cause: Corruption::FileSize { .. }, .. })
        );
        let is_missing = matches!(&refused, MergeError::Publish(PublishError::File(error)) if error.path == file);
        assert!(if len.is_some() { is_short } else { is_missing }, "{len:?}: {refused:?}");
        assert_eq!(publisher.current(), None);
    }
}

#[test]
fn a_family_that_was_not_read_has_no_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let row = |family: u32| ("key", format!("family {family}"));
    let commit = |publisher: &mut Publisher, family: u32| {
        let mut commit = publisher.begin_family(family);
        let mut table = commit.create_table(WriterOptions::default()).unwrap();
        table.add(row(family)).unwrap();
        commit.add_table(table.finish().unwrap()).unwrap();
        commit.replace_all();
        let info = publish_certified(commit, &Monitor::default()).unwrap();
        info.certificates.iter().map(|known| known.family).collect::<Vec<_>>()
    };
    let keep = || PublisherOptions::default().keep_generations(9);
    let mut publisher = Publisher::open(directory.path(), keep().digest(true)).unwrap();
    assert_eq!(commit(&mut publisher, 3), [3]);
    assert_eq!(commit(&mut publisher, 1), [1, 3]);
    let certified = publisher.current();
    drop(publisher);
    // Without digests the certificate of family 1 is dropped, and that of family 3 stays.
    let mut publisher = Publisher::open(directory.path(), keep()).unwrap();
    assert_eq!(commit(&mut publisher, 1), [3]);
    assert_eq!(commit(&mut publisher, 0), [3]);
    // A rollback brings back the certificates of the earlier commit.
    let info = publisher.rollback(certified, &Monitor::default()).unwrap();
    let families: Vec<_> = info.certificates.iter().map(|known| known.family).collect();
    assert_eq!(families, [1, 3]);
    let content = info.certificates[0].content;
    assert_eq!(content.sum(), digest(&[(b"key", 0, b"family 1")]));
}

#[test]
fn duplicates_that_are_kept_count_in_their_order() {
    let directory = tempfile::tempdir().unwrap();
    let mut publisher = open(directory.path());
    let options = BulkOptions::default().duplicates(Duplicates::Keep).threads(2);
    let loader = BulkLoader::new(&mut publisher, options, &Monitor::default()).unwrap();
    let mut handle = loader.handle(0);
    for value in [b"one", b"two"] {
        handle.put(b"key", value).unwrap();
    }
    handle.finish().unwrap();
    let content = finish(loader).unwrap().certificates[0].content;
    assert_eq!(content.sum(), digest(&[(b"key", 0, b"one"), (b"key", 1, b"two")]));
}

#[test]
fn a_commit_without_digests_is_not_certified() {
    let directory = tempfile::tempdir().unwrap();
    let mut publisher = Publisher::open(directory.path(), PublisherOptions::default()).unwrap();
    let mut commit = publisher.begin();
    let mut table = commit.create_table(WriterOptions::default()).unwrap();
    table.add(("key", EntryValue::Inline(b"v"))).unwrap();
    let table = table.finish().unwrap();
    assert_eq!(table.meta().min_hash, hash_key(b"key"));
    commit.add_table(table).unwrap();
    let mut prepared = commit.prepare().unwrap();
    assert!(matches!(certify(&mut prepared, &Monitor::default()), Err(MergeError::NoDigests)));
    assert_eq!(prepared.publish(&Monitor::default()).unwrap().certificates, []);
}
