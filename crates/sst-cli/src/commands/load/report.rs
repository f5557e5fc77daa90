//! The summary of `sst load`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, HumanFloatCount};
use serde::Serialize;
use sst_writer::bulk::BulkSummary;

use super::Context;
use crate::error::CliError;
use crate::output::Output;

/// The figures of the summary.
#[derive(Debug, Serialize)]
pub(super) struct Loaded {
    /// The commit's sequence number; `None` for a dry run.
    commit: Option<u32>,
    entries: u64,
    tombstones: u64,
    duplicates: u64,
    tables: u64,
    blobs: u64,
    /// The digest of all live entries, if the commit is certified.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    /// Number of bytes of all tables and blob files.
    bytes: u64,
    /// Number of lines and rows that could not be read.
    skipped: u64,
    /// Number of bytes of the keys and values in the input.
    input_bytes: u64,
    /// Number of bytes written to temporary files.
    spilled_bytes: u64,
    /// Peak memory of the process in bytes; `None` if the system does not report it.
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_memory: Option<u64>,
    seconds: f64,
    entries_per_second: f64,
}

impl Loaded {
    pub(super) fn new(
        summary: &BulkSummary,
        family: u32,
        is_live: bool,
        skipped: u64,
        elapsed: Duration,
    ) -> Self {
        let mut certificates = summary.certificates.iter();
        let certificate = certificates.find(|certificate| certificate.family == family);
        let seconds = elapsed.as_secs_f64();
        Self {
            commit: is_live.then_some(summary.commit.0),
            entries: summary.entries,
            tombstones: summary.tombstones,
            duplicates: summary.duplicates,
            tables: summary.tables,
            blobs: summary.blobs,
            digest: certificate.map(|certificate| format!("{:x}", certificate.content)),
            bytes: summary.file_bytes,
            skipped,
            input_bytes: summary.record_bytes,
            spilled_bytes: summary.spilled_bytes,
            peak_memory: peak_memory(),
            seconds,
            entries_per_second: summary.entries as f64 / seconds.max(f64::MIN_POSITIVE),
        }
    }
}

/// The summary, as JSON.
#[derive(Serialize)]
struct InDirectory<'a> {
    path: String,
    #[serde(flatten)]
    loaded: &'a Loaded,
}

/// Prints the summary.
pub(super) fn report(directory: &Path, it: &Loaded, context: Context) -> Result<(), CliError> {
    let directory = directory.display();
    let mut output = Output::stdout();
    if context.json {
        output.report(&InDirectory { path: directory.to_string(), loaded: it })?;
    } else if !context.quiet {
        output.report_line(format_args!(
            "{directory}: {} in {}, {} in {:.2} s, {} entries/s",
            number_of(it.entries, "entry", "entries"),
            number_of(it.tables, "table", "tables"),
            HumanBytes(it.bytes),
            it.seconds,
            HumanFloatCount(it.entries_per_second.round()),
        ))?;
        for (number, one, many) in [
            (it.tombstones, "of them is a tombstone", "of them are tombstones"),
            (it.blobs, "value is in its own blob file", "values are in their own blob files"),
            (it.duplicates, "duplicate was dropped", "duplicates were dropped"),
            (it.skipped, "bad line was skipped", "bad lines were skipped"),
        ] {
            if number > 0 {
                output.report_line(format_args!("  {}", number_of(number, one, many)))?;
            }
        }
        if it.commit.is_none() {
            output.line("  a dry run: nothing was published")?;
        }
        if let Some(digest) = &it.digest {
            output.report_line(format_args!("  read back and certified: {digest}"))?;
        }
        if it.spilled_bytes > 0 {
            let spilled = HumanBytes(it.spilled_bytes);
            output.report_line(format_args!("  {spilled} went through temporary files"))?;
        }
    }
    output.finish()
}

fn number_of(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", HumanCount(number), if number == 1 { one } else { many })
}

/// The peak resident memory of the process in bytes. Linux only; elsewhere `None`, and the field is
/// left out.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
