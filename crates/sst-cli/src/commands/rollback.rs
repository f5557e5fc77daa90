//! `sst rollback`: a directory shows an earlier generation again.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use sst_format::SequenceNumber;
use sst_writer::Publisher;

use super::Context;
use super::merge::note_not_removed;
use super::retention_args::RetentionArgs;
use super::target::check_directory;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Output, counted};
use crate::store::read_catalog;

const AFTER_HELP: &str = "\
A rollback is a new commit with the tables of an earlier one: readers see it as any other, it
happens whole or not at all, and it can be rolled back as well. Files that no generation needs
that is to be kept are removed afterwards: without --keep-generations those of the generation
that is left behind too.

Examples:
  sst log unicode.db
  sst rollback unicode.db --keep-generations 3
  sst rollback unicode.db 42 --keep-generations 3";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct RollbackArgs {
    /// The directory
    dir: PathBuf,

    /// Generation to go back to, as `sst log` lists them [default: the newest earlier one that is
    /// complete]
    generation: Option<u32>,

    #[command(flatten)]
    retention: RetentionArgs,
}

#[derive(Serialize)]
struct RolledBack {
    dir: String,
    from: u32,
    sequence: u32,
    tables: usize,
}

pub(crate) fn run(args: &RollbackArgs, context: Context) -> Result<Exit, CliError> {
    let from = read_catalog(&args.dir)?.commit.0;
    check_directory(&args.dir)?;
    // What is to be gone back to must not be removed on the way: the retention asked for comes
    // after.
    let everything = args.retention.options().keep_obsolete_files(true);
    let mut publisher = Publisher::open(&args.dir, everything)?;
    let commit = publisher.rollback(args.generation.map(SequenceNumber))?;
    let tables = publisher.live_tables().count();
    drop(publisher);
    let publisher = Publisher::open(&args.dir, args.retention.options())?;
    note_not_removed(publisher.not_removed(), context);
    let mut output = Output::stdout();
    if context.json {
        output.json(&RolledBack {
            dir: args.dir.display().to_string(),
            from,
            sequence: commit.sequence.0,
            tables,
        })?;
    } else if !context.quiet {
        output.line(format_args!(
            "{}: generation {} took the place of {from}, with {}",
            args.dir.display(),
            commit.sequence.0,
            counted(tables as u64, "table"),
        ))?;
    }
    output.finish()?;
    Ok(Exit::Success)
}
