//! Many keys at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::SstSet;
use super::statistics::Tally;
use crate::table::multi_get::HashedKey;
use crate::{Lookup, ReadError, Slice, hash_key};

impl SstSet {
    /// The values of many keys, in their order, blobs included: as [`SstSet::get`] of each.
    ///
    /// Values in one block or blob file share it. Keys are looked up in the order of their hashes,
    /// so each table, and each of its blocks, is visited once per call rather than once per key.
    /// O(keys × log(keys)) and the time of the lookups.
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
        let answers = answers.map_err(|error| self.catalog().outdated_or(error))?;
        // Each blob once: its value is shared by all keys that have it.
        let mut blobs = HashMap::new();
        let mut blob = |number| match blobs.entry(number) {
            Entry::Occupied(known) => Ok(Slice::clone(known.get())),
            Entry::Vacant(unread) => {
                self.read_blob(number).map(|value| unread.insert(value).clone())
            }
        };
        let value = |answer| match answer {
            Lookup::NotFound | Lookup::Deleted => Ok(None),
            Lookup::Value(value) => Ok(Some(value)),
            Lookup::Blob(number) => blob(number).map(Some),
        };
        answers.into_iter().map(value).collect()
    }

    fn multi_lookup<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
        tally: &mut Tally,
    ) -> Result<Vec<Lookup<'_>>, ReadError> {
        let mut answers = vec![Lookup::NotFound; keys.len()];
        let hashed = |key| HashedKey { hash: hash_key(key), key };
        let mut open: Vec<(HashedKey<'_>, &mut Lookup<'_>)> =
            keys.iter().map(|key| hashed(key.as_ref())).zip(&mut answers).collect();
        open.sort_unstable_by_key(|(key, _)| key.hash);
        for layer in self.layers() {
            let mut rest = open.as_mut_slice();
            while let Some((first, _)) = rest.first() {
                let table = layer.table_up_to(first.hash);
                // Keys are in order, so those of one table are neighbours.
                let highest = table.map_or(first.hash, |(_, highest)| highest);
                let of_table = rest.partition_point(|(key, _)| key.hash <= highest);
                let (of_table, behind) = rest.split_at_mut(of_table);
                rest = behind;
                let Some((table, _)) = table else { continue };
                let mut answered = Ok(());
                table.lookup_each(
                    of_table,
                    self.opening(),
                    tally,
                    |answer, found| match found {
                        Ok(found) => **answer = found,
                        // The first error is the one that is returned.
                        Err(error) if answered.is_ok() => answered = Err(error),
                        Err(_) => {}
                    },
                )?;
                answered?;
            }
            open.retain(|(_, answer)| **answer == Lookup::NotFound);
        }
        Ok(answers)
    }
}
