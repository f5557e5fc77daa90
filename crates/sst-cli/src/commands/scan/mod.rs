//! `sst scan`: prints all entries, in the order of their hashes.

mod csv_sink;
mod filter;
#[cfg(feature = "parquet")]
mod parquet_sink;
mod sink;

use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use regex::bytes::Regex;
use serde::Serialize;
use sst_format::BlobNumber;
use sst_reader::{ReadError, ReadValue, Slice, SstSet, StaticSortedFile};

use super::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::notation::NotationArgs;
use crate::output::{Output, PrintedValue, entries};
use crate::size;
use crate::store::Store;
use crate::url;
use filter::Filter;
use sink::{Row, Sink};

const AFTER_HELP: &str = "\
Tables are sorted by the hashes of keys. So --prefix, --grep, --count and --offset read every entry
on the way; --from-hash and --to-hash read only the entries between them.

Examples:
  sst scan unicode.db --limit 5
  sst scan unicode.db --prefix 1F60 --keys-only
  sst scan unicode.db --grep 'GREEK.*OMEGA' --count
  sst scan unicode.db --format csv > unicode.csv
  sst scan unicode.db | sst load - copy.db --format tsv
  sst scan unicode.db --keys-only --print0 | xargs -0 -n 100 sst get copy.db";

/// Arguments of `sst scan`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ScanArgs {
    /// Directory or .sst file, or its URL
    #[arg(value_parser = url::parser())]
    pub(crate) path: PathBuf,

    /// Stop after printing this many entries
    #[arg(long, short = 'n', value_name = "COUNT", value_parser = size::count)]
    pub(crate) limit: Option<u64>,

    /// Skip this many entries first; they are read all the same
    #[arg(long, value_name = "COUNT", value_parser = size::count)]
    pub(crate) offset: Option<u64>,

    /// Print only entries whose key starts with this; every entry is read
    #[arg(long, value_name = "TEXT")]
    pub(crate) prefix: Option<String>,

    /// Print only entries whose key or value has a match of this regular expression; every entry is
    /// read
    ///
    /// The syntax is that of ripgrep and the Rust crate `regex`. Keys and values are searched as
    /// bytes, not in their escaped form.
    #[arg(long, short = 'e', value_name = "REGEX")]
    pub(crate) grep: Option<Regex>,

    /// Print only the number of entries
    #[arg(long, short = 'c', conflicts_with_all = ["print0", "end_mark"])]
    pub(crate) count: bool,

    /// Print all entries that `get --all` finds for each key, those of older loads too
    #[arg(long)]
    pub(crate) all: bool,

    /// Print only keys, no values
    #[arg(long)]
    pub(crate) keys_only: bool,

    #[command(flatten)]
    pub(crate) notation: NotationArgs,

    /// End each entry with a zero byte, and print keys and values as they are: for `xargs -0` and
    /// `sst get --null`
    #[arg(long, short = '0')]
    pub(crate) print0: bool,

    /// Format of the output [default: tsv, or jsonl with --json]
    #[arg(long, value_enum, value_name = "FORMAT", conflicts_with = "json")]
    pub(crate) format: Option<OutputFormat>,

    /// Lowest hash to print, in hex
    #[arg(long, value_name = "HASH", value_parser = hash)]
    pub(crate) from_hash: Option<u64>,

    /// Highest hash to print, in hex
    #[arg(long, value_name = "HASH", value_parser = hash)]
    pub(crate) to_hash: Option<u64>,

    /// End the output with a mark (number of entries and their digest) for `load --expect-end-mark`
    #[arg(long, conflicts_with_all = ["keys_only", "hex", "base64", "print0"])]
    pub(crate) end_mark: bool,

    /// Key space to print [default: the only one, or 0]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) family: Option<u32>,
}

/// The formats that `scan` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// Key, tab, value: what `load` reads
    Tsv,
    /// One JSON object per line: what `load` reads
    Jsonl,
    /// Rows of key and value, after a row with these names
    Csv,
    /// Apache Parquet with the columns `key` and `value`, which hold bytes
    Parquet,
}

impl OutputFormat {
    /// The format's name in `--format`.
    const fn name(self) -> &'static str {
        match self {
            Self::Tsv => "tsv",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

fn hash(text: &str) -> Result<u64, &'static str> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    match u64::from_str_radix(digits, 16) {
        Ok(hash) if !digits.starts_with('+') => Ok(hash),
        _ => Err("expected up to 16 hex digits"),
    }
}

/// The number of entries, as JSON.
#[derive(Serialize)]
struct Count {
    entries: u64,
}

pub(crate) fn run(args: &ScanArgs, context: Context) -> Result<Exit, CliError> {
    let format = match args.format {
        Some(format) => format,
        None if context.json => OutputFormat::Jsonl,
        None => OutputFormat::Tsv,
    };
    let filter = Filter::new(args)?;
    let sink = if args.count { None } else { Some(sink::open(args, format)?) };
    let store = Store::open(&args.path, args.family, |text| context.note(text))?;
    let mut scan = Scan { args, filter, sink, read: 0, matched: 0, printed: 0 };
    match &store {
        Store::Directory(set) => scan.directory(set)?,
        Store::Table(table) => scan.table(table)?,
    }
    let (read, printed, filter) = (scan.read, scan.printed, scan.filter.options());
    match scan.sink {
        Some(sink) => sink.finish()?,
        None => {
            let mut output = Output::stdout();
            match context.json {
                true => output.report(&Count { entries: printed })?,
                false => output.line(printed)?,
            }
            output.finish()?;
        }
    }
    if !filter.is_empty() && !context.json {
        let (read, printed) = (entries(read), entries(printed));
        context.note(format_args!("{read} read for {printed}: {filter} has no index"));
    }
    Ok(Exit::Success)
}

/// A scan and how far it has come.
struct Scan<'a> {
    args: &'a ScanArgs,
    filter: Filter,
    /// `None` if entries are only counted.
    sink: Option<Box<dyn Sink>>,
    /// Number of entries read.
    read: u64,
    /// Number of entries read that the filter keeps.
    matched: u64,
    /// Number of entries printed or counted.
    printed: u64,
}

impl Scan<'_> {
    fn is_done(&self) -> bool {
        self.args.limit.is_some_and(|limit| self.printed >= limit)
    }

    /// Whether the values of entries are needed.
    const fn needs_values(&self) -> bool {
        self.args.grep.is_some() || !(self.args.keys_only || self.args.count)
    }

    /// Prints an entry, unless the filter or `--offset` leaves it out.
    fn entry(&mut self, row: Row<'_>) -> Result<(), CliError> {
        if !self.filter.keeps_value(row.key, row.value) {
            return Ok(());
        }
        self.matched += 1;
        if self.args.offset.is_some_and(|offset| self.matched <= offset) {
            return Ok(());
        }
        self.printed += 1;
        let value = if self.args.keys_only { PrintedValue::Omitted } else { row.value };
        match &mut self.sink {
            Some(sink) => sink.row(Row { value, ..row }),
            None => Ok(()),
        }
    }

    /// The hashes to scan. An end that is not given is that of all hashes.
    fn hashes(&self) -> RangeInclusive<u64> {
        self.args.from_hash.unwrap_or(0)..=self.args.to_hash.unwrap_or(u64::MAX)
    }

    /// Reads the entries of a directory that `get` finds, or with `--all` those that `get --all`
    /// finds.
    fn directory(&mut self, set: &SstSet) -> Result<(), CliError> {
        let hashes = self.hashes();
        let entries = if self.args.all { set.range_all(hashes) } else { set.range(hashes) };
        let mut cursor = entries.into_cursor();
        while !self.is_done()
            && let Some(entry) = cursor.next()?
        {
            let (hash, key) = (entry.hash, entry.key);
            self.read(hash, key, || entry.into_value(), |number| Ok(Some(set.read_blob(number)?)))?;
        }
        Ok(())
    }

    /// Reads all entries of one table, tombstones included. For a value in a blob file only the
    /// blob's number is printed.
    fn table(&mut self, table: &StaticSortedFile) -> Result<(), CliError> {
        let mut cursor = table.range(self.hashes())?;
        while !self.is_done()
            && let Some(entry) = cursor.next()?
        {
            let (hash, key) = (entry.hash, entry.key);
            self.read(hash, key, || entry.into_value(), |_| Ok(None))?;
        }
        Ok(())
    }

    /// Reads an entry. `value` gives its value, and `blob` the content of a blob, or `None` where
    /// only its number is printed.
    fn read<'v>(
        &mut self,
        hash: u64,
        key: &[u8],
        value: impl FnOnce() -> Result<ReadValue<&'v [u8]>, ReadError>,
        blob: impl FnOnce(BlobNumber) -> Result<Option<Slice<'v>>, ReadError>,
    ) -> Result<(), CliError> {
        self.read += 1;
        if !self.filter.keeps_key(key) {
            return Ok(());
        }
        let content;
        let value = match self.needs_values() {
            false => PrintedValue::Omitted,
            true => match value()? {
                ReadValue::Value(value) => PrintedValue::Value(value),
                ReadValue::Blob(number) => {
                    content = blob(number)?;
                    content.as_deref().map_or(PrintedValue::Blob(number), PrintedValue::Value)
                }
                ReadValue::Deleted => PrintedValue::Deleted,
            },
        };
        self.entry(Row { hash, key, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_hex() {
        assert_eq!(hash("ff"), Ok(255));
        assert_eq!(hash("0xffffffffffffffff"), Ok(u64::MAX));
        for text in ["", "0x", "+1", "g", "10000000000000000"] {
            assert!(hash(text).is_err(), "{text}");
        }
    }
}
