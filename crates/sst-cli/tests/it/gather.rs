//! `sst gather`: publishes directories that were written elsewhere as one commit.

use std::fs;

use crate::harness::{Scratch, join, names, scan, sst, sst_with_input, tables};

#[test]
fn fragments_become_one_commit() {
    let scratch = Scratch::new();
    let (first, second) = (scratch.path("first"), scratch.path("second"));
    let load = |dir, tsv: &str| {
        let args: [crate::harness::Arg<'_>; 6] =
            [&"load", &"-", dir, &"--format", &"tsv", &"--certify"];
        sst_with_input(&args, tsv.as_bytes()).expect(0);
    };
    load(&first, "a\tone\nb\ttwo\nc\tthree\nd\tfour\n");
    load(&second, "a\tnewer\ne\tfive\n");
    let whole = scratch.database("whole", "a\tnewer\nb\ttwo\nc\tthree\nd\tfour\ne\tfive\n");
    let all = scratch.path("all");
    // The fragments have keys in common, which is refused by default.
    sst(&[&"gather", &first, &second, &"-o", &all]).expect_error(3, &["first", "second"]);
    let later_wins = "--overlap=later-wins";
    let report =
        sst(&[&"gather", &first, &second, &"-o", &all, &later_wins, &"--certify", &"--json"]);
    let report = report.expect(0).json();
    assert_eq!((&report["entries"], &report["tables"]), (&6.into(), &2.into()));
    assert_eq!(report["fragments"][1]["certified"], true);
    assert_eq!(scan(&all), scan(&whole));
    sst(&[&"verify", &all, &"--against", &whole]).expect(0);
    sst(&[&"verify", &whole, &"--against", &report["digest"].as_str().unwrap()]).expect(0);
    // Gathered in addition to the existing entries.
    let third = scratch.database("third", "b\t\\N\n");
    sst(&[&"gather", &third, &"-o", &all, &"--mode", &"append"]).expect(0);
    assert_eq!(scan(&all).lines().count(), 4);
    let text = sst(&[&"gather", &first, &"-o", &all]).expect(0);
    assert!(text.text().contains("as certified"), "{}", text.text());
    assert_eq!(scan(&all), scan(&first));
}

#[test]
fn what_is_wrong_with_a_fragment_is_said_and_nothing_changes() {
    let scratch = Scratch::new();
    let good = scratch.database("good", "a\tone\n");
    let bad = scratch.database("bad", "b\tsome value that is not inline\n");
    let all = scratch.database("all", "z\tbefore\n");
    let before = names(&all);
    let gather = |fragment: &dyn AsRef<std::ffi::OsStr>| {
        sst(&[&"gather", &good, fragment, &"-o", &all, &"--overlap", &"later-wins"])
    };
    // A directory that was created for a failed command is removed.
    let new = scratch.path("new");
    sst(&[&"gather", &good, &good, &"-o", &new]).expect_error(3, &["good"]);
    assert!(!new.exists());
    gather(&scratch.path("nowhere")).expect_error(3, &["nowhere"]);
    gather(&tables(&bad)[0]).expect_error(3, &["00000001.sst"]);
    gather(&good).expect_error(3, &["good"]);
    let text = scratch.file("text", "hello");
    gather(&text).expect_error(3, &["text"]);
    let empty = scratch.path("empty");
    fs::create_dir(&empty).unwrap();
    gather(&empty).expect_error(3, &["CURRENT"]);
    let table = &tables(&bad)[0];
    let intact = fs::read(table).unwrap();
    let mut bytes = intact.clone();
    bytes[12] ^= 1;
    fs::write(table, bytes).unwrap();
    gather(&bad).expect_error(2, &["bad", "00000001.sst", "block 0"]);
    fs::remove_file(table).unwrap();
    gather(&bad).expect_error(3, &["00000001.sst"]);
    fs::write(table, intact).unwrap();
    assert_eq!(names(&all), before);
    gather(&bad).expect(0);
    assert_eq!(scan(&all).lines().count(), 2);
}

#[test]
fn tables_without_a_filter_get_one() {
    let scratch = Scratch::new();
    let part = scratch.path("part");
    let lines: String = (0..3000).map(|i| format!("key {i}\tvalue\n")).collect();
    let args = ["--format", "tsv", "--no-filter", "--certify"];
    sst_with_input(&join(&[&"load", &"-", &part], &args), lines.as_bytes()).expect(0);
    let filters = |db: &str, args: &[&str]| {
        let db = scratch.path(db);
        sst(&join(&[&"gather", &part, &"-o", &db], args)).expect(0);
        sst(&[&"verify", &db]).expect(0);
        let report = sst(&[&"inspect", &db, &"--json"]).expect(0).json();
        report["tables"][0]["filter"]["fingerprints"].as_u64()
    };
    assert!(filters("with", &[]).unwrap() > 2900);
    assert_eq!(filters("without", &["--no-filter"]), None);
}
