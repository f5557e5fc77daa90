//! Generations: `sst log` and `sst rollback`.

use std::fs;
use std::path::Path;

use sst_writer::{Monitor, Publisher, PublisherOptions, WriterOptions};

use crate::harness::{Scratch, join, names, scan, sst, sst_with_input};

/// Replaces the content of a directory by one entry, and keeps earlier generations.
fn load(dir: &Path, key: &str, value: &str) {
    let options = PublisherOptions::default().keep_generations(5);
    let mut publisher = Publisher::open(dir, options).unwrap();
    let mut commit = publisher.begin();
    let mut table = commit.create_table(WriterOptions::default()).unwrap();
    table.add((key, value)).unwrap();
    commit.add_table(table.finish().unwrap()).unwrap();
    commit.replace_all();
    commit.publish(&Monitor::default()).unwrap();
}

fn generations(dir: &Path) -> Vec<u64> {
    let log = sst(&[&"log", &dir, &"--json"]).expect(0).json();
    let generations = log["generations"].as_array().unwrap();
    generations.iter().map(|generation| generation["commit"].as_u64().unwrap()).collect()
}

#[test]
fn what_was_loaded_comes_back() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("db");
    load(&dir, "a", "one");
    load(&dir, "a", "two");
    load(&dir, "a", "three");
    let before = generations(&dir);
    assert_eq!(before.len(), 3);
    let log = sst(&[&"log", &dir, &"--json"]).expect(0).json();
    assert_eq!(log["generations"][0]["current"], true);
    assert_eq!(log["generations"][2]["complete"], true);
    assert_eq!(log["generations"][1]["entries"], 1);
    assert!(log["generations"][1]["time"].as_str().unwrap().ends_with('Z'));
    assert_eq!(sst(&[&"log", &dir]).expect(0).text().lines().count(), 4);

    sst(&[&"rollback", &dir, &"--keep-generations", &"5"]).expect(0);
    assert_eq!(sst(&[&"get", &dir, &"a"]).expect(0).text(), "a\ttwo\n");
    let report =
        sst(&[&"rollback", &dir, &before[2].to_string(), &"--keep-generations", &"0", &"--json"]);
    let report = report.expect(0).json();
    assert_eq!(sst(&[&"get", &dir, &"a"]).expect(0).text(), "a\tone\n");
    assert_eq!(report["tables"], 1);
    // `--keep-generations 0` keeps no generation but the two that share this table.
    assert_eq!(generations(&dir).len(), 2);
    let complete = sst(&[&"log", &dir, &"--complete", &"--json"]).expect(0).json();
    assert_eq!(complete["generations"].as_array().unwrap().len(), 2);
    sst(&[&"verify", &dir]).expect(0);
}

#[test]
fn there_is_an_error_for_everything_else() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("db");
    sst(&[&"log", &dir]).expect_error(3, &["db"]);
    fs::create_dir(&dir).unwrap();
    sst(&[&"log", &dir]).expect_error(3, &["CURRENT"]);
    sst(&[&"rollback", &dir]).expect_error(3, &["CURRENT"]);
    load(&dir, "a", "one");
    let before = names(&dir);
    sst(&[&"rollback", &dir]).expect_error(3, &["earlier"]);
    sst(&[&"rollback", &dir, &"77"]).expect_error(3, &["77"]);
    assert_eq!(names(&dir), before);
    fs::write(dir.join("CURRENT"), b"12345678").unwrap();
    sst(&[&"log", &dir]).expect_error(2, &["CURRENT"]);
}

#[test]
fn one_generation_is_kept_unless_told_otherwise_and_a_merge_is_none() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\n");
    let load = |tsv: &str, args: &[&str]| {
        let args = join(&[&"load", &"-", &db, &"--format", &"tsv"], args);
        sst_with_input(&args, tsv.as_bytes()).expect(0)
    };
    load("a\t2\n", &[]);
    assert_eq!(generations(&db).len(), 2);
    load("b\t3\n", &["--increment"]);
    assert_eq!(scan(&db).lines().count(), 2);
    sst(&[&"merge", &db, &"--in-place"]).expect(0);
    let log = sst(&[&"log", &db, &"--json"]).expect(0).json();
    assert_eq!(log["generations"][0]["kind"], "merge");
    sst(&[&"rollback", &db]).expect(0);
    assert_eq!(scan(&db), "a\t2\n");
    let log = sst(&[&"log", &db]).expect(0).text().to_owned();
    assert!(log.contains("rollback"), "{log}");
    load("c\t4\n", &["--keep-generations", "0"]);
    assert_eq!(generations(&db).len(), 1);
    let part = scratch.database("part", "d\t5\n");
    sst(&[&"gather", &part, &"-o", &db]).expect(0);
    sst(&[&"rollback", &db]).expect(0);
    assert_eq!(scan(&db), "c\t4\n");
    // A rollback keeps the generation that it leaves, so it can be undone.
    sst(&[&"rollback", &db]).expect(0);
    assert_eq!(scan(&db), "d\t5\n");
}

/// Nothing is left to go back to, and the command says so.
#[test]
fn a_rollback_that_keeps_no_generation_says_so() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\n");
    let input = scratch.file("in.tsv", "a\t2\n");
    sst(&[&"load", &input, &db]).expect(0);
    let run = sst(&[&"rollback", &db, &"--keep-generations", &"0"]).expect(0);
    assert!(run.stderr.contains("for good"), "{}", run.stderr);
    assert_eq!(scan(&db), "a\t1\n");
    assert!(!names(&db).contains(&"00000003.sst".to_owned()), "{:?}", names(&db));
}

/// Regression: opening a directory for a load removed the generations that the load would not keep,
/// also if the load then failed or was a dry run.
#[test]
fn a_load_that_fails_takes_no_generation_away() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\n");
    for value in ["2", "3", "4"] {
        let input = scratch.file("in.tsv", format!("a\t{value}\n"));
        sst(&[&"load", &input, &db, &"--keep-generations", &"3"]).expect(0);
    }
    let (before, files) = (generations(&db), names(&db));
    assert_eq!(before.len(), 4);
    let bad = scratch.file("bad.tsv", "no tab\n");
    sst(&[&"load", &bad, &db]).expect(3);
    let good = scratch.file("good.tsv", "a\t5\n");
    sst(&[&"load", &good, &db, &"--dry-run"]).expect(0);
    sst(&[&"merge", &scratch.path("none"), &"-o", &db]).expect(3);
    assert_eq!((generations(&db), names(&db)), (before, files));
    // A load that happens keeps one, as it says.
    sst(&[&"load", &good, &db]).expect(0);
    assert_eq!(generations(&db).len(), 2);
}
