//! Exit codes of `sst`.

/// The exit codes, as the help text and the README document them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Success: entries loaded, keys found, files intact.
    Success = 0,
    /// A key was not found.
    NotFound = 1,
    /// A file is damaged or not an SST file.
    Damaged = 2,
    /// Wrong usage, unreadable input, or an error of the operating system.
    Failure = 3,
    /// A commit is live, but a later step failed. The command must not be repeated.
    Live = 4,
}
