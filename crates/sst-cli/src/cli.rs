//! The command line: commands, arguments, help.

use clap::{Parser, Subcommand};

use crate::commands::certificate::CertificateArgs;
use crate::commands::diff::DiffArgs;
use crate::commands::gather::GatherArgs;
use crate::commands::get::GetArgs;
use crate::commands::inspect::InspectArgs;
use crate::commands::load::LoadArgs;
use crate::commands::log::LogArgs;
use crate::commands::merge::MergeArgs;
use crate::commands::rollback::RollbackArgs;
use crate::commands::sample::SampleArgs;
use crate::commands::scan::ScanArgs;
use crate::commands::split::SplitArgs;
use crate::commands::verify::VerifyArgs;

const EXIT_CODES: &str = "\
Exit codes:
  0  all is well: loaded, found, intact
  1  a key that was asked for is not there; or `diff` has found differences
  2  a file is damaged, or no SST file at all
  3  wrong usage, unreadable input, or the operating system said no";

/// Looks into static table (SST) files and directories, and writes them.
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
    /// Load entries from text into a directory
    Load(LoadArgs),
    /// Print the values of keys
    Get(GetArgs),
    /// Print all entries, in the order of their hashes
    Scan(ScanArgs),
    /// Show what files consist of
    Inspect(InspectArgs),
    /// Check every byte, and list all damage
    Verify(VerifyArgs),
    /// Print what a directory amounts to, for other machines to compare theirs with
    Certificate(CertificateArgs),
    /// Publish directories that were written elsewhere as one commit
    Gather(GatherArgs),
    /// Merge directories and tables into one, or the tables of a directory in place
    Merge(MergeArgs),
    /// Show what has changed from one directory or table to another
    Diff(DiffArgs),
    /// Split directories and tables into shards
    Split(SplitArgs),
    /// Write a uniform sample of directories and tables
    Sample(SampleArgs),
    /// List the generations of a directory
    Log(LogArgs),
    /// Make a directory show an earlier generation again
    Rollback(RollbackArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
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
