//! Commits in a store: their meta files, tables and blobs, from a few ranged reads.

mod commit_file;
mod commit_list;
mod object_reader;
mod remote_commit;
mod remote_meta;
#[cfg(feature = "publish")]
mod swap;

pub use commit_file::{CommitFile, FileIdentity};
pub use commit_list::list_commits;
#[cfg(feature = "publish")]
pub(crate) use commit_list::{NumberedFiles, is_complete, numbered_files, older_commits};
pub use remote_commit::RemoteCommit;
#[cfg(feature = "mirror")]
pub(crate) use remote_commit::checksum_of;
pub(crate) use remote_commit::{CurrentObject, Described, MAX_CURRENT_LEN};
pub(crate) use remote_meta::{RemoteMeta, RemoteTable, SharedMeta};
#[cfg(feature = "publish")]
pub(crate) use swap::{Swap, replace_current};
