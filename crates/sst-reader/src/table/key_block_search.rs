//! The search for the entry of a key in its key block.

use sst_format::FormatError;
use sst_format::key_block::fixed::FixedKeyBlock;
use sst_format::key_block::{KeyBlock, KeyEntry};

use crate::hash::entry_hash;
use crate::table::key_index::{Estimate, KeyIndex};
use crate::table::search::{HashBounds, lower_bound};

/// Entries to either side of the estimated one that are compared before the search goes by hash.
/// Among 455 entries, as many as a full block of 16-byte keys has, 99 of 100 estimates are off by
/// less if the block was measured.
const COMPARE_REACH: u32 = 8;

/// The first entry with this hash and key in a payload, if it is near a place that was corrected by
/// what was measured in its block. `None` means that it is unknown whether there is one.
#[inline(always)]
pub(crate) fn near_entry<'p>(
    payload: &'p [u8],
    estimate: &Estimate,
    hash: u64,
    key: &[u8],
) -> Option<KeyEntry<'p>> {
    if !estimate.is_corrected {
        return None;
    }
    entry_near(FixedKeyBlock::peek(payload)?, estimate, hash, key)
}

/// As [`near_entry`], in a block that is parsed.
///
/// The key is compared with those around, which needs no further hashes and hardly a branch that
/// goes two ways.
#[inline(always)]
pub(crate) fn entry_near<'p>(
    block: FixedKeyBlock<'p>,
    estimate: &Estimate,
    hash: u64,
    key: &[u8],
) -> Option<KeyEntry<'p>> {
    if !estimate.is_corrected {
        return None;
    }
    let middle = estimate.position.of(block.entry_count());
    let entry = block.find_near(key, middle, COMPARE_REACH)?;
    entry.stored_hash.is_none_or(|stored| stored == hash).then_some(entry)
}

/// The first entry with this hash and key, and its index; or `None`. Wrong estimates cost time,
/// never a wrong answer.
///
/// In a block that was not measured yet the place is estimated once more, from the hash of the
/// entry that was estimated first, and the key is compared with those around that. A key that is
/// not there, or further away, is searched by hash.
pub(crate) fn first_entry_in<'p>(
    key_block: &KeyBlock<'p>,
    index: &KeyIndex,
    estimate: &Estimate,
    hash: u64,
    key: &[u8],
) -> Result<Option<(u32, KeyEntry<'p>)>, FormatError> {
    if let KeyBlock::Fixed(block) = key_block
        && !estimate.is_corrected
    {
        index.learn(estimate.number, key_block);
        let middle = second_estimate(block, index, estimate, hash)?;
        if let Some(i) = block.index_near(key, middle, COMPARE_REACH) {
            let entry = block.entry(i)?;
            if entry.stored_hash.is_none_or(|stored| stored == hash) {
                return Ok(Some((i, entry)));
            }
        }
    }
    search_by_hash(key_block, index.bounds_of(estimate.number), hash, key)
}

/// The entry that is estimated from the hash of the one that was estimated first.
fn second_estimate(
    block: &FixedKeyBlock<'_>,
    index: &KeyIndex,
    estimate: &Estimate,
    hash: u64,
) -> Result<u32, FormatError> {
    let count = block.entry_count();
    let middle = estimate.position.of(count);
    let found = entry_hash(&block.entry(middle)?);
    let off_by = index.density().between(hash, found).of(count);
    // The estimate may be off the block, in which case its nearest entry is meant.
    Ok(if hash < found {
        middle.saturating_sub(off_by)
    } else {
        middle.saturating_add(off_by).min(count - 1)
    })
}

/// As [`first_entry_in`], in O(log n) for any hashes.
fn search_by_hash<'p>(
    key_block: &KeyBlock<'p>,
    bounds: HashBounds,
    hash: u64,
    key: &[u8],
) -> Result<Option<(u32, KeyEntry<'p>)>, FormatError> {
    match key_block {
        KeyBlock::Fixed(block) => {
            search_entries(block.entry_count(), |i| block.entry(i), bounds, hash, key)
        }
        KeyBlock::Variable(block) => {
            search_entries(block.entry_count(), |i| block.entry(i), bounds, hash, key)
        }
    }
}

/// As [`search_by_hash`], in `count` entries, which `entry` gives.
#[inline(never)]
fn search_entries<'p>(
    count: u32,
    entry: impl Fn(u32) -> Result<KeyEntry<'p>, FormatError>,
    bounds: HashBounds,
    hash: u64,
    key: &[u8],
) -> Result<Option<(u32, KeyEntry<'p>)>, FormatError> {
    let i = lower_bound(count, bounds, hash, |i| {
        let entry = entry(i)?;
        let found = entry_hash(&entry);
        Ok((found, found.cmp(&hash).then_with(|| entry.key.cmp(key))))
    })?;
    if i == count {
        return Ok(None);
    }
    let entry = entry(i)?;
    let is_match = entry.key == key && entry.stored_hash.is_none_or(|stored| stored == hash);
    Ok(is_match.then_some((i, entry)))
}
