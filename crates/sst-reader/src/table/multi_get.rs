//! Many keys at once.
//!
//! A single lookup waits for memory two or three times, and nothing else happens meanwhile. Keys
//! that are known together need not wait one after the other: each step of `lookup.rs` is taken for
//! a group of them before the next step, and asks beforehand for the memory that the next step will
//! touch.

use sst_format::BlockIndex;
use sst_format::filter::Filter;
use sst_format::value_ref::{ValueRef, small_value};

use crate::error::ReadError;
use crate::hash::hash_key;
use crate::table::answer::Lookup;
use crate::table::entered_blocks::{BlockUse, LoadedBlocks};
use crate::table::lookup::{Located, near_entry};
use crate::table::static_sorted_file::StaticSortedFile;

/// Keys that are on their way at the same time: about as many requests as a processor core has
/// open.
const GROUP: usize = 16;

/// A key to be looked up, and its hash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HashedKey<'k> {
    pub(crate) hash: u64,
    pub(crate) key: &'k [u8],
}

impl StaticSortedFile {
    /// Looks up many keys, and returns an answer for each, in their order. As
    /// [`StaticSortedFile::get`] of each, but faster: keys are taken in the order of their hashes,
    /// and memory is waited for once for several of them.
    ///
    /// A damaged block costs the keys in it, not the others.
    ///
    /// O(n log n) for n keys, and memory for n answers. Answers in one block share it: a block is
    /// decompressed at most once per call, whether the cache has room for it or not.
    ///
    /// ```
    /// # fn show(table: &sst_reader::StaticSortedFile) -> Result<(), sst_reader::ReadError> {
    /// let keys = ["apple", "pear", "plum"];
    /// for (key, answer) in keys.iter().zip(table.multi_get(&keys)) {
    ///     println!("{key}: {:?}", answer?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn multi_get<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Result<Lookup<'_>, ReadError>> {
        let mut answers: Vec<_> = keys.iter().map(|_| None).collect();
        let mut open: Vec<_> = keys
            .iter()
            .zip(&mut answers)
            .map(|(key, answer)| {
                let key = key.as_ref();
                (HashedKey { hash: hash_key(key), key }, answer)
            })
            .collect();
        open.sort_unstable_by_key(|(key, _)| key.hash);
        if self.ask_for_key_blocks(self.filter(), &open) {
            self.ask_for_value_blocks(self.filter(), &open);
        }
        self.lookup_each(self.filter(), &mut open, |answer, found| **answer = Some(found));
        let no_answer = || Err(ReadError::internal(self.label(), "each key has an answer"));
        answers.into_iter().map(|answer| answer.unwrap_or_else(no_answer)).collect()
    }

    /// Looks up keys, sorted by hash for speed, and hands over an answer for each. `filter` is the
    /// table's own or one that a set keeps for it; `None` if all keys have passed it.
    pub(crate) fn lookup_each<'a, T>(
        &'a self,
        filter: Option<&dyn Filter>,
        keys: &mut [(HashedKey<'_>, T)],
        mut answer: impl FnMut(&mut T, Result<Lookup<'a>, ReadError>),
    ) {
        let mut loaded = LoadedBlocks::default();
        for group in keys.chunks_mut(GROUP) {
            if let Some(filter) = filter {
                group.iter().for_each(|(key, _)| filter.prefetch(key.hash));
            }
            // These have as many elements as the longest group has keys.
            let mut estimates = [const { None }; GROUP];
            for ((key, _), estimate) in group.iter().zip(&mut estimates) {
                if filter.is_none_or(|filter| filter.may_contain(key.hash)) {
                    let found = self.located(key.hash);
                    self.blocks().ask_for_new(found.estimate.block);
                    *estimate = Some(found);
                }
            }
            let mut found = [const { None }; GROUP];
            for (((key, _), estimate), found) in group.iter().zip(estimates).zip(&mut found) {
                *found = estimate.map(|at| self.fetched_value(&at, *key, &mut loaded));
            }
            for ((_, tag), found) in group.iter_mut().zip(found) {
                let found = match found {
                    Some(found) => found.and_then(|found| self.resolved(found, &mut loaded)),
                    // The filter rules it out.
                    None => Ok(Lookup::NotFound),
                };
                answer(tag, found);
            }
        }
    }

    /// Starts to read the key blocks of all keys, if the table is one of which most was never read.
    /// Returns whether there are any to wait for.
    ///
    /// A group of [`GROUP`] keys asks for its blocks anyway, but a disk answers hundreds of
    /// requests in the time of a few.
    pub(crate) fn ask_for_key_blocks<T>(
        &self,
        filter: Option<&dyn Filter>,
        keys: &[(HashedKey<'_>, T)],
    ) -> bool {
        let mut last = None;
        self.blocks().is_mostly_new()
            && keys.iter().fold(false, |is_new, (key, _)| {
                let number = self.key_index().key_block_of(key.hash);
                let block = self.key_index().block(number);
                // Keys of one block are neighbours.
                if block == last || filter.is_some_and(|filter| !filter.may_contain(key.hash)) {
                    return is_new;
                }
                last = block;
                block.is_some_and(|block| self.blocks().ask_for_new(block)) || is_new
            })
    }

    /// Starts to read the value blocks of all keys, whose key blocks were asked for.
    pub(crate) fn ask_for_value_blocks<T>(
        &self,
        filter: Option<&dyn Filter>,
        keys: &[(HashedKey<'_>, T)],
    ) {
        let mut loaded = LoadedBlocks::default();
        for (key, _) in keys {
            if filter.is_none_or(|filter| filter.may_contain(key.hash)) {
                // The lookup that follows reports damage.
                _ = self.fetched_value(&self.located(key.hash), *key, &mut loaded);
            }
        }
    }

    /// Finds the entry of a key, and fetches its value where that lies elsewhere.
    #[inline]
    fn fetched_value(
        &self,
        Located { estimate, .. }: &Located<'_>,
        HashedKey { hash, key }: HashedKey<'_>,
        loaded: &mut LoadedBlocks,
    ) -> Result<Found<'_>, ReadError> {
        let block = estimate.block;
        self.check_estimate(estimate)?;
        let payload = loaded.payload(self.blocks(), block, BlockUse::Keys)?;
        let entry = match near_entry(&payload, estimate, hash, key) {
            Some(near) => near,
            None => match self.first_entry(&payload, estimate, hash, key)? {
                Some((_, entry)) => entry,
                None => return Ok(Found::Answer(Lookup::NotFound)),
            },
        };
        match entry.value_ref().map_err(|error| self.corrupt(block, error))? {
            ValueRef::Medium(values) => {
                self.blocks().ask_for_new(values);
                self.blocks().prefetch(values, 0);
                Ok(Found::InBlock(values))
            }
            ValueRef::Small { block: values, len, offset } => {
                self.blocks().ask_for_new(values);
                self.blocks().prefetch(values, offset as usize);
                Ok(Found::InPart { key_block: block, values, len, offset })
            }
            ValueRef::Inline(value) => {
                let value = self.slice_of(&payload, value)?;
                Ok(Found::Answer(Lookup::Value(value)))
            }
            ValueRef::Blob(number) => Ok(Found::Answer(Lookup::Blob(number))),
            ValueRef::Deleted => Ok(Found::Answer(Lookup::Deleted)),
        }
    }

    #[inline]
    fn resolved<'a>(
        &'a self,
        found: Found<'a>,
        loaded: &mut LoadedBlocks,
    ) -> Result<Lookup<'a>, ReadError> {
        let value = match found {
            Found::Answer(answer) => return Ok(answer),
            Found::InBlock(values) => loaded.payload(self.blocks(), values, BlockUse::Values)?,
            Found::InPart { key_block, values, len, offset } => loaded
                .payload(self.blocks(), values, BlockUse::Values)?
                .narrow(|values| small_value(values, len, offset))
                .map_err(|error| self.corrupt(key_block, error))?,
        };
        // Guards are for a few blocks at a time.
        Ok(Lookup::Value(value.unguarded()))
    }
}

/// A key after its key block was read.
enum Found<'a> {
    Answer(Lookup<'a>),
    /// Its value is a block.
    InBlock(BlockIndex),
    /// Its value is a part of a block.
    InPart {
        key_block: BlockIndex,
        values: BlockIndex,
        len: u16,
        offset: u32,
    },
}
