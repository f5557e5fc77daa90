//! The ingest side of a service: reads CSV or TSV and publishes it. It depends on the writer and
//! the filter, not on the reader. README.md describes its use.
//!
//! The process may be killed at any moment. A commit is made whole or not at all, and the next run
//! removes the files of an unfinished commit.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "each commit is reported on standard output")]

mod batches;
mod cells;
mod rows;

use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use serde::Serialize;
use sst_amqf::QuotientFilter;
use sst_writer::bulk::{BulkMode, BulkSummary};
use sst_writer::{
    BulkError, BulkLoader, BulkOptions, Monitor, PublishError, Publisher, PublisherOptions,
    WriterOptions,
};

use crate::batches::Batches;
use crate::rows::{Layout, RowError, put_rows};

/// Reads CSV or TSV and publishes it.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// File with the rows, in any order; `-` is standard input
    input: PathBuf,

    /// Directory to publish in; it is created if it does not exist
    directory: PathBuf,

    /// Replace earlier rows, or add to them
    #[arg(long, value_enum, default_value_t = Mode::Replace)]
    mode: Mode,

    /// Publish the rows so far at each empty line and continue until the input ends, for pipes
    #[arg(long)]
    batches: bool,

    /// Memory for sorting, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    memory: usize,

    #[command(flatten)]
    layout: Layout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Replace: earlier rows are removed
    Replace,
    /// Add: earlier rows stay, except where a new row has the same key
    #[value(alias = "increment")]
    Append,
}

/// The reason why a commit was not published.
#[derive(Debug, thiserror::Error)]
enum IngestError {
    #[error("cannot read {}", path.display())]
    Input { path: PathBuf, source: io::Error },
    #[error("{}", path.display())]
    Row { path: PathBuf, source: RowError },
    #[error(transparent)]
    Bulk(#[from] BulkError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("cannot report")]
    Report(#[from] serde_json::Error),
}

/// The report of one commit, printed as a line of JSON.
#[derive(Serialize)]
struct Report {
    commit: u32,
    records: u64,
    tombstones: u64,
    duplicates: u64,
    tables: u64,
    bytes: u64,
    seconds: f64,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("error: {error}");
            let causes = std::iter::successors(error.source(), |&cause| cause.source());
            causes.for_each(|cause| eprint!(": {cause}"));
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), IngestError> {
    let path = &arguments.input;
    let input_error = |source| IngestError::Input { path: path.clone(), source };
    let input: Box<dyn BufRead> = match path.as_os_str() == "-" {
        true => Box::new(io::stdin().lock()),
        false => Box::new(BufReader::new(File::open(path).map_err(input_error)?)),
    };
    let layout = arguments.layout.for_file(path);
    if !arguments.batches {
        return publish(input, &layout, arguments);
    }
    let mut batches = Batches::new(input);
    while let Some(batch) = batches.next().map_err(input_error)? {
        publish(Cursor::new(batch), &layout, arguments)?;
    }
    Ok(())
}

/// Publishes all rows of `input` as one commit.
fn publish(input: impl BufRead, layout: &Layout, arguments: &Arguments) -> Result<(), IngestError> {
    let started = Instant::now();
    // The directory is opened again for each commit, so that other publishers, such as a merge, can
    // get the lock in between.
    let mut publisher = Publisher::open(&arguments.directory, PublisherOptions::default())?;
    let mode = match arguments.mode {
        Mode::Replace => BulkMode::Replace,
        Mode::Append => BulkMode::Append,
    };
    let options = BulkOptions::default()
        .memory_budget(arguments.memory << 20)
        .mode(mode)
        .writer(WriterOptions::default().filter(QuotientFilter::default()));
    let loader = BulkLoader::new(&mut publisher, options, &Monitor::default())?;
    let mut handle = loader.handle(0);
    put_rows(input, layout, &mut handle).map_err(|error| named(&arguments.input, error))?;
    handle.finish()?;
    report(&loader.finish()?, started)
}

fn named(path: &Path, source: RowError) -> IngestError {
    match source {
        RowError::Bulk(error) => error.into(),
        source => IngestError::Row { path: path.to_owned(), source },
    }
}

fn report(summary: &BulkSummary, started: Instant) -> Result<(), IngestError> {
    let report = Report {
        commit: summary.commit.0,
        records: summary.records,
        tombstones: summary.tombstones,
        duplicates: summary.duplicates,
        tables: summary.tables,
        bytes: summary.file_bytes,
        seconds: started.elapsed().as_secs_f64(),
    };
    println!("{}", serde_json::to_string(&report)?);
    for file in &summary.not_removed {
        eprintln!("{file}");
    }
    Ok(())
}
