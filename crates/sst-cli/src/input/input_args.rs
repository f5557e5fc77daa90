//! Arguments for reading inputs.

use clap::{Args, ValueEnum};

use crate::notation::Notation;
use crate::size;

/// The format of the input and the limits for reading it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub(crate) struct InputArgs {
    /// Format of the input [default: by file name extension]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,

    /// Skip and count lines and rows that cannot be read, instead of stopping at the first
    #[arg(long)]
    pub(crate) skip_bad: bool,

    /// TSV: a backslash is an ordinary byte, and `\N` does not delete
    #[arg(long)]
    pub(crate) no_escapes: bool,

    /// CSV, and Parquet values of several columns: the byte between columns, or its name: tab,
    /// comma, semicolon, pipe, space [default: ,]
    #[arg(long, short = 'd', value_name = "CHAR", value_parser = delimiter)]
    pub(crate) delimiter: Option<u8>,

    /// CSV: the first row is an entry, not the names of the columns
    #[arg(long)]
    pub(crate) no_header: bool,

    /// CSV and Parquet: column of the key, by name or by number from 1 [default: 1]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) key_column: Option<Column>,

    /// CSV and Parquet: columns that make up the key, with --key-separator between them
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',', conflicts_with = "key_column")]
    pub(crate) key_columns: Vec<Column>,

    /// CSV and Parquet: column of the value [default: all columns except the key's]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) value_column: Option<Column>,

    /// CSV and Parquet: columns that make up the value, in this order
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',', conflicts_with = "value_column")]
    pub(crate) value_columns: Vec<Column>,

    /// CSV and Parquet: how columns make up a value: a line of CSV, or a JSON object with their
    /// names [default: a cell as it is, several as a line of CSV]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) value_format: Option<ValueFormat>,

    /// The text between the parts of a key of several columns or fields, with escapes such as \t
    /// [default: /]
    #[arg(long, value_name = "TEXT", value_parser = separator)]
    pub(crate) key_separator: Option<Separator>,

    /// CSV and Parquet: a row with this value deletes its key
    #[arg(long, value_name = "TEXT")]
    pub(crate) delete_marker: Option<String>,

    /// JSON: the key's field, by name or by path, such as user.id or tags.0 [default: key]
    #[arg(long, value_name = "FIELD")]
    pub(crate) key_field: Option<String>,

    /// JSON: fields that make up the key, with --key-separator between them
    #[arg(long, value_name = "FIELD,…", value_delimiter = ',', conflicts_with = "key_field")]
    pub(crate) key_fields: Vec<String>,

    /// JSON: the value's field, by name or by path; `.` is the whole object [default: value]
    #[arg(long, value_name = "FIELD")]
    pub(crate) value_field: Option<String>,

    /// JSON: fields that make up the value, as a JSON object with their names
    #[arg(long, value_name = "FIELD,…", value_delimiter = ',', conflicts_with = "value_field")]
    pub(crate) value_fields: Vec<String>,

    /// JSON, with --value-field `.`: leave the key's fields out of the value
    #[arg(long)]
    pub(crate) without_key: bool,

    /// JSON and Parquet: a null value deletes its key, or is a value: the text `null` from JSON,
    /// the empty text from Parquet [default: delete]
    #[arg(long, value_enum, value_name = "MEANING")]
    pub(crate) nulls: Option<Nulls>,

    /// Longest value; a longer value is an error of its line
    ///
    /// In TSV, in CSV unless options name several columns of the value, and in JSON if the value is
    /// a string and a field of the record itself, a value over --blob-threshold (64 MiB) goes to a
    /// file of its own while it is read, and takes no memory beyond that. Other values are held
    /// whole.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = size::value_len)]
    pub(crate) max_value: usize,

    /// Refuse an input that does not end in the mark of `sst scan --end-mark`, since it is
    /// incomplete
    #[arg(long, conflicts_with = "no_escapes")]
    pub(crate) expect_end_mark: bool,
}

impl InputArgs {
    /// The fields of the key in JSON.
    pub(crate) fn key_fields(&self) -> Vec<&str> {
        match self.key_fields.as_slice() {
            [] => vec![self.key_field.as_deref().unwrap_or("key")],
            fields => fields.iter().map(String::as_str).collect(),
        }
    }

    /// The field of the value in JSON, unless `value_fields` has several.
    pub(crate) fn value_field(&self) -> &str {
        self.value_field.as_deref().unwrap_or("value")
    }

    /// The columns of the key; empty for the first one.
    pub(crate) fn key_columns(&self) -> &[Column] {
        self.key_column.as_ref().map_or(&self.key_columns, std::slice::from_ref)
    }

    /// The columns of the value; empty for all except the key's.
    pub(crate) fn value_columns(&self) -> &[Column] {
        self.value_column.as_ref().map_or(&self.value_columns, std::slice::from_ref)
    }

    /// The bytes between the parts of a key.
    pub(crate) fn key_separator(&self) -> &[u8] {
        self.key_separator.as_ref().map_or(b"/", |separator| &separator.0)
    }

    /// Whether a null value deletes its key.
    pub(crate) fn nulls_delete(&self) -> bool {
        self.nulls != Some(Nulls::Value)
    }

    /// Whether an option is given that only CSV (or Parquet) has.
    pub(crate) const fn says_csv(&self) -> bool {
        self.delimiter.is_some()
            || self.no_header
            || self.key_column.is_some()
            || self.value_column.is_some()
            || !self.key_columns.is_empty()
            || !self.value_columns.is_empty()
            || self.value_format.is_some()
            || self.delete_marker.is_some()
    }

    /// Whether an option is given that only JSON has.
    pub(crate) const fn says_json(&self) -> bool {
        self.key_field.is_some()
            || self.value_field.is_some()
            || !self.key_fields.is_empty()
            || !self.value_fields.is_empty()
            || self.without_key
    }
}

/// How the columns of a row make up a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ValueFormat {
    /// A line of CSV; one column is its cell as it is
    Csv,
    /// A JSON object with the names of the columns
    Json,
}

/// The meaning of a null value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Nulls {
    /// It deletes its key
    Delete,
    /// It is a value
    Value,
}

/// The bytes between the parts of a key; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Separator(Vec<u8>);

fn separator(text: &str) -> Result<Separator, String> {
    match Notation::Escaped.decode(text.as_bytes()) {
        Ok(bytes) if bytes.is_empty() => Err("parts of a key must be kept apart".to_owned()),
        Ok(bytes) => Ok(Separator(bytes.into())),
        // The text of a bad escape has no cause.
        Err(error) => Err(error.to_string()),
    }
}

/// The formats that `load` reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Key, tab, value
    Tsv,
    /// Values separated by commas or by another byte
    Csv,
    /// One JSON object per line
    #[value(alias = "ndjson")]
    Jsonl,
    /// JSON objects one after the other or in arrays, on as many lines as they take
    Json,
    /// Rows of an Apache Parquet file
    Parquet,
}

impl Format {
    /// The format's name in `--format`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tsv => "tsv",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::Json => "json",
            Self::Parquet => "parquet",
        }
    }

    /// The position of an entry for messages: its line or row, counted from 1.
    pub(crate) fn position_text(self, number: u64) -> String {
        match self {
            Self::Parquet => format!("row {number}"),
            Self::Tsv | Self::Csv | Self::Jsonl | Self::Json => format!("line {number}"),
        }
    }
}

/// The argument of a column option: the name of a column, or its number if no column has that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column(String);

impl Column {
    /// The argument as given.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// The position, counted from 0, if the argument is a number from 1.
    pub(crate) fn index(&self) -> Option<usize> {
        // A number with a sign or leading zeros is a name.
        let is_number = !self.0.starts_with(['0', '+']);
        self.0.parse::<usize>().ok().filter(|_| is_number)?.checked_sub(1)
    }
}

impl std::str::FromStr for Column {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Err("a column has a number or a name"),
            text => Ok(Self(text.to_owned())),
        }
    }
}

fn delimiter(text: &str) -> Result<u8, &'static str> {
    match text.as_bytes() {
        br"\t" | b"tab" => Ok(b'\t'),
        b"comma" => Ok(b','),
        b"semicolon" => Ok(b';'),
        b"pipe" => Ok(b'|'),
        b"space" => Ok(b' '),
        [b'"' | b'\n' | b'\r'] => Err("quotes and line ends cannot separate columns"),
        [byte] => Ok(*byte),
        _ => Err("expected one byte, or tab, comma, semicolon, pipe or space"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn load(args: &[&str]) -> Result<InputArgs, clap::Error> {
        let args = ["sst", "load", "in.csv", "out"].iter().chain(args);
        match Cli::try_parse_from(args)?.command {
            Command::Load(load) => Ok(load.input_options),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn columns_have_a_number_or_a_name() {
        let options = load(&["--key-column", "2", "--value-column", "name"]).unwrap();
        assert_eq!(options.key_column.as_ref().and_then(Column::index), Some(1));
        assert_eq!(options.value_column.as_ref().map(Column::text), Some("name"));
        assert!(options.says_csv());
        assert!(load(&["--key-column", ""]).is_err());
        for name in ["0", "+1", "01", "-1", "name", "99999999999999999999999"] {
            assert_eq!(Column(name.to_owned()).index(), None, "{name}");
        }
    }

    #[test]
    fn delimiters_are_single_bytes() {
        for (text, byte) in
            [(";", b';'), (r"\t", b'\t'), ("\t", b'\t'), ("tab", b'\t'), ("pipe", b'|')]
        {
            assert_eq!(load(&["--delimiter", text]).unwrap().delimiter, Some(byte));
        }
        for text in ["", ";;", "€", "\"", "\n"] {
            assert!(load(&["--delimiter", text]).is_err(), "{text:?}");
        }
    }
}
