//! The fuzz target for inputs of `load`: any bytes, in any format, compressed or not.

use std::io::{BufReader, Cursor, Read};
use std::sync::OnceLock;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::end_mark::EndMark;
use crate::input::{Format, InputArgs};
use crate::input::{Input, InputEntry, InputError, decompressed};
use crate::notation::Notation;
use crate::output::{EntryLine, PrintedValue};

/// Longest value while fuzzing: small, so that a short input can exceed it.
const MAX_VALUE: &str = "200";

/// The result of reading an input: its entries and the lines of its bad lines, in order, and
/// whether the input could be read to its end.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    entries: Vec<(u64, Vec<u8>, Option<Vec<u8>>)>,
    bad: Vec<u64>,
    is_whole: bool,
}

impl Outcome {
    /// Whether two results agree as far as both go. Before damaged compressed data, a decompressor
    /// may return more or fewer bytes, so a result that ends in an error may be longer than the
    /// other. Such an input is not loaded.
    fn agrees(&self, other: &Self) -> bool {
        let entries = self.entries.iter().zip(&other.entries).all(|(a, b)| a == b);
        let bad = self.bad.iter().zip(&other.bad).all(|(a, b)| a == b);
        self.is_whole == other.is_whole && entries && bad && (!self.is_whole || self == other)
    }
}

/// Reads an input. Its first byte chooses format and options. Panics in three cases: the result
/// depends on how the input is split into reads; a value exceeds the limit; or the entries change
/// when `scan` prints them and `load` reads them again.
pub fn input(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    let Some((format, options)) = choices().get(usize::from(choice & 15)) else { return };
    let (format, options) = (*format, options);
    let text = decompressed(data, false);
    let whole = text.and_then(|text| Ok(read(Input::new(text, format, options)?)));
    let Ok(whole) = whole else { return };
    let cut = BufReader::with_capacity(1 + usize::from(choice >> 4), OneByOne(data));
    let cut = decompressed(cut, false).and_then(|text| {
        // The first buffer must be large enough for a byte order mark.
        let text = BufReader::with_capacity(3 + usize::from(choice >> 4), text);
        Ok(read(Input::new(text, format, options)?))
    });
    let same = match &cut {
        Ok(cut) => cut.agrees(&whole),
        Err(_) => !whole.is_whole,
    };
    assert!(same, "it depends on how it is cut");
    let max = options.max_value;
    assert!(whole.entries.iter().all(|(.., value)| value.as_ref().is_none_or(|v| v.len() <= max)));
    comes_back(&whole);
}

/// The formats with their options. Numbers 6 and 7 read the output of `scan --end-mark`.
fn choices() -> &'static [(Format, InputArgs)] {
    static CHOICES: OnceLock<Vec<(Format, InputArgs)>> = OnceLock::new();
    let csv: &[&str] = &["--no-header", "--delimiter", ";", "--delete-marker", "-"];
    let flags: [(Format, &[&str]); 14] = [
        (Format::Tsv, &[]),
        (Format::Csv, &[]),
        (Format::Jsonl, &[]),
        (Format::Csv, &["--key-column", "2", "--value-column", "v"]),
        (Format::Tsv, &["--no-escapes"]),
        (Format::Csv, csv),
        (Format::Tsv, &["--expect-end-mark"]),
        (Format::Jsonl, &["--expect-end-mark"]),
        (Format::Json, &[]),
        (Format::Json, &["--value-field", ".", "--without-key"]),
        (Format::Jsonl, &["--key-fields", "a.0,k", "--value-fields", "v,a.1", "--nulls", "value"]),
        (Format::Csv, &["--key-columns", "1,2", "--value-format", "json", "--no-header"]),
        (Format::Csv, &["--key-columns", "k,v", "--value-columns", "v,k", "--key-separator", "::"]),
        (Format::Csv, &["--value-format", "json"]),
    ];
    CHOICES.get_or_init(|| {
        let parsed = flags.iter().map(|(format, flags)| Some((*format, options(flags)?)));
        // Without choices, every input would pass; a test checks that there are all.
        parsed.collect::<Option<_>>().unwrap_or_default()
    })
}

/// The input options of a `load` command line.
fn options(flags: &[&str]) -> Option<InputArgs> {
    let args = ["sst", "load", "-", "out", "--max-value", MAX_VALUE];
    let cli = Cli::try_parse_from(args.iter().chain(flags)).ok()?;
    match cli.command {
        Command::Load(load) => Some(load.input_options),
        _ => None,
    }
}

fn read(mut input: Input<'_>) -> Outcome {
    let mut outcome = Outcome { entries: Vec::new(), bad: Vec::new(), is_whole: false };
    let mut entry = InputEntry::default();
    loop {
        match input.read(&mut entry) {
            Ok(false) => {
                outcome.is_whole = true;
                return outcome;
            }
            Ok(true) => {
                let value = (!entry.is_deletion).then(|| entry.value.held().to_vec());
                outcome.entries.push((entry.line, entry.key.to_vec(), value));
            }
            Err(InputError::Line { line, .. }) => outcome.bad.push(line),
            Err(_) => return outcome,
        }
    }
}

/// Checks that entries which `scan` prints, followed by an end mark, are equal when `load` reads
/// them.
fn comes_back(outcome: &Outcome) {
    let (mut text, mut json, mut mark) = (Vec::new(), String::new(), EndMark::default());
    for (_, key, value) in &outcome.entries {
        let value = value.as_deref();
        mark.add(key, value);
        let shown = value.map_or(PrintedValue::Deleted, PrintedValue::Value);
        let line = EntryLine { hash: None, key, value: shown, notation: Notation::Escaped };
        // Writing to memory does not fail; if it did, the entry would not come back.
        _ = line.write_to(&mut text);
        text.push(b'\n');
        json += &serde_json::to_string(&line).unwrap_or_else(|error| error.to_string());
        json.push('\n');
    }
    text.extend_from_slice(format!("{mark}\n").as_bytes());
    json += &serde_json::to_string(&mark.json()).unwrap_or_else(|error| error.to_string());
    let marked = choices().iter().skip(6).take(2);
    for ((format, options), printed) in marked.zip([text, json.into_bytes()]) {
        let read = decompressed(Cursor::new(printed), false)
            .and_then(|text| Ok(read(Input::new(text, *format, options)?)));
        let same = read.is_ok_and(|read| {
            let entries = read.entries.iter().map(|(_, key, value)| (key, value));
            read.is_whole
                && read.bad.is_empty()
                && entries.eq(outcome.entries.iter().map(|(_, key, value)| (key, value)))
        });
        assert!(same, "it does not come back as {format:?}");
    }
}

/// Returns one byte per read, as a pipe may.
struct OneByOne<'a>(&'a [u8]);

impl Read for OneByOne<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let len = out.len().min(1);
        (&mut self.0).take(len as u64).read(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_is_a_valid_one() {
        assert_eq!(choices().len(), 14);
    }

    /// Tries short inputs of bytes that have a meaning in some format. `cargo xtask fuzz` tries
    /// more.
    #[test]
    fn inputs_of_special_bytes_keep_the_promises() {
        let bytes = b"\t\n\r\\\"',;:{}[]Nntrxu0a1-k\xef\xbb\xbf\xff\0 \x1f\x8b(end)ABCZhPK";
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            let mut next = || {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                usize::try_from(random >> 33).unwrap()
            };
            let len = next() % 24;
            let choice = u8::try_from(next() % 128).unwrap();
            let data = (0..len).map(|_| bytes[next() % bytes.len()]);
            let data: Vec<u8> = [choice].into_iter().chain(data).collect();
            input(&data);
        }
    }
}
