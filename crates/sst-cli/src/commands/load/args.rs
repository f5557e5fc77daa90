//! Arguments of `sst load`.

use std::path::{Path, PathBuf};

use clap::Args;
use sst_format::limits::MAX_MEDIUM_VALUE_LEN;
use sst_object_store::ShardNumber;
use sst_writer::bulk::BulkMode;

use crate::commands::certify_arg::CertifyArg;
use crate::commands::inputs::DuplicatesArg;
use crate::commands::mode_arg::Mode;
use crate::commands::retention_args::RetentionArgs;
use crate::commands::table_args::TableArgs;
use crate::error::CliError;
use crate::input::{InputArgs, is_named_like_input};
use crate::size;
use crate::url;

const AFTER_HELP: &str = r"Input formats:
  tsv    key, tab, value: the rest of the line. \t \n \r \\ and \x00 stand for bytes,
         a value of \N deletes the key. This is what `sst scan` prints.
  csv    one row per entry. The value is --value-column, or else all columns but the key's
         (joined as CSV if they are several). --delete-marker tells which values delete.
  jsonl  one object per line: a string stands for its characters, null deletes the key, any
         other value for its JSON text. Fields key_hex, key_base64, value_hex and value_base64
         carry bytes. This is what `sst scan --json` prints.
  json   the same with objects on any number of lines, one after the other or in arrays.
  parquet  one row per entry, columns as in CSV, by number or by name (those within a group
         as `group.column`). Byte arrays stand for their bytes, lists and maps for JSON,
         everything else for its text; null deletes the key.

Without --format the file's extension decides (.tsv .csv .json .jsonl .ndjson .parquet .pq),
then whether an option is given that only CSV or only JSON has.

Examples:
  sst load data/UnicodeData.txt unicode.db --delimiter ';' --no-header --value-column 2
  sst load cities.csv cities.db --key-columns country,name --value-format json
  sst load events.jsonl.gz events.db --key-field user.id --value-field . --duplicates keep
  sst load emoji.json emoji.db --key-field char --value-fields name,group
  sst load cities.csv part-3.db --key-columns country,name --range 3/16
  sst scan unicode.db | sst load - copy.db --format tsv";

/// Arguments of `sst load`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, override_usage = "sst load [OPTIONS] <INPUT>... <DIR>")]
pub(crate) struct LoadArgs {
    /// Input files, and last the directory to load into, or the URL of a bucket
    ///
    /// Inputs may be in any order, and may be compressed with gzip or zstd; `-` is standard input.
    /// If two inputs have the same key, the entry of the later input is the newer one. The
    /// directory is created if it does not exist.
    // One positional argument and not two, so that options may stand between the paths.
    #[arg(required = true, value_name = "PATH", value_parser = url::parser())]
    paths: Vec<PathBuf>,

    /// Load only the entries of range I of N equal ranges of hashes, from 0: N commands on N
    /// machines load all of them, and `sst gather` publishes what they have written
    #[arg(long, value_name = "I/N")]
    pub(crate) range: Option<ShardNumber>,

    #[command(flatten)]
    pub(crate) input_options: InputArgs,

    #[command(flatten)]
    pub(crate) output_options: LoadOutputArgs,
}

impl LoadArgs {
    /// Splits the paths into the inputs and the directory to load into.
    pub(crate) fn inputs_and_directory(&self) -> Result<(&[PathBuf], &Path), CliError> {
        let usage = |text: String| Err(CliError::Usage(text));
        let (directory, inputs) = match self.paths.split_last() {
            Some((directory, inputs @ [_, ..])) => (directory, inputs),
            Some((input, [])) => {
                let input = input.display();
                return usage(format!(
                    "the directory to load into is missing: `sst load {input} {input}.db`"
                ));
            }
            None => return usage("an input and a directory are needed".to_owned()),
        };
        let shown = directory.display();
        match inputs.iter().find(|input| input.is_dir()) {
            // The directory stands first, as `cp` and `mv` never have it.
            Some(input) if directory.is_file() || is_named_like_input(directory) => {
                let input = input.display();
                usage(format!(
                    "{input} is a directory and {shown} an input: the directory comes last, as in \
                     `sst load {shown} {input}`"
                ))
            }
            Some(input) => {
                let input = input.display();
                usage(format!(
                    "{input} is a directory: inputs are files; `sst merge` takes directories"
                ))
            }
            None if directory.is_file() => usage(format!(
                "{shown} is a file: the directory to load into comes last, as in \
                 `sst load {shown} {shown}.db`"
            )),
            None => Ok((inputs, directory)),
        }
    }
}

/// How the output is written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct LoadOutputArgs {
    /// Replace the entries of the directory, or add to them
    #[arg(long, value_enum, default_value_t = Mode::Replace)]
    pub(crate) mode: Mode,

    /// The older name of `--mode append`
    #[arg(long, hide = true, conflicts_with = "mode")]
    pub(crate) increment: bool,

    /// Read, sort and write all entries, report what would be replaced, and publish nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Memory for entries and for sorting them; more entries go to temporary files. A number
    /// without a unit counts MiB
    #[arg(long, value_name = "SIZE", default_value = "256MiB", env = "SST_MEMORY",
        value_parser = size::memory_budget)]
    pub(crate) memory: usize,

    /// Threads that sort and write [default: the number of CPUs]
    #[arg(long, value_name = "COUNT", env = "SST_THREADS")]
    pub(crate) threads: Option<usize>,

    /// Directory for entries that exceed the memory [default: the output directory, or the
    /// system's directory for temporary files if the output is a bucket]
    #[arg(long, value_name = "DIR", env = "SST_TEMP_DIR")]
    pub(crate) temp_dir: Option<PathBuf>,

    /// Store each longer value in its own file [default and highest: 64MiB]
    #[arg(long, value_name = "SIZE", value_parser = size::bytes_in_memory)]
    pub(crate) blob_threshold: Option<usize>,

    /// Which entries to keep of a key that occurs more than once in the input
    #[arg(long, value_enum, default_value_t = DuplicatesArg::Newest)]
    pub(crate) duplicates: DuplicatesArg,

    /// Key space to load into
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) family: u32,

    #[command(flatten)]
    pub(crate) retention: RetentionArgs,

    #[command(flatten)]
    pub(crate) certify: CertifyArg,

    #[command(flatten)]
    pub(crate) tables: TableArgs,
}

/// A value of this many bytes is always held in memory while it is read.
const MIN_HELD_VALUE: usize = 1 << 20;

impl LoadOutputArgs {
    /// Highest length of a value that is held in memory while it is read, in bytes. Longer ones are
    /// longer than the blob threshold, so they go to a blob at once.
    pub(crate) fn max_held_value(&self) -> usize {
        let threshold = self.blob_threshold.unwrap_or(MAX_MEDIUM_VALUE_LEN);
        threshold.clamp(MIN_HELD_VALUE, MAX_MEDIUM_VALUE_LEN)
    }

    /// The mode of the loader.
    pub(crate) const fn bulk_mode(&self) -> BulkMode {
        match (self.mode, self.increment) {
            (Mode::Append, _) | (Mode::Replace, true) => BulkMode::Append,
            (Mode::Replace, false) => BulkMode::Replace,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(args: &[&str]) -> Result<Command, clap::Error> {
        let args = ["sst"].iter().chain(args);
        Cli::try_parse_from(args).map(|cli| cli.command)
    }

    fn load(args: &[&str]) -> LoadArgs {
        match parse(&[&["load", "in.csv", "out"], args].concat()) {
            Ok(Command::Load(load)) => *load,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn defaults_are_as_documented() {
        let args = load(&[]);
        assert!(!args.input_options.says_csv());
        assert_eq!(args.input_options.key_fields(), ["key"]);
        assert_eq!(args.input_options.max_value, 64 << 20);
        assert_eq!(args.output_options.mode, Mode::Replace);
        assert_eq!(args.output_options.duplicates, DuplicatesArg::Newest);
        assert_eq!(args.output_options.family, 0);
    }
}
