//! The output of `sst scan --format csv`.

use super::ScanArgs;
use super::sink::{Row, Sink};
use crate::error::CliError;
use crate::notation::{Bytes, Notation};
use crate::output::{Output, PrintedValue};

/// Rows of key and value by RFC 4180, after a row with these names. Cells are the bytes of keys and
/// values, in quotes where they need them; what `sst load` reads.
pub(super) struct CsvSink {
    output: Output,
    notation: Notation,
    keys_only: bool,
    /// The row that is being made.
    row: Vec<u8>,
}

impl CsvSink {
    pub(super) fn new(args: &ScanArgs) -> Result<Self, CliError> {
        let mut output = Output::stdout();
        output.line(if args.keys_only { "key" } else { "key,value" })?;
        let notation = args.notation.given().unwrap_or(Notation::Raw);
        Ok(Self { output, notation, keys_only: args.keys_only, row: Vec::new() })
    }

    /// Adds a cell to the row of a key.
    fn cell(&mut self, key: &[u8], bytes: &[u8]) -> Result<(), CliError> {
        let mut text = Vec::new();
        Bytes { bytes, notation: self.notation }.write_to(&mut text).map_err(CliError::Output)?;
        if text.contains(&0) {
            return Err(CliError::NotRaw { key: key.into(), what: "a zero byte" });
        }
        let needs_quotes = |byte: &u8| matches!(byte, b',' | b'"' | b'\n' | b'\r');
        // A row of one empty cell without quotes would be an empty line, which is no row.
        if !text.is_empty() && !text.iter().any(needs_quotes) {
            self.row.extend_from_slice(&text);
            return Ok(());
        }
        self.row.push(b'"');
        for part in text.split_inclusive(|&byte| byte == b'"') {
            self.row.extend_from_slice(part);
            if part.ends_with(b"\"") {
                self.row.push(b'"');
            }
        }
        self.row.push(b'"');
        Ok(())
    }
}

impl Sink for CsvSink {
    fn row(&mut self, row: Row<'_>) -> Result<(), CliError> {
        self.row.clear();
        self.cell(row.key, row.key)?;
        if !self.keys_only {
            self.row.push(b',');
            match row.value {
                PrintedValue::Value(value) => self.cell(row.key, value)?,
                PrintedValue::Deleted | PrintedValue::Blob(_) | PrintedValue::Omitted => {
                    return Err(CliError::NotRaw { key: row.key.into(), what: "no value" });
                }
            }
        }
        self.row.push(b'\n');
        self.output.bytes(&self.row)
    }

    fn finish(self: Box<Self>) -> Result<(), CliError> {
        self.output.finish()
    }
}
