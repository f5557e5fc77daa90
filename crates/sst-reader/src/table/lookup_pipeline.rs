//! Many keys at once.
//!
//! A single lookup waits for memory two or three times, and nothing else happens meanwhile. Keys
//! that are known together need not wait one after the other: each step of `lookup.rs` is taken for
//! a group of them before the next step, and asks beforehand for the memory that the next step will
//! touch.

use sst_format::BlockIndex;
use sst_format::filter::Filter;
use sst_format::value_ref::{ValueRef, small_value};

use crate::block::memory::prefetch_around;
use crate::error::ReadError;
use crate::table::answer::Lookup;
use crate::table::batch_key::BatchKey;
use crate::table::entered_blocks::{BlockUse, LoadedBlocks};
use crate::table::hit_predictor::HitPredictor;
use crate::table::key_block_search::near_entry;
use crate::table::key_index::Estimate;
use crate::table::lookup::Located;
use crate::table::static_sorted_file::StaticSortedFile;

/// Keys that are on their way at the same time: about as many requests as a processor core has
/// open.
const GROUP: usize = 16;

/// The same of a table of which most was never read: a disk answers hundreds of requests in the
/// time of a few, so all key blocks are asked for first, then all value blocks. Not more than this,
/// since what was asked for must stay in memory until it is used: some 24 KiB for a key. Of objects
/// in a store 64 MiB are held.
const COLD_GROUP: usize = 2048;

/// A key, and the table in which it is looked up.
#[derive(Clone, Copy)]
pub(crate) struct AskedKey<'a, 'k> {
    pub(crate) table: &'a StaticSortedFile,
    pub(crate) key: BatchKey<'k>,
    /// The table's filter, if it was not asked yet: it is asked where the key is not found at once.
    pub(crate) filter: Option<&'a dyn Filter>,
}

impl<'a, 'k> AskedKey<'a, 'k> {
    #[inline(always)]
    pub(crate) const fn new(
        table: &'a StaticSortedFile,
        key: BatchKey<'k>,
        filter: Option<&'a dyn Filter>,
    ) -> Self {
        Self { table, key, filter }
    }

    /// Starts to read the key block, if it was never read and the filter does not rule the key out.
    #[inline]
    fn prefetch_key_block(&self, block: BlockIndex) {
        let blocks = self.table.blocks();
        if blocks.is_new(block) && self.filter.is_none_or(|of| of.may_contain(self.key.hash)) {
            blocks.prefetch_new(block);
        }
    }
}

impl StaticSortedFile {
    /// Looks up many keys, and returns an answer for each, in their order. As
    /// [`StaticSortedFile::get`] of each, but faster: keys are taken in the order of their hashes,
    /// and memory is waited for once for several of them.
    ///
    /// A damaged block costs the keys in it, not the others.
    ///
    /// O(n) for n keys with evenly spread hashes, O(n log n) for others, and memory for n answers.
    /// Answers in one block share it: a block is decompressed at most once per call, whether the
    /// cache has room for it or not.
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
        let keys = BatchKey::sorted(keys);
        let group_len = self.group_len();
        let mut pipeline = LookupPipeline::default();
        let mut answer = |place: usize, found| {
            // A key has its place among the keys of the call.
            if let Some(answer) = answers.get_mut(place) {
                *answer = Some(found);
            }
        };
        let predictor = HitPredictor::of(self.blocks().id());
        let expects_hit = predictor.expects_hit();
        let mut passed = Vec::with_capacity(GROUP);
        let mut all_hit = true;
        for group in keys.chunks(group_len) {
            passed.clear();
            match self.filter() {
                None => passed.extend(group.iter().map(|key| AskedKey::new(self, *key, None))),
                filter if expects_hit => {
                    passed.extend(group.iter().map(|key| AskedKey::new(self, *key, filter)));
                }
                Some(filter) => {
                    group.iter().for_each(|key| filter.prefetch(key.hash));
                    for key in group {
                        if filter.may_contain(key.hash) {
                            passed.push(AskedKey::new(self, *key, None));
                        } else {
                            answer(key.place, Ok(Lookup::NotFound));
                        }
                    }
                    all_hit &= passed.len() == group.len();
                }
            }
            all_hit &= pipeline.lookup(&passed, group_len, &mut answer) == 0;
        }
        predictor.learn_of_many(keys.len(), all_hit);
        let answered = |answer: Option<_>| answer.unwrap_or_else(|| Err(self.no_answer()));
        answers.into_iter().map(answered).collect()
    }

    #[cold]
    fn no_answer(&self) -> ReadError {
        ReadError::internal(self.label(), "each key of a call for many has an answer")
    }

    /// Looks up keys that passed the filter, and hands over the place and the answer of each.
    pub(crate) fn lookup_each<'a>(
        &'a self,
        keys: impl Iterator<Item = BatchKey<'a>>,
        mut answer: impl FnMut(usize, Result<Lookup<'a>, ReadError>),
    ) {
        let keys: Vec<_> = keys.map(|key| AskedKey { table: self, key, filter: None }).collect();
        // No filter is asked, so none rules a key out.
        _ = LookupPipeline::default().lookup(&keys, self.group_len(), &mut answer);
    }

    /// How many keys of this table take each step together.
    pub(crate) fn group_len(&self) -> usize {
        if self.blocks().is_mostly_new() { COLD_GROUP } else { GROUP }
    }

    /// Finds the entry of a key whose key block is ready to be used where it lies, if it is near
    /// the place where it is estimated to be, and fetches its value. `None` means unknown.
    #[inline(always)]
    fn found_near<'a>(
        &'a self,
        located: &Located<'a>,
        BatchKey { hash, key, .. }: BatchKey<'_>,
    ) -> Option<Result<Found<'a>, ReadError>> {
        let block = located.estimate.block;
        let value = match located.entry_near(hash, key)?.value_ref() {
            Ok(ValueRef::Inline(value)) => {
                let value = self.blocks().resident_slice(value);
                let found = value.map(|value| Found::Answer(Lookup::Value(value)));
                return Some(found.ok_or_else(|| self.not_in_its_block()));
            }
            Ok(ValueRef::Small { block: values, len, offset }) => {
                let part = self.blocks().resident_part(values, |it| small_value(it, len, offset));
                match part {
                    Some(value) => value.map_err(|error| self.corrupt(block, error)),
                    None => return Some(Ok(self.fetched_part(block, values, len, offset))),
                }
            }
            Ok(ValueRef::Medium(values)) => match self.blocks().resident_payload(values) {
                Some(value) => Ok(value),
                None => return Some(Ok(self.fetched_block(values))),
            },
            Ok(ValueRef::Blob(number)) => return Some(Ok(Found::Answer(Lookup::Blob(number)))),
            Ok(ValueRef::Deleted) => return Some(Ok(Found::Answer(Lookup::Deleted))),
            Err(error) => Err(self.corrupt(block, error)),
        };
        Some(value.map(|value| {
            prefetch_around::<0>(&value, 0);
            Found::Answer(Lookup::Value(value))
        }))
    }

    /// Finds the entry of a key in any block, and fetches its value.
    fn found_anywhere<'a>(
        &'a self,
        estimate: &Estimate,
        BatchKey { hash, key, .. }: BatchKey<'_>,
        loaded: &mut LoadedBlocks,
    ) -> Result<Found<'a>, ReadError> {
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
        Ok(match entry.value_ref().map_err(|error| self.corrupt(block, error))? {
            ValueRef::Medium(values) => self.fetched_block(values),
            ValueRef::Small { block: values, len, offset } => {
                self.fetched_part(block, values, len, offset)
            }
            ValueRef::Inline(value) => {
                Found::Answer(Lookup::Value(self.slice_of(&payload, value)?))
            }
            ValueRef::Blob(number) => Found::Answer(Lookup::Blob(number)),
            ValueRef::Deleted => Found::Answer(Lookup::Deleted),
        })
    }

    /// Fetches a value that is a block.
    #[inline]
    fn fetched_block(&self, values: BlockIndex) -> Found<'_> {
        self.blocks().prefetch_new(values);
        self.blocks().prefetch_line(values, 0);
        Found::InBlock(values)
    }

    /// Fetches a value that is a part of a block.
    #[inline]
    fn fetched_part(
        &self,
        key_block: BlockIndex,
        values: BlockIndex,
        len: u16,
        offset: u32,
    ) -> Found<'_> {
        self.blocks().prefetch_new(values);
        self.blocks().prefetch_line(values, offset as usize);
        Found::InPart { key_block, values, len, offset }
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

/// Takes keys through the steps of a lookup, a group at a time.
#[derive(Default)]
pub(crate) struct LookupPipeline<'a> {
    /// The keys of the group, after the index was asked.
    located: Vec<Located<'a>>,
    /// The keys of the group whose values were asked for and are not answered yet: their tables and
    /// places.
    late: Vec<(&'a StaticSortedFile, usize, Found<'a>)>,
    loaded: LoadedBlocks,
}

impl<'a> LookupPipeline<'a> {
    /// Looks up keys, sorted by table and hash for speed, and hands over the place and the answer
    /// of each. Returns how many were not found, of those whose filter was not asked before.
    ///
    /// `group_len` is that of their tables: [`StaticSortedFile::group_len`].
    pub(crate) fn lookup(
        &mut self,
        keys: &[AskedKey<'a, '_>],
        group_len: usize,
        answer: &mut impl FnMut(usize, Result<Lookup<'a>, ReadError>),
    ) -> usize {
        keys.chunks(group_len.max(1)).map(|group| self.lookup_group(group, answer)).sum()
    }

    #[inline]
    fn lookup_group(
        &mut self,
        group: &[AskedKey<'a, '_>],
        answer: &mut impl FnMut(usize, Result<Lookup<'a>, ReadError>),
    ) -> usize {
        self.located.clear();
        self.located.extend(group.iter().map(
            #[inline(always)]
            |asked| {
                let located = asked.table.located_now(asked.key.hash);
                if !located.is_checked() {
                    asked.prefetch_key_block(located.estimate.block);
                }
                located
            },
        ));
        let mut unexpected = 0;
        for (asked, located) in group.iter().zip(&self.located) {
            let (table, key) = (asked.table, asked.key);
            let found = match table.found_near(located, key) {
                Some(found) => found,
                None => {
                    let found = found_far(asked, located, &mut self.loaded);
                    let is_missing =
                        matches!(found, None | Some(Ok(Found::Answer(Lookup::NotFound))));
                    unexpected += usize::from(is_missing && asked.filter.is_some());
                    // Without one, the filter rules the key out: that is its answer.
                    found.unwrap_or(Ok(Found::Answer(Lookup::NotFound)))
                }
            };
            match found {
                Ok(Found::Answer(found)) => answer(key.place, Ok(found)),
                Ok(found) => self.late.push((table, key.place, found)),
                Err(error) => answer(key.place, Err(error)),
            }
        }
        for (table, place, found) in self.late.drain(..) {
            answer(place, table.resolved(found, &mut self.loaded));
        }
        unexpected
    }
}

/// Finds the entry of a key that is not where it is estimated to be, or whose key block is not
/// ready. `None` if the filter rules it out.
#[inline(never)]
fn found_far<'a>(
    asked: &AskedKey<'a, '_>,
    located: &Located<'a>,
    loaded: &mut LoadedBlocks,
) -> Option<Result<Found<'a>, ReadError>> {
    let may_be_there = asked.filter.is_none_or(|filter| filter.may_contain(asked.key.hash));
    may_be_there.then(|| asked.table.found_anywhere(&located.estimate, asked.key, loaded))
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
