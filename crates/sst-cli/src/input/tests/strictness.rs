//! Invalid inputs that look like one of the formats, and valid inputs that look invalid.

use super::*;

/// The error that ends an input, and the number of entries before it.
fn fatal(format: Format, args: &[&str], text: impl AsRef<[u8]>) -> (usize, InputError) {
    let mut input = match Input::new(text.as_ref(), format, &options(args)) {
        Ok(input) => input,
        Err(error) => return (0, error),
    };
    let (mut entry, mut entries) = (InputEntry::default(), 0);
    loop {
        match input.read(&mut entry) {
            Ok(true) => entries += 1,
            Ok(false) => panic!("the input is read to its end"),
            Err(error) if error.may_be_skipped() => {}
            Err(error) => return (entries, error),
        }
    }
}

#[test]
fn a_csv_quote_that_is_never_closed_ends_the_input() {
    for (text, entries, line) in [
        ("k,v\na,\"1\nb,2\nc,3\n", 0, 2),
        ("k,v\na,1\n\nb,\"", 1, 4),
        ("k,v\na,1\nb,\"\"\"\n", 1, 3),
        ("k,v\r\na,\"x\r\ny\"\r\nb,\"2\r\n", 1, 4),
        ("k,\"v\na,1\n", 0, 1),
    ] {
        let (read, error) = fatal(Format::Csv, &[], text);
        assert_eq!(read, entries, "{text}");
        assert!(matches!(error, InputError::UnclosedQuote { line: l } if l == line), "{error}");
    }
}

#[test]
fn nothing_stands_behind_a_closing_csv_quote() {
    check(
        Format::Csv,
        &[],
        "k,v\na,\"he said \\\"hi\\\" ok\"\nb,\"1\"x,y\nc,\"3\" \nd,\"4\"\ne\"5,\"\"\"\"\n",
        &[
            bad(2, "TextBehindQuote"),
            bad(3, "TextBehindQuote"),
            bad(4, "TextBehindQuote"),
            put(5, "d", "4"),
            put(6, "e\"5", "\""),
        ],
    );
    // The refused row covers two lines; the next row starts after its last line.
    check(
        Format::Csv,
        &[],
        "k,v\na,\"1\n2\"x\nb,2\n",
        &[bad(2, "TextBehindQuote"), put(4, "b", "2")],
    );
    let (_, error) = fatal(Format::Csv, &[], "k,\"v\"x\na,1\n");
    assert!(matches!(error, InputError::Header { line: 1, .. }));
}

#[test]
fn csv_rows_end_in_whatever_ends_a_line() {
    check(
        Format::Csv,
        &[],
        "k,v\ra,1\rb,\"2\r2\"\r\r\nc,\n\"\",4\r\"d\",\"\"",
        &[put(2, "a", "1"), put(3, "b", "2\r2"), put(6, "c", ""), put(7, "", "4"), put(8, "d", "")],
    );
    check(Format::Csv, &["--no-header"], "\"\"\n\n\"\"", &[put(1, "", ""), put(3, "", "")]);
}

#[test]
fn csv_columns_by_name_come_before_those_by_number() {
    let args = ["--key-column", "id", "--value-column", "2020"];
    check(Format::Csv, &args, "id,2020\na,x\n", &[put(2, "a", "x")]);
    check(Format::Csv, &["--key-column", "1"], "2,1\na,b\n", &[put(2, "b", "a")]);
    let (_, error) = fatal(Format::Csv, &["--value-column", "name"], "id,name,name\n1,x,y\n");
    assert!(matches!(error, InputError::Column(ColumnFault::Ambiguous { first: 2, .. })));
    let args = ["--value-column", "3"];
    check(Format::Csv, &args, "id,name,name\n1,x,y\n", &[put(2, "1", "y")]);
    check(
        Format::Csv,
        &["--key-column", "2", "--value-column", "2"],
        "a,b\n1,2\n",
        &[put(2, "2", "2")],
    );
}

#[test]
fn zero_bytes_are_no_text() {
    check(
        Format::Tsv,
        &[],
        "a\0\t1\nb\t\0\nc\t3\n",
        &[bad(1, "ZeroByte"), bad(2, "ZeroByte"), put(3, "c", "3")],
    );
    check(Format::Tsv, &["--no-escapes"], "a\0\t1\n", &[put(1, "a\0", "1")]);
    check(
        Format::Csv,
        &[],
        "k,v\na,\0\n\"b\0\",2\nc,3\n",
        &[bad(2, "ZeroByte"), bad(3, "ZeroByte"), put(4, "c", "3")],
    );
    // UTF-16 without a byte order mark.
    check(
        Format::Tsv,
        &[],
        "a\0\t\x001\0\n\0b\0\t\x002\0\n\0",
        &[bad(1, "ZeroByte"), bad(2, "ZeroByte"), bad(3, "ZeroByte")],
    );
}

#[test]
fn json_is_what_a_json_parser_takes() {
    for (line, cause) in [
        (&br#"{"key":"a","value":"\ud800"}"#[..], "Json"),
        (br#"{"key":"a","value":"\ud800\u0041"}"#, "Json"),
        (br#"{"key":"a","value":"\q"}"#, "Json"),
        (br#"{"key":"a","value":NaN}"#, "Json"),
        (br#"{"key":"a","value":01}"#, "Json"),
        (br#"{"key":"a","value":1,}"#, "Json"),
        (br#"{'key':'a','value':1}"#, "Json"),
        (b"{\"key\":\"a\",\"value\":\"\t\"}", "Json"),
        (b"{\"key\":\"a\",\"value\":1}\0", "Json"),
        (b"{\"key\":\"a\",\"value\":1,\"other\":\"\xff\"}", "NotUtf8"),
        (b"{\"key\":\"a\",\"value\":1,\"other\":\"\xed\xa0\x80\"}", "NotUtf8"),
        (br#"{"key":"a","key":"a","value":1}"#, "FieldTwice"),
        (br#"{"key":"a","value":1}{"key":"b","value":1}"#, "Json"),
        (br#""key""#, "Json"),
    ] {
        check(Format::Jsonl, &[], line, &[bad(1, cause)]);
    }
    let deep = format!("{{\"key\":\"a\",\"value\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    check(Format::Jsonl, &[], &deep, &[put(1, "a", &deep[19..deep.len() - 1])]);
    check(
        Format::Jsonl,
        &[],
        "{\"key\":\"\\ud83d\\ude00\\/\",\"value\":-0.0e-999}\r\n{ \"key\" :\t1e5,\"value\":\"\\u0000\",\"x\":\"\\ud800\",\"x\":1}",
        &[put(1, "😀/", "-0.0e-999"), put(2, "1e5", "\0")],
    );
}

#[test]
fn a_mark_ends_a_complete_input_and_is_checked() {
    let mut mark = EndMark::default();
    mark.add(b"a", Some(b"1"));
    mark.add(b"b", None);
    let json = serde_json::to_string(&mark.json()).unwrap();
    let tsv = format!("a\t1\nb\t\\N\n{mark}\n");
    let jsonl =
        format!("{{\"key\":\"a\",\"value\":\"1\"}}\n{{\"key\":\"b\",\"value\":null}}\n{json}\n");
    let expected = [put(1, "a", "1"), deletion(2, "b")];
    let args = ["--expect-end-mark"];
    for (format, text) in [(Format::Tsv, &tsv), (Format::Jsonl, &jsonl)] {
        check(format, &args, text, &expected);
        check(format, &args, text.trim_end(), &expected);
        assert_eq!(read_all(format, &args, text.repeat(2).as_bytes()).len(), 4);
        // Without `--expect-end-mark`, the mark is a bad line.
        let (first, last) = (text.lines().next().unwrap(), text.lines().next_back().unwrap());
        check(format, &[], last, &[bad(1, "EndMark")]);
        // The text cut at every byte, with a line missing or changed, or with a line after the
        // mark.
        for end in 0..text.len() - 1 {
            fatal(format, &args, &text[..end]);
        }
        fatal(format, &args, text.split_once('\n').unwrap().1);
        fatal(format, &args, text.replacen('a', "c", 1));
        fatal(format, &args, format!("{text}{first}"));
    }
    let (_, error) = fatal(Format::Tsv, &args, "a\t1\n");
    assert!(matches!(error, InputError::NoEndMark { entries: 1 }));
    let (_, error) = fatal(Format::Tsv, &args, format!("a\t1\n{mark}\n"));
    assert!(matches!(error, InputError::WrongEndMark { .. }));
}

#[test]
fn an_option_of_another_format_is_an_error() {
    use Format::{Csv, Jsonl, Parquet, Tsv};
    let check = |formats: &[Format], args: &[&str]| check_options(formats, &options(args));
    for (format, args) in [
        (Tsv, ["--key-column", "1"]),
        (Tsv, ["--delete-marker", "-"]),
        (Tsv, ["--delimiter", ";"]),
        (Tsv, ["--value-field", "v"]),
        (Csv, ["--key-field", "key"]),
        (Jsonl, ["--value-column", "v"]),
        (Jsonl, ["--delete-marker", "-"]),
        (Parquet, ["--key-field", "key"]),
    ] {
        let error = check(&[format], &args).unwrap_err();
        assert!(matches!(error, FormatError::Option { option, .. } if option == args[0]));
    }
    for (format, flag) in [
        (Tsv, "--no-header"),
        (Csv, "--no-escapes"),
        (Jsonl, "--no-escapes"),
        (Parquet, "--no-header"),
        (Csv, "--expect-end-mark"),
    ] {
        assert!(check(&[format], &[flag]).is_err(), "{flag}");
    }
    // With several inputs, an option must have an effect on one of them.
    assert_eq!(check(&[Tsv, Csv], &["--key-column", "1"]), Ok(()));
    assert_eq!(check(&[Tsv], &["--no-escapes", "--max-value", "1"]), Ok(()));
}

/// A surrogate without its other half is no text, but what is neither key nor value may have any.
#[test]
fn names_of_other_fields_may_have_lone_surrogates() {
    let record = r#"{"key":"k","value":1,"x\ud800":2}"#;
    check(Format::Jsonl, &[], record, &[put(1, "k", "1")]);
    check(Format::Jsonl, &["--value-field", "."], record, &[put(1, "k", record)]);
    let rest = r#"{"value":1,"x\ud800":2}"#;
    check(Format::Jsonl, &["--value-field", ".", "--without-key"], record, &[put(1, "k", rest)]);
    let wrong = r#"{"key":"k","value":1,"x\q":2}"#;
    check(Format::Jsonl, &[], wrong, &[bad(1, "Json")]);
}
