//! Verification of a directory whose head is damaged: it must find all other damage, and report
//! each damage once.

use std::collections::BTreeMap;
use std::fs;

use sst_conformance::{TestEntry, TestValue};
use sst_reader::{Corruption, ReadError, ReaderOptions, verify_directory};
use sst_torture::model::database::{Changes, Database};
use sst_torture::model::{files, numbered, sorted};

/// A directory of two commits: a table with two blobs, then a table.
fn database() -> Database {
    let entries = (0..2_u32).map(|i| TestEntry::new(i.to_be_bytes(), TestValue::Blob(i))).collect();
    let mut database = Database::new();
    let blobs = vec![vec![7; 5000], vec![8; 5000]];
    database.commit(Changes { tables: vec![sorted(entries)], blobs, ..Changes::default() });
    database.commit(Changes::table(numbered(100, |_| TestValue::Small(vec![9; 30]))));
    database
}

/// For each file, how often it is reported, and how many of these reports say that it is missing.
fn reported(database: &Database) -> BTreeMap<String, (usize, usize)> {
    let report = verify_directory(
        database.dir(),
        &ReaderOptions::default(),
        &sst_reader::Monitor::default(),
    )
    .unwrap();
    let mut found = BTreeMap::<String, (usize, usize)>::new();
    for error in &report.damage {
        let ReadError::Corrupt { file, cause, .. } = error else { panic!("{error}") };
        let name = file.path().file_name().unwrap().to_str().unwrap();
        let (count, missing) = found.entry(name.to_owned()).or_default();
        *count += 1;
        *missing += usize::from(matches!(cause, Corruption::Missing));
    }
    found
}

#[test]
fn all_other_damage_is_found_behind_a_damaged_head() {
    let database = database();
    let of_kind = |extension: &str| {
        let all = files(database.dir()).into_iter();
        all.filter(|path| path.extension().is_some_and(|of| of == extension)).collect::<Vec<_>>()
    };
    let [metas, tables, blobs] = ["meta", "sst", "blob"].map(of_kind);
    assert_eq!([metas.len(), tables.len(), blobs.len()], [2, 2, 2]);
    let name = |path: &std::path::Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let flip = |path: &std::path::Path, at: usize| {
        let mut bytes = fs::read(path).unwrap();
        bytes[at] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    let current = database.dir().join("CURRENT");
    flip(&current, 0);
    let mut expected = BTreeMap::from([("CURRENT".to_owned(), (1, 0))]);
    assert_eq!(reported(&database), expected);
    fs::remove_file(&tables[0]).unwrap();
    expected.insert(name(&tables[0]), (1, 1));
    flip(&tables[1], 20);
    expected.insert(name(&tables[1]), (1, 0));
    flip(&blobs[1], 10);
    expected.insert(name(&blobs[1]), (1, 0));
    assert_eq!(reported(&database), expected);
    // A missing table whose meta file is missing too is unknown; a meta file that is listed is
    // reported as missing.
    fs::remove_file(&metas[0]).unwrap();
    expected.remove(&name(&tables[0]));
    expected.insert(name(&metas[0]), (1, 1));
    assert_eq!(reported(&database), expected);
    // The error with which opening ends is not reported twice.
    flip(&current, 0);
    flip(&metas[1], 10);
    expected.remove("CURRENT");
    expected.remove(&name(&metas[0]));
    expected.insert(name(&metas[1]), (1, 0));
    assert_eq!(reported(&database), expected);
}
