//! The README's console sessions, help and version, and results that look like errors but are not.

use std::collections::BTreeMap;
use std::fs;

use crate::harness::{Scratch, join, repository, scan, sst, tables};

#[test]
fn the_unicode_table_is_loaded_and_every_line_comes_back() {
    let scratch = Scratch::new();
    let (input, db) = (repository("data/UnicodeData.txt"), scratch.path("unicode.db"));
    let options = ["--delimiter", ";", "--no-header", "--value-column", "2", "--json"];
    let summary = sst(&join(&[&"load", &input, &db], &options)).expect(0).json();

    let text = fs::read_to_string(&input).unwrap();
    let expected: BTreeMap<&str, &str> = text
        .lines()
        .map(|line| line.split_once(';').unwrap())
        .map(|(key, rest)| (key, rest.split(';').next().unwrap()))
        .collect();
    assert_eq!(summary["entries"], expected.len());
    assert_eq!(summary["duplicates"], 0);

    let face = sst(&[&"get", &db, &"1F600"]).expect(0);
    assert_eq!((face.text(), face.stderr.as_str()), ("1F600\tGRINNING FACE\n", ""));
    let scanned = scan(&db);
    let scanned: BTreeMap<&str, &str> =
        scanned.lines().map(|line| line.split_once('\t').unwrap()).collect();
    assert_eq!(scanned, expected);
    assert_eq!(sst(&[&"verify", &db, &"--json"]).expect(0).json()["intact"], true);
}

#[test]
fn what_is_not_there_is_told_by_the_exit_code() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\nb\t\\N\n");
    let missing = sst(&[&"get", &db, &"x"]).expect(1);
    assert_eq!(missing.text(), "");
    let some = sst(&[&"get", &db, &"a", &"b", &"x", &"--json"]).expect(1);
    let statuses: Vec<_> = some.json_lines().iter().map(|line| line["status"].clone()).collect();
    assert_eq!(statuses, ["found", "deleted", "not found"]);
    let quiet = sst(&[&"get", &db, &"x", &"--quiet"]).expect(1);
    assert_eq!((quiet.text(), quiet.stderr.as_str()), ("", ""));
}

#[test]
fn values_are_printed_as_text_hex_or_bytes() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "k\\x00\ta\\nb\\xff\nplain\tvalue\n");
    let get = |args: &[&str]| sst(&join(&[&"get", &db], args)).expect(0);
    assert_eq!(get(&["plain"]).text(), "plain\tvalue\n");
    assert_eq!(get(&["plain", "--values-only"]).text(), "value\n");
    assert_eq!(get(&["--hex", "6b00"]).text(), "6b00\t610a62ff\n");
    assert_eq!(get(&["--base64", "awA"]).text(), "awA=\tYQpi/w==\n");
    assert_eq!(get(&["--escaped", r"k\x00"]).text(), "k\\x00\ta\\nb\\xff\n");
    assert_eq!(get(&["--hex", "6B00", "--raw"]).stdout, b"a\nb\xff");
    assert_eq!(
        get(&["--hex", "6b00", "706c61696e"]).text(),
        "6b00\t610a62ff\n706c61696e\t76616c7565\n"
    );
    let line = get(&["--hex", "6b00", "--json"]).json();
    assert_eq!((&line["key_hex"], &line["value_hex"]), (&"6b00".into(), &"610a62ff".into()));
    assert_eq!(get(&["plain", "--json"]).json()["value"], "value");
    assert_eq!(scan(&db).lines().find(|line| line.starts_with('k')), Some("k\\x00\ta\\nb\\xff"));
}

#[test]
fn scans_have_bounds() {
    let scratch = Scratch::new();
    let tsv: String = (0..100).map(|i| format!("key{i}\tvalue{i}\n")).collect();
    let db = scratch.database("db", tsv);
    let all = sst(&[&"scan", &db, &"--json"]).expect(0).json_lines();
    let hashes: Vec<&str> = all.iter().map(|line| line["hash"].as_str().unwrap()).collect();
    assert!(hashes.len() == 100 && hashes.is_sorted());
    let table = tables(&db).remove(0);
    for path in [&db, &table] {
        let limited = sst(&[&"scan", path, &"--limit", &"7", &"--json"]).expect(0);
        assert_eq!(limited.json_lines(), all[..7]);
        let bounds = ["--from-hash", hashes[10], "--to-hash", hashes[20], "--json"];
        assert_eq!(sst(&join(&[&"scan", path], &bounds)).expect(0).json_lines(), all[10..=20]);
        let keys = sst(&[&"scan", path, &"--keys-only", &"--limit", &"1"]).expect(0);
        assert_eq!(keys.text().trim_end(), all[0]["key"].as_str().unwrap());
        assert_eq!(sst(&[&"scan", path, &"--limit", &"0"]).expect(0).text(), "");
    }
}

#[test]
fn help_and_version_are_no_errors() {
    for args in [&["--help"][..], &["--version"], &["load", "--help"], &["help", "get"]] {
        let run = sst(&join(&[], args)).expect(0);
        assert!(!run.stdout.is_empty() && run.stderr.is_empty(), "{}", run.stderr);
    }
}

#[test]
fn man_pages_are_made_and_aliases_work() {
    let scratch = Scratch::new();
    let (db, man) = (scratch.database("db", "a\t1\n"), scratch.path("man1"));
    sst(&[&"man", &man]).expect(0);
    let page = fs::read_to_string(man.join("sst-load.1")).unwrap();
    assert!(page.contains("Examples"), "{page}");
    assert_eq!(sst(&[&"dump", &db]).expect(0).text(), "a\t1\n");
    assert!(sst(&[&"stats", &db]).expect(0).text().contains("Entries"));
    assert!(sst(&[&"compact", &db, &"--json"]).expect(0).json()["tables"] == 1);
}

#[test]
fn completions_are_made_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        assert!(sst(&[&"completions", &shell]).expect(0).text().contains("verify"), "{shell}");
    }
    sst(&[&"completions", &"tcsh"]).expect(3);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    use std::io::Read;
    use std::process::{Command, Stdio};
    let scratch = Scratch::new();
    let tsv: String = (0..50_000).map(|i| format!("key{i}\tvalue{i}\n")).collect();
    let db = scratch.database("db", tsv);
    let mut child = Command::new(env!("CARGO_BIN_EXE_sst"))
        .args([std::ffi::OsStr::new("scan"), db.as_os_str()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 3];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(&first, b"key");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

/// Runs the console sessions of the README. The output must match the output shown, where `…`
/// stands for any text.
#[cfg(unix)]
#[test]
fn the_readme_shows_what_happens() {
    use std::os::unix::fs::symlink;
    use std::process::Command;
    let readme = include_str!("../../README.md");
    let scratch = Scratch::new();
    symlink(repository("data").canonicalize().unwrap(), scratch.path("data")).unwrap();
    symlink(repository("conformance").canonicalize().unwrap(), scratch.path("conformance"))
        .unwrap();
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_sst"));
    let path = std::env::join_paths(
        std::iter::once(program.parent().unwrap().to_owned())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let path = path.unwrap();
    let mut commands = 0;
    for session in readme.split("```console\n").skip(1) {
        let session = session.split("```").next().unwrap();
        for step in session.split("$ ").skip(1) {
            let (line, shown) = step.split_once('\n').unwrap();
            let script = format!("{line} 2>&1");
            let output = Command::new("sh")
                .args(["-c", &script])
                .current_dir(scratch.path("."))
                .env("PATH", &path)
                .output()
                .unwrap();
            let came = String::from_utf8(output.stdout).unwrap();
            assert!(matches(shown.trim_end(), came.trim_end()), "$ {line}\n{came}");
            commands += 1;
        }
    }
    assert!(commands >= 8, "{commands}");
}

/// Whether `text` matches `pattern`, in which `…` stands for any text.
#[cfg(unix)]
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    match last {
        None => rest.is_empty(),
        Some(part) => text.ends_with(part),
    }
}
