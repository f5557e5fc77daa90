//! `sst gc`: removes the objects that no commit of a bucket needs.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use sst_object_store::{GcOptions, Place, block_on, collect_garbage};

use super::mirror_args::place;
use super::{Context, interrupt};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Output, counted};
use crate::size;

const AFTER_HELP: &str = "\
Removes the files of commits that were replaced, and those that crashed writers have left. It
spares the newest commit, the generations before it that are to be kept, everything that is
younger than the grace period, and the files of writers at work. It may run at any time.
Directories need no such command: each commit there removes what is no longer needed.

Examples:
  sst gc s3://bucket/unicode.db --dry-run
  sst gc s3://bucket/unicode.db --keep-generations 3 --grace 1h";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct GcArgs {
    /// URL of the bucket: s3://, gs:// or az://
    url: String,

    /// Number of earlier generations to keep; commits that only merged do not count
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    keep_generations: usize,

    /// Time for which an object stays in any case: longer than the longest push
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = size::time)]
    grace: Duration,

    /// Print what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Collected<'a> {
    url: &'a str,
    dry_run: bool,
    removed: Vec<String>,
    removed_bytes: u64,
    spared: u64,
}

pub(crate) fn run(args: &GcArgs, context: Context) -> Result<Exit, CliError> {
    let Place::Bucket(store) = place(&args.url)? else {
        let reason = "a directory needs no `gc`: each commit there removes what no commit needs";
        return Err(CliError::Usage(format!("{}: {reason}", args.url)));
    };
    let options = GcOptions::default()
        .keep_generations(args.keep_generations)
        .grace(args.grace)
        .dry_run(args.dry_run);
    let report = block_on(collect_garbage(&store, &options, &interrupt::monitor()))?;
    let collected = Collected {
        url: &args.url,
        dry_run: args.dry_run,
        removed: report.removed.iter().map(ToString::to_string).collect(),
        removed_bytes: report.removed_bytes,
        spared: report.spared,
    };
    let mut output = Output::stdout();
    if context.json {
        output.report(&collected)?;
    } else if !context.quiet {
        let Collected { url, removed_bytes, spared, .. } = collected;
        let files = counted(collected.removed.len() as u64, "file");
        let verb = if args.dry_run { "to remove" } else { "removed" };
        output.report_line(format_args!(
            "{url}: {files} {verb}, {removed_bytes} bytes; {spared} spared"
        ))?;
    }
    output.finish()?;
    Ok(Exit::Success)
}
