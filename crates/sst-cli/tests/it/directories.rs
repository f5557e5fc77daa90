//! Cache directories that Next.js 16.3.0 wrote, opened unchanged.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{Arg, join, names, repository, sst};

/// The directories, each with the content of its `expected.json`.
fn directories() -> Vec<(PathBuf, Value)> {
    let vectors = repository("conformance/vectors");
    let names = names(&vectors).into_iter().filter(|name| name.starts_with("turbopack-"));
    let directories: Vec<_> = names.map(|name| vectors.join(name)).collect();
    assert!(directories.len() >= 2);
    let expected = |path: &Path| {
        serde_json::from_slice(&fs::read(path.join("expected.json")).unwrap()).unwrap()
    };
    directories.into_iter().map(|path| (path.clone(), expected(&path))).collect()
}

#[test]
fn they_are_intact_and_unprotected() {
    for (path, expected) in directories() {
        let before = names(&path);
        let tables = expected["ssts"].as_array().unwrap();
        let sum =
            |field: &str| tables.iter().map(|table| table[field].as_u64().unwrap()).sum::<u64>();
        let report = sst(&[&"verify", &path, &"--json"]).expect(0).json();
        assert_eq!(report["intact"], true);
        assert_eq!(report["protected"], false);
        assert_eq!(report["tables"], tables.len());
        assert_eq!(report["entries"], sum("entries"));
        assert_eq!(report["blocks"], sum("block_count"));
        assert_eq!(report["bytes"], sum("size"));
        sst(&[&"verify", &path]).expect(0);
        // Reading commands leave no files behind.
        assert_eq!(names(&path), before);
    }
}

#[test]
fn inspect_finds_what_is_known_of_each_table() {
    for (path, expected) in directories() {
        let report = sst(&[&"inspect", &path, &"--json"]).expect(0).json();
        assert_eq!(report["directory"]["commit"], expected["current"]);
        assert_eq!(report["directory"]["protected"], false);
        assert_eq!(report["directory"]["families"], serde_json::json!([0, 1, 2, 3]));
        let tables: BTreeMap<&str, &Value> = report["tables"]
            .as_array()
            .unwrap()
            .iter()
            .map(|table| (table["file"].as_str().unwrap(), table))
            .collect();
        let expected_tables = expected["ssts"].as_array().unwrap();
        assert_eq!(tables.len(), expected_tables.len());
        for expected in expected_tables {
            let table =
                tables[format!("{:08}.sst", expected["sequence"].as_u64().unwrap()).as_str()];
            for (ours, theirs) in [
                (&table["entries"], &expected["entries"]),
                (&table["block_count"], &expected["block_count"]),
                (&table["bytes"], &expected["size"]),
                (&table["min_hash"], &expected["min_hash"]),
                (&table["max_hash"], &expected["max_hash"]),
                (&table["key_lengths"], &expected["key_lengths"]),
                (&table["description"]["family"], &expected["family"]),
                (&table["filter"]["bytes"], &expected["amqf_len"]),
                (&table["filter"]["fingerprints"], &expected["amqf"]["len"]),
                (&table["filter"]["quotient_bits"], &expected["amqf"]["qbits"]),
                (&table["filter"]["remainder_bits"], &expected["amqf"]["rbits"]),
            ] {
                assert_eq!(ours, theirs, "{table}\n{expected}");
            }
            let count = |kind: &str| table["blocks"][kind]["count"].as_u64().unwrap_or(0);
            let known = |kind: &str| expected["block_types"][kind].as_u64().unwrap_or(0);
            assert_eq!(count("small values"), known("value_small"));
            assert_eq!(count("medium value"), known("value_medium"));
            assert_eq!(count("keys, variable"), known("key_type2"));
            assert_eq!(count("keys, fixed"), known("key_type4"));
        }
        assert!(sst(&[&"inspect", &path]).expect(0).text().contains("00000001.sst"));
    }
}

#[test]
fn every_key_of_a_scan_is_found() {
    for (path, _) in directories() {
        for family in ["0", "1", "2", "3"] {
            let scan = sst(&[&"scan", &path, &"--family", &family, &"--hex", &"--json"]).expect(0);
            let entries = scan.json_lines();
            let keys: Vec<&str> =
                entries.iter().map(|entry| entry["key_hex"].as_str().unwrap()).collect();
            assert!(!keys.is_empty());
            let args: [Arg<'_>; 6] = [&"get", &path, &"--family", &family, &"--hex", &"--json"];
            let found = sst(&join(&args, &keys)).expect(0).json_lines();
            assert_eq!(found.len(), entries.len());
            for (found, entry) in found.iter().zip(&entries) {
                assert_eq!(found["key_hex"], entry["key_hex"]);
                assert_eq!(found["value_hex"], entry["value_hex"]);
            }
        }
    }
}

#[test]
fn there_is_no_family_four_and_nothing_is_written() {
    for (path, _) in directories() {
        let before = names(&path);
        sst(&[&"scan", &path, &"--family", &"4"]).expect_error(3, &["family 4", "0, 1, 2, 3"]);
        let input = repository("data/UnicodeData.txt");
        sst(&[&"load", &input, &path, &"--delimiter", &";", &"--no-header"])
            .expect_error(3, &["can only be read"]);
        assert_eq!(names(&path), before);
    }
}
