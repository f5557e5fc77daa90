//! The flag `--mode` of commands that write to a directory.

use clap::ValueEnum;

/// Whether entries that are in the directory already go or stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// They go: afterwards the key space holds what was loaded and nothing else
    Replace,
    /// They stay, hidden where a loaded entry has the same key
    #[value(alias = "increment")]
    Append,
}
