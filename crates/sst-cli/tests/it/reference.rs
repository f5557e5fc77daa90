//! The 44 reference tables, each opened without a directory or description.

use std::fs;

use serde_json::Value;

use crate::harness::{repository, sst};

fn cases() -> Vec<Value> {
    let manifest = fs::read(repository("conformance/vectors/reference/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let cases = manifest["cases"].as_array().unwrap().clone();
    assert_eq!(cases.len(), 44);
    cases
}

fn path(file: &Value) -> std::path::PathBuf {
    repository("conformance/vectors/reference").join(file.as_str().unwrap())
}

#[test]
fn they_are_intact() {
    for case in cases() {
        let report = sst(&[&"verify", &path(&case["file"]), &"--json"]).expect(0).json();
        assert_eq!(report["entries"], case["entries"], "{report}");
        assert_eq!(report["blocks"], case["block_count"]);
        assert_eq!(report["protected"], false);
    }
}

#[test]
fn inspect_lists_their_blocks() {
    for case in cases() {
        let path = path(&case["file"]);
        let report = sst(&[&"inspect", &path, &"--json", &"--blocks"]).expect(0).json();
        let table = &report["tables"][0];
        assert_eq!(table["entries"], case["entries"]);
        assert_eq!(table["min_hash"], case["min_hash"]);
        assert_eq!(table["max_hash"], case["max_hash"]);
        assert_eq!(table["bytes"], case["size"]);
        assert!(table["description"].is_null() && table["filter"].is_null());
        let (found, expected) =
            (table["block_list"].as_array().unwrap(), case["blocks"].as_array().unwrap());
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            let kind = match expected[0].as_str().unwrap() {
                "key-var-hash" => "keys, variable+hash",
                "key-var-nohash" => "keys, variable",
                "key-fixed-hash" => "keys, fixed+hash",
                "key-fixed-nohash" => "keys, fixed",
                "small" => "small values",
                "medium" => "medium value",
                "index" => "index",
                other => panic!("{other}"),
            };
            assert_eq!(found["kind"], kind, "{} {found}", case["name"]);
            assert_eq!(found["start"], expected[1]);
            assert_eq!(found["stored_bytes"], expected[2]);
            assert_eq!(found["compressed"], expected[3] != 0);
            assert_eq!(found["checksum"], expected[4]);
            if kind.starts_with("keys") {
                assert_eq!(found["entries"], expected[5]);
            }
        }
    }
}

#[test]
fn scans_give_what_was_written() {
    for case in cases() {
        let scan = sst(&[&"scan", &path(&case["file"]), &"--json", &"--hex"]).expect(0);
        let input = fs::read_to_string(path(&case["input"])).unwrap();
        let mut lines = input.lines();
        for found in scan.json_lines() {
            let columns: Vec<&str> = lines.next().unwrap().split('\t').collect();
            assert_eq!(found["hash"], columns[0]);
            assert_eq!(found["key_hex"], columns[1]);
            match columns[3].split(':').collect::<Vec<_>>()[..] {
                ["-"] => assert!(found.get("value").is_some_and(Value::is_null), "{found}"),
                ["b", number] => assert_eq!(found["blob"].to_string(), number),
                ["x", hex] => assert_eq!(found["value_hex"], hex),
                ["f", byte, len] => {
                    assert_eq!(found["value_hex"], byte.repeat(len.parse().unwrap()));
                }
                [_, _, len] => {
                    let len: usize = len.parse().unwrap();
                    assert_eq!(found["value_hex"].as_str().unwrap().len(), 2 * len);
                }
                _ => panic!("{columns:?}"),
            }
        }
        assert_eq!(lines.next(), None);
    }
}

#[test]
fn keys_are_found_and_others_are_not() {
    for case in cases().iter().filter(|case| case["custom_hashes"] == false) {
        let path = path(&case["file"]);
        let input = fs::read_to_string(
            repository("conformance/vectors/reference").join(case["input"].as_str().unwrap()),
        );
        let input = input.unwrap();
        let columns: Vec<&str> = input.lines().next().unwrap().split('\t').collect();
        let found = sst(&[&"get", &path, &"--hex", &"--json", &columns[1]]);
        let status = found.json_lines()[0]["status"].clone();
        let (code, expected) = if columns[2] == "deleted" { (1, "deleted") } else { (0, "found") };
        assert_eq!((found.code, &status), (Some(code), &expected.into()), "{}", case["name"]);
        for absent in case["absent"].as_array().unwrap() {
            let key = absent[1].as_str().unwrap();
            sst(&[&"get", &path, &"--hex", &key]).expect(1);
        }
    }
}
