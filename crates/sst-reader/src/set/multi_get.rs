//! Many keys at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::SstSet;
use super::filter_matrix::FilterMatrix;
<<<<<<< HEAD
use super::layer::{Layer, UnevenLayer};
use super::set_table::SetTable;
use super::statistics::Tally;
use crate::table::multi_get::HashedKey;
use crate::{FileLabel, Lookup, ReadError, Slice, hash_key};
=======
use super::layer::{Layer, UnevenLayer};
use super::set_table::{OpenTable, SetTable};
use super::statistics::Tally;
use crate::table::hashed_key::HashedKey;
use crate::table::hit_predictor::HitPredictor;
use crate::table::multi_get::{AskedKey, Pipeline};
use crate::{FileLabel, Lookup, ReadError, Slice};
>>>>>>> 99732a6 (Reader: hits without the filter after a streak, headers of key blocks checked once, multi_get sorted by buckets and across tables)

/// Keys whose filters are asked at the same time.
const GROUP: usize = 32;

<<<<<<< HEAD
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

=======
>>>>>>> 99732a6 (Reader: hits without the filter after a streak, headers of key blocks checked once, multi_get sorted by buckets and across tables)
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
            Ok(answers) if self.is_counting() => {
                answers.iter().for_each(|answer| tally.found(answer));
            }
            Ok(_) => {}
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
        let mut values = Vec::with_capacity(answers.len());
        for answer in answers {
            values.push(match answer {
                Lookup::NotFound | Lookup::Deleted => None,
                Lookup::Value(value) => Some(value),
                Lookup::Blob(number) => Some(blob(number)?),
            });
        }
        Ok(values)
    }

    fn multi_lookup<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
        tally: &mut Tally,
    ) -> Result<Vec<Lookup<'_>>, ReadError> {
        let mut answers: Vec<_> = keys.iter().map(|_| Lookup::NotFound).collect();
        let mut open = HashedKey::sorted(keys);
        if let Some(matrix) = self.matrix() {
            self.lookup_in_many_layers(matrix, &open, &mut answers, tally)?;
            return Ok(answers);
        }
        for (i, layer) in self.layers().iter().enumerate() {
            if i > 0 {
                open.retain(|key| is_open(&answers, key));
            }
            self.lookup_in_tables(layer, &open, &mut answers, tally)?;
        }
        Ok(answers)
    }

    /// Looks up keys, sorted by hash, in the layers that the matrix does not rule out.
    fn lookup_in_many_layers<'s>(
        &'s self,
        matrix: &FilterMatrix,
        keys: &[HashedKey<'_>],
        answers: &mut [Lookup<'s>],
        tally: &mut Tally,
    ) -> Result<(), ReadError> {
        // For each layer the keys that it may hold, with their places among `keys`.
        let mut asked: Vec<Vec<(usize, HashedKey<'_>)>> = vec![Vec::new(); self.layers().len()];
        for (i, key) in keys.iter().enumerate() {
            matrix.ask_layers(key.hash, |layer| match asked.get_mut(layer) {
                Some(of_layer) => {
                    of_layer.push((i, *key));
                    Ok(None::<()>)
                }
                None => Err(self.no_such_layer()),
            })?;
        }
<<<<<<< HEAD
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
=======
        // For each key the layer behind the last one that it was asked of or skipped.
        let mut next = vec![0; keys.len()];
        let mut skip = |i, key: &HashedKey<'_>, to, behind, tally: &mut Tally| {
            if let Some(next) = next.get_mut(i) {
                self.count_skipped(*next..to, key.hash, tally);
                *next = behind;
            }
        };
        let mut of_layer = Vec::new();
        for ((number, layer), asked) in self.layers().iter().enumerate().zip(asked) {
            of_layer.clear();
            for (i, key) in asked {
                if is_open(answers, &key) {
                    skip(i, &key, number, number + 1, tally);
                    of_layer.push(key);
>>>>>>> 99732a6 (Reader: hits without the filter after a streak, headers of key blocks checked once, multi_get sorted by buckets and across tables)
                }
            }
            self.lookup_in_tables(layer, &of_layer, answers, tally)?;
        }
<<<<<<< HEAD
        for pending in &keys {
            if let Some((key, _)) = &pending.open {
                self.count_skipped(pending.next..self.layers().len(), key.hash, tally);
            }
=======
        let layers = self.layers().len();
        for (i, key) in keys.iter().enumerate().filter(|(_, key)| is_open(answers, key)) {
            skip(i, key, layers, layers, tally);
>>>>>>> 99732a6 (Reader: hits without the filter after a streak, headers of key blocks checked once, multi_get sorted by buckets and across tables)
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
    fn lookup_in_tables<'s>(
        &'s self,
        layer: &'s Layer,
        keys: &[HashedKey<'_>],
        answers: &mut [Lookup<'s>],
        tally: &mut Tally,
    ) -> Result<(), ReadError> {
<<<<<<< HEAD
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
=======
        let Some(first) = layer.tables().first() else { return Ok(()) };
        let predictor = HitPredictor::of_number(first.sequence().0 as usize);
        let is_late = predictor.expects_hit();
        let in_range = tally.filter_skips;
        let passed = match is_late {
            true => self.in_tables(layer, keys)?,
            false => self.passed_filters(layer, keys, tally)?,
        };
        let mut all_hit = tally.filter_skips == in_range;
        self.ask_for_blocks(layer, &passed, tally)?;
        let mut failed = None;
        // More answers than keys wrap around, and are an error too.
        let mut unanswered = passed.len();
        let mut answer = |place: usize, found| {
            unanswered = unanswered.wrapping_sub(1);
            match (found, answers.get_mut(place)) {
                (Ok(found), Some(answer)) => *answer = found,
                // The first error is the one that is returned.
                (Err(error), _) => failed = failed.take().or(Some(error)),
                (Ok(_), None) => failed = failed.take().or_else(|| Some(self.no_such_key())),
            }
        };
        let mut asked = Vec::with_capacity(passed.len());
        for run in passed.chunk_by(|(one, _), (next, _)| one == next) {
            let table = self.table_of_all(layer, run)?;
            match table.open(self.opening(), tally)? {
                OpenTable::Kept(file) => {
                    let filter = if is_late { table.filter(self.opening())? } else { None };
                    asked.extend(run.iter().map(|(_, key)| AskedKey::new(file, *key, filter)));
                }
                OpenTable::Shared(file) => {
                    let keys = run.iter().map(|(_, key)| *key);
                    file.lookup_each(keys, |place, found| {
                        answer(place, found.map(Lookup::into_owned));
                    });
                }
            }
        }
        let unexpected = Pipeline::default().lookup(&asked, &mut answer);
        tally.tables_asked += passed.len() as u64;
        all_hit &= unexpected == 0;
        predictor.learn_of_many(passed.len(), all_hit);
        match failed {
            Some(error) => Err(error),
            None if unanswered == 0 => Ok(()),
            None => Err(self.no_answer()),
        }
    }

    /// The table that all of these keys are looked up in.
    fn table_of_all<'s>(
        &self,
        layer: &'s Layer,
        run: &[(usize, HashedKey<'_>)],
    ) -> Result<&'s Arc<SetTable>, ReadError> {
        let table = run.first().and_then(|(number, _)| layer.tables().get(*number));
        table.ok_or_else(|| UnevenLayer.in_catalog(self.catalog()))
    }

    #[cold]
    fn no_such_key(&self) -> ReadError {
        let label = FileLabel::new(&self.catalog().dir);
        ReadError::internal(&label, "each key of a call for many has its place among them")
    }

    #[cold]
    fn no_answer(&self) -> ReadError {
        let label = FileLabel::new(&self.catalog().dir);
        ReadError::internal(&label, "a table answers each key that is looked up in it")
    }

    /// The keys that pass the filters of their tables, each with the number of its table.
    ///
    /// Filters are asked for a group of keys at a time, of whichever tables: so that many tables
    /// with a key or two each do not wait for memory one after the other.
    fn passed_filters<'k>(
        &self,
        layer: &Layer,
        keys: &[HashedKey<'k>],
        tally: &mut Tally,
    ) -> Result<Vec<(usize, HashedKey<'k>)>, ReadError> {
        let mut walk = layer.walk();
        let mut passed = Vec::new();
        for group in keys.chunks(GROUP) {
            // As many as the longest group has keys.
            let mut filters = [const { None }; GROUP];
            for (key, filter) in group.iter().zip(&mut filters) {
                let found = walk.table_of(key.hash);
                let found = found.map_err(|uneven| uneven.in_catalog(self.catalog()))?;
                if let Some((number, table)) = found {
                    let of_table = table.filter(self.opening())?;
                    if let Some(of_table) = of_table {
                        of_table.prefetch(key.hash);
                    }
                    *filter = Some((number, of_table));
                }
            }
            for (key, filter) in group.iter().zip(filters) {
                let Some((number, filter)) = filter else { continue };
                if filter.is_none_or(|filter| filter.may_contain(key.hash)) {
                    passed.push((number, *key));
>>>>>>> 99732a6 (Reader: hits without the filter after a streak, headers of key blocks checked once, multi_get sorted by buckets and across tables)
                } else {
                    tally.filter_skips += 1;
                }
            }
        }
<<<<<<< HEAD
        self.ask_for_blocks(layer, &passed, tally)?;
        for of_table in passed.chunk_by_mut(is_same_table) {
            let table = self.table_of_all(layer, of_table)?;
            self.lookup_in_table(table, of_table, keys, tally)?;
        }
        Ok(())
=======
        Ok(passed)
>>>>>>> 99732a6 (Reader: hits without the filter after a streak, headers of key blocks checked once, multi_get sorted by buckets and across tables)
    }

    /// The table whose filter all of these keys passed.
    fn table_of_all<'s>(
        &self,
        layer: &'s Layer,
        passed: &[(HashedKey<'_>, Passed)],
    ) -> Result<&'s Arc<SetTable>, ReadError> {
        let table = passed.first().and_then(|(_, passed)| layer.tables().get(passed.table));
        table.ok_or_else(|| UnevenLayer.in_catalog(self.catalog()))
    }

    /// Starts to read the blocks of keys that passed the filters of tables, where most of a table
    /// was never read: first all key blocks, then all value blocks.
    fn ask_for_blocks(
        &self,
        layer: &Layer,
<<<<<<< HEAD
        passed: &[(HashedKey<'_>, Passed)],
        tally: &mut Tally,
    ) -> Result<(), ReadError> {
        let mut waiting = Vec::new();
        for of_table in passed.chunk_by(is_same_table) {
            let table = self.table_of_all(layer, of_table)?;
            if let Some(file) = table.ask_for_key_blocks(of_table, self.opening(), tally)? {
                waiting.push((file, of_table));
=======
        passed: &[(usize, HashedKey<'_>)],
        tally: &mut Tally,
    ) -> Result<(), ReadError> {
        let mut waiting = Vec::new();
        let mut keys = Vec::new();
        for run in passed.chunk_by(|(one, _), (next, _)| one == next) {
            let table = self.table_of_all(layer, run)?;
            if let OpenTable::Kept(file) = table.open(self.opening(), tally)?
                && file.blocks().is_mostly_new()
            {
                keys.clear();
                keys.extend(run.iter().map(|(_, key)| *key));
                if file.ask_for_key_blocks(None, &keys) {
                    waiting.push((file, keys.clone()));
                }
>>>>>>> 99732a6 (Reader: hits without the filter after a streak, headers of key blocks checked once, multi_get sorted by buckets and across tables)
            }
        }
        for (file, keys) in waiting {
            file.ask_for_value_blocks(None, &keys);
        }
        Ok(())
    }
<<<<<<< HEAD

    /// Looks up keys that passed the filter of a table, by their places among `keys`.
    fn lookup_in_table<'s>(
        &'s self,
        table: &'s Arc<SetTable>,
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
=======

    /// The keys that are in the range of a table, each with the number of that table.
    fn in_tables<'k>(
        &self,
        layer: &Layer,
        keys: &[HashedKey<'k>],
    ) -> Result<Vec<(usize, HashedKey<'k>)>, ReadError> {
        let mut walk = layer.walk();
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            let table = walk.table_of(key.hash);
            let table = table.map_err(|uneven| uneven.in_catalog(self.catalog()))?;
            found.extend(table.map(|(number, _)| (number, *key)));
        }
        Ok(found)
    }
}

/// Whether a key has no answer yet.
#[inline]
fn is_open(answers: &[Lookup<'_>], key: &HashedKey<'_>) -> bool {
    answers.get(key.place).is_some_and(|answer| *answer == Lookup::NotFound)
}
