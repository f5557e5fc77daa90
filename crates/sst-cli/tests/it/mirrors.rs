//! `push`, `pull` and `gc`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::harness::{Arg, Scratch, join, names, scan, sst, sst_with_input};

fn url(path: &std::path::Path) -> String {
    format!("file://{}", path.display())
}

#[test]
fn commits_are_pushed_and_pulled() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\nb\t2\n");
    let (bucket, copy) = (url(&scratch.path("bucket")), scratch.path("copy"));
    let pushed = sst(&[&"push", &db, &bucket, &"--json"]).expect(0).json();
    assert_eq!((&pushed["copied_files"], &pushed["kept_files"]), (&2.into(), &0.into()));
    sst(&[&"pull", &bucket, &copy]).expect(0);
    assert_eq!(scan(&copy), scan(&db));
    let args: [Arg<'_>; 6] = [&"load", &"-", &db, &"--format", &"tsv", &"--increment"];
    sst_with_input(&args, b"c\t3\n").expect(0);
    sst(&[&"push", &db, &bucket]).expect(0);
    let pulled = sst(&[&"pull", &bucket, &copy, &"--json", &"--rate", &"1GiB"]).expect(0).json();
    assert_eq!((&pulled["copied_files"], &pulled["kept_files"]), (&2.into(), &2.into()));
    assert_eq!(scan(&copy), scan(&db));
    let again = sst(&[&"pull", &bucket, &copy, &"--json"]).expect(0).json();
    assert_eq!((&again["copied_files"], &again["changed"]), (&0.into(), &false.into()));
    // A file that is gone is copied again, and that is said.
    fs::remove_file(copy.join("00000001.sst")).unwrap();
    let mended = sst(&[&"pull", &bucket, &copy]).expect(0);
    assert!(mended.text().contains("1 file copied"), "{}", mended.text());
    sst(&[&"verify", &copy]).expect(0);
}

#[test]
fn other_histories_and_damage_are_refused() {
    let scratch = Scratch::new();
    let (db, other) = (scratch.database("db", "a\t1\n"), scratch.database("other", "b\t2\n"));
    let bucket = scratch.path("bucket");
    sst(&[&"push", &db, &bucket]).expect(0);
    sst(&[&"push", &other, &bucket]).expect_error(3, &["is at commit", "does not have"]);
    sst(&[&"push", &other, &bucket, &"--replace"]).expect_error(3, &["other content"]);
    assert_eq!(scan(&bucket), scan(&db));
    let table = db.join("00000001.sst");
    let mut bytes = fs::read(&table).unwrap();
    bytes[10] ^= 1;
    fs::write(&table, bytes).unwrap();
    let copy = scratch.path("copy");
    sst(&[&"push", &db, &copy]).expect_error(2, &["00000001.sst", "checksum"]);
    assert!(!copy.join("CURRENT").exists());
}

#[test]
fn wrong_places_are_refused() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\n");
    let none = scratch.path("none");
    sst(&[&"pull", &none, &scratch.path("copy")]).expect_error(3, &["no such directory"]);
    sst(&[&"push", &none, &scratch.path("copy")]).expect_error(3, &["no such directory"]);
    assert!(!scratch.path("copy").exists());
    sst(&[&"push", &db, &"ftp://host/x"]).expect_error(3, &["ftp"]);
    sst(&[&"gc", &db]).expect_error(3, &["a directory needs no"]);
    if cfg!(not(feature = "aws")) {
        sst(&[&"push", &db, &"s3://bucket/x"]).expect_error(3, &["this build", "s3"]);
    }
}

/// Follows a source until it is interrupted.
#[cfg(unix)]
#[test]
fn a_follower_copies_each_commit_and_ends_at_a_signal() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\n");
    let copy = scratch.path("copy");
    let mut follower = Command::new(env!("CARGO_BIN_EXE_sst"));
    follower.args(["pull", "--json", "--follow", "--interval", "0.01s"]).arg(&db).arg(&copy);
    let mut follower = follower.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut next =
        || -> serde_json::Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["copied_files"], 2);
    let args: [Arg<'_>; 6] = [&"load", &"-", &db, &"--format", &"tsv", &"--increment"];
    sst_with_input(&args, b"c\t3\n").expect(0);
    assert_eq!(next()["copied_files"], 2);
    assert_eq!(scan(&copy), scan(&db));
    let pid = follower.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(follower.wait().unwrap().code(), Some(0));
    assert!(names(&copy).contains(&"CURRENT".to_owned()));
}

/// An error that stays is told once, however often the follower looks.
#[cfg(unix)]
#[test]
fn a_follower_tells_an_error_once() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\n");
    let copy = scratch.path("copy");
    let mut follower = Command::new(env!("CARGO_BIN_EXE_sst"));
    follower.args(["pull", "--json", "--follow", "--interval", "0.001s"]).arg(&db).arg(&copy);
    let mut follower = follower.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut commits = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut notes = BufReader::new(follower.stderr.take().unwrap()).lines();
    commits.next().unwrap().unwrap();
    let (current, broken) = (db.join("CURRENT"), scratch.file("broken", "no commit point"));
    let intact = scratch.path("intact");
    fs::rename(&current, &intact).unwrap();
    fs::rename(&broken, &current).unwrap();
    notes.next().unwrap().unwrap();
    // It looks some hundred times while these run.
    for _ in 0..5 {
        sst(&[&"verify", &copy]).expect(0);
    }
    fs::rename(&intact, &current).unwrap();
    let args: [Arg<'_>; 6] = [&"load", &"-", &db, &"--format", &"tsv", &"--increment"];
    sst_with_input(&args, b"c\t3\n").expect(0);
    commits.next().unwrap().unwrap();
    let pid = follower.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(follower.wait().unwrap().code(), Some(0));
    let more: Vec<_> = notes.map(Result::unwrap).collect();
    // Between the two renames there was no `CURRENT`, which is another error.
    assert!(more.len() <= 1, "{more:?}");
}

#[test]
fn a_shard_answers_its_keys_and_refuses_others() {
    let scratch = Scratch::new();
    let lines: String = (0..60).map(|i| format!("key{i}\t{i}\n")).collect();
    let db = scratch.database("db", &lines);
    let bucket = url(&scratch.path("bucket"));
    sst(&[&"push", &db, &bucket]).expect(0);
    let mut all = Vec::new();
    for (index, shard) in ["0/2", "1/2"].into_iter().enumerate() {
        let copy = scratch.path(&format!("copy{index}"));
        sst(&[&"pull", &bucket, &copy, &"--shard", &shard]).expect(0);
        let report = sst(&[&"verify", &copy, &"--json"]).expect(0).json();
        assert_eq!(
            (&report["shard"]["index"], &report["shard"]["count"]),
            (&index.into(), &2.into())
        );
        assert_eq!(report["shard"]["source_commit"], 2);
        let run = sst(&[&"verify", &copy]).expect(0);
        let text = run.text();
        assert!(text.contains(&format!("shard {index} of 2, of commit 2; ")), "{text}");
        all.extend(scan(&copy).lines().map(str::to_owned));
        let (mut own, mut refused) = (0, 0);
        for i in 0..60 {
            let key = format!("key{i}");
            let found = sst(&[&"get", &copy, &key, &"--values-only"]);
            match found.code {
                Some(0) => own += 1,
                _ => {
                    found.expect_error(3, &["holds shard", "does not belong"]);
                    refused += 1;
                }
            }
        }
        assert!(own > 9 && refused > 9 && own + refused == 60);
        // A router tells the wrong shard from a disk that is broken.
        let foreign = (0..60).map(|i| sst(&[&"get", &copy, &format!("key{i}"), &"--json"]));
        let foreign: Vec<_> = foreign.filter(|run| run.code != Some(0)).collect();
        for run in &foreign {
            let error: serde_json::Value =
                serde_json::from_str(run.stderr.lines().last().unwrap()).unwrap();
            assert_eq!(error["error"]["kind"], "other_shard");
        }
        assert_eq!(foreign.len(), refused);
        sst(&[&"merge", &copy, &"--in-place"]).expect_error(3, &["holds shard"]);
        // A dry run refuses what the run refuses.
        for more in [&["--auto"][..], &["--auto", "--dry-run"]] {
            sst(&join(&[&"merge", &copy], more)).expect_error(3, &["holds shard"]);
        }
    }
    assert_eq!(all.len(), 60);
    sst(&[&"pull", &bucket, &scratch.path("x"), &"--shard", &"2/2"]).expect_error(3, &["I/N"]);
}

/// A shard without tables is no empty directory, and a directory with a shard gets nothing else.
#[test]
fn a_shard_is_not_taken_for_the_whole() {
    let scratch = Scratch::new();
    let (db, empty) = (scratch.database("db", "z\tb\n"), scratch.database("out", "a\t1\n"));
    for (i, other) in [(0, 1), (1, 0)] {
        let copy = scratch.path(&format!("shard {i}"));
        let number = |i: u32| format!("{i}/2");
        sst(&[&"pull", &db, &copy, &"--shard", &number(i)]).expect(0);
        sst(&[&"merge", &copy, &"--output", &empty]).expect_error(3, &["shard"]);
        sst(&[&"diff", &copy, &db]).expect_error(3, &["shard"]);
        let sample = scratch.path("sample");
        sst(&[&"sample", &copy, &"--keys", &"1", &"-o", &sample]).expect_error(3, &["shard"]);
        let held = format!("holds shard {i} of 2");
        sst(&[&"pull", &db, &copy]).expect_error(3, &[&held]);
        sst(&[&"pull", &db, &copy, &"--shard", &number(other)]).expect_error(3, &[&held]);
        sst(&[&"verify", &copy]).expect(0);
    }
    assert_eq!(scan(&empty), scan(&scratch.database("same", "a\t1\n")));
}
