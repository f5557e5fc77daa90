//! Commands and the operating system: signals, limits on open files, unreadable files.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sst_writer::{Monitor, Publisher, PublisherOptions, WriterOptions};

use crate::harness::{Arg, Scratch, scan, sst, sst_with_input, tables};

/// The longest time that a test waits for a process that hangs.
const DEADLINE: Duration = Duration::from_secs(300);

#[test]
fn the_first_signal_ends_a_load_that_waits_for_input() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    let mut load = Command::new(env!("CARGO_BIN_EXE_sst"));
    load.args(["load", "-", "--format", "tsv"]).arg(&db);
    let mut load = load.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let waiting = load.stdin.take();
    let deadline = Instant::now() + DEADLINE;
    // The lock is taken after the signal handler was installed.
    while !db.join(".lock").exists() {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    let pid = load.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let status = loop {
        if let Some(status) = load.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            load.kill().unwrap();
            panic!("the load still waits");
        }
        std::thread::yield_now();
    };
    drop(waiting);
    assert_eq!(status.code(), Some(3));
    assert!(!db.exists(), "a directory made for the load goes again");
}

/// A directory of overlapping tables, 100 by default: each has a key of its own and one of all.
fn overlapping(scratch: &Scratch, name: &str) -> std::path::PathBuf {
    let db = scratch.path(name);
    let mut publisher = Publisher::open(&db, PublisherOptions::default()).unwrap();
    let mut commit = publisher.begin();
    for i in 0..100u8 {
        let mut table = commit.create_table(WriterOptions::default()).unwrap();
        let mut keys = [[i], [200]];
        keys.sort_by_key(|key| sst_writer::table::hash_key(key));
        keys.iter().for_each(|key| table.add((key, "value")).unwrap());
        commit.add_table(table.finish().unwrap()).unwrap();
    }
    commit.publish(&Monitor::default()).unwrap();
    db
}

#[test]
fn more_overlapping_tables_than_the_limits_of_open_files_are_walked() {
    let scratch = Scratch::new();
    let db = overlapping(&scratch, "db");
    let other = overlapping(&scratch, "other");
    let new = scratch.file("new.tsv", "new\t1\n");
    // `ulimit -n` sets the soft limit and the hard one, which `sst` cannot raise.
    for limit in ["ulimit -Sn 64", "ulimit -n 64", "ulimit -n 16"] {
        let merged = scratch.path(&format!("{limit}.sst"));
        let all = scan(&db);
        let commands: [&[Arg<'_>]; 10] = [
            &[&"scan", &db],
            &[&"certificate", &db],
            &[&"verify", &db],
            &[&"get", &db, &"c8", &"--hex", &"--all"],
            &[&"diff", &db, &other],
            &[&"merge", &db, &"--output", &merged],
            &[&"load", &new, &db, &"--increment", &"--certify"],
            &[&"merge", &other, &"--in-place", &"--certify"],
            &[&"gather", &db, &"--output", &scratch.path(&format!("{limit}.gathered"))],
            &[&"split", &db, &"--output", &scratch.path(&format!("{limit}.split")), &"-n", &"2"],
        ];
        for command in commands {
            let run = Command::new("sh")
                .args(["-c", &format!("{limit}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_sst")])
                .args(command.iter().map(|argument| argument.as_ref()))
                .output()
                .unwrap();
            // Differences have a code of their own.
            assert!(matches!(run.status.code(), Some(0 | 1)), "{limit}: {run:?}");
            match str::from_utf8(&run.stdout).unwrap() {
                scanned if command.len() == 2 && command[0].as_ref() == "scan" => {
                    assert_eq!(scanned, all, "{limit}");
                }
                values if command[0].as_ref() == "get" => assert_eq!(values.lines().count(), 100),
                _ => {}
            }
        }
        assert_eq!(scan(&merged), all, "{limit}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_not_called_damaged() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\nb\t2\n");
    let table = tables(&db).remove(0);
    fs::remove_file(&table).unwrap();
    // A symbolic link to itself: the system refuses to open it for every user.
    symlink(table.file_name().unwrap(), &table).unwrap();
    let report = sst(&[&"verify", &db, &"--json"]).expect(3).json();
    assert_eq!(report["damage"].as_array().unwrap().len(), 0);
    assert_eq!(report["unread"].as_array().unwrap().len(), 1);
    assert!(report["unread"][0]["lost"].is_null());
    let text = sst(&[&"verify", &db]).expect(3).text().to_owned();
    assert!(!text.contains("damaged") && !text.contains("lost"), "{text}");
}

#[test]
fn an_error_is_one_line_whatever_the_name_of_the_file() {
    let scratch = Scratch::new();
    let missing = scratch.path("two\nlines\u{1b}[2J");
    let run = sst(&[&"scan", &missing]).expect(3);
    assert_eq!(run.stderr.lines().count(), 1, "{:?}", run.stderr);
    assert!(!run.stderr.contains('\u{1b}'));
}

#[test]
fn a_load_says_what_it_replaced_and_how_to_take_it_back() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\nb\t2\n");
    let load = |more: &[&str]| {
        let args = crate::harness::join(&[&"load", &"-", &db, &"--format", &"tsv"], more);
        sst_with_input(&args, b"c\t3\n").expect(0)
    };
    let kept = load(&["--keep-generations", "1"]);
    let line = kept.stderr.lines().find(|line| line.contains("2 entries")).unwrap();
    let command = line.split('`').nth(1).unwrap();
    let args: Vec<&str> = command.split(' ').collect();
    assert_eq!(args[..2], ["sst", "rollback"]);
    sst(&[&"rollback", &args[2], &args[3]]).expect(0);
    assert_eq!(sst(&[&"get", &db, &"b"]).expect(0).text(), "b\t2\n");
    assert!(load(&[]).stderr.contains("sst rollback"));
    assert!(load(&["--keep-generations", "0"]).stderr.contains("for good"));
    assert!(!load(&["--mode", "append"]).stderr.contains("replaced"));
}

#[test]
fn a_load_whose_lock_file_is_removed_keeps_others_out_and_says_that_nothing_of_it_is_live() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\n");
    fs::remove_file(db.join(".lock")).unwrap();
    let mut load = Command::new(env!("CARGO_BIN_EXE_sst"));
    load.args(["load", "-", "--format", "tsv"]).arg(&db);
    let mut load = load.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + DEADLINE;
    // The holder writes its name into the file that it has locked.
    while !fs::metadata(db.join(".lock")).is_ok_and(|lock| lock.len() > 0) {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    let other = |line: &[u8]| sst_with_input(&[&"load", &"-", &db, &"--format", &"tsv"], line);
    other(b"early\t2\n").expect(3);
    fs::remove_file(db.join(".lock")).unwrap();
    // The directory itself is locked, too.
    other(b"early\t2\n").expect(3);
    load.stdin.take().unwrap().write_all(b"mine\t3\n").unwrap();
    assert_eq!(load.wait().unwrap().code(), Some(3), "its lock file is gone");
    assert_eq!(scan(&db), "a\t1\n");
    other(b"other\t2\n").expect(0);
    assert_eq!(scan(&db), "other\t2\n");
}

#[test]
fn a_pipe_under_a_name_that_is_read_whole_is_not_waited_for() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\n");
    let shards = scratch.path("shards");
    fs::create_dir(&shards).unwrap();
    let (meta, dump, manifest) =
        (db.join("00000001.meta"), scratch.path("dump.meta"), shards.join("shards.json"));
    for pipe in [&meta, &dump, &manifest] {
        assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    }
    sst(&[&"verify", &db]).expect(0);
    sst(&[&"inspect", &dump]).expect_error(3, &["dump.meta"]);
    sst(&[&"split", &"--which", &"a", &shards]).expect_error(3, &["shards.json"]);
    // A list that has no end is not read to its end.
    fs::remove_file(&manifest).unwrap();
    fs::File::create(&manifest).unwrap().set_len(6 << 30).unwrap();
    sst(&[&"split", &"--which", &"a", &shards]).expect_error(3, &["shards.json"]);
    sst(&[&"verify", &db, &"--against", &manifest]).expect_error(3, &["shards.json"]);
}

/// The exit code tells the outcome, also if the output cannot be printed.
#[cfg(target_os = "linux")]
#[test]
fn an_output_that_is_written_is_reported_as_such_though_nothing_can_be_printed() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\nb\t2\n");
    let input = scratch.file("new.tsv", "a\t2\n");
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    let run = |args: &[Arg<'_>], stdout: Stdio, stderr: Stdio| {
        let mut sst = Command::new(env!("CARGO_BIN_EXE_sst"));
        sst.args(args.iter().map(|arg| arg.as_ref()));
        sst.stdout(stdout).stderr(stderr).status().unwrap().code()
    };
    let (merged, sample, shards) =
        (scratch.path("merged.sst"), scratch.path("sample"), scratch.path("shards"));
    for (args, output) in [
        (&[&"merge" as Arg<'_>, &db, &"-o", &merged][..], &merged),
        (&[&"sample", &db, &"--keys", &"1", &"-o", &sample], &sample),
        (&[&"split", &db, &"-n", &"2", &"-o", &shards], &shards),
    ] {
        assert_eq!(run(args, full().into(), Stdio::null()), Some(4), "{}", output.display());
        assert!(output.exists());
    }
    let load: [Arg<'_>; 3] = [&"load", &input, &db];
    assert_eq!(run(&load, Stdio::null(), full().into()), Some(0));
    assert_eq!(run(&load, full().into(), full().into()), Some(4));
    assert_eq!(run(&[&"get", &db, &"nothing"], Stdio::null(), full().into()), Some(1));
    assert_eq!(run(&[&"get", &db, &"a", &"--family", &"7"], Stdio::null(), full().into()), Some(3));
    assert_eq!(run(&[&"get", &db, &"a", &"--nothing"], Stdio::null(), full().into()), Some(3));
}

#[test]
fn a_merge_refuses_what_would_have_no_effect_and_changes_nothing() {
    let scratch = Scratch::new();
    let (db, other) = (scratch.database("db", "a\t1\nb\t2\n"), scratch.path("other"));
    let add = |line: &[u8]| {
        sst_with_input(&[&"load", &"-", &db, &"--format", &"tsv", &"--increment"], line).expect(0);
    };
    add(b"a\t2\n");
    let before = fs::read(db.join("CURRENT")).unwrap();
    let merge = |more: &[&str]| sst(&crate::harness::join(&[&"merge", &db], more));
    let out = other.to_str().unwrap();
    for option in [
        &["--in-place", "--dry-run"][..],
        &["--output", out, "--dry-run"],
        &["--in-place", "--max-layers", "2"],
        &["--output", out, "--max-bytes", "1k"],
        &["--in-place", "--max-space", "200"],
        &["--in-place", "--replaced", "9"],
        &["--auto", "--newest", "2"],
    ] {
        merge(option).expect_error(3, &["no effect"]);
    }
    assert!(fs::read(db.join("CURRENT")).unwrap() == before && !other.exists());
    merge(&["--auto", "--dry-run", "--max-layers", "1"]).expect(0);
    assert!(fs::read(db.join("CURRENT")).unwrap() == before);
}

/// Each command that replaces a key space says so, and how to take it back.
#[test]
fn merges_gatherings_and_samples_say_what_they_replaced() {
    let scratch = Scratch::new();
    let part = scratch.path("part");
    sst_with_input(&[&"load", &"-", &part, &"--format", &"tsv"], b"new\t1\n").expect(0);
    for command in [
        &[&"merge" as Arg<'_>, &part][..],
        &[&"gather", &part],
        &[&"sample", &part, &"--keys", &"1"],
    ] {
        let db = scratch.database("db", "a\t1\nb\t2\n");
        let run = |more: &[Arg<'_>]| {
            sst(&[command, &[&"--output" as Arg<'_>, &db], more].concat()).expect(0)
        };
        let note = run(&[]).stderr;
        assert!(note.contains("2 entries") && note.contains("sst rollback"), "{note}");
        sst(&[&"rollback", &db]).expect(0);
        assert_eq!(sst(&[&"scan", &db, &"--count"]).expect(0).text(), "2\n");
        assert!(run(&[&"--keep-generations", &"0"]).stderr.contains("for good"));
        fs::remove_dir_all(&db).unwrap();
    }
}

#[test]
fn a_family_that_is_not_there_is_neither_verified_nor_certified() {
    let scratch = Scratch::new();
    let (db, other) = (scratch.database("db", "a\t1\n"), scratch.path("other"));
    sst_with_input(&[&"load", &"-", &other, &"--format", &"tsv"], b"a\t2\n").expect(0);
    sst(&[&"verify", &db, &"--against", &other, &"--family", &"9"]).expect_error(3, &["family 9"]);
    sst(&[&"certificate", &db, &"--family", &"9"]).expect_error(3, &["family 9"]);
    sst(&[&"verify", &db, &"--against", &other, &"--family", &"0"]).expect(2);
}

/// An input without an end, of one line or of bad ones, is not read on after a signal.
#[cfg(target_os = "linux")]
#[test]
fn the_first_signal_ends_a_load_of_an_input_without_an_end() {
    for (format, input) in
        [("tsv", "/dev/zero"), ("csv", "/dev/zero"), ("jsonl", "/dev/zero"), ("json", "/dev/zero")]
    {
        let scratch = Scratch::new();
        let db = scratch.path("db");
        let mut load = Command::new(env!("CARGO_BIN_EXE_sst"));
        load.args(["load", input, "--skip-bad", "--format", format]).arg(&db);
        let mut load = load.stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + DEADLINE;
        while !db.join(".lock").exists() {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
        let id = load.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let status = loop {
            match load.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() > deadline => {
                    load.kill().unwrap();
                    break load.wait().unwrap();
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        assert_eq!(status.code(), Some(3), "{format}");
        assert!(!db.exists());
    }
}

#[test]
fn an_error_of_usage_is_one_line() {
    for args in
        [&["get", "db", "--famly", "3"][..], &["load", "x", "y", "--delimiter", "a\nb"], &["get"]]
    {
        let run = sst(&crate::harness::join(&[], args));
        let run = run.expect(3);
        assert!(
            run.stderr.starts_with("error: ") && run.stderr.lines().count() == 1,
            "{args:?}: {}",
            run.stderr
        );
    }
    let run = sst(&[&"get", &"db", &"--famly", &"3", &"--json"]).expect(3);
    let json: serde_json::Value = serde_json::from_str(&run.stderr).unwrap();
    let message = json["error"]["message"].as_str().unwrap();
    assert!(!message.contains('\n') && !message.starts_with("error"), "{message}");
}

/// The error of a file that cannot be opened has the system's number, in one line.
#[test]
fn an_error_where_no_more_files_may_be_open_has_the_systems_number() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\n");
    let input = scratch.file("in.tsv", "b\t2\n");
    let out = scratch.path("out");
    let commands: [&[Arg<'_>]; 5] = [
        &[&"load", &input, &db, &"--increment", &"--quiet"],
        &[&"merge", &db, &"--in-place", &"--quiet"],
        &[&"merge", &db, &"-o", &out, &"--quiet"],
        &[&"sample", &db, &"--keys", &"1", &"-o", &out, &"--quiet"],
        &[&"rollback", &db, &"--quiet"],
    ];
    let mut refused = 0;
    for command in commands {
        for limit in 4..12 {
            let mut limited = Command::new("sh");
            limited.args(["-c", "ulimit -n $0 && exec \"$@\"", &limit.to_string()]);
            limited.arg(env!("CARGO_BIN_EXE_sst")).args(command.iter().map(|arg| arg.as_ref()));
            let run = limited.output().unwrap();
            let message = String::from_utf8(run.stderr).unwrap();
            // 127 is the loader of programs, which may open no library.
            if run.status.success() || run.status.code() == Some(127) {
                continue;
            }
            refused += 1;
            let is_said = message.lines().count() == 1 && message.contains("os error 24");
            assert!(run.status.code() == Some(3) && is_said, "{limit}: {message}");
        }
    }
    assert!(refused >= 10, "{refused}");
    sst(&[&"verify", &db]).expect(0);
}

/// Names of directories in reports: each report is one line, which cannot control the terminal.
#[test]
fn a_report_is_one_line_whatever_the_name_of_the_directory() {
    let scratch = Scratch::new();
    let input = scratch.file("in.tsv", "a\t1\nb\t2\n");
    let name = |name: &str| scratch.path(&format!("{name}\n\u{1b}[31mred"));
    let (db, out, bucket) = (name("db"), name("out"), name("bucket"));
    let (shards, sampled, gathered) = (name("shards"), name("sampled"), name("gathered"));
    let commands: [&[Arg<'_>]; 12] = [
        &[&"load", &input, &db],
        &[&"load", &input, &db, &"--increment"],
        &[&"verify", &db],
        &[&"inspect", &db],
        &[&"log", &db],
        &[&"merge", &db, &"-o", &out],
        &[&"gather", &db, &"-o", &gathered],
        &[&"split", &db, &"-n", &"2", &"-o", &shards],
        &[&"sample", &db, &"--fraction", &"1", &"-o", &sampled],
        &[&"push", &db, &bucket],
        &[&"pull", &bucket, &name("pulled")],
        &[&"rollback", &db],
    ];
    for command in commands {
        let run = sst(command).expect(0);
        let printed = format!("{}{}", run.text(), run.stderr);
        assert!(!printed.contains('\u{1b}'), "{printed:?}");
        assert!(!printed.lines().any(|line| line.starts_with("[31m")), "{printed:?}");
    }
    // JSON has escapes of its own, and the name as it is.
    let report = sst(&[&"verify", &db, &"--json"]).expect(0).json();
    assert_eq!(report["path"].as_str().unwrap(), db.to_str().unwrap());
}

/// With `--quiet` no note says that other families are left out.
#[test]
fn a_quiet_command_that_takes_one_of_several_families_must_be_told_which() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\n");
    let input = scratch.file("in.tsv", "b\t2\n");
    sst(&[&"load", &input, &db, &"--family", &"1", &"--increment"]).expect(0);
    let out = scratch.path("out");
    let commands: [&[Arg<'_>]; 3] = [
        &[&"diff", &db, &db],
        &[&"merge", &db, &"-o", &out],
        &[&"sample", &db, &"--fraction", &"1", &"-o", &out],
    ];
    for command in commands {
        let quiet: Vec<Arg<'_>> = command.iter().copied().chain([&"-q" as Arg<'_>]).collect();
        sst(&quiet).expect_error(3, &["--family"]);
        assert!(!out.exists());
        let told = [&"--family" as Arg<'_>, &"1"];
        sst(&quiet.iter().copied().chain(told).collect::<Vec<_>>()).expect(0);
        assert!(sst(command).expect(0).stderr.contains("--family"));
        drop(fs::remove_dir_all(&out));
    }
}
