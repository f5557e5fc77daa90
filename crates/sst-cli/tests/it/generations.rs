//! Generations: `sst log` and `sst rollback`.

use std::fs;
use std::path::Path;

use sst_writer::{Publisher, PublisherOptions, WriterOptions};

use crate::harness::{names, sst};

/// Replaces what a directory holds by one entry, and keeps what was there before.
fn load(dir: &Path, key: &str, value: &str) {
    let options = PublisherOptions::default().keep_generations(5);
    let mut publisher = Publisher::open(dir, options).unwrap();
    let mut commit = publisher.begin();
    let mut table = commit.create_table(WriterOptions::default()).unwrap();
    table.add((key, value)).unwrap();
    commit.add_table(table.finish().unwrap()).unwrap();
    commit.replace_all();
    commit.publish().unwrap();
}

fn generations(dir: &Path) -> Vec<u64> {
    let log = sst(&[&"log", &dir, &"--json"]).expect(0).json();
    let generations = log["generations"].as_array().unwrap();
    generations.iter().map(|generation| generation["sequence"].as_u64().unwrap()).collect()
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
    assert_eq!(sst(&[&"get", &dir, &"a"]).expect(0).text(), "two\n");
    let report = sst(&[&"rollback", &dir, &before[2].to_string(), &"--json"]).expect(0).json();
    assert_eq!(sst(&[&"get", &dir, &"a"]).expect(0).text(), "one\n");
    assert_eq!(report["tables"], 1);
    // Nothing was to be kept.
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
