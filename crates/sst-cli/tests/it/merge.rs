//! `sst merge`: into a directory, into a file, and in place.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::harness::{Scratch, join, names, repository, scan, sst, sst_with_input, tables};

/// The output of `sst scan` as a map.
fn map(path: &Path) -> BTreeMap<String, String> {
    let lines = scan(path);
    let pairs = lines.lines().map(|line| line.split_once('\t').unwrap());
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Loads further entries into a directory.
fn append(directory: &Path, tsv: &str) {
    let args = join(&[&"load", &"-", &directory], &["--format", "tsv", "--mode", "append"]);
    sst_with_input(&args, tsv.as_bytes()).expect(0);
}

#[test]
fn later_inputs_win_and_what_they_delete_is_gone() {
    let scratch = Scratch::new();
    let a = scratch.database("a", "one\ta\ntwo\ta\nthree\ta\n");
    let b = scratch.database("b", "two\tb\nthree\t\\N\nfour\tb\n");
    let out = scratch.path("out");
    let report = sst(&[&"merge", &a, &b, &"--output", &out, &"--json"]).expect(0).json();
    assert_eq!(map(&out), pairs(&[("one", "a"), ("two", "b"), ("four", "b")]));
    assert_eq!((&report["read"], &report["hidden"]), (&6.into(), &2.into()));
    assert_eq!((&report["dropped_tombstones"], &report["entries"]), (&1.into(), &3.into()));
    assert_eq!((&report["tables"], &report["family"]), (&1.into(), &0.into()));
    assert!(sst(&[&"verify", &out]).expect(0).text().contains("intact and protected"));
    // Merged in the other order, replacing the earlier output.
    sst(&[&"merge", &b, &a, &"-o", &out]).expect(0);
    assert_eq!(map(&out), pairs(&[("one", "a"), ("two", "a"), ("three", "a"), ("four", "b")]));
}

#[test]
fn an_output_may_be_among_the_inputs() {
    let scratch = Scratch::new();
    let a = scratch.database("a", "one\ta\ntwo\ta\n");
    let b = scratch.database("b", "two\tb\n");
    sst(&[&"merge", &a, &b, &"-o", &a, &"--keep-generations", &"0"]).expect(0);
    assert_eq!(map(&a), pairs(&[("one", "a"), ("two", "b")]));
    assert_eq!(tables(&a).len(), 1);
}

#[test]
fn appended_tombstones_stay_as_long_as_they_hide_something() {
    let scratch = Scratch::new();
    let lines = |value: &str, keys: std::ops::Range<u32>| -> String {
        keys.map(|i| format!("key {i}\t{value}\n")).collect()
    };
    let out = scratch.database("out", lines("old", 0..100));
    let deletions = scratch.database("deletions", lines("\\N", 20..60));
    sst(&[&"merge", &deletions, &"-o", &out, &"--mode", &"append"]).expect(0);
    let left = map(&out);
    assert_eq!(left.len(), 60);
    assert!(!left.contains_key("key 20") && left.contains_key("key 60"));
    assert_eq!(tables(&out).len(), 2);
    // Without older tables below, no tombstone is kept unless `--keep-tombstones` is given.
    let other = scratch.path("other");
    let merge = |args: &[&str]| {
        let all = join(&[&"merge", &deletions, &"-o", &other, &"--json"], args);
        sst(&all).expect(0).json()
    };
    assert_eq!(merge(&[])["entries"], 0);
    assert_eq!(merge(&["--keep-tombstones"])["tombstones"], 40);
}

#[test]
fn in_place_makes_few_tables_of_many() {
    let scratch = Scratch::new();
    let directory = scratch.database("db", "one\t1\ntwo\t1\nthree\t1\n");
    append(&directory, "two\t2\n");
    append(&directory, "three\t\\N\n");
    append(&directory, "four\t4\n");
    assert_eq!(tables(&directory).len(), 4);
    let before = map(&directory);
    let merge = |more: &[&str]| {
        let args = ["--in-place", "--keep-generations", "0"];
        sst(&join(&join(&[&"merge", &directory], &args), more)).expect(0)
    };
    let report = merge(&["--newest", "2", "--json"]).json();
    assert_eq!(report["replaced_tables"], 2);
    assert_eq!((tables(&directory).len(), map(&directory)), (3, before.clone()));
    let text = merge(&[]);
    assert!(text.text().contains("tables replaced: 3\n"), "{}", text.text());
    assert_eq!((tables(&directory).len(), map(&directory)), (1, before));
    let quiet = merge(&["--quiet"]);
    assert_eq!((quiet.text(), quiet.stderr.as_str()), ("", ""));
}

#[test]
fn tables_end_where_they_are_told_to() {
    let scratch = Scratch::new();
    let lines: String = (0..1000).map(|i| format!("key {i}\tvalue {i}\n")).collect();
    let directory = scratch.database("db", &lines);
    let before = map(&directory);
    sst(&[&"merge", &directory, &"--in-place", &"--max-table-entries", &"300", &"--no-filter"])
        .expect(0);
    assert_eq!((tables(&directory).len(), map(&directory)), (4, before));
    let report = sst(&[&"inspect", &directory, &"--json"]).expect(0).json();
    assert!(report["tables"].as_array().unwrap().iter().all(|table| table["filter"].is_null()));
}

#[test]
fn files_merge_into_a_file() {
    let scratch = Scratch::new();
    let a = scratch.database("a", "one\ta\ntwo\ta\n");
    let b = scratch.database("b", "two\tb\n");
    let out = scratch.path("out.sst");
    sst(&[&"merge", &tables(&a)[0], &tables(&b)[0], &"-o", &out]).expect(0);
    assert_eq!(map(&out), pairs(&[("one", "a"), ("two", "b")]));
    sst(&[&"merge", &a, &"-o", &out]).expect_error(3, &["out.sst", "exists"]);
    assert_eq!(map(&out), pairs(&[("one", "a"), ("two", "b")]));
    let gone = scratch.database("gone", "one\t\\N\n");
    let nothing = scratch.path("nothing.sst");
    let run = sst(&[&"merge", &gone, &"-o", &nothing]).expect(0);
    assert!(run.stderr.contains("no entries") && !nothing.exists());
}

#[test]
fn a_cache_directory_of_turbopack_merges_into_one_of_ours() {
    let scratch = Scratch::new();
    let tiny = repository("conformance/vectors/turbopack-tiny");
    for family in ["0", "1", "2", "3"] {
        let out = scratch.path(family);
        sst(&[&"merge", &tiny, &"-o", &out, &"--family", &family]).expect(0);
        let all = |path: &Path| {
            sst(&[&"scan", &path, &"--all", &"--hex", &"--family", &family]).expect(0).stdout
        };
        assert_eq!(all(&out), all(&tiny));
        assert!(sst(&[&"verify", &out]).expect(0).text().contains("intact and protected"));
    }
    let copy = scratch.copy_of(&tiny, "copy");
    let before = names(&copy);
    sst(&[&"merge", &copy, &"--in-place"]).expect_error(3, &["can only be read"]);
    assert_eq!(names(&copy), before);
}

#[test]
fn what_cannot_be_merged_is_refused_and_changes_nothing() {
    let scratch = Scratch::new();
    let a = scratch.database("a", "one\ta\n");
    let b = scratch.database("b", "one\tb\n");
    let out = scratch.path("out");
    sst(&[&"merge", &a, &b, &"-o", &out, &"--duplicates", &"error"])
        .expect_error(3, &["one", "more than once"]);
    sst(&[&"merge", &a, &scratch.path("missing"), &"-o", &scratch.path("new")])
        .expect_error(3, &["missing"]);
    assert!(!scratch.path("new").exists());
    sst(&[&"merge", &a]).expect(3);
    sst(&[&"merge", &a, &"-o", &out, &"--in-place"]).expect(3);
    sst(&[&"merge", &a, &b, &"--in-place"]).expect_error(3, &["exactly one"]);
    sst(&[&"merge", &scratch.file("text.sst", "no table"), &"-o", &out])
        .expect_error(2, &["not an SST file"]);
    sst(&[&"merge", &a, &"-o", &scratch.path("x.sst"), &"--mode", &"append"])
        .expect_error(3, &["directory"]);
    sst(&[&"merge", &scratch.path("missing"), &"--in-place"]).expect(3);
    assert!(!scratch.path("missing").exists());
}

#[test]
fn damage_stops_a_merge_and_the_directory_is_as_before() {
    let scratch = Scratch::new();
    let lines: String =
        (0..500).map(|i| format!("a key of some length {i}\tvalue {i}\n")).collect();
    let directory = scratch.database("db", &lines);
    append(&directory, "another\tvalue\n");
    let table = tables(&directory)[0].clone();
    let intact = fs::read(&table).unwrap();
    let mut damaged = intact.clone();
    damaged[100] ^= 1;
    fs::write(&table, damaged).unwrap();
    let before = names(&directory);
    sst(&[&"merge", &directory, &"--in-place"]).expect_error(2, &["block"]);
    assert_eq!(names(&directory), before);
    fs::write(&table, intact).unwrap();
    sst(&[&"merge", &directory, &"--in-place"]).expect(0);
    assert_eq!(map(&directory).len(), 501);
}

#[test]
fn another_writer_keeps_a_directory_locked() {
    let scratch = Scratch::new();
    let directory = scratch.database("db", "one\t1\n");
    let lock = fs::File::options().write(true).open(directory.join(".lock")).unwrap();
    lock.lock().unwrap();
    sst(&[&"merge", &directory, &"--in-place"]).expect_error(3, &["is being written to"]);
}

/// Each family is merged in its own commit.
#[test]
fn a_merge_in_place_that_fails_leaves_each_family_merged_or_as_it_was() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    for (family, tsv) in
        [("0", "a\t1\nb\t1\n"), ("0", "b\t2\n"), ("1", "c\t1\n"), ("1", "d\tlong enough\n")]
    {
        let args = ["--format", "tsv", "--increment", "--family", family];
        sst_with_input(&join(&[&"load", &"-", &db], &args), tsv.as_bytes()).expect(0);
    }
    let [_, _, c, d] = <[_; 4]>::try_from(tables(&db)).unwrap();
    let intact = fs::read(&d).unwrap();
    let mut damaged = intact.clone();
    damaged[12] ^= 1;
    fs::write(&d, damaged).unwrap();
    sst(&[&"merge", &db, &"--in-place", &"--keep-generations", &"0"])
        .expect_error(2, &[d.file_name().unwrap().to_str().unwrap()]);
    // The first family is merged, the tables of the second are untouched, and nothing else is left.
    let [left_c, left_d, merged] = <[_; 3]>::try_from(tables(&db)).unwrap();
    assert_eq!((&left_c, &left_d), (&c, &d));
    assert_eq!(scan(&merged).lines().count(), 2);
    assert_eq!(map(&db), pairs(&[("a", "1"), ("b", "2")]));
    fs::write(&d, intact).unwrap();
    // The same command continues with the other family.
    sst(&[&"merge", &db, &"--in-place", &"--keep-generations", &"0"]).expect(0);
    assert_eq!(tables(&db).len(), 2);
    let second = sst(&[&"scan", &db, &"--family", &"1"]).expect(0);
    assert_eq!(second.text().lines().count(), 2);
    sst(&[&"verify", &db]).expect(0);
}

#[test]
fn auto_merges_the_newest_layers_once_there_are_too_many() {
    let scratch = Scratch::new();
    let layer = |i: u32| -> String {
        let lines = (i * 40..i * 40 + 100).map(|key| match (key + i) % 7 {
            0 => format!("key {key}\t\\N\n"),
            _ => format!("key {key}\tvalue {i}\n"),
        });
        lines.collect()
    };
    let db = scratch.database("db", layer(0));
    let auto = |more: &[&str]| {
        let args = join(&[&"merge", &db, &"--auto", &"--max-layers", &"3"], more);
        sst(&args).expect(0)
    };
    for i in 1..3 {
        append(&db, &layer(i));
    }
    assert_eq!(tables(&db).len(), 3);
    // There are no more than three layers, so nothing is done.
    let files = names(&db);
    assert!(auto(&[]).stderr.contains("nothing to merge"));
    assert_eq!(names(&db), files);
    for i in 3..9 {
        append(&db, &layer(i));
    }
    let before = map(&db);
    let planned = auto(&["--dry-run", "--json"]).json_lines();
    assert_eq!(names(&db).iter().filter(|name| name.ends_with(".sst")).count(), 9);
    assert!(planned[0]["layers"].as_u64().unwrap() >= 2 && planned[0]["bytes"].is_u64());
    let merged = auto(&["--json", "--keep-generations", "0"]).json_lines();
    assert_eq!(merged[0]["replaced_tables"], planned[0]["tables"]);
    assert!(tables(&db).len() <= 3, "{:?}", names(&db));
    assert_eq!(map(&db), before);
    assert!(sst(&[&"verify", &db]).expect(0).text().contains("intact and protected"));
    // Nothing is left to do, and the next load goes on.
    assert!(auto(&[]).stderr.contains("nothing to merge"));
    append(&db, "key 5\tnewest\n");
    assert_eq!(map(&db).get("key 5").map(String::as_str), Some("newest"));
}

#[test]
fn auto_keeps_to_its_limit_of_bytes_and_to_one_directory() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "key 0\t0\n");
    for i in 1..6 {
        append(&db, &format!("key {i}\t{i}\n"));
    }
    let files = names(&db);
    let limited = join(&[&"merge", &db, &"--auto", &"--max-layers", &"2"], &["--max-bytes", "1"]);
    assert!(sst(&limited).expect(0).stderr.contains("nothing to merge"));
    assert_eq!(names(&db), files);
    let args: [crate::harness::Arg<'_>; 4] = [&"merge", &db, &db, &"--auto"];
    sst(&args).expect_error(3, &["one directory"]);
    sst(&[&"merge", &db, &"--auto", &"--in-place"]).expect(3);
    sst(&[&"merge", &scratch.path("none"), &"--auto"]).expect_error(3, &["none"]);
}

/// A merge was killed right after its commit, before it removed what it had replaced. The next one
/// finds nothing to merge, and leaves the directory as the killed one would have.
#[test]
fn a_merge_with_nothing_to_do_removes_what_a_killed_one_has_left() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\n");
    for row in ["b\t2\n", "c\t3\n"] {
        append(&db, row);
    }
    let before = scratch.copy_of(&db, "before");
    sst(&[&"merge", &db, &"--in-place"]).expect(0);
    let finished = names(&db);
    for name in names(&before) {
        if !db.join(&name).exists() {
            fs::copy(before.join(&name), db.join(&name)).unwrap();
        }
    }
    let killed = names(&db);
    assert!(killed.len() > finished.len());
    sst(&[&"merge", &db, &"--auto", &"--dry-run"]).expect(0);
    assert_eq!(names(&db), killed);
    sst(&[&"merge", &db, &"--auto"]).expect(0);
    assert_eq!(names(&db), finished);
    // The generation before the merge is still there.
    sst(&[&"rollback", &db]).expect(0);
    assert_eq!(map(&db), pairs(&[("a", "1"), ("b", "2")]));
}
