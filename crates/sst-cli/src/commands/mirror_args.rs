//! Arguments of the commands that copy commits.

use std::num::NonZeroUsize;

use clap::Args;
use serde::Serialize;
use sst_object_store::{MirrorOptions, MirrorReport, Place, StoreError};

use super::Context;
use super::merge::note_not_removed;
use crate::error::CliError;
use crate::output::{Output, counted};
use crate::size;

/// Limits of a copy, and its permission to replace.
#[derive(Debug, Args)]
pub(crate) struct MirrorArgs {
    /// Replace a target whose newest commit is none of the source's
    #[arg(long)]
    replace: bool,

    /// Read the files that the target has, too, and copy those again that are damaged
    #[arg(long)]
    repair: bool,

    /// Highest number of files, and of pieces of 8 MiB, that are copied at once [default: 8]
    #[arg(long, value_name = "COUNT")]
    parallel: Option<NonZeroUsize>,

    /// Highest number of bytes that are copied in a second, such as 20MiB [default: no limit]
    #[arg(long, value_name = "SIZE", value_parser = size::bytes_from_one)]
    rate: Option<u64>,
}

impl MirrorArgs {
    pub(crate) fn options(&self) -> MirrorOptions {
        let defaults = MirrorOptions::default();
        let parallel = self.parallel.map_or(defaults.parallel, NonZeroUsize::get);
        defaults
            .replace(self.replace)
            .repair(self.repair)
            .parallel(parallel)
            .bytes_per_second(self.rate)
    }
}

/// The place of a URL or of a path.
pub(crate) fn place(text: &str) -> Result<Place, StoreError> {
    match Place::is_url(text) {
        true => Place::from_url(text),
        false => Ok(Place::Directory(text.into())),
    }
}

/// The result of a copy, as it is printed.
#[derive(Serialize)]
pub(crate) struct Copied<'a> {
    source: &'a str,
    target: &'a str,
    commit: u32,
    changed: bool,
    copied_files: u64,
    copied_bytes: u64,
    kept_files: u64,
}

impl<'a> Copied<'a> {
    pub(crate) fn new(source: &'a str, target: &'a str, report: &MirrorReport) -> Self {
        Self {
            source,
            target,
            commit: report.commit.sequence().0,
            changed: report.is_changed(),
            copied_files: report.copied_files,
            copied_bytes: report.copied_bytes,
            kept_files: report.kept_files,
        }
    }

    /// Prints the result.
    pub(crate) fn print(&self, output: &mut Output, context: Context) -> Result<(), CliError> {
        if context.json {
            output.report(self)?;
        } else if !context.quiet {
            let Self { source, target, commit, kept_files, .. } = self;
            let copied = counted(self.copied_files, "file");
            let bytes = self.copied_bytes;
            match self.changed {
                // Files that were missing or damaged.
                false if self.copied_files > 0 => output.report_line(format_args!(
                    "{target}: commit {commit} of {source}, as before; {copied} copied anew, {bytes} bytes; {kept_files} were there",
                ))?,
                true => output.report_line(format_args!(
                    "{target}: commit {commit} of {source}; {copied} copied, {bytes} bytes; {kept_files} were there",
                ))?,
                false => output.report_line(format_args!(
                    "{target}: commit {commit} of {source}; nothing to copy",
                ))?,
            }
        }
        output.flush()
    }
}

/// Prints the files that a copy has left behind. The error that has kept them is an error of a step
/// after the commit.
pub(crate) fn note_untidied(
    target: &str,
    report: MirrorReport,
    context: Context,
) -> Result<(), CliError> {
    note_not_removed(&report.not_removed, context);
    match report.not_tidied {
        Some(error) => {
            let commit = report.commit.sequence().0;
            Err(CliError::from(error).after_commit(target.as_ref(), commit))
        }
        None => Ok(()),
    }
}
