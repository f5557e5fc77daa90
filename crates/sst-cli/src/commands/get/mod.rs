//! `sst get`: prints the values of keys.

mod key_source;

use std::path::{Path, PathBuf};

use clap::Args;
use serde::ser::{Serialize, SerializeMap, Serializer};
use sst_reader::{Lookup, ReadValue, SstSet, StaticSortedFile, hash_key};

use super::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::notation::{Bytes, KEY, Notation, NotationArgs, VALUE, serialize_bytes};
use crate::output::{End, EntryLine, Output, PrintedValue, ValueText};
use crate::store::Store;
use crate::url;
use key_source::{Arguments, KeySource, Keys, Lines};

/// Keys of the first batch.
const FIRST_BATCH: usize = 64;
/// Highest number of keys in a batch.
const MAX_BATCH: usize = 1 << 17;
/// Bytes of values that a batch should have: its values are in memory together.
const BATCH_VALUE_BYTES: usize = 16 << 20;
/// Highest number of keys without a value that are noted one by one.
const MAX_NOTED: u64 = 10;

const AFTER_HELP: &str = r"Each line of output is a key, a tab and a value, however many keys there are: lines of TSV that
`sst load` reads. --values-only prints values alone, --raw their bytes alone.

Examples:
  sst get unicode.db 0041 03BB
  sst get unicode.db 1F600 --raw
  sst get unicode.db --keys-from keys.txt > found.tsv
  sst scan unicode.db --keys-only | sst get copy.db --keys-from - --escaped
  sst scan unicode.db --keys-only --print0 | sst get copy.db --keys-from - --null";

/// Arguments of `sst get`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct GetArgs {
    /// Directory or .sst file, or its URL
    #[arg(value_parser = url::parser())]
    pub(crate) path: PathBuf,

    /// Keys to look up, as they are: --hex, --base64 and --escaped are for keys in another notation
    #[arg(required_unless_present = "keys_from", value_name = "KEY")]
    pub(crate) keys: Vec<String>,

    /// Look up the keys in this file too, one in each line; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) keys_from: Option<PathBuf>,

    /// The keys of --keys-from end in zero bytes, not in line feeds
    #[arg(long, short = '0', visible_alias = "read0", requires = "keys_from")]
    pub(crate) null: bool,

    #[command(flatten)]
    pub(crate) notation: NotationArgs,

    /// Print all values of a key, not only one of them
    #[arg(long)]
    pub(crate) all: bool,

    /// Print values without their keys
    #[arg(long, conflicts_with = "json")]
    pub(crate) values_only: bool,

    /// Print only the bytes of the values, unescaped and without line ends
    #[arg(long, conflicts_with_all = ["json", "values_only"])]
    pub(crate) raw: bool,

    /// Key space to look in [default: the only one, or 0]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) family: Option<u32>,
}

pub(crate) fn run(args: &GetArgs, context: Context) -> Result<Exit, CliError> {
    let notation = args.notation.of_input();
    let arguments = Arguments::new(&args.keys, notation);
    let mut sources: Vec<Box<dyn KeySource + '_>> = vec![Box::new(arguments)];
    if let Some(path) = &args.keys_from {
        let end = if args.null { End::Zero } else { End::Line };
        sources.push(Box::new(Lines::open(path, notation, end)?));
    }
    if !url::is_url(&args.path)
        && !args.path.exists()
        && let Some(path) = args.keys.iter().find(|key| Path::new(key).exists())
    {
        let missing = args.path.display();
        return Err(CliError::Usage(format!(
            "there is no {missing}: the directory comes first, as in `sst get {path} {missing}`"
        )));
    }
    let store = Store::open(&args.path, args.family, |text| context.note(text))?;
    let mut printer = Printer { output: Output::stdout(), args, context, others: 0 };
    let (mut keys, mut batch) = (Keys::default(), FIRST_BATCH);
    for source in &mut sources {
        loop {
            source.next_batch(batch, &mut keys)?;
            let keys: Vec<_> = keys.iter().collect();
            if keys.is_empty() {
                break;
            }
            let bytes = match (&store, args.all) {
                (Store::Directory(set), false) => look_up_in_set(set, &keys, &mut printer)?,
                (Store::Table(table), false) => look_up_in_table(table, &keys, &mut printer)?,
                (Store::Directory(set), true) => look_up_all_in_set(set, &keys, &mut printer)?,
                (Store::Table(table), true) => look_up_all_in_table(table, &keys, &mut printer)?,
            };
            batch = next_batch_len(batch, bytes);
        }
    }
    printer.finish()
}

/// The number of keys of the next batch after a batch of `keys` keys whose values had this many
/// bytes. A batch grows at most twofold, so that a few long values behind many short ones do not
/// come all at once.
fn next_batch_len(keys: usize, value_bytes: usize) -> usize {
    let fitting = match value_bytes {
        0 => MAX_BATCH,
        bytes => keys.saturating_mul(BATCH_VALUE_BYTES) / bytes,
    };
    fitting.min(keys * 2).clamp(1, MAX_BATCH)
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

/// Looks keys up together. Returns the number of bytes of their values.
fn look_up_in_set(
    set: &SstSet,
    keys: &[&[u8]],
    printer: &mut Printer<'_>,
) -> Result<usize, CliError> {
    let mut bytes = 0;
    // If a lookup fails, the keys before it still get their answers.
    let values: Box<dyn Iterator<Item = _>> = match set.multi_get(keys) {
        Ok(values) => Box::new(values.into_iter().map(Ok)),
        Err(_) => Box::new(keys.iter().map(|key| set.get(key))),
    };
    for (key, value) in keys.iter().zip(values) {
        match value? {
            Some(value) => {
                bytes += value.len();
                printer.value(key, PrintedValue::Value(&value))?;
            }
            // Only a second lookup tells a deleted key from one that never was.
            None if printer.tells_status() => match set.lookup(hash_key(key), key)? {
                Lookup::Deleted => printer.without_value(key, Status::Deleted)?,
                Lookup::NotFound | Lookup::Blob(_) | Lookup::Value(_) => {
                    printer.without_value(key, Status::NotFound)?;
                }
            },
            None => printer.without_value(key, Status::NotFound)?,
        }
    }
    Ok(bytes)
}

/// As [`look_up_in_set`]. Without its directory a table knows only the numbers of blobs.
fn look_up_in_table(
    table: &StaticSortedFile,
    keys: &[&[u8]],
    printer: &mut Printer<'_>,
) -> Result<usize, CliError> {
    let mut bytes = 0;
    for (key, answer) in keys.iter().zip(table.multi_get(keys)) {
        match answer? {
            Lookup::Value(value) => {
                bytes += value.len();
                printer.value(key, PrintedValue::Value(&value))?;
            }
            Lookup::Blob(number) => printer.value(key, PrintedValue::Blob(number))?,
            Lookup::Deleted => printer.without_value(key, Status::Deleted)?,
            Lookup::NotFound => printer.without_value(key, Status::NotFound)?,
        }
    }
    Ok(bytes)
}

/// Looks keys up one after the other and prints all of their values one by one: a key may have more
/// than memory holds.
fn look_up_all_in_set(
    set: &SstSet,
    keys: &[&[u8]],
    printer: &mut Printer<'_>,
) -> Result<usize, CliError> {
    for key in keys {
        let mut is_found = false;
        for value in set.get_all(key) {
            printer.value(key, PrintedValue::Value(&value?))?;
            is_found = true;
        }
        if !is_found {
            match set.lookup(hash_key(key), key)? {
                Lookup::Deleted => printer.without_value(key, Status::Deleted)?,
                Lookup::NotFound | Lookup::Blob(_) | Lookup::Value(_) => {
                    printer.without_value(key, Status::NotFound)?;
                }
            }
        }
    }
    Ok(0)
}

/// As [`look_up_all_in_set`].
fn look_up_all_in_table(
    table: &StaticSortedFile,
    keys: &[&[u8]],
    printer: &mut Printer<'_>,
) -> Result<usize, CliError> {
    for key in keys {
        let mut status = Status::NotFound;
        for entry in table.get_all(key)? {
            let value = entry?;
            match &value {
                ReadValue::Value(value) => printer.value(key, PrintedValue::Value(value))?,
                ReadValue::Blob(number) => printer.value(key, PrintedValue::Blob(*number))?,
                ReadValue::Deleted if status == Status::NotFound => status = Status::Deleted,
                ReadValue::Deleted => {}
            }
            if !matches!(value, ReadValue::Deleted) {
                status = Status::Found;
            }
        }
        if status != Status::Found {
            printer.without_value(key, status)?;
        }
    }
    Ok(0)
}

/// Prints the answers.
struct Printer<'a> {
    output: Output,
    args: &'a GetArgs,
    context: Context,
    /// Number of keys without a value.
    others: u64,
}

impl Printer<'_> {
    /// The notation of the output.
    fn notation(&self) -> Notation {
        self.args.notation.of_output()
    }

    /// Whether the output tells deleted keys from those that never were.
    const fn tells_status(&self) -> bool {
        self.context.json || self.others < MAX_NOTED
    }

    /// Prints one value.
    fn value(&mut self, key: &[u8], value: PrintedValue<'_>) -> Result<(), CliError> {
        let notation = self.notation();
        match value {
            PrintedValue::Blob(number) if self.args.raw => {
                let text =
                    format!("the value is in blob file {number}: look the key up in its directory");
                Err(CliError::Usage(text))
            }
            PrintedValue::Value(value) if self.args.raw => self.output.bytes(value),
            _ if self.context.json => {
                self.output.json(&Line { key, status: Status::Found, value, notation })
            }
            _ if self.args.values_only => {
                self.output.value(ValueText { value, notation }, End::Line)
            }
            _ => self.output.entry(&EntryLine { hash: None, key, value, notation }, End::Line),
        }
    }

    /// Prints that there is none.
    fn without_value(&mut self, key: &[u8], status: Status) -> Result<(), CliError> {
        let notation = self.notation();
        self.others += 1;
        if self.context.json {
            let value = PrintedValue::Omitted;
            return self.output.json(&Line { key, status, value, notation });
        }
        if self.others <= MAX_NOTED {
            // Flush first, so that answers and notes appear in the order of the keys on a terminal.
            self.output.flush()?;
            let key = Bytes { bytes: key, notation };
            self.context.note(format_args!("{}: {key}", status.name()));
        }
        Ok(())
    }

    fn finish(self) -> Result<Exit, CliError> {
        self.output.finish()?;
        if self.others > MAX_NOTED && !self.context.json {
            let more = self.others - MAX_NOTED;
            let more = crate::output::counted(more, "key");
            self.context.note(format_args!("… and {more} more without a value"));
        }
        Ok(if self.others == 0 { Exit::Success } else { Exit::NotFound })
    }
}

/// One answer, as JSON.
struct Line<'a> {
    key: &'a [u8],
    status: Status,
    value: PrintedValue<'a>,
    notation: Notation,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let notation = self.notation;
        serialize_bytes(&mut map, KEY, Bytes { bytes: self.key, notation })?;
        map.serialize_entry("status", self.status.name())?;
        match self.value {
            PrintedValue::Value(bytes) => {
                serialize_bytes(&mut map, VALUE, Bytes { bytes, notation })?;
            }
            PrintedValue::Blob(number) => map.serialize_entry("blob", &number.0)?,
            PrintedValue::Deleted | PrintedValue::Omitted => {}
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_slowly_and_shrink_at_once() {
        assert_eq!(next_batch_len(64, 0), 128);
        assert_eq!(next_batch_len(64, 64), 128);
        assert_eq!(next_batch_len(MAX_BATCH, 100), MAX_BATCH);
        assert_eq!(next_batch_len(1000, 1000 << 20), 16);
        assert_eq!(next_batch_len(1, 64 << 20), 1);
    }
}
