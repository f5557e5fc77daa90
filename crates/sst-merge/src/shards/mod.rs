//! Shards: consecutive ranges of all hashes, each with a directory of its own.

mod shard_map;
mod split;

pub use shard_map::ShardMap;
pub use split::{Shard, split};
