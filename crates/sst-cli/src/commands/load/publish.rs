//! Sorted entries as the tables of one commit.

use std::fs;
use std::path::Path;

use serde::Serialize;
use sst_amqf::QuotientFilter;
use sst_format::file_name::{FileKind, FileName};
use sst_format::limits::MAX_MEDIUM_VALUE_LEN;
use sst_format::{BlobNumber, SequenceNumber};
use sst_writer::{
    Commit, Entry, EntryValue, PublishError, Publisher, TableWriter, WriteError, WriterOptions,
};

use super::Context;
use super::entries::{DuplicateKey, Entries, Sorted};
use crate::cli::{Duplicates, LoadOutputArgs, Mode};
use crate::error::CliError;

/// What a commit holds.
#[derive(Debug, Default, Serialize)]
pub(super) struct Written {
    #[serde(skip)]
    pub(super) commit: u32,
    pub(super) entries: u64,
    /// Entries that are deletions.
    pub(super) deletions: u64,
    /// Entries that were left out for others of their key.
    pub(super) duplicates: u64,
    pub(super) tables: u64,
    /// Values in files of their own.
    pub(super) blobs: u64,
    /// Bytes of all tables and blob files.
    pub(super) bytes: u64,
}

/// Sorts the entries and publishes them as one commit.
pub(super) fn publish(
    publisher: &mut Publisher,
    mut entries: Entries,
    name: &str,
    options: &LoadOutputArgs,
    context: Context,
) -> Result<Written, CliError> {
    let duplicates = {
        let _spinner = context.progress.spinner("sort");
        entries.sort();
        entries.resolve(options.duplicates).map_err(|duplicate| {
            let DuplicateKey { key, first_line, line } = duplicate;
            CliError::Duplicate { name: name.to_owned(), line, key, first_line }
        })?
    };
    let directory = publisher.directory().to_owned();
    let mut commit = publisher.begin_family(options.family);
    if options.mode == Mode::Replace {
        commit.replace_all();
    }
    let progress = context.progress.entries(entries.len() as u64, "write");
    let written = Written { duplicates, ..Written::default() };
    let mut tables = Tables { commit, table: None, blobs: Vec::new(), options, written };
    let mut last_hash = None;
    for entry in entries.iter() {
        tables
            .add(entry, last_hash == Some(entry.hash))
            .map_err(|error| named(error, name, entry.line))?;
        last_hash = Some(entry.hash);
        progress.advance(1);
    }
    tables.finish_table()?;
    let Tables { commit, blobs, mut written, .. } = tables;
    let info = commit.publish()?;
    written.commit = info.sequence.0;
    written.blobs = blobs.len() as u64;
    written.bytes += blobs.iter().map(|blob| blob_file_size(&directory, *blob)).sum::<u64>();
    for file in &info.not_removed {
        context.note(format_args!("left behind: {file}"));
    }
    Ok(written)
}

/// Length of a blob file; 0 if it cannot be told.
fn blob_file_size(directory: &Path, blob: BlobNumber) -> u64 {
    let name = FileName { sequence: SequenceNumber(blob.0), kind: FileKind::Blob };
    fs::metadata(directory.join(name.to_string())).map_or(0, |metadata| metadata.len())
}

/// The tables of a commit, written one after the other.
struct Tables<'p, 'o> {
    commit: Commit<'p>,
    table: Option<TableWriter>,
    blobs: Vec<BlobNumber>,
    options: &'o LoadOutputArgs,
    written: Written,
}

impl Tables<'_, '_> {
    /// Adds an entry to the current table, or to the next one if that is full. Entries with equal hashes stay together:
    /// which table holds a hash must be clear.
    fn add(&mut self, entry: Sorted<'_>, repeats_hash: bool) -> Result<(), PublishError> {
        let entry = TableEntry {
            hash: entry.hash,
            key: entry.key,
            value: match entry.value {
                None => EntryValue::Deleted,
                Some(value) if value.len() > MAX_MEDIUM_VALUE_LEN => {
                    EntryValue::Large { blob: self.create_blob(value)? }
                }
                Some(value) => EntryValue::for_bytes(value).unwrap_or(EntryValue::Medium(value)),
            },
        };
        self.written.entries += 1;
        self.written.deletions += u64::from(entry.value == EntryValue::Deleted);
        let LoadOutputArgs { max_table_entries, max_table_bytes, .. } = *self.options;
        let is_full = |table: &TableWriter| {
            table.is_full(max_table_entries, max_table_bytes) || !table.has_room_for(&entry)
        };
        if !repeats_hash && self.table.as_ref().is_some_and(is_full) {
            self.finish_table()?;
        }
        let table = match &mut self.table {
            Some(table) => table,
            None => self.table.insert(self.commit.create_table(writer_options(self.options))?),
        };
        Ok(table.add(entry)?)
    }

    fn create_blob(&mut self, value: &[u8]) -> Result<BlobNumber, PublishError> {
        let blob = self.commit.create_blob(value)?;
        self.blobs.push(blob);
        Ok(blob)
    }

    fn finish_table(&mut self) -> Result<(), PublishError> {
        let Some(table) = self.table.take() else { return Ok(()) };
        let table = table.finish()?;
        self.written.tables += 1;
        self.written.bytes += table.meta().file_size;
        self.commit.add_table(table)
    }
}

fn writer_options(options: &LoadOutputArgs) -> WriterOptions {
    let writer = WriterOptions::default().multi_value(options.duplicates == Duplicates::Keep);
    if options.no_filter { writer } else { writer.filter(QuotientFilter::default()) }
}

/// An entry whose hash is known.
struct TableEntry<'a> {
    hash: u64,
    key: &'a [u8],
    value: EntryValue<'a>,
}

impl Entry for TableEntry<'_> {
    fn key_hash(&self) -> u64 {
        self.hash
    }

    fn key_len(&self) -> usize {
        self.key.len()
    }

    fn write_key_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.key);
    }

    fn value(&self) -> EntryValue<'_> {
        self.value
    }
}

/// An error of writing, with the line it is about if it is about an entry.
fn named(error: PublishError, name: &str, line: u64) -> CliError {
    match error {
        PublishError::Write(
            source @ (WriteError::KeyTooLong { .. }
            | WriteError::RunTooLong { .. }
            | WriteError::TooManyBlocks { .. }
            | WriteError::FileTooLarge { .. }),
        ) => CliError::Entry { name: name.to_owned(), line, source },
        error => error.into(),
    }
}
