//! The command line: commands, arguments, help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::diff::DiffArgs;
use crate::commands::log::LogArgs;
use crate::commands::merge::MergeArgs;
use crate::commands::retention_args::RetentionArgs;
use crate::commands::rollback::RollbackArgs;
use crate::commands::sample::SampleArgs;
use crate::commands::split::SplitArgs;
use crate::commands::verify::VerifyArgs;

const EXIT_CODES: &str = "\
Exit codes:
  0  all is well: loaded, found, intact
  1  a key that was asked for is not there; or `diff` has found differences
  2  a file is damaged, or no SST file at all
  3  wrong usage, unreadable input, or the operating system said no";

const LOAD_HELP: &str = r"Input formats:
  tsv    key, tab, value: the rest of the line. \t \n \r \\ and \x00 stand for bytes,
         a value of \N deletes the key. This is what `sst scan` prints.
  csv    one row per entry. The value is --value-column, or else all columns but the key's
         (joined as CSV if they are several). --delete-marker tells which values delete.
  jsonl  one object per line: a string stands for its characters, null deletes the key, any
         other value for its JSON text. Fields key_hex, key_base64, value_hex and value_base64
         carry bytes. This is what `sst scan --json` prints.

Without --format the file's extension decides (.tsv .csv .jsonl .ndjson), then whether an
option is given that only CSV has.

Examples:
  sst load data/UnicodeData.txt unicode.db --delimiter ';' --no-header --value-column 2
  sst scan unicode.db | sst load - copy.db --format tsv";

/// Looks into static table (SST) files and directories, and writes them.
#[derive(Debug, Parser)]
#[command(name = "sst", version, about, long_about = None, after_help = EXIT_CODES)]
#[command(propagate_version = true, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Print no progress and no summary
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Load entries from text into a directory
    #[command(after_help = LOAD_HELP)]
    Load(LoadArgs),
    /// Print the values of keys
    Get(GetArgs),
    /// Print all entries, in the order of their hashes
    Scan(ScanArgs),
    /// Show what files consist of
    Inspect(InspectArgs),
    /// Check every byte, and list all damage
    Verify(VerifyArgs),
    /// Merge directories and tables into one, or the tables of a directory in place
    Merge(MergeArgs),
    /// Show what has changed from one directory or table to another
    Diff(DiffArgs),
    /// Split directories and tables into shards
    Split(SplitArgs),
    /// Write a uniform sample of directories and tables
    Sample(SampleArgs),
    /// List the generations of a directory
    Log(LogArgs),
    /// Make a directory show an earlier generation again
    Rollback(RollbackArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// Files with the entries, in any order, as they are or compressed with gzip or zstd; `-` is standard input. Of entries
    /// with the same key that of the later file is the later one
    #[arg(required = true, num_args = 1.., value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,

    /// Directory to load into; it is made if it does not exist
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,

    #[command(flatten)]
    pub(crate) input_options: InputArgs,

    #[command(flatten)]
    pub(crate) output_options: LoadOutputArgs,
}

/// How the input is read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub(crate) struct InputArgs {
    /// Format of the input [default: by extension]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,

    /// Count lines that cannot be read instead of stopping at the first
    #[arg(long)]
    pub(crate) skip_bad: bool,

    /// TSV: backslashes stand for themselves, nothing deletes
    #[arg(long)]
    pub(crate) no_escapes: bool,

    /// CSV: the byte between columns [default: ,]
    #[arg(long, value_name = "CHAR", value_parser = delimiter)]
    pub(crate) delimiter: Option<u8>,

    /// CSV: the first row is an entry, not the names of the columns
    #[arg(long)]
    pub(crate) no_header: bool,

    /// CSV: column of the key, by number from 1 or by name [default: 1]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) key_column: Option<Column>,

    /// CSV: column of the value [default: all but the key's]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) value_column: Option<Column>,

    /// CSV: rows with this value delete their key
    #[arg(long, value_name = "TEXT")]
    pub(crate) delete_marker: Option<String>,

    /// JSON lines: name of the key's field
    #[arg(long, value_name = "NAME", default_value = "key")]
    pub(crate) key_field: String,

    /// JSON lines: name of the value's field
    #[arg(long, value_name = "NAME", default_value = "value")]
    pub(crate) value_field: String,
}

impl InputArgs {
    /// Whether an option is given that only CSV has.
    pub(crate) const fn says_csv(&self) -> bool {
        self.delimiter.is_some()
            || self.no_header
            || self.key_column.is_some()
            || self.value_column.is_some()
            || self.delete_marker.is_some()
    }
}

/// What is written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct LoadOutputArgs {
    /// What becomes of entries that are already in the directory
    #[arg(long, value_enum, default_value_t = Mode::Replace)]
    pub(crate) mode: Mode,

    /// Short for `--mode append`
    #[arg(long, conflicts_with = "mode")]
    pub(crate) increment: bool,

    /// Memory for entries and for sorting them, in MiB; what does not fit goes through temporary files
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

    /// What to do with a key that comes more than once
    #[arg(long, value_enum, default_value_t = Duplicates::Last)]
    pub(crate) duplicates: Duplicates,

    /// Key space to load into
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) family: u32,

    #[command(flatten)]
    pub(crate) retention: RetentionArgs,

    /// Write no filters: smaller files, slower answers for keys that are not there
    #[arg(long)]
    pub(crate) no_filter: bool,

    /// Start another table after this many entries
    #[arg(long, value_name = "COUNT", default_value_t = 1 << 22)]
    pub(crate) max_table_entries: u64,

    /// Start another table after this many bytes of keys and values
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 20)]
    pub(crate) max_table_bytes: u64,
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
}

/// What becomes of entries that are already in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// They go: afterwards the key space holds what was loaded and nothing else
    Replace,
    /// They stay, hidden where a loaded entry has the same key
    #[value(alias = "increment")]
    Append,
}

/// What to do with a key that comes more than once in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Duplicates {
    /// The last entry counts
    Last,
    /// All entries are kept; `get --all` prints them in their order
    #[value(alias = "all")]
    Keep,
    /// Stop with an error
    Error,
}

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// A directory or an .sst file
    pub(crate) path: PathBuf,

    /// Keys to look up
    #[arg(required = true, value_name = "KEY")]
    pub(crate) keys: Vec<String>,

    /// Keys are given in hex, and everything is printed in hex
    #[arg(long)]
    pub(crate) hex: bool,

    /// Print every value of a key, not only one
    #[arg(long)]
    pub(crate) all: bool,

    /// Print nothing but the bytes of the values, as they are
    #[arg(long, conflicts_with = "json")]
    pub(crate) raw: bool,

    /// Key space to look in [default: the only one, or 0]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) family: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct ScanArgs {
    /// A directory or an .sst file
    pub(crate) path: PathBuf,

    /// Stop after this many entries
    #[arg(long, value_name = "COUNT")]
    pub(crate) limit: Option<u64>,

    /// Print all entries of each key, those of older loads too: what `get --all` finds
    #[arg(long)]
    pub(crate) all: bool,

    /// Print keys only
    #[arg(long)]
    pub(crate) keys_only: bool,

    /// Print keys and values in hex
    #[arg(long)]
    pub(crate) hex: bool,

    /// Lowest hash to print, in hex
    #[arg(long, value_name = "HASH", value_parser = hash)]
    pub(crate) from_hash: Option<u64>,

    /// Highest hash to print, in hex
    #[arg(long, value_name = "HASH", value_parser = hash)]
    pub(crate) to_hash: Option<u64>,

    /// Key space to print [default: the only one, or 0]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) family: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A directory, or one of its files: .sst, .meta, .blob, CURRENT
    pub(crate) path: PathBuf,

    /// Dump a block of an .sst file byte by byte: its number, or `offsets` for the offset table
    #[arg(long, value_name = "BLOCK", conflicts_with = "json")]
    pub(crate) explain: Option<Part>,

    /// Shorten nothing in a dump
    #[arg(long)]
    pub(crate) full: bool,

    /// List every block
    #[arg(long)]
    pub(crate) blocks: bool,

    /// Look at this key space only
    #[arg(long, value_name = "NUMBER")]
    pub(crate) family: Option<u32>,
}

/// A column of a CSV file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    /// By position, counted from 0.
    Index(usize),
    /// By the name in the first row.
    Name(String),
}

impl std::str::FromStr for Column {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<usize>() {
            Ok(number) => match number.checked_sub(1) {
                Some(index) => Ok(Self::Index(index)),
                None => Err("columns are counted from 1"),
            },
            Err(_) if text.is_empty() => Err("a column has a number or a name"),
            Err(_) => Ok(Self::Name(text.to_owned())),
        }
    }
}

/// A part of an `.sst` file that can be dumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A block, by its number.
    Block(u16),
    /// The offset table.
    Offsets,
}

impl std::str::FromStr for Part {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "offsets" => Ok(Self::Offsets),
            _ => match text.parse() {
                Ok(block) => Ok(Self::Block(block)),
                Err(_) => Err("expected the number of a block, or `offsets`"),
            },
        }
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

fn hash(text: &str) -> Result<u64, &'static str> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    match u64::from_str_radix(digits, 16) {
        Ok(hash) if !digits.starts_with('+') => Ok(hash),
        _ => Err("expected up to 16 hex digits"),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

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
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults_are_as_documented() {
        let args = load(&[]);
        assert!(!args.input_options.says_csv());
        assert_eq!(args.input_options.key_field, "key");
        assert_eq!(args.output_options.mode, Mode::Replace);
        assert_eq!(args.output_options.duplicates, Duplicates::Last);
        assert_eq!(args.output_options.family, 0);
    }

    #[test]
    fn columns_have_a_number_or_a_name() {
        let options = load(&["--key-column", "2", "--value-column", "name"]).input_options;
        assert_eq!(options.key_column, Some(Column::Index(1)));
        assert_eq!(options.value_column, Some(Column::Name("name".to_owned())));
        assert!(options.says_csv());
        assert!(parse(&["load", "a", "b", "--key-column", "0"]).is_err());
        assert!(parse(&["load", "a", "b", "--key-column", ""]).is_err());
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

    #[test]
    fn hashes_are_hex() {
        assert_eq!(hash("ff"), Ok(255));
        assert_eq!(hash("0xffffffffffffffff"), Ok(u64::MAX));
        for text in ["", "0x", "+1", "g", "10000000000000000"] {
            assert!(hash(text).is_err(), "{text}");
        }
    }

    #[test]
    fn parts_are_blocks_or_the_offset_table() {
        assert_eq!("65535".parse(), Ok(Part::Block(u16::MAX)));
        assert_eq!("offsets".parse(), Ok(Part::Offsets));
        for text in ["", "-1", "65536", "index"] {
            assert!(text.parse::<Part>().is_err(), "{text}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        assert!(parse(&["get", "a", "k"]).is_ok());
        assert!(parse(&["get", "a", "k", "--raw", "--json"]).is_err());
        assert!(parse(&["get", "a"]).is_err());
        assert!(parse(&[]).is_err());
    }
}
