use std::path::Path;

use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};

mod limits;
mod referees;
mod strictness;

/// The input options of an `sst load` command line with these arguments.
fn options(args: &[&str]) -> InputArgs {
    let args = ["sst", "load", "-", "out"].iter().chain(args);
    match Cli::try_parse_from(args).unwrap().command {
        Command::Load(load) => load.input_options,
        other => panic!("{other:?}"),
    }
}

/// The result of reading one line.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Entry(u64, Vec<u8>, Option<Vec<u8>>),
    Bad(u64, &'static str),
}

fn put(line: u64, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Outcome {
    Outcome::Entry(line, key.as_ref().to_vec(), Some(value.as_ref().to_vec()))
}

fn deletion(line: u64, key: &str) -> Outcome {
    Outcome::Entry(line, key.into(), None)
}

const fn bad(line: u64, cause: &'static str) -> Outcome {
    Outcome::Bad(line, cause)
}

const fn name(cause: &LineError) -> &'static str {
    match cause {
        LineError::NoTab => "NoTab",
        LineError::EndMark => "EndMark",
        LineError::ZeroByte => "ZeroByte",
        LineError::TextBehindQuote => "TextBehindQuote",
        LineError::NotUtf8 { .. } => "NotUtf8",
        LineError::ValueTooLong { .. } => "ValueTooLong",
        LineError::NoMemory { .. } => "NoMemory",
        LineError::Blob(_) => "Blob",
        LineError::Escape(_) => "Escape",
        LineError::NoSuchColumn { .. } => "NoSuchColumn",
        LineError::ColumnCount { .. } => "ColumnCount",
        LineError::Json(_) | LineError::JsonEscape | LineError::JsonControl => "Json",
        LineError::TooDeep { .. } => "TooDeep",
        LineError::NoField { .. } => "NoField",
        LineError::FieldTwice(_) => "FieldTwice",
        LineError::KeyAtPath => "KeyAtPath",
        LineError::NullKey => "NullKey",
        LineError::Encoding { .. } => "Encoding",
        LineError::SeparatorInKey { .. } => "SeparatorInKey",
        LineError::TooLong { .. } | LineError::LineTooLong { .. } => "TooLong",
        #[cfg(feature = "parquet")]
        LineError::DecimalTooLarge => "DecimalTooLarge",
        #[cfg(feature = "parquet")]
        LineError::Levels => "Levels",
    }
}

fn read_all(format: Format, args: &[&str], text: &[u8]) -> Vec<Outcome> {
    outcomes(Input::new(text, format, &options(args)).unwrap())
}

fn outcomes(mut input: Input<'_>) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let mut entry = InputEntry::default();
    loop {
        match input.read(&mut entry) {
            Ok(false) => return outcomes,
            Ok(true) => outcomes.push(Outcome::Entry(
                entry.line,
                entry.key.to_vec(),
                (!entry.is_deletion).then(|| entry.value.held().to_vec()),
            )),
            Err(InputError::Line { line, cause }) => outcomes.push(bad(line, name(&cause))),
            Err(error) => panic!("{error}"),
        }
    }
}

#[track_caller]
fn check(format: Format, args: &[&str], text: impl AsRef<[u8]>, expected: &[Outcome]) {
    assert_eq!(read_all(format, args, text.as_ref()), expected);
}

#[test]
fn tsv_has_a_key_a_tab_and_the_rest_of_the_line() {
    check(Format::Tsv, &[], "", &[]);
    check(
        Format::Tsv,
        &[],
        "b\ttwo words\r\na\t\n\nc\tx\ty\n\tempty key",
        &[put(1, "b", "two words"), put(2, "a", ""), put(4, "c", "x\ty"), put(5, "", "empty key")],
    );
    check(
        Format::Tsv,
        &[],
        b"k\\t1\tv\\n\\x00\\\\\ngone\t\\N\n\xff\t\xfe\n",
        &[put(1, "k\t1", "v\n\0\\"), deletion(2, "gone"), put(3, b"\xff", b"\xfe")],
    );
}

#[test]
fn tsv_without_escapes_is_taken_as_it_is() {
    let text = "C:\\new\t\\N\n\\x\t\\q\n";
    check(Format::Tsv, &["--no-escapes"], text, &[put(1, "C:\\new", "\\N"), put(2, "\\x", "\\q")]);
}

#[test]
fn bad_tsv_lines_have_numbers_and_do_not_stop_the_rest() {
    check(
        Format::Tsv,
        &[],
        "a\t1\nno tab\n\n\\q\t1\nb\t\\x4\nc\t3",
        &[put(1, "a", "1"), bad(2, "NoTab"), bad(4, "Escape"), bad(5, "Escape"), put(6, "c", "3")],
    );
}

#[test]
fn csv_takes_key_and_value_by_name_or_number() {
    let text = "id,name,size\n1,one,10\n2,\"two, or so\",20\n";
    check(
        Format::Csv,
        &["--key-column", "name", "--value-column", "id"],
        text,
        &[put(2, "one", "1"), put(3, "two, or so", "2")],
    );
    check(
        Format::Csv,
        &["--key-column", "3", "--value-column", "2"],
        text,
        &[put(2, "10", "one"), put(3, "20", "two, or so")],
    );
}

#[test]
fn csv_without_a_value_column_takes_the_rest_of_the_row() {
    check(
        Format::Csv,
        &[],
        "id,name,size\n1,one,10\n2,\"two, or\n\"\"so\"\"\",20\n3,x,\n",
        &[put(2, "1", "one,10"), put(3, "2", "\"two, or\n\"\"so\"\"\",20"), put(5, "3", "x,")],
    );
    check(Format::Csv, &["--key-column", "2"], "a,k,b\n1,2,3\n", &[put(2, "2", "1,3")]);
    // With one other column, the value is the cell itself, without quotes.
    check(Format::Csv, &[], "k,v\na,\"x, \"\"y\"\"\"\n", &[put(2, "a", "x, \"y\"")]);
    check(Format::Csv, &["--no-header"], "a\nb\n", &[put(1, "a", ""), put(2, "b", "")]);
}

#[test]
fn csv_reads_the_unicode_table() {
    let text = "1F600;GRINNING FACE;So;0;ON;;;;;N;;;;;\n";
    let args = ["--delimiter", ";", "--no-header"];
    let value = "GRINNING FACE;So;0;ON;;;;;N;;;;;";
    check(Format::Csv, &args, text, &[put(1, "1F600", value)]);
    let args = [&args[..], &["--value-column", "2"]].concat();
    check(Format::Csv, &args, text, &[put(1, "1F600", "GRINNING FACE")]);
}

#[test]
fn csv_lines_are_counted_whatever_ends_them() {
    for end in ["\n", "\r\n"] {
        let text = ["k,v", "a,1", "b,\"2", "2\"", "", "c", "d,4"].join(end);
        check(
            Format::Csv,
            &[],
            text,
            &[
                put(2, "a", "1"),
                put(3, "b", format!("2{end}2")),
                bad(6, "ColumnCount"),
                put(7, "d", "4"),
            ],
        );
    }
}

#[test]
fn csv_rows_can_delete() {
    check(
        Format::Csv,
        &["--delete-marker", "-"],
        "k,v\na,-\nb,--\n",
        &[deletion(2, "a"), put(3, "b", "--")],
    );
    check(Format::Csv, &["--delete-marker", ""], "k,v\na,\n", &[deletion(2, "a")]);
}

#[test]
fn missing_csv_columns_are_found() {
    let args = ["--no-header", "--key-column", "3"];
    check(Format::Csv, &args, "a,1\n", &[bad(1, "NoSuchColumn")]);
    for (column, header) in [("nmae", "id,name\n"), ("3", "id,name\n"), ("id", "")] {
        let options = options(&["--value-column", column]);
        let error = Input::new(header.as_bytes(), Format::Csv, &options).err().unwrap();
        assert!(matches!(error, InputError::Column(ColumnFault::NoSuch { .. })), "{error}");
    }
    let no_header = options(&["--no-header", "--value-column", "id"]);
    let error = Input::new(&b"id,name\n"[..], Format::Csv, &no_header).err().unwrap();
    assert!(matches!(error, InputError::NoHeader(name) if name == "id"));
}

#[test]
fn json_strings_are_text_and_other_values_are_json() {
    check(
        Format::Jsonl,
        &[],
        r#"{"key":"a","value":"x\ty \u00e4"}
{"value": {"n": 1.50, "a": [1,  2]}, "other": [null], "key": "b"}

 {"key": 7, "value": true}
{"key":"gone","value":null}
{"key":"null","value":"null"}"#,
        &[
            put(1, "a", "x\ty ä"),
            put(2, "b", r#"{"n": 1.50, "a": [1,  2]}"#),
            put(4, "7", "true"),
            deletion(5, "gone"),
            put(6, "null", "null"),
        ],
    );
}

#[test]
fn json_fields_have_other_names_and_carry_bytes() {
    check(
        Format::Jsonl,
        &["--key-field", "id", "--value-field", "doc"],
        r#"{"id":"a","doc":"1","key":"not this"}
{"id_hex":"00fF","doc_base64":"/+8="}
{"id_base64":"_-8","doc_hex":""}
{"id_base64":"","doc_hex":null}"#,
        &[
            put(1, "a", "1"),
            put(2, b"\x00\xff", b"\xff\xef"),
            put(3, b"\xff\xef", ""),
            deletion(4, ""),
        ],
    );
}

#[test]
fn bad_json_lines_have_numbers_and_do_not_stop_the_rest() {
    check(
        Format::Jsonl,
        &[],
        b"{\"key\":\"a\"}\n\
          {\"value\":\"a\"}\n\
          {\"key\":null,\"value\":1}\n\
          {\"key\":\"a\",\"key_hex\":\"61\",\"value\":1}\n\
          [1]\n\
          {\"key\":\"a\",\"value\":1\n\
          {\"key\":\"a\",\"value\":1} 2\n\
          {\"key_hex\":\"1\",\"value\":1}\n\
          {\"key\":\"a\",\"value_base64\":\"?\"}\n\
          {\"key\":\"\xff\",\"value\":1}\n\
          {\"key\":\"a\",\"value\":1}\n",
        &[
            bad(1, "NoField"),
            bad(2, "NoField"),
            bad(3, "NullKey"),
            bad(4, "FieldTwice"),
            bad(5, "NoField"),
            bad(6, "Json"),
            bad(7, "Json"),
            bad(8, "Encoding"),
            bad(9, "Encoding"),
            bad(10, "NotUtf8"),
            put(11, "a", "1"),
        ],
    );
}

#[test]
fn keys_have_a_highest_length() {
    let line = |len: usize| format!("{}\tv\nb\t2\n", "k".repeat(len));
    let longest = "k".repeat(MAX_KEY_LEN);
    check(Format::Tsv, &[], line(MAX_KEY_LEN), &[put(1, longest, "v"), put(2, "b", "2")]);
    check(Format::Tsv, &[], line(MAX_KEY_LEN + 1), &[bad(1, "TooLong"), put(2, "b", "2")]);
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_key() {
    check(
        Format::Tsv,
        &[],
        "\u{feff}a\t1\n\u{feff}b\t2\n",
        &[put(1, "a", "1"), put(2, "\u{feff}b", "2")],
    );
    check(Format::Tsv, &[], "\u{feff}\r\na\t1", &[put(2, "a", "1")]);
    check(Format::Csv, &[], "\u{feff}k,v\na,1\n", &[put(2, "a", "1")]);
    check(Format::Csv, &["--no-header"], "\u{feff}a,1\n", &[put(1, "a", "1")]);
    check(Format::Jsonl, &[], "\u{feff}{\"key\":\"a\",\"value\":1}\n", &[put(1, "a", "1")]);
}

#[test]
fn the_format_comes_from_option_extension_or_other_options() {
    let detect = |name: &str, args: &[&str]| detect(Path::new(name), &options(args));
    for (name, format) in [
        ("a.tsv", Format::Tsv),
        ("dir.csv/a.TSV", Format::Tsv),
        ("a.csv", Format::Csv),
        ("a.jsonl", Format::Jsonl),
        ("a.ndjson", Format::Jsonl),
        ("a.json.gz", Format::Json),
    ] {
        assert_eq!(detect(name, &[]), Ok(format));
        assert_eq!(detect(name, &["--format", "jsonl"]), Ok(Format::Jsonl));
    }
    for name in ["-", "a", "UnicodeData.txt", "a.jsn", ".csv"] {
        let shown = name_of(Path::new(name));
        assert_eq!(detect(name, &[]), Err(FormatError::Unknown(shown)), "{name}");
        assert_eq!(detect(name, &["--key-field", "id"]), Ok(Format::Jsonl));
        assert_eq!(detect(name, &["--delimiter", ";"]), Ok(Format::Csv));
    }
    assert_eq!(detect("a.tsv", &["--no-header"]), Ok(Format::Tsv));
    for name in ["a.parquet", "a.pq"] {
        let without = Err(FormatError::NoParquet(name.to_owned()));
        let expected = if cfg!(feature = "parquet") { Ok(Format::Parquet) } else { without };
        assert_eq!(detect(name, &[]), expected);
    }
}
