//! `sst load`: formats, duplicates, modes, tables, and the files left after a failure.

use std::fs;
use std::path::Path;

use crate::harness::{Run, Scratch, join, names, scan, sst, sst_with_input, tables};

fn load(db: &Path, args: &[&str], input: impl AsRef<[u8]>) -> Run {
    sst_with_input(&join(&[&"load", &"-", &db, &"--json"], args), input.as_ref())
}

#[track_caller]
fn get(db: &Path, args: &[&str]) -> String {
    sst(&join(&[&"get", &db], args)).expect(0).text().to_owned()
}

#[test]
fn options_may_stand_between_paths_and_one_path_is_not_enough() {
    let scratch = Scratch::new();
    let (first, second) = (scratch.file("a.tsv", "a\t1\n"), scratch.file("b.tsv", "b\t2\n"));
    let db = scratch.path("db");
    sst(&[&"load", &first, &"--certify", &second, &"--family", &"0", &db]).expect(0);
    assert_eq!(get(&db, &["a", "b"]), "a\t1\nb\t2\n");
    sst(&[&"load", &scratch.path("other")]).expect(3);
    assert!(!scratch.path("other").exists());
}

#[test]
fn all_formats_and_extensions_load_the_same() {
    let scratch = Scratch::new();
    let files = [
        scratch.file("a.tsv", "k1\tone\nk2\ttwo, or \"so\"\nk3\t\\N\n"),
        scratch.file("a.csv", "key,value\r\nk2,\"two, or \"\"so\"\"\"\r\nk3,-\r\nk1,one\r\n"),
        scratch.file(
            "a.jsonl",
            "{\"key\":\"k3\",\"value\":null}\n{\"value_hex\":\"6f6e65\",\"key_base64\":\"azE=\"}\n\
             {\"key\":\"k2\",\"value\":\"two, or \\\"so\\\"\"}\n",
        ),
    ];
    for file in files {
        let db = scratch.path("db");
        let run = match file.extension().is_some_and(|extension| extension == "csv") {
            true => sst(&[&"load", &file, &db, &"--json", &"--delete-marker", &"-"]),
            false => sst(&[&"load", &file, &db, &"--json"]),
        };
        let summary = run.expect(0).json();
        assert_eq!((&summary["entries"], &summary["tombstones"]), (&3.into(), &1.into()));
        assert_eq!(get(&db, &["k1", "k2"]), "k1\tone\nk2\ttwo, or \"so\"\n");
        sst(&[&"get", &db, &"k3"]).expect(1);
        fs::remove_dir_all(&db).unwrap();
    }
}

#[test]
fn what_scan_prints_load_reads_whatever_the_bytes() {
    let scratch = Scratch::new();
    let mut tsv = Vec::new();
    for byte in 0..=255_u8 {
        tsv.extend(format!("\\x{byte:02x}k\t{}\\x{byte:02x}\n", "v".repeat(byte.into())).bytes());
    }
    tsv.extend("ключ\tзначение\n\tempty key\nempty value\t\n".bytes());
    let db = scratch.database("db", tsv);
    let (text, json) = (sst(&[&"scan", &db]).expect(0), sst(&[&"scan", &db, &"--json"]).expect(0));
    assert_eq!(text.text().lines().count(), 259);
    for (format, printed) in [("tsv", &text), ("jsonl", &json)] {
        let copy = scratch.path(format);
        load(&copy, &["--format", format], &printed.stdout).expect(0);
        assert_eq!(sst(&[&"scan", &copy]).expect(0).stdout, text.stdout);
    }
    assert_eq!(get(&db, &["", "empty value"]), "\tempty key\nempty value\t\n");
}

#[test]
fn duplicates_follow_the_policy() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    let input = "a\t1\nb\t2\na\t3\nb\t\\N\na\t4\n";
    let with = |policy| load(&db, &["--format", "tsv", "--duplicates", policy], input);

    assert_eq!(with("last").expect(0).json()["duplicates"], 3);
    assert_eq!(get(&db, &["a", "--all"]), "a\t4\n");
    sst(&[&"get", &db, &"b"]).expect(1);

    assert_eq!(with("keep").expect(0).json()["duplicates"], 1);
    assert_eq!(get(&db, &["a", "--all"]), "a\t1\na\t3\na\t4\n");
    sst(&[&"get", &db, &"b", &"--all"]).expect(1);
    assert_eq!(sst(&[&"verify", &db, &"--json"]).expect(0).json()["entries"], 4);

    let before = names(&db);
    let refused = with("error");
    let refused = refused.expect_error(3, &["line 3", "line 1"]);
    assert_eq!(refused.text(), "");
    assert_eq!((names(&db), get(&db, &["a", "--all"])), (before, "a\t1\na\t3\na\t4\n".to_owned()));
}

#[test]
fn entries_are_replaced_or_joined() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\told\nb\told\nc\told\n");
    load(&db, &["--format", "tsv", "--mode", "append"], "a\tnew\nc\t\\N\nd\tnew\n").expect(0);
    assert_eq!(get(&db, &["a", "b", "d"]), "a\tnew\nb\told\nd\tnew\n");
    sst(&[&"get", &db, &"c"]).expect(1);
    assert_eq!(scan(&db).lines().count(), 3);
    assert_eq!(tables(&db).len(), 2);

    load(&db, &["--format", "tsv", "--keep-generations", "0"], "e\tonly\n").expect(0);
    assert_eq!(scan(&db), "e\tonly\n");
    assert_eq!(tables(&db).len(), 1);
    assert_eq!(sst(&[&"verify", &db, &"--json"]).expect(0).json()["intact"], true);
}

#[test]
fn families_are_key_spaces_of_their_own() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\tzero\n");
    load(&db, &["--format", "tsv", "--family", "7"], "a\tseven\n").expect(0);
    assert_eq!(get(&db, &["a", "--family", "7"]), "a\tseven\n");
    let lowest = sst(&[&"get", &db, &"a"]).expect(0);
    assert_eq!(lowest.text(), "a\tzero\n");
    assert!(lowest.stderr.contains("--family"), "{}", lowest.stderr);
    let quiet = sst(&[&"get", &db, &"a", &"--quiet"]).expect(0);
    assert_eq!(quiet.stderr, "");
    let other = sst(&[&"inspect", &db, &"--family", &"7", &"--json"]).expect(0).json();
    assert_eq!(other["tables"].as_array().unwrap().len(), 1);
    assert_eq!(other["directory"]["families"], serde_json::json!([0, 7]));
}

#[test]
fn many_entries_make_several_tables_with_filters_or_without() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    let tsv: String = (0..5000).map(|i| format!("key{i}\tvalue number {i}\n")).collect();
    let args = ["--format", "tsv", "--max-table-entries", "1000"];
    // The tables have equal ranges of hashes, so their number is a power of two.
    assert_eq!(load(&db, &args, &tsv).expect(0).json()["tables"], 8);
    let with = sst(&[&"inspect", &db, &"--json"]).expect(0).json();
    let filters = with["tables"].as_array().unwrap().iter().map(|table| &table["filter"]);
    assert!(filters.clone().all(|filter| filter["fingerprints"].as_u64().unwrap() > 500));
    assert_eq!(with["total"]["key_lengths"]["7"], 4000);

    load(&db, &["--format", "tsv", "--no-filter", "--max-table-bytes", "20000"], &tsv).expect(0);
    let without = sst(&[&"inspect", &db, &"--json"]).expect(0).json();
    let tables = without["tables"].as_array().unwrap();
    assert!(tables.len() > 2 && tables.iter().all(|table| table["filter"].is_null()));
    assert_eq!(scan(&db).lines().count(), 5000);
    assert_eq!(
        get(&db, &["key4999", "key0"]),
        "key4999\tvalue number 4999\nkey0\tvalue number 0\n"
    );
    assert_eq!(sst(&[&"verify", &db, &"--json"]).expect(0).json()["entries"], 5000);
}

#[test]
fn entries_of_one_key_stay_in_one_table() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    let tsv: String = (0..3000).map(|i| format!("key{}\t{i}\n", i % 3)).collect();
    let args = ["--format", "tsv", "--duplicates", "keep", "--max-table-entries", "10"];
    assert_eq!(load(&db, &args, tsv).expect(0).json()["tables"], 3);
    let expected: String = (0..3000).filter(|i| i % 3 == 1).map(|i| format!("{i}\n")).collect();
    assert_eq!(get(&db, &["key1", "--all", "--values-only"]), expected);
}

#[test]
fn the_same_input_makes_the_same_files() {
    let scratch = Scratch::new();
    let lines: Vec<String> = (0..2000).map(|i| format!("key{i}\tvalue {i}\n")).collect();
    let (a, b) = (scratch.database("a", lines.concat()), scratch.path("b"));
    let backwards: String = lines.iter().rev().map(String::as_str).collect();
    load(&b, &["--format", "tsv"], backwards).expect(0);
    assert_eq!(names(&a), names(&b));
    // The content of the lock file depends on the process.
    for name in names(&a).into_iter().filter(|name| name != ".lock") {
        assert!(fs::read(a.join(&name)).unwrap() == fs::read(b.join(&name)).unwrap(), "{name}");
    }
}

#[test]
fn values_of_every_class_come_back() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    let lens = [0, 8, 9, 4096, 4097, 100_000, (64 << 20) + 1];
    let value = |len: usize| "large value ".repeat(len / 12 + 1)[..len].to_owned();
    let tsv: String = lens.iter().map(|&len| format!("{len}\t{}\n", value(len))).collect();
    load(&db, &["--format", "tsv"], &tsv).expect_error(3, &["line 7", "--max-value"]);
    let args = ["--format", "tsv", "--max-value", "65MiB"];
    let summary = load(&db, &args, tsv).expect(0).json();
    assert_eq!((&summary["entries"], &summary["blobs"]), (&7.into(), &1.into()));
    let on_disk: u64 = names(&db)
        .iter()
        .filter(|name| name.ends_with(".sst") || name.ends_with(".blob"))
        .map(|name| fs::metadata(db.join(name)).unwrap().len())
        .sum();
    assert_eq!(summary["bytes"], on_disk);
    for len in lens {
        assert!(get(&db, &[&len.to_string(), "--raw"]) == value(len), "{len}");
    }
    let kinds = &sst(&[&"inspect", &db, &"--json"]).expect(0).json()["total"]["entry_kinds"];
    let expected = serde_json::json!({"blob": 1, "inline": 2, "medium": 2, "small": 2});
    assert_eq!(kinds, &expected);
    assert_eq!(sst(&[&"verify", &db, &"--json"]).expect(0).json()["blobs"], 1);
    // Without its directory, a table has only the number of the blob.
    let table = tables(&db).remove(0);
    let key = lens[6].to_string();
    let blob = sst(&[&"get", &table, &key, &"--json"]).expect(0).json()["blob"].clone();
    assert!(db.join(format!("{:08}.blob", blob.as_u64().unwrap())).exists());
    sst(&[&"get", &table, &key, &"--raw"]).expect_error(3, &["blob"]);
    assert!(scan(&table).contains(&format!("{key}\t\\blob({blob})\n")));
}

#[test]
fn bad_lines_are_named_or_counted() {
    let scratch = Scratch::new();
    for (format, input, line) in [
        ("tsv", "a\t1\nb\t2\nno tab\nc\t3\n", "line 3"),
        ("tsv", "a\t1\n\nb\\q\t2\nc\t3\nb\t2", "line 3"),
        ("csv", "k,v\na,1\nb,2\nc\nc,3\n", "line 4"),
        (
            "jsonl",
            "{\"key\":\"a\",\"value\":1}\n{\"key\":\"b\",\"value\":2}\n{\n{\"key\":\"c\",\"value\":3}",
            "line 3",
        ),
    ] {
        let db = scratch.path("db");
        load(&db, &["--format", format], input).expect_error(3, &["standard input", line]);
        assert!(!db.exists());
        let run = load(&db, &["--format", format, "--skip-bad"], input).expect(0);
        assert_eq!(run.json()["skipped"], 1);
        assert!(run.stderr.contains(line), "{}", run.stderr);
        assert_eq!(get(&db, &["a", "b", "c"]), "a\t1\nb\t2\nc\t3\n");
        fs::remove_dir_all(&db).unwrap();
    }
}

#[test]
fn an_input_without_entries_is_an_error() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    for (args, input) in [
        (&["--format", "tsv"][..], ""),
        (&["--format", "csv"], "key,value\n"),
        (&["--format", "tsv", "--skip-bad"], "no tab\n"),
    ] {
        load(&db, args, input).expect_error(3, &["standard input"]);
        assert!(!db.exists());
    }
}

#[test]
fn a_key_that_is_too_long_is_refused() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    let input = format!("a\t1\n{}\t2\n", "k".repeat(1 << 24));
    load(&db, &["--format", "tsv"], &input).expect_error(3, &["line 2"]);
    assert!(!db.exists());
    let run = load(&db, &["--format", "tsv", "--skip-bad"], &input).expect(0);
    assert_eq!(run.json()["skipped"], 1);
}

#[test]
fn a_long_run_of_one_key_is_refused_with_its_line() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\tbefore\n");
    // Entries of one key share a key block, whose positions have 24 bits.
    let input: String = (0..18).map(|i| format!("{}\t{i}\n", "k".repeat(1_000_000))).collect();
    let args = ["--format", "tsv", "--duplicates", "keep"];
    load(&db, &args, &input).expect_error(3, &["line 18"]);
    assert_eq!(scan(&db), "a\tbefore\n");
    assert_eq!(tables(&db).len(), 1);
}

#[test]
fn one_writer_at_a_time() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\tbefore\n");
    let lock = fs::File::options().write(true).open(db.join(".lock")).unwrap();
    lock.lock().unwrap();
    load(&db, &["--format", "tsv"], "b\t1\n").expect_error(3, &["is being written to"]);
    assert_eq!(scan(&db), "a\tbefore\n");
    drop(lock);
    load(&db, &["--format", "tsv"], "b\t1\n").expect(0);
}

/// Loads with a limit on the size of files, which acts like a full disk.
#[cfg(unix)]
fn load_on_a_full_disk(db: &Path, input: &Path) -> Run {
    let script = "trap '' XFSZ; ulimit -f 16; exec \"$@\"";
    let output = std::process::Command::new("sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_sst"), "load"])
        .args([input, db])
        .output()
        .unwrap();
    output.into()
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_nothing_under_a_final_name() {
    let scratch = Scratch::new();
    let tsv: String = (0..9000_u64)
        .map(|i| format!("key{i}\tvalue {:x}\n", i.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    let input = scratch.file("in.tsv", tsv);
    let db = scratch.path("new");
    load_on_a_full_disk(&db, &input).expect_error(3, &["new"]);
    assert!(!db.exists());

    let db = scratch.database("old", "a\tbefore\n");
    let before = names(&db);
    load_on_a_full_disk(&db, &input).expect_error(3, &["old"]);
    assert_eq!((names(&db), scan(&db).as_str()), (before, "a\tbefore\n"));
    // With enough room, the same command succeeds.
    sst(&[&"load", &input, &db]).expect(0);
    assert_eq!(scan(&db).lines().count(), 9000);
}

#[test]
fn quiet_says_nothing_and_text_has_a_summary() {
    let scratch = Scratch::new();
    let (input, db) = (scratch.file("in.tsv", "a\t1\na\t2\nb\t\\N\nbad\n"), scratch.path("db"));
    let run = sst(&[&"load", &input, &db, &"--quiet", &"--skip-bad"]).expect(0);
    assert_eq!((run.text(), run.stderr.as_str()), ("", ""));
    let run = sst(&[&"load", &input, &db, &"--skip-bad"]).expect(0);
    assert!(run.text().contains("2 entries"), "{}", run.text());
    assert_eq!(run.text().lines().count(), 4, "{}", run.text());
}

#[test]
fn scan_all_shows_what_get_all_finds_and_scan_what_get_finds() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    let args = ["--format", "tsv", "--duplicates", "keep", "--mode", "append"];
    load(&db, &args, "a\t1\nb\told\nc\told\n").expect(0);
    load(&db, &args, "a\t2\na\t3\nb\t\\N\n").expect(0);
    let sorted = |text: &str| {
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_by_key(|line| line.as_bytes()[0]);
        lines.join(" ")
    };
    assert_eq!(sorted(sst(&[&"scan", &db]).expect(0).text()), "a\t2 a\t3 c\told");
    assert_eq!(get(&db, &["a"]), "a\t2\n");
    assert_eq!(sorted(sst(&[&"scan", &db, &"--all"]).expect(0).text()), "a\t2 a\t3 a\t1 c\told");
    assert_eq!(get(&db, &["a", "--all"]), "a\t2\na\t3\na\t1\n");
    sst(&[&"get", &db, &"b", &"--all"]).expect(1);
}

#[test]
fn several_inputs_are_one_load_and_the_later_one_wins() {
    let scratch = Scratch::new();
    let (a, b) = (scratch.file("a.tsv", "k\t1\nl\t1\n"), scratch.file("b.csv", "k,v\nk,2\n"));
    let db = scratch.path("db");
    assert_eq!(sst(&[&"load", &a, &b, &db, &"--json"]).expect(0).json()["duplicates"], 1);
    assert_eq!(get(&db, &["k", "l"]), "k\t2\nl\t1\n");
    sst(&[&"load", &b, &a, &db]).expect(0);
    assert_eq!(get(&db, &["k"]), "k\t1\n");
    sst(&[&"load", &a, &b, &db, &"--duplicates", &"error"])
        .expect_error(3, &["b.csv", "line 2", "line 1", "a.tsv"]);
}

#[test]
fn compressed_inputs_are_known_by_how_they_start() {
    let scratch = Scratch::new();
    let text = "k\tsome value\nl\tsome value\n";
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = |text: &str| {
        ruzstd::encoding::compress_to_vec(
            text.as_bytes(),
            ruzstd::encoding::CompressionLevel::Fastest,
        )
    };
    let (first, second) = text.split_at(13);
    for (name, bytes) in [
        ("in.tsv.gz", gzip(text)),
        ("in.tsv.zst", zstd(text)),
        ("in.tsv", [gzip(first), gzip(second)].concat()),
        ("in.tab", [zstd(first), zstd(second)].concat()),
    ] {
        let db = scratch.path("db");
        let input = scratch.file(name, &bytes);
        sst(&[&"load", &input, &db]).expect(0);
        assert_eq!(get(&db, &["k", "l"]), text, "{name}");
        let cut = scratch.file(name, &bytes[..bytes.len() - 3]);
        sst(&[&"load", &cut, &db]).expect_error(3, &[name]);
        assert_eq!(get(&db, &["k", "l"]), text, "{name}");
    }
}

#[test]
fn memory_and_threads_change_nothing_in_the_files() {
    let scratch = Scratch::new();
    let tsv: String = (0..60_000_u64)
        .map(|i| format!("{:x}\t{}\n", i.wrapping_mul(0x9e37_79b9_7f4a_7c15), "v".repeat(100)))
        .collect();
    let input = scratch.file("in.tsv", tsv);
    let mut first = None;
    for (memory, threads, spills) in
        [("4MiB", "1", true), ("4M", "3", true), ("0.5GiB", "2", false)]
    {
        let (db, temp) = (scratch.path(&format!("{memory}-{threads}")), scratch.path("temp"));
        _ = fs::create_dir(&temp);
        let args =
            ["--json", "--memory", memory, "--threads", threads, "--max-table-entries", "9000"];
        let args = join(&[&"load", &input, &db, &"--temp-dir", &temp], &args);
        let summary = sst(&args).expect(0).json();
        assert_eq!(summary["spilled_bytes"].as_u64().unwrap() > 0, spills);
        assert_eq!(names(&temp), [""; 0]);
        let files = names(&db).into_iter().filter(|name| name != ".lock");
        let files: Vec<_> = files.map(|name| (fs::read(db.join(&name)).unwrap(), name)).collect();
        assert!(files.len() > 8);
        assert!(*first.get_or_insert_with(|| files.clone()) == files);
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_load_leaves_everything_as_it_was() {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let scratch = Scratch::new();
    let (old, new) = (scratch.database("old", "a\tbefore\n"), scratch.path("new"));
    let before = names(&old);
    for db in [&old, &new] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sst"))
            .args(["load", "-"])
            .arg(db)
            .args(["--format", "tsv", "--memory", "4MiB"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // The input is endless, so only the signal can end the load.
        let mut lines = (0..).map(|i| format!("key{i}\tvalue {i}\n"));
        for _ in 0..100_000 {
            stdin.write_all(lines.next().unwrap().as_bytes()).unwrap();
        }
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        while stdin.write_all(lines.next().unwrap().as_bytes()).is_ok() {}
        let run: Run = child.wait_with_output().unwrap().into();
        run.expect_error(3, &["interrupted", db.file_name().unwrap().to_str().unwrap()]);
    }
    assert_eq!((names(&old), scan(&old).as_str()), (before, "a\tbefore\n"));
    assert!(!new.exists());
}
