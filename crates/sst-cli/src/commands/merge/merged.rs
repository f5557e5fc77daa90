//! The report of a merge.

use std::path::Path;
use std::time::Instant;

use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;
use sst_merge::MergeReport;

use crate::commands::Context;
use crate::error::CliError;
use crate::output::{Output, counted, entries};

/// The outcome of a merge, as JSON.
#[derive(Serialize)]
pub(super) struct Merged {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    family: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced_tables: Option<u64>,
    read: u64,
    hidden: u64,
    dropped_tombstones: u64,
    entries: u64,
    tombstones: u64,
    stored_blocks: u64,
    blobs: u64,
    copied_blobs: u64,
    tables: u64,
    bytes: u64,
    seconds: f64,
}

impl Merged {
    pub(super) fn new(
        output: &Path,
        family: Option<u32>,
        commit: Option<u32>,
        replaced_tables: Option<u64>,
        report: &MergeReport,
        started: Instant,
    ) -> Self {
        Self {
            path: output.display().to_string(),
            family,
            commit,
            replaced_tables,
            read: report.read,
            hidden: report.hidden,
            dropped_tombstones: report.dropped_tombstones,
            entries: report.entries,
            tombstones: report.tombstones,
            stored_blocks: report.stored_blocks,
            blobs: report.blobs,
            copied_blobs: report.copied_blobs,
            tables: report.tables,
            bytes: report.table_bytes,
            seconds: started.elapsed().as_secs_f64(),
        }
    }

    pub(super) fn print(&self, context: Context) -> Result<(), CliError> {
        let mut output = Output::stdout();
        if context.json {
            output.report(self)?;
        } else if !context.quiet {
            let family = match self.family {
                Some(family) if family != 0 => format!(", family {family}"),
                _ => String::new(),
            };
            output.report_line(format_args!(
                "{}{family}: {} in {}, {} in {:.2} s",
                self.path,
                entries(self.entries),
                counted(self.tables, "table"),
                HumanBytes(self.bytes),
                self.seconds,
            ))?;
            for (label, number) in [
                // A line whose count is 0 is not printed.
                ("tables replaced", self.replaced_tables.unwrap_or(0)),
                ("entries hidden by newer ones", self.hidden),
                ("tombstones dropped", self.dropped_tombstones),
                ("tombstones kept", self.tombstones),
                ("blocks copied unchanged", self.stored_blocks),
                ("blob files copied unchanged", self.copied_blobs),
            ] {
                if number > 0 {
                    output.report_line(format_args!("  {label}: {}", HumanCount(number)))?;
                }
            }
        }
        output.finish()
    }
}
