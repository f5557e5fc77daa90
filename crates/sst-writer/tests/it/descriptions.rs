//! Directories: which descriptions are live after any commits, and after a table was described
//! again.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use sst_format::current::Current;
use sst_format::meta_file::{MetaFile, MetaFileParts};
use sst_format::protection::LiveMeta;
use sst_format::{SequenceNumber, SstMeta};
use sst_writer::{EntryValue, Monitor, Publisher};

use crate::published::{commit, find, live, names, open, table};

/// The descriptions of tables in a protected meta file.
fn descriptions(bytes: &[u8]) -> Vec<(SequenceNumber, SstMeta)> {
    let meta = MetaFile::parse(bytes, crc32fast::hash).unwrap();
    let tables = meta.described().unwrap().into_iter();
    tables.map(|table| (table.record.sequence, table.description(bytes).unwrap())).collect()
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
    next.publish(&Monitor::default()).unwrap();
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
                let table = table(&commit, EntryValue::Blob(blob));
                expected.push(table.sequence());
                commit.add_table(table).unwrap();
            }
            commit.publish(&Monitor::default()).unwrap();
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
