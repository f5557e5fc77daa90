//! Exit codes of `sst`.

use std::process::ExitCode;

/// The exit codes, as the help text and the README document them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Exit {
    /// All is well: loaded, found, intact.
    Success = 0,
    /// A key that was asked for is not there.
    NotFound = 1,
    /// A file is damaged, or no SST file at all.
    Damaged = 2,
    /// Wrong usage, unreadable input, or the operating system said no.
    Failure = 3,
    /// A commit is live, and something after it failed: it must not be made again.
    Live = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
