//! `sst get`: prints the values of keys.

use std::path::PathBuf;

use clap::Args;
use data_encoding::HEXLOWER_PERMISSIVE;
use serde::ser::{Serialize, SerializeMap, Serializer};
use sst_format::BlobNumber;
use sst_reader::{EntryValue, Lookup, ReadError, Slice, SstSet, StaticSortedFile, hash_key};

use super::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Bytes, EntryLine, Output, Shown, ValueText, serialize_bytes};
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
        let answer = match &store {
            Store::Directory(set) => ask_directory(set, key, args.all)?,
            Store::Table(table) => ask_table(table, key, args.all)?,
        };
        if !matches!(answer, Answer::Found(_)) {
            exit = Exit::NotFound;
            if !context.json {
                // Flush first, so that answers and notes appear in the order of the keys on a
                // terminal.
                output.flush()?;
                let key = Bytes { bytes: key, hex: args.hex };
                context.note(format_args!("{}: {key}", answer.status()));
            }
        }
        print(&mut output, key, &answer, args, context)?;
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
enum Answer<'a> {
    Found(Vec<Found<'a>>),
    Deleted,
    NotFound,
}

enum Found<'a> {
    Value(Slice<'a>),
    /// A value in a blob file. Without its directory, a table knows only the number of the blob.
    Blob(BlobNumber),
}

impl Answer<'_> {
    const fn status(&self) -> &'static str {
        match self {
            Self::Found(_) => "found",
            Self::Deleted => "deleted",
            Self::NotFound => "not found",
        }
    }
}

impl Found<'_> {
    fn shown(&self) -> Shown<'_> {
        match self {
            Self::Value(value) => Shown::Value(value),
            Self::Blob(number) => Shown::Blob(*number),
        }
    }
}

fn ask_directory<'a>(set: &'a SstSet, key: &[u8], all: bool) -> Result<Answer<'a>, ReadError> {
    if all {
        let values = set.get_all(key).map(|value| value.map(Found::Value));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        if !values.is_empty() {
            return Ok(Answer::Found(values));
        }
    }
    Ok(match set.lookup(hash_key(key), key)? {
        Lookup::NotFound => Answer::NotFound,
        Lookup::Deleted => Answer::Deleted,
        Lookup::Value(value) => Answer::Found(vec![Found::Value(value)]),
        Lookup::Blob(number) => Answer::Found(vec![Found::Value(set.read_blob(number)?)]),
    })
}

fn ask_table<'a>(
    table: &'a StaticSortedFile,
    key: &[u8],
    all: bool,
) -> Result<Answer<'a>, ReadError> {
    let (mut found, mut is_deleted) = (Vec::new(), false);
    for entry in table.get_all(key)?.take(if all { usize::MAX } else { 1 }) {
        match entry? {
            EntryValue::Value(value) => found.push(Found::Value(value)),
            EntryValue::Blob(number) => found.push(Found::Blob(number)),
            EntryValue::Deleted => is_deleted = true,
        }
    }
    Ok(match (found.is_empty(), is_deleted) {
        (false, _) => Answer::Found(found),
        (true, true) => Answer::Deleted,
        (true, false) => Answer::NotFound,
    })
}

fn print(
    output: &mut Output,
    key: &[u8],
    answer: &Answer<'_>,
    args: &GetArgs,
    context: Context,
) -> Result<(), CliError> {
    let hex = args.hex;
    let Answer::Found(found) = answer else {
        let status = answer.status();
        return match context.json {
            true => output.json(&Line { key, status, value: Shown::Omitted, hex }),
            false => Ok(()),
        };
    };
    for value in found.iter().map(Found::shown) {
        match value {
            Shown::Blob(number) if args.raw => {
                let text =
                    format!("the value is in blob file {number}: look the key up in its directory");
                return Err(CliError::Usage(text));
            }
            Shown::Value(value) if args.raw => output.bytes(value)?,
            _ if context.json => {
                output.json(&Line { key, status: answer.status(), value, hex })?;
            }
            _ if args.keys.len() == 1 => output.line(ValueText { value, hex })?,
            _ => output.line(EntryLine { hash: None, key, value, hex })?,
        }
    }
    Ok(())
}

/// One answer, as JSON.
struct Line<'a> {
    key: &'a [u8],
    status: &'static str,
    value: Shown<'a>,
    hex: bool,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        serialize_bytes(&mut map, ("key", "key_hex"), self.key, self.hex)?;
        map.serialize_entry("status", self.status)?;
        match self.value {
            Shown::Value(value) => {
                serialize_bytes(&mut map, ("value", "value_hex"), value, self.hex)?;
            }
            Shown::Blob(number) => map.serialize_entry("blob", &number.0)?,
            Shown::Deleted | Shown::Omitted => {}
        }
        map.end()
    }
}
