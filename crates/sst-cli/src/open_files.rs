//! The limit of open files.

/// Raises the soft limit of open files to the hard one: a walk holds one file open for each layer
/// of overlapping tables, and the usual soft limit of 1,024 is there for programs that use
/// `select`.
///
/// Where the limit cannot be raised the command works with the one that there is.
#[cfg(unix)]
pub(crate) fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Fails where a system has a lower limit than it says. The command then fails where it needs
    // more files, and says so.
    _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// There is no limit to raise.
#[cfg(not(unix))]
pub(crate) const fn raise_limit() {}
