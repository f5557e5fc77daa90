//! Many keys at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::SstSet;
use super::filter_matrix::FilterMatrix;
use super::layer::Layer;
use super::set_table::TableInUse;
use super::statistics::Tally;
use crate::table::batch_key::BatchKey;
use crate::table::hit_predictor::HitPredictor;
use crate::table::lookup_pipeline::{AskedKey, LookupPipeline};
use crate::{FileLabel, Lookup, ReadError, Slice};

/// Keys whose filters are asked at the same time.
const GROUP: usize = 32;

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
        let mut open = BatchKey::sorted(keys);
        // They ascend.
        for key in open.first().into_iter().chain(open.last()) {
            self.check_shard(key.hash)?;
        }
        if let Some(matrix) = self.matrix() {
            self.lookup_in_many_layers(matrix, &open, &mut answers, tally)?;
            return Ok(answers);
        }
        for (i, layer) in self.layers().iter().enumerate() {
            if i > 0 {
                let mut still_open = Vec::with_capacity(open.len());
                for key in open {
                    if self.is_open(&answers, &key)? {
                        still_open.push(key);
                    }
                }
                open = still_open;
            }
            self.lookup_in_tables(layer, &open, &mut answers, tally)?;
        }
        Ok(answers)
    }

    /// Looks up keys, sorted by hash, in the layers that the matrix does not rule out.
    fn lookup_in_many_layers<'s>(
        &'s self,
        matrix: &FilterMatrix,
        keys: &[BatchKey<'_>],
        answers: &mut [Lookup<'s>],
        tally: &mut Tally,
    ) -> Result<(), ReadError> {
        // For each layer the keys that it may hold, with their places among `keys`.
        let mut asked: Vec<Vec<(usize, BatchKey<'_>)>> = vec![Vec::new(); self.layers().len()];
        for (i, key) in keys.iter().enumerate() {
            matrix.ask_layers(key.hash, |layer| match asked.get_mut(layer) {
                Some(of_layer) => {
                    of_layer.push((i, *key));
                    Ok(None::<()>)
                }
                None => Err(self.no_such_layer()),
            })?;
        }
        // For each key the layer behind the last one that it was asked of or skipped.
        let mut next = vec![0; keys.len()];
        let mut skip = |i: usize, key: &BatchKey<'_>, to, behind, tally: &mut Tally| {
            let next: &mut usize = next.get_mut(i).ok_or_else(|| self.no_such_key())?;
            self.count_skipped(*next..to, key.hash, tally);
            *next = behind;
            Ok::<_, ReadError>(())
        };
        let mut of_layer = Vec::new();
        // There is a list of keys for each layer.
        for ((number, layer), asked) in self.layers().iter().enumerate().zip(asked) {
            of_layer.clear();
            for (i, key) in asked {
                if self.is_open(answers, &key)? {
                    skip(i, &key, number, number + 1, tally)?;
                    of_layer.push(key);
                }
            }
            self.lookup_in_tables(layer, &of_layer, answers, tally)?;
        }
        let layers = self.layers().len();
        for (i, key) in keys.iter().enumerate() {
            if self.is_open(answers, key)? {
                skip(i, key, layers, layers, tally)?;
            }
        }
        Ok(())
    }

    /// Whether a key has no answer yet.
    #[inline]
    fn is_open(&self, answers: &[Lookup<'_>], key: &BatchKey<'_>) -> Result<bool, ReadError> {
        let answer = answers.get(key.place).ok_or_else(|| self.no_such_key())?;
        Ok(*answer == Lookup::NotFound)
    }

    #[cold]
    fn no_such_key(&self) -> ReadError {
        self.internal("each key of a call for many has its place among them")
    }

    #[cold]
    fn no_such_table(&self) -> ReadError {
        self.internal("a layer has the tables that it finds for a hash")
    }

    #[cold]
    fn internal(&self, invariant: &'static str) -> ReadError {
        ReadError::internal(&FileLabel::new(&self.catalog().dir), invariant)
    }

    /// Looks up keys, sorted by hash, in the tables of a layer.
    fn lookup_in_tables<'s>(
        &'s self,
        layer: &'s Layer,
        keys: &[BatchKey<'_>],
        answers: &mut [Lookup<'s>],
        tally: &mut Tally,
    ) -> Result<(), ReadError> {
        // A layer without tables has no key.
        let Some(first) = layer.tables().first() else { return Ok(()) };
        let predictor = HitPredictor::of_number(first.sequence().0 as usize);
        let is_late = predictor.expects_hit();
        let in_range = tally.filter_skips;
        let passed = match is_late {
            true => self.in_tables(layer, keys)?,
            false => self.passed_filters(layer, keys, tally)?,
        };
        let mut all_hit = tally.filter_skips == in_range;
        // The first error is the one that is returned.
        let mut answered = Ok(());
        let mut answer_count = 0;
        let mut answer = |place: usize, found| {
            answer_count += 1;
            let found = match (answers.get_mut(place), found) {
                (Some(answer), Ok(found)) => {
                    *answer = found;
                    return;
                }
                (_, Err(error)) => error,
                (None, Ok(_)) => self.no_such_key(),
            };
            if answered.is_ok() {
                answered = Err(found);
            }
        };
        let mut asked = Vec::with_capacity(passed.len());
        // Those of tables of which most was never read.
        let mut cold = Vec::new();
        let (mut group_len, mut cold_group_len) = (1, 1);
        for run in passed.chunk_by(|(one, _), (next, _)| one == next) {
            let number = run.first().map(|(number, _)| *number);
            let table = number.and_then(|number| layer.tables().get(number));
            let table = table.ok_or_else(|| self.no_such_table())?;
            match table.open(self.opening(), tally)? {
                TableInUse::Kept(file) => {
                    let filter = if is_late { table.filter(self.opening())? } else { None };
                    let keys = run.iter().map(|(_, key)| AskedKey::new(file, *key, filter));
                    if file.blocks().is_mostly_new() {
                        cold_group_len = file.group_len();
                        cold.extend(keys);
                    } else {
                        group_len = file.group_len();
                        asked.extend(keys);
                    }
                }
                TableInUse::Shared(file) => {
                    let keys = run.iter().map(|(_, key)| *key);
                    file.lookup_each(keys, |place, found| {
                        answer(place, found.map(Lookup::into_owned));
                    });
                }
            }
        }
        let mut pipeline = LookupPipeline::default();
        let unexpected = pipeline.lookup(&cold, cold_group_len, &mut answer)
            + pipeline.lookup(&asked, group_len, &mut answer);
        tally.tables_asked += passed.len() as u64;
        all_hit &= unexpected == 0;
        predictor.learn_of_many(passed.len(), all_hit);
        if answered.is_ok() && answer_count != passed.len() {
            return Err(self.internal("a table answers each key that it is asked for"));
        }
        answered
    }

    /// The keys that pass the filters of their tables, each with the number of its table.
    ///
    /// Filters are asked for a group of keys at a time, of whichever tables: so that many tables
    /// with a key or two each do not wait for memory one after the other.
    fn passed_filters<'k>(
        &self,
        layer: &Layer,
        keys: &[BatchKey<'k>],
        tally: &mut Tally,
    ) -> Result<Vec<(usize, BatchKey<'k>)>, ReadError> {
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
                } else {
                    tally.filter_skips += 1;
                }
            }
        }
        Ok(passed)
    }

    /// The keys that are in the range of a table, each with the number of that table.
    fn in_tables<'k>(
        &self,
        layer: &Layer,
        keys: &[BatchKey<'k>],
    ) -> Result<Vec<(usize, BatchKey<'k>)>, ReadError> {
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
