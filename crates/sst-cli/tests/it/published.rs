//! Messages about commits: that a commit is live although a later step failed, and what a dry run
//! would replace.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{Arg, Run, Scratch, names, scan, sst_with_input};

/// Runs `sst` with a standard output that accepts no bytes.
fn with_full_output(args: &[Arg<'_>]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sst"));
    command.args(args.iter().map(|arg| arg.as_ref())).stdin(Stdio::null());
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    command.stdout(full).output().unwrap().into()
}

#[test]
fn a_commit_whose_report_cannot_be_printed_is_said_to_be_live() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\n");
    let input = scratch.file("in.tsv", "a\t2\n");
    let part = scratch.database("part", "a\t3\n");
    let words = ["is live"];
    with_full_output(&[&"load", &input, &db]).expect_error(4, &words);
    assert_eq!(scan(&db), "a\t2\n");
    with_full_output(&[&"rollback", &db]).expect_error(4, &words);
    assert_eq!(scan(&db), "a\t1\n");
    with_full_output(&[&"gather", &part, &"-o", &db]).expect_error(4, &words);
    assert_eq!(scan(&db), "a\t3\n");
    with_full_output(&[&"merge", &db, &"--in-place"]).expect_error(4, &words);
    with_full_output(&[&"merge", &input.with_file_name("part"), &"-o", &scratch.path("new")])
        .expect_error(4, &words);
    assert_eq!(scan(&scratch.path("new")), "a\t3\n");
    let before = names(&db);
    // Commands that make no commit exit with code 3 and change no files.
    with_full_output(&[&"load", &input, &db, &"--dry-run"]).expect_error(3, &["standard output"]);
    with_full_output(&[&"scan", &db]).expect_error(3, &["standard output"]);
    assert_eq!(names(&db), before);
}

/// Runs a command once for each of its syncs, with that sync failing. Returns the exit codes, and
/// the content of the directory after each run.
fn with_failing_syncs(db: &Path, reset: &dyn Fn(), args: &[&str]) -> Option<Vec<(i32, String)>> {
    let mut seen = Vec::new();
    for number in 1.. {
        reset();
        let inject = format!("inject=fsync,fdatasync:error=EIO:when={number}");
        let traced = Command::new("strace")
            .args(["-f", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", &inject])
            .arg(env!("CARGO_BIN_EXE_sst"))
            .args(args)
            .stdin(Stdio::null())
            .output();
        let Ok(run) = traced else { return None };
        if run.status.code() == Some(1) && !db.join("CURRENT").exists() {
            return None;
        }
        let code = run.status.code().unwrap();
        seen.push((code, scan(db)));
        if code == 0 {
            return Some(seen);
        }
    }
    None
}

/// The exit code must tell whether the commit is live, for each sync that fails.
#[cfg(target_os = "linux")]
#[test]
fn the_exit_code_tells_whether_a_commit_is_live_whichever_sync_fails() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    let input = scratch.file("in.tsv", "a\tnew\n");
    let reset = || {
        if db.exists() {
            fs::remove_dir_all(&db).unwrap();
        }
        scratch.database("db", "a\told\n");
    };
    let args = ["load", input.to_str().unwrap(), db.to_str().unwrap(), "-q"];
    let Some(seen) = with_failing_syncs(&db, &reset, &args) else {
        eprintln!("NOT RUN: strace is missing, or may not trace");
        return;
    };
    assert!(seen.iter().any(|(code, _)| *code == 4), "{seen:?}");
    for (code, content) in &seen {
        let expected = match code {
            0 | 4 => "a\tnew\n",
            3 => "a\told\n",
            other => panic!("{other}"),
        };
        assert_eq!(content, expected, "{seen:?}");
    }
}

#[test]
fn a_dry_run_says_what_would_be_and_changes_nothing() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\nb\t2\n");
    let before = names(&db);
    let load = |db: &Path, more: &[&str]| {
        let args = crate::harness::join(&[&"load", &"-", &db, &"--format", &"tsv"], more);
        sst_with_input(&args, b"c\t3\n").expect(0)
    };
    let dry = load(&db, &["--dry-run"]);
    assert!(dry.stderr.contains("2 entries") && dry.stderr.contains("would be"), "{}", dry.stderr);
    assert!(dry.text().contains("nothing was published"), "{}", dry.text());
    let report = load(&db, &["--dry-run", "--certify", "--json"]).json();
    assert_eq!((&report["entries"], &report["commit"]), (&1.into(), &serde_json::Value::Null));
    assert_eq!(names(&db), before);
    assert_eq!(scan(&db).lines().count(), 2);
    // A dry run does not create a directory either.
    load(&scratch.path("new"), &["--dry-run"]);
    assert!(!scratch.path("new").exists());
}
