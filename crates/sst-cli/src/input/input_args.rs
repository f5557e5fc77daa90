//! Arguments for reading inputs.

use clap::{Args, ValueEnum};

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

    /// CSV, and Parquet values of several columns: the byte between columns [default: ,]
    #[arg(long, value_name = "CHAR", value_parser = delimiter)]
    pub(crate) delimiter: Option<u8>,

    /// CSV: the first row is an entry, not the names of the columns
    #[arg(long)]
    pub(crate) no_header: bool,

    /// CSV and Parquet: column of the key, by name or by number from 1 [default: 1]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) key_column: Option<Column>,

    /// CSV and Parquet: column of the value [default: all columns except the key's]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) value_column: Option<Column>,

    /// CSV and Parquet: a row with this value deletes its key
    #[arg(long, value_name = "TEXT")]
    pub(crate) delete_marker: Option<String>,

    /// JSON lines: name of the key's field [default: key]
    #[arg(long, value_name = "NAME")]
    pub(crate) key_field: Option<String>,

    /// JSON lines: name of the value's field [default: value]
    #[arg(long, value_name = "NAME")]
    pub(crate) value_field: Option<String>,

    /// Longest value, in bytes or with a unit, such as 1GiB; a longer value is an error of its line
    #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = byte_count)]
    pub(crate) max_value: usize,

    /// Refuse an input that does not end in the mark of `sst scan --end-mark`, since it is
    /// incomplete
    #[arg(long, conflicts_with = "no_escapes")]
    pub(crate) expect_end_mark: bool,
}

impl InputArgs {
    /// Name of the field with the key in JSON lines.
    pub(crate) fn key_field(&self) -> &str {
        self.key_field.as_deref().unwrap_or("key")
    }

    /// Name of the field with the value in JSON lines.
    pub(crate) fn value_field(&self) -> &str {
        self.value_field.as_deref().unwrap_or("value")
    }

    /// Whether an option is given that only CSV (or Parquet) has.
    pub(crate) const fn says_csv(&self) -> bool {
        self.delimiter.is_some()
            || self.no_header
            || self.key_column.is_some()
            || self.value_column.is_some()
            || self.delete_marker.is_some()
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
    Jsonl,
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
            Self::Parquet => "parquet",
        }
    }

    /// The position of an entry for messages: its line or row, counted from 1.
    pub(crate) fn position_text(self, number: u64) -> String {
        match self {
            Self::Parquet => format!("row {number}"),
            Self::Tsv | Self::Csv | Self::Jsonl => format!("line {number}"),
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

/// A number of bytes, with or without a unit: `100000`, `64MiB`.
pub(crate) fn byte_count(text: &str) -> Result<usize, &'static str> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("", 0)];
    let parsed = units.iter().find_map(|(unit, shift)| {
        let number: usize = text.strip_suffix(unit)?.trim_end().parse().ok()?;
        number.checked_mul(1 << shift)
    });
    match parsed {
        Some(count) if u32::try_from(count).is_ok() => Ok(count),
        Some(_) => Err("a value has less than 4 GiB"),
        None => Err("expected a number of bytes, as 100000 or 64MiB"),
    }
}

fn delimiter(text: &str) -> Result<u8, &'static str> {
    match text.as_bytes() {
        br"\t" => Ok(b'\t'),
        [b'"' | b'\n' | b'\r'] => Err("quotes and line ends cannot separate columns"),
        [byte] => Ok(*byte),
        _ => Err("expected one byte"),
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
    fn lengths_have_units() {
        let max_value = |text: &str| load(&["--max-value", text]).unwrap().max_value;
        assert_eq!(max_value("1000"), 1000);
        assert_eq!(max_value("2KiB"), 2048);
        assert_eq!(max_value("3 GiB"), 3 << 30);
        for text in ["", "MiB", "-1", "4GiB", "1MB", "1.5MiB"] {
            assert!(load(&["--max-value", text]).is_err(), "{text}");
        }
    }

    #[test]
    fn delimiters_are_single_bytes() {
        for (text, byte) in [(";", b';'), (r"\t", b'\t'), ("\t", b'\t'), ("|", b'|')] {
            assert_eq!(load(&["--delimiter", text]).unwrap().delimiter, Some(byte));
        }
        for text in ["", ";;", "€", "\"", "\n"] {
            assert!(load(&["--delimiter", text]).is_err(), "{text:?}");
        }
    }
}
