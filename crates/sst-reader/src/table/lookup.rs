//! The path of a key through a table, from `get` to its value, top to bottom:
//!
//! 1. The range of hashes and the filter: can the table hold the key at all? After a long streak of
//!    hits the filter is asked only where the key is not found at once.
//! 2. The index, in memory: which key block can hold it, and about where in the block?
//! 3. The key block: the first entry with the hash and the key.
//! 4. The value, with the key or in a block of its own.
//!
//! Memory that a step will touch is fetched as soon as its address is known, while the steps before
//! it still wait. The key block is asked for before the filter answers: while a processor waits for
//! the value of one key it goes on to the next key only as far as it can remember instructions,
//! some three hundred, and only requests within them are waited for together (docs/DECISIONS.md,
//! 50).

use sst_format::BlockIndex;
use sst_format::filter::Filter;
use sst_format::key_block::fixed::{FixedKeyBlock, FixedShape};
use sst_format::key_block::{KeyBlock, KeyEntry};
use sst_format::value_ref::{ValueRef, small_value};

use crate::block::blocks::Fill;
use crate::block::memory::prefetch_around;
use crate::block::slice::Slice;
use crate::error::ReadError;
use crate::hash::hash_key;
use crate::table::answer::{Lookup, ReadValue};
use crate::table::entered_blocks::{EnteredBlocks, ValueKind};
use crate::table::hit_predictor::HitPredictor;
use crate::table::key_block_search::{entry_near, first_entry_in, near_entry};
use crate::table::key_index::{Estimate, NO_BLOCK};
use crate::table::static_sorted_file::StaticSortedFile;

/// Cache lines to either side of an estimated entry that are fetched beforehand: in a block that
/// was measured, estimates are off by 2 entries on average, of 24 bytes each in a full block of
/// 16-byte keys.
const PREFETCH_REACH: usize = 2;

/// Where the entry of a key is likely to be.
pub(crate) struct Located<'a> {
    pub(crate) estimate: Estimate,
    key_block: KeyBlockState<'a>,
}

/// Where its key block is.
enum KeyBlockState<'a> {
    /// In the file, which is in memory, and was checked before: its shape and its entries.
    Checked(FixedShape, &'a [u8]),
    /// In the file, which is in memory: its payload, of which only the checksum was checked.
    Verified(&'a [u8]),
    /// Anywhere, not checked or compressed.
    Elsewhere,
}

impl<'a> Located<'a> {
    /// The key block, if it is of fixed size and nothing has to be read or decompressed for it.
    #[inline(always)]
    fn key_block(&self) -> Option<FixedKeyBlock<'a>> {
        match self.key_block {
            KeyBlockState::Checked(shape, entries) => shape.attach(entries),
            KeyBlockState::Verified(payload) => FixedKeyBlock::peek(payload),
            KeyBlockState::Elsewhere => None,
        }
    }

    /// The first entry with this hash and key, if it is near the place where it is estimated to be,
    /// in a block of which nothing has to be read or decompressed. `None` means unknown.
    #[inline(always)]
    pub(crate) fn entry_near(&self, hash: u64, key: &[u8]) -> Option<KeyEntry<'a>> {
        entry_near(self.key_block()?, &self.estimate, hash, key)
    }

    /// Whether the key block was checked before, and is in memory.
    pub(crate) const fn is_checked(&self) -> bool {
        matches!(self.key_block, KeyBlockState::Checked(..))
    }

    /// Whether [`Located::entry_near`] could compare the entries near the estimate. Then a later
    /// search need not compare them again.
    const fn was_compared(&self) -> bool {
        match self.key_block {
            KeyBlockState::Checked(..) | KeyBlockState::Verified(_) => true,
            KeyBlockState::Elsewhere => false,
        }
    }
}

impl StaticSortedFile {
    /// Looks a key up. Where it occurs more than once, the first of its entries counts.
    ///
    /// # Errors
    ///
    /// As [`StaticSortedFile::lookup`].
    #[inline]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Lookup<'_>, ReadError> {
        let key = key.as_ref();
        self.lookup(hash_key(key), key)
    }

    /// Looks up a key whose hash is known: [`hash_key`] of it, unless its writer chose another.
    ///
    /// Expected O(1) block accesses and O(log log n) probes, at most O(log n) for any hashes. A
    /// warm lookup in a mapped file whose blocks are raw allocates nothing, takes no lock and
    /// writes to no shared memory.
    ///
    /// # Errors
    ///
    /// [`ReadError::Io`]; [`ReadError::Corrupt`] if a block on the way is damaged.
    #[inline]
    pub fn lookup(&self, hash: u64, key: impl AsRef<[u8]>) -> Result<Lookup<'_>, ReadError> {
        if !self.is_in_range(hash) {
            return Ok(Lookup::NotFound);
        }
        let found = self.lookup_through(self.filter(), hash, key.as_ref())?;
        Ok(found.unwrap_or(Lookup::NotFound))
    }

    /// Steps 1 to 4 for a hash in the table's range. `None` if the filter rules it out: the table's
    /// own, or one that a set keeps for it.
    #[inline]
    pub(crate) fn lookup_through(
        &self,
        filter: Option<&dyn Filter>,
        hash: u64,
        key: &[u8],
    ) -> Result<Option<Lookup<'_>>, ReadError> {
        let Some(filter) = filter else {
            return self.lookup_at(&self.located(hash), hash, key).map(Some);
        };
        let predictor = HitPredictor::of(self.blocks().id());
        if predictor.expects_hit() {
            return self.lookup_expected(filter, hash, key);
        }
        // If a hit is likely, the key block is fetched before the filter has answered.
        let early = predictor.predicts_hit().then(|| self.located_now(hash));
        let may_be_there = filter.may_contain(hash);
        predictor.learn(may_be_there);
        if !may_be_there {
            return Ok(None);
        }
        let located = early.unwrap_or_else(|| self.located(hash));
        self.lookup_at(&located, hash, key).map(Some)
    }

    /// [`StaticSortedFile::lookup_through`] for a key that is most probably there.
    #[inline(never)]
    fn lookup_expected(
        &self,
        filter: &dyn Filter,
        hash: u64,
        key: &[u8],
    ) -> Result<Option<Lookup<'_>>, ReadError> {
        let located = self.located_now(hash);
        match self.lookup_near(&located, hash, key) {
            Some(found) => found.map(Some),
            None => self.lookup_unexpected(filter, &located, hash, key),
        }
    }

    /// The rest of a lookup whose key was expected, and is not where it should be.
    #[cold]
    #[inline(never)]
    fn lookup_unexpected(
        &self,
        filter: &dyn Filter,
        located: &Located<'_>,
        hash: u64,
        key: &[u8],
    ) -> Result<Option<Lookup<'_>>, ReadError> {
        let predictor = HitPredictor::of(self.blocks().id());
        if !filter.may_contain(hash) {
            predictor.learn(false);
            return Ok(None);
        }
        let found = self.lookup_in_block(&located.estimate, hash, key, located.was_compared())?;
        if found == Lookup::NotFound {
            predictor.learn(false);
        }
        Ok(Some(found))
    }

    /// Step 2: asks the index where the entry of a hash is likely to be, and fetches that.
    #[inline(never)]
    pub(crate) fn located(&self, hash: u64) -> Located<'_> {
        self.located_now(hash)
    }

    /// [`StaticSortedFile::located`], as a part of the caller.
    #[inline(always)]
    pub(crate) fn located_now(&self, hash: u64) -> Located<'_> {
        let estimate = self.key_index().estimate(hash);
        let key_block = self.key_block_state(&estimate);
        match key_block {
            KeyBlockState::Checked(shape, entries) => {
                let at = estimate.position.of(shape.entry_count()) as usize * shape.stride();
                prefetch_around::<PREFETCH_REACH>(entries, at);
                if !shape.entry_type().is_inline() {
                    self.blocks().prefetch_handles(estimate.value_block);
                }
            }
            KeyBlockState::Verified(payload) => {
                // The start of the key block, and the cache lines around the estimate.
                let at = estimate.position.of_len(payload.len());
                prefetch_around::<PREFETCH_REACH>(payload, at);
                prefetch_around::<0>(payload, 0);
                self.blocks().prefetch_handles(estimate.value_block);
            }
            // The handles of the blocks in which the value is likely to be.
            KeyBlockState::Elsewhere => self.blocks().prefetch_handles(estimate.value_block),
        }
        Located { estimate, key_block }
    }

    /// Where the key block of an estimate is.
    #[inline(always)]
    fn key_block_state(&self, estimate: &Estimate) -> KeyBlockState<'_> {
        if estimate.is_corrected
            && let Some((shape, entries)) = self.key_index().checked(estimate.number)
            && let Some(entries) = self.blocks().file_bytes(entries)
        {
            return KeyBlockState::Checked(shape, entries);
        }
        match self.blocks().resident_bytes(estimate.block) {
            Some(payload) => KeyBlockState::Verified(payload),
            None => KeyBlockState::Elsewhere,
        }
    }

    /// Steps 2 to 4, without asking the filter.
    #[inline]
    pub(crate) fn lookup_unfiltered(&self, hash: u64, key: &[u8]) -> Result<Lookup<'_>, ReadError> {
        self.lookup_at(&self.located(hash), hash, key)
    }

    /// Steps 3 and 4.
    ///
    /// A function of its own, so that a lookup that the filter ends pays for nothing of it.
    #[inline(never)]
    fn lookup_at<'a>(
        &'a self,
        located: &Located<'a>,
        hash: u64,
        key: &[u8],
    ) -> Result<Lookup<'a>, ReadError> {
        if let Some(found) = self.lookup_near(located, hash, key) {
            return found;
        }
        sst_format::planted!("far-entry-missed" => if located.estimate.is_corrected {
            return Ok(Lookup::NotFound);
        });
        self.lookup_in_block(&located.estimate, hash, key, located.was_compared())
    }

    /// Steps 3 and 4 in a block that is ready to be used where it lies, if the entry is near the
    /// place where it is estimated to be. `None` means unknown.
    #[inline(always)]
    fn lookup_near<'a>(
        &'a self,
        located: &Located<'a>,
        hash: u64,
        key: &[u8],
    ) -> Option<Result<Lookup<'a>, ReadError>> {
        let entry = located.entry_near(hash, key)?;
        Some(self.value_of(
            located.estimate.block,
            &entry,
            #[inline(always)]
            |value| self.blocks().resident_slice(value).ok_or_else(|| self.not_in_its_block()),
        ))
    }

    /// Refuses the estimate of an index that has no block for one of its numbers.
    #[inline]
    pub(crate) fn check_estimate(&self, estimate: &Estimate) -> Result<(), ReadError> {
        if estimate.block == NO_BLOCK {
            return Err(ReadError::internal(self.label(), "the index has a block for each number"));
        }
        Ok(())
    }

    /// [`StaticSortedFile::lookup_at`] in a block of any kind, wherever it lies.
    #[inline(never)]
    fn lookup_in_block(
        &self,
        estimate: &Estimate,
        hash: u64,
        key: &[u8],
        was_compared: bool,
    ) -> Result<Lookup<'_>, ReadError> {
        let payload = self.key_block_at(estimate)?;
        let near = match was_compared {
            true => None,
            false => near_entry(&payload, estimate, hash, key),
        };
        let entry = match near {
            Some(near) => near,
            None => match self.first_entry(&payload, estimate, hash, key)? {
                Some((_, entry)) => entry,
                None => return Ok(Lookup::NotFound),
            },
        };
        self.value_of(estimate.block, &entry, |value| self.slice_of(&payload, value))
    }

    /// The payload of the key block of an estimate, wherever it lies.
    #[inline]
    pub(crate) fn key_block_at(&self, estimate: &Estimate) -> Result<Slice<'_>, ReadError> {
        self.check_estimate(estimate)?;
        if self.blocks().may_be_cold(estimate.block) {
            self.prefetch_values(estimate);
        }
        self.blocks().payload(estimate.block, Fill::Cache)
    }

    /// The first entry with this hash and key in the key block that can hold it, which has this
    /// payload, and its index; or `None`.
    #[inline(never)]
    pub(crate) fn first_entry<'p>(
        &self,
        payload: &'p [u8],
        estimate: &Estimate,
        hash: u64,
        key: &[u8],
    ) -> Result<Option<(u32, KeyEntry<'p>)>, ReadError> {
        let key_block = self.parse_key_block(estimate.block, payload)?;
        if let KeyBlock::Fixed(block) = &key_block
            && !estimate.is_corrected
            && block.shape().stride() > 0
            && let Some(entries) = self.blocks().range_of(block.entries())
        {
            self.key_index().remember(estimate.number, block.shape(), entries);
        }
        first_entry_in(&key_block, self.key_index(), estimate, hash, key)
            .map_err(|error| self.corrupt(estimate.block, error))
    }

    /// Step 4: the answer that an entry of block `key_block` gives. `keep` gives a value that lies
    /// with its key.
    #[inline(always)]
    fn value_of<'a>(
        &'a self,
        key_block: BlockIndex,
        entry: &KeyEntry<'_>,
        keep: impl FnOnce(&[u8]) -> Result<Slice<'a>, ReadError>,
    ) -> Result<Lookup<'a>, ReadError> {
        match entry.value_ref() {
            Ok(ValueRef::Inline(value)) => keep(value).map(Lookup::Value),
            Ok(ValueRef::Small { block: values, len, offset }) => {
                self.small_value(key_block, values, len, offset).map(Lookup::Value)
            }
            Ok(ValueRef::Medium(values)) => {
                self.blocks().payload(values, Fill::Cache).map(Lookup::Value)
            }
            Ok(ValueRef::Blob(number)) => Ok(Lookup::Blob(number)),
            Ok(ValueRef::Deleted) => Ok(Lookup::Deleted),
            Err(error) => Err(self.corrupt(key_block, error)),
        }
    }

    /// A small value of an entry of block `key_block`, which is at fault if its value block has no
    /// such bytes.
    #[inline(always)]
    pub(crate) fn small_value(
        &self,
        key_block: BlockIndex,
        values: BlockIndex,
        len: u16,
        offset: u32,
    ) -> Result<Slice<'_>, ReadError> {
        match self.blocks().resident_part(values, |it| small_value(it, len, offset)) {
            Some(value) => value.map_err(|error| self.corrupt(key_block, error)),
            None => self.small_value_elsewhere(key_block, values, len, offset),
        }
    }

    /// [`StaticSortedFile::small_value`] of a block that is not ready to be used where it lies.
    #[inline(never)]
    fn small_value_elsewhere(
        &self,
        key_block: BlockIndex,
        values: BlockIndex,
        len: u16,
        offset: u32,
    ) -> Result<Slice<'_>, ReadError> {
        let payload = match self.blocks().cached_at(values, offset as usize) {
            Some(payload) => payload,
            None => self.blocks().payload(values, Fill::Cache)?,
        };
        payload
            .narrow(|values| small_value(values, len, offset))
            .map_err(|error| self.corrupt(key_block, error))
    }

    /// Step 4 for an entry of a walk, which has this payload: the value, to be kept. Values in one
    /// block share it.
    pub(crate) fn kept_value<'a>(
        &'a self,
        key_block: BlockIndex,
        payload: &Slice<'a>,
        value: ValueRef<'_>,
        fill: Fill,
        entered: &mut EnteredBlocks,
    ) -> Result<ReadValue<Slice<'a>>, ReadError> {
        let mut enter = |block, kind| match self.blocks().resident_payload(block) {
            Some(payload) => Ok(payload),
            None => entered.enter(self.blocks(), block, kind, fill).cloned(),
        };
        Ok(match value {
            ValueRef::Deleted => ReadValue::Deleted,
            ValueRef::Blob(number) => ReadValue::Blob(number),
            ValueRef::Inline(value) => ReadValue::Value(self.slice_of(payload, value)?),
            ValueRef::Medium(block) => ReadValue::Value(enter(block, ValueKind::Medium)?),
            ValueRef::Small { block, len, offset } => {
                let value = enter(block, ValueKind::Small)?
                    .narrow(|values| small_value(values, len, offset))
                    .map_err(|error| self.corrupt(key_block, error))?;
                ReadValue::Value(value)
            }
        })
    }
}
