//! The command line: commands, arguments, help.

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
    Scan(scan::ScanArgs),
    /// Show the parts of a directory or of one of its files
    Inspect(inspect::InspectArgs),
    /// Check every byte and list all damage
    Verify(verify::VerifyArgs),
    /// Print the digest of each family's entries, to compare with copies on other machines
    Certificate(certificate::CertificateArgs),
    /// Publish directories that were written elsewhere as one commit
    Gather(gather::GatherArgs),
    /// Merge directories and tables into one, or the tables of a directory in place
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
    Completions {
        /// Shell to write the script for
        shell: clap_complete::Shell,
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
    fn contradictions_are_refused() {
        assert!(parse(&["get", "a", "k"]).is_ok());
        assert!(parse(&["get", "a", "k", "--raw", "--json"]).is_err());
        assert!(parse(&["get", "a"]).is_err());
        assert!(parse(&[]).is_err());
    }
}
