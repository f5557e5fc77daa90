//! What `sst_files.spark` needs: jobs whose tasks write tables of one commit.
//!
//! | a job's step | where | file |
//! |---|---|---|
//! | the hash of each key, and its range | tasks | `key_hashes.rs` |
//! | begin, on top of the newest commit | driver | `job.rs`, `base.rs` |
//! | tables of one range, under claims | tasks | `task.rs`, `sorted_rows.rs`, `task_tables.rs` |
//! | the digest of one range of an increment | tasks | `range_digest.rs` |
//! | one commit of what the tasks report; end | driver | `job.rs` |
//! | batches of one range, and lookups | tasks | `range_scan.rs` |
//!
//! Nothing here knows Spark: all functions take paths, bytes and streams of Arrow.

mod base;
pub(crate) mod job;
pub(crate) mod key_hashes;
pub(crate) mod range_digest;
pub(crate) mod range_scan;
mod sorted_rows;
pub(crate) mod task;
mod task_tables;

use sst_format::meta_head::HashRange;

use crate::errors::Error;

/// Range `index` of `count` equal ranges of hashes, as `sst split` and `pull --shard` divide them.
fn hash_range(index: u32, count: u32) -> Result<HashRange, Error> {
    let missing = || Error::usage(format!("there is no range {index} of {count}"));
    HashRange::of_shard(index, count).ok_or_else(missing)
}

/// The number of the range of a hash: ⌊hash · count / 2^64⌋.
const fn range_of(hash: u64, count: u32) -> u32 {
    let product = hash as u128 * count as u128;
    // Below `count`, since the hash is below 2^64.
    #[expect(clippy::cast_possible_truncation, reason = "the quotient is below a u32")]
    let range = (product >> 64) as u32;
    range
}
