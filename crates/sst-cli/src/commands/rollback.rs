//! `sst rollback`: returns a directory to an earlier generation.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use sst_format::SequenceNumber;
use sst_object_store::{ObjectPublisher, block_on};
use sst_writer::Publisher;

use super::merge::note_not_removed;
use super::retention_args::RetentionArgs;
use super::target::{check_directory, error_after};
use super::{Context, bucket, interrupt};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Output, counted};
use crate::store::read_catalog;
use crate::url;

const AFTER_HELP: &str = "\
A rollback is a new commit with the tables of an earlier one: readers see it as any other, it
happens whole or not at all, and it can be rolled back as well: the generation that is left
behind keeps its files, unless --keep-generations is 0. Files that no generation needs that is to
be kept are removed afterwards.

Examples:
  sst log unicode.db
  sst rollback unicode.db --keep-generations 3
  sst rollback unicode.db 42 --keep-generations 3";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct RollbackArgs {
    /// Directory to change, or the URL of a bucket
    #[arg(value_parser = url::parser())]
    dir: PathBuf,

    /// Generation to return to, as listed by `sst log` [default: the newest earlier complete one,
    /// skipping merges]
    generation: Option<u32>,

    #[command(flatten)]
    retention: RetentionArgs,
}

#[derive(Serialize)]
struct RolledBack {
    path: String,
    /// The commit before.
    replaced_commit: u32,
    commit: u32,
    tables: usize,
}

pub(crate) fn run(args: &RollbackArgs, context: Context) -> Result<Exit, CliError> {
    // A signal ends the rollback before its commit, or not at all: what has happened is reported.
    let monitor = interrupt::monitor();
    let from = read_catalog(&args.dir)?.commit.0;
    if url::is_url(&args.dir) {
        return in_bucket(args, from, context);
    }
    check_directory(&args.dir)?;
    let mut publisher = Publisher::open(&args.dir, args.retention.options())?;
    let before = publisher.current();
    let info = publisher.rollback(args.generation.map(SequenceNumber), &monitor);
    let info = info.map_err(|error| {
        let error = CliError::from(error).into_interrupted(&args.dir);
        error_after(&publisher, before, error)
    })?;
    let (commit, tables) = (info.commit.0, publisher.live_tables().count());
    note_not_removed(publisher.not_removed(), context);
    note_not_removed(&info.not_removed, context);
    if !args.retention.keeps_files() {
        context.note(format_args!(
            "{}: generation {from} was replaced for good: --keep-generations 0 keeps none of its files",
            args.dir.display(),
        ));
    }
    let path = args.dir.display().to_string();
    let printed = RolledBack { path, replaced_commit: from, commit, tables }.print(context);
    // The rollback is live even if its report cannot be printed.
    printed.map_err(|error| error.after_commit(&args.dir, commit))?;
    Ok(Exit::Success)
}

/// Rolls a bucket back. Nothing is removed there: `sst gc` does that.
fn in_bucket(args: &RollbackArgs, from: u32, context: Context) -> Result<Exit, CliError> {
    let store = bucket::bucket(&args.dir)?;
    let (commit, tables) = block_on(async {
        let mut publisher = ObjectPublisher::new(&store, bucket::options())?;
        let info =
            publisher.rollback(args.generation.map(SequenceNumber), &interrupt::monitor()).await?;
        let tables = publisher.live_tables().count();
        // The commit is live. A claim that stays costs nothing but time.
        _ = publisher.close().await;
        Ok((info.commit.0, tables))
    })?;
    let path = args.dir.display().to_string();
    let printed = RolledBack { path, replaced_commit: from, commit, tables }.print(context);
    printed.map_err(|error| error.after_commit(&args.dir, commit))?;
    Ok(Exit::Success)
}

impl RolledBack {
    fn print(&self, context: Context) -> Result<(), CliError> {
        let mut output = Output::stdout();
        if context.json {
            output.report(self)?;
        } else if !context.quiet {
            output.report_line(format_args!(
                "{}: generation {} replaced {}, with {}",
                self.path,
                self.commit,
                self.replaced_commit,
                counted(self.tables as u64, "table"),
            ))?;
        }
        output.finish()
    }
}
