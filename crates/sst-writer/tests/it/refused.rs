//! Directories that a publisher refuses to open: locked, of others, damaged.

use std::fs;
use std::path::Path;

use sst_format::current::Current;
use sst_format::meta_file::MetaFileParts;
use sst_format::protection::LiveMeta;
use sst_format::{FormatError, SequenceNumber};
use sst_writer::publish::LOCK_FILE_NAME;
use sst_writer::{PublishError, Publisher, PublisherOptions};

use crate::published::{commit, names, open};

fn refused(directory: &Path) -> PublishError {
    let before = names(directory);
    let error = Publisher::open(directory, PublisherOptions::default()).unwrap_err();
    let locked = [before, vec![LOCK_FILE_NAME.to_owned()]].concat();
    assert!(locked.iter().all(|name| directory.join(name).exists()));
    error
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
        let missing = refused(path);
        assert!(missing.is_corruption());
        match missing {
            PublishError::MissingMeta { path } => assert_eq!(path, file),
            missing => assert!(matches!(missing, PublishError::MissingCurrent { .. })),
        }
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
