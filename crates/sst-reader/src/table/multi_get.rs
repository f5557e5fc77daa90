//! Many keys at once.
//!
//! A single lookup waits for memory two or three times, and nothing else happens meanwhile. Keys that are known together
//! need not wait one after the other: each step is taken for a group of them before the next, and asks beforehand for
//! the memory that the next will touch.

use sst_format::BlockIndex;
use sst_format::filter::Filter;

use crate::block::blocks::Fill;
use crate::table::key_index::Estimate;
use crate::table::value_place::ValuePlace;
use crate::{Lookup, ReadError, StaticSortedFile, hash_key};

/// Keys that are on their way at the same time: about as many as a processor core can wait for.
const GROUP: usize = 16;

/// A key to be looked up, and its hash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HashedKey<'k> {
    pub(crate) hash: u64,
    pub(crate) key: &'k [u8],
}

impl StaticSortedFile {
    /// Looks up many keys, and returns an answer for each, in their order. As [`StaticSortedFile::get`] of each, but
    /// faster: keys are taken in the order of their hashes, and memory is waited for once for several of them.
    ///
    /// A damaged block costs the keys in it, not the others.
    ///
    /// O(n log n) for n keys, and memory for n answers.
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
        let hashed = |key| HashedKey { hash: hash_key(key), key };
        let mut sorted: Vec<(HashedKey<'_>, usize)> =
            keys.iter().enumerate().map(|(i, key)| (hashed(key.as_ref()), i)).collect();
        sorted.sort_unstable_by_key(|(key, _)| key.hash);
        let mut answers: Vec<_> = keys.iter().map(|_| Ok(Lookup::NotFound)).collect();
        self.lookup_each(self.filter(), &sorted, |&i, answer| {
            if let Some(place) = answers.get_mut(i) {
                *place = answer;
            }
        });
        answers
    }

    /// Looks up keys that are best sorted by hash, and hands over an answer for each that passes the filter, the table's own
    /// or one that a set keeps for it. Whoever gets none is not found.
    pub(crate) fn lookup_each<'a, T>(
        &'a self,
        filter: Option<&dyn Filter>,
        keys: &[(HashedKey<'_>, T)],
        mut answer: impl FnMut(&T, Result<Lookup<'a>, ReadError>),
    ) {
        for group in keys.chunks(GROUP) {
            if let Some(filter) = filter {
                group.iter().for_each(|(key, _)| filter.prefetch(key.hash));
            }
            let mut estimates = [const { None }; GROUP];
            for ((key, _), estimate) in group.iter().zip(&mut estimates) {
                if filter.is_none_or(|filter| filter.may_contain(key.hash)) {
                    *estimate = Some(self.fetched_estimate(key.hash));
                }
            }
            let mut found = [const { None }; GROUP];
            for (((key, _), estimate), found) in group.iter().zip(estimates).zip(&mut found) {
                *found = estimate.map(|at| self.fetched_value(&at, key.hash, key.key));
            }
            for ((_, tag), found) in group.iter().zip(found) {
                if let Some(found) = found {
                    answer(tag, found.and_then(|found| self.resolve(found)));
                }
            }
        }
    }

    /// Finds the entry of a key, and fetches its value where that lies elsewhere.
    #[inline]
    fn fetched_value(
        &self,
        estimate: &Estimate,
        hash: u64,
        key: &[u8],
    ) -> Result<Found<'_>, ReadError> {
        let block = estimate.block;
        self.with_entry(estimate, hash, key, |payload, entry| match entry {
            None => Ok(Found::Answer(Lookup::NotFound)),
            Some(entry) => match self.value_place(block, entry)? {
                Ok(place) => {
                    self.blocks().prefetch(place.block, place.offset());
                    Ok(Found::At(block, place))
                }
                Err(here) => Ok(Found::Answer(here.map(|value| payload.slice_of(value)).into())),
            },
        })
    }

    #[inline]
    fn resolve<'a>(&'a self, found: Found<'a>) -> Result<Lookup<'a>, ReadError> {
        match found {
            Found::Answer(answer) => Ok(answer),
            Found::At(key_block, place) => {
                // Guards are for a few values at a time.
                let value = self.value_at(key_block, place, Fill::Cache)?;
                Ok(Lookup::Value(value.unguarded()))
            }
        }
    }
}

/// What the entry of a key says.
enum Found<'a> {
    Answer(Lookup<'a>),
    /// Key block of the entry, and where the value is.
    At(BlockIndex, ValuePlace),
}
