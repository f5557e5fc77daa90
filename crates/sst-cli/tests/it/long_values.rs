//! `sst load` of values that do not fit into memory: they go to blobs while they are read.

use std::fs;
use std::path::Path;

use crate::harness::{Scratch, join, names, sst, sst_with_input};

/// A text of this length with repetitions near and far, and stretches without any.
fn long_value(len: usize) -> Vec<u8> {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut value = Vec::new();
    while value.len() < len {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        match random % 3 {
            0 => value.extend(format!("a line of text, number {}; ", value.len() / 50).bytes()),
            1 => value.extend(b"the same text again and again ".repeat(300)),
            _ => value.extend(
                (0..2000_u64).map(|i| b'0' + u8::try_from((random >> (i % 59)) % 75).unwrap()),
            ),
        }
    }
    value.truncate(len);
    value
}

/// The blob files of a directory, in order.
fn blobs(db: &Path) -> Vec<Vec<u8>> {
    let names = names(db).into_iter().filter(|name| name.ends_with(".blob"));
    names.map(|name| fs::read(db.join(name)).unwrap()).collect()
}

#[test]
fn long_values_go_to_blobs_while_they_are_read_and_are_the_same_in_every_format() {
    const MIB: usize = 1 << 20;
    let scratch = Scratch::new();
    let values = [MIB, MIB + 1, 3 * MIB + 12_345].map(long_value);
    let value = |i: usize| String::from_utf8(values[i].clone()).unwrap();
    let lines = |line: &dyn Fn(String, String) -> String| -> String {
        (0..3).map(|i| line(format!("key {i}"), value(i))).collect()
    };
    let tsv = lines(&|key, value| format!("{key}\t{}\n", value.replace('\\', "\\\\")));
    let csv = lines(&|key, value| format!("{key},\"{}\"\n", value.replace('"', "\"\"")));
    let json =
        lines(&|key, value| format!("{}\n", serde_json::json!({"key": key, "value": value})));
    let load = |format: &str, text: &str, more: &[&str]| {
        let db = scratch.path(&format!("{format}{}", more.len()));
        let fixed = ["--format", format, "--blob-threshold", "1048576", "--certify"];
        let args = join(&[&"load", &"-", &db], &fixed);
        sst_with_input(&[args, join(&[], more)].concat(), text.as_bytes()).expect(0);
        db
    };
    let dbs = [
        load("tsv", &tsv, &[]),
        load("csv", &csv, &["--no-header"]),
        load("csv", &format!("k,v\n{csv}"), &["--value-column", "v"]),
        load("jsonl", &json, &[]),
        load("json", &format!("[{}]", json.trim_end().replace('\n', ",\n")), &[]),
    ];
    for db in &dbs {
        assert_eq!(blobs(db).len(), 2, "{}", db.display());
        assert!(blobs(db) == blobs(&dbs[0]), "{}", db.display());
        assert!(sst(&[&"verify", db]).expect(0).text().contains("protected and certified"));
        for (i, value) in values.iter().enumerate() {
            let key = format!("key {i}");
            assert!(sst(&[&"get", db, &key, &"--raw"]).expect(0).stdout == *value, "{key}");
        }
    }
    // They compress, though some of their pieces do not.
    let stored: usize = blobs(&dbs[0]).iter().map(Vec::len).sum();
    let plain: usize = values[1..].iter().map(Vec::len).sum();
    assert!(stored < plain * 3 / 4, "{stored} of {plain}");
    // What was printed comes back, and its end mark covers the long values.
    let printed = sst(&[&"scan", &dbs[0], &"--end-mark"]).expect(0);
    let marked = load("tsv", printed.text(), &["--expect-end-mark"]);
    assert!(blobs(&marked) == blobs(&dbs[0]));
    let args = ["--format", "tsv", "--blob-threshold", "1048576", "--expect-end-mark"];
    for line in 0..values.len() {
        let mut lines: Vec<_> = printed.text().lines().map(str::to_owned).collect();
        lines[line] = lines[line].replacen("the same text", "the sane text", 1);
        let damaged = lines.join("\n");
        assert_ne!(damaged, printed.text().trim_end());
        sst_with_input(&join(&[&"load", &"-", &marked], &args), damaged.as_bytes())
            .expect_error(3, &["end mark"]);
    }
}

/// A value of several columns is a line of CSV, also if a cell of it is long.
#[test]
fn long_cells_of_a_value_of_several_columns_go_to_a_blob_while_they_are_read() {
    const MIB: usize = 1 << 20;
    let scratch = Scratch::new();
    let cells = [MIB + 5, 8 * MIB + 1, 9 * MIB].map(|len| {
        String::from_utf8(long_value(len)).unwrap().replace(['\n', '\r', '"', ','], "q")
    });
    let [short, long, longest] = &cells;
    let row = |columns: [&str; 4]| format!("{}\n", columns.join(","));
    let quoted = format!("\"a \"\"{longest}\"\"\"");
    let csv = [
        row(["key", "a", "b", "c"]),
        row(["1", short, "", "x"]),
        row(["2", long, short, "y"]),
        row(["3", "x", &quoted, ""]),
    ];
    let args = ["--format", "csv", "--blob-threshold", "1MiB", "--certify"];
    let db = scratch.path("db");
    sst_with_input(&join(&[&"load", &"-", &db], &args), csv.concat().as_bytes()).expect(0);
    let in_quotes = format!("\"{long}\"");
    for (key, expected) in [
        ("1", ["", short, "", "x"]),
        ("2", ["", &in_quotes, short, "y"]),
        ("3", ["", "x", &quoted, ""]),
    ] {
        let value = sst(&[&"get", &db, &key, &"--raw"]).expect(0).stdout;
        assert!(value == expected[1..].join(",").as_bytes(), "{key}");
    }
    // Named columns are held, and have the same form.
    let other = scratch.path("other");
    let named = [&args[..], &["--value-columns", "a,b,c"]].concat();
    sst_with_input(&join(&[&"load", &"-", &other], &named), csv.concat().as_bytes()).expect(0);
    assert!(sst(&[&"diff", &db, &other, &"--summary"]).expect(0).text().starts_with("0 added, 0"));
    // So has the first row without names, whose columns are not known before its end.
    let bare = csv[2..].concat();
    let args = [&args[..], &["--no-header"]].concat();
    let headless = scratch.path("headless");
    sst_with_input(&join(&[&"load", &"-", &headless], &args), bare.as_bytes()).expect(0);
    for key in ["2", "3"] {
        let value = |db| sst(&[&"get", db, &key, &"--raw"]).expect(0).stdout;
        assert!(value(&db) == value(&headless), "{key}");
    }
}

#[test]
fn a_long_value_that_is_refused_leaves_nothing() {
    const MIB: usize = 1 << 20;
    let scratch = Scratch::new();
    let db = scratch.path("db");
    let value = String::from_utf8(vec![b'x'; 3 * MIB]).unwrap();
    // Too long for `--max-value`; a bad escape at the end of a long value; whole ones around them.
    let tsv = format!("a\t{value}\nb\t{value}{value}\nc\t{value}\\q\nd\t{value}\ne\t1\n");
    let args = ["--format", "tsv", "--blob-threshold", "0", "--max-value", "4MiB", "--skip-bad"];
    let run = sst_with_input(&join(&[&"load", &"-", &db], &args), tsv.as_bytes()).expect(0);
    assert!(run.stderr.contains("line 2") && run.stderr.contains("line 3"), "{}", run.stderr);
    assert_eq!(blobs(&db).len(), 3);
    let lens =
        ["a", "d", "e"].map(|key| sst(&[&"get", &db, &key, &"--raw"]).expect(0).stdout.len());
    assert_eq!(lens, [3 * MIB, 3 * MIB, 1]);
    sst(&[&"get", &db, &"b"]).expect(1);
    sst(&[&"get", &db, &"c"]).expect(1);
    assert!(names(&db).iter().all(|name| !name.ends_with(".tmp")), "{:?}", names(&db));
    // Without `--skip-bad` nothing is loaded.
    let other = scratch.path("other");
    let args = ["--format", "tsv", "--max-value", "4MiB"];
    sst_with_input(&join(&[&"load", &"-", &other], &args), tsv.as_bytes())
        .expect_error(3, &["line 2"]);
    assert!(!other.exists());
}
