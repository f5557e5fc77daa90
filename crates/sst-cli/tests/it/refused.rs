//! Commands to which the system refuses disk space or permission, or which a signal interrupts.
//! Each must print one line of error and exit with code 3, and the files must be unchanged.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::{Arg, Run, Scratch, scan, sst};

/// All files below a folder with their content, except `.lock`, which names its last holder.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files.push((path.clone(), Vec::new()));
                folders.push(path);
            } else if path.file_name().unwrap() != ".lock" {
                let content = fs::read(&path).unwrap();
                files.push((path, content));
            }
        }
    }
    files.sort();
    files
}

/// Two directories with this many keys. The second one has two generations.
fn directories(scratch: &Scratch, keys: u64) -> (PathBuf, PathBuf) {
    let line = |i: u64| format!("key{i}\tvalue {:x}\n", i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let tsv: String = (0..keys).map(line).collect();
    let (a, b) = (scratch.database("a.db", &tsv), scratch.database("b.db", "key1\tearlier\n"));
    let input = scratch.file("in.tsv", tsv);
    sst(&[&"load", &input, &b, &"--increment", &"--keep-generations", &"3"]).expect(0);
    (a, b)
}

/// All commands that write, with their arguments, and whether each may leave a partial output that
/// the same command continues.
fn writing(scratch: &Scratch) -> Vec<(Vec<OsString>, bool)> {
    let path = |name: &str| scratch.path(name).into_os_string();
    let words = |words: &[&str]| -> Vec<OsString> {
        words.iter().map(|word| if word.contains('.') { path(word) } else { word.into() }).collect()
    };
    vec![
        (words(&["load", "in.tsv", "new.db"]), false),
        (words(&["load", "in.tsv", "a.db"]), false),
        (words(&["merge", "a.db", "b.db", "-o", "new.db"]), false),
        (words(&["merge", "a.db", "b.db", "-o", "a.db"]), false),
        (words(&["merge", "a.db", "b.db", "-o", "new.sst"]), false),
        (words(&["merge", "b.db", "--in-place"]), false),
        (words(&["gather", "a.db", "-o", "new.db"]), false),
        (words(&["gather", "a.db", "-o", "b.db", "--mode", "append", "--certify"]), false),
        (words(&["sample", "a.db", "--fraction", "1", "-o", "new.db"]), false),
        (words(&["sample", "a.db", "--fraction", "1", "-o", "new.sst"]), false),
        (words(&["split", "a.db", "-n", "2", "-o", "new.shards"]), true),
    ]
}

fn with_sh(script: &str, args: &[OsString]) -> Run {
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_sst")]).args(args);
    command.stdin(Stdio::null()).output().unwrap().into()
}

/// A limit on the size of files acts like a full disk, and exists on every machine.
#[test]
fn on_a_full_disk_every_command_that_writes_says_so_and_changes_nothing() {
    let scratch = Scratch::new();
    directories(&scratch, 9000);
    for (args, may_leave) in writing(&scratch) {
        let before = contents(&scratch.path("."));
        with_sh("trap '' XFSZ; ulimit -f 16; exec \"$@\"", &args).expect_error(3, &["cannot"]);
        if may_leave {
            // With enough room, the same command continues.
            let args: Vec<Arg<'_>> = args.iter().map(|arg| arg as Arg<'_>).collect();
            sst(&args).expect(0);
        } else {
            assert!(contents(&scratch.path(".")) == before, "{args:?}");
        }
    }
    // A rollback writes so little that it needs a lower limit to fail.
    let before = contents(&scratch.path("."));
    let db = scratch.path("b.db").into_os_string();
    let rollback = [OsString::from("rollback"), db, "--keep-generations".into(), "3".into()];
    with_sh("trap '' XFSZ; ulimit -f 0; exec \"$@\"", &rollback).expect_error(3, &["cannot"]);
    assert!(contents(&scratch.path(".")) == before);
    sst(&[&"rollback", &scratch.path("b.db")]).expect(0);
    assert_eq!(scan(&scratch.path("b.db")), "key1\tearlier\n");
}

/// The superuser may do everything. If the superuser runs the tests, `sst` runs as user `nobody`.
#[test]
fn without_permission_every_command_names_the_file() {
    let scratch = Scratch::new();
    directories(&scratch, 10);
    let is_superuser = fs::metadata(scratch.path(".")).unwrap().uid() == 0;
    let program = scratch.path("program");
    fs::copy(env!("CARGO_BIN_EXE_sst"), &program).unwrap();
    let run = |args: &[OsString]| -> Run {
        let mut command = Command::new(&program);
        command.args(args).stdin(Stdio::null());
        if is_superuser {
            command.uid(65534);
        }
        command.output().unwrap().into()
    };
    let mode = |path: &str, mode: u32| {
        fs::set_permissions(scratch.path(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    // All files may be read, and one folder may be written to.
    fs::create_dir(scratch.path("open")).unwrap();
    mode("open", 0o777);
    mode(".", 0o555);
    ["a.db", "b.db"].iter().for_each(|db| mode(db, 0o555));
    let before = contents(&scratch.path("."));
    for (args, _) in writing(&scratch) {
        run(&args).expect_error(3, &["cannot"]);
    }
    run(&["rollback".into(), scratch.path("b.db").into()]).expect_error(3, &["cannot", "b.db"]);
    assert!(contents(&scratch.path(".")) == before);
    let db = scratch.path("a.db").into_os_string();
    run(&["get".into(), db.clone(), "key1".into()]).expect(0);
    assert_eq!(fs::read_dir(scratch.path("open")).unwrap().count(), 0);
    // Now these files may not be read either.
    mode("a.db/CURRENT", 0o000);
    mode("in.tsv", 0o000);
    let (other, new) = (scratch.path("b.db").into_os_string(), scratch.path("open/new.db"));
    let new = new.into_os_string();
    for args in [
        &["get".into(), db.clone(), "key1".into()][..],
        &["scan".into(), db.clone()],
        &["inspect".into(), db.clone()],
        &["log".into(), db.clone()],
        &["diff".into(), db.clone(), other],
        &["merge".into(), db.clone(), "-o".into(), new.clone()],
        &["merge".into(), db.clone(), "--in-place".into()],
        &["sample".into(), db.clone(), "--keys".into(), "1".into(), "-o".into(), new.clone()],
        &["split".into(), db.clone(), "-n".into(), "2".into(), "-o".into(), new.clone()],
    ] {
        run(args).expect_error(3, &["CURRENT"]);
    }
    run(&["load".into(), scratch.path("in.tsv").into(), new]).expect_error(3, &["in.tsv"]);
    // `verify` reports an unreadable file in its list of damage.
    assert_eq!(run(&["verify".into(), db]).code, Some(3));
    ["a.db", "b.db", "."].iter().for_each(|folder| mode(folder, 0o755));
}

/// Each file of a directory, and the directory itself, may not be read: a command that needs it
/// says so in one line, and calls nothing damaged.
#[test]
fn a_file_that_may_not_be_read_is_named_and_never_called_damaged() {
    let scratch = Scratch::new();
    let long = "x".repeat(5000);
    let input = scratch.file("in.tsv", format!("key1\tvalue\nkey2\t{long}\n"));
    let db = scratch.path("db");
    for mode in ["replace", "append"] {
        let options = ["--blob-threshold", "4KiB", "--mode", mode, "-q"];
        sst(&crate::harness::join(&[&"load", &input, &db], &options)).expect(0);
    }
    let is_superuser = fs::metadata(scratch.path(".")).unwrap().uid() == 0;
    let program = scratch.path("program");
    fs::copy(env!("CARGO_BIN_EXE_sst"), &program).unwrap();
    let mode = |path: &Path, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(&scratch.path("."), 0o777);
    mode(&db, 0o777);
    let names = crate::harness::names(&db);
    assert!(["blob", "sst", "meta"].iter().all(|kind| names.iter().any(|n| n.ends_with(kind))));
    let mut refused = 0;
    for name in names.iter().map(String::as_str).chain(["."]) {
        let path = db.join(name);
        let before = fs::metadata(&path).unwrap().permissions().mode();
        mode(&path, 0o000);
        let commands: [&[&str]; 13] = [
            &["get", "db", "key1", "key2"],
            &["scan", "db"],
            &["inspect", "db"],
            &["log", "db"],
            &["verify", "db"],
            &["certificate", "db", "--compute"],
            &["diff", "db", "db"],
            &["merge", "db", "-o", "new.db"],
            &["sample", "db", "--fraction", "1", "-o", "new.db"],
            &["gather", "db", "-o", "new.db"],
            &["load", "in.tsv", "db", "--mode", "append"],
            &["merge", "db", "--in-place"],
            &["rollback", "db"],
        ];
        for args in commands {
            let mut command = Command::new(&program);
            command.args(args).current_dir(scratch.path(".")).stdin(Stdio::null());
            if is_superuser {
                command.uid(65534);
            }
            let run: Run = command.output().unwrap().into();
            let what = format!("{name} {args:?}: {:?} {} {}", run.code, run.text(), run.stderr);
            // A file that the command does not need changes nothing, nor does one that it may
            // remove. Nothing is damaged in any case.
            assert!(matches!(run.code, Some(0 | 3)), "{what}");
            assert!(!run.text().contains("damaged") && !run.stderr.contains("damaged"), "{what}");
            if run.code == Some(3) && args[0] != "verify" {
                refused += 1;
                assert!(run.stderr.contains("os error 13") || args[0] == "rollback", "{what}");
                run.expect_error(3, &[]);
            }
        }
        if path.exists() {
            mode(&path, before);
        }
        drop(fs::remove_dir_all(scratch.path("new.db")));
    }
    assert!(refused > 30, "{refused}");
    sst(&[&"verify", &db]).expect(0);
}

/// Starts a command and interrupts it as soon as its signal handler is installed, which `/proc`
/// shows.
#[cfg(target_os = "linux")]
fn interrupted(args: &[OsString]) -> Run {
    const SIGINT: u64 = 1 << 1;
    let mut command = Command::new(env!("CARGO_BIN_EXE_sst"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let listens = || {
        let status = fs::read_to_string(&status).unwrap_or_default();
        // A process that has ended has no such line, or is a zombie.
        let state = status.lines().find_map(|line| line.strip_prefix("State:\t"));
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t"));
        let caught = caught.and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or_default();
        caught & SIGINT != 0 || state.is_none_or(|state| state.starts_with('Z'))
    };
    while !listens() {
        std::thread::yield_now();
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).output().unwrap();
    child.wait_with_output().unwrap().into()
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_command_says_so_and_changes_nothing() {
    let scratch = Scratch::new();
    directories(&scratch, 30_000);
    for (args, may_leave) in writing(&scratch) {
        let before = contents(&scratch.path("."));
        // On a busy machine a command may end before the signal; then try again.
        for attempt in 0.. {
            let run = interrupted(&args);
            if run.code == Some(0) {
                assert!(attempt < 20, "{args:?}: always done before the signal");
                for new in ["new.db", "new.shards"] {
                    drop(fs::remove_dir_all(scratch.path(new)));
                }
                drop(fs::remove_file(scratch.path("new.sst")));
                continue;
            }
            run.expect_error(3, &["interrupted"]);
            // A former attempt that succeeded has changed the files that it was to replace.
            assert!(may_leave || attempt > 0 || contents(&scratch.path(".")) == before, "{args:?}");
            break;
        }
        if may_leave {
            let args: Vec<Arg<'_>> = args.iter().map(|arg| arg as Arg<'_>).collect();
            sst(&args).expect(0);
        }
    }
}
