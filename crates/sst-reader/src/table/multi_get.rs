//! Many keys at once.
//!
//! A single lookup waits for memory two or three times, and nothing else happens meanwhile. Keys that are known together
//! need not wait one after the other: each step is taken for a group of them before the next, and asks beforehand for
//! the memory that the next will touch.

use sst_format::filter::Filter;

use crate::block::memory::prefetch_around;
use crate::{Lookup, ReadError, StaticSortedFile, hash_key};

/// Keys that are on their way at the same time: about as many as a processor core can wait for.
const GROUP: usize = 16;

/// A key to be looked up, and its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
        sorted.sort_unstable();
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
            let mut may_be_there = [false; GROUP];
            for ((key, _), may_be_there) in group.iter().zip(&mut may_be_there) {
                *may_be_there = filter.is_none_or(|filter| filter.may_contain(key.hash));
                if *may_be_there {
                    self.prefetch_key_block(key.hash);
                }
            }
            let there = group.iter().zip(may_be_there).filter(|(_, may_be_there)| *may_be_there);
            for ((key, tag), _) in there {
                let found = self.lookup_unfiltered(key.hash, key.key);
                if let Ok(Lookup::Value(value)) = &found {
                    prefetch_around::<0>(value, 0);
                }
                answer(tag, found);
            }
        }
    }
}
