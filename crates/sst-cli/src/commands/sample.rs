//! `sst sample`: writes a uniform sample. Only the sampled part of the input is read.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use indicatif::HumanBytes;
use serde::Serialize;
use sst_merge::{
    Inputs, MergeOptions, MergeReport, Sample, SampleSize, sample_into_commit, sample_into_file,
    sample_into_output,
};

use super::Context;
use super::bucket::{BucketCommit, WrittenObjects, bucket};
use super::inputs::{DuplicatesArg, OpenInputs, open_inputs};
use super::interrupt::{self, entries_monitor};
use super::merge::note_not_removed;
use super::mode_arg::Mode;
use super::replaced::Replaced;
use super::retention_args::RetentionArgs;
use super::table_args::TableArgs;
use super::target::Target;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Output, counted, entries};
use crate::size;
use crate::url;

const AFTER_HELP: &str = "\
The sample is a window of the hashes of keys, which are uniform. A key is in the sample with
--fraction or not, whatever other keys there are, so samples of two versions of the same data
match; a larger sample of the same --seed holds the smaller one.

Examples:
  sst sample unicode.db --fraction 1% --output small.db
  sst sample unicode.db --keys 1000 --seed 7 --output thousand.sst";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
#[command(group = ArgGroup::new("size").required(true).args(["fraction", "keys"]))]
pub(crate) struct SampleArgs {
    /// Directories and .sst files, or their URLs, the oldest first
    #[arg(required = true, value_name = "INPUT", value_parser = url::parser())]
    inputs: Vec<PathBuf>,

    /// Directory, or URL of a bucket, to replace by the sample; or one file, if the name ends in
    /// .sst
    #[arg(long, short, value_name = "DIR|FILE", value_parser = url::output_parser())]
    output: PathBuf,

    /// Take each key with this probability, such as 0.01 or 1%
    #[arg(long, value_name = "SHARE", value_parser = size::share)]
    fraction: Option<f64>,

    /// Take exactly this many keys
    #[arg(long, value_name = "COUNT", value_parser = size::count)]
    keys: Option<u64>,

    /// Seed; the same seed and input give the same sample
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,

    /// Which entries to keep of a key that occurs more than once
    #[arg(long, value_enum, default_value_t = DuplicatesArg::Newest)]
    duplicates: DuplicatesArg,

    /// Key space to sample [default: the only one, or the lowest]
    #[arg(long, value_name = "NUMBER")]
    family: Option<u32>,

    #[command(flatten)]
    retention: RetentionArgs,

    #[command(flatten)]
    tables: TableArgs,
}

pub(crate) fn run(args: &SampleArgs, context: Context) -> Result<Exit, CliError> {
    let size = match (args.fraction, args.keys) {
        (Some(fraction), _) => SampleSize::Fraction(fraction),
        (None, Some(keys)) => SampleSize::Keys(keys),
        (None, None) => {
            return Err(CliError::Usage("a size is needed: --fraction or --keys".to_owned()));
        }
    };
    interrupt::install();
    let sample = Sample::new(size).seed(args.seed);
    let OpenInputs { inputs, family } = open_inputs(&args.inputs, args.family, context)?;
    let options = args.tables.merge_options().duplicates(args.duplicates.into());
    let is_file = args.output.extension().is_some_and(|extension| extension == "sst");
    let report = match is_file {
        true => to_file(&inputs, &sample, &args.output, &options, context),
        false if url::is_url(&args.output) => {
            to_bucket(&inputs, &sample, &args.output, family, &options, context)
        }
        false => to_directory(&inputs, &sample, args, family, &options, context),
    };
    let report = report.map_err(|error| error.into_interrupted(&args.output))?;
    let printed = print(&args.output, &report, context);
    printed.map_err(|error| error.after_output(&args.output))?;
    Ok(Exit::Success)
}

fn to_file(
    inputs: &Inputs,
    sample: &Sample,
    path: &Path,
    options: &MergeOptions,
    context: Context,
) -> Result<MergeReport, CliError> {
    let bar = context.progress.entries_if_known(None, "sample");
    let (report, meta) = sample_into_file(inputs, sample, path, options, &entries_monitor(&bar))?;
    if meta.is_none() {
        context.note(format_args!("{}: not written: there are no entries", path.display()));
    }
    Ok(report)
}

fn to_directory(
    inputs: &Inputs,
    sample: &Sample,
    args: &SampleArgs,
    family: u32,
    options: &MergeOptions,
    context: Context,
) -> Result<MergeReport, CliError> {
    let mut target = Target::open(&args.output, args.retention.options())?;
    let replaced = Replaced::of(&mut target, family)?;
    target.write(|publisher| {
        let mut commit = publisher.begin_family(family);
        commit.replace_all();
        let bar = context.progress.entries_if_known(None, "sample");
        let report =
            sample_into_commit(inputs, sample, &mut commit, options, &entries_monitor(&bar))?;
        drop(bar);
        note_not_removed(&commit.publish(&interrupt::monitor())?.not_removed, context);
        if let Some(replaced) = replaced {
            context.note(replaced.text(&args.output, args.retention));
        }
        Ok(report)
    })
}

fn to_bucket(
    inputs: &Inputs,
    sample: &Sample,
    url: &Path,
    family: u32,
    options: &MergeOptions,
    context: Context,
) -> Result<MergeReport, CliError> {
    let commit = BucketCommit { family, mode: Mode::Replace, certify: false, dry_run: false };
    let replaced = commit.replaced(url)?;
    let (report, _) = commit.publish(&bucket(url)?, |output| {
        let bar = context.progress.entries_if_known(None, "sample");
        let monitor = entries_monitor(&bar);
        let mut merged = sample_into_output(inputs, sample, output, options, &monitor)?;
        let objects = WrittenObjects::from(&mut merged);
        Ok((merged.report, objects))
    })?;
    if let Some(replaced) = replaced {
        context.note(replaced.undoable(url));
    }
    Ok(report)
}

#[derive(Serialize)]
struct Sampled {
    path: String,
    entries: u64,
    tables: u64,
    bytes: u64,
}

fn print(path: &Path, report: &MergeReport, context: Context) -> Result<(), CliError> {
    let mut output = Output::stdout();
    if context.json {
        output.report(&Sampled {
            path: path.display().to_string(),
            entries: report.entries,
            tables: report.tables,
            bytes: report.table_bytes,
        })?;
    } else if !context.quiet {
        output.report_line(format_args!(
            "{}: {} in {}, {}",
            path.display(),
            entries(report.entries),
            counted(report.tables, "table"),
            HumanBytes(report.table_bytes),
        ))?;
    }
    output.finish()
}
