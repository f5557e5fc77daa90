//! Damaged files: `verify` must find the damage, and no command may panic or give a wrong answer.

use std::fs;
use std::path::Path;

use crate::harness::{Arg, Scratch, join, names, repository, sst, tables};

/// The files of a directory except the lock file, with their content.
fn files(db: &Path) -> Vec<(String, Vec<u8>)> {
    let names = names(db).into_iter().filter(|name| name != ".lock");
    names.map(|name| (name.clone(), fs::read(db.join(&name)).unwrap())).collect()
}

#[test]
fn every_damaged_byte_of_a_directory_is_found() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\tone\nb\ttwo and a half\nc\t\\N\n");
    sst(&[&"verify", &db]).expect(0);
    for (name, bytes) in files(&db) {
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            fs::write(db.join(&name), damaged).unwrap();
            let report = sst(&[&"verify", &db, &"--json"]).expect(2).json();
            assert_eq!(report["intact"], false, "{name} {at}");
            assert!(!report["damage"].as_array().unwrap().is_empty());
        }
        fs::write(db.join(&name), bytes).unwrap();
    }
    sst(&[&"verify", &db]).expect(0);
}

#[test]
fn every_shortened_file_of_a_directory_is_found() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\tone\nb\ttwo and a half\nc\t\\N\n");
    for (name, bytes) in files(&db) {
        for len in (0..bytes.len()).step_by(3) {
            fs::write(db.join(&name), &bytes[..len]).unwrap();
            for command in ["verify", "scan", "inspect"] {
                let run = sst(&[&command, &db]).expect(2);
                assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
            }
        }
        fs::write(db.join(&name), bytes).unwrap();
    }
}

#[test]
fn a_damaged_table_alone_never_gives_a_wrong_answer() {
    let scratch = Scratch::new();
    let original = repository("conformance/vectors/reference/mixed-types.sst");
    let bytes = fs::read(&original).unwrap();
    let good = sst(&[&"scan", &original, &"--hex"]).expect(0).stdout;
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let path = scratch.file("damaged.sst", damaged);
        let run = sst(&[&"scan", &path, &"--hex"]);
        assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
        match run.code {
            Some(0) => assert_eq!(run.stdout, good, "byte {at}"),
            Some(2) => assert!(good.starts_with(&run.stdout), "byte {at}"),
            other => panic!("byte {at}: {other:?} {}", run.stderr),
        }
    }
}

#[test]
fn a_shortened_table_alone_is_found() {
    let scratch = Scratch::new();
    let bytes = fs::read(repository("conformance/vectors/reference/mixed-types.sst")).unwrap();
    for len in 0..bytes.len() {
        let path = scratch.file("short.sst", &bytes[..len]);
        sst(&[&"verify", &path]).expect(2);
    }
    let path = scratch.file("short.sst", &bytes[..100]);
    for args in [
        &["scan"][..],
        &["inspect"],
        &["inspect", "--explain", "0"],
        &["inspect", "--explain", "offsets"],
    ] {
        sst(&join(&[&args[0], &path], &args[1..])).expect_error(2, &["short.sst"]);
    }
    sst(&[&"get", &path, &"a-inline"]).expect_error(2, &["short.sst"]);
}

#[test]
fn all_damage_is_listed_with_file_and_block() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    let tsv: String = (0..3000).map(|i| format!("key{i}\tvalue number {i}\n")).collect();
    let input = scratch.file("in.tsv", tsv);
    sst(&[&"load", &input, &db, &"--max-table-entries", &"1000"]).expect(0);
    let tables = &tables(&db)[..3];
    for table in &tables[..2] {
        let mut bytes = fs::read(table).unwrap();
        bytes[50] ^= 1;
        fs::write(table, bytes).unwrap();
    }
    fs::remove_file(&tables[2]).unwrap();
    let run = sst(&[&"verify", &db, &"--json"]).expect(2);
    let report = run.json();
    let damage = report["damage"].as_array().unwrap();
    for table in tables {
        let name = table.file_name().unwrap().to_str().unwrap();
        let of_file = damage.iter().find(|damage| damage["file"].as_str().unwrap().ends_with(name));
        let block = &of_file.unwrap()["block"];
        assert_eq!(block.as_u64(), (table != &tables[2]).then_some(0), "{report}");
    }
    // The lost keys are printed as indented lines below each damage.
    let lines = |text: &str| text.lines().filter(|line| !line.starts_with(' ')).count();
    let text = sst(&[&"verify", &db]).expect(2);
    assert_eq!(lines(text.text()), damage.len() + 1, "{}", text.text());
    let quiet = sst(&[&"verify", &db, &"--quiet"]).expect(2);
    assert_eq!(lines(quiet.text()), damage.len());
}

#[test]
fn inspect_goes_on_behind_a_damaged_table() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    let tsv: String = (0..2000).map(|i| format!("key{i}\tv{i}\n")).collect();
    let input = scratch.file("in.tsv", tsv);
    sst(&[&"load", &input, &db, &"--max-table-entries", &"1000"]).expect(0);
    let table = tables(&db).remove(0);
    let len = fs::metadata(&table).unwrap().len();
    fs::File::options().write(true).open(&table).unwrap().set_len(len - 1).unwrap();
    let report = sst(&[&"inspect", &db, &"--json"]).expect(2).json();
    assert_eq!(report["tables"].as_array().unwrap().len(), 3);
    assert_eq!(report["damage"].as_array().unwrap().len(), 1);
}

#[test]
fn a_stale_directory_is_found() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\told\n");
    let old = scratch.copy_of(&db, "old");
    let input = scratch.file("in.tsv", "a\tnew\n");
    sst(&[&"load", &input, &db, &"--mode", &"append"]).expect(0);
    // Today's `CURRENT` with yesterday's files.
    fs::write(old.join("CURRENT"), fs::read(db.join("CURRENT")).unwrap()).unwrap();
    sst(&[&"verify", &old]).expect(2);
    sst(&[&"get", &old, &"a"]).expect_error(2, &["00000004.meta"]);
}

/// Commands that write say the same as those that read.
#[test]
fn a_commit_without_its_meta_file_is_damaged_for_every_command() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\n");
    let input = scratch.file("in.tsv", "b\t2\n");
    fs::remove_file(db.join("00000002.meta")).unwrap();
    let commands: [&[Arg<'_>]; 6] = [
        &[&"get", &db, &"a"],
        &[&"verify", &db],
        &[&"load", &input, &db],
        &[&"merge", &"--in-place", &db],
        &[&"merge", &"--auto", &db],
        &[&"rollback", &db],
    ];
    for command in commands {
        let run = sst(command).expect(2);
        let output = String::from_utf8([run.stdout, run.stderr.into()].concat()).unwrap();
        assert!(output.contains("00000002.meta"), "{output}");
    }
}
