//! Arguments for the tables that a command writes.

use clap::Args;
use sst_amqf::QuotientFilter;
use sst_format::limits::MAX_TARGET_BLOCK_SIZE;
use sst_merge::MergeOptions;
use sst_writer::WriterOptions;

use crate::size;

/// Limits and filters of the output tables.
#[derive(Debug, Args)]
#[command(next_help_heading = "Tables")]
pub(crate) struct TableArgs {
    /// Write no filters
    ///
    /// Files are a few per cent smaller. A lookup of an absent key reads a block of every table
    /// instead of none, and Next.js refuses the directory.
    #[arg(long)]
    no_filter: bool,

    /// Highest number of entries of a table
    #[arg(long, value_name = "COUNT", default_value_t = MergeOptions::default().max_table_entries,
        value_parser = size::count_from_one)]
    pub(crate) max_table_entries: u64,

    /// Highest size of the keys and values of a table, before compression
    #[arg(long, value_name = "SIZE", default_value = "256MiB",
        value_parser = size::bytes_from_one)]
    pub(crate) max_table_bytes: u64,

    /// Size at which a block of small values is written, before compression, such as 4KiB
    ///
    /// Smaller blocks make a lookup of a value that is not in memory faster, and files a little
    /// larger. A table has at most 65,535 blocks: with blocks of 4 KiB, some 256 MiB of values.
    #[arg(long, value_name = "SIZE", default_value = "8KiB", value_parser = block_size)]
    value_block_size: usize,

    /// Size at which a block of keys is closed, before compression
    #[arg(long, value_name = "SIZE", default_value = "16KiB", value_parser = block_size)]
    key_block_size: usize,
}

/// A size that a block may have.
fn block_size(text: &str) -> Result<usize, &'static str> {
    match size::bytes_in_memory(text)? {
        size if (1..=MAX_TARGET_BLOCK_SIZE).contains(&size) => Ok(size),
        _ => Err("a block has 1 byte to 1 MiB"),
    }
}

impl TableArgs {
    /// The options for writing one table.
    pub(crate) fn writer(&self) -> WriterOptions {
        let writer = WriterOptions::default()
            .value_block_size(self.value_block_size)
            .key_block_size(self.key_block_size);
        if self.no_filter { writer } else { writer.filter(QuotientFilter::default()) }
    }

    /// The options for a merge.
    pub(crate) fn merge_options(&self) -> MergeOptions {
        MergeOptions::default()
            .writer(self.writer())
            .max_table_entries(self.max_table_entries)
            .max_table_bytes(self.max_table_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_library() {
        assert_eq!(size::bytes("256MiB"), Ok(MergeOptions::default().max_table_bytes));
    }
}
