#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod inputs;
mod merge;
mod merge_cursor;
mod older_tables;
mod options;
mod progress;
mod run;
mod run_heap;
mod table_input;
mod table_splitter;
mod target;

pub use error::MergeError;
pub use inputs::Inputs;
pub use merge::{Compaction, MergeReport, compact, merge_into_commit, merge_into_file};
pub use merge_cursor::{Counts, MergeCursor, MergedEntry, MergedValue};
pub use older_tables::OlderTables;
pub use options::{Duplicates, MergeOptions};
pub use progress::{Monitor, Progress};
