//! The path of a key through a table, from `get` to its value, top to bottom:
//!
//! 1. The range of hashes and the filter: can the table hold the key at all?
//! 2. The index, in memory: which key block can hold it, and about where in the block?
//! 3. The key block: the first entry with the hash and the key.
//! 4. The value, with the key or in a block of its own.
//!
//! Memory that a step will touch is fetched as soon as its address is known, while the steps before
//! it still wait. The key block is asked for before the filter answers: while a processor waits for
//! the value of one key it goes on to the next key only as far as it can remember instructions,
//! some three hundred, and only requests within them are waited for together (docs/DECISIONS.md,
//! 50).

use sst_format::filter::Filter;
use sst_format::key_block::fixed::FixedKeyBlock;
use sst_format::key_block::{KeyBlock, KeyEntry};
use sst_format::value_ref::{ValueRef, small_value};
use sst_format::{BlockIndex, FormatError};

use crate::block::blocks::Fill;
use crate::block::memory::prefetch_around;
use crate::block::slice::Slice;
use crate::error::ReadError;
use crate::hash::hash_key;
use crate::table::answer::{EntryValue, Lookup};
use crate::table::entered_blocks::{EnteredBlocks, ValueKind};
use crate::table::hit_predictor::HitPredictor;
use crate::table::key_index::{Estimate, KeyIndex};
use crate::table::search::{HashBounds, lower_bound};
use crate::table::static_sorted_file::{StaticSortedFile, entry_hash};

/// Cache lines to either side of an estimated entry that are fetched beforehand: among the 455
/// entries of 24 bytes of a full block, two thirds of all estimates are off by less than 250 bytes.
const PREFETCH_REACH: usize = 4;

/// Entries to either side of the second estimate that are compared before the search goes by hash.
/// Among 455 entries, as many as a block of 16-byte keys has, the first estimate is off by 7 on
/// average and the second by 2.
const COMPARE_REACH: u32 = 8;

impl StaticSortedFile {
    /// Looks a key up. Where it occurs more than once, the first of its entries counts.
    ///
    /// # Errors
    ///
    /// As [`StaticSortedFile::lookup`].
    #[inline]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Lookup<'_>, ReadError> {
        let key = key.as_ref();
        self.lookup(hash_key(key), key)
    }

    /// Looks up a key whose hash is known: [`hash_key`] of it, unless its writer chose another.
    ///
    /// Expected O(1) block accesses and O(log log n) probes, at most O(log n) for any hashes. A
    /// warm lookup in a mapped file whose blocks are raw allocates nothing, takes no lock and
    /// writes to no shared memory.
    ///
    /// # Errors
    ///
    /// [`ReadError::Io`]; [`ReadError::Corrupt`] if a block on the way is damaged.
    #[inline]
    pub fn lookup(&self, hash: u64, key: impl AsRef<[u8]>) -> Result<Lookup<'_>, ReadError> {
        if !self.is_in_range(hash) {
            return Ok(Lookup::NotFound);
        }
        match self.filtered_estimate(self.filter(), hash) {
            Some(estimate) => self.lookup_at(&estimate, hash, key.as_ref()),
            None => Ok(Lookup::NotFound),
        }
    }

    /// Steps 1 and 2 for a hash in the table's range. `None` if the filter rules it out: the
    /// table's own, or one that a set keeps for it. If a hit is likely, the key block is fetched
    /// before the filter has answered.
    #[inline]
    pub(crate) fn filtered_estimate(
        &self,
        filter: Option<&dyn Filter>,
        hash: u64,
    ) -> Option<Estimate> {
        let Some(filter) = filter else { return Some(self.fetched_estimate(hash)) };
        let predictor = HitPredictor::of(self.blocks().id());
        if predictor.predicts_hit() {
            let estimate = self.fetched_estimate(hash);
            let may_be_there = filter.may_contain(hash);
            predictor.learn(may_be_there);
            return may_be_there.then_some(estimate);
        }
        let may_be_there = filter.may_contain(hash);
        predictor.learn(may_be_there);
        may_be_there.then(|| self.fetched_estimate(hash))
    }

    /// Step 2: asks the index where the entry of a hash is likely to be, and fetches that.
    #[inline(always)]
    pub(crate) fn fetched_estimate(&self, hash: u64) -> Estimate {
        let estimate = self.key_index().estimate(hash);
        self.prefetch(&estimate);
        estimate
    }

    /// Fetches the start of the key block and the cache lines around the estimate, if the block is
    /// ready to be used, and the handles of the blocks in which the value is likely to be.
    #[inline]
    fn prefetch(&self, estimate: &Estimate) {
        if let Some(bytes) = self.blocks().ready_bytes(estimate.block) {
            prefetch_around::<PREFETCH_REACH>(bytes, estimate.position.of_len(bytes.len()));
            prefetch_around::<0>(bytes, 0);
        }
        self.blocks().prefetch_handles(estimate.value_block);
    }

    /// Steps 2 to 4, without asking the filter.
    #[inline]
    pub(crate) fn lookup_unfiltered(&self, hash: u64, key: &[u8]) -> Result<Lookup<'_>, ReadError> {
        self.lookup_at(&self.fetched_estimate(hash), hash, key)
    }

    /// Steps 3 and 4.
    ///
    /// A function of its own, so that a lookup that the filter ends pays for nothing of it.
    #[inline(never)]
    pub(crate) fn lookup_at(
        &self,
        estimate: &Estimate,
        hash: u64,
        key: &[u8],
    ) -> Result<Lookup<'_>, ReadError> {
        let block = estimate.block;
        let loaded;
        let (payload, held) = match self.blocks().ready_bytes(block) {
            Some(payload) => (payload, None),
            None => {
                loaded = self.blocks().payload(block, Fill::Cache)?;
                (loaded.as_slice(), Some(&loaded))
            }
        };
        let entry = match near_entry(payload, estimate, hash, key) {
            Some(near) => near,
            None => match self.first_entry(payload, estimate, hash, key)? {
                Some((_, entry)) => entry,
                None => return Ok(Lookup::NotFound),
            },
        };
        match entry.value_ref().map_err(|error| self.corrupt(block, error))? {
            ValueRef::Deleted => Ok(Lookup::Deleted),
            ValueRef::Blob(number) => Ok(Lookup::Blob(number)),
            ValueRef::Inline(value) => {
                let value = match held {
                    Some(payload) => self.slice_of(payload, value)?,
                    None => {
                        self.blocks().kept_part(value).ok_or_else(|| self.not_in_its_block())?
                    }
                };
                Ok(Lookup::Value(value))
            }
            ValueRef::Medium(values) => {
                self.blocks().payload(values, Fill::Cache).map(Lookup::Value)
            }
            ValueRef::Small { block: values, len, offset } => {
                self.small_value(block, values, len, offset).map(Lookup::Value)
            }
        }
    }

    /// The first entry with this hash and key in the key block that can hold it, which has this
    /// payload, and its index; or `None`.
    #[inline(never)]
    pub(crate) fn first_entry<'p>(
        &self,
        payload: &'p [u8],
        estimate: &Estimate,
        hash: u64,
        key: &[u8],
    ) -> Result<Option<(u32, KeyEntry<'p>)>, ReadError> {
        let key_block = self.parse_key_block(estimate.block, payload)?;
        first_entry(&key_block, self.key_index(), estimate, hash, key)
            .map_err(|error| self.corrupt(estimate.block, error))
    }

    /// A small value of an entry of block `key_block`, which is at fault if its value block has no
    /// such bytes.
    #[inline(always)]
    pub(crate) fn small_value(
        &self,
        key_block: BlockIndex,
        values: BlockIndex,
        len: u16,
        offset: u32,
    ) -> Result<Slice<'_>, ReadError> {
        let value = match self.blocks().ready_part(values, |it| small_value(it, len, offset)) {
            Some(value) => value,
            None => {
                let payload = self.blocks().payload(values, Fill::Cache)?;
                payload.narrow(|values| small_value(values, len, offset))
            }
        };
        value.map_err(|error| self.corrupt(key_block, error))
    }

    /// Step 4 for an entry of a walk, which has this payload: the value, to be kept. Values in one
    /// block share it.
    pub(crate) fn kept_value<'a>(
        &'a self,
        key_block: BlockIndex,
        payload: &Slice<'a>,
        value: ValueRef<'_>,
        fill: Fill,
        entered: &mut EnteredBlocks,
    ) -> Result<EntryValue<Slice<'a>>, ReadError> {
        let mut enter = |block, kind| match self.blocks().verified_in_place(block) {
            Some(payload) => Ok(payload),
            None => entered.enter(self.blocks(), block, kind, fill).cloned(),
        };
        Ok(match value {
            ValueRef::Deleted => EntryValue::Deleted,
            ValueRef::Blob(number) => EntryValue::Blob(number),
            ValueRef::Inline(value) => EntryValue::Value(self.slice_of(payload, value)?),
            ValueRef::Medium(block) => EntryValue::Value(enter(block, ValueKind::Medium)?),
            ValueRef::Small { block, len, offset } => {
                let value = enter(block, ValueKind::Small)?
                    .narrow(|values| small_value(values, len, offset))
                    .map_err(|error| self.corrupt(key_block, error))?;
                EntryValue::Value(value)
            }
        })
    }
}

/// The first entry with this hash and key, if it is near a place that was corrected by what was
/// measured in its block. `None` says nothing.
///
/// The key is compared with those around, which needs no further hashes and hardly a branch that
/// goes two ways.
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
    let block = FixedKeyBlock::peek(payload)?;
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
fn first_entry<'p>(
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

/// As [`first_entry`], in O(log n) for any hashes.
#[inline(never)]
fn search_by_hash<'p>(
    key_block: &KeyBlock<'p>,
    bounds: HashBounds,
    hash: u64,
    key: &[u8],
) -> Result<Option<(u32, KeyEntry<'p>)>, FormatError> {
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
    Ok(is_match.then_some((i, entry)))
}
