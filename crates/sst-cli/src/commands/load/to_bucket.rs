//! `sst load` into a bucket: tables are uploaded while they are written.

use std::path::Path;
use std::time::Instant;

use sst_writer::bulk::{BulkSummary, RemoteLoader};
use sst_writer::table::Compression;

use super::report::{Loaded, report};
use super::{LoadArgs, bulk_options, note_refused, read_inputs, with_input_names, write_monitor};
use crate::commands::bucket::{BucketCommit, WrittenObjects, bucket};
use crate::commands::mode_arg::Mode;
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
    let cancel = interrupt::token();
    let monitor = write_monitor(&cancel, context);
    let commit = BucketCommit {
        family: output.family,
        mode: if output.increment { Mode::Append } else { output.mode },
        certify: output.certify.certify,
        dry_run: output.dry_run,
    };
    let options = bulk_options(output).skip_refused(args.input_options.skip_bad);
    let replaced = commit.replaced(url)?;
    let written = commit.publish(&bucket(url)?, |place| {
        let loader = RemoteLoader::new(place, options, Compression::default(), &monitor);
        let loader = loader.map_err(CliError::Bulk)?;
        let handle = |stream| loader.handle(stream);
        let skipped = read_inputs(handle, inputs, args, &cancel, context)?;
        let mut load = loader.finish().map_err(|error| with_input_names(error, inputs))?;
        let objects = WrittenObjects::from(&mut load);
        Ok(((load.summary, skipped), objects))
    });
    let ((mut summary, skipped), info): ((BulkSummary, u64), _) =
        written.map_err(|error| error.into_interrupted(url))?;
    let skipped = note_refused(&mut summary, skipped, inputs, context);
    let is_live = info.is_some();
    if let Some(info) = info {
        (summary.commit, summary.certificates) = (info.commit, info.certificates);
    }
    if let Some(replaced) = replaced {
        context.note(if is_live { replaced.undoable(url) } else { replaced.would_be(url) });
    }
    let loaded = Loaded::new(&summary, output.family, is_live, skipped, started.elapsed());
    let reported = report(url, &loaded, context);
    match is_live {
        true => reported.map_err(|error| error.after_commit(url, summary.commit.0))?,
        false => reported?,
    }
    Ok(Exit::Success)
}
