//! Many keys at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::SstSet;
use super::filter_matrix::FilterMatrix;
use super::layer::Layer;
use super::set_table::SetTable;
use super::statistics::Tally;
use crate::table::multi_get::HashedKey;
use crate::{Lookup, ReadError, Slice, hash_key};

/// Keys whose filters are asked at the same time.
const GROUP: usize = 32;

/// A key that is not answered yet, and where its answer goes.
type OpenKey<'k, 'a, 's> = (HashedKey<'k>, &'a mut Lookup<'s>);

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
        let mut open: Vec<OpenKey<'_, '_, '_>> =
            keys.iter().map(|key| hashed(key.as_ref())).zip(&mut answers).collect();
        open.sort_unstable_by_key(|(key, _)| key.hash);
        match self.matrix() {
            Some(matrix) => self.lookup_in_many_layers(matrix, open, tally)?,
            None => {
                for layer in self.layers() {
                    self.lookup_in_tables(layer, &mut open, tally)?;
                    open.retain(|(_, answer)| **answer == Lookup::NotFound);
                }
            }
        }
        Ok(answers)
    }

    /// Looks up keys, sorted by hash, in the layers that the matrix does not rule out.
    fn lookup_in_many_layers<'s>(
        &'s self,
        matrix: &FilterMatrix,
        keys: Vec<OpenKey<'_, '_, 's>>,
        tally: &mut Tally,
    ) -> Result<(), ReadError> {
        // For each layer the keys that it may hold, by their place among the keys. A key is taken
        // out of its place while a layer is asked for it.
        let mut asked: Vec<Vec<usize>> = vec![Vec::new(); self.layers().len()];
        for (i, (key, _)) in keys.iter().enumerate() {
            matrix.ask_layers(key.hash, |layer| match asked.get_mut(layer) {
                Some(of_layer) => {
                    of_layer.push(i);
                    Ok(None::<()>)
                }
                None => Err(self.no_such_layer()),
            })?;
        }
        // For each key the layer behind the last one that it was asked of or skipped.
        let mut next = vec![0; keys.len()];
        let mut skip = |(i, key): (usize, &OpenKey<'_, '_, '_>), to, behind, tally: &mut Tally| {
            if let Some(next) = next.get_mut(i) {
                self.count_skipped(*next..to, key.0.hash, tally);
                *next = behind;
            }
        };
        let mut keys: Vec<_> = keys.into_iter().map(Some).collect();
        for ((number, layer), asked) in self.layers().iter().enumerate().zip(asked) {
            let take = |i: usize| Some((i, keys.get_mut(i)?.take()?));
            let taken = asked.into_iter().filter_map(take);
            let (places, mut of_layer): (Vec<_>, Vec<_>) = taken.unzip();
            for key in places.iter().copied().zip(&of_layer) {
                skip(key, number, number + 1, tally);
            }
            self.lookup_in_tables(layer, &mut of_layer, tally)?;
            for (i, key) in places.into_iter().zip(of_layer) {
                if *key.1 == Lookup::NotFound
                    && let Some(place) = keys.get_mut(i)
                {
                    *place = Some(key);
                }
            }
        }
        let layers = self.layers().len();
        for (i, key) in keys.iter().enumerate() {
            if let Some(key) = key {
                skip((i, key), layers, layers, tally);
            }
        }
        Ok(())
    }

    /// Looks up keys, sorted by hash, in the tables of a layer.
    ///
    /// Filters are asked for a group of keys at a time, of whichever tables: so that many tables
    /// with a key or two each do not wait for memory one after the other.
    fn lookup_in_tables<'s>(
        &'s self,
        layer: &'s Layer,
        keys: &mut [OpenKey<'_, '_, 's>],
        tally: &mut Tally,
    ) -> Result<(), ReadError> {
        let mut walk = layer.walk();
        // The keys that passed a filter, by their places, and the numbers of their tables.
        let (mut passed, mut numbers) = (Vec::new(), Vec::new());
        for (group, first) in keys.chunks(GROUP).zip((0..).step_by(GROUP)) {
            let mut tables = [const { None }; GROUP];
            for ((key, _), table) in group.iter().zip(&mut tables) {
                *table = walk.table_of(key.hash);
                if let Some((_, table)) = table {
                    table.prefetch_filter(key.hash, self.opening())?;
                }
            }
            for (((key, _), table), i) in group.iter().zip(tables).zip(first..) {
                let Some((number, table)) = table else { continue };
                if table.may_contain(key.hash, self.opening())? {
                    passed.push((*key, i));
                    numbers.push(number);
                } else {
                    tally.filter_skips += 1;
                }
            }
        }
        self.ask_for_blocks(layer, &passed, &numbers, tally)?;
        let mut rest = passed.as_mut_slice();
        for run in numbers.chunk_by(|one, next| one == next) {
            let (of_table, behind) = rest.split_at_mut(run.len().min(rest.len()));
            rest = behind;
            if let Some(table) = run.first().and_then(|number| layer.tables().get(*number)) {
                self.lookup_in_table(table, of_table, keys, tally)?;
            }
        }
        Ok(())
    }

    /// Starts to read the blocks of keys that passed the filters of the tables with these numbers,
    /// where most of a table was never read: first all key blocks, then all value blocks.
    fn ask_for_blocks(
        &self,
        layer: &Layer,
        passed: &[(HashedKey<'_>, usize)],
        numbers: &[usize],
        tally: &mut Tally,
    ) -> Result<(), ReadError> {
        let mut rest = passed;
        let mut waiting = Vec::new();
        for run in numbers.chunk_by(|one, next| one == next) {
            let (of_table, behind) = rest.split_at(run.len().min(rest.len()));
            rest = behind;
            if let Some(table) = run.first().and_then(|number| layer.tables().get(*number))
                && let Some(file) = table.ask_for_key_blocks(of_table, self.opening(), tally)?
            {
                waiting.push((file, of_table));
            }
        }
        for (file, of_table) in waiting {
            file.ask_for_value_blocks(None, of_table);
        }
        Ok(())
    }

    /// Looks up keys that passed the filter of a table, by their places among `keys`.
    fn lookup_in_table<'s>(
        &'s self,
        table: &'s Arc<SetTable>,
        passed: &mut [(HashedKey<'_>, usize)],
        keys: &mut [OpenKey<'_, '_, 's>],
        tally: &mut Tally,
    ) -> Result<(), ReadError> {
        let mut answered = Ok(());
        table.lookup_each(passed, self.opening(), tally, |i, found| match found {
            Ok(found) => {
                if let Some((_, answer)) = keys.get_mut(*i) {
                    **answer = found;
                }
            }
            // The first error is the one that is returned.
            Err(error) if answered.is_ok() => answered = Err(error),
            Err(_) => {}
        })?;
        answered
    }
}
