//! Copies of the commits of one place at another: [`push`], [`pull`], [`mirror`], [`follow`].

mod blob_refs;
mod bucket_target;
mod directory_target;
mod follow;
mod gate;
mod local_copy;
mod meta_repair;
mod mirror_options;
mod mirror_report;
mod mirror_run;
mod plan;
mod shard_meta;
mod shard_number;
mod shard_run;
mod spoiled;
mod target;
mod transfer;

pub use follow::follow;
pub use mirror_options::MirrorOptions;
pub use mirror_report::MirrorReport;
pub use mirror_run::{mirror, pull, push};
pub use shard_number::{BadShardNumber, ShardNumber};
