//! `sst verify`: checks every byte of a directory or a table and reports all damage.

mod affected;
mod against;
mod notes;
mod present_files;
mod turbopack;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;
use sst_format::meta_head::Shard;
use sst_reader::{
    Catalog, Corruption, Diagnosis, Monitor, ReadError, VerifyReport, verify_directory,
};

use self::affected::{DamagedPlace, Lost, LostKeys};
use self::against::Comparison;
use super::Context;
use crate::error::{CliError, with_causes};
use crate::exit::Exit;
use crate::output::{Output, counted};
use crate::progress::ProgressLine;
use crate::store::{check_family, is_directory, open_table, read_catalog, reader_options};
use crate::url;

const AFTER_HELP: &str = "\
Examples:
  sst verify unicode.db
  sst verify unicode.db --all --json
  sst verify copy.db --against unicode.certificate
  sst verify .next/cache/turbopack --for-turbopack";

/// Arguments of `sst verify`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct VerifyArgs {
    /// Directory or .sst file, or its URL
    #[arg(value_parser = url::parser())]
    pub(crate) path: PathBuf,

    /// Accept the directory only if it holds the same entries as this digest, file or directory
    ///
    /// A file holds the output of `sst certificate`. The certificate of another directory is
    /// trusted if it has one; otherwise all its entries are read.
    #[arg(long, value_name = "DIGEST|FILE|DIR")]
    pub(crate) against: Option<String>,

    /// With --against: compare only this key space [default: all]
    #[arg(long, value_name = "NUMBER", requires = "against")]
    pub(crate) family: Option<u32>,

    /// Also check the requirements of Turbopack in Next.js 16.3.0
    ///
    /// Every table needs a filter, keys in families 0 to 2 have one value each, and the directory
    /// holds no files that Turbopack does not know.
    #[arg(long)]
    pub(crate) for_turbopack: bool,

    /// List every lost key, not only the first ten of each damaged block
    #[arg(long)]
    pub(crate) all: bool,
}

impl VerifyArgs {
    /// Highest number of keys to list for each damaged part.
    const fn limit(&self) -> usize {
        if self.all { usize::MAX } else { 10 }
    }
}

/// The findings of a verification.
struct Findings {
    is_protected: bool,
    report: VerifyReport,
    lost: LostKeys,
    /// The comparison with `--against`, if the directory is intact.
    comparison: Option<Comparison>,
    /// Oddities that are not damage.
    notes: Vec<String>,
    /// Reasons why Turbopack would not read the directory, if `--for-turbopack` is given and the
    /// directory is intact.
    objections: Option<Vec<String>>,
}

impl Findings {
    /// The findings of a directory of which only this report is known.
    fn of(report: VerifyReport) -> Self {
        Self {
            is_protected: false,
            report,
            lost: LostKeys::default(),
            comparison: None,
            notes: Vec::new(),
            objections: None,
        }
    }

    /// Whether the files are intact, but `--against` or `--for-turbopack` refuses them.
    fn is_refused(&self) -> bool {
        let objects = self.objections.as_ref().is_some_and(|objections| !objections.is_empty());
        objects || self.comparison.as_ref().is_some_and(|comparison| !comparison.agrees())
    }
}

pub(crate) fn run(args: &VerifyArgs, context: Context) -> Result<Exit, CliError> {
    let started = Instant::now();
    let path = &args.path;
    if args.for_turbopack && url::is_url(path) {
        let text = "--for-turbopack is for directories of the file system";
        return Err(CliError::Usage(text.to_owned()));
    }
    let findings = match is_directory(path)? {
        true => directory(args, context)?,
        false => table(args, context)?,
    };
    let exit = match findings.is_refused() {
        true => Exit::Damaged,
        false => exit(&findings.report),
    };
    let Findings { is_protected, report, lost, comparison, notes, objections } = findings;
    let mut output = Output::stdout();
    if context.json {
        let summary = Summary::new(path, is_protected, &report, &lost);
        output.report(&Summary { comparison, notes, objections, ..summary })?;
    } else {
        for damage in &report.damage {
            output.report_line(with_causes(damage))?;
            let lost = lost.of(&DamagedPlace::of(damage)).filter(|_| is_damage(damage));
            for line in lost.into_iter().flat_map(Lost::lines) {
                output.line(line)?;
            }
        }
        if !context.quiet {
            let seconds = started.elapsed().as_secs_f64();
            output.report_line(format_args!(
                "{} in {seconds:.2} s",
                text(path, is_protected, &report)
            ))?;
        }
        for line in comparison.iter().flat_map(Comparison::lines) {
            output.line(line)?;
        }
        for note in notes.iter().filter(|_| !context.quiet) {
            output.report_line(format_args!("note: {note}"))?;
        }
        for objection in objections.iter().flatten() {
            output.report_line(format_args!("not for Turbopack: {objection}"))?;
        }
        if objections.is_some_and(|objections| objections.is_empty()) && !context.quiet {
            output.line("Turbopack of Next.js 16.3.0 can read it")?;
        }
    }
    output.finish()?;
    Ok(exit)
}

fn directory(args: &VerifyArgs, context: Context) -> Result<Findings, CliError> {
    let path = &args.path;
    let catalog = match read_catalog(path) {
        Ok(catalog) => catalog,
        // The report contains this damage too, and all that can be checked in spite of it.
        Err(CliError::Read(error)) if error.is_corruption() => {
            let report = verify_directory(path, &reader_options(), &Monitor::default())?;
            return Ok(Findings::of(report));
        }
        Err(error) => return Err(error),
    };
    if let Some(family) = args.family {
        check_family(&catalog, family)?;
    }
    let progress = context.progress.bytes(Some(size(&catalog)), "verify");
    let mut report = verify_directory(path, &reader_options(), &progress.bytes_monitor())?;
    let lost = LostKeys::in_directory(&catalog, &mut report, args.limit());
    let against = args.against.as_ref().filter(|_| report.is_intact());
    let comparison = against
        .map(|against| Comparison::new(&catalog, against, args.family, context))
        .transpose()?;
    let asks_turbopack = args.for_turbopack && report.is_intact();
    let objections = asks_turbopack
        .then(|| turbopack::objections(&catalog, &progress.bytes_monitor()))
        .transpose()?;
    let notes = notes::notes(&catalog)?;
    let is_protected = catalog.is_protected;
    Ok(Findings { is_protected, report, lost, comparison, notes, objections })
}

fn table(args: &VerifyArgs, context: Context) -> Result<Findings, CliError> {
    if args.against.is_some() {
        return Err(CliError::Usage("--against is for directories".to_owned()));
    }
    if args.for_turbopack {
        return Err(CliError::Usage("--for-turbopack is for directories".to_owned()));
    }
    let table = match open_table(&args.path, &reader_options()) {
        Ok(table) => table,
        Err(CliError::Read(error)) if error.is_corruption() => {
            let mut report = VerifyReport::default();
            report.damage.push(error);
            return Ok(Findings::of(report));
        }
        Err(error) => return Err(error),
    };
    let progress: ProgressLine = context.progress.bytes(Some(table.file.file_size()), "verify");
    let mut report = table.file.verify(&progress.bytes_monitor())?;
    let is_protected = table.described.is_some_and(|described| described.is_protected());
    let lost = LostKeys::in_table(&table.file, &mut report, args.limit());
    Ok(Findings { is_protected, lost, ..Findings::of(report) })
}

/// Number of bytes of all tables and blob files.
fn size(catalog: &Catalog) -> u64 {
    let tables = catalog.tables.iter().map(|table| table.record.file_size);
    // The size is for the progress bar only. A damaged list of blobs is reported by the check.
    let blobs = catalog.blobs().ok().into_iter().flat_map(|blobs| blobs.values());
    let blobs = blobs.map(|blob| blob.file_size);
    tables.chain(blobs).sum()
}

/// Whether an error means damage. A file may be intact that the operating system refused to read,
/// that did not fit into memory, that a newer commit removed during the verification, that a later
/// build wrote, or on which this build failed.
fn is_damage(error: &ReadError) -> bool {
    let is_missing =
        matches!(error, ReadError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound);
    is_missing || error.is_corruption()
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
    let mut text = format!("{}: {verdict}; ", path.display());
    if let Some(Shard { index, count, source, .. }) = report.shard {
        text.push_str(&format!("shard {index} of {count}, "));
        text.push_str(&match source.0 {
            0 => "changed here since it was copied; ".to_owned(),
            source => format!("of commit {source}; "),
        });
    }
    text.push_str(&counted(report.tables, "table"));
    for (number, noun) in [(report.blocks, "block"), (report.blobs, "blob")] {
        if number > 0 {
            text.push_str(", ");
            text.push_str(&counted(number, noun));
        }
    }
    let (entries, bytes) = (HumanCount(report.entries), HumanBytes(report.bytes));
    text + &format!(", {entries} entries, {bytes}")
}

/// The report, as JSON.
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
    /// The shard that the directory holds; left out if it holds everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    shard: Option<ShardLine>,
    damage: Vec<Damage<'a>>,
    /// Files that could not be read. They may be intact.
    unread: Vec<Damage<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<Comparison>,
    notes: Vec<String>,
    /// Reasons why Turbopack would not read the directory; left out without `--for-turbopack`.
    #[serde(rename = "not_for_turbopack", skip_serializing_if = "Option::is_none")]
    objections: Option<Vec<String>>,
}

#[derive(Serialize)]
struct ShardLine {
    index: u32,
    count: u32,
    first_hash: String,
    last_hash: String,
    /// The commit of the source; `None` if the directory has changed since.
    source_commit: Option<u32>,
}

impl ShardLine {
    fn new(shard: Shard) -> Self {
        let Shard { index, count, hashes, source, .. } = shard;
        let (first_hash, last_hash) =
            (format!("{:016x}", hashes.min), format!("{:016x}", hashes.max));
        let source_commit = (source.0 > 0).then_some(source.0);
        Self { index, count, first_hash, last_hash, source_commit }
    }
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
    fn new(path: &Path, is_protected: bool, report: &VerifyReport, lost: &'a LostKeys) -> Self {
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
            shard: report.shard.map(ShardLine::new),
            comparison: None,
            notes: Vec::new(),
            objections: None,
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
            lost: lost.of(&DamagedPlace::of(error)).filter(|_| is_damage(error)),
        }
    }
}

/// The diagnosis of a failed checksum, if the error has one.
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

#[cfg(test)]
mod tests {
    use sst_format::SequenceNumber;
    use sst_reader::FileLabel;

    use super::*;

    #[test]
    fn only_wrong_bytes_and_missing_files_are_damage() {
        let file = FileLabel::new("00000001.sst");
        let io = |kind: io::ErrorKind| ReadError::Io {
            file: file.clone(),
            operation: "open",
            source: kind.into(),
        };
        let (commit, current) = (SequenceNumber(1), SequenceNumber(2));
        let cause = Corruption::Missing;
        for error in [
            io(io::ErrorKind::NotFound),
            ReadError::Corrupt { file: file.clone(), block: None, cause },
        ] {
            assert!(is_damage(&error), "{error:?}");
        }
        for error in [
            io(io::ErrorKind::PermissionDenied),
            ReadError::OutOfMemory { file: file.clone(), block: None, bytes: 1 },
            ReadError::OverLimit { file: file.clone(), block: None, bytes: 1, limit: 0 },
            ReadError::Cancelled { file: file.clone() },
            ReadError::Outdated { file: file.clone(), commit, current },
            ReadError::Internal { file: file.clone(), invariant: "a test" },
        ] {
            assert!(!is_damage(&error), "{error:?}");
            let mut report = VerifyReport::default();
            report.damage.push(error);
            assert_eq!(exit(&report), Exit::Failure);
        }
    }
}
