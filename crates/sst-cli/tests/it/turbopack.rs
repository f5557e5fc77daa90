//! `sst verify --for-turbopack`, directories of other revisions of the original, and oddities of
//! unprotected directories.

use std::fs;
use std::path::{Path, PathBuf};

use sst_format::SequenceNumber;
use sst_format::del_file::DelFile;
use sst_format::meta_file::MetaFile;

use crate::harness::{Scratch, join, names, repository, sst, sst_with_input, tables};

/// Loads into a directory, and removes the lock file `LOCK` of older builds.
fn load(db: &Path, tsv: &str, args: &[&str]) {
    let args = join(&[&"load", &"-", &db, &"--format", &"tsv", &"--increment"], args);
    sst_with_input(&args, tsv.as_bytes()).expect(0);
    if db.join("LOCK").exists() {
        fs::remove_file(db.join("LOCK")).unwrap();
    }
}

/// The objections that `sst verify --for-turbopack` reports.
fn objections(db: &Path, code: i32) -> Vec<String> {
    let report = sst(&[&"verify", &db, &"--for-turbopack", &"--json"]).expect(code).json();
    assert_eq!(report["intact"], true);
    let objections = report["not_for_turbopack"].as_array().unwrap();
    objections.iter().map(|it| it.as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn assert_refused(db: &Path, words: &[&str]) {
    let objections = objections(db, 2);
    assert!(objections.len() == 1, "{objections:?}");
    assert!(words.iter().all(|word| objections[0].contains(word)), "{objections:?}");
}

/// A cache directory that Next.js wrote, without the file that the vectors add.
fn cache(scratch: &Scratch) -> PathBuf {
    let copy = scratch.copy_of(&repository("conformance/vectors/turbopack-tiny"), "cache");
    fs::remove_file(copy.join("expected.json")).unwrap();
    copy
}

#[test]
fn what_turbopack_wrote_and_what_is_loaded_is_for_turbopack() {
    let scratch = Scratch::new();
    assert_eq!(objections(&cache(&scratch), 0), [""; 0]);
    let db = scratch.path("db");
    load(&db, "a\t1\nb\t2\n", &[]);
    load(&db, "b\t\\N\nc\t3\n", &["--family", "3"]);
    assert_eq!(objections(&db, 0), [""; 0]);
    let text = sst(&[&"verify", &db, &"--for-turbopack"]).expect(0).text().to_owned();
    assert!(text.contains("can read it"), "{text}");
}

#[test]
fn a_file_that_turbopack_does_not_know_is_not_for_it() {
    let scratch = Scratch::new();
    let db = cache(&scratch);
    fs::write(db.join(".hidden"), "").unwrap();
    assert_eq!(objections(&db, 0), [""; 0]);
    fs::write(db.join("LOCK"), "").unwrap();
    assert_refused(&db, &["LOCK"]);
    fs::rename(db.join("LOCK"), db.join("00000001.sst.meta")).unwrap();
    assert_refused(&db, &["00000001.sst.meta"]);
}

#[test]
fn tables_without_a_filter_are_not_for_turbopack_until_they_are_merged() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    load(&db, "a\t1\n", &["--no-filter"]);
    assert_refused(&db, &[tables(&db)[0].file_name().unwrap().to_str().unwrap(), "filter"]);
    load(&db, "b\t2\n", &[]);
    assert_refused(&db, &[tables(&db)[0].file_name().unwrap().to_str().unwrap(), "filter"]);
    sst(&[&"merge", &db, &"--in-place"]).expect(0);
    load(&db, "c\t2\n", &[]);
    assert_eq!(objections(&db, 0), [""; 0]);
}

#[test]
fn several_values_of_a_key_are_for_turbopack_in_its_family_for_them_only() {
    let scratch = Scratch::new();
    let three = scratch.path("three");
    load(&three, "a\t1\na\t2\n", &["--duplicates", "keep", "--family", "3"]);
    assert_eq!(objections(&three, 0), [""; 0]);
    let two = scratch.path("two");
    load(&two, "a\t1\na\t2\nb\t1\n", &["--duplicates", "keep", "--family", "2"]);
    assert_refused(&two, &["several values", "`a`"]);
}

#[test]
fn a_family_that_turbopack_does_not_have_is_not_for_it() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    load(&db, "a\t1\n", &["--family", "4"]);
    assert_refused(&db, &["family 4"]);
}

#[test]
fn a_rollback_is_for_turbopack() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    load(&db, "a\t1\n", &[]);
    load(&db, "a\t2\n", &[]);
    sst(&[&"rollback", &db]).expect(0);
    load(&db, "b\t2\n", &["--keep-generations", "5"]);
    assert_eq!(objections(&db, 0), [""; 0]);
    // Without the `.del` file, the meta file that was rolled back counts as live for the original's
    // readers.
    let del = names(&db).into_iter().rfind(|name| name.ends_with(".del")).unwrap();
    fs::remove_file(db.join(del)).unwrap();
    assert_refused(&db, &["live for Turbopack"]);
}

/// Gives every filter of an unprotected directory the first bytes that Next.js 16.2 wrote.
fn as_of_16_2(dir: &Path) {
    start_filters(dir, b"\x1e\x04\x01b\x0f");
}

/// Replaces the first bytes of every filter of an unprotected directory.
fn start_filters(dir: &Path, start: &[u8]) {
    for name in names(dir).into_iter().filter(|name| name.ends_with(".meta")) {
        let mut bytes = fs::read(dir.join(&name)).unwrap();
        let ranges: Vec<_> =
            MetaFile::parse(&bytes, crc32fast::hash).unwrap().filter_ranges().collect();
        for range in ranges {
            bytes[range][..start.len()].copy_from_slice(start);
        }
        fs::write(dir.join(name), bytes).unwrap();
    }
}

#[test]
fn directories_with_filters_of_next_16_2_are_read_by_all_commands() {
    let scratch = Scratch::new();
    let db = cache(&scratch);
    let scan = |db: &Path| sst(&[&"scan", &db, &"--hex", &"--family", &"1"]).expect(0).stdout;
    let before = scan(&db);
    as_of_16_2(&db);
    assert!(scan(&db) == before && !before.is_empty());
    let line = String::from_utf8(before).unwrap();
    let (key, value) = line.lines().next().unwrap().split_once('\t').unwrap();
    let get = sst(&[&"get", &db, &"--family", &"1", &"--hex", &key]).expect(0);
    assert_eq!(get.text().trim_end().split_once('\t'), Some((key, value)));
    sst(&[&"get", &db, &"--family", &"1", &"--hex", &"00"]).expect(1);
    for table in sst(&[&"inspect", &db, &"--json"]).expect(0).json()["tables"].as_array().unwrap() {
        let filter = &table["filter"];
        assert!(filter["releases"].as_str().unwrap().contains("16.2"), "{filter}");
        assert!(filter["bytes"].as_u64().unwrap() > 0, "{filter}");
    }
    sst(&[&"inspect", &db]).expect(0);
    let report = sst(&[&"verify", &db, &"--json"]).expect(0).json();
    let notes = report["notes"].as_array().unwrap();
    assert!(notes.len() == 1 && notes[0].as_str().unwrap().contains("16.2"), "{notes:?}");
    assert_eq!(objections(&db, 2).len(), 4);
    let out = scratch.path("out");
    sst(&[&"merge", &db, &"--family", &"1", &"-o", &out]).expect(0);
    let merged = sst(&[&"scan", &out, &"--hex"]).expect(0);
    assert_eq!(merged.text(), line);
}

#[test]
fn a_filter_that_cannot_be_read_is_damage_in_a_report_of_its_table() {
    let scratch = Scratch::new();
    let db = cache(&scratch);
    start_filters(&db, &[0xff; 16]);
    let report = sst(&[&"inspect", &db, &"--json"]).expect(2).json();
    assert_eq!(report["damage"].as_array().unwrap().len(), tables(&db).len(), "{report}");
}

#[test]
fn tables_that_two_meta_files_name_or_none_are_noted() {
    let scratch = Scratch::new();
    let db = cache(&scratch);
    let quiet = sst(&[&"verify", &db, &"--json"]).expect(0).json();
    assert_eq!(quiet["notes"].as_array().unwrap().len(), 0);
    let current = fs::read(db.join("CURRENT")).unwrap();
    let current = u32::from_be_bytes(current[..4].try_into().unwrap());
    let meta = names(&db).into_iter().find(|name| name.ends_with(".meta")).unwrap();
    let (again, stray) = (format!("{:08}.meta", current + 1), format!("{:08}.sst", current + 2));
    fs::copy(db.join(&meta), db.join(&again)).unwrap();
    fs::copy(&tables(&db)[0], db.join(&stray)).unwrap();
    fs::write(db.join("CURRENT"), (current + 2).to_be_bytes()).unwrap();
    let report = sst(&[&"verify", &db, &"--json"]).expect(0).json();
    let notes: Vec<_> =
        report["notes"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].contains(&meta) && notes[0].contains(&again), "{notes:?}");
    assert!(notes[1].contains(&stray), "{notes:?}");
}

#[test]
fn no_table_is_noted_to_be_unnamed_if_a_meta_file_cannot_be_read() {
    let scratch = Scratch::new();
    let db = cache(&scratch);
    let current = fs::read(db.join("CURRENT")).unwrap();
    let current = u32::from_be_bytes(current[..4].try_into().unwrap());
    let dead = format!("{:08}.meta", current + 1);
    fs::write(db.join(&dead), "not a meta file").unwrap();
    let del = DelFile::encode([SequenceNumber(current + 1)]);
    fs::write(db.join(format!("{:08}.del", current + 2)), del).unwrap();
    fs::copy(&tables(&db)[0], db.join(format!("{:08}.sst", current + 3))).unwrap();
    fs::write(db.join("CURRENT"), (current + 3).to_be_bytes()).unwrap();
    let report = sst(&[&"verify", &db, &"--json"]).expect(0).json();
    let notes = report["notes"].as_array().unwrap();
    assert!(notes.len() == 1 && notes[0].as_str().unwrap().contains(&dead), "{notes:?}");
}

/// Family 0 of a cache that Next.js 16.2.9 wrote, with a filter in its encoding.
#[test]
fn a_directory_that_next_16_2_wrote_is_read() {
    let scratch = Scratch::new();
    let vector = repository("conformance/vectors/next-16.2");
    let db = scratch.copy_of(&vector, "db");
    fs::remove_file(db.join("README.md")).unwrap();
    let scanned = sst(&[&"scan", &db, &"--hex"]).expect(0);
    assert_eq!(scanned.text(), "00000000\t00\n01000000\t68770100\n");
    let got = sst(&[&"get", &db, &"--hex", &"00000000", &"01000000"]).expect(0);
    assert_eq!(got.text(), scanned.text());
    let report = sst(&[&"verify", &db, &"--json"]).expect(0).json();
    assert!(report["notes"][0].as_str().unwrap().contains("16.2"), "{report}");
    objections(&db, 2);
}
