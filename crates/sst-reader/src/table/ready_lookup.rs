//! Lookups that wait for nothing: for callers that hold something while they look a key up, such as
//! a thread of an event loop, or the lock of an interpreter.

use sst_format::BlockIndex;
use sst_format::filter::Filter;
use sst_format::key_block::KeyEntry;
use sst_format::value_ref::{ValueRef, small_value};

use crate::block::slice::Slice;
use crate::error::ReadError;
use crate::table::answer::Lookup;
use crate::table::hit_predictor::HitPredictor;
use crate::table::key_block_search::near_entry;
use crate::table::static_sorted_file::StaticSortedFile;

impl StaticSortedFile {
    /// [`StaticSortedFile::lookup_through`], if no block has to be read, verified or decompressed
    /// for it. `None` means unknown.
    #[inline]
    pub(crate) fn lookup_ready(
        &self,
        filter: Option<&dyn Filter>,
        hash: u64,
        key: &[u8],
    ) -> Option<Result<Lookup<'_>, ReadError>> {
        let predictor = HitPredictor::of(self.blocks().id());
        let is_late = filter.is_none() || predictor.expects_hit();
        let early = (is_late || predictor.predicts_hit()).then(|| self.located_now(hash));
        if let (false, Some(filter)) = (is_late, filter) {
            let may_be_there = filter.may_contain(hash);
            predictor.learn(may_be_there);
            if !may_be_there {
                return Some(Ok(Lookup::NotFound));
            }
        }
        let located = early.unwrap_or_else(|| self.located_now(hash));
        let block = located.estimate.block;
        if let Some(entry) = located.entry_near(hash, key) {
            let keep = |value: &[u8]| self.blocks().resident_slice(value);
            return self.ready_value(block, &entry, keep);
        }
        if is_late && filter.is_some_and(|filter| !filter.may_contain(hash)) {
            predictor.learn(false);
            return Some(Ok(Lookup::NotFound));
        }
        // The key lies elsewhere in the block, or is not there, or the block is one of the cache.
        let payload = self.blocks().resident_or_cached(block)?;
        let entry = match near_entry(&payload, &located.estimate, hash, key) {
            Some(near) => near,
            None => match self.first_entry(&payload, &located.estimate, hash, key) {
                Ok(Some((_, entry))) => entry,
                Ok(None) => return Some(Ok(Lookup::NotFound)),
                Err(error) => return Some(Err(error)),
            },
        };
        self.ready_value(block, &entry, |value| payload.clone_of_part(value))
    }

    /// The answer that an entry of block `key_block` gives, if its value is at hand. `keep` gives a
    /// value that lies with its key.
    #[inline(always)]
    fn ready_value<'a>(
        &'a self,
        key_block: BlockIndex,
        entry: &KeyEntry<'_>,
        keep: impl FnOnce(&[u8]) -> Option<Slice<'a>>,
    ) -> Option<Result<Lookup<'a>, ReadError>> {
        let value = match entry.value_ref() {
            Ok(ValueRef::Inline(value)) => keep(value).ok_or_else(|| self.not_in_its_block()),
            Ok(ValueRef::Small { block, len, offset }) => {
                let part = self.blocks().resident_part(block, |it| small_value(it, len, offset));
                let value = match part {
                    Some(value) => value,
                    None => {
                        let values = self.blocks().cached_at(block, offset as usize)?;
                        values.narrow(|it| small_value(it, len, offset))
                    }
                };
                value.map_err(|error| self.corrupt(key_block, error))
            }
            Ok(ValueRef::Medium(block)) => Ok(self.blocks().resident_or_cached(block)?),
            Ok(ValueRef::Deleted) => return Some(Ok(Lookup::Deleted)),
            Ok(ValueRef::Blob(_)) => return None,
            Err(error) => Err(self.corrupt(key_block, error)),
        };
        Some(value.map(Lookup::Value))
    }
}
