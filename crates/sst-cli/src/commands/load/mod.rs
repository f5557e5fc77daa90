//! `sst load`: entries from text into a directory.
//!
//! The whole input is read and sorted in memory before anything is written, so an input that cannot be read changes
//! nothing. What is written is one commit: it is there whole or not at all.

mod entries;
mod publish;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;
use sst_writer::{Publisher, PublisherOptions};

use super::Context;
use crate::cli::{Format, InputArgs, LoadArgs};
use crate::error::CliError;
use crate::exit::Exit;
use crate::input::{Input, InputEntry, InputError, detect};
use crate::output::Output;
use crate::store::read_catalog;
use entries::Entries;
use publish::{Written, publish};

/// Bad lines that are shown one by one.
const MAX_SHOWN_BAD_LINES: u64 = 10;

pub(super) fn run(args: &LoadArgs, context: Context) -> Result<Exit, CliError> {
    let started = Instant::now();
    let format = detect(&args.input, &args.input_options)?;
    let open = || Publisher::open(&args.directory, PublisherOptions::default());
    // A directory that cannot be written to is noticed before a long input is read, but none is made for a bad one.
    let early = match args.directory.is_dir() {
        true => {
            check_directory(&args.directory)?;
            Some(open()?)
        }
        false => None,
    };
    let read = read(&args.input, format, &args.input_options, context)?;
    let mut publisher = early.map_or_else(open, Ok)?;
    let written = publish(&mut publisher, read.entries, &read.name, &args.output_options, context)?;
    report(args, read.skipped, &written, started.elapsed(), context)?;
    Ok(Exit::Success)
}

/// Refuses a directory that is not ours to write to, before anything in it is touched: one of the original's, and one with
/// SST files but no `CURRENT`, which a publisher would take for leftovers and remove.
pub(super) fn check_directory(directory: &Path) -> Result<(), CliError> {
    match read_catalog(directory) {
        Ok(catalog) if catalog.is_protected => Ok(()),
        Ok(_) => Err(CliError::Original(directory.to_owned())),
        // Where there is a lock, a publisher of ours has left the files.
        Err(CliError::NoCurrent { has_files: true, .. }) if !directory.join("LOCK").exists() => {
            Err(CliError::NotOurs(directory.to_owned()))
        }
        Err(CliError::NoCurrent { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// An input that was read.
struct InputRead {
    /// Its name, for messages.
    name: String,
    entries: Entries,
    /// Number of bad lines.
    skipped: u64,
}

fn read(
    path: &Path,
    format: Format,
    options: &InputArgs,
    context: Context,
) -> Result<InputRead, CliError> {
    let is_stdin = path.as_os_str() == "-";
    let name = if is_stdin { "standard input".to_owned() } else { path.display().to_string() };
    let (source, len): (Box<dyn Read>, Option<u64>) = match is_stdin {
        true => (Box::new(io::stdin().lock()), None),
        false => {
            let file = File::open(path).map_err(|error| CliError::io("open", path, error))?;
            let metadata = file.metadata().map_err(|error| CliError::io("read", path, error))?;
            (Box::new(file), metadata.is_file().then_some(metadata.len()))
        }
    };
    let progress = context.progress.bytes(len, "read");
    let source = BufReader::with_capacity(1 << 18, progress.wrap_read(source));
    let input_error = |source: InputError| match source {
        InputError::Io(source) => CliError::Io { action: "read", what: name.clone(), source },
        source => CliError::Input { name: name.clone(), source },
    };
    let mut input = Input::new(source, format, options).map_err(input_error)?;
    let (mut entries, mut skipped) = (Entries::default(), 0);
    let mut entry = InputEntry::default();
    loop {
        match input.read(&mut entry) {
            Ok(true) => entries.push(&entry),
            Ok(false) => break,
            Err(InputError::Line { line, cause }) if options.skip_bad => {
                skipped += 1;
                if skipped <= MAX_SHOWN_BAD_LINES {
                    context.note(format_args!("{name}: skipped line {line}: {cause}"));
                }
            }
            Err(error) => return Err(input_error(error)),
        }
    }
    if entries.is_empty() {
        return Err(CliError::NoEntries { name });
    }
    Ok(InputRead { name, entries, skipped })
}

/// What was done, in JSON.
#[derive(Serialize)]
struct Summary<'a> {
    directory: String,
    commit: u32,
    #[serde(flatten)]
    written: &'a Written,
    skipped_lines: u64,
    seconds: f64,
    entries_per_second: f64,
}

fn report(
    args: &LoadArgs,
    skipped: u64,
    written: &Written,
    elapsed: Duration,
    context: Context,
) -> Result<(), CliError> {
    let seconds = elapsed.as_secs_f64();
    let rate = written.entries as f64 / seconds.max(f64::MIN_POSITIVE);
    let directory = args.directory.display();
    let mut output = Output::stdout();
    if context.json {
        output.json(&Summary {
            directory: directory.to_string(),
            commit: written.commit,
            written,
            skipped_lines: skipped,
            seconds,
            entries_per_second: rate,
        })?;
    } else if !context.quiet {
        output.line(format_args!(
            "{directory}: {} in {}, {} in {seconds:.2} s, {rate:.0} entries/s",
            number_of(written.entries, "entry", "entries"),
            number_of(written.tables, "table", "tables"),
            HumanBytes(written.bytes),
        ))?;
        for (number, one, many) in [
            (written.deletions, "of them is a deletion", "of them are deletions"),
            (written.blobs, "value has a file of its own", "values have a file of their own"),
            (written.duplicates, "duplicate was left out", "duplicates were left out"),
            (skipped, "bad line was skipped", "bad lines were skipped"),
        ] {
            if number > 0 {
                output.line(format_args!("  {}", number_of(number, one, many)))?;
            }
        }
    }
    output.finish()
}

fn number_of(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", HumanCount(number), if number == 1 { one } else { many })
}
