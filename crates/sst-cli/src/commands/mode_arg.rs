//! The flag `--mode` of commands that write to a directory.

use clap::ValueEnum;

/// Whether a commit replaces the entries of the directory or adds to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Replace: afterwards the key space holds only the new entries
    Replace,
    /// Append: old entries stay, except where a new entry has the same key
    #[value(alias = "increment")]
    Append,
}
