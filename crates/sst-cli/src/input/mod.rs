//! Entries as text, or as rows of Parquet: what `sst load` reads.
//!
//! Each format has a module that turns an input into entries, one by one, and knows the line or row of each. One that
//! cannot be read is a [`LineError`] and does not end the input: the next one may be read.

mod compression;
mod csv;
mod format;
mod json_lines;
mod lines;
#[cfg(feature = "parquet")]
mod parquet_file;
mod tsv;

#[cfg(feature = "parquet")]
use std::fs::File;
use std::io::{self, BufRead};

use sst_format::limits::MAX_KEY_LEN;

use crate::commands::load::args::{Format, InputArgs};
use crate::escape::BadEscape;
#[cfg(feature = "parquet")]
use crate::progress::Progress;

pub(crate) use compression::decompressed;
pub(crate) use format::{UnreadableFormat, detect};

/// Longest value in bytes: a blob file states its size in 32 bits.
const MAX_VALUE_LEN: usize = u32::MAX as usize;

/// One entry of the input. Its buffers are used again for the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InputEntry {
    /// Its line or row, counted from 1; the first line of it if it takes several.
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
    /// A stream of bytes is not enough.
    #[error("Parquet is read from its end: it has to be a file")]
    NeedsFile,
    /// One line is wrong. The next one may be read.
    #[error("line {line}: {cause}")]
    Line {
        /// Its number, counted from 1.
        line: u64,
        /// What is wrong with it.
        cause: LineError,
    },
    /// One row is wrong. The next one may be read.
    #[error("row {row}: {cause}")]
    Row {
        /// Its number, counted from 1.
        row: u64,
        /// What is wrong with it.
        cause: LineError,
    },
    /// A Parquet file cannot be read, or cannot be read any further.
    #[cfg(feature = "parquet")]
    #[error(transparent)]
    Parquet(#[from] parquet_file::ParquetFault),
}

impl InputError {
    /// One entry cannot be read.
    const fn of_entry(format: Format, number: u64, cause: LineError) -> Self {
        match format {
            Format::Parquet => Self::Row { row: number, cause },
            Format::Tsv | Format::Csv | Format::Jsonl => Self::Line { line: number, cause },
        }
    }

    /// Whether it is about one entry, and the next one may be read.
    pub(crate) const fn may_be_skipped(&self) -> bool {
        matches!(self, Self::Line { .. } | Self::Row { .. })
    }
}

/// What is wrong with a line or a row.
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
    #[cfg(feature = "parquet")]
    #[error("a decimal has more than 38 digits")]
    DecimalTooLarge,
}

/// Something that gives entries one by one.
trait EntryReader {
    /// Reads the next entry, or returns `false` at the end of the input.
    fn read(&mut self, entry: &mut InputEntry) -> Result<bool, InputError>;
}

/// An input in one of the formats.
pub(crate) struct Input<'a> {
    format: Format,
    reader: Box<dyn EntryReader + 'a>,
}

impl<'a> Input<'a> {
    /// Starts to read text. Only the first row of a CSV file is read at once.
    pub(crate) fn new(
        source: impl BufRead + 'a,
        format: Format,
        options: &InputArgs,
    ) -> Result<Self, InputError> {
        let reader: Box<dyn EntryReader + 'a> = match format {
            Format::Tsv => Box::new(tsv::TsvReader::new(source, options)),
            Format::Csv => Box::new(csv::CsvReader::new(source, options)?),
            Format::Jsonl => Box::new(json_lines::JsonLinesReader::new(source, options)),
            Format::Parquet => return Err(InputError::NeedsFile),
        };
        Ok(Self { format, reader })
    }

    /// Starts to read a Parquet file. `progress` is told the number of rows and advanced by those that are read.
    #[cfg(feature = "parquet")]
    pub(crate) fn parquet(
        file: File,
        options: &InputArgs,
        progress: impl FnOnce(u64) -> Progress,
    ) -> Result<Self, InputError> {
        let reader = parquet_file::ParquetReader::new(file, options, progress)?;
        Ok(Self { format: Format::Parquet, reader: Box::new(reader) })
    }

    /// Reads the next entry, or returns `false` at the end of the input.
    pub(crate) fn read(&mut self, entry: &mut InputEntry) -> Result<bool, InputError> {
        let more = self.reader.read(entry)?;
        if more {
            let of_entry = |cause| InputError::of_entry(self.format, entry.line, cause);
            entry.check_lengths().map_err(of_entry)?;
        }
        Ok(more)
    }
}

#[cfg(test)]
mod tests;
