//! `sst split`: splits tables into shards, each a directory.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use indicatif::HumanBytes;
use serde::{Deserialize, Serialize};
use sst_merge::{
    Inputs, MergeError, MergeOptions, MergeReport, Monitor, OlderTables, ShardMap,
    merge_into_output, split,
};
use sst_object_store::block_on;
use sst_writer::PublisherOptions;
use sst_writer::file::AtomicFile;

use super::Context;
use super::bucket::{BucketCommit, WrittenObjects, bucket};
use super::inputs::{DuplicatesArg, OpenInputs, open_inputs};
use super::interrupt::entries_monitor;
use super::merge::note_not_removed;
use super::mode_arg::Mode;
use super::table_args::TableArgs;
use super::target::exists;
use crate::error::CliError;
use crate::exit::Exit;
use crate::notation::Bytes;
use crate::output::{Output, counted, entries};
use crate::regular;
use crate::url;

/// Name of the file with the ranges of hashes of all shards.
const MAP_FILE_NAME: &str = "shards.json";

const AFTER_HELP: &str = "\
Shard 0 goes to OUT/shard-0000, and so on; OUT/shards.json, written last, lists the range of hashes
of each shard. A key belongs to the last shard whose first hash is not above the XXH3-64 of the key:
`sst split --which KEY OUT` tells.

Examples:
  sst split unicode.db --output shards --count 4
  sst split --which 1F600 shards";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct SplitArgs {
    /// Directories and .sst files, or their URLs, the oldest first; with --which, the output
    /// directory of a split
    #[arg(required = true, value_name = "INPUT", value_parser = url::parser())]
    inputs: Vec<PathBuf>,

    /// Directory to create the shards in, which is created if it does not exist; or its URL in a
    /// bucket
    #[arg(long, short, value_name = "DIR", required_unless_present = "which",
        value_parser = url::output_parser())]
    output: Option<PathBuf>,

    /// Number of shards
    #[arg(long, short = 'n', value_name = "COUNT", required_unless_present = "which",
        value_parser = clap::value_parser!(u32).range(1..=9999))]
    count: Option<u32>,

    /// Give all shards equal numbers of entries, or equal ranges of hashes
    #[arg(long, value_enum, default_value_t = By::Entries)]
    by: By,

    /// Print which shard holds this key, and split nothing
    #[arg(long, value_name = "KEY", conflicts_with_all = ["output", "count"])]
    which: Vec<String>,

    /// Which entries to keep of a key that occurs more than once
    #[arg(long, value_enum, default_value_t = DuplicatesArg::Newest)]
    duplicates: DuplicatesArg,

    /// Key space to split [default: the only one, or the lowest]
    #[arg(long, value_name = "NUMBER")]
    family: Option<u32>,

    #[command(flatten)]
    tables: TableArgs,
}

/// How the range of hashes is divided among the shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// Equal numbers of entries: the shards differ by one entry at most
    Entries,
    /// Equal ranges of hashes: the shard of a key does not depend on the data
    Hashes,
}

pub(crate) fn run(args: &SplitArgs, context: Context) -> Result<Exit, CliError> {
    match (&args.output, args.count) {
        (Some(output), Some(count)) => {
            split_into(args, output, count, context).map_err(|error| match error {
                CliError::Merge(MergeError::Cancelled) => {
                    CliError::SplitInterrupted(output.clone())
                }
                error => error,
            })
        }
        _ => which(args, context),
    }
}

fn split_into(
    args: &SplitArgs,
    out: &Path,
    count: u32,
    context: Context,
) -> Result<Exit, CliError> {
    let map_path = out.join(MAP_FILE_NAME);
    if is_there(&map_path)? {
        let out = out.display();
        return Err(CliError::Usage(format!("{out} holds the shards of an earlier split")));
    }
    let OpenInputs { inputs, family } = open_inputs(&args.inputs, args.family, context)?;
    let bar = |message| context.progress.entries_if_known(inputs.entry_count(), message);
    let map = match args.by {
        By::Hashes => ShardMap::by_hash(count),
        By::Entries => {
            let bar = bar("count");
            ShardMap::by_entries(&inputs, count, args.duplicates.into(), &entries_monitor(&bar))?
        }
    };
    let options = args.tables.merge_options().duplicates(args.duplicates.into());
    let shards = {
        let bar = bar("split");
        let monitor = entries_monitor(&bar);
        match url::is_url(out) {
            true => split_to_bucket(out, &inputs, &map, family, &options, &monitor)?,
            false => {
                let publisher = PublisherOptions::default();
                let directory = |shard: usize| out.join(shard_name(shard));
                let shards =
                    split(&inputs, &map, family, &options, &publisher, directory, &monitor)?;
                shards.iter().for_each(|shard| note_not_removed(&shard.not_removed, context));
                shards.iter().map(|shard| (shard.report, shard.commit.0)).collect()
            }
        }
    };
    let manifest = Manifest::new(family, args.by, &map, &shards);
    write_manifest(out, &manifest)?;
    manifest.print(out, context).map_err(|error| error.after_output(out))?;
    Ok(Exit::Success)
}

/// Whether there is a file or an object of this name.
fn is_there(path: &Path) -> Result<bool, CliError> {
    if !url::is_url(path) {
        return exists(path);
    }
    match url::open(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(CliError::io("look for", path, error)),
    }
}

/// Writes the live entries of each shard below a URL: each is a bucket's directory of its own,
/// published when it is complete. Returns the figures and the commit of each.
fn split_to_bucket(
    out: &Path,
    inputs: &Inputs,
    map: &ShardMap,
    family: u32,
    options: &MergeOptions,
    monitor: &Monitor,
) -> Result<Vec<(MergeReport, u32)>, CliError> {
    let commit = BucketCommit { family, mode: Mode::Replace, certify: false, dry_run: false };
    let mut shards = Vec::with_capacity(map.shard_count());
    for (number, hashes) in map.ranges().enumerate() {
        let store = bucket(&out.join(shard_name(number)))?;
        let (report, info) = commit.publish(&store, |output| {
            let Some(hashes) = hashes else {
                return Ok((MergeReport::default(), WrittenObjects::default()));
            };
            let options = options.clone().older(OlderTables::none()).hashes(hashes);
            let mut merged = merge_into_output(inputs, output, &options, monitor)?;
            let objects = WrittenObjects::from(&mut merged);
            Ok((merged.report, objects))
        })?;
        let info = info.ok_or_else(|| CliError::Internal("a shard is published"))?;
        shards.push((report, info.commit.0));
    }
    Ok(shards)
}

fn shard_name(shard: usize) -> String {
    format!("shard-{shard:04}")
}

/// Prints the shard of each given key.
fn which(args: &SplitArgs, context: Context) -> Result<Exit, CliError> {
    let [out] = args.inputs.as_slice() else {
        return Err(CliError::Usage("--which needs exactly one output of a split".to_owned()));
    };
    let manifest = read_manifest(&out.join(MAP_FILE_NAME))?;
    let map = manifest.map().ok_or_else(|| {
        CliError::Usage(format!("{}: not a list of shards", out.join(MAP_FILE_NAME).display()))
    })?;
    let mut output = Output::stdout();
    for key in &args.which {
        let shard = map.shard_of(key.as_bytes());
        let directory = out.join(shard_name(shard)).display().to_string();
        if context.json {
            output.json(&FoundShard { key, shard, path: directory })?;
        } else {
            output.line(format_args!("{}\t{directory}", Bytes::escaped(key.as_bytes())))?;
        }
    }
    output.finish()?;
    Ok(Exit::Success)
}

#[derive(Serialize)]
struct FoundShard<'a> {
    key: &'a str,
    shard: usize,
    path: String,
}

/// The content of `shards.json`.
#[derive(Serialize, Deserialize)]
struct Manifest {
    version: u32,
    family: u32,
    by: String,
    shards: Vec<ManifestShard>,
}

#[derive(Serialize, Deserialize)]
struct ManifestShard {
    directory: String,
    /// 16 hex digits, since many JSON parsers lose the low bits of 64-bit numbers.
    first_hash: String,
    entries: u64,
    tables: u64,
    bytes: u64,
    commit: u32,
}

impl Manifest {
    fn new(family: u32, by: By, map: &ShardMap, shards: &[(MergeReport, u32)]) -> Self {
        let by = match by {
            By::Entries => "entries",
            By::Hashes => "hashes",
        };
        let shards = map.first_hashes().zip(shards).enumerate();
        let shards = shards.map(|(number, (first, (report, commit)))| ManifestShard {
            directory: shard_name(number),
            first_hash: format!("{first:016x}"),
            entries: report.entries,
            tables: report.tables,
            bytes: report.table_bytes,
            commit: *commit,
        });
        Self { version: 1, family, by: by.to_owned(), shards: shards.collect() }
    }

    /// Prints what was split into `out`.
    fn print(&self, out: &Path, context: Context) -> Result<(), CliError> {
        let mut output = Output::stdout();
        if context.json {
            output.report(self)?;
        } else if !context.quiet {
            for shard in &self.shards {
                output.report_line(format_args!(
                    "{}: {} in {}, {}, hashes from {}",
                    out.join(&shard.directory).display(),
                    entries(shard.entries),
                    counted(shard.tables, "table"),
                    HumanBytes(shard.bytes),
                    shard.first_hash,
                ))?;
            }
        }
        output.finish()
    }

    fn map(&self) -> Option<ShardMap> {
        let first = |shard: &ManifestShard| u64::from_str_radix(&shard.first_hash, 16).ok();
        let first_hashes: Option<Vec<u64>> = self.shards.iter().map(first).collect();
        ShardMap::from_first_hashes(&first_hashes?)
    }
}

fn write_manifest(out: &Path, manifest: &Manifest) -> Result<(), CliError> {
    let path = out.join(MAP_FILE_NAME);
    let text = serde_json::to_string_pretty(manifest);
    let text = text.map_err(|error| CliError::io("write to", &path, error.into()))? + "\n";
    if url::is_url(out) {
        let store = bucket(out)?;
        return match block_on(store.create_text(MAP_FILE_NAME, &text))? {
            true => Ok(()),
            false => {
                let error = io::ErrorKind::AlreadyExists.into();
                Err(CliError::io("write to", &path, error))
            }
        };
    }
    let write = || {
        let mut file = AtomicFile::create(&path)?;
        file.write(&text)?;
        file.persist()
    };
    write().map_err(|error| CliError::io("write to", &path, error.source))
}

fn read_manifest(path: &Path) -> Result<Manifest, CliError> {
    let text = match url::is_url(path) {
        true => url::read(path, regular::MAX_TEXT_LEN),
        false => regular::read(path, regular::MAX_TEXT_LEN),
    };
    let text = text.map_err(|error| CliError::io("read", path, error))?;
    serde_json::from_slice(&text).map_err(|error| CliError::io("read", path, error.into()))
}
