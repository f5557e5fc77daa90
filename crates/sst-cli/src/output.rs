//! The output of commands: lines of text, or JSON.

use std::fmt;
use std::io::{self, BufWriter, StdoutLock, Write};

use data_encoding::HEXLOWER;
use indicatif::HumanCount;
use serde::ser::{Serialize, SerializeMap, Serializer};
use sst_format::BlobNumber;

use crate::error::CliError;
use crate::escape::{DELETED, Escaped};

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

    /// Prints a value as one line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        serde_json::to_writer(&mut self.sink, value)
            .map_err(|error| CliError::Output(error.into()))?;
        self.bytes(b"\n")
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
    /// A deletion.
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
    /// Whether key and value are printed in hex.
    pub(crate) hex: bool,
}

impl fmt::Display for EntryLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Bytes { bytes: self.key, hex: self.hex })?;
        if self.value != PrintedValue::Omitted {
            write!(f, "\t{}", ValueText { value: self.value, hex: self.hex })?;
        }
        Ok(())
    }
}

/// A value as text.
pub(crate) struct ValueText<'a> {
    pub(crate) value: PrintedValue<'a>,
    pub(crate) hex: bool,
}

impl fmt::Display for ValueText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            PrintedValue::Value(bytes) => write!(f, "{}", Bytes { bytes, hex: self.hex }),
            PrintedValue::Deleted => f.write_str(DELETED),
            // An unknown escape on purpose: `load` refuses it, so it is never loaded as the value.
            PrintedValue::Blob(number) => write!(f, r"\blob({number})"),
            PrintedValue::Omitted => Ok(()),
        }
    }
}

/// Bytes as text, escaped or in hex.
pub(crate) struct Bytes<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) hex: bool,
}

impl fmt::Display for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hex {
            true => self.bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            false => Escaped(self.bytes).fmt(f),
        }
    }
}

impl Serialize for EntryLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(hash) = self.hash {
            map.serialize_entry("hash", &format_args!("{hash:016x}"))?;
        }
        serialize_bytes(&mut map, ("key", "key_hex"), self.key, self.hex)?;
        match self.value {
            PrintedValue::Value(value) => {
                serialize_bytes(&mut map, ("value", "value_hex"), value, self.hex)?;
            }
            PrintedValue::Deleted => map.serialize_entry("value", &())?,
            PrintedValue::Blob(number) => map.serialize_entry("blob", &number.0)?,
            PrintedValue::Omitted => {}
        }
        map.end()
    }
}

/// Serializes bytes as text under `name`, or in hex under `hex_name` if they are not UTF-8 or `hex`
/// is set.
pub(crate) fn serialize_bytes<M: SerializeMap>(
    map: &mut M,
    (name, hex_name): (&str, &str),
    bytes: &[u8],
    hex: bool,
) -> Result<(), M::Error> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !hex => map.serialize_entry(name, text),
        _ => map.serialize_entry(hex_name, &HEXLOWER.encode(bytes)),
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
        EntryLine { hash: None, key, value, hex: false }
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
            (EntryLine { hex: true, ..entry(b"a", PrintedValue::Value(b"\0b")) }, "61\t0062"),
        ] {
            assert_eq!(entry.to_string(), text);
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
                EntryLine { hash: Some(255), hex: true, ..entry(b"a", PrintedValue::Value(b"b")) },
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
