//! The inputs of `sst load`: entries as text, or as rows of Parquet.
//!
//! Each format has a module that reads an input as a sequence of entries, each with its line or
//! row. An entry that cannot be read is a [`LineError`]. It does not end the input: the next entry
//! may be read.
//!
//! A reader holds at most one entry and the buffers of its decoder in memory. A key, value or line
//! beyond its limit is an error of its line, and the rest of the line is skipped. Where the format
//! allows it, a long value goes to a blob while it is read ([`InputValue`]): in TSV, in CSV unless
//! options name several columns of the value, and in JSON if it is a string and a field of the
//! record itself. A page of Parquet holds its values whole.

mod bounded;
mod columns;
mod compression;
mod csv;
mod csv_cells;
mod csv_rows;
mod format;
mod guard;
mod input_args;
mod input_value;
mod json_object;
mod json_reader;
mod json_record;
mod json_string_decoder;
mod json_text;
mod json_values;
mod key_parts;
mod lines;
#[cfg(feature = "parquet")]
mod parquet_file;
mod record_text;
mod tsv;

#[cfg(feature = "parquet")]
use std::fs::File;
use std::io::{self, BufRead};

use crate::end_mark::EndMark;
use crate::escape::BadEscape;
use crate::notation::NotationError;
#[cfg(feature = "parquet")]
use crate::progress::ProgressLine;

use bounded::{AppendError, Bounded};
pub(crate) use columns::ColumnFault;
pub(crate) use compression::{CompressionFault, NotText, decompressed, is_named_compressed};
pub(crate) use format::{FormatError, check_options, detect, is_named_like_input, name_of};
pub(crate) use input_args::{Format, InputArgs};
pub(crate) use input_value::{InputValue, ValueForm};

use sst_format::limits::MAX_KEY_LEN;
use sst_writer::BulkError;

/// One entry of the input. Its buffers are reused for the next entry.
#[derive(Debug, Default)]
pub(crate) struct InputEntry {
    /// The entry's line or row, counted from 1; if it covers several lines, the first.
    pub(crate) line: u64,
    /// The key.
    pub(crate) key: Bounded,
    /// The value; empty for a tombstone.
    pub(crate) value: InputValue,
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

    /// Turns an entry whose value equals the marker of tombstones into a tombstone.
    fn delete_if(&mut self, marker: Option<&[u8]>) {
        if marker.is_some_and(|marker| self.value.is(marker)) {
            self.value.clear();
            self.is_deletion = true;
        }
    }
}

/// The reason why an input or one of its entries cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    /// The input as a whole cannot be read any further.
    #[error(transparent)]
    Io(io::Error),
    /// The compressed data is damaged, or other data follows it.
    #[error(transparent)]
    Compression(#[from] CompressionFault),
    /// The input is not text.
    #[error(transparent)]
    NotText(#[from] NotText),
    /// The options don't fit the columns of the input.
    #[error(transparent)]
    Column(ColumnFault),
    /// An option names a column, but with `--no-header` columns have only numbers.
    #[error("there is no column named `{0}`: with --no-header columns have numbers only")]
    NoHeader(String),
    /// The row with the names of the columns cannot be read.
    #[error("line {line}, the names of the columns")]
    Header {
        /// The line's number, counted from 1.
        line: u64,
        /// The error in the row.
        #[source]
        cause: LineError,
    },
    /// The rest of the input is one cell: the input is cut short, or has a surplus quote.
    #[error(
        "line {line}: a quote is opened in this row and not closed before the end of the input"
    )]
    UnclosedQuote {
        /// The first line of the row, counted from 1.
        line: u64,
    },
    /// JSON ends within a value or an array.
    #[error("line {line}: the JSON ends within a value or an array: the input is cut short")]
    JsonEnd {
        /// The last line, counted from 1.
        line: u64,
    },
    /// Something other than a value stands between JSON values.
    #[error("line {line}: `{found}` stands where a JSON value, a comma or the end should be")]
    JsonPlace {
        /// The line, counted from 1.
        line: u64,
        /// The character.
        found: String,
    },
    /// A Parquet input must be a file, not a stream.
    #[error("a Parquet input must be a file, because it is read from its end")]
    NeedsFile,
    /// The input ends without the mark that was expected.
    #[error("the end mark is missing after {entries} entries: the input is incomplete")]
    NoEndMark {
        /// Number of entries since the last mark.
        entries: u64,
    },
    /// The mark does not match the entries before it.
    #[error(
        "the end mark is {stated}, and the entries before it have {actual}: some are missing or changed"
    )]
    WrongEndMark { stated: EndMark, actual: EndMark },
    /// One line cannot be read. The next one may be read.
    #[error("line {line}")]
    Line {
        /// The line's number, counted from 1.
        line: u64,
        /// The error in the line.
        #[source]
        cause: LineError,
    },
    /// One row cannot be read. The next one may be read.
    #[cfg(feature = "parquet")]
    #[error("row {row}")]
    Row {
        /// The row's number, counted from 1.
        row: u64,
        /// The error in the row.
        #[source]
        cause: LineError,
    },
    /// A long value could not be written to a blob.
    #[error(transparent)]
    Blob(BulkError),
    /// A Parquet file cannot be read, or cannot be read any further.
    #[cfg(feature = "parquet")]
    #[error(transparent)]
    Parquet(#[from] parquet_file::ParquetFault),
}

impl From<io::Error> for InputError {
    /// An error of the decompressor comes wrapped in an [`io::Error`] and is unwrapped here.
    fn from(error: io::Error) -> Self {
        error.downcast::<CompressionFault>().map_or_else(Self::Io, Self::Compression)
    }
}

impl InputError {
    /// The error of an entry.
    fn at_line(line: u64, cause: LineError) -> Self {
        match cause {
            LineError::Blob(error) => Self::Blob(error),
            cause => Self::Line { line, cause },
        }
    }

    /// Whether the error concerns one entry only, so that the next one may be read.
    pub(crate) const fn may_be_skipped(&self) -> bool {
        match self {
            Self::Line { .. } => true,
            #[cfg(feature = "parquet")]
            Self::Row { .. } => true,
            #[cfg(feature = "parquet")]
            Self::Parquet(_) => false,
            Self::Io(_)
            | Self::Compression(_)
            | Self::NotText(_)
            | Self::Column(_)
            | Self::NoHeader(_)
            | Self::Header { .. }
            | Self::UnclosedQuote { .. }
            | Self::JsonEnd { .. }
            | Self::JsonPlace { .. }
            | Self::NeedsFile
            | Self::NoEndMark { .. }
            | Self::WrongEndMark { .. }
            | Self::Blob(_) => false,
        }
    }
}

/// The error in a line or a row.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    #[error("there is no tab between key and value")]
    NoTab,
    #[error("an end mark, which --expect-end-mark would check")]
    EndMark,
    #[error("a zero byte, which text does not have: the input may be in another encoding")]
    ZeroByte,
    #[error("{0}, or --no-escapes, which takes backslashes as they are")]
    Escape(BadEscape),
    #[error("something other than a delimiter or a line end follows a closing quote")]
    TextBehindQuote,
    #[error("there is no column {number} among {count}")]
    NoSuchColumn { number: u64, count: u64 },
    #[error("{found} columns where the first row has {expected}")]
    ColumnCount { found: u64, expected: u64 },
    #[error("not UTF-8 at byte {at}")]
    NotUtf8 { at: usize },
    #[error("not JSON")]
    Json(#[source] serde_json::Error),
    #[error("not JSON: an escape that stands for no character")]
    JsonEscape,
    #[error("not JSON: a control character in a string")]
    JsonControl,
    #[error("arrays or objects within each other, more than {max} of them")]
    TooDeep { max: usize },
    #[error("there is no field `{field}`, `{field}_hex` or `{field}_base64`: {fields}")]
    NoField {
        field: String,
        /// The fields that there are, as text.
        fields: String,
    },
    #[error("`{0}` is given more than once")]
    FieldTwice(String),
    #[error(
        "--without-key leaves out fields of the record itself, and the key is within one: without \
         that option the value is the whole record"
    )]
    KeyAtPath,
    #[error("the key is null")]
    NullKey,
    #[error("`{field}`")]
    Encoding {
        field: String,
        #[source]
        cause: NotationError,
    },
    #[error(
        "a part of the key contains {separator}, which separates them: use --key-separator with another"
    )]
    SeparatorInKey { separator: String },
    #[error("the {what} has more than {max} bytes")]
    TooLong { what: &'static str, max: usize },
    #[error(
        "the line has more than {max} bytes without its value: only a value that is a string, and a \
         field of the record itself, is read piece by piece"
    )]
    LineTooLong { max: usize },
    #[error("the value has more than {max} bytes: --max-value allows longer ones")]
    ValueTooLong { max: usize },
    #[error("the system has no memory for {len} bytes")]
    NoMemory { len: usize },
    /// Not an error of the line: the load has failed.
    #[error(transparent)]
    Blob(BulkError),
    #[cfg(feature = "parquet")]
    #[error("damaged: the levels of a nested column contradict each other")]
    Levels,
    #[cfg(feature = "parquet")]
    #[error("a decimal has more than 38 digits")]
    DecimalTooLarge,
}

// Not by `#[from]`, which would make it a cause, and print it twice.
impl From<BadEscape> for LineError {
    fn from(error: BadEscape) -> Self {
        Self::Escape(error)
    }
}

impl LineError {
    /// The error for a key to which bytes could not be appended.
    const fn of_key(refused: AppendError) -> Self {
        match refused {
            AppendError::TooLong => Self::TooLong { what: "key", max: MAX_KEY_LEN },
            AppendError::NoMemory(len) => Self::NoMemory { len },
        }
    }

    /// The error for a value to which bytes could not be appended.
    const fn of_value(refused: AppendError, max: usize) -> Self {
        match refused {
            AppendError::TooLong => Self::ValueTooLong { max },
            AppendError::NoMemory(len) => Self::NoMemory { len },
        }
    }
}

/// The result of one call of [`EntryReader::read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Entry,
    /// An end mark.
    Mark(EndMark),
    /// The end of the input.
    End,
}

/// Reads an input as a sequence of entries.
trait EntryReader {
    /// Reads the next entry into `entry`.
    fn read(&mut self, entry: &mut InputEntry) -> Result<Step, InputError>;
}

/// An input in one of the formats.
pub(crate) struct Input<'a> {
    reader: Box<dyn EntryReader + 'a>,
    /// The mark of the entries since the last mark; `None` without `--expect-end-mark`.
    expected: Option<EndMark>,
    /// Whether the last line was a mark.
    is_marked: bool,
}

impl<'a> Input<'a> {
    /// Starts to read text. Only a CSV input is read already here: its first row.
    pub(crate) fn new(
        source: impl BufRead + 'a,
        format: Format,
        options: &InputArgs,
    ) -> Result<Self, InputError> {
        let reader: Box<dyn EntryReader + 'a> = match format {
            Format::Tsv => Box::new(tsv::TsvReader::new(source, options)),
            Format::Csv => Box::new(csv::CsvReader::new(source, options)?),
            Format::Json | Format::Jsonl => {
                Box::new(json_reader::JsonReader::new(source, format, options))
            }
            Format::Parquet => return Err(InputError::NeedsFile),
        };
        let expected = options.expect_end_mark.then(EndMark::default);
        Ok(Self { reader, expected, is_marked: false })
    }

    /// Starts to read a Parquet file. `progress` creates the progress bar, given the number of
    /// rows.
    #[cfg(feature = "parquet")]
    pub(crate) fn parquet(
        file: File,
        options: &InputArgs,
        progress: impl FnOnce(u64) -> ProgressLine,
    ) -> Result<Self, InputError> {
        let reader = parquet_file::ParquetReader::new(file, options, progress)?;
        Ok(Self { reader: Box::new(reader), expected: None, is_marked: false })
    }

    /// Reads the next entry, or returns `false` at the end of the input.
    pub(crate) fn read(&mut self, entry: &mut InputEntry) -> Result<bool, InputError> {
        loop {
            let step = self.reader.read(entry)?;
            match (step, &mut self.expected) {
                (Step::Entry, expected) => {
                    if let Some(expected) = expected {
                        let value = (!entry.is_deletion).then(|| entry.value.hash());
                        expected.add_hashed(&entry.key, value);
                        self.is_marked = false;
                    }
                    return Ok(true);
                }
                (Step::Mark(stated), Some(actual)) if stated == *actual => {
                    *actual = EndMark::default();
                    self.is_marked = true;
                }
                (Step::Mark(stated), Some(actual)) => {
                    return Err(InputError::WrongEndMark { stated, actual: *actual });
                }
                (Step::Mark(_), None) => {
                    return Err(InputError::Line { line: entry.line, cause: LineError::EndMark });
                }
                (Step::End, Some(actual)) if !self.is_marked => {
                    return Err(InputError::NoEndMark { entries: actual.entries() });
                }
                (Step::End, _) => return Ok(false),
            }
        }
    }
}

#[cfg(test)]
mod tests;
