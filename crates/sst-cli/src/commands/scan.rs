//! `sst scan`: prints all entries, in the order of their hashes.

use std::path::PathBuf;

use clap::Args;
use sst_reader::{EntryValue, SstSet, StaticSortedFile};

use super::Context;
use crate::end_mark::EndMark;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{EntryLine, Output, PrintedValue};
use crate::store::Store;

/// Arguments of `sst scan`.
#[derive(Debug, Args)]
pub(crate) struct ScanArgs {
    /// Directory or .sst file
    pub(crate) path: PathBuf,

    /// Stop after this many entries
    #[arg(long, value_name = "COUNT")]
    pub(crate) limit: Option<u64>,

    /// Print all entries that `get --all` finds for each key, those of older loads too
    #[arg(long)]
    pub(crate) all: bool,

    /// Print only keys, no values
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

    /// End the output with a mark (number of entries and their digest) for `load --expect-end-mark`
    #[arg(long, conflicts_with_all = ["keys_only", "hex"])]
    pub(crate) end_mark: bool,

    /// Key space to print [default: the only one, or 0]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) family: Option<u32>,
}

fn hash(text: &str) -> Result<u64, &'static str> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    match u64::from_str_radix(digits, 16) {
        Ok(hash) if !digits.starts_with('+') => Ok(hash),
        _ => Err("expected up to 16 hex digits"),
    }
}

pub(crate) fn run(args: &ScanArgs, context: Context) -> Result<Exit, CliError> {
    let store = Store::open(&args.path, args.family, |text| context.note(text))?;
    let mark = args.end_mark.then(EndMark::default);
    let mut printer =
        Printer { output: Output::stdout(), args, json: context.json, printed: 0, mark };
    match &store {
        Store::Directory(set) => scan_directory(set, &mut printer)?,
        Store::Table(table) => scan_table(table, &mut printer)?,
    }
    printer.end()?;
    Ok(Exit::Success)
}

struct Printer<'a> {
    output: Output,
    args: &'a ScanArgs,
    json: bool,
    printed: u64,
    /// The end mark of the entries printed so far; `None` without `--end-mark`.
    mark: Option<EndMark>,
}

impl Printer<'_> {
    fn end(mut self) -> Result<(), CliError> {
        match self.mark {
            Some(mark) if self.json => self.output.json(&mark.json())?,
            Some(mark) => self.output.line(mark)?,
            None => {}
        }
        self.output.finish()
    }

    fn is_done(&self) -> bool {
        self.args.limit.is_some_and(|limit| self.printed >= limit)
    }

    fn print(&mut self, hash: u64, key: &[u8], value: PrintedValue<'_>) -> Result<(), CliError> {
        self.printed += 1;
        if let Some(mark) = &mut self.mark {
            // For a blob only its number is printed. `load` refuses that, so it is added without a
            // value.
            mark.add(key, if let PrintedValue::Value(value) = value { Some(value) } else { None });
        }
        let line = EntryLine { hash: Some(hash), key, value, hex: self.args.hex };
        if self.json { self.output.json(&line) } else { self.output.line(line) }
    }
}

/// Prints the entries of a directory that `get` finds, or with `--all` those that `get --all`
/// finds.
fn scan_directory(set: &SstSet, printer: &mut Printer<'_>) -> Result<(), CliError> {
    let args = printer.args;
    let (low, high) = (args.from_hash.unwrap_or(0), args.to_hash.unwrap_or(u64::MAX));
    let mut entries = if args.all { set.range_all(low..=high) } else { set.range(low..=high) };
    while !printer.is_done() {
        let Some(entry) = entries.next().transpose()? else { break };
        let blob;
        let value = match &entry.value {
            _ if args.keys_only => PrintedValue::Omitted,
            EntryValue::Value(value) => PrintedValue::Value(value),
            EntryValue::Blob(number) => {
                blob = set.read_blob(*number)?;
                PrintedValue::Value(&blob)
            }
            EntryValue::Deleted => PrintedValue::Deleted,
        };
        printer.print(entry.hash, &entry.key, value)?;
    }
    Ok(())
}

/// Prints all entries of one table, tombstones included. For a value in a blob file only the blob's
/// number is printed.
fn scan_table(table: &StaticSortedFile, printer: &mut Printer<'_>) -> Result<(), CliError> {
    let args = printer.args;
    let (low, high) = (args.from_hash.unwrap_or(0), args.to_hash.unwrap_or(u64::MAX));
    let mut cursor = table.range(low..=high)?;
    while !printer.is_done()
        && let Some(entry) = cursor.next()?
    {
        let (hash, key) = (entry.hash, entry.key);
        if args.keys_only {
            printer.print(hash, key, PrintedValue::Omitted)?;
            continue;
        }
        let value = match entry.into_value()? {
            EntryValue::Value(value) => PrintedValue::Value(value),
            EntryValue::Blob(number) => PrintedValue::Blob(number),
            EntryValue::Deleted => PrintedValue::Deleted,
        };
        printer.print(hash, key, value)?;
    }
    Ok(())
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
