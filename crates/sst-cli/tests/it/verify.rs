//! The report of `verify` about damage: all of it, its place, and the keys that are lost.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{Scratch, names, sst};

/// The ranges of the blocks of a table, headers included.
fn blocks(table: &[u8]) -> Vec<Range<usize>> {
    let word = |at: usize| u32::from_be_bytes(table[at..at + 4].try_into().unwrap()) as usize;
    let offsets = word(table.len() - 4);
    let ends: Vec<usize> = (offsets..table.len()).step_by(4).map(word).collect();
    let starts = [0].into_iter().chain(ends.iter().copied());
    starts.zip(&ends).map(|(start, &end)| start..end).collect()
}

fn flip(path: &Path, byte: usize, bit: u8) {
    let mut bytes = fs::read(path).unwrap();
    bytes[byte] ^= 1 << bit;
    fs::write(path, bytes).unwrap();
}

fn only(db: &Path, extension: &str) -> PathBuf {
    let mut found = names(db).into_iter().filter(|name| name.ends_with(extension));
    db.join(found.next().unwrap())
}

fn report(db: &Path, all: bool) -> Value {
    let args: &[&dyn AsRef<std::ffi::OsStr>] =
        if all { &[&"verify", &db, &"--json", &"--all"] } else { &[&"verify", &db, &"--json"] };
    sst(args).expect(2).json()
}

/// A directory with 30 keys and small values in one value block. Key 3 is not UTF-8.
fn database(scratch: &Scratch) -> PathBuf {
    let key = |i: u32| if i == 3 { r"key\xff\t3".to_owned() } else { format!("key {i}") };
    let lines = (0..30).map(|i| format!("{}\ta value of some length, {i}\n", key(i)));
    scratch.database("db", lines.collect::<String>())
}

#[test]
fn a_flipped_bit_is_named_with_the_keys_whose_values_it_takes() {
    let scratch = Scratch::new();
    let db = database(&scratch);
    let table = only(&db, ".sst");
    flip(&table, 40, 5);
    let short = report(&db, false);
    assert_eq!(short["damage"].as_array().unwrap().len(), 1, "{short}");
    let damage = &short["damage"][0];
    assert_eq!((&damage["block"], &damage["flipped_bit"]["bit"]), (&0.into(), &5.into()));
    assert_eq!(damage["flipped_bit"]["byte"], 40);
    assert!(damage["origin"].as_str().unwrap().starts_with("disk"), "{damage}");
    assert_eq!(damage["lost"]["keys"].as_array().unwrap().len(), 10);
    assert_eq!(damage["lost"]["more_keys"], 20);
    // People read the cause, too.
    let text = sst(&[&"verify", &db]).expect(2);
    assert!(text.text().contains(damage["cause"].as_str().unwrap()), "{}", text.text());
    let full = report(&db, true);
    let keys = full["damage"][0]["lost"]["keys"].as_array().unwrap();
    assert_eq!((keys.len(), &full["damage"][0]["lost"]["more_keys"]), (30, &0.into()));
    assert!(keys.contains(&serde_json::json!({"key": "key 29"})));
    assert!(keys.contains(&serde_json::json!({"key_hex": "6b6579ff0933"})), "{keys:?}");
    let text = sst(&[&"verify", &db, &"--all"]).expect(2);
    assert!(text.text().lines().any(|line| line.trim() == r"key\xff\t3"), "{}", text.text());
}

#[test]
fn a_damaged_key_block_is_told_by_its_hashes_and_so_is_a_damaged_index() {
    let scratch = Scratch::new();
    let db = database(&scratch);
    let table = only(&db, ".sst");
    let intact = fs::read(&table).unwrap();
    let hashes: Vec<String> = sst(&[&"scan", &db, &"--json"])
        .expect(0)
        .json_lines()
        .iter()
        .map(|entry| entry["hash"].as_str().unwrap().to_owned())
        .collect();
    let range = serde_json::json!([[hashes[0], hashes[29]]]);
    for block in [1, 2] {
        flip(&table, blocks(&intact)[block].start + 9, 0);
        let report = report(&db, false);
        let damage = &report["damage"][0];
        assert_eq!(damage["block"], block);
        assert_eq!(damage["lost"]["hash_ranges"], range, "{report}");
        fs::write(&table, &intact).unwrap();
    }
}

#[test]
fn keys_of_a_lost_blob_are_named() {
    let scratch = Scratch::new();
    // Only values longer than 64 MiB become blobs.
    let value = "x".repeat((64 << 20) + 1);
    let db = scratch.database("db", format!("small\tvalue\nlarge\t{value}\n"));
    let blob = only(&db, ".blob");
    flip(&blob, 100, 1);
    let damaged = report(&db, false);
    let damage = &damaged["damage"][0];
    assert_eq!(damage["flipped_bit"], serde_json::json!({"byte": 100, "bit": 1}));
    assert_eq!(damage["lost"]["keys"], serde_json::json!([{"key": "large"}]), "{damaged}");
    fs::remove_file(&blob).unwrap();
    let missing = report(&db, false);
    assert_eq!(missing["damage"][0]["lost"]["keys"], serde_json::json!([{"key": "large"}]));
}

#[test]
fn all_damage_is_listed_not_only_the_first() {
    let scratch = Scratch::new();
    let db = database(&scratch);
    let more = scratch.file("more.tsv", "other\tanother value of some length\n");
    sst(&[&"load", &more, &db, &"--mode", &"append"]).expect(0);
    let tables: Vec<_> = names(&db).into_iter().filter(|name| name.ends_with(".sst")).collect();
    assert_eq!(tables.len(), 2);
    let files = |report: &Value| -> Vec<String> {
        let damage = report["damage"].as_array().unwrap();
        let file = |damage: &Value| damage["file"].as_str().unwrap().to_owned();
        damage.iter().map(file).collect()
    };
    let first = fs::read(db.join(&tables[0])).unwrap();
    for block in blocks(&first) {
        flip(&db.join(&tables[0]), block.start + 8, 2);
    }
    flip(&db.join(&tables[1]), 10, 2);
    let damaged = report(&db, false);
    // The index block of the first table is damaged, so it cannot be opened. The second table must
    // be checked all the same.
    for table in &tables {
        assert!(files(&damaged).iter().any(|file| file.ends_with(table)), "{damaged}");
    }
    // If the head of the chain is damaged too, all existing files must still be checked.
    flip(&db.join("CURRENT"), 1, 1);
    let headless = report(&db, false);
    for name in [&tables[0], &tables[1], "CURRENT"] {
        assert!(files(&headless).iter().any(|file| file.ends_with(name)), "{name}: {headless}");
    }
    let metas: Vec<_> = names(&db).into_iter().filter(|name| name.ends_with(".meta")).collect();
    for meta in &metas {
        flip(&db.join(meta), 30, 1);
    }
    let nothing_left = report(&db, false);
    for name in tables.iter().chain(&metas) {
        assert!(files(&nothing_left).iter().any(|file| file.ends_with(name)), "{nothing_left}");
    }
}
