//! The limit on open files.

/// Raises the soft limit on open files to the hard limit. A scan holds one file open for each layer
/// of overlapping tables. The usual soft limit of 1,024 exists for programs that use `select`.
///
/// If the limit cannot be raised, the command works with the current limit.
#[cfg(unix)]
pub(crate) fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Fails if the system's real limit is lower than the hard limit that it reports. Then the
    // command fails later, with an error, if it needs more files.
    _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Systems other than Unix have no such limit.
#[cfg(not(unix))]
pub(crate) const fn raise_limit() {}
