//! `sst get`: prints the values of keys.

use std::path::PathBuf;

use clap::Args;
use data_encoding::HEXLOWER_PERMISSIVE;
use serde::ser::{Serialize, SerializeMap, Serializer};
use sst_reader::{EntryValue, Lookup, SstSet, StaticSortedFile, hash_key};

use super::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Bytes, EntryLine, Output, PrintedValue, ValueText, serialize_bytes};
use crate::store::Store;

/// Arguments of `sst get`.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// Directory or .sst file
    pub(crate) path: PathBuf,

    /// Keys to look up
    #[arg(required = true, value_name = "KEY")]
    pub(crate) keys: Vec<String>,

    /// Keys are given in hex, and all output is in hex
    #[arg(long)]
    pub(crate) hex: bool,

    /// Print all values of a key, not only one of them
    #[arg(long)]
    pub(crate) all: bool,

    /// Print only the bytes of the values, unescaped and without line ends
    #[arg(long, conflicts_with = "json")]
    pub(crate) raw: bool,

    /// Key space to look in [default: the only one, or 0]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) family: Option<u32>,
}

pub(crate) fn run(args: &GetArgs, context: Context) -> Result<Exit, CliError> {
    let keys =
        args.keys.iter().map(|key| key_bytes(key, args.hex)).collect::<Result<Vec<_>, _>>()?;
    let store = Store::open(&args.path, args.family, |text| context.note(text))?;
    let mut output = Output::stdout();
    let mut exit = Exit::Success;
    for key in &keys {
        let mut printer = Printer { output: &mut output, key, args, is_json: context.json };
        let status = match &store {
            Store::Directory(set) => look_up_in_set(set, &mut printer)?,
            Store::Table(table) => look_up_in_table(table, &mut printer)?,
        };
        if status != Status::Found {
            exit = Exit::NotFound;
            if !context.json {
                // Flush first, so that answers and notes appear in the order of the keys on a
                // terminal.
                output.flush()?;
                let key = Bytes { bytes: key, hex: args.hex };
                context.note(format_args!("{}: {key}", status.name()));
            }
        }
    }
    output.finish()?;
    Ok(exit)
}

/// The bytes of a key as the user typed it: text, or hex digits.
fn key_bytes(key: &str, hex: bool) -> Result<Vec<u8>, CliError> {
    if !hex {
        return Ok(key.as_bytes().to_vec());
    }
    HEXLOWER_PERMISSIVE
        .decode(key.as_bytes())
        .map_err(|error| CliError::Usage(format!("the key `{key}` is not hex: {error}")))
}

/// The answer for a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Found,
    Deleted,
    NotFound,
}

impl Status {
    const fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Deleted => "deleted",
            Self::NotFound => "not found",
        }
    }
}

/// Looks a key up and prints its values one by one: there may be more than memory holds.
fn look_up_in_set(set: &SstSet, printer: &mut Printer<'_>) -> Result<Status, CliError> {
    let key = printer.key;
    if printer.args.all {
        let mut status = Status::NotFound;
        for value in set.get_all(key) {
            printer.value(PrintedValue::Value(&value?))?;
            status = Status::Found;
        }
        if status == Status::Found {
            return Ok(status);
        }
    }
    match set.lookup(hash_key(key), key)? {
        Lookup::NotFound => printer.without_value(Status::NotFound),
        Lookup::Deleted => printer.without_value(Status::Deleted),
        Lookup::Value(value) => printer.value(PrintedValue::Value(&value)),
        Lookup::Blob(number) => printer.value(PrintedValue::Value(&set.read_blob(number)?)),
    }
}

/// As [`look_up_in_set`]. Without its directory a table knows only the numbers of blobs.
fn look_up_in_table(
    table: &StaticSortedFile,
    printer: &mut Printer<'_>,
) -> Result<Status, CliError> {
    let (mut status, max) = (Status::NotFound, if printer.args.all { usize::MAX } else { 1 });
    for entry in table.get_all(printer.key)?.take(max) {
        match entry? {
            EntryValue::Value(value) => status = printer.value(PrintedValue::Value(&value))?,
            EntryValue::Blob(number) => status = printer.value(PrintedValue::Blob(number))?,
            EntryValue::Deleted if status == Status::NotFound => status = Status::Deleted,
            EntryValue::Deleted => {}
        }
    }
    if status == Status::Found { Ok(status) } else { printer.without_value(status) }
}

/// Prints the answers for one key.
struct Printer<'a> {
    output: &'a mut Output,
    key: &'a [u8],
    args: &'a GetArgs,
    is_json: bool,
}

impl Printer<'_> {
    /// Prints one value.
    fn value(&mut self, value: PrintedValue<'_>) -> Result<Status, CliError> {
        let Self { output, key, args, is_json } = self;
        let (key, hex, status) = (*key, args.hex, Status::Found);
        match value {
            PrintedValue::Blob(number) if args.raw => {
                let text =
                    format!("the value is in blob file {number}: look the key up in its directory");
                return Err(CliError::Usage(text));
            }
            PrintedValue::Value(value) if args.raw => output.bytes(value)?,
            _ if *is_json => output.json(&Line { key, status: status.name(), value, hex })?,
            _ if args.keys.len() == 1 => output.line(ValueText { value, hex })?,
            _ => output.line(EntryLine { hash: None, key, value, hex })?,
        }
        Ok(status)
    }

    /// Prints that there is none.
    fn without_value(&mut self, status: Status) -> Result<Status, CliError> {
        if self.is_json {
            let (key, hex) = (self.key, self.args.hex);
            self.output.json(&Line {
                key,
                status: status.name(),
                value: PrintedValue::Omitted,
                hex,
            })?;
        }
        Ok(status)
    }
}

/// One answer, as JSON.
struct Line<'a> {
    key: &'a [u8],
    status: &'static str,
    value: PrintedValue<'a>,
    hex: bool,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        serialize_bytes(&mut map, ("key", "key_hex"), self.key, self.hex)?;
        map.serialize_entry("status", self.status)?;
        match self.value {
            PrintedValue::Value(value) => {
                serialize_bytes(&mut map, ("value", "value_hex"), value, self.hex)?;
            }
            PrintedValue::Blob(number) => map.serialize_entry("blob", &number.0)?,
            PrintedValue::Deleted | PrintedValue::Omitted => {}
        }
        map.end()
    }
}
