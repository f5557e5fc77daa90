//! The way of one lookup through a table: range and filter, an estimate by the index, the entry in its key block, the value.
//!
//! What a step will touch is fetched as soon as it is known where it is, while the steps before it still wait. The key block
//! comes first, before the filter: while a processor waits for the value of one key it goes on to the next key only as far
//! as it can remember instructions, some three hundred, and only what is asked for within them is waited for together.

use sst_format::BlockIndex;
use sst_format::filter::Filter;
use sst_format::key_block::KeyEntry;
use sst_format::value_ref::small_value_range;

use crate::block::blocks::Fill;
use crate::block::memory::prefetch_around;
use crate::block::slice::Payload;
use crate::table::key_index::Estimate;
use crate::table::key_search;
use crate::table::outlook::Outlook;
use crate::table::value_place::ValuePlace;
use crate::{EntryValue, Lookup, ReadError, Slice, StaticSortedFile};

/// Cache lines to either side of an estimated entry that are fetched beforehand: among the 455 entries of 24 bytes of a
/// full block, two thirds of all estimates are off by less than 250 bytes.
const PREFETCH_REACH: usize = 4;

impl StaticSortedFile {
    /// Where the entry of a hash is likely to be, or `None` if the range of hashes or the filter rules it out.
    #[inline]
    pub(crate) fn pass(&self, hash: u64) -> Option<Estimate> {
        match self.is_in_range(hash) {
            true => self.pass_filter(self.filter(), hash),
            false => None,
        }
    }

    /// Where the entry of a hash in the table's range is likely to be, or `None` if the filter rules it out: the table's
    /// own, or one that a set keeps for it. What is there is fetched; where the outlook is good, before the filter has
    /// answered.
    #[inline]
    pub(crate) fn pass_filter(&self, filter: Option<&dyn Filter>, hash: u64) -> Option<Estimate> {
        let Some(filter) = filter else { return Some(self.fetched_estimate(hash)) };
        let outlook = Outlook::of(self.blocks().id());
        if outlook.is_hit() {
            let estimate = self.fetched_estimate(hash);
            let may_be_there = filter.may_contain(hash);
            outlook.learn(may_be_there);
            return may_be_there.then_some(estimate);
        }
        let may_be_there = filter.may_contain(hash);
        outlook.learn(may_be_there);
        may_be_there.then(|| self.fetched_estimate(hash))
    }

    /// Where the entry of a hash is likely to be: the index alone tells. What is there is fetched.
    #[inline(always)]
    pub(crate) fn fetched_estimate(&self, hash: u64) -> Estimate {
        let estimate = self.key_index().estimate(hash);
        self.prefetch(&estimate);
        estimate
    }

    /// Fetches the start of a key block and the cache lines around an estimate, if the block is ready to be used, and what
    /// tells where the value is.
    #[inline]
    fn prefetch(&self, estimate: &Estimate) {
        if let Some(payload) = self.blocks().verified_in_place(estimate.block) {
            let bytes = payload.as_slice();
            prefetch_around::<PREFETCH_REACH>(bytes, estimate.place.of_len(bytes.len()));
            prefetch_around::<0>(bytes, 0);
        }
        self.blocks().prefetch_place(estimate.value_block);
    }

    /// As [`StaticSortedFile::lookup`], without asking the filter.
    #[inline]
    pub(crate) fn lookup_unfiltered(&self, hash: u64, key: &[u8]) -> Result<Lookup<'_>, ReadError> {
        self.lookup_at(&self.fetched_estimate(hash), hash, key)
    }

    /// As [`StaticSortedFile::lookup`], of a hash that has passed the filter and whose place is estimated.
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
        self.with_entry(estimate, hash, key, |payload, entry| match entry {
            Some(entry) => self.value_of(block, payload, entry, Fill::Cache).map(Lookup::from),
            None => Ok(Lookup::NotFound),
        })
    }

    /// Calls `then` with the first entry of a key, if there is one, and the payload that it is in.
    #[inline(always)]
    pub(crate) fn with_entry<'a, T>(
        &'a self,
        estimate: &Estimate,
        hash: u64,
        key: &[u8],
        then: impl FnOnce(&Payload<'a>, Option<&KeyEntry<'_>>) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let block = estimate.block;
        let payload = self.blocks().payload(block, Fill::Cache)?;
        let key_block = self.parse_key_block(block, &payload)?;
        let entry = key_search::first_entry(&key_block, self.key_index(), estimate, hash, key)
            .and_then(|first| first.map(|i| key_block.entry(i)).transpose())
            .map_err(|e| self.corrupt(block, e))?;
        then(&payload, entry.as_ref())
    }

    /// Resolves the value of an entry of the key block with this payload.
    #[inline(always)]
    pub(crate) fn value_of<'a>(
        &'a self,
        block: BlockIndex,
        payload: &Payload<'a>,
        entry: &KeyEntry<'_>,
        fill: Fill,
    ) -> Result<EntryValue<Slice<'a>>, ReadError> {
        match self.value_place(block, entry)? {
            Ok(place) => self.value_at(block, place, fill).map(EntryValue::Value),
            Err(here) => Ok(here.map(|value| payload.slice_of(value))),
        }
    }

    /// Where the value of an entry of key block `block` is, or else what the entry itself says.
    #[inline(always)]
    pub(crate) fn value_place<'p>(
        &self,
        block: BlockIndex,
        entry: &KeyEntry<'p>,
    ) -> Result<Result<ValuePlace, EntryValue<&'p [u8]>>, ReadError> {
        entry.value_ref().map(ValuePlace::of).map_err(|e| self.corrupt(block, e))
    }

    /// The value that an entry of key block `key_block` says is in another block.
    #[inline(always)]
    pub(crate) fn value_at(
        &self,
        key_block: BlockIndex,
        place: ValuePlace,
        fill: Fill,
    ) -> Result<Slice<'_>, ReadError> {
        let payload = self.blocks().payload(place.block, fill)?;
        match place.part {
            None => Ok(Slice::whole(payload)),
            Some((len, offset)) => payload
                .into_part(|payload_len| small_value_range(payload_len, len, offset))
                .map_err(|e| self.corrupt(key_block, e)),
        }
    }
}
