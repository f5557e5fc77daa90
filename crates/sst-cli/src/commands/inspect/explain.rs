//! `sst inspect --explain`: dumps a part of a file byte by byte.
//!
//! The dump is meant for damaged files. It needs only the part itself and the offset table; other
//! structures (index block, entries) improve the dump where they can be read.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use serde::Serialize;
use sst_format::block::{BlockHeader, Encoding};
use sst_format::explain::{DumpLine, ExplainOptions, Subject, ValueSlice, explain, explain_lines};
use sst_format::index_block::IndexBlock;
use sst_format::key_block::KeyBlock;
use sst_format::offset_table::{OFFSET_LEN, OffsetTable, recover_block_count};
use sst_format::value_ref::ValueRef;
use sst_format::{BlockIndex, FormatError, Structure};
use sst_reader::{RangedFile, ReadError, StaticSortedFile, hash_key};

use super::{DumpSubject, InspectArgs};
use crate::commands::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::Output;
use crate::regular;
use crate::store::{open_table, reader_options};
use crate::url;

/// Dumps a whole file that is not a table.
pub(super) fn file(
    path: &Path,
    subject: Subject<'_>,
    args: &InspectArgs,
    context: Context,
) -> Result<Exit, CliError> {
    if args.explain.is_some() {
        return Err(CliError::Usage("--explain is for .sst files".to_owned()));
    }
    let bytes = match url::is_url(path) {
        true => url::read(path, u64::MAX),
        false => regular::read(path, u64::MAX),
    };
    let bytes = bytes.map_err(|error| CliError::io("read", path, error))?;
    let mut dump = Dump::new(args.full, context.json);
    dump.part(subject, &bytes, 0);
    dump.print(path)
}

/// Dumps a part of a table.
pub(super) fn part(
    path: &Path,
    part: DumpSubject,
    args: &InspectArgs,
    context: Context,
) -> Result<Exit, CliError> {
    let mut table = TableFile::open(path)?;
    let mut dump = Dump::new(args.full, context.json);
    match part {
        DumpSubject::Offsets => {
            let offsets = table.offsets()?;
            dump.part(Subject::OffsetTable, &offsets, table.offsets_start);
        }
        DumpSubject::Block(index) => block(&mut table, BlockIndex(index), &mut dump)?,
    }
    dump.print(path)
}

fn block(table: &mut TableFile<'_>, index: BlockIndex, dump: &mut Dump) -> Result<(), CliError> {
    let block_count = table.block_count;
    if index.0 >= block_count {
        let text = format!("there is no block {index}: the table has {block_count}");
        return Err(CliError::Usage(text));
    }
    let (start, stored) = table.block(index)?;
    dump.part(Subject::Block, &stored, start);
    let Ok((header, raw_payload)) = BlockHeader::parse(&stored) else {
        return Ok(());
    };
    let open = open_table(table.path, &reader_options()).map(|table| table.file);
    let payload = match (header.encoding, &open) {
        (Encoding::Raw, _) => Ok(raw_payload.to_vec()),
        (Encoding::Lz4 { .. }, Ok(open)) => match open.block(index) {
            Ok(payload) => Ok(payload.to_vec()),
            Err(error) => Err(error.to_string()),
        },
        (Encoding::Lz4 { .. }, Err(error)) => Err(error.to_string()),
    };
    let payload = match payload {
        Ok(payload) => payload,
        Err(error) => {
            dump.note(&error);
            return Ok(());
        }
    };
    dump.begin_payload();
    let is_key_block =
        table.is_key_block(index).unwrap_or_else(|| KeyBlock::parse(&payload).is_ok());
    let values;
    let subject = if index.0 + 1 == block_count {
        Subject::IndexBlock { block_count }
    } else if is_key_block {
        Subject::KeyBlock
    } else {
        // In a damaged table the ranges of the values may be unknown. Then no value is marked.
        values = open.ok().and_then(|open| values_of(&open, index).ok()).unwrap_or_default();
        Subject::ValueBlock { values: &values }
    };
    dump.part(subject, &payload, 0);
    Ok(())
}

/// The small values in a value block, in order.
fn values_of(table: &StaticSortedFile, index: BlockIndex) -> Result<Vec<ValueSlice>, ReadError> {
    let mut values = Vec::new();
    let mut cursor = table.cursor();
    while let Some(entry) = cursor.next()? {
        match entry.value_ref()? {
            ValueRef::Small { block, len, offset } if block == index => {
                values.push(ValueSlice { offset, len: len.into() });
            }
            _ => {}
        }
    }
    values.sort_unstable();
    values.dedup();
    Ok(values)
}

/// An open file, or an object in a store.
enum Opened {
    File(File),
    Object(Arc<dyn RangedFile>),
}

impl Opened {
    fn open(path: &Path) -> io::Result<Self> {
        match url::is_url(path) {
            true => url::open(path).map(Self::Object),
            false => regular::open(path).map(Self::File),
        }
    }

    fn len(&self) -> io::Result<u64> {
        match self {
            Self::File(file) => Ok(file.metadata()?.len()),
            Self::Object(object) => Ok(object.len()),
        }
    }

    fn read(&mut self, start: u64, end: u64) -> io::Result<Vec<u8>> {
        match self {
            Self::File(file) => {
                file.seek(SeekFrom::Start(start))?;
                let mut bytes = Vec::new();
                // An empty range may come from damaged offsets.
                Read::by_ref(file).take(end.saturating_sub(start)).read_to_end(&mut bytes)?;
                Ok(bytes)
            }
            Self::Object(object) => url::read_range(&**object, start, end),
        }
    }
}

/// An `.sst` file of which only the end (block count and offset table) is read and trusted.
struct TableFile<'a> {
    path: &'a Path,
    file: Opened,
    len: u64,
    block_count: u16,
    offsets_start: u64,
}

impl<'a> TableFile<'a> {
    fn open(path: &'a Path) -> Result<Self, CliError> {
        let io_error = |error| CliError::io("read", path, error);
        let file = Opened::open(path).map_err(|error| CliError::io("open", path, error))?;
        let len = file.len().map_err(io_error)?;
        let not_an_sst = || CliError::NotAnSst(path.to_owned());
        let last_word_at = len.checked_sub(OFFSET_LEN as u64).ok_or_else(not_an_sst)?;
        let mut table = Self { path, file, len, block_count: 0, offsets_start: 0 };
        let last_word = table.read(last_word_at, len)?;
        let last_word = last_word.first_chunk().map(|word| u32::from_be_bytes(*word));
        let last_word = last_word.ok_or_else(not_an_sst)?;
        table.block_count = recover_block_count(len, last_word).map_err(|_| not_an_sst())?;
        table.offsets_start = last_word.into();
        Ok(table)
    }

    fn read(&mut self, start: u64, end: u64) -> Result<Vec<u8>, CliError> {
        let io_error = |error| CliError::io("read", self.path, error);
        self.file.read(start, end).map_err(io_error)
    }

    fn offsets(&mut self) -> Result<Vec<u8>, CliError> {
        self.read(self.offsets_start, self.len)
    }

    /// The offset and the stored bytes of a block.
    fn block(&mut self, index: BlockIndex) -> Result<(u64, Vec<u8>), CliError> {
        let offsets = self.offsets()?;
        let out_of_order =
            FormatError::OutOfOrder { structure: Structure::OffsetTable, index: index.0.into() };
        let range = OffsetTable::parse(&offsets, self.block_count, self.len)
            .and_then(|offsets| offsets.range(index))
            .and_then(|range| match u64::from(range.end) <= self.offsets_start {
                true => Ok(range),
                false => Err(out_of_order),
            })
            .map_err(|cause| CliError::Damaged { file: self.path.to_owned(), cause })?;
        let (start, end) = (range.start.into(), range.end.into());
        Ok((start, self.read(start, end)?))
    }

    /// Whether the index block lists the block as a key block. `None` if the index block itself
    /// cannot be read.
    fn is_key_block(&mut self, index: BlockIndex) -> Option<bool> {
        let (_, stored) = self.block(BlockIndex(self.block_count.checked_sub(1)?)).ok()?;
        let (_, payload) = BlockHeader::parse(&stored).ok()?;
        let parsed = IndexBlock::parse(payload).ok()?;
        Some(parsed.blocks().any(|block| block == index))
    }
}

/// A dump, and whether it reports damage.
struct Dump {
    options: ExplainOptions,
    form: Form,
    is_damaged: bool,
}

/// The form in which a dump is printed.
enum Form {
    Text(String),
    Json(Vec<Part>),
}

/// A dump as JSON.
#[derive(Serialize)]
struct Dumped<'a> {
    path: String,
    damaged: bool,
    parts: &'a [Part],
}

/// A piece of a dump as JSON.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Part {
    Heading { text: String },
    Field { offset: u64, bytes_hex: String, hidden_bytes: usize, meaning: String },
    Content { offset: u64, bytes_hex: String, hidden_bytes: usize },
    Skipped { text: String, records: u64, bytes: u64 },
    Error { text: String },
}

impl Part {
    fn of(line: DumpLine<'_>) -> Self {
        match line {
            DumpLine::Heading(text) => Self::Heading { text: text.to_string() },
            DumpLine::Field { offset, bytes, hidden, meaning } => Self::Field {
                offset,
                bytes_hex: HEXLOWER.encode(bytes),
                hidden_bytes: hidden,
                meaning: meaning.to_string(),
            },
            DumpLine::Content { offset, bytes, hidden } => {
                Self::Content { offset, bytes_hex: HEXLOWER.encode(bytes), hidden_bytes: hidden }
            }
            DumpLine::Skipped { records, noun, bytes } => {
                Self::Skipped { text: format!("{records} more {noun}"), records, bytes }
            }
            DumpLine::Error(error) => Self::Error { text: error.to_string() },
            // A kind of a later release of sst-format, which has its text at least.
            other => Self::Heading { text: format!("{other:?}") },
        }
    }
}

impl Dump {
    fn new(full: bool, json: bool) -> Self {
        let options = ExplainOptions::default().crc32(crc32fast::hash).hash_key(hash_key);
        let options = if full { options.full() } else { options };
        let form = if json { Form::Json(Vec::new()) } else { Form::Text(String::new()) };
        Self { options, form, is_damaged: false }
    }

    fn part(&mut self, subject: Subject<'_>, bytes: &[u8], base: u64) {
        let options = self.options.base(base);
        // Neither a `String` nor a `Vec` refuses a line, so an error here is damage that was found.
        let damage = match &mut self.form {
            Form::Text(text) => explain(subject, bytes, &options, text),
            Form::Json(parts) => explain_lines(subject, bytes, &options, &mut |line| {
                parts.push(Part::of(line));
                Ok(())
            }),
        };
        self.is_damaged |= !matches!(damage, Ok(None));
    }

    /// Begins the payload of a block, after the block as it is stored.
    fn begin_payload(&mut self) {
        match &mut self.form {
            Form::Text(text) => text.push_str("\npayload, uncompressed: "),
            Form::Json(parts) => {
                parts.push(Part::Heading { text: "payload, uncompressed".to_owned() });
            }
        }
    }

    /// Appends the error that ends the dump early.
    fn note(&mut self, error: &str) {
        match &mut self.form {
            Form::Text(text) => {
                text.push_str("error: ");
                text.push_str(error);
                text.push('\n');
            }
            Form::Json(parts) => parts.push(Part::Error { text: error.to_owned() }),
        }
        self.is_damaged = true;
    }

    fn print(self, path: &Path) -> Result<Exit, CliError> {
        let mut output = Output::stdout();
        match &self.form {
            Form::Text(text) => output.bytes(text.as_bytes())?,
            Form::Json(parts) => {
                let (path, damaged) = (path.display().to_string(), self.is_damaged);
                output.report(&Dumped { path, damaged, parts })?;
            }
        }
        output.finish()?;
        Ok(if self.is_damaged { Exit::Damaged } else { Exit::Success })
    }
}
