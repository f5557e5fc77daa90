//! The command line: commands, arguments, help.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::{
    Context, certificate, diff, gather, gc, get, inspect, load, log, merge, pull, push, rollback,
    sample, scan, split, verify,
};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::Output;

const EXIT_CODES: &str = "\
Exit codes:
  0  all is well: loaded, found, intact
  1  a key that was asked for is not there; or `diff` has found differences
  2  a file is damaged, or no SST file at all
  3  wrong usage, unreadable input, or the operating system said no
  4  the commit is live, but a later step failed: do not repeat the command";

/// Reads, checks and writes static tables: SST files and directories of them.
#[derive(Debug, Parser)]
#[command(name = "sst", version, about, long_about = None, after_help = EXIT_CODES)]
#[command(propagate_version = true, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Print no progress and no summary
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Load entries from text or Parquet files into a directory
    Load(Box<load::LoadArgs>),
    /// Print the values of keys
    Get(get::GetArgs),
    /// Print all entries, in the order of their hashes
    #[command(visible_alias = "dump")]
    Scan(scan::ScanArgs),
    /// Show the parts of a directory or of one of its files
    #[command(visible_alias = "stats")]
    Inspect(inspect::InspectArgs),
    /// Check every byte and list all damage
    Verify(verify::VerifyArgs),
    /// Print the digest of each family's entries, to compare with copies on other machines
    Certificate(certificate::CertificateArgs),
    /// Publish directories that were written elsewhere as one commit
    Gather(gather::GatherArgs),
    /// Merge directories and tables into one, or the tables of a directory in place (`compact`)
    Merge(merge::MergeArgs),
    /// Show the differences between two directories or tables
    Diff(diff::DiffArgs),
    /// Split directories and tables into shards
    Split(split::SplitArgs),
    /// Write a uniform sample of directories and tables
    Sample(sample::SampleArgs),
    /// List the generations of a directory
    Log(log::LogArgs),
    /// Return a directory to an earlier generation
    Rollback(rollback::RollbackArgs),
    /// Copy the newest commit of a directory to an object store
    Push(push::PushArgs),
    /// Copy the newest commit of an object store into a directory, once or continuously
    Pull(pull::PullArgs),
    /// Remove the objects that no commit of a bucket needs
    Gc(gc::GcArgs),
    /// Print a completion script for a shell
    #[command(after_help = "Examples:\n  \
        sst completions bash > ~/.local/share/bash-completion/completions/sst\n  \
        sst completions zsh > ~/.zfunc/_sst")]
    Completions {
        /// Shell to write the script for
        shell: clap_complete::Shell,
    },
    /// Write man pages for all commands into a directory
    #[command(after_help = "Examples:\n  sst man ~/.local/share/man/man1 && man sst-load")]
    Man {
        /// Directory to write to, such as ~/.local/share/man/man1; it is created if it does not
        /// exist
        dir: PathBuf,
    },
}

impl Cli {
    /// Runs the chosen command.
    pub(crate) fn run(&self) -> Result<Exit, CliError> {
        let context = Context::new(self.json, self.quiet);
        match &self.command {
            Command::Load(args) => load::run(args, context),
            Command::Get(args) => get::run(args, context),
            Command::Scan(args) => scan::run(args, context),
            Command::Inspect(args) => inspect::run(args, context),
            Command::Verify(args) => verify::run(args, context),
            Command::Certificate(args) => certificate::run(args, context),
            Command::Gather(args) => gather::run(args, context),
            Command::Merge(args) => merge::run(args, context),
            Command::Diff(args) => diff::run(args, context),
            Command::Split(args) => split::run(args, context),
            Command::Sample(args) => sample::run(args, context),
            Command::Log(args) => log::run(args, context),
            Command::Rollback(args) => rollback::run(args, context),
            Command::Push(args) => push::run(args, context),
            Command::Pull(args) => pull::run(args, context),
            Command::Gc(args) => gc::run(args, context),
            Command::Completions { shell } => completions(*shell),
            Command::Man { dir } => man_pages(dir),
        }
    }
}

fn completions(shell: clap_complete::Shell) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sst", &mut script);
    let mut output = Output::stdout();
    output.bytes(&script)?;
    output.finish()?;
    Ok(Exit::Success)
}

/// Writes `sst.1`, and a page such as `sst-load.1` for each command.
fn man_pages(dir: &Path) -> Result<Exit, CliError> {
    let written = std::fs::create_dir_all(dir);
    let written = written.and_then(|()| clap_mangen::generate_to(Cli::command(), dir));
    written.map_err(|error| CliError::io("write man pages to", dir, error))?;
    Ok(Exit::Success)
}

/// Replaces `compact DIR`, which people try, by `merge DIR --in-place`.
pub(crate) fn with_aliases(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let is_flag = |argument: &OsString| argument.as_encoded_bytes().starts_with(b"-");
    let command = arguments.iter_mut().skip(1).find(|argument| !is_flag(argument));
    if let Some(command) = command
        && command == "compact"
    {
        *command = "merge".into();
        let chosen = ["--auto", "--output", "-o", "--in-place", "--help", "-h"];
        if !arguments.iter().any(|argument| chosen.iter().any(|it| argument == it)) {
            arguments.push("--in-place".into());
        }
    }
    arguments
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(args: &[&str]) -> Result<Command, clap::Error> {
        let args = ["sst"].iter().chain(args);
        Cli::try_parse_from(args).map(|cli| cli.command)
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn compact_is_a_merge_in_place() {
        let aliased = |line: &str| {
            let arguments = with_aliases(line.split(' ').map(OsString::from).collect());
            let arguments: Vec<_> = arguments.iter().map(|it| it.to_str().unwrap()).collect();
            arguments.join(" ")
        };
        assert_eq!(aliased("sst compact a.db"), "sst merge a.db --in-place");
        assert_eq!(aliased("sst --json compact a.db --auto"), "sst --json merge a.db --auto");
        assert_eq!(aliased("sst get compact k"), "sst get compact k");
    }

    #[test]
    fn every_command_has_examples() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let name = command.get_name();
            assert!(help.contains("Examples:") || name == "help", "{name}: {help}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        assert!(parse(&["get", "a", "k"]).is_ok());
        assert!(parse(&["get", "a", "k", "--raw", "--json"]).is_err());
        assert!(parse(&["get", "a"]).is_err());
        assert!(parse(&[]).is_err());
    }
}
