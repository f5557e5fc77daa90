//! `sst scan`: all entries, in the order of their hashes.

use sst_reader::{EntryValue, SstSet, StaticSortedFile};

use super::Context;
use crate::cli::ScanArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{EntryLine, Output, Shown};
use crate::store::Store;

pub(super) fn run(args: &ScanArgs, context: Context) -> Result<Exit, CliError> {
    let store = Store::open(&args.path, args.family, |text| context.note(text))?;
    let mut printer = Printer { output: Output::stdout(), args, json: context.json, printed: 0 };
    match &store {
        Store::Directory(set) => scan_directory(set, &mut printer)?,
        Store::Table(table) => scan_table(table, &mut printer)?,
    }
    printer.output.finish()?;
    Ok(Exit::Success)
}

struct Printer<'a> {
    output: Output,
    args: &'a ScanArgs,
    json: bool,
    printed: u64,
}

impl Printer<'_> {
    fn is_done(&self) -> bool {
        self.args.limit.is_some_and(|limit| self.printed >= limit)
    }

    fn print(&mut self, hash: u64, key: &[u8], value: Shown<'_>) -> Result<(), CliError> {
        self.printed += 1;
        let line = EntryLine { hash: Some(hash), key, value, hex: self.args.hex };
        if self.json { self.output.json(&line) } else { self.output.line(line) }
    }
}

/// The live entries of a directory: what `get` finds, or with `--all` what `get --all` finds.
fn scan_directory(set: &SstSet, printer: &mut Printer<'_>) -> Result<(), CliError> {
    let args = printer.args;
    let (low, high) = (args.from_hash.unwrap_or(0), args.to_hash.unwrap_or(u64::MAX));
    let mut entries = if args.all { set.range_all(low..=high) } else { set.range(low..=high) };
    while !printer.is_done() {
        let Some(entry) = entries.next().transpose()? else { break };
        let blob;
        let value = match &entry.value {
            _ if args.keys_only => Shown::Omitted,
            EntryValue::Value(value) => Shown::Value(value),
            EntryValue::Blob(number) => {
                blob = set.read_blob(*number)?;
                Shown::Value(&blob)
            }
            EntryValue::Deleted => Shown::Deleted,
        };
        printer.print(entry.hash, &entry.key, value)?;
    }
    Ok(())
}

/// All entries of one table, deletions included; values in blob files are named, not read.
fn scan_table(table: &StaticSortedFile, printer: &mut Printer<'_>) -> Result<(), CliError> {
    let args = printer.args;
    let (low, high) = (args.from_hash.unwrap_or(0), args.to_hash.unwrap_or(u64::MAX));
    let mut cursor = table.range(low..=high)?;
    while !printer.is_done() && cursor.advance()? {
        if args.keys_only {
            printer.print(cursor.hash(), cursor.key()?, Shown::Omitted)?;
            continue;
        }
        let entry = cursor.entry()?;
        let value = match entry.value {
            EntryValue::Value(value) => Shown::Value(value),
            EntryValue::Blob(number) => Shown::Blob(number),
            EntryValue::Deleted => Shown::Deleted,
        };
        printer.print(entry.hash, entry.key, value)?;
    }
    Ok(())
}
