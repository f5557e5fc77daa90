//! Keys, values and lines at and beyond their limits, and lines that are split between buffers.

use std::io::{BufRead, BufReader, Read};

use super::*;

/// A text that is read through a buffer of `len` bytes.
fn in_parts(text: &[u8], len: usize) -> impl BufRead {
    BufReader::with_capacity(len, text)
}

fn shown(mut input: Input<'_>) -> Vec<String> {
    let (mut entry, mut outcomes) = (InputEntry::default(), Vec::new());
    loop {
        match input.read(&mut entry) {
            Ok(false) => return outcomes,
            Ok(true) => outcomes.push(format!("{entry:?}")),
            Err(InputError::Line { line, cause }) => {
                outcomes.push(format!("{line} {}", name(&cause)));
            }
            Err(error) => {
                outcomes.push(error.to_string());
                return outcomes;
            }
        }
    }
}

#[test]
fn an_input_is_the_same_however_it_is_cut() {
    let tsv = "a\\t\\\\\\x00b\tv\\n\\xff\r\n\\Nk\t\\N\nk\t\\N\r\nk\t\\\nk\t\\x\nk\\\tv\nk\t\r\r\n\r\n\r\
               \nx\tN\\N\n\\x0\tq\nno tab\n\\end(0,0000000000000000)\nk\tlast\r";
    let csv =
        "k,v\r\na,\"1\r\n2\"\"3\"\rb,\"\"\n\"c\"x,1\r\n\r\nd,\r\ne,1,2\n,\r\"f\",\"\"\"\"\r\n\"g";
    let jsonl = "{\"key\":\"a\",\"value\":\"\\u0001\"}\r\n\r\nx\r\n{\"key\":1,\"value\":null}\r";
    for (format, text) in [(Format::Tsv, tsv), (Format::Csv, csv), (Format::Jsonl, jsonl)] {
        let options = options(&[]);
        let whole = shown(Input::new(text.as_bytes(), format, &options).unwrap());
        assert!(whole.len() > 2);
        for len in 1..=text.len() {
            // The first buffer must be large enough for a byte order mark, as in `compression`.
            let source = in_parts(text.as_bytes(), len);
            assert_eq!(shown(Input::new(source, format, &options).unwrap()), whole, "{len}");
        }
    }
}

#[test]
fn values_have_a_highest_length_in_every_format() {
    let args = ["--max-value", "3"];
    check(
        Format::Tsv,
        &args,
        "a\tabc\nb\tabcd\nc\t\\x00\\x01\\x02\nd\t\\n\\n\\n\\n\ne\t\\N\n",
        &[
            put(1, "a", "abc"),
            bad(2, "ValueTooLong"),
            put(3, "c", b"\0\x01\x02"),
            bad(4, "ValueTooLong"),
            deletion(5, "e"),
        ],
    );
    check(
        Format::Csv,
        &args,
        "k,v\na,abc\nb,\"ab\n\"\"d\"\nc,\"a\"\"b\"\n",
        &[put(2, "a", "abc"), bad(3, "ValueTooLong"), put(5, "c", "a\"b")],
    );
    // Columns that are not part of key or value may have any length.
    let args = ["--max-value", "3", "--value-column", "v"];
    let text = format!("k,o,v\na,{},abc\nb,{},abcd\n", "x".repeat(1000), "x".repeat(1000));
    check(Format::Csv, &args, text, &[put(2, "a", "abc"), bad(3, "ValueTooLong")]);
    check(
        Format::Csv,
        &["--max-value", "4"],
        "k,v,w\na,b,cd\nb,b,cde\nc,\",\",d\n",
        &[put(2, "a", "b,cd"), bad(3, "ValueTooLong"), bad(4, "ValueTooLong")],
    );
    check(
        Format::Jsonl,
        &["--max-value", "3"],
        "{\"key\":\"a\",\"value\":\"abc\"}\n{\"key\":\"b\",\"value\":\"abcd\"}\n\
         {\"key\":\"c\",\"value_hex\":\"00010203\"}\n{\"key\":\"d\",\"value\":[1]}\n\
         {\"key\":\"e\",\"value\":[1,2]}\n{\"key\":\"f\",\"value\":null}\n",
        &[
            put(1, "a", "abc"),
            bad(2, "ValueTooLong"),
            bad(3, "ValueTooLong"),
            put(4, "d", "[1]"),
            bad(5, "ValueTooLong"),
            deletion(6, "f"),
        ],
    );
}

#[test]
fn json_escapes_do_not_make_a_line_too_long() {
    // A value at its limit, in the longest encoding.
    let escaped = "\\u0001".repeat(1 << 16);
    let args = ["--max-value", "64KiB", "--key-field", "k"];
    let line = format!("{{\"k\":\"a\",\"value\":\"{escaped}\"}}\n{{\"k\":\"b\",\"value\":1}}");
    check(Format::Jsonl, &args, line, &[put(1, "a", "\x01".repeat(1 << 16)), put(2, "b", "1")]);
}

/// An entry, then a line of `len` bytes, then another entry.
fn with_long_line(start: &str, byte: u8, len: u64) -> impl BufRead {
    let long = io::repeat(byte).take(len);
    BufReader::new(io::Cursor::new(start.to_owned()).chain(long).chain(&b"\nz\t9\n"[..]))
}

#[test]
fn the_rest_of_a_line_that_is_too_long_is_passed_over() {
    const LEN: u64 = 48 << 20;
    for (format, start, cause) in [
        (Format::Tsv, "a\t1\n", "TooLong"),
        (Format::Tsv, "a\t1\nb\t", "ValueTooLong"),
        (Format::Csv, "k\tv\na\t1\n", "TooLong"),
        (Format::Csv, "k\tv\na\t1\nb\t", "ValueTooLong"),
        (Format::Jsonl, "", "TooLong"),
    ] {
        let source = with_long_line(start, b'a', LEN);
        let args = if format == Format::Csv { &["--delimiter", "\t"][..] } else { &[] };
        let args = [args, &["--max-value", "1MiB"]].concat();
        let lines = start.lines().count() as u64 + u64::from(!start.ends_with('\t'));
        let outcomes = shown(Input::new(source, format, &options(&args)).unwrap());
        let place = outcomes.iter().position(|outcome| *outcome == format!("{lines} {cause}"));
        assert!(place.is_some_and(|place| place + 2 == outcomes.len()), "{outcomes:?}");
    }
}
