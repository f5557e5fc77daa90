//! `sst pull`: copies the newest commit of a store into a directory.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use sst_object_store::{
    MirrorOptions, MirrorReport, Monitor, Place, ShardNumber, Store, StoreError, block_on, follow,
    pull,
};

use super::mirror_args::{Copied, MirrorArgs, note_untidied, place};
use super::{Context, interrupt};
use crate::error::{CliError, with_causes};
use crate::exit::Exit;
use crate::output::Output;
use crate::{size, url};

const AFTER_HELP: &str = "\
Files that the directory has are not copied again. Every byte is verified on its way. Readers of
the directory see the commit before or the new one, and need not be told. A pull that was
interrupted goes on where it ended. With --shard only the tables and blobs are copied that the
shard's range of hashes needs; lookups of keys of other shards are refused. With --follow it goes on until Ctrl-C: it copies each new
commit, and waits out errors of the network.

Examples:
  sst pull s3://bucket/unicode.db unicode.db
  sst pull s3://bucket/unicode.db unicode.db --follow --keep 2
  sst pull s3://bucket/unicode.db unicode.db --shard 0/3 --follow";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct PullArgs {
    /// URL or path of the source: s3://, gs://, az://, http://, https:// or file://
    source: String,

    /// Directory to copy into; it is created if it is missing
    #[arg(value_parser = url::path_parser())]
    dir: PathBuf,

    /// Copy one of N shards with equal ranges of hashes, numbered from 0
    #[arg(long, value_name = "I/N")]
    shard: Option<ShardNumber>,

    /// Stay at the newest commit of the source, until Ctrl-C
    #[arg(long)]
    follow: bool,

    /// Time between two looks at the source: seconds, or with a unit, such as 0.5s
    #[arg(long, value_name = "TIME", default_value = "1s", requires = "follow",
        value_parser = size::pause)]
    interval: Duration,

    /// Number of earlier generations to keep, for `sst rollback`
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    keep: usize,

    #[command(flatten)]
    mirror: MirrorArgs,
}

pub(crate) fn run(args: &PullArgs, context: Context) -> Result<Exit, CliError> {
    let source = place(&args.source)?.store()?;
    let bar = context.progress.bytes(None, "pull");
    let monitor = bar.bytes_monitor().cancel(interrupt::token());
    let options = args.mirror.options().keep_generations(args.keep).shard(args.shard);
    if args.follow {
        return follow_until_interrupted(args, &source, &options, &monitor, context);
    }
    let pulled = block_on(pull(&source, &args.dir, &options, &monitor));
    drop(bar);
    let report = pulled.map_err(|error| CliError::from(error).into_interrupted(&args.dir))?;
    let commit = report.commit.sequence().0;
    let target = args.dir.display().to_string();
    let mut output = Output::stdout();
    let printed = Copied::new(&args.source, &target, &report).print(&mut output, context);
    note_untidied(&target, report, context)?;
    printed
        .and_then(|()| output.finish())
        .map_err(|error| error.after_commit(&args.dir, commit))?;
    Ok(Exit::Success)
}

/// Copies each new commit. Ctrl-C is the regular end.
fn follow_until_interrupted(
    args: &PullArgs,
    source: &Store,
    options: &MirrorOptions,
    monitor: &Monitor,
    context: Context,
) -> Result<Exit, CliError> {
    let target = args.dir.display().to_string();
    let place = Place::Directory(args.dir.clone());
    let mut output = Output::stdout();
    let mut printed = Ok(());
    let mut last_error = None;
    let observe = |event: Result<&MirrorReport, &StoreError>| match event {
        Ok(report) => {
            last_error = None;
            let copied = Copied::new(&args.source, &target, report);
            // A reader that has gone away is noticed at the end; the copies go on.
            printed = copied.print(&mut output, context);
            if let Some(error) = &report.not_tidied {
                context.note(with_causes(error));
            }
        }
        Err(error) => {
            // One message for a night without a network.
            let text = with_causes(error);
            if last_error.as_ref() != Some(&text) {
                context.note(&text);
                last_error = Some(text);
            }
        }
    };
    let end = block_on(async {
        Ok(follow(source, &place, options, args.interval, monitor, observe).await)
    })?;
    match end {
        StoreError::Cancelled => {
            printed?;
            output.finish()?;
            Ok(Exit::Success)
        }
        error => Err(error.into()),
    }
}
