//! `sst merge`: merges tables into a directory, into one file, or in place.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{ArgGroup, Args};
use sst_merge::{
    Inputs, MergeReport, OlderTables, merge_into_commit, merge_into_file, merge_into_output,
};
use sst_writer::file::FileError;
use sst_writer::publish::CommitInfo;
use sst_writer::{Publisher, PublisherOptions};

use self::by_policy::compact_by_policy;
use self::in_place::compact_directory;
use self::merged::Merged;
use super::Context;
use super::bucket::{BucketCommit, WrittenObjects, bucket};
use super::certify_arg::CertifyArg;
use super::inputs::{DuplicatesArg, OpenInputs, open_inputs};
use super::interrupt::{self, entries_monitor};
use super::mode_arg::Mode;
use super::replaced::Replaced;
use super::retention_args::RetentionArgs;
use super::table_args::TableArgs;
use super::target::{Target, exists};
use crate::error::{CliError, with_causes};
use crate::exit::Exit;
use crate::{size, url};

mod by_policy;
mod in_place;
mod merged;

const AFTER_HELP: &str = "\
Later inputs are newer: where two know a key, the later one counts. Tombstones are dropped
where nothing older remains that they could hide.

Examples:
  sst merge monday.db tuesday.db corrections.sst --output week.db
  sst merge monday.db tuesday.db --output both.sst
  sst merge week.db --in-place
  sst merge week.db --in-place --newest 4
  sst merge week.db --auto";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
#[command(group = ArgGroup::new("where").required(true).args(["output", "in_place", "auto"]))]
pub(crate) struct MergeArgs {
    /// Directories and .sst files, or their URLs, the oldest first
    #[arg(required = true, value_name = "INPUT", value_parser = url::parser())]
    inputs: Vec<PathBuf>,

    /// Directory to merge into, created if it does not exist, or the URL of a bucket; or one file,
    /// if the name ends in .sst
    #[arg(long, short, value_name = "DIR|FILE", value_parser = url::output_parser())]
    output: Option<PathBuf>,

    /// Replace the tables of the one given directory by fewer, merged tables
    ///
    /// All families are merged, each in its own commit. If the command is stopped, each family is
    /// either merged or unchanged.
    #[arg(long)]
    in_place: bool,

    /// With --in-place: merge only this many of the newest tables of each family
    #[arg(long, value_name = "COUNT", requires = "in_place",
        value_parser = clap::value_parser!(u32).range(1..))]
    newest: Option<u32>,

    /// Merge as many of the newest layers of the one given directory as are worth it
    ///
    /// A layer is what one load adds: tables beside each other, of which a lookup asks one. For
    /// regular runs between loads. Nothing is done as long as there are few layers. Each merge is a
    /// commit of its own.
    #[arg(long)]
    auto: bool,

    /// With --auto: the highest number of layers of a family [default: 8]
    #[arg(long, value_name = "COUNT", requires = "auto",
        value_parser = clap::value_parser!(u16).range(1..=64))]
    max_layers: Option<u16>,

    /// With --auto: the highest size of the tables of a family to merge [default: no limit]
    ///
    /// A family that would take more is merged range by range of hashes, in later runs.
    #[arg(long, value_name = "SIZE", requires = "auto", value_parser = size::bytes)]
    max_bytes: Option<u64>,

    /// With --auto: the space that a family may take, in per cent of its live entries [default:
    /// 130]
    #[arg(long, value_name = "PERCENT", requires = "auto",
        value_parser = clap::value_parser!(u64).range(101..))]
    max_space: Option<u64>,

    /// With --auto: how many of 100 loaded entries replace an older one [default: 50]
    ///
    /// It cannot be known without reading, and tells how much space the family takes.
    #[arg(long, value_name = "PERCENT", requires = "auto",
        value_parser = clap::value_parser!(u64).range(..=100))]
    replaced: Option<u64>,

    /// With --auto: print what would be merged, and change nothing
    #[arg(long, requires = "auto")]
    dry_run: bool,

    /// Replace the entries of the output directory, or add to them
    #[arg(long, value_enum, default_value_t = Mode::Replace,
        conflicts_with_all = ["in_place", "auto"])]
    mode: Mode,

    /// Which entries to keep of a key that occurs more than once
    #[arg(long, value_enum, default_value_t = DuplicatesArg::Newest)]
    duplicates: DuplicatesArg,

    #[command(flatten)]
    retention: RetentionArgs,

    #[command(flatten)]
    certify: CertifyArg,

    /// Keep all tombstones, even those that hide nothing in the output
    #[arg(long, conflicts_with_all = ["in_place", "auto"])]
    keep_tombstones: bool,

    /// Key space to merge [default: the only one, or the lowest; with --in-place all]
    #[arg(long, value_name = "NUMBER")]
    family: Option<u32>,

    #[command(flatten)]
    tables: TableArgs,
}

impl MergeArgs {
    /// Refuses options that would have no effect. `requires` of the parser does not: the option
    /// that is required excludes the one that is given.
    fn check(&self) -> Result<(), CliError> {
        let is_file = self.output.as_deref().is_some_and(is_table_name);
        let without_effect = [
            ("--dry-run", self.dry_run && !self.auto, "without --auto"),
            ("--max-layers", self.max_layers.is_some() && !self.auto, "without --auto"),
            ("--max-bytes", self.max_bytes.is_some() && !self.auto, "without --auto"),
            ("--max-space", self.max_space.is_some() && !self.auto, "without --auto"),
            ("--replaced", self.replaced.is_some() && !self.auto, "without --auto"),
            ("--newest", self.newest.is_some() && !self.in_place, "without --in-place"),
            ("--certify", self.certify.certify && is_file, "on a file, which has no commit"),
        ];
        match without_effect.into_iter().find(|(_, is_given, _)| *is_given) {
            Some((option, _, place)) => {
                Err(CliError::Usage(format!("{option} has no effect {place}")))
            }
            None => Ok(()),
        }
    }
}

/// Whether an output is one file.
fn is_table_name(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "sst")
}

pub(crate) fn run(args: &MergeArgs, context: Context) -> Result<Exit, CliError> {
    args.check()?;
    interrupt::install();
    match &args.output {
        None if args.inputs.iter().any(|input| url::is_url(input)) => {
            let text = "a bucket is not merged in place: merge it into another one with --output";
            Err(CliError::Usage(text.to_owned()))
        }
        None if args.auto => compact_by_policy(args, context),
        None => compact_directory(args, context),
        Some(path) if is_table_name(path) => {
            merge_to_file(args, path, context).map_err(|error| error.into_interrupted(path))
        }
        Some(path) if url::is_url(path) => {
            merge_to_bucket(args, path, context).map_err(|error| error.into_interrupted(path))
        }
        Some(path) => {
            merge_to_directory(args, path, context).map_err(|error| error.into_interrupted(path))
        }
    }
}

fn merge_to_directory(args: &MergeArgs, path: &Path, context: Context) -> Result<Exit, CliError> {
    let started = Instant::now();
    let open_target = || Target::open(path, publisher_options(args));
    // Lock an existing output before reading the inputs, since the output may be one of them. A new
    // directory is created only after the inputs were found.
    let early = if exists(path)? { Some(open_target()?) } else { None };
    let OpenInputs { inputs, family } = open_inputs(&args.inputs, args.family, context)?;
    let mut target = early.map_or_else(open_target, Ok)?;
    let replaced = match args.mode {
        Mode::Replace => Replaced::of(&mut target, family)?,
        Mode::Append => None,
    };
    let older = |publisher: &Publisher| match args.mode {
        Mode::Replace => OlderTables::none(),
        Mode::Append => {
            let live = publisher.live_tables().filter(|(of, _)| *of == family);
            OlderTables::of(live.map(|(_, table)| table.min_hash..=table.max_hash))
        }
    };
    let merged = target.write(|publisher| {
        let older = older(publisher);
        merge_into(publisher, inputs, family, older, args, context)
    });
    let (report, info) = merged?;
    note_not_removed(&info.not_removed, context);
    if let Some(replaced) = replaced {
        context.note(replaced.text(path, args.retention));
    }
    let commit = info.commit.0;
    let merged = Merged::new(path, Some(family), Some(commit), None, &report, started);
    merged.print(context).map_err(|error| error.after_commit(path, commit))?;
    Ok(Exit::Success)
}

fn merge_to_bucket(args: &MergeArgs, path: &Path, context: Context) -> Result<Exit, CliError> {
    let started = Instant::now();
    let store = bucket(path)?;
    let OpenInputs { inputs, family } = open_inputs(&args.inputs, args.family, context)?;
    let older = match args.mode {
        Mode::Replace if !args.keep_tombstones => OlderTables::none(),
        // Other writers may add tables meanwhile.
        Mode::Replace | Mode::Append => OlderTables::unknown(),
    };
    let options = args.tables.merge_options().duplicates(args.duplicates.into()).older(older);
    let (mode, certify) = (args.mode, args.certify.certify);
    let commit = BucketCommit { family, mode, certify, dry_run: false };
    let replaced = commit.replaced(path)?;
    let (report, info) = commit.publish(&store, |output| {
        let bar = context.progress.entries_if_known(inputs.entry_count(), "merge");
        let mut merged = merge_into_output(&inputs, output, &options, &entries_monitor(&bar))?;
        let objects = WrittenObjects::from(&mut merged);
        Ok((merged.report, objects))
    })?;
    if let Some(replaced) = replaced {
        context.note(replaced.undoable(path));
    }
    let commit = info.map(|info| info.commit.0);
    let merged = Merged::new(path, Some(family), commit, None, &report, started);
    merged.print(context).map_err(|error| error.after_bucket(path, commit))?;
    Ok(Exit::Success)
}

/// Merges the inputs into a directory as one commit.
fn merge_into(
    publisher: &mut Publisher,
    inputs: Inputs,
    family: u32,
    older: OlderTables,
    args: &MergeArgs,
    context: Context,
) -> Result<(MergeReport, CommitInfo), CliError> {
    let older = if args.keep_tombstones { OlderTables::unknown() } else { older };
    let options = args.tables.merge_options().duplicates(args.duplicates.into()).older(older);
    let mut commit = publisher.begin_family(family);
    if args.mode == Mode::Replace {
        commit.replace_all();
    }
    let report = {
        let bar = context.progress.entries_if_known(inputs.entry_count(), "merge");
        merge_into_commit(&inputs, &mut commit, &options, &entries_monitor(&bar))?
    };
    // Close the input tables. They may be among the files that the commit makes obsolete.
    drop(inputs);
    Ok((report, sst_merge::publish(commit, &interrupt::monitor())?))
}

fn publisher_options(args: &MergeArgs) -> PublisherOptions {
    args.retention.options().digest(args.certify.certify)
}

fn merge_to_file(args: &MergeArgs, path: &Path, context: Context) -> Result<Exit, CliError> {
    let started = Instant::now();
    if args.mode == Mode::Append {
        return Err(CliError::Usage("--mode append needs a directory to append to".to_owned()));
    }
    let OpenInputs { inputs, .. } = open_inputs(&args.inputs, args.family, context)?;
    let older = if args.keep_tombstones { OlderTables::unknown() } else { OlderTables::none() };
    let options = args.tables.merge_options().duplicates(args.duplicates.into()).older(older);
    let (report, meta) = {
        let bar = context.progress.entries_if_known(inputs.entry_count(), "merge");
        merge_into_file(&inputs, path, &options, &entries_monitor(&bar))?
    };
    if meta.is_none() {
        context.note(format_args!("{}: not written: there are no entries", path.display()));
    }
    let merged = Merged::new(path, None, None, None, &report, started).print(context);
    merged.map_err(|error| error.after_output(path))?;
    Ok(Exit::Success)
}

pub(super) fn note_not_removed(not_removed: &[FileError], context: Context) {
    for file in not_removed {
        context.note(with_causes(file));
    }
}
