//! `sst push`: copies the newest commit of a directory to a store.

use std::path::PathBuf;

use clap::Args;
use sst_object_store::{block_on, push};

use super::mirror_args::{Copied, MirrorArgs, note_untidied, place};
use super::{Context, interrupt};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::Output;
use crate::url;

const AFTER_HELP: &str = "\
Files that the target has are not copied again. Every byte is verified on its way. Readers of the
target see the commit before or the new one. A push that was interrupted goes on where it ended.
Objects that no commit needs any more stay until `sst gc` removes them.

Examples:
  sst push unicode.db s3://bucket/unicode.db
  sst push unicode.db file:///mnt/backup/unicode.db --rate 20MiB";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct PushArgs {
    /// Directory to copy
    #[arg(value_parser = url::path_parser())]
    dir: PathBuf,

    /// URL or path of the target: s3://, gs://, az:// or file://
    target: String,

    #[command(flatten)]
    mirror: MirrorArgs,
}

pub(crate) fn run(args: &PushArgs, context: Context) -> Result<Exit, CliError> {
    let target = place(&args.target)?;
    let bar = context.progress.bytes(None, "push");
    let monitor = bar.bytes_monitor().cancel(interrupt::token());
    let pushed = block_on(push(&args.dir, &target, &args.mirror.options(), &monitor));
    drop(bar);
    let report =
        pushed.map_err(|error| CliError::from(error).into_interrupted(args.target.as_ref()))?;
    let source = args.dir.display().to_string();
    let mut output = Output::stdout();
    let printed = Copied::new(&source, &args.target, &report).print(&mut output, context);
    let commit = report.commit.sequence().0;
    note_untidied(&args.target, report, context)?;
    printed
        .and_then(|()| output.finish())
        .map_err(|error| error.after_commit(args.target.as_ref(), commit))?;
    Ok(Exit::Success)
}
