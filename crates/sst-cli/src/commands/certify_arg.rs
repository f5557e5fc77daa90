//! Whether a command that writes to a directory certifies what it has written.

use clap::Args;

/// Whether the commit is certified.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct CertifyArg {
    /// Read everything back from disk before it is published, compare it with what was written, and
    /// put a digest of all entries into the commit, for `sst certificate` and `sst verify`
    #[arg(long)]
    pub(crate) certify: bool,
}
