//! The flag `--certify` of commands that write to a directory.

use clap::Args;

/// Whether the commit is certified.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct CertifyArg {
    /// Read all files back from disk before the commit is published, compare them with the data
    /// that was written, and store a digest of all entries in the commit, for `sst certificate` and
    /// `sst verify`
    #[arg(long)]
    pub(crate) certify: bool,
}
