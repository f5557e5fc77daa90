//! `sst load` of misleading inputs: it must load no entry of them, and print the reason in one
//! line. The tests of the parsers are in `src/input/tests` and `src/input/compression/tests.rs`.

use std::fs;

use crate::harness::{Arg, Scratch, join, scan, sst, sst_with_input};

fn zstd(text: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest)
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, text).unwrap();
    encoder.finish().unwrap()
}

/// Loads a file into a directory with one entry. Checks that the load is refused and has changed
/// nothing, also with `--skip-bad`.
#[track_caller]
fn refused(name: &str, content: &[u8], args: &[&str], words: &[&str]) {
    let scratch = Scratch::new();
    let db = scratch.database("db", "before\t1\n");
    let input = scratch.file(name, content);
    for more in [&[][..], &["--skip-bad", "--certify"]] {
        let args = [args, more].concat();
        let words = [&[name], words].concat();
        sst(&join(&[&"load", &input, &db], &args)).expect_error(3, &words);
        assert_eq!(scan(&db), "before\t1\n");
    }
}

#[test]
fn a_damaged_zstd_frame_is_not_loaded() {
    let mut bytes = zstd(b"key0\tvalue\nkey1\tvalue\n");
    let literal = bytes.windows(4).position(|bytes| bytes == b"key0").unwrap();
    bytes[literal] ^= 1;
    refused("in.tsv.zst", &bytes, &[], &["checksum"]);
}

#[test]
fn compressed_data_ends_where_its_file_ends() {
    let text = b"key0\tvalue\nkey1\tvalue\n";
    for (name, bytes) in [("in.tsv.gz", gzip(text)), ("in.tsv.zst", zstd(text))] {
        refused(name, &[&bytes, &text[..]].concat(), &[], &["byte"]);
        refused(name, &bytes[..bytes.len() - 1], &[], &["byte"]);
        refused(name, text, &[], &["name"]);
    }
    refused("in.tsv", &gzip(&zstd(text)), &[], &["twice"]);
}

#[test]
fn what_is_no_text_is_named() {
    for (start, name) in [
        (&b"\xfd7zXZ\0\0\x04"[..], "xz"),
        (b"BZh91AY&SY\xb1\x9e\x05", "bzip2"),
        (b"\x04\x22\x4d\x18d@", "lz4"),
        (b"PK\x03\x04\x14", "zip"),
        (b"\xff\xfea\0\t\x001\0\n\0", "UTF-16"),
        (b"\xff\xfe\0\0a\0\0\0", "UTF-32"),
    ] {
        for file in ["in.tsv", "in.csv", "in.jsonl"] {
            refused(file, start, &[], &[name]);
        }
    }
    // UTF-16 without a byte order mark is detected by its zero bytes, line by line.
    let scratch = Scratch::new();
    let input = scratch.file("in.tsv", b"a\0\t\x001\0\n\0b\0\t\x002\0\n\0");
    sst(&[&"load", &input, &scratch.path("db")]).expect_error(3, &["in.tsv", "line 1"]);
}

#[test]
fn a_csv_quote_that_is_never_closed_loads_nothing() {
    refused("in.csv", b"k,v\na,\"1\nb,2\nc,3\n", &[], &["line 2", "quote"]);
    refused("in.csv", b"k,v\nx,1\na,1\nb,\"2\n", &["--value-column", "v"], &["line 4", "quote"]);
}

#[test]
fn bytes_behind_a_closing_csv_quote_are_refused_with_their_line() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    let input = scratch.file("in.csv", "k,v\na,\"he said \\\"hi\\\" ok\"\nb,2\n");
    sst(&[&"load", &input, &db]).expect_error(3, &["in.csv", "line 2"]);
    assert!(!db.exists());
    let summary = sst(&[&"load", &input, &db, &"--skip-bad", &"--json"]).expect(0).json();
    assert_eq!((&summary["skipped"], scan(&db).as_str()), (&1.into(), "b\t2\n"));
}

#[test]
fn columns_with_numbers_for_names_are_those_columns() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    let load = |csv: &str, args: &[&str]| {
        let input = scratch.file("in.csv", csv);
        sst(&join(&[&"load", &input, &db], args))
    };
    load("id,2020\na,x\n", &["--value-column", "2020"]).expect(0);
    assert_eq!(scan(&db), "a\tx\n");
    load("2,1\na,b\n", &["--key-column", "1"]).expect(0);
    assert_eq!(scan(&db), "b\ta\n");
    load("id,name,name\n1,x,y\n", &["--value-column", "name"]).expect_error(3, &["`name`", "2"]);
    load("id,name,name\n1,x,y\n", &["--value-column", "3"]).expect(0);
    assert_eq!(scan(&db), "1\ty\n");
    load("id,name\n1,x\n", &["--key-column", "3"]).expect_error(3, &["`3`", "`id`, `name`"]);
}

#[test]
fn an_option_of_another_format_is_said_and_not_ignored() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    for (name, args, words) in [
        ("in.tsv", &["--key-column", "2"][..], &["--key-column", "tsv", "--format csv"][..]),
        ("in.tsv", &["--delete-marker", "-"], &["--delete-marker", r"\N"]),
        ("in.csv", &["--key-field", "id"], &["--key-field", "--key-column"]),
        ("in.jsonl", &["--key-column", "id"], &["--key-column", "--key-field"]),
        ("in.csv", &["--expect-end-mark"], &["--expect-end-mark", "sst scan"]),
    ] {
        // The command fails before it opens the input.
        let input = scratch.path(name);
        sst(&join(&[&"load", &input, &db], args)).expect_error(3, words);
    }
    sst(&[&"load", &"-", &db, &"--expect-end-mark", &"--no-escapes"]).expect(3);
}

#[test]
fn scan_into_load_is_the_identity_whatever_the_bytes() {
    let scratch = Scratch::new();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |end: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random >> 33).unwrap() % end
    };
    // Parts that have a meaning in one of the formats or that look like something else, and
    // arbitrary bytes.
    let parts: [&[u8]; 22] = [
        b"\\",
        b"\\N",
        b"\\x00",
        b"\\end(0,0000000000000000)",
        b"\t",
        b"\n",
        b"\r",
        b"\r\n",
        b"\0",
        b"\"",
        b",",
        b"{\"key\":",
        b"null",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        "\u{202e}".as_bytes(),
        "\u{2028}".as_bytes(),
        "ä😀".as_bytes(),
        b"\x1b[31m",
        b"PK\x03\x04",
        b"BZh91AY&SY",
    ];
    let text = |next: &mut dyn FnMut(usize) -> usize| -> Vec<u8> {
        let len = next(4);
        let parts = (0..len).map(|_| match next(4) {
            0 => vec![u8::try_from(next(256)).unwrap(); 1 + next(3)],
            _ => parts[next(parts.len())].to_vec(),
        });
        parts.collect::<Vec<_>>().concat()
    };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    let lines = (0..5000).map(|_| {
        let (key, value) = (text(&mut next), text(&mut next));
        format!("{}\t{}\n", hex(&key), hex(&value))
    });
    // Also load each part as the only entry, so that it comes first in the output.
    let lone = parts.map(|part| format!("{0}\t{0}\n", hex(part)));
    for tsv in lone.into_iter().chain([lines.collect()]) {
        let db = scratch.database("db", &tsv);
        let expected = sst(&[&"scan", &db, &"--hex"]).expect(0).stdout;
        for (format, args) in [("tsv", &[][..]), ("jsonl", &["--json"])] {
            let printed = sst(&join(&[&"scan", &db, &"--end-mark"], args)).expect(0).stdout;
            let copy = scratch.path("copy");
            let args: [Arg<'_>; 7] =
                [&"load", &"-", &copy, &"--format", &format, &"--expect-end-mark", &"--quiet"];
            sst_with_input(&args, &printed).expect(0);
            assert!(sst(&[&"scan", &copy, &"--hex"]).expect(0).stdout == expected, "{tsv}");
            fs::remove_dir_all(&copy).unwrap();
        }
        fs::remove_dir_all(&db).unwrap();
    }
}

#[test]
fn an_output_that_breaks_off_is_not_loaded_where_its_mark_is_expected() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\nb\t2\nc\t3\n");
    let printed = sst(&[&"scan", &db, &"--end-mark"]).expect(0);
    assert!(printed.text().lines().next_back().unwrap().starts_with(r"\end(3,"));
    let copy = scratch.path("copy");
    let load = |input: &str, more: &[&str]| {
        let args: [Arg<'_>; 5] = [&"load", &"-", &copy, &"--format", &"tsv"];
        sst_with_input(&join(&args, more), input.as_bytes())
    };
    let expect = ["--expect-end-mark", "--skip-bad"];
    let cut = &printed.text()[..8];
    load(cut, &expect).expect_error(3, &["standard input", "mark"]);
    load(&printed.text().replace("a\t1\n", ""), &expect).expect_error(3, &["mark"]);
    load(printed.text(), &[]).expect_error(3, &["line 4", "--expect-end-mark"]);
    assert!(!copy.exists());
    load(printed.text(), &expect).expect(0);
    assert_eq!(scan(&copy), scan(&db));
    // The end mark of an empty output; no end mark is printed if values are missing.
    let none = sst(&[&"scan", &db, &"--limit", &"0", &"--end-mark"]).expect(0);
    assert_eq!(none.text(), "\\end(0,0000000000000000)\n");
    sst(&[&"scan", &db, &"--keys-only", &"--end-mark"]).expect(3);
}
