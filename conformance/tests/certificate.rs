//! A reader must find exactly the content that a publisher certified, and report any difference.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use sst_conformance::SplitMix;
use sst_format::content_digest::{ContentDigest, FamilyCertificate};
use sst_format::meta_file::{MetaFile, MetaFileParts};
use sst_format::{SequenceNumber, SstMeta};
use sst_merge::certify;
use sst_reader::{
    Corruption, LiveSet, Monitor, ReadError, ReaderOptions, SstSet, verify_directory,
};
use sst_writer::bulk::{BulkMode, Duplicates};
use sst_writer::{BulkLoader, BulkOptions, Publisher, PublisherOptions};

/// Publishes several loads, each adding to the ones before: values of all classes and blobs, with
/// keys overwritten and deleted.
fn publish(path: &Path, seed: u64) -> ContentDigest {
    let options = PublisherOptions::default().digest(true);
    let mut publisher = Publisher::open(path, options).unwrap();
    let mut random = SplitMix::new(seed);
    let mut certificate = None;
    for _ in 0..4 {
        let options = BulkOptions::default()
            .mode(BulkMode::Append)
            .duplicates(Duplicates::Keep)
            .blob_threshold(9000)
            .max_table_entries(90);
        let loader = BulkLoader::new(&mut publisher, options, &Monitor::default()).unwrap();
        let mut handle = loader.handle(0);
        for _ in 0..300 {
            let key = (random.word() % 400).to_be_bytes();
            let len = [0, 7, 300, 5000, 9500][usize::try_from(random.word() % 5).unwrap()];
            match random.word() % 7 {
                0 => handle.delete(key).unwrap(),
                _ => handle.put(key, random.half_random(len)).unwrap(),
            }
        }
        handle.finish().unwrap();
        let mut load = loader.prepare().unwrap();
        certificate = Some(certify(load.commit(), &Monitor::default()).unwrap());
        load.publish().unwrap();
    }
    certificate.unwrap()
}

fn open(path: &Path) -> SstSet {
    SstSet::open(path, &ReaderOptions::default()).unwrap()
}

#[test]
fn writer_and_reader_agree() {
    let parent = tempfile::tempdir().unwrap();
    for seed in 0..3 {
        let path = parent.path().join(seed.to_string());
        let expected = publish(&path, seed);
        let set = open(&path);
        assert!(set.layer_count() > 1 && expected.entries() > 100, "{expected}");
        assert_eq!(set.certificate(), Some(expected));
        let (sender, receiver) = std::sync::mpsc::channel();
        let monitor = Monitor::default()
            .progress(move |progress| sender.send((progress.entries, progress.bytes)).unwrap());
        assert_eq!(set.content_digest(&monitor).unwrap(), expected);
        drop(monitor);
        let seen: Vec<(u64, u64)> = receiver.iter().collect();
        assert!(seen.is_sorted());
        assert_eq!(seen.last(), Some(&(expected.entries(), expected.bytes())));
        assert_eq!(set.verify_certificate(&Monitor::default()).unwrap(), Some(expected));
        let report =
            verify_directory(&path, &ReaderOptions::default(), &Monitor::default()).unwrap();
        assert!(report.is_intact(), "{report:?}");
        assert_eq!(report.certificates, 1);
        let live = LiveSet::open(&path, &ReaderOptions::default()).unwrap();
        assert_eq!(live.snapshot().certificate(), Some(expected));
    }
}

/// The path of the newest meta file.
#[test]
fn a_set_of_a_range_has_no_certificate_and_calls_no_directory_damaged() {
    let parent = tempfile::tempdir().unwrap();
    let expected = publish(parent.path(), 1);
    let open =
        |hashes| SstSet::open_range(parent.path(), 0, hashes, &ReaderOptions::default()).unwrap();
    let half = open(0..=u64::MAX / 2);
    assert_eq!(half.certificate(), None);
    assert_eq!(half.verify_certificate(&Monitor::default()).unwrap(), None);
    let found = half.content_digest(&Monitor::default()).unwrap();
    assert!(0 < found.entries() && found.entries() < expected.entries());
    let refreshed = {
        publish(parent.path(), 2);
        half.refresh().unwrap().unwrap()
    };
    assert_eq!(refreshed.certificate(), None);
    // All hashes are no part.
    let all = open(0..=u64::MAX);
    assert!(all.certificate().is_some());
    assert!(all.verify_certificate(&Monitor::default()).unwrap().is_some());
}

fn newest_meta(path: &Path) -> PathBuf {
    let set = open(path);
    path.join(format!("{:08}.meta", set.catalog().commit.0))
}

#[test]
fn a_wrong_certificate_is_found() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("db");
    let content = publish(&path, 9);
    let file = newest_meta(&path);
    let bytes = fs::read(&file).unwrap();
    let meta = MetaFile::parse(&bytes, crc32fast::hash).unwrap();
    let section = meta.protection().unwrap();
    let tables: Vec<(SequenceNumber, SstMeta)> = meta
        .described()
        .unwrap()
        .iter()
        .map(|table| (table.record.sequence, table.description(&bytes).unwrap()))
        .collect();
    // The same meta file with one changed bit of the digest and correct checksums.
    for bit in [0, 64, 128, 383] {
        let mut wrong = content.to_bytes();
        wrong[bit / 8] ^= 1 << (bit % 8);
        let wrong = ContentDigest::from_bytes(&wrong);
        let (encoded, _) = MetaFileParts {
            family: meta.family(),
            obsolete: &meta.obsolete().collect::<Vec<_>>(),
            tables: &tables,
            live_metas: &section.live_metas().collect::<Vec<_>>(),
            blobs: &section.blobs().collect::<Vec<_>>(),
            certificates: &[FamilyCertificate { family: 0, content: wrong }],
        }
        .encode(crc32fast::hash)
        .unwrap();
        fs::write(&file, encoded).unwrap();
        let set = open(&path);
        match set.verify_certificate(&Monitor::default()).unwrap_err() {
            ReadError::Corrupt {
                file: named,
                cause: Corruption::Certificate { family: 0, expected, found },
                ..
            } => {
                assert_eq!(named.path(), file);
                assert_eq!((*expected, *found), (wrong, content));
            }
            other => panic!("{other:?}"),
        }
        let report =
            verify_directory(&path, &ReaderOptions::default(), &Monitor::default()).unwrap();
        let is_it = |error: &ReadError| {
            matches!(error, ReadError::Corrupt { cause: Corruption::Certificate { .. }, .. })
        };
        assert!(report.damage.len() == 1 && report.damage.iter().all(is_it), "{report:?}");
    }
}
