//! `sst verify`: every byte of a directory or a table, and all that is wrong with it.

use std::io;
use std::path::Path;
use std::time::Instant;

use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;
use sst_reader::{Catalog, ReadError, VerifyReport, verify_directory};

use super::Context;
use crate::cli::VerifyArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Output, counted};
use crate::progress::Progress;
use crate::store::{is_directory, open_table, read_catalog, reader_options};

pub(super) fn run(args: &VerifyArgs, context: Context) -> Result<Exit, CliError> {
    let started = Instant::now();
    let path = &args.path;
    let (is_protected, report) = match is_directory(path)? {
        true => directory(path, context)?,
        false => table(path, context)?,
    };
    let exit = exit(&report);
    let mut output = Output::stdout();
    if context.json {
        output.json(&Summary::new(path, is_protected, &report))?;
    } else {
        for damage in &report.damage {
            output.line(damage)?;
        }
        if !context.quiet {
            let seconds = started.elapsed().as_secs_f64();
            output.line(format_args!("{} in {seconds:.2} s", text(path, is_protected, &report)))?;
        }
    }
    output.finish()?;
    Ok(exit)
}

/// Whether a directory is protected, and what is wrong with it.
fn directory(path: &Path, context: Context) -> Result<(bool, VerifyReport), CliError> {
    let catalog = match read_catalog(path) {
        Ok(catalog) => catalog,
        // The report has the damage again, with all that could still be checked.
        Err(CliError::Read(error)) if error.is_corruption() => {
            let report = verify_directory(path, &reader_options(), &mut |_| {})?;
            return Ok((false, report));
        }
        Err(error) => return Err(error),
    };
    let progress = context.progress.bytes(Some(size(&catalog)), "verify");
    let report =
        verify_directory(path, &reader_options(), &mut |step| progress.advance(step.bytes))?;
    Ok((catalog.is_protected, report))
}

fn table(path: &Path, context: Context) -> Result<(bool, VerifyReport), CliError> {
    let table = match open_table(path, &reader_options()) {
        Ok(table) => table,
        Err(CliError::Read(error)) if error.is_corruption() => {
            let mut report = VerifyReport::default();
            report.damage.push(error);
            return Ok((false, report));
        }
        Err(error) => return Err(error),
    };
    let progress: Progress = context.progress.bytes(Some(table.file.file_size()), "verify");
    let report = table.file.verify(&mut |step| progress.advance(step.bytes));
    let is_protected = table.described.is_some_and(|described| described.meta.protection.is_some());
    Ok((is_protected, report))
}

/// Bytes of all tables and blob files.
fn size(catalog: &Catalog) -> u64 {
    let tables = catalog.tables.iter().map(|table| table.meta.file_size);
    let blobs = catalog.blobs.values().map(|blob| blob.file_size);
    tables.chain(blobs).sum()
}

/// Damage is what tells; a report may also hold files that the operating system refused.
fn exit(report: &VerifyReport) -> Exit {
    let is_damage = |error: &ReadError| match error {
        ReadError::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
        _ => true,
    };
    match report.is_intact() {
        true => Exit::Success,
        false if report.damage.iter().any(is_damage) => Exit::Damaged,
        false => Exit::Failure,
    }
}

fn text(path: &Path, is_protected: bool, report: &VerifyReport) -> String {
    let verdict = match (report.damage.len(), is_protected) {
        (0, true) => "intact and protected".to_owned(),
        (0, false) => {
            "intact, but unprotected (meta files and offset tables have no checksums)".to_owned()
        }
        (count, _) => format!("damaged in {}", counted(count as u64, "place")),
    };
    let mut text = format!("{}: {verdict}; {}", path.display(), counted(report.tables, "table"));
    for (number, noun) in [(report.blocks, "block"), (report.blobs, "blob")] {
        if number > 0 {
            text.push_str(", ");
            text.push_str(&counted(number, noun));
        }
    }
    let (entries, bytes) = (HumanCount(report.entries), HumanBytes(report.bytes));
    text + &format!(", {entries} entries, {bytes}")
}

/// The report as JSON.
#[derive(Serialize)]
struct Summary {
    path: String,
    intact: bool,
    protected: bool,
    tables: u64,
    blocks: u64,
    entries: u64,
    blobs: u64,
    bytes: u64,
    damage: Vec<Damage>,
}

#[derive(Serialize)]
struct Damage {
    file: String,
    block: Option<u16>,
    cause: String,
}

impl Summary {
    fn new(path: &Path, is_protected: bool, report: &VerifyReport) -> Self {
        Self {
            path: path.display().to_string(),
            intact: report.is_intact(),
            protected: is_protected,
            tables: report.tables,
            blocks: report.blocks,
            entries: report.entries,
            blobs: report.blobs,
            bytes: report.bytes,
            damage: report.damage.iter().map(Damage::new).collect(),
        }
    }
}

impl Damage {
    fn new(error: &ReadError) -> Self {
        let (block, cause) = match error {
            ReadError::Corrupt { block, cause, .. } => {
                (block.map(|block| block.0), cause.to_string())
            }
            other => (None, other.to_string()),
        };
        Self { file: error.file().to_string(), block, cause }
    }
}
