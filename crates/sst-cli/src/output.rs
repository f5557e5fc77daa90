//! The output of commands: lines of text, or JSON.

use std::fmt;
use std::io::{self, BufWriter, StdoutLock, Write};

use indicatif::HumanCount;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use sst_format::BlobNumber;

use crate::error::CliError;
use crate::escape::{DELETED, one_line};
use crate::notation::{Bytes, KEY, Notation, VALUE, serialize_bytes};

/// The version of the fields of reports, errors and notes in JSON: `json-schema.json` describes
/// them. It becomes another when a field is renamed, removed or gets another meaning, not when one
/// is added.
pub(crate) const JSON_SCHEMA: u32 = 1;

/// A report and the version of its fields.
#[derive(Serialize)]
pub(crate) struct Versioned<'a, R: Serialize> {
    pub(crate) schema: u32,
    #[serde(flatten)]
    pub(crate) report: &'a R,
}

/// Buffered standard output. [`Output::finish`] reports errors of writing the last bytes.
pub(crate) struct Output<W: Write = StdoutLock<'static>> {
    sink: BufWriter<W>,
}

impl Output {
    pub(crate) fn stdout() -> Self {
        Self::new(io::stdout().lock())
    }
}

impl<W: Write> Output<W> {
    fn new(sink: W) -> Self {
        Self { sink: BufWriter::with_capacity(1 << 16, sink) }
    }

    /// Prints a line of text.
    pub(crate) fn line(&mut self, text: impl fmt::Display) -> Result<(), CliError> {
        writeln!(self.sink, "{text}").map_err(CliError::Output)
    }

    /// Prints a line of a report. The control characters of names in it are escaped, so that they
    /// neither control the terminal nor look like lines of their own.
    pub(crate) fn report_line(&mut self, text: impl fmt::Display) -> Result<(), CliError> {
        self.line(one_line(text))
    }

    /// Prints a value as one line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        serde_json::to_writer(&mut self.sink, value)
            .map_err(|error| CliError::Output(error.into()))?;
        self.bytes(b"\n")
    }

    /// Prints a report as one line of JSON, with the version of its fields.
    pub(crate) fn report(&mut self, report: &impl Serialize) -> Result<(), CliError> {
        self.json(&Versioned { schema: JSON_SCHEMA, report })
    }

    /// Prints an entry and its end.
    pub(crate) fn entry(&mut self, line: &EntryLine<'_>, end: End) -> Result<(), CliError> {
        line.write_to(&mut self.sink).map_err(CliError::Output)?;
        self.bytes(&[end.byte()])
    }

    /// Prints a value and its end.
    pub(crate) fn value(&mut self, value: ValueText<'_>, end: End) -> Result<(), CliError> {
        value.write_to(&mut self.sink).map_err(CliError::Output)?;
        self.bytes(&[end.byte()])
    }

    /// Prints bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.sink.write_all(bytes).map_err(CliError::Output)
    }

    /// Writes the buffered bytes.
    pub(crate) fn flush(&mut self) -> Result<(), CliError> {
        self.sink.flush().map_err(CliError::Output)
    }

    /// Writes the buffered bytes and closes the output.
    pub(crate) fn finish(mut self) -> Result<(), CliError> {
        self.flush()
    }
}

/// A value to be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PrintedValue<'a> {
    /// The value.
    Value(&'a [u8]),
    /// A tombstone.
    Deleted,
    /// A value in a blob file, which is not read: the table is shown without its directory.
    Blob(BlobNumber),
    /// No value: only keys are printed.
    Omitted,
}

/// One entry to be printed: a line of TSV or JSON lines that `sst load` can read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryLine<'a> {
    /// The hash, for JSON only.
    pub(crate) hash: Option<u64>,
    pub(crate) key: &'a [u8],
    pub(crate) value: PrintedValue<'a>,
    /// How key and value are printed.
    pub(crate) notation: Notation,
}

impl EntryLine<'_> {
    /// Writes the line without its end.
    pub(crate) fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        Bytes { bytes: self.key, notation: self.notation }.write_to(out)?;
        if self.value != PrintedValue::Omitted {
            out.write_all(b"\t")?;
            ValueText { value: self.value, notation: self.notation }.write_to(out)?;
        }
        Ok(())
    }
}

/// A value as text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ValueText<'a> {
    pub(crate) value: PrintedValue<'a>,
    pub(crate) notation: Notation,
}

impl ValueText<'_> {
    /// Writes the value without a line end.
    pub(crate) fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        match self.value {
            PrintedValue::Value(bytes) => Bytes { bytes, notation: self.notation }.write_to(out),
            PrintedValue::Deleted => out.write_all(DELETED.as_bytes()),
            // An unknown escape on purpose: `load` refuses it, so it is never loaded as the value.
            PrintedValue::Blob(number) => write!(out, r"\blob({number})"),
            PrintedValue::Omitted => Ok(()),
        }
    }
}

impl Serialize for EntryLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(hash) = self.hash {
            map.serialize_entry("hash", &format_args!("{hash:016x}"))?;
        }
        let notation = self.notation;
        serialize_bytes(&mut map, KEY, Bytes { bytes: self.key, notation })?;
        match self.value {
            PrintedValue::Value(bytes) => {
                serialize_bytes(&mut map, VALUE, Bytes { bytes, notation })?;
            }
            PrintedValue::Deleted => map.serialize_entry("value", &())?,
            PrintedValue::Blob(number) => map.serialize_entry("blob", &number.0)?,
            PrintedValue::Omitted => {}
        }
        map.end()
    }
}

/// The byte that ends each printed entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// A line feed.
    Line,
    /// A zero byte, for `xargs -0` and `sst get --null`.
    Zero,
}

impl End {
    pub(crate) const fn byte(self) -> u8 {
        match self {
            Self::Line => b'\n',
            Self::Zero => 0,
        }
    }
}

/// A number with its noun: `1 table`, `2 tables`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", HumanCount(number), if number == 1 { "" } else { "s" })
}

/// A number of entries: `1 entry`, `2 entries`.
pub(crate) fn entries(number: u64) -> String {
    let noun = if number == 1 { "entry" } else { "entries" };
    format!("{} {noun}", HumanCount(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry<'a>(key: &'a [u8], value: PrintedValue<'a>) -> EntryLine<'a> {
        EntryLine { hash: None, key, value, notation: Notation::Escaped }
    }

    fn json(entry: &EntryLine<'_>) -> String {
        serde_json::to_string(entry).unwrap()
    }

    #[test]
    fn entries_as_text() {
        for (entry, text) in [
            (entry("ключ".as_bytes(), PrintedValue::Value(b"a\tb")), "ключ\ta\\tb"),
            (entry(b"\xff", PrintedValue::Value(b"")), "\\xff\t"),
            (entry(b"gone", PrintedValue::Deleted), "gone\t\\N"),
            (entry(b"large", PrintedValue::Blob(BlobNumber(7))), "large\t\\blob(7)"),
            (entry(b"key", PrintedValue::Omitted), "key"),
            (
                EntryLine { notation: Notation::Hex, ..entry(b"a", PrintedValue::Value(b"\0b")) },
                "61\t0062",
            ),
        ] {
            let mut line = Vec::new();
            entry.write_to(&mut line).unwrap();
            assert_eq!(String::from_utf8(line).unwrap(), text);
        }
    }

    #[test]
    fn entries_as_json() {
        for (entry, text) in [
            (entry(b"k\t", PrintedValue::Value("ä".as_bytes())), r#"{"key":"k\t","value":"ä"}"#),
            (
                entry(b"\xff", PrintedValue::Value(b"\0\xfe")),
                r#"{"key_hex":"ff","value_hex":"00fe"}"#,
            ),
            (entry(b"gone", PrintedValue::Deleted), r#"{"key":"gone","value":null}"#),
            (entry(b"large", PrintedValue::Blob(BlobNumber(7))), r#"{"key":"large","blob":7}"#),
            (entry(b"key", PrintedValue::Omitted), r#"{"key":"key"}"#),
            (
                EntryLine {
                    hash: Some(255),
                    notation: Notation::Hex,
                    ..entry(b"a", PrintedValue::Value(b"b"))
                },
                r#"{"hash":"00000000000000ff","key_hex":"61","value_hex":"62"}"#,
            ),
        ] {
            assert_eq!(json(&entry), text);
        }
    }

    #[test]
    fn a_full_disk_is_noticed_at_the_latest_at_the_end() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut output = Output::new(Full);
        output.line("short").unwrap();
        assert!(matches!(output.finish(), Err(CliError::Output(_))));
        let mut output = Output::new(Full);
        assert!(matches!(output.bytes(&[0; 1 << 17]), Err(CliError::Output(_))));
    }
}
