//! Many keys at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::SstSet;
use super::filter_matrix::FilterMatrix;
use super::layer::{Layer, UnevenLayer};
use super::set_table::SetTable;
use super::statistics::Tally;
use crate::table::multi_get::HashedKey;
use crate::{FileLabel, Lookup, ReadError, Slice, hash_key};

/// Keys whose filters are asked at the same time.
const GROUP: usize = 32;

/// A key that is not answered yet, and where its answer goes.
type OpenKey<'k, 'a, 's> = (HashedKey<'k>, &'a mut Lookup<'s>);

/// A key of a call for many layers.
struct Pending<'k, 'a, 's> {
    /// `None` once it is answered, and while a layer is asked for it.
    open: Option<OpenKey<'k, 'a, 's>>,
    /// The layer behind the last one that was asked or skipped.
    next: usize,
}

/// A key that passed the filter of a table of a layer.
#[derive(Clone, Copy)]
struct Passed {
    /// Its place among the keys.
    key: usize,
    /// The number of the table in the layer.
    table: usize,
}

/// Whether two keys passed the filter of the same table.
fn is_same_table(one: &(HashedKey<'_>, Passed), next: &(HashedKey<'_>, Passed)) -> bool {
    one.1.table == next.1.table
}

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
        let pending = |key| Pending { open: Some(key), next: 0 };
        let mut keys: Vec<_> = keys.into_iter().map(pending).collect();
        // There is a list of keys for each layer.
        for ((number, layer), asked) in self.layers().iter().enumerate().zip(asked) {
            let (mut places, mut of_layer) = (Vec::new(), Vec::new());
            for i in asked {
                let pending = keys.get_mut(i).ok_or_else(|| self.no_such_key())?;
                // A newer layer may have answered it.
                let Some(key) = pending.open.take() else { continue };
                self.count_skipped(pending.next..number, key.0.hash, tally);
                pending.next = number + 1;
                places.push(i);
                of_layer.push(key);
            }
            self.lookup_in_tables(layer, &mut of_layer, tally)?;
            // Each key of the layer has its place.
            for (i, key) in places.into_iter().zip(of_layer) {
                if *key.1 == Lookup::NotFound {
                    keys.get_mut(i).ok_or_else(|| self.no_such_key())?.open = Some(key);
                }
            }
        }
        for pending in &keys {
            if let Some((key, _)) = &pending.open {
                self.count_skipped(pending.next..self.layers().len(), key.hash, tally);
            }
        }
        Ok(())
    }

    #[cold]
    fn no_such_key(&self) -> ReadError {
        let label = FileLabel::new(&self.catalog().dir);
        ReadError::internal(&label, "each key of a call for many has its place among them")
    }

    #[cold]
    fn no_answer(&self) -> ReadError {
        let label = FileLabel::new(&self.catalog().dir);
        ReadError::internal(&label, "a table answers each key that passed its filter")
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
        let mut passed = Vec::new();
        for (group, first) in keys.chunks(GROUP).zip((0..).step_by(GROUP)) {
            // As many as the longest group has keys.
            let mut tables = [const { None }; GROUP];
            for ((key, _), table) in group.iter().zip(&mut tables) {
                let found = walk.table_of(key.hash);
                *table = found.map_err(|uneven| uneven.in_catalog(self.catalog()))?;
                if let Some((_, table)) = table {
                    table.prefetch_filter(key.hash, self.opening())?;
                }
            }
            for (((key, _), table), i) in group.iter().zip(tables).zip(first..) {
                let Some((number, table)) = table else { continue };
                if table.may_contain(key.hash, self.opening())? {
                    passed.push((*key, Passed { key: i, table: number }));
                } else {
                    tally.filter_skips += 1;
                }
            }
        }
        self.ask_for_blocks(layer, &passed, tally)?;
        for of_table in passed.chunk_by_mut(is_same_table) {
            let table = self.table_of_all(layer, of_table)?;
            self.lookup_in_table(table, of_table, keys, tally)?;
        }
        Ok(())
    }

    /// The table whose filter all of these keys passed.
    fn table_of_all<'s>(
        &self,
        layer: &'s Layer,
        passed: &[(HashedKey<'_>, Passed)],
    ) -> Result<&'s SetTable, ReadError> {
        let table = passed.first().and_then(|(_, passed)| layer.tables().get(passed.table));
        table.ok_or_else(|| UnevenLayer.in_catalog(self.catalog()))
    }

    /// Starts to read the blocks of keys that passed the filters of tables, where most of a table
    /// was never read: first all key blocks, then all value blocks.
    fn ask_for_blocks(
        &self,
        layer: &Layer,
        passed: &[(HashedKey<'_>, Passed)],
        tally: &mut Tally,
    ) -> Result<(), ReadError> {
        let mut waiting = Vec::new();
        for of_table in passed.chunk_by(is_same_table) {
            let table = self.table_of_all(layer, of_table)?;
            if let Some(file) = table.ask_for_key_blocks(of_table, self.opening(), tally)? {
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
        table: &'s SetTable,
        passed: &mut [(HashedKey<'_>, Passed)],
        keys: &mut [OpenKey<'_, '_, 's>],
        tally: &mut Tally,
    ) -> Result<(), ReadError> {
        let mut failed = None;
        // More answers than keys wrap around, and are an error too.
        let mut unanswered = passed.len();
        table.lookup_each(passed, self.opening(), tally, |passed, found| {
            unanswered = unanswered.wrapping_sub(1);
            match (found, keys.get_mut(passed.key)) {
                (Ok(found), Some((_, answer))) => **answer = found,
                // The first error is the one that is returned.
                (Err(error), _) => failed = failed.take().or(Some(error)),
                (Ok(_), None) => failed = failed.take().or_else(|| Some(self.no_such_key())),
            }
        })?;
        match failed {
            Some(error) => Err(error),
            None if unanswered == 0 => Ok(()),
            None => Err(self.no_answer()),
        }
    }
}
