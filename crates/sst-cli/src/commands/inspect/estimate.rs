//! `sst inspect --estimate`: the sizes that other options would give, from a sample that is written
//! with each of them.

use std::io::{self, Sink};

use indicatif::HumanBytes;
use serde::Serialize;
use sst_amqf::QuotientFilter;
use sst_reader::{EntryRef, ReadValue};
use sst_writer::table::{Compression, HashedEntry};
use sst_writer::{EntryValue, StreamingSstWriter, WriteError, WriterOptions};

use super::InspectArgs;
use crate::commands::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Output, entries};
use crate::store::{Store, choose_family, is_directory, open_table, read_catalog, reader_options};
use crate::text_table::{Align, TextTable};

/// Highest number of entries of a sample. A walk goes through the hashes of keys, which are
/// uniform, so its beginning is a sample.
const MAX_ENTRIES: u64 = 200_000;
/// Highest number of bytes of keys and values of a sample.
const MAX_BYTES: u64 = 64 << 20;

/// The sizes of a family or table with each set of options.
#[derive(Debug, Serialize)]
struct Estimate {
    path: String,
    /// Number of entries of the sample.
    sampled_entries: u64,
    /// The share of all hashes that the sample covers; 1 if the sample is everything.
    sampled_share: f64,
    /// Number of values in blob files, whose bytes no row includes.
    sampled_blobs: u64,
    /// The first row is the size that the files have.
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    options: &'static str,
    /// Size of the tables.
    table_bytes: u64,
    /// Size of their filters.
    filter_bytes: u64,
}

/// One set of options and its table.
struct Trial {
    options: &'static str,
    writer: StreamingSstWriter<Sink>,
}

/// The sample, written in each way at once.
struct Sample {
    trials: Vec<Trial>,
    entries: u64,
    bytes: u64,
    blobs: u64,
    last_hash: u64,
}

/// The sets of options, the defaults first.
fn options() -> [(&'static str, WriterOptions); 6] {
    // Whether a key may have several values is the reader's affair, and takes no bytes.
    let plain = WriterOptions::default().multi_value(true);
    let usual = plain.clone().filter(QuotientFilter::default());
    let precise = QuotientFilter::with_false_positive_rate(0.001);
    [
        ("the defaults", usual.clone()),
        ("no compression", usual.clone().compression(Compression::None)),
        ("value blocks of 4 KiB", usual.clone().value_block_size(4 << 10)),
        ("value blocks of 32 KiB", usual.value_block_size(32 << 10)),
        ("filter with 0.1 % false positives", plain.clone().filter(precise)),
        ("no filter", plain),
    ]
}

impl Sample {
    fn new() -> Self {
        let trial = |(options, writer)| Trial {
            options,
            writer: StreamingSstWriter::new(io::sink(), writer),
        };
        let trials = options().into_iter().map(trial).collect();
        Self { trials, entries: 0, bytes: 0, blobs: 0, last_hash: 0 }
    }

    /// Whether another entry may be taken.
    const fn has_room(&self) -> bool {
        self.entries < MAX_ENTRIES && self.bytes < MAX_BYTES
    }

    fn add(&mut self, entry: EntryRef<'_>) -> Result<(), CliError> {
        let (hash, key) = (entry.hash, entry.key);
        let value = match entry.into_value()? {
            ReadValue::Value(value) => {
                self.bytes += value.len() as u64;
                // A table holds no value that is too large for one.
                EntryValue::for_bytes(value).map_err(|error| CliError::Usage(error.to_string()))?
            }
            ReadValue::Blob(number) => {
                self.blobs += 1;
                EntryValue::Blob(number)
            }
            ReadValue::Deleted => EntryValue::Deleted,
        };
        for trial in &mut self.trials {
            trial.writer.add(HashedEntry { hash, key, value }).map_err(written)?;
        }
        self.entries += 1;
        self.bytes += key.len() as u64;
        self.last_hash = hash;
        Ok(())
    }

    /// The sizes of all entries, if the sample covers `share` of them.
    fn rows(self, share: f64) -> Result<Vec<Row>, CliError> {
        let row = |Trial { options, writer }| {
            let meta = writer.finish().map_err(written)?.meta;
            Ok(Row {
                options,
                table_bytes: scaled(meta.file_size, share),
                filter_bytes: scaled(meta.filter.as_slice().len() as u64, share),
            })
        };
        self.trials.into_iter().map(row).collect()
    }
}

/// An error of a table that is not kept. None is expected of entries that a table had.
fn written(error: WriteError) -> CliError {
    CliError::Publish(error.into())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a size over a share that is not 0 is a number of bytes, and an estimate"
)]
fn scaled(bytes: u64, share: f64) -> u64 {
    (bytes as f64 / share).round() as u64
}

/// The sizes that the files have.
fn present(args: &InspectArgs) -> Result<Row, CliError> {
    let mut row = Row { options: "as it is", table_bytes: 0, filter_bytes: 0 };
    if is_directory(&args.path)? {
        let catalog = read_catalog(&args.path)?;
        let family = choose_family(&catalog, args.family, |_| {})?;
        for table in catalog.tables.iter().filter(|table| table.family == family) {
            row.table_bytes += table.record.file_size;
            row.filter_bytes += table.filter_len();
        }
    } else {
        let table = open_table(&args.path, &reader_options())?;
        row.table_bytes = table.file.file_size();
        row.filter_bytes = table.described.map_or(0, |table| table.filter_len());
    }
    Ok(row)
}

/// Prints the estimate.
pub(super) fn run(args: &InspectArgs, context: Context) -> Result<Exit, CliError> {
    let store = Store::open(&args.path, args.family, |text| context.note(text))?;
    let mut sample = Sample::new();
    let mut is_whole = false;
    macro_rules! take {
        ($cursor:expr) => {{
            let mut cursor = $cursor;
            while sample.has_room() && !is_whole {
                match cursor.next()? {
                    Some(entry) => sample.add(entry)?,
                    None => is_whole = true,
                }
            }
        }};
    }
    match &store {
        Store::Directory(set) => take!(set.range(0..=u64::MAX).into_cursor()),
        Store::Table(table) => take!(table.range(0..=u64::MAX)?),
    }
    let share = match is_whole {
        true => 1.0,
        false => (sample.last_hash as f64 + 1.0) / 2f64.powi(64),
    };
    let (sampled_entries, sampled_blobs) = (sample.entries, sample.blobs);
    let rows = match sampled_entries {
        0 => Vec::new(),
        _ => std::iter::once(Ok(present(args)?))
            .chain(sample.rows(share)?.into_iter().map(Ok::<_, CliError>))
            .collect::<Result<_, _>>()?,
    };
    let path = args.path.display().to_string();
    print(&Estimate { path, sampled_entries, sampled_share: share, sampled_blobs, rows }, context)?;
    Ok(Exit::Success)
}

fn print(estimate: &Estimate, context: Context) -> Result<(), CliError> {
    let mut output = Output::stdout();
    if context.json {
        output.report(estimate)?;
        return output.finish();
    }
    let share = match estimate.sampled_share {
        1.0 => "all there are".to_owned(),
        share => format!("{:.2} % of all", share * 100.0),
    };
    output.line(format_args!(
        "{}: sizes with other options, from {}, {share}",
        estimate.path,
        entries(estimate.sampled_entries),
    ))?;
    let mut table = TextTable::new(&[
        ("options", Align::Left),
        ("tables", Align::Right),
        ("filters", Align::Right),
        ("together", Align::Right),
        ("of now", Align::Right),
    ]);
    let sum = |row: &Row| row.table_bytes + row.filter_bytes;
    let now = estimate.rows.first().map_or(0, sum).max(1);
    for row in &estimate.rows {
        table.row([
            row.options.to_owned(),
            HumanBytes(row.table_bytes).to_string(),
            HumanBytes(row.filter_bytes).to_string(),
            HumanBytes(sum(row)).to_string(),
            format!("{:.0} %", sum(row) as f64 * 100.0 / now as f64),
        ]);
    }
    output.line(table)?;
    if estimate.sampled_blobs > 0 {
        context.note("values in blob files are not included");
    }
    output.finish()
}
