#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod certify;
mod diff;
mod error;
mod fragments;
mod inputs;
mod merge;
mod merge_cursor;
mod older_tables;
mod options;
mod run;
mod run_heap;
mod sample;
mod shard_map;
mod split;
mod table_input;
mod table_splitter;
mod target;
mod value_bytes;

pub use certify::{certify, publish};
pub use diff::{Change, Diff, DiffCounts};
pub use error::MergeError;
pub use fragments::{FragmentInfo, FragmentOverlap, Gatherer};
pub use inputs::Inputs;
pub use merge::{
    Compaction, MergeReport, compact, merge_into_commit, merge_into_file, sample_into_commit,
    sample_into_file,
};
pub use merge_cursor::{Counts, MergeCursor, MergedEntry, MergedValue};
pub use older_tables::OlderTables;
pub use options::{Duplicates, MergeOptions};
pub use sample::{Sample, SampleSize};
pub use shard_map::ShardMap;
pub use split::{Shard, split};
pub use sst_format::monitor::{CancelToken, Cancelled, Monitor, Phase, Progress};
pub use value_bytes::ValueBytes;
