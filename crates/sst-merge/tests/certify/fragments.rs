//! Tables that other processes or machines wrote become one commit, all of them or none.

use std::fs;
use std::path::{Path, PathBuf};

use sst_format::content_digest::ContentDigest;
use sst_merge::{FragmentInfo, FragmentOverlap, Gatherer, MergeError, publish};
use sst_reader::{Corruption, ReadError};
use sst_writer::bulk::BulkMode;
use sst_writer::monitor::CancelToken;
use sst_writer::table::hash_key;
use sst_writer::{BulkLoader, BulkOptions, Monitor, Publisher, PublisherOptions, WriterOptions};

use crate::rows::{Row, Value, certified, sorted};

const REFUSE: FragmentOverlap = FragmentOverlap::Refuse;

/// A directory with one table, of rows whose hashes are within a half of all.
fn machine(parent: &Path, half: u64, options: PublisherOptions) -> PathBuf {
    let path = parent.join(format!("machine {half}"));
    let mut publisher = Publisher::open(&path, options).unwrap();
    let mut commit = publisher.begin();
    let mut table = commit.create_table(WriterOptions::default()).unwrap();
    for row in rows().iter().filter(|row| row.hash >> 63 == half) {
        table.add(row.entry()).unwrap();
    }
    commit.add_table(table.finish().unwrap()).unwrap();
    publish(commit, &Monitor::default()).unwrap();
    path
}

fn rows() -> Vec<Row> {
    let value = |i: u32| match i % 5 {
        0 => Value::Inline(i.to_be_bytes().to_vec()),
        1 => Value::Medium(vec![b'm'; 6000]),
        2 => Value::Deleted,
        _ => Value::Small(format!("the value of row {i}").into_bytes()),
    };
    sorted((0..200_u32).map(|i| Row::new(i.to_be_bytes(), value(i))).collect())
}

fn content(publisher: &mut Publisher, rows: &[Row]) -> ContentDigest {
    let mut commit = publisher.begin();
    let mut table = commit.create_table(WriterOptions::default()).unwrap();
    rows.iter().for_each(|row| table.add(row.entry()).unwrap());
    commit.add_table(table.finish().unwrap()).unwrap();
    publish(commit, &Monitor::default()).unwrap().certificates[0].content
}

/// Gathers fragments into a directory. Returns their sizes, and the digest of the live entries.
fn gather(
    path: &Path,
    fragments: &[&Path],
    overlap: FragmentOverlap,
) -> Result<(Vec<FragmentInfo>, ContentDigest), MergeError> {
    let mut publisher = Publisher::open(path, certified()).unwrap();
    let mut commit = publisher.begin();
    let mut gatherer = Gatherer::new(&mut commit, overlap);
    let taken = fragments.iter().map(|fragment| gatherer.add(fragment, &Monitor::default()));
    let taken: Vec<_> = taken.collect::<Result<_, _>>()?;
    commit.replace_all();
    let info = publish(commit, &Monitor::default())?;
    Ok((taken, info.certificates[0].content))
}

#[test]
fn two_machines_make_one_commit() {
    let parent = tempfile::tempdir().unwrap();
    let expected =
        content(&mut Publisher::open(parent.path().join("alone"), certified()).unwrap(), &rows());
    // One of them certified, the other not.
    let first = machine(parent.path(), 0, certified());
    let second = machine(parent.path(), 1, PublisherOptions::default());
    let target = parent.path().join("all");
    let (taken, found) = gather(&target, &[&first, &second], REFUSE).unwrap();
    assert_eq!(found, expected);
    assert_eq!(taken.iter().map(|info| info.entries).sum::<u64>(), 200);
    assert_eq!(taken.iter().map(|info| info.is_certified).collect::<Vec<_>>(), [true, false]);
    assert_eq!(taken.iter().map(|info| (info.tables, info.rewritten)).max(), Some((1, 0)));
    // Copies under numbers of the directory's own.
    let bytes = |path: &Path, name: &str| fs::read(path.join(name)).unwrap();
    assert_eq!(bytes(&target, "00000001.sst"), bytes(&first, "00000001.sst"));
    assert_eq!(bytes(&target, "00000002.sst"), bytes(&second, "00000001.sst"));
    // Again, in place of all that, and by the name of a meta file.
    let meta = first.join("00000002.meta");
    let (_, found) = gather(&target, &[&second, &meta], REFUSE).unwrap();
    assert_eq!(found, expected);
    assert!(!target.join("00000001.sst").exists());
}

#[test]
fn blobs_get_numbers_of_their_own() {
    let parent = tempfile::tempdir().unwrap();
    let load = |path: &Path, from: u32, options: PublisherOptions| {
        let mut publisher = Publisher::open(path, options).unwrap();
        let bulk = BulkOptions::default().mode(BulkMode::Append).blob_threshold(50);
        let loader = BulkLoader::new(&mut publisher, bulk, &Monitor::default()).unwrap();
        let mut handle = loader.handle(0);
        for i in from..from + 60 {
            let len = if i % 10 == 0 { 100 } else { 9 + i as usize % 10 };
            handle.put(i.to_be_bytes(), &[b'v'; 100][..len]).unwrap();
            handle.put(format!("medium {i}").as_bytes(), [b'm'; 30]).unwrap();
        }
        handle.finish().unwrap();
        let mut load = loader.prepare().unwrap();
        if load.commit().has_digests() {
            sst_merge::certify(load.commit(), &Monitor::default()).unwrap();
        }
        load.publish().unwrap();
    };
    let paths = ["a", "b", "both", "target"].map(|name| parent.path().join(name));
    for options in [PublisherOptions::default(), certified()] {
        for path in &paths {
            _ = fs::remove_dir_all(path);
        }
        load(&paths[0], 0, options.clone());
        load(&paths[1], 1000, options);
        load(&paths[2], 0, certified());
        load(&paths[2], 1000, certified());
        let both = Publisher::open(&paths[2], certified())
            .unwrap()
            .begin()
            .publish(&Monitor::default())
            .unwrap();
        let fragments: [&Path; 2] = [&paths[0], &paths[1]];
        let later_wins = FragmentOverlap::LaterWins;
        let (taken, found) = gather(&paths[3], &fragments, later_wins).unwrap();
        assert_eq!(found, both.certificates[0].content);
        for info in taken {
            assert_eq!((info.blobs, info.rewritten, info.entries), (6, 1, 120));
        }
    }
}

#[test]
fn damage_anywhere_is_found_and_nothing_changes() {
    let parent = tempfile::tempdir().unwrap();
    let first = machine(parent.path(), 0, certified());
    let second = machine(parent.path(), 1, certified());
    let target = parent.path().join("all");
    gather(&target, &[&first], REFUSE).unwrap();
    let names = |path: &Path| {
        let files = fs::read_dir(path).unwrap().map(|file| file.unwrap().file_name());
        let mut files: Vec<_> = files.collect();
        files.sort();
        files
    };
    let before = names(&target);
    let mut damaged = 0;
    for name in ["00000001.sst", "00000002.meta", "CURRENT"] {
        let file = second.join(name);
        let intact = fs::read(&file).unwrap();
        for offset in (0..intact.len()).step_by(intact.len() / 20 + 1) {
            let mut bytes = intact.clone();
            bytes[offset] ^= 0x10;
            fs::write(&file, bytes).unwrap();
            let refused = gather(&target, &[&first, &second], REFUSE).unwrap_err();
            let MergeError::Read(ReadError::Corrupt { file: named, .. }) = &refused else {
                panic!("{name}, byte {offset}: {refused:?}")
            };
            assert_eq!(named.path(), file, "byte {offset}: {refused:?}");
            assert_eq!(names(&target), before);
            damaged += 1;
        }
        fs::write(&file, &intact[..intact.len() - 1]).unwrap();
        gather(&target, &[&first, &second], REFUSE).unwrap_err();
        fs::remove_file(&file).unwrap();
        let refused = gather(&target, &[&first, &second], REFUSE).unwrap_err();
        match &refused {
            MergeError::Publish(sst_writer::PublishError::File(error)) => {
                assert_eq!(error.path, file);
            }
            MergeError::Read(error) => assert_eq!(error.file().path(), file),
            MergeError::NotAFragment { path, .. } => assert_eq!(*path, second),
            _ => panic!("{name}: {refused:?}"),
        }
        assert_eq!(names(&target), before);
        fs::write(&file, intact).unwrap();
    }
    assert!(damaged > 40, "{damaged}");
    gather(&target, &[&first, &second], REFUSE).unwrap();
}

#[test]
fn a_table_of_another_fragment_does_not_pass() {
    let parent = tempfile::tempdir().unwrap();
    let first = machine(parent.path(), 0, certified());
    let second = machine(parent.path(), 1, certified());
    fs::copy(first.join("00000001.sst"), second.join("00000001.sst")).unwrap();
    let refused = gather(&parent.path().join("all"), &[&second], REFUSE).unwrap_err();
    assert!(matches!(refused, MergeError::Read(ReadError::Corrupt { .. })), "{refused:?}");
}

#[test]
fn fragments_must_fit_each_other() {
    let parent = tempfile::tempdir().unwrap();
    let first = machine(parent.path(), 0, certified());
    let copy = parent.path().join("copy");
    fs::create_dir(&copy).unwrap();
    for name in ["00000001.sst", "00000002.meta", "CURRENT"] {
        fs::copy(first.join(name), copy.join(name)).unwrap();
    }
    let target = parent.path().join("all");
    for overlap in [REFUSE, FragmentOverlap::LaterWins] {
        let refused = gather(&target, &[&first, &copy], overlap).unwrap_err();
        assert!(matches!(&refused, MergeError::FragmentTwice { path } if *path == copy));
    }
    // Another table over the same range.
    let other = parent.path().join("other");
    let newer: Vec<_> = rows()
        .into_iter()
        .filter(|row| row.hash >> 63 == 0)
        .map(|row| Row { value: Value::Small(b"newer".to_vec()), ..row })
        .collect();
    let expected = content(&mut Publisher::open(&other, certified()).unwrap(), &newer);
    let refused = gather(&target, &[&first, &other], REFUSE).unwrap_err();
    assert!(matches!(
        &refused,
        MergeError::FragmentsOverlap { path, other: before } if *path == other && *before == first
    ));
    let (_, found) = gather(&target, &[&first, &other], FragmentOverlap::LaterWins).unwrap();
    assert_eq!(found, expected);
    let (_, found) = gather(&target, &[&other, &first], FragmentOverlap::LaterWins).unwrap();
    assert_ne!(found, expected);
}

#[test]
fn only_commits_of_the_family_are_fragments() {
    let parent = tempfile::tempdir().unwrap();
    let (empty, target) = (parent.path().join("empty"), parent.path().join("all"));
    fs::create_dir(&empty).unwrap();
    let first = machine(parent.path(), 0, certified());
    let refused = gather(&target, &[&empty], REFUSE).unwrap_err();
    assert!(matches!(&refused, MergeError::NotAFragment { path, family: 0 } if *path == empty));
    let mut publisher = Publisher::open(&target, certified()).unwrap();
    let refused = Gatherer::new(&mut publisher.begin_family(3), REFUSE)
        .add(&first, &Monitor::default())
        .unwrap_err();
    assert!(matches!(&refused, MergeError::NotAFragment { path, family: 3 } if *path == first));
    // A commit without tables is a fragment without tables.
    Publisher::open(&empty, certified()).unwrap().begin().publish(&Monitor::default()).unwrap();
    let taken =
        Gatherer::new(&mut publisher.begin(), REFUSE).add(&empty, &Monitor::default()).unwrap();
    assert_eq!((taken.tables, taken.entries), (0, 0));
}

#[test]
fn a_fragment_that_does_not_hold_what_it_certifies_is_refused() {
    use sst_format::content_digest::FamilyCertificate;
    use sst_format::meta_file::{MetaFile, MetaFileParts};
    use sst_format::protection::LiveMeta;
    use sst_format::{SequenceNumber, SstMeta};
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("db");
    let mut publisher = Publisher::open(&path, certified()).unwrap();
    let mut commit = publisher.begin();
    let mut table = commit.create_table(WriterOptions::default()).unwrap();
    assert!(hash_key(b"key") > 0);
    table.add(("key", "value")).unwrap();
    let table = table.finish().unwrap();
    let described: [(SequenceNumber, SstMeta); 1] = [(table.sequence(), table.meta().clone())];
    commit.add_table(table).unwrap();
    let sequence = publish(commit, &Monitor::default()).unwrap().commit;
    drop(publisher);
    let file = path.join(format!("{:08}.meta", sequence.0));
    let bytes = fs::read(&file).unwrap();
    let meta = MetaFile::parse(&bytes, crc32fast::hash).unwrap();
    assert_eq!(meta.protection().unwrap().certificates().count(), 1);
    // Only the certificate does not fit.
    let content = ContentDigest::from_bytes(&[1; 48]);
    let parts = MetaFileParts {
        family: 0,
        obsolete: &[],
        tables: &described,
        live_metas: &[LiveMeta { sequence, checksum: 0 }],
        blobs: &[],
        certificates: &[FamilyCertificate { family: 0, content }],
    };
    fs::write(&file, parts.encode(crc32fast::hash).unwrap().0).unwrap();
    match gather(&parent.path().join("all"), &[&path], REFUSE).unwrap_err() {
        MergeError::Read(ReadError::Corrupt {
            file: named,
            cause: Corruption::Certificate { expected, .. },
            ..
        }) => assert_eq!((named.path(), *expected), (&*file, content)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_commit_that_is_called_off_leaves_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let [first, second] = [0, 1].map(|half| machine(parent.path(), half, certified()));
    let all = parent.path().join("all");
    gather(&all, &[&first], REFUSE).unwrap();
    let names = || {
        let files = fs::read_dir(&all).unwrap().map(|file| file.unwrap().file_name());
        files.collect::<std::collections::BTreeSet<_>>()
    };
    let before = names();
    // Before the first byte is copied, and with everything copied, before anything is visible.
    for is_copied in [false, true] {
        let cancel = CancelToken::default();
        let monitor = Monitor::default().cancel(cancel.clone());
        let mut publisher = Publisher::open(&all, PublisherOptions::default()).unwrap();
        let mut commit = publisher.begin();
        if is_copied {
            Gatherer::new(&mut commit, REFUSE).add(&second, &monitor).unwrap();
        }
        cancel.cancel();
        let error = match is_copied {
            false => {
                Gatherer::new(&mut commit, REFUSE).add(&second, &monitor).map(drop).unwrap_err()
            }
            true => publish(commit, &monitor).map(drop).unwrap_err(),
        };
        assert!(error.is_cancelled(), "{error}");
        assert_eq!(names(), before);
    }
}
