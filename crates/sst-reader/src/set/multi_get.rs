//! Many keys at once.

use super::SstSet;
use super::statistics::Tally;
use crate::{Lookup, ReadError, Slice, hash_key};

/// A key that no table has answered for yet.
#[derive(Clone, Copy)]
struct Open {
    hash: u64,
    /// Its place among the keys asked for.
    place: usize,
}

impl SstSet {
    /// The values of many keys, in their order, blobs included: what [`SstSet::get`] gives for each.
    ///
    /// Keys are looked up in the order of their hashes, so each table, and each of its blocks, is come to once per call
    /// rather than once per key. O(keys × log(keys)) and what the lookups take.
    ///
    /// # Errors
    ///
    /// As [`SstSet::get`], for any of the keys.
    pub fn multi_get<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
    ) -> Result<Vec<Option<Slice<'_>>>, ReadError> {
        let mut tally = Tally::default();
        let answers = self.multi_lookup(keys, &mut tally);
        match &answers {
            Ok(answers) => answers.iter().for_each(|answer| tally.found(answer)),
            Err(_) => {
                tally.lookups += 1;
                tally.errors += 1;
            }
        }
        self.count(&tally);
        let value = |answer| match answer {
            Lookup::NotFound | Lookup::Deleted => Ok(None),
            Lookup::Value(value) => Ok(Some(value)),
            Lookup::Blob(number) => self.read_blob(number).map(Some),
        };
        answers?.into_iter().map(value).collect()
    }

    fn multi_lookup<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
        tally: &mut Tally,
    ) -> Result<Vec<Lookup<'_>>, ReadError> {
        let mut open: Vec<Open> = keys
            .iter()
            .enumerate()
            .map(|(place, key)| Open { hash: hash_key(key.as_ref()), place })
            .collect();
        open.sort_unstable_by_key(|key| key.hash);
        let mut answers = vec![Lookup::NotFound; keys.len()];
        for layer in self.layers() {
            let mut unanswered = Vec::with_capacity(open.len());
            for key in open {
                let (Some(bytes), Some(answer)) = (keys.get(key.place), answers.get_mut(key.place))
                else {
                    continue;
                };
                let bytes = bytes.as_ref();
                *answer = Self::lookup_in_layer(layer, key.hash, bytes, self.opening(), tally)?;
                if *answer == Lookup::NotFound {
                    unanswered.push(key);
                }
            }
            open = unanswered;
        }
        Ok(answers)
    }
}
