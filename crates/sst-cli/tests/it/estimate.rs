//! `sst inspect --estimate`: sizes with other options, compared with tables that have them.

use crate::harness::{Scratch, join, sst, tables};

#[test]
fn an_estimate_of_everything_is_the_size_that_a_load_gives() {
    let scratch = Scratch::new();
    let line = |i: u32| format!("key {i}\tthe value of {i}, and more of the same, the same\n");
    let input = scratch.file("in.tsv", (0..20_000).map(line).collect::<String>());
    let load = |name: &str, more: &[&str]| {
        let db = scratch.path(name);
        sst(&join(&[&"load", &input, &db, &"--quiet"], more)).expect(0);
        db
    };
    let usual = load("usual", &[]);
    let report = sst(&[&"inspect", &usual, &"--estimate", &"--json"]).expect(0).json();
    assert_eq!(report["sampled_share"], 1.0);
    assert_eq!(report["sampled_entries"], 20_000);
    let size = |options: &str| {
        let rows = report["rows"].as_array().unwrap();
        let row = rows.iter().find(|row| row["options"] == options).unwrap();
        let field = |name: &str| row[name].as_u64().unwrap();
        (field("table_bytes"), field("filter_bytes"))
    };
    let loaded = |name: &str, more: &[&str]| {
        let table = tables(&load(name, more)).remove(0);
        std::fs::metadata(table).unwrap().len()
    };
    assert_eq!(size("as it is"), size("the defaults"));
    assert_eq!(size("the defaults").0, std::fs::metadata(&tables(&usual)[0]).unwrap().len());
    let small = loaded("small", &["--value-block-size", "4KiB"]);
    assert_eq!(size("value blocks of 4 KiB").0, small);
    assert_eq!(size("no filter"), (size("the defaults").0, 0));
    assert!(size("no compression").0 > size("the defaults").0 * 3 / 2);
    assert!(size("filter with 0.1 % false positives").1 > size("the defaults").1);
    let text = sst(&[&"inspect", &usual, &"--estimate"]).expect(0);
    assert!(text.text().contains("no compression"));
    // No entry is live.
    let gone = scratch.database("gone", "a\t\\N\n");
    let report = sst(&[&"inspect", &gone, &"--estimate", &"--json"]).expect(0).json();
    assert_eq!(report["rows"], serde_json::json!([]));
}
