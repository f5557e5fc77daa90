//! `sst scan`: filters, bounds, and the formats of its output.

#[cfg(feature = "parquet")]
use std::collections::BTreeMap;

use crate::harness::{Scratch, join, repository, sst, tables};

/// A directory with the Unicode table: code points and names.
fn unicode(scratch: &Scratch) -> std::path::PathBuf {
    let (input, db) = (repository("data/UnicodeData.txt"), scratch.path("unicode.db"));
    let options = ["--delimiter", ";", "--no-header", "--value-column", "2", "--quiet"];
    sst(&join(&[&"load", &input, &db], &options)).expect(0);
    db
}

#[test]
fn filters_keep_what_a_pipe_would_keep_and_say_that_they_read_all() {
    let scratch = Scratch::new();
    let db = unicode(&scratch);
    let all = sst(&[&"scan", &db]).expect(0);
    let table = tables(&db).remove(0);
    let kept = |keep: &dyn Fn(&str) -> bool| {
        all.text().lines().filter(|line| keep(line)).map(|line| format!("{line}\n")).collect()
    };
    let omega: String = kept(&|line| line.contains("GREEK") && line.contains("OMEGA"));
    let prefix: String = kept(&|line| line.starts_with("1F60"));
    assert!(!omega.is_empty() && !prefix.is_empty());
    for path in [&db, &table] {
        let scan = |args: &[&str]| sst(&join(&[&"scan", path], args)).expect(0);
        let found = scan(&["--grep", "GREEK.*OMEGA"]);
        assert_eq!(found.text(), omega);
        assert!(found.stderr.contains("34,924 entries read"), "{}", found.stderr);
        assert_eq!(scan(&["--prefix", "1F60"]).text(), prefix);
        let hex = scan(&["--prefix", "31463630", "--hex", "--quiet"]);
        assert_eq!((hex.text().lines().count(), hex.stderr.as_str()), (17, ""));
        assert_eq!(scan(&["--grep", "^1F60", "--keys-only"]).text().lines().count(), 17);
        assert_eq!(scan(&["--count"]).text(), "34924\n");
        assert_eq!(scan(&["--count", "--json", "--prefix", "1F60"]).json()["entries"], 17);
        // Values are searched also if they are not printed.
        let keys = scan(&["--grep", "GREEK.*OMEGA", "--keys-only"]);
        assert_eq!(keys.text().lines().count(), omega.lines().count());
    }
    sst(&[&"scan", &db, &"--grep", &"("]).expect(3);
}

#[test]
fn offset_and_limit_cut_a_part_out() {
    let scratch = Scratch::new();
    let tsv: String = (0..100).map(|i| format!("key{i}\tvalue{i}\n")).collect();
    let db = scratch.database("db", tsv);
    let lines = |args: &[&str]| -> Vec<String> {
        let run = sst(&join(&[&"scan", &db], args)).expect(0);
        run.text().lines().map(str::to_owned).collect()
    };
    let all = lines(&[]);
    assert_eq!(lines(&["--offset", "10", "--limit", "5"]), all[10..15]);
    assert_eq!(lines(&["--offset", "98"]), all[98..]);
    assert!(lines(&["--offset", "100"]).is_empty());
    let ones: Vec<_> = all.iter().filter(|line| line.starts_with("key1")).cloned().collect();
    assert_eq!(lines(&["--prefix", "key1", "--offset", "3", "-n", "4"]), ones[3..7]);
    assert_eq!(lines(&["--count", "--offset", "10", "--limit", "1k"]), ["90"]);
}

#[test]
fn csv_and_json_lines_are_loaded_as_the_same_entries() {
    let scratch = Scratch::new();
    let tsv = "plain\tvalue\na,b\t\"quoted\"\nline\\nend\tx\\r\n\tempty key\nempty value\t\nä\tö\n";
    let db = scratch.database("db", tsv);
    let all = sst(&[&"scan", &db]).expect(0);
    for (format, extension) in [("csv", "csv"), ("jsonl", "jsonl"), ("tsv", "tsv")] {
        let printed = sst(&[&"scan", &db, &"--format", &format]).expect(0);
        let file = scratch.file(&format!("printed.{extension}"), &printed.stdout);
        let copy = scratch.path(format);
        sst(&[&"load", &file, &copy]).expect(0);
        assert_eq!(sst(&[&"scan", &copy]).expect(0).text(), all.text(), "{format}");
    }
    let keys = sst(&[&"scan", &db, &"--format", &"csv", &"--keys-only"]).expect(0);
    assert_eq!(keys.text().lines().next(), Some("key"));
    // A table without its directory shows tombstones, which CSV does not have.
    let gone = scratch.database("gone", "a\t\\N\n");
    let table = tables(&gone).remove(0);
    sst(&[&"scan", &table, &"--format", &"csv"]).expect_error(3, &["key a", "no value"]);
    sst(&[&"scan", &db, &"--format", &"csv", &"--end-mark"]).expect_error(3, &["--end-mark"]);
    sst(&[&"scan", &db, &"--format", &"csv", &"--json"]).expect(3);
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_is_loaded_as_the_same_entries() {
    let scratch = Scratch::new();
    let db = unicode(&scratch);
    let all = sst(&[&"scan", &db]).expect(0);
    let printed = sst(&[&"scan", &db, &"--format", &"parquet"]).expect(0);
    let (file, copy) = (scratch.file("all.parquet", &printed.stdout), scratch.path("copy"));
    sst(&[&"load", &file, &copy, &"--key-column", &"key", &"--value-column", &"value"]).expect(0);
    assert!(sst(&[&"scan", &copy]).expect(0).text() == all.text());
    // Deletions come as nulls.
    let gone = scratch.database("gone", "a\t\\N\nb\t\\xff\n");
    let table = tables(&gone).remove(0);
    let printed = sst(&[&"scan", &table, &"--format", &"parquet"]).expect(0);
    let (file, copy) = (scratch.file("gone.parquet", &printed.stdout), scratch.path("gone-copy"));
    sst(&[&"load", &file, &copy]).expect(0);
    let copied = sst(&[&"scan", &tables(&copy).remove(0)]).expect(0);
    let copied: BTreeMap<_, _> =
        copied.text().lines().map(|line| line.split_once('\t').unwrap()).collect();
    assert_eq!(copied, BTreeMap::from([("a", r"\N"), ("b", r"\xff")]));
}

/// CSV cannot hold a zero byte: `load` would refuse it.
#[test]
fn a_scan_to_csv_refuses_zero_bytes() {
    let scratch = Scratch::new();
    for tsv in ["a\\x00b\tv\n", "a\tv\\x00\n"] {
        let db = scratch.database("db", tsv);
        let csv = &["--format", "csv"];
        sst(&join(&[&"scan", &db], csv)).expect_error(3, &["zero byte"]);
        sst(&join(&[&"scan", &db, &"--hex"], csv)).expect(0);
        std::fs::remove_dir_all(&db).unwrap();
    }
}
