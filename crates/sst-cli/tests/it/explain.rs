//! `sst inspect --explain`: dumps of real files.

use std::fs;

use crate::harness::{Scratch, repository, sst, tables};

#[test]
fn every_block_is_explained_as_what_it_is() {
    let reference = repository("conformance/vectors/reference");
    for name in
        ["mixed-types", "mixed-20000", "equal-hash-runs", "single-inline", "fixed-with-hash"]
    {
        let path = reference.join(name).with_extension("sst");
        let report = sst(&[&"inspect", &path, &"--blocks", &"--json"]).expect(0).json();
        let blocks = report["tables"][0]["block_list"].as_array().unwrap();
        for block in blocks.iter().rev().take(12) {
            let index = block["index"].to_string();
            let dump = sst(&[&"inspect", &path, &"--explain", &index]).expect(0);
            let title = match block["kind"].as_str().unwrap() {
                "index" => "index block",
                kind if kind.starts_with("keys") => "key block",
                _ => "value block",
            };
            let payload = format!("payload, uncompressed: {title}, ");
            assert!(dump.text().contains(&payload), "{name} {index}\n{}", dump.text());
            assert!(dump.text().contains("CRC-32, matches"));
        }
        let past_the_end = blocks.len().to_string();
        sst(&[&"inspect", &path, &"--explain", &past_the_end]).expect_error(3, &[&past_the_end]);
        assert!(
            sst(&[&"inspect", &path, &"--explain", &"offsets"])
                .expect(0)
                .text()
                .contains("block 0 ends at")
        );
    }
}

#[test]
fn small_values_are_told_apart() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\tfirst value\nb\tsecond value\nc\tshort\n");
    let dump = sst(&[&"inspect", &tables(&db)[0], &"--explain", &"0"]).expect(0);
    let values =
        dump.text().lines().filter(|line| line.starts_with("value ") && !line.contains("block"));
    assert_eq!(values.count(), 2, "{}", dump.text());
}

#[test]
fn long_dumps_are_shortened_unless_all_is_asked_for() {
    let path = repository("conformance/vectors/reference/fixed-no-hash.sst");
    let report = sst(&[&"inspect", &path, &"--blocks", &"--json"]).expect(0).json();
    let blocks = report["tables"][0]["block_list"].as_array().unwrap();
    let block = blocks.iter().find(|block| block["kind"] == "keys, fixed").unwrap();
    let index = block["index"].to_string();
    let entries = |dump: &str| dump.lines().filter(|line| line.starts_with("entry ")).count();
    let short = sst(&[&"inspect", &path, &"--explain", &index]).expect(0);
    let full = sst(&[&"inspect", &path, &"--explain", &index, &"--full"]).expect(0);
    assert_eq!(entries(full.text()) as u64, block["entries"].as_u64().unwrap());
    assert!(entries(short.text()) < 20);
}

#[test]
fn other_files_are_explained_by_their_names() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\n");
    let meta = db.join("00000002.meta");
    for (path, words) in [(db.join("CURRENT"), "sequence number 2"), (meta.clone(), "SSTP")] {
        assert!(sst(&[&"inspect", &path]).expect(0).text().contains(words), "{words}");
        let dump = sst(&[&"inspect", &path, &"--json"]).expect(0).json();
        assert!(dump["parts"].to_string().contains(words), "{words}");
        assert_eq!(dump["damaged"], false);
        sst(&[&"inspect", &path, &"--explain", &"0"]).expect_error(3, &["--explain"]);
    }
    let original = repository("conformance/vectors/turbopack-tiny/00000005.meta");
    assert!(sst(&[&"inspect", &original]).expect(0).text().contains("used-keys filter, 496 bytes"));
    let mut bytes = fs::read(&meta).unwrap();
    bytes[20] ^= 1;
    fs::write(&meta, bytes).unwrap();
    let dump = sst(&[&"inspect", &meta, &"--json"]).expect(2).json();
    assert_eq!(dump["damaged"], true);
    assert!(dump["parts"].as_array().unwrap().iter().any(|part| part["kind"] == "error"));
    let damaged = sst(&[&"inspect", &meta]).expect(2);
    assert!(damaged.text().contains("error: "), "{}", damaged.text());
    sst(&[&"inspect", &db]).expect_error(2, &["00000002.meta"]);
}

#[test]
fn a_damaged_block_is_explained_as_far_as_it_goes() {
    let scratch = Scratch::new();
    let reference = repository("conformance/vectors/reference");
    let original = fs::read(reference.join("mixed-types.sst")).unwrap();
    let blocks = sst(&[&"inspect", &reference.join("mixed-types.sst"), &"--blocks", &"--json"]);
    let blocks = blocks.expect(0).json()["tables"][0]["block_list"].clone();
    for block in blocks.as_array().unwrap() {
        let index = block["index"].to_string();
        let start = usize::try_from(block["start"].as_u64().unwrap()).unwrap();
        let mut damaged = original.clone();
        damaged[start + 8] ^= 0x40;
        let path = scratch.file("damaged.sst", &damaged);
        let dump = sst(&[&"inspect", &path, &"--explain", &index]).expect(2);
        assert!(dump.text().contains("does not match"), "{}", dump.text());
        assert!(dump.text().contains("error: "), "{}", dump.text());
    }
}

#[test]
fn the_bytes_of_a_dump_as_json_are_those_of_the_file() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\nb\tsome longer value\n");
    let current = db.join("CURRENT");
    let dump = sst(&[&"inspect", &current, &"--full", &"--json"]).expect(0).json();
    let parts = dump["parts"].as_array().unwrap();
    let hex: String = parts.iter().filter_map(|part| part["bytes_hex"].as_str()).collect();
    let bytes = fs::read(&current).unwrap();
    assert_eq!(hex, bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let mut offset = 0;
    for part in parts.iter().filter(|part| part["kind"] == "field") {
        assert_eq!(part["offset"], offset);
        offset += part["bytes_hex"].as_str().unwrap().len() / 2;
    }
}
