//! Arguments for the retention of earlier generations, shared by all commands that write.

use std::time::Duration;

use clap::Args;
use sst_writer::PublisherOptions;

use crate::size;

/// How long the files of earlier generations are kept.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct RetentionArgs {
    /// Number of earlier generations to keep, for `sst rollback`; commits that only merged do not
    /// count
    #[arg(long, value_name = "COUNT", default_value_t = 1, env = "SST_KEEP_GENERATIONS")]
    keep_generations: usize,

    /// Time to keep replaced files, for readers that still have an older generation open: seconds,
    /// or with a unit, such as 15m
    #[arg(long, value_name = "TIME", default_value = "0s", env = "SST_GRACE",
        value_parser = size::time)]
    grace: Duration,
}

impl RetentionArgs {
    /// Whether files of earlier generations are kept at all.
    pub(crate) const fn keeps_files(self) -> bool {
        self.keep_generations > 0 || !self.grace.is_zero()
    }

    pub(crate) fn options(self) -> PublisherOptions {
        PublisherOptions::default().keep_generations(self.keep_generations).grace(self.grace)
    }
}
