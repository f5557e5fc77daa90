//! Arguments of `sst load`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use sst_writer::bulk::BulkMode;

use crate::commands::certify_arg::CertifyArg;
use crate::commands::inputs::DuplicatesArg;
use crate::commands::retention_args::RetentionArgs;
use crate::commands::table_args::TableArgs;
use crate::error::CliError;

const AFTER_HELP: &str = r"Input formats:
  tsv    key, tab, value: the rest of the line. \t \n \r \\ and \x00 stand for bytes,
         a value of \N deletes the key. This is what `sst scan` prints.
  csv    one row per entry. The value is --value-column, or else all columns but the key's
         (joined as CSV if they are several). --delete-marker tells which values delete.
  jsonl  one object per line: a string stands for its characters, null deletes the key, any
         other value for its JSON text. Fields key_hex, key_base64, value_hex and value_base64
         carry bytes. This is what `sst scan --json` prints.
  parquet  one row per entry, columns as in CSV, by number or by name (those within a group
         as `group.column`). Byte arrays stand for their bytes, everything else for its text;
         null deletes the key. Needs a build with the feature `parquet`.

Without --format the file's extension decides (.tsv .csv .jsonl .ndjson .parquet .pq), then
whether an option is given that only CSV has.

Examples:
  sst load data/UnicodeData.txt unicode.db --delimiter ';' --no-header --value-column 2
  sst scan unicode.db | sst load - copy.db --format tsv";

/// Arguments of `sst load`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, override_usage = "sst load [OPTIONS] <INPUT>... <DIR>")]
pub(crate) struct LoadArgs {
    /// Files with the entries, in any order, as they are or compressed with gzip or zstd; `-` is
    /// standard input. Of entries with the same key that of the later file is the later one. Last
    /// comes the directory to load into; it is made if it does not exist
    // One argument, not two: options may stand between the paths.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) input_options: InputArgs,

    #[command(flatten)]
    pub(crate) output_options: LoadOutputArgs,
}

impl LoadArgs {
    /// The inputs, and the directory to load into.
    pub(crate) fn inputs_and_directory(&self) -> Result<(&[PathBuf], &Path), CliError> {
        match self.paths.split_last() {
            Some((directory, inputs @ [_, ..])) => Ok((inputs, directory)),
            _ => Err(CliError::Usage(
                "an input and the directory to load it into are needed".to_owned(),
            )),
        }
    }
}

/// How the input is read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub(crate) struct InputArgs {
    /// Format of the input [default: by extension]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,

    /// Count lines and rows that cannot be read instead of stopping at the first
    #[arg(long)]
    pub(crate) skip_bad: bool,

    /// TSV: backslashes stand for themselves, nothing deletes
    #[arg(long)]
    pub(crate) no_escapes: bool,

    /// CSV, and Parquet where the value is several columns: the byte between columns [default: ,]
    #[arg(long, value_name = "CHAR", value_parser = delimiter)]
    pub(crate) delimiter: Option<u8>,

    /// CSV: the first row is an entry, not the names of the columns
    #[arg(long)]
    pub(crate) no_header: bool,

    /// CSV and Parquet: column of the key, by name or else by number from 1 [default: 1]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) key_column: Option<Column>,

    /// CSV and Parquet: column of the value [default: all but the key's]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) value_column: Option<Column>,

    /// CSV and Parquet: rows with this value delete their key
    #[arg(long, value_name = "TEXT")]
    pub(crate) delete_marker: Option<String>,

    /// JSON lines: name of the key's field [default: key]
    #[arg(long, value_name = "NAME")]
    pub(crate) key_field: Option<String>,

    /// JSON lines: name of the value's field [default: value]
    #[arg(long, value_name = "NAME")]
    pub(crate) value_field: Option<String>,

    /// Longest value, in bytes or with a unit as 1GiB; a longer one is an error of its line
    #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = byte_count)]
    pub(crate) max_value: usize,

    /// The input must end in the mark of `sst scan --end-mark`: one that breaks off is not loaded
    #[arg(long, conflicts_with = "no_escapes")]
    pub(crate) expect_end_mark: bool,
}

impl InputArgs {
    /// Name of the key's field in JSON lines.
    pub(crate) fn key_field(&self) -> &str {
        self.key_field.as_deref().unwrap_or("key")
    }

    /// Name of the value's field in JSON lines.
    pub(crate) fn value_field(&self) -> &str {
        self.value_field.as_deref().unwrap_or("value")
    }

    /// Whether an option is given that only CSV has.
    pub(crate) const fn says_csv(&self) -> bool {
        self.delimiter.is_some()
            || self.no_header
            || self.key_column.is_some()
            || self.value_column.is_some()
            || self.delete_marker.is_some()
    }
}

/// How the output is written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct LoadOutputArgs {
    /// Whether entries that are in the directory already go or stay
    #[arg(long, value_enum, default_value_t = Mode::Replace)]
    pub(crate) mode: Mode,

    /// Short for `--mode append`
    #[arg(long, conflicts_with = "mode")]
    pub(crate) increment: bool,

    /// Memory for entries and for sorting them, in MiB; the rest goes through temporary files
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub(crate) memory: usize,

    /// Threads that sort and write [default: as many as the machine runs at once]
    #[arg(long, value_name = "COUNT")]
    pub(crate) threads: Option<usize>,

    /// Where temporary files go [default: the directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) temp_dir: Option<PathBuf>,

    /// Values longer than this many bytes get files of their own [default and highest: 64 MiB]
    #[arg(long, value_name = "BYTES")]
    pub(crate) blob_threshold: Option<usize>,

    /// Which entries are kept of a key that comes more than once in the input
    #[arg(long, value_enum, default_value_t = DuplicatesArg::Newest)]
    pub(crate) duplicates: DuplicatesArg,

    /// Key space to load into
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) family: u32,

    #[command(flatten)]
    pub(crate) retention: RetentionArgs,

    #[command(flatten)]
    pub(crate) certify: CertifyArg,

    #[command(flatten)]
    pub(crate) tables: TableArgs,
}

impl LoadOutputArgs {
    /// The mode of the loader.
    pub(crate) const fn bulk_mode(&self) -> BulkMode {
        match (self.mode, self.increment) {
            (Mode::Append, _) | (Mode::Replace, true) => BulkMode::Increment,
            (Mode::Replace, false) => BulkMode::Replace,
        }
    }
}

/// Formats that `load` reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Key, tab, value
    Tsv,
    /// Comma-separated values, or values separated by something else
    Csv,
    /// One JSON object per line
    Jsonl,
    /// Rows of an Apache Parquet file
    Parquet,
}

impl Format {
    /// The name that `--format` takes.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tsv => "tsv",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::Parquet => "parquet",
        }
    }

    /// Where an entry is: its line or its row, counted from 1.
    pub(crate) fn place(self, number: u64) -> String {
        match self {
            Self::Parquet => format!("row {number}"),
            Self::Tsv | Self::Csv | Self::Jsonl => format!("line {number}"),
        }
    }
}

/// Whether entries that are in the directory already go or stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// They go: afterwards the key space holds what was loaded and nothing else
    Replace,
    /// They stay, hidden where a loaded entry has the same key
    #[value(alias = "increment")]
    Append,
}

/// A column of a CSV or Parquet file: a name, or a number if no column has that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column(String);

impl Column {
    /// The name or number as it was given.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// The position, counted from 0, if it is a number from 1.
    pub(crate) fn index(&self) -> Option<usize> {
        // Neither signs nor leading zeros: those are names.
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
fn byte_count(text: &str) -> Result<usize, &'static str> {
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

    fn parse(args: &[&str]) -> Result<Command, clap::Error> {
        let args = ["sst"].iter().chain(args);
        Cli::try_parse_from(args).map(|cli| cli.command)
    }

    fn load(args: &[&str]) -> LoadArgs {
        match parse(&[&["load", "in.csv", "out"], args].concat()) {
            Ok(Command::Load(load)) => load,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn defaults_are_as_documented() {
        let args = load(&[]);
        assert!(!args.input_options.says_csv());
        assert_eq!(args.input_options.key_field(), "key");
        assert_eq!(args.input_options.max_value, 64 << 20);
        assert_eq!(args.output_options.mode, Mode::Replace);
        assert_eq!(args.output_options.duplicates, DuplicatesArg::Newest);
        assert_eq!(args.output_options.family, 0);
    }

    #[test]
    fn columns_have_a_number_or_a_name() {
        let options = load(&["--key-column", "2", "--value-column", "name"]).input_options;
        assert_eq!(options.key_column.as_ref().and_then(Column::index), Some(1));
        assert_eq!(options.value_column.as_ref().map(Column::text), Some("name"));
        assert!(options.says_csv());
        assert!(parse(&["load", "a", "b", "--key-column", ""]).is_err());
        for name in ["0", "+1", "01", "-1", "name", "99999999999999999999999"] {
            assert_eq!(Column(name.to_owned()).index(), None, "{name}");
        }
    }

    #[test]
    fn lengths_have_units() {
        let max_value = |text: &str| load(&["--max-value", text]).input_options.max_value;
        assert_eq!(max_value("1000"), 1000);
        assert_eq!(max_value("2KiB"), 2048);
        assert_eq!(max_value("3 GiB"), 3 << 30);
        for text in ["", "MiB", "-1", "4GiB", "1MB", "1.5MiB"] {
            assert!(parse(&["load", "a", "b", "--max-value", text]).is_err(), "{text}");
        }
    }

    #[test]
    fn delimiters_are_single_bytes() {
        for (text, byte) in [(";", b';'), (r"\t", b'\t'), ("\t", b'\t'), ("|", b'|')] {
            assert_eq!(load(&["--delimiter", text]).input_options.delimiter, Some(byte));
        }
        for text in ["", ";;", "€", "\"", "\n"] {
            assert!(parse(&["load", "a", "b", "--delimiter", text]).is_err(), "{text:?}");
        }
    }
}
