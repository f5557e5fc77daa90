//! Arguments of all commands that write to a directory.

use std::time::Duration;

use clap::Args;
use sst_writer::PublisherOptions;

/// How long earlier generations keep their files.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct RetentionArgs {
    /// Number of earlier generations that keep their files, for `sst rollback`. A commit that only
    /// merged is none
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    keep_generations: usize,

    /// Seconds for which replaced files stay, for readers that opened the directory before
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    grace: u64,
}

impl RetentionArgs {
    /// Whether files of earlier generations stay.
    pub(crate) const fn keeps_files(self) -> bool {
        self.keep_generations > 0 || self.grace > 0
    }

    pub(crate) fn options(self) -> PublisherOptions {
        PublisherOptions::default()
            .keep_generations(self.keep_generations)
            .grace(Duration::from_secs(self.grace))
    }
}
