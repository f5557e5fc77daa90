//! `sst get --keys-from`: many keys, in every notation in which `sst scan` prints them.

use std::fs;

use crate::harness::{Run, Scratch, join, repository, sst, sst_with_input, tables};

/// Keys that each notation must bring back: plain text, escapes, a zero byte, bytes that are no
/// UTF-8, the empty key.
const TSV: &[u8] = br"plain	1
a\\b	2
tab\there	3
line\nend	4
zero\x00	5
\xff\xfe	6
	7
Z\xc3\xbcrich	8
";

fn get(path: &std::path::Path, args: &[&str], keys: &[u8]) -> Run {
    sst_with_input(&join(&[&"get", &path, &"--keys-from", &"-"], args), keys)
}

#[test]
fn keys_that_are_printed_can_be_given_back() {
    let scratch = Scratch::new();
    let db = scratch.database("db", TSV);
    let table = tables(&db).remove(0);
    for path in [&db, &table] {
        for notation in ["--escaped", "--hex", "--base64"] {
            let all = sst(&[&"scan", path, &notation]).expect(0);
            assert_eq!(all.text().lines().count(), 8);
            let keys = sst(&[&"scan", path, &notation, &"--keys-only"]).expect(0);
            let found = get(path, &[notation], &keys.stdout).expect(0);
            assert_eq!(found.text(), all.text(), "{notation}");
            // The same keys as arguments.
            let keys = keys.text().lines().collect::<Vec<_>>();
            let found = sst(&join(&[&"get", path, &notation, &"--"], &keys)).expect(0);
            assert_eq!(found.text(), all.text(), "{notation}");
        }
    }
}

#[test]
fn keys_are_raw_lines_or_end_in_zero_bytes() {
    let scratch = Scratch::new();
    let db = scratch.database("db", TSV);
    let found = get(&db, &[], b"plain\r\na\\b\ntab\there\n\nZ\xc3\xbcrich").expect(0);
    assert_eq!(found.text(), "plain\t1\na\\\\b\t2\ntab\\there\t3\n\t7\nZürich\t8\n");
    let found = get(&db, &["--null", "--values-only"], b"line\nend\0plain\0\0").expect(0);
    assert_eq!(found.text(), "4\n1\n7\n");
    // Keys with a zero byte cannot be printed with `--print0`, all others can.
    let printed = scratch.database("other", "a\\\\b\t1\nline\\nend\t2\nt\\tab\t3\n");
    let keys = sst(&[&"scan", &printed, &"--keys-only", &"--print0"]).expect(0);
    let found = get(&printed, &["--null"], &keys.stdout).expect(0);
    assert_eq!(found.text(), sst(&[&"scan", &printed]).expect(0).text());
    sst(&[&"scan", &db, &"--keys-only", &"--print0"]).expect_error(3, &["zero"]);
    sst(&[&"scan", &printed, &"--print0"]).expect_error(3, &["tab"]);
}

#[test]
fn arguments_come_first_and_what_is_missing_is_noted_but_not_without_end() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\nb\t2\ngone\t\\N\n");
    let found = sst_with_input(&[&"get", &db, &"b", &"--keys-from", &"-"], b"a\nx\ngone\n");
    let found = found.expect(1);
    assert_eq!(found.text(), "b\t2\na\t1\n");
    assert_eq!(found.stderr, "not found: x\ndeleted: gone\n");
    let missing: String = (0..5000).map(|i| format!("missing {i}\n")).collect();
    let found = get(&db, &[], missing.as_bytes()).expect(1);
    assert!(found.stdout.is_empty() && found.stderr.lines().count() == 11, "{}", found.stderr);
    let statuses = get(&db, &["--json"], b"a\nx\ngone\n").expect(1);
    let statuses: Vec<_> =
        statuses.json_lines().iter().map(|line| line["status"].clone()).collect();
    assert_eq!(statuses, ["found", "not found", "deleted"]);
    assert_eq!(get(&db, &[], b"").expect(0).text(), "");
}

#[test]
fn a_bad_line_is_named() {
    let scratch = Scratch::new();
    let db = scratch.database("db", "a\t1\n");
    let keys = scratch.file("keys.txt", "61\n6\n");
    sst(&[&"get", &db, &"--hex", &"--keys-from", &keys]).expect_error(3, &["keys.txt: line 2"]);
    get(&db, &["--escaped"], b"a\n\\q\n").expect_error(3, &["standard input: line 2", r"\q"]);
    get(&db, &["--base64", "--null"], b"YQ\0!\0").expect_error(3, &["standard input: key 2"]);
    sst(&[&"get", &db, &"--keys-from", &scratch.path("none")]).expect_error(3, &["none"]);
    sst(&[&"get", &db, &"a", &"--null"]).expect(3);
    sst(&[&"get", &db]).expect(3);
}

/// All keys of the Unicode table, in batches that grow, in another order than that of the tables.
#[test]
fn every_line_of_the_unicode_table_is_found_in_its_order() {
    let scratch = Scratch::new();
    let (input, db) = (repository("data/UnicodeData.txt"), scratch.path("unicode.db"));
    let options = ["--delimiter", ";", "--no-header", "--value-column", "2", "--quiet"];
    sst(&join(&[&"load", &input, &db], &options)).expect(0);
    let text = fs::read_to_string(&input).unwrap();
    let (mut keys, mut expected) = (String::new(), String::new());
    for line in text.lines().chain(text.lines().rev()) {
        let mut cells = line.split(';');
        let (key, name) = (cells.next().unwrap(), cells.next().unwrap());
        keys += &format!("{key}\n");
        expected += &format!("{key}\t{name}\n");
    }
    let found = get(&db, &[], keys.as_bytes()).expect(0);
    assert!(found.text() == expected);
}
