//! `sst load` into a bucket.

use std::path::Path;
use std::time::Instant;

use sst_writer::PublisherOptions;

use super::report::{Loaded, report};
use super::{LoadArgs, load};
use crate::commands::mode_arg::Mode;
use crate::commands::staged::Staged;
use crate::commands::target::Target;
use crate::commands::{Context, interrupt};
use crate::error::CliError;
use crate::exit::Exit;
use crate::input::Format;

pub(super) fn run(
    args: &LoadArgs,
    inputs: &[(&Path, Format)],
    url: &Path,
    started: Instant,
    context: Context,
) -> Result<Exit, CliError> {
    let output = &args.output_options;
    let staged = Staged::new(url, output.temp_dir.as_deref())?;
    let options = PublisherOptions::default();
    let mut target = Target::open(&staged.directory(), options)?;
    let loaded = load(&mut target, inputs, args, false, &interrupt::token(), context);
    // Only the bucket counts: the directory is removed in any case.
    drop(target);
    let (mut summary, skipped) = loaded.map_err(|error| error.into_interrupted(url))?;
    let is_live = !output.dry_run;
    if is_live {
        let mode = if output.increment { Mode::Append } else { output.mode };
        let published = staged.publish(output.family, mode, output.certify.certify);
        let info = published.map_err(|error| error.into_interrupted(url))?;
        (summary.commit, summary.certificates) = (info.commit, info.certificates);
    }
    let loaded = Loaded::new(&summary, output.family, is_live, skipped, started.elapsed());
    let reported = report(url, &loaded, context);
    match is_live {
        true => reported.map_err(|error| error.after_commit(url, summary.commit.0))?,
        false => reported?,
    }
    Ok(Exit::Success)
}
