//! The output of a merge: tables of a commit, or one file.

mod commit_target;
mod file_target;
mod merge;
mod merge_options;
mod remote_target;
mod table_splitter;
mod target;

pub(crate) use commit_target::{copy_listed, copy_once};
pub(crate) use merge::compact_tables;
pub use merge::{
    Compaction, MergeReport, RemoteMerge, compact, merge_into_commit, merge_into_file,
    merge_into_output, sample_into_commit, sample_into_file, sample_into_output,
};
pub use merge_options::MergeOptions;
pub(crate) use table_splitter::TableSplitter;
pub(crate) use target::Target;
