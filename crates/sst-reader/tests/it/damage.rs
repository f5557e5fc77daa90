//! Damage ends in typed errors that name the file and the block, never in a wrong answer.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;

use sst_format::BlockIndex;
use sst_reader::{
    Access, Affected, BlockRole, Corruption, Lookup, Monitor, ReadError, ReaderOptions,
    StaticSortedFile,
};

use crate::support::{Entry, Table, of_all_kinds};

fn open(table: &Table, bytes: Vec<u8>) -> Result<StaticSortedFile, ReadError> {
    StaticSortedFile::from_bytes("a table", bytes, Some(&table.meta), &ReaderOptions::default())
}

#[test]
fn every_damaged_block_is_named() {
    let entries = of_all_kinds(200);
    let table = Table::new(&entries);
    let info = open(&table, table.bytes.clone()).unwrap().inspect().unwrap();
    for block in &info.blocks {
        let mut bytes = table.bytes.clone();
        bytes[block.start as usize + 8] ^= 0x10;
        let is_of_block = |error: &ReadError| match error {
            ReadError::Corrupt { block: found, cause: Corruption::Checksum { .. }, .. } => {
                *found == Some(block.index)
            }
            _ => false,
        };
        let damaged = match open(&table, bytes) {
            Ok(damaged) => damaged,
            Err(error) => {
                assert!(block.role == BlockRole::Index && is_of_block(&error), "{error:?}");
                continue;
            }
        };
        let report = damaged.verify(&Monitor::default()).unwrap();
        assert!(report.damage.iter().any(is_of_block), "{report:?}");
        let failed = lookups_that_fail(&damaged, &entries, is_of_block);
        assert!(failed > 0, "{block:?}");
        assert_eq!(lost(&damaged, block.index), failed, "{block:?}");
    }
}

/// How many lookups fail. All others must give the right answer.
fn lookups_that_fail(
    table: &StaticSortedFile,
    entries: &[Entry],
    is_expected: impl Fn(&ReadError) -> bool,
) -> usize {
    let mut failed = 0;
    for (key, value) in entries {
        match table.get(key) {
            Ok(Lookup::Value(found)) => assert_eq!(Some(found.as_slice()), value.bytes()),
            Ok(Lookup::Deleted | Lookup::Blob(_)) => assert_eq!(value.bytes(), None),
            Ok(Lookup::NotFound) => panic!("{key:?} is lost without an error"),
            Err(error) => {
                assert!(is_expected(&error), "{error:?}");
                failed += 1;
            }
        }
    }
    failed
}

/// How many keys the table itself says are lost with a block.
fn lost(table: &StaticSortedFile, block: BlockIndex) -> usize {
    let (blocks, blobs) = (BTreeSet::from([block]), BTreeSet::new());
    let mut lost = 0;
    let walked = table.affected_by::<ReadError>(&blocks, &blobs, &mut |affected| {
        lost += match affected {
            Affected::ValueInBlock { .. } => 1,
            // The keys of a damaged key block are lost with it; 40 are in each.
            Affected::Hashes { .. } => 40,
            Affected::ValueInBlob { .. } => panic!("no blob is damaged"),
        };
        Ok(())
    });
    walked.unwrap();
    lost
}

#[test]
fn keys_of_a_block_that_is_over_the_limit_are_not_lost() {
    let table = Table::new(&of_all_kinds(200));
    let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    fs::write(&path, &table.bytes).unwrap();
    let options = ReaderOptions::default().access(Access::Read);
    let index = StaticSortedFile::open(&path, &table.meta, &options).unwrap().inspect().unwrap();
    let index_len = index.blocks.last().unwrap().payload_len;
    // The index block can be read, and no key block.
    let options = options.max_payload_len(index_len);
    let file = StaticSortedFile::open(&path, &table.meta, &options).unwrap();
    let (blocks, blobs) = (BTreeSet::new(), BTreeSet::new());
    let walked = file.affected_by::<ReadError>(&blocks, &blobs, &mut |affected| {
        panic!("{affected:?} is said to be lost");
    });
    assert!(matches!(walked, Err(ReadError::OverLimit { .. })), "{walked:?}");
}

#[test]
fn a_file_of_another_length_or_description_is_refused() {
    let table = Table::new(&of_all_kinds(50));
    let mut longer = table.bytes.clone();
    longer.push(0);
    let error = open(&table, longer).unwrap_err();
    assert!(
        matches!(error, ReadError::Corrupt { cause: Corruption::FileSize { .. }, .. }),
        "{error:?}"
    );
    let mut wrong = table.clone();
    wrong.meta.block_count += 1;
    assert!(open(&wrong, table.bytes.clone()).unwrap_err().is_corruption());
    for len in [0, 1, 3, 4, 11, 12, table.bytes.len() / 2, table.bytes.len() - 1] {
        let short = table.bytes[..len].to_vec();
        let options = ReaderOptions::default();
        let error = StaticSortedFile::from_bytes("short", short, None, &options).unwrap_err();
        assert!(error.is_corruption(), "{len}: {error:?}");
    }
}

#[test]
fn a_header_that_differs_from_its_protected_copy_is_found() {
    let table = Table::new(&of_all_kinds(50));
    let mut bytes = table.bytes.clone();
    bytes[0] ^= 1;
    let report = open(&table, bytes).unwrap().verify(&Monitor::default()).unwrap();
    let mismatch = |error: &ReadError| {
        matches!(error, ReadError::Corrupt { cause: Corruption::HeaderMismatch { .. }, .. })
    };
    assert!(report.damage.iter().any(mismatch), "{report:?}");
}

#[test]
fn errors_of_the_system_have_their_source() {
    let options = ReaderOptions::default();
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().to_owned(), dir.path().join("absent.sst")] {
        let error = StaticSortedFile::open_standalone(&path, &options).unwrap_err();
        assert!(matches!(error, ReadError::Io { .. }) && !error.is_corruption());
        assert!(error.source().is_some_and(|source| source.is::<std::io::Error>()));
        assert_eq!(error.file().path(), path);
    }
}

#[test]
fn a_walk_ends_with_its_first_error() {
    let entries = of_all_kinds(200);
    let table = Table::new(&entries);
    let info = open(&table, table.bytes.clone()).unwrap().inspect().unwrap();
    let second = info.blocks.iter().filter(|block| block.role == BlockRole::Keys).nth(1).unwrap();
    let mut bytes = table.bytes.clone();
    bytes[second.start as usize + 20] ^= 1;
    let damaged = open(&table, bytes).unwrap();
    let walked: Vec<_> = damaged.iter().collect();
    assert_eq!(walked.len(), 41);
    assert!(walked[..40].iter().all(Result::is_ok) && walked[40].is_err());
    let mut cursor = damaged.cursor();
    for _ in 0..40 {
        assert!(cursor.next().unwrap().is_some());
    }
    assert!(cursor.next().is_err());
    assert!(cursor.next().unwrap().is_none() && cursor.current().unwrap().is_none());
}
