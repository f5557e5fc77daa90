//! Entries as text: what `sst load` reads.
//!
//! Each format has a module that turns a stream of bytes into entries, one by one, and knows the line of each. A line
//! that cannot be read is a [`LineError`] and does not end the input: the next one may be read.

mod compression;
mod csv;
mod format;
mod json_lines;
mod lines;
mod tsv;

use std::io::{self, BufRead};

use sst_format::limits::MAX_KEY_LEN;

use crate::commands::load::args::{Format, InputArgs};
use crate::escape::BadEscape;

pub(crate) use compression::decompressed;
pub(crate) use format::{UnknownFormat, detect};

/// Longest value in bytes: a blob file states its size in 32 bits.
const MAX_VALUE_LEN: usize = u32::MAX as usize;

/// One entry of the input. Its buffers are used again for the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InputEntry {
    /// Where it stands, counted from 1; the first line of it if it takes several.
    pub(crate) line: u64,
    /// The key.
    pub(crate) key: Vec<u8>,
    /// The value; empty for a deletion.
    pub(crate) value: Vec<u8>,
    /// Whether the entry deletes its key.
    pub(crate) is_deletion: bool,
}

impl InputEntry {
    fn clear(&mut self, line: u64) {
        self.line = line;
        self.key.clear();
        self.value.clear();
        self.is_deletion = false;
    }

    fn check_lengths(&self) -> Result<(), LineError> {
        let (key, value) = (self.key.len(), self.value.len());
        if key > MAX_KEY_LEN {
            return Err(LineError::TooLong { what: "key", len: key, max: MAX_KEY_LEN });
        }
        if value > MAX_VALUE_LEN {
            return Err(LineError::TooLong { what: "value", len: value, max: MAX_VALUE_LEN });
        }
        Ok(())
    }
}

/// Why an entry could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    /// The input as a whole cannot be read any further.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The options don't fit the input.
    #[error("there is no column named `{0}` in the first row")]
    NoSuchColumn(String),
    /// One line is wrong. The next one may be read.
    #[error("line {line}: {cause}")]
    Line {
        /// Its number, counted from 1.
        line: u64,
        /// What is wrong with it.
        cause: LineError,
    },
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    #[error("there is no tab between key and value")]
    NoTab,
    #[error(transparent)]
    Escape(#[from] BadEscape),
    #[error("there is no column {number} among {count}")]
    NoSuchColumn { number: usize, count: usize },
    #[error("{found} columns where the first row has {expected}")]
    ColumnCount { found: u64, expected: u64 },
    #[error("not JSON: {0}")]
    Json(serde_json::Error),
    #[error("there is no field `{0}`, `{0}_hex` or `{0}_base64`")]
    NoField(String),
    #[error("`{0}` is given more than once")]
    FieldTwice(String),
    #[error("the key is null")]
    NullKey,
    #[error("`{field}` is not {encoding}: {cause}")]
    Encoding { field: String, encoding: &'static str, cause: String },
    #[error("the {what} has {len} bytes: the highest is {max}")]
    TooLong { what: &'static str, len: usize, max: usize },
}

/// Something that gives entries one by one.
trait EntryReader {
    /// Reads the next entry, or returns `false` at the end of the input.
    fn read(&mut self, entry: &mut InputEntry) -> Result<bool, InputError>;
}

/// An input in one of the formats.
pub(crate) struct Input<'a> {
    reader: Box<dyn EntryReader + 'a>,
}

impl<'a> Input<'a> {
    /// Starts to read. Only the first row of a CSV file is read at once.
    pub(crate) fn new(
        source: impl BufRead + 'a,
        format: Format,
        options: &InputArgs,
    ) -> Result<Self, InputError> {
        let reader: Box<dyn EntryReader + 'a> = match format {
            Format::Tsv => Box::new(tsv::TsvReader::new(source, options)),
            Format::Csv => Box::new(csv::CsvReader::new(source, options)?),
            Format::Jsonl => Box::new(json_lines::JsonLinesReader::new(source, options)),
        };
        Ok(Self { reader })
    }

    /// Reads the next entry, or returns `false` at the end of the input.
    pub(crate) fn read(&mut self, entry: &mut InputEntry) -> Result<bool, InputError> {
        let more = self.reader.read(entry)?;
        if more {
            let line = entry.line;
            entry.check_lengths().map_err(|cause| InputError::Line { line, cause })?;
        }
        Ok(more)
    }
}

#[cfg(test)]
mod tests;
