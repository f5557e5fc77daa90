//! Commits, which make tables and blobs of a directory visible in one step, and rollbacks.

pub(crate) mod claimed_blocks;
pub(crate) mod commit;
pub(crate) mod commit_base;
pub(crate) mod commit_list;
pub(crate) mod commit_meta;
pub(crate) mod commit_point;
pub(crate) mod created_files;
pub(crate) mod del_files;
pub(crate) mod directory_lock;
pub(crate) mod directory_state;
mod family_change;
pub(crate) mod first_commit_marker;
mod fragment_overlap;
mod known_metas;
mod leftovers_of_tasks;
pub(crate) mod lock_holder;
mod locked_directory;
pub(crate) mod meta_plan;
mod meta_repair;
pub(crate) mod meta_state;
pub(crate) mod new_meta_file;
pub(crate) mod number_claim;
mod numbers;
pub(crate) mod older_meta;
pub(crate) mod publish_error;
pub(crate) mod publisher;
pub(crate) mod publisher_options;
pub(crate) mod replica;
mod retention;
mod rollback;
pub(crate) mod task;
mod unneeded_blobs;

pub use commit::commit_tables::TableOrigin;
pub use commit::prepared_commit::PreparedCommit;
pub use commit::table_writer::{FinishedTable, TableWriter};
pub use commit::{Commit, CommitInfo};
pub use commit_base::{BaseMeta, CommitBase, NewCommit, NewMetaFiles};
pub use commit_list::{list_commits, list_commits_in};
pub use directory_lock::LOCK_FILE_NAME;
pub use family_change::FamilyChange;
pub use first_commit_marker::FIRST_COMMIT_FILE_NAME;
pub use fragment_overlap::FragmentOverlap;
pub use lock_holder::LockHolder;
pub use meta_repair::MetaRepair;
pub use number_claim::{JobId, NumberClaim};
pub use publish_error::{PublishError, TaskReportDefect};
pub use publisher::Publisher;
pub use publisher_options::PublisherOptions;
pub use replica::{Replica, ReplicaFile};
pub use sst_format::CommitRecord;
pub use sst_format::meta_head::{CommitKind, MetaLimits};
pub use task::{
    FinishedTaskTable, TaskOptions, TaskReport, TaskTable, TaskTableWriter, TaskTables, TaskWriter,
};
