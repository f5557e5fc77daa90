#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod auto;
mod certify;
mod cursor;
mod diff;
mod error;
mod fragments;
mod input;
mod output;
mod runs;
mod shards;

pub use auto::{MergePlan, MergePolicy, TableSize, auto_compact, plan_compaction};
pub use certify::{certify, certify_task, publish};
pub use cursor::{Counts, MergeCursor, MergedEntry, OlderTables, StoredValue, ValueBytes};
pub use diff::{Change, Diff, DiffCounts, KeyDiff};
pub use error::MergeError;
pub use fragments::{FragmentInfo, FragmentOverlap, Gatherer};
pub use input::{Inputs, Sample, SampleSize};
pub use output::{
    Compaction, MergeOptions, MergeReport, RemoteMerge, compact, merge_into_commit,
    merge_into_file, merge_into_output, sample_into_commit, sample_into_file, sample_into_output,
};
pub use shards::{Shard, ShardMap, split};
pub use sst_format::monitor::{CancelToken, Cancelled, Monitor, Phase, Progress};
pub use sst_writer::bulk::Duplicates;
