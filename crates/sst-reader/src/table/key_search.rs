//! Where a key stands in its key block.
//!
//! The position of a hash among the others is estimated from its value, and once more from the hash found there. Then the
//! key is compared with those around, which needs no further hashes and hardly a branch that goes two ways. A key that is
//! not there, or further away, is searched by hash.

use sst_format::FormatError;
use sst_format::key_block::KeyBlock;

use crate::table::key_index::{Estimate, KeyIndex};
use crate::table::search::{HashBounds, lower_bound};
use crate::table::static_sorted_file::entry_hash;

/// Entries to either side of the second estimate that are compared before the search goes by hash. Among 455 entries, as
/// many as a block of 16-byte keys has, the first estimate is off by 7 on average and the second by 2.
const REACH: u32 = 8;

/// Index of the first entry with this hash and key, or `None`. Wrong estimates cost time, never a wrong answer.
///
/// # Errors
///
/// [`FormatError`] if an entry on the way is damaged.
#[inline(always)]
pub(crate) fn first_entry(
    key_block: &KeyBlock<'_>,
    index: &KeyIndex,
    estimate: &Estimate,
    hash: u64,
    key: &[u8],
) -> Result<Option<u32>, FormatError> {
    if let KeyBlock::Fixed(block) = key_block {
        let count = block.entry_count();
        let middle = estimate.place.of(count);
        let found = entry_hash(&block.entry(middle)?);
        let off_by = index.density().between(hash, found).of(count);
        let middle = if hash < found {
            middle.saturating_sub(off_by)
        } else {
            middle.saturating_add(off_by).min(count - 1)
        };
        if let Some(i) = block.find_near(key, middle, REACH)
            && block.stored_hash(i).is_none_or(|stored| stored == hash)
        {
            return Ok(Some(i));
        }
    }
    search(key_block, index.bounds_of(estimate.number), hash, key)
}

/// As [`first_entry`], by hash, in O(log n) for any hashes.
#[inline(never)]
fn search(
    key_block: &KeyBlock<'_>,
    bounds: HashBounds,
    hash: u64,
    key: &[u8],
) -> Result<Option<u32>, FormatError> {
    let count = key_block.entry_count();
    let i = lower_bound(count, bounds, hash, |i| {
        let entry = key_block.entry(i)?;
        let found = entry_hash(&entry);
        Ok((found, found.cmp(&hash).then_with(|| entry.key.cmp(key))))
    })?;
    if i == count {
        return Ok(None);
    }
    let entry = key_block.entry(i)?;
    let is_match = entry.key == key && entry.stored_hash.is_none_or(|stored| stored == hash);
    Ok(is_match.then_some(i))
}
