//! Errors other than damage: wrong usage, missing files, full disks, directories of other programs.

use std::fs;

use crate::harness::{Arg, Scratch, join, names, repository, scan, sst, sst_with_input, tables};

#[test]
fn wrong_usage_has_exit_code_three() {
    for args in [
        &[][..],
        &["frobnicate"],
        &["get"],
        &["get", "db"],
        &["scan", "db", "--limit", "x"],
        &["scan", "db", "--from-hash", "xyz"],
        &["load", "in.tsv"],
        &["load", "in.tsv", "db", "--delimiter", "ab"],
        &["inspect", "db", "--explain", "0", "--json"],
        &["verify", "db", "--no-such-option"],
    ] {
        let run = sst(&join(&[], args)).expect(3);
        assert!(!run.stderr.is_empty());
    }
}

#[test]
fn what_does_not_exist_is_named() {
    let scratch = Scratch::new();
    let missing = scratch.path("missing");
    for args in
        [&["get", "k"][..], &["scan"], &["inspect"], &["verify"], &["inspect", "--explain", "0"]]
    {
        sst(&join(&[&args[0], &missing], &args[1..])).expect_error(3, &["missing"]);
    }
    let db = scratch.path("db");
    sst(&[&"load", &missing, &db, &"--format", &"tsv"]).expect_error(3, &["missing"]);
    sst(&[&"load", &scratch.path("."), &db, &"--format", &"tsv"]).expect(3);
    assert!(!db.exists());
}

#[test]
fn a_file_that_is_no_table_is_told() {
    let scratch = Scratch::new();
    let files = [
        scratch.file("empty.sst", ""),
        scratch.file("zeros.sst", [0; 100]),
        scratch.file("text.txt", "This is no table. It is a line of text.\n"),
        repository("data/UnicodeData.txt"),
    ];
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        sst(&[&"get", &file, &"k"]).expect_error(2, &[name]);
        sst(&[&"scan", &file]).expect_error(2, &[name]);
        sst(&[&"inspect", &file]).expect_error(2, &[name]);
        sst(&[&"verify", &file]).expect_error(2, &[name]);
        for output in ["new.db", "new.sst"].map(|output| scratch.path(output)) {
            sst(&[&"merge", &file, &"-o", &output]).expect_error(2, &[name]);
            sst(&[&"sample", &file, &"--keys", &"1", &"-o", &output]).expect_error(2, &[name]);
            sst(&[&"split", &file, &"-n", &"2", &"-o", &output]).expect_error(2, &[name]);
            assert!(!output.exists());
        }
        sst(&[&"diff", &file, &file]).expect_error(2, &[name]);
        sst(&[&"log", &file]).expect_error(3, &[name]);
        sst(&[&"rollback", &file]).expect_error(3, &[name]);
        sst(&[&"merge", &file, &"--in-place"]).expect_error(3, &[name]);
    }
}

#[test]
fn a_directory_that_is_not_ours_is_told() {
    let scratch = Scratch::new();
    let empty = scratch.path("empty");
    fs::create_dir(&empty).unwrap();
    let parts = scratch.path("parts");
    fs::create_dir(&parts).unwrap();
    fs::write(parts.join("00000001.sst"), b"something").unwrap();
    for command in ["scan", "inspect", "verify"] {
        sst(&[&command, &empty]).expect_error(3, &["empty", "CURRENT"]);
        sst(&[&command, &parts]).expect_error(2, &["parts", "CURRENT"]);
    }
    // `load` must not take the table for a leftover and remove it.
    let load = |to| sst_with_input(&[&"load", &"-", to, &"--format", &"tsv"], b"a\t1\n");
    load(&parts).expect_error(3, &["parts"]);
    assert_eq!(names(&parts), ["00000001.sst"]);
    load(&empty).expect(0);
    // Only this marker shows that the files are leftovers of an interrupted load; a lock file does
    // not.
    fs::write(parts.join(".lock"), b"").unwrap();
    load(&parts).expect_error(3, &["parts"]);
    fs::write(parts.join(".first-commit"), b"").unwrap();
    load(&parts).expect(0);
    sst(&[&"verify", &parts]).expect(0);
}

#[test]
fn a_directory_of_another_revision_is_told() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\n");
    for (content, words) in
        [("{\"version\":3}", "later revision"), ("12345", "revision"), ("", "revision")]
    {
        fs::write(db.join("CURRENT"), content).unwrap();
        for args in [&["get", "a"][..], &["scan"], &["inspect"]] {
            sst(&join(&[&args[0], &db], &args[1..])).expect_error(2, &["CURRENT", words]);
        }
        sst(&[&"verify", &db]).expect(2);
        let before = names(&db);
        sst_with_input(&[&"load", &"-", &db, &"--format", &"tsv"], b"a\t1\n")
            .expect_error(2, &["CURRENT"]);
        assert_eq!(names(&db), before);
    }
}

#[cfg(not(feature = "parquet"))]
#[test]
fn a_program_without_parquet_says_how_to_build_one_that_reads_it() {
    let scratch = Scratch::new();
    let (text, file) = (scratch.file("in.tsv", "a\t1\n"), scratch.file("in.parquet", "PAR1"));
    let db = scratch.path("db");
    sst(&[&"load", &text, &file, &db]).expect_error(3, &["in.parquet", "--features parquet"]);
    assert!(!db.exists());
}

#[test]
fn arguments_must_fit_what_they_are_for() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\n");
    let table = tables(&db).remove(0);
    sst(&[&"get", &db, &"--hex", &"xyz"]).expect_error(3, &["xyz"]);
    sst(&[&"get", &db, &"a", &"--family", &"1"]).expect_error(3, &["family 1"]);
    sst(&[&"get", &table, &"a", &"--family", &"0"]).expect_error(3, &["--family"]);
    sst(&[&"inspect", &table, &"--family", &"0"]).expect_error(3, &["--family"]);
    sst(&[&"inspect", &db, &"--explain", &"0"]).expect_error(3, &["--explain"]);
    let input = scratch.file("in.txt", "a\t1\n");
    sst(&[&"load", &input, &scratch.path("x")]).expect_error(3, &["--format"]);
    let csv = scratch.file("in.csv", "k,v\na,1\n");
    sst(&[&"load", &csv, &scratch.path("x"), &"--key-column", &"id"])
        .expect_error(3, &["in.csv", "id"]);
    sst(&[&"load", &csv, &csv]).expect_error(3, &["in.csv"]);
    assert!(!scratch.path("x").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_under_standard_output_is_an_error() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\n");
    for args in [
        &["get", "a"][..],
        &["scan"],
        &["scan", "--json"],
        &["inspect"],
        &["verify"],
        &["completions"],
    ] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sst"));
        command.arg(args[0]).args(if args[0] == "completions" { None } else { Some(&db) });
        command.args(&args[1..]).args((args[0] == "completions").then_some("bash"));
        let output = command.stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{args:?}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("standard output"));
    }
}

/// No user can create a directory in `/proc`, not even the superuser.
#[cfg(target_os = "linux")]
#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let args = ["load", "-", "/proc/sst-test", "--format", "tsv"];
    sst_with_input(&join(&[], &args), b"a\t1\n").expect_error(3, &["/proc/sst-test"]);
}

/// A process that makes the first commit of a directory was killed: there are files and a marker,
/// and no `CURRENT`. Nothing is damaged, and the next load makes the first commit.
#[test]
fn a_directory_whose_first_commit_was_killed_has_no_commit() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\n");
    fs::remove_file(db.join("CURRENT")).unwrap();
    // Without the marker, `CURRENT` was lost.
    sst(&[&"scan", &db]).expect_error(2, &["CURRENT"]);
    fs::write(db.join(".first-commit"), "").unwrap();
    let key: Arg<'_> = &"a";
    for (command, more) in
        [("scan", None), ("get", Some(key)), ("log", None), ("certificate", None), ("verify", None)]
    {
        let args: Vec<Arg<'_>> = [&command as Arg<'_>, &db].into_iter().chain(more).collect();
        sst(&args).expect_error(3, &["first commit"]);
    }
    let error = sst(&[&"scan", &db, &"--json"]).expect(3).stderr;
    let error: serde_json::Value = serde_json::from_str(error.lines().last().unwrap()).unwrap();
    assert_eq!(error["error"]["kind"], "not_a_directory_of_ours");
    sst_with_input(&[&"load", &"-", &db, &"--format", &"tsv"], b"b\t2\n").expect(0);
    assert_eq!(scan(&db), "b\t2\n");
}
