//! `sst verify`: every byte of a directory or a table, and all that is wrong with it.

mod affected;
mod against;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;
use sst_reader::{
    Catalog, Corruption, Diagnosis, Monitor, ReadError, VerifyReport, verify_directory,
};

use self::affected::{Lost, LostKeys, Part};
use self::against::Comparison;
use super::Context;
use crate::error::{CliError, with_causes};
use crate::exit::Exit;
use crate::output::{Output, counted};
use crate::progress::Progress;
use crate::store::{is_directory, open_table, read_catalog, reader_options};

/// Arguments of `sst verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// A directory or an .sst file
    pub(crate) path: PathBuf,

    /// Accept it only if it holds the same entries as this: a digest, a file with the output of
    /// `sst certificate`, or another directory, whose own certificate is believed if it has one
    #[arg(long, value_name = "DIGEST|FILE|DIR")]
    pub(crate) against: Option<String>,

    /// With --against: compare only this key space [default: all]
    #[arg(long, value_name = "NUMBER", requires = "against")]
    pub(crate) family: Option<u32>,

    /// Name every key that is lost, not only the first ten of each damaged block
    #[arg(long)]
    pub(crate) all: bool,
}

impl VerifyArgs {
    /// How many keys to name for each damaged part.
    const fn limit(&self) -> usize {
        if self.all { usize::MAX } else { 10 }
    }
}

/// The findings of a verification.
struct Findings {
    is_protected: bool,
    report: VerifyReport,
    lost: LostKeys,
    /// How it compares, if it is intact and something was given to compare it with.
    comparison: Option<Comparison>,
}

pub(crate) fn run(args: &VerifyArgs, context: Context) -> Result<Exit, CliError> {
    let started = Instant::now();
    let path = &args.path;
    let Findings { is_protected, report, lost, comparison } = match is_directory(path)? {
        true => directory(args, context)?,
        false => table(args, context)?,
    };
    let exit = match &comparison {
        Some(comparison) if !comparison.agrees() => Exit::Damaged,
        _ => exit(&report),
    };
    let mut output = Output::stdout();
    if context.json {
        output.json(&Summary::new(path, is_protected, &report, &lost, comparison))?;
    } else {
        for damage in &report.damage {
            output.line(damage)?;
            let lost = lost.of(&Part::of(damage)).filter(|_| is_damage(damage));
            for line in lost.into_iter().flat_map(Lost::lines) {
                output.line(line)?;
            }
        }
        if !context.quiet {
            let seconds = started.elapsed().as_secs_f64();
            output.line(format_args!("{} in {seconds:.2} s", text(path, is_protected, &report)))?;
        }
        for line in comparison.iter().flat_map(Comparison::lines) {
            output.line(line)?;
        }
    }
    output.finish()?;
    Ok(exit)
}

fn directory(args: &VerifyArgs, context: Context) -> Result<Findings, CliError> {
    let path = &args.path;
    let catalog = match read_catalog(path) {
        Ok(catalog) => catalog,
        // The report has the damage again, with all that could still be checked.
        Err(CliError::Read(error)) if error.is_corruption() => {
            let report = verify_directory(path, &reader_options(), &Monitor::default())?;
            return Ok(Findings {
                is_protected: false,
                report,
                lost: LostKeys::default(),
                comparison: None,
            });
        }
        Err(error) => return Err(error),
    };
    let progress = context.progress.bytes(Some(size(&catalog)), "verify");
    let report = verify_directory(path, &reader_options(), &progress.bytes_monitor())?;
    let lost = LostKeys::in_directory(&catalog, &report, args.limit());
    let against = args.against.as_ref().filter(|_| report.is_intact());
    let comparison = against
        .map(|against| Comparison::new(&catalog, against, args.family, context))
        .transpose()?;
    Ok(Findings { is_protected: catalog.is_protected, report, lost, comparison })
}

fn table(args: &VerifyArgs, context: Context) -> Result<Findings, CliError> {
    if args.against.is_some() {
        return Err(CliError::Usage("--against is for directories".to_owned()));
    }
    let table = match open_table(&args.path, &reader_options()) {
        Ok(table) => table,
        Err(CliError::Read(error)) if error.is_corruption() => {
            let mut report = VerifyReport::default();
            report.damage.push(error);
            return Ok(Findings {
                is_protected: false,
                report,
                lost: LostKeys::default(),
                comparison: None,
            });
        }
        Err(error) => return Err(error),
    };
    let progress: Progress = context.progress.bytes(Some(table.file.file_size()), "verify");
    let report = table.file.verify(&progress.bytes_monitor())?;
    let is_protected = table.described.is_some_and(|described| described.is_protected());
    let lost = LostKeys::in_table(&table.file, &report, args.limit());
    Ok(Findings { is_protected, report, lost, comparison: None })
}

/// Bytes of all tables and blob files.
fn size(catalog: &Catalog) -> u64 {
    let tables = catalog.tables.iter().map(|table| table.record.file_size);
    // It measures the progress only. A list that cannot be read is reported by the check.
    let blobs = catalog.blobs().ok().into_iter().flat_map(|blobs| blobs.values());
    let blobs = blobs.map(|blob| blob.file_size);
    tables.chain(blobs).sum()
}

/// Whether an error is damage: a file that the operating system did not let us read, or had no
/// memory for, may be intact.
fn is_damage(error: &ReadError) -> bool {
    match error {
        ReadError::OutOfMemory { .. } | ReadError::OverLimit { .. } => false,
        ReadError::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
        _ => true,
    }
}

fn exit(report: &VerifyReport) -> Exit {
    match report.is_intact() {
        true => Exit::Success,
        false if report.damage.iter().any(is_damage) => Exit::Damaged,
        false => Exit::Failure,
    }
}

fn text(path: &Path, is_protected: bool, report: &VerifyReport) -> String {
    let damaged = report.damage.iter().filter(|error| is_damage(error)).count();
    let unread = report.damage.len() - damaged;
    let verdict = match (damaged, is_protected) {
        (0, _) if unread > 0 => {
            format!("not all could be read: {}", counted(unread as u64, "error"))
        }
        (0, true) if report.certificates > 0 => "intact, protected and certified".to_owned(),
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
struct Summary<'a> {
    path: String,
    intact: bool,
    protected: bool,
    tables: u64,
    blocks: u64,
    entries: u64,
    blobs: u64,
    bytes: u64,
    certificates: u64,
    damage: Vec<Damage<'a>>,
    /// Files that could not be read, and may be intact.
    unread: Vec<Damage<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<Comparison>,
}

#[derive(Serialize)]
struct Damage<'a> {
    file: String,
    block: Option<u16>,
    cause: String,
    origin: Option<&'static str>,
    flipped_bit: Option<FlippedBit>,
    lost: Option<&'a Lost>,
}

#[derive(Serialize)]
struct FlippedBit {
    byte: u64,
    bit: u8,
}

impl<'a> Summary<'a> {
    fn new(
        path: &Path,
        is_protected: bool,
        report: &VerifyReport,
        lost: &'a LostKeys,
        comparison: Option<Comparison>,
    ) -> Self {
        let damage = |damaged: bool| {
            let errors = report.damage.iter().filter(|error| is_damage(error) == damaged);
            errors.map(|error| Damage::new(error, lost)).collect()
        };
        Self {
            path: path.display().to_string(),
            intact: report.is_intact(),
            protected: is_protected,
            tables: report.tables,
            blocks: report.blocks,
            entries: report.entries,
            blobs: report.blobs,
            bytes: report.bytes,
            certificates: report.certificates,
            comparison,
            damage: damage(true),
            unread: damage(false),
        }
    }
}

impl<'a> Damage<'a> {
    fn new(error: &ReadError, lost: &'a LostKeys) -> Self {
        let (block, cause) = match error {
            ReadError::Corrupt { block, cause, .. } => {
                (block.map(|block| block.0), cause.to_string())
            }
            other => (None, with_causes(other)),
        };
        let diagnosis = diagnosis(error);
        Self {
            file: error.file().to_string(),
            block,
            cause,
            origin: diagnosis.map(|diagnosis| diagnosis.origin.name()),
            flipped_bit: diagnosis
                .and_then(|diagnosis| diagnosis.flipped)
                .map(|flipped| FlippedBit { byte: flipped.byte, bit: flipped.bit }),
            lost: lost.of(&Part::of(error)).filter(|_| is_damage(error)),
        }
    }
}

/// A failed checksum, as far as it could be diagnosed.
fn diagnosis(error: &ReadError) -> Option<Diagnosis> {
    match error {
        ReadError::Corrupt {
            cause:
                Corruption::Checksum { diagnosis, .. }
                | Corruption::Area { diagnosis, .. }
                | Corruption::HeaderMismatch { diagnosis },
            ..
        } => Some(*diagnosis),
        _ => None,
    }
}
