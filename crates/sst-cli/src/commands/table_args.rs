//! How commands that write tables write them.

use clap::Args;
use sst_amqf::QuotientFilter;
use sst_merge::MergeOptions;
use sst_writer::WriterOptions;

/// What the tables of an output look like.
#[derive(Debug, Args)]
#[command(next_help_heading = "Tables")]
pub(crate) struct TableArgs {
    /// Write no filters: smaller files, slower answers for keys that are not there
    #[arg(long)]
    no_filter: bool,

    /// Start another table after this many entries
    #[arg(long, value_name = "COUNT", default_value_t = 1 << 23,
        value_parser = clap::value_parser!(u64).range(1..))]
    max_table_entries: u64,

    /// Start another table when it takes this many bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30,
        value_parser = clap::value_parser!(u64).range(1..))]
    max_table_bytes: u64,
}

impl TableArgs {
    /// The options they call for.
    pub(crate) fn options(&self) -> MergeOptions {
        let writer = WriterOptions::default();
        let writer = if self.no_filter { writer } else { writer.filter(QuotientFilter::default()) };
        MergeOptions::default()
            .writer(writer)
            .max_table_entries(self.max_table_entries)
            .max_table_bytes(self.max_table_bytes)
    }
}
