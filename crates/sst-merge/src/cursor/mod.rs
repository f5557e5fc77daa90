//! The merging iterator: the entries of all runs as one sequence, duplicates resolved.

mod merge_cursor;
mod merged_entry;
mod merging_runs;
mod older_tables;
mod value_bytes;

pub use merge_cursor::{Counts, MergeCursor};
pub use merged_entry::{MergedEntry, StoredValue};
pub use older_tables::OlderTables;
pub use value_bytes::ValueBytes;
