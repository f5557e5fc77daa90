//! Which key block can hold a hash, and about where in the block.

use std::cmp::Ordering;
use std::collections::TryReserveError;
use std::convert::Infallible;
use std::ops::Range;

use sst_format::index_block::IndexBlock;
use sst_format::key_block::KeyBlock;
use sst_format::key_block::fixed::FixedShape;
use sst_format::{BlockIndex, FormatError};

use crate::hash::entry_hash;
use crate::table::checked_block::CheckedBlock;
use crate::table::correction::Correction;
use crate::table::search::{Density, Fraction, HashBounds, Precision, lower_bound};

/// Key blocks around the estimated one among which that of a hash is looked for first. Of a table
/// of a million entries, 2,200 key blocks, estimates are off by one key block, of one of ten
/// million by three or four.
const WINDOW: usize = 8;
/// As [`WINDOW`], in tables of more than [`LARGE`] key blocks.
const LARGE_WINDOW: usize = 16;
const LARGE: usize = 4096;

/// The block of an estimate where the index has none, which is a bug: every lookup in a key block
/// refuses it. No table has this block, because a table has 65,535 blocks at most.
pub(crate) const NO_BLOCK: BlockIndex = BlockIndex(u16::MAX);

/// Where the entry of a hash is likely to be, as far as the index tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Estimate {
    /// The only key block that can hold it, by its number in the index.
    pub(crate) number: usize,
    /// And as a block of the file.
    pub(crate) block: BlockIndex,
    /// About where in the block.
    pub(crate) position: Fraction,
    /// Whether the position was corrected by where the entries of the block were found to be.
    pub(crate) is_corrected: bool,
    /// A block near the one with its value, if that is not with the key: writers put values in
    /// front of their key block.
    pub(crate) value_block: BlockIndex,
}

/// The index block in memory, in the machine's own byte order, and what was learned of each key
/// block: 48 bytes per key block.
///
/// While a processor waits for the memory of one key it goes on with the next lookup, as far as a
/// few hundred instructions reach. So an estimate is made of few instructions.
#[derive(Debug)]
pub(crate) struct KeyIndex {
    bounds: HashBounds,
    density: Density,
    /// For the bounds of every key block.
    precision: Precision,
    /// Number of the last key block.
    last: usize,
    /// Lowest hash of each key block, ascending; then the highest of the last one; then `u64::MAX`
    /// as padding, so that a window may reach past the end. Apart from the rest of the index, so
    /// that a window is in two cache lines.
    lows: Box<[u64]>,
    key_blocks: Box<[IndexedBlock]>,
}

/// One key block of a [`KeyIndex`].
#[derive(Debug)]
struct IndexedBlock {
    checked: CheckedBlock,
    correction: Correction,
    block: BlockIndex,
    /// The key block before it; zero if it is the first.
    before: BlockIndex,
}

impl IndexedBlock {
    const fn new(block: BlockIndex, before: BlockIndex) -> Self {
        Self { checked: CheckedBlock::none(), correction: Correction::none(), block, before }
    }

    /// The estimate that goes with a position in the block.
    #[inline(always)]
    fn estimate(&self, number: usize, position: Fraction, is_corrected: bool) -> Estimate {
        let between = position.of(self.block.0.wrapping_sub(self.before.0).into());
        let value_block = BlockIndex(self.before.0.wrapping_add(low_half(between)));
        Estimate { number, block: self.block, position, is_corrected, value_block }
    }
}

impl KeyIndex {
    /// Bytes of the index of so many key blocks.
    pub(crate) const fn len_of(key_blocks: usize) -> usize {
        (key_blocks + 1 + LARGE_WINDOW) * size_of::<u64>() + key_blocks * size_of::<IndexedBlock>()
    }

    /// Copies a valid index block. O(number of key blocks).
    pub(crate) fn new(index: &IndexBlock<'_>) -> Result<Self, TryReserveError> {
        let count = index.key_block_count();
        let mut lows = Vec::new();
        lows.try_reserve_exact(count + 1 + LARGE_WINDOW)?;
        lows.push(0);
        lows.extend(index.pairs().map(|(low, _)| low));
        lows.extend([u64::MAX; 1 + LARGE_WINDOW]);
        let mut key_blocks = Vec::new();
        key_blocks.try_reserve_exact(count)?;
        let mut before = index.first_block();
        key_blocks.push(IndexedBlock::new(before, BlockIndex::default()));
        key_blocks.extend(
            index
                .pairs()
                .map(|(_, block)| IndexedBlock::new(block, std::mem::replace(&mut before, block))),
        );
        let last = index.pairs().len();
        let bounds = HashBounds { low: 0, high: u64::MAX };
        let precision = Precision::for_width(bounds.width());
        let density = Density::new(last + 1, bounds);
        let (lows, key_blocks) = (lows.into(), key_blocks.into());
        Ok(Self { bounds, density, precision, last, lows, key_blocks })
    }

    /// Sets the hashes of the first and the last entry. Wrong ones cost time, never a wrong answer.
    pub(crate) fn within(mut self, bounds: HashBounds) -> Self {
        let last = self.last;
        // The order of the others, which are known to be right, is kept.
        let next = if last > 0 { self.bounds_of(0).high } else { bounds.low };
        // There are bounds of one key block at least.
        if let Some(first) = self.lows.first_mut() {
            *first = bounds.low.min(next);
        }
        let lowest = self.bounds_of(last).low;
        if let Some(high) = self.lows.get_mut(last + 1) {
            *high = bounds.high.max(lowest);
        }
        let neighbours = self.lows.iter().zip(self.lows.iter().skip(1)).take(last + 1);
        let widths = neighbours.map(|(one, next)| next.wrapping_sub(*one));
        let widest = widths.fold(0, u64::max);
        let precision = Precision::for_width(widest);
        Self { bounds, density: Density::new(last + 1, bounds), precision, ..self }
    }

    /// Number of key blocks, at least 1.
    #[inline]
    pub(crate) const fn key_block_count(&self) -> usize {
        self.last + 1
    }

    /// Hashes of the first and the last entry, as far as they are known.
    #[inline]
    pub(crate) const fn bounds(&self) -> HashBounds {
        self.bounds
    }

    /// How many key blocks there are to a range of hashes.
    #[inline]
    pub(crate) const fn density(&self) -> Density {
        self.density
    }

    /// Key block number `i`.
    #[inline]
    pub(crate) fn block(&self, i: usize) -> Option<BlockIndex> {
        self.key_blocks.get(i).map(|key_block| key_block.block)
    }

    /// Between which hashes those of key block number `i` are.
    #[inline]
    pub(crate) fn bounds_of(&self, i: usize) -> HashBounds {
        let low = |i: usize| self.lows.get(i).copied();
        // Too wide bounds cost time, never a wrong answer.
        HashBounds { low: low(i).unwrap_or(0), high: low(i.saturating_add(1)).unwrap_or(u64::MAX) }
    }

    /// Where an entry is likely to be.
    #[inline(always)]
    pub(crate) fn estimate(&self, hash: u64) -> Estimate {
        let near = self.near(hash);
        match near.and_then(|(number, low)| self.corrected(number, hash.wrapping_sub(low))) {
            Some(estimate) => estimate,
            None => self.estimate_anyhow(hash),
        }
    }

    /// The estimate of a hash that lies so far above the lowest one of key block number `number`.
    /// `None` if that block was not measured.
    #[inline(always)]
    fn corrected(&self, number: usize, above: u64) -> Option<Estimate> {
        let key_block = self.key_blocks.get(number)?;
        let position = key_block.correction.position(self.precision, above)?;
        Some(key_block.estimate(number, position, true))
    }

    /// As [`KeyIndex::estimate`], in a key block that is not near the one where it would be if
    /// hashes were spread evenly, or was not measured: then as if those in it were.
    #[cold]
    #[inline(never)]
    fn estimate_anyhow(&self, hash: u64) -> Estimate {
        let number = self.key_block_of(hash);
        let bounds = self.bounds_of(number);
        if let Some(estimate) = self.corrected(number, hash.wrapping_sub(bounds.low)) {
            return estimate;
        }
        let position = self.precision.fraction(bounds, hash);
        let key_block = self.key_blocks.get(number);
        debug_assert!(key_block.is_some(), "the index has a block for each of its numbers");
        match key_block {
            Some(key_block) => key_block.estimate(number, position, false),
            None => IndexedBlock::new(NO_BLOCK, NO_BLOCK).estimate(number, position, false),
        }
    }

    /// Remembers that key block number `number` was found to have this shape, and that its entries
    /// lie at `entries` in a file that is in memory.
    pub(crate) fn remember(&self, number: usize, shape: FixedShape, entries: Range<u32>) {
        // A number that the index has not given: there is nothing to remember of it.
        let Some(known) = self.key_blocks.get(number) else { return };
        known.checked.set(shape, entries);
    }

    /// The checked header that [`KeyIndex::remember`] was given for a key block.
    #[inline(always)]
    pub(crate) fn checked(&self, number: usize) -> Option<(FixedShape, Range<u32>)> {
        self.key_blocks.get(number)?.checked.get()
    }

    /// Learns where the entries of key block number `number` are from the block itself, when its
    /// estimates are asked for the second time.
    #[cold]
    #[inline(never)]
    pub(crate) fn learn(&self, number: usize, key_block: &KeyBlock<'_>) {
        // A number that the index has not given. Nothing is learned, so estimates stay less
        // precise.
        let Some(known) = self.key_blocks.get(number) else { return };
        let bounds = self.bounds_of(number);
        known.correction.learn(self.precision, bounds.width(), |place| {
            let count = key_block.entry_count();
            let hash = self.precision.hash_at(bounds, place);
            let rank = lower_bound(count, bounds, hash, |i| {
                let found = entry_hash(&key_block.entry(i)?);
                Ok::<_, FormatError>((found, found.cmp(&hash)))
            });
            // The lookup that follows reports damage. Without a rank the estimate stays as it is.
            Some(Fraction::of_entry(rank.ok()?, count))
        });
    }

    /// The only key block that can hold `hash`: the last whose first hash is not above it, or the
    /// first one. A number below [`KeyIndex::key_block_count`].
    pub(crate) fn key_block_of(&self, hash: u64) -> usize {
        match self.near(hash) {
            // The bound behind the last block starts no block.
            Some((found, _)) => found.min(self.last),
            None => self.search(hash),
        }
    }

    /// The number of the last key block that starts at or below `hash`, and where it starts, if it
    /// is near the estimated one. The number may be one behind the last.
    #[inline(always)]
    fn near(&self, hash: u64) -> Option<(usize, u64)> {
        let estimate = self.density.blocks_below(hash, self.bounds.low);
        let estimate = usize::try_from(estimate).map_or(self.last, |it| it.min(self.last));
        if self.last < LARGE {
            self.search_around::<WINDOW, { WINDOW + 1 }>(estimate, hash)
        } else {
            self.search_around::<LARGE_WINDOW, { LARGE_WINDOW + 1 }>(estimate, hash)
        }
    }

    /// As [`KeyIndex::near`], if it is one of `N` around the estimate. Halves without a branch that
    /// depends on a hash.
    #[inline(always)]
    fn search_around<const N: usize, const BOUNDS: usize>(
        &self,
        estimate: usize,
        hash: u64,
    ) -> Option<(usize, u64)> {
        let start = estimate.saturating_sub(N / 2);
        let window: &[u64; BOUNDS] = self.lows.get(start..)?.first_chunk()?;
        // Without an element, nothing is found here, and the whole index is searched.
        let is_from = |i: usize| window.get(i).is_some_and(|low| *low <= hash);
        let mut i = 0;
        let mut step = N / 2;
        while step > 0 {
            i += step * usize::from(is_from(i + step));
            step /= 2;
        }
        let is_found = is_from(i) && !is_from(i + 1);
        window.get(i).filter(|_| is_found).map(|low| (start + i, *low))
    }

    /// As [`KeyIndex::key_block_of`], where hashes are not as evenly spread as they should be.
    #[cold]
    #[inline(never)]
    fn search(&self, hash: u64) -> usize {
        // There are fewer key blocks than a u16 counts, so the conversion never fails.
        let count = u32::try_from(self.last).unwrap_or(u32::MAX);
        let found = lower_bound(count, self.bounds, hash, |i| {
            let first = self.bounds_of(i as usize).high;
            // Those up to `hash`, itself included, count as below it.
            let order = if first <= hash { Ordering::Less } else { Ordering::Greater };
            Ok::<_, Infallible>((first, order))
        });
        match found {
            Ok(found) => found as usize,
        }
    }
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a part of a number of 16 bits has as many")]
const fn low_half(part: u32) -> u16 {
    part as u16
}

#[cfg(test)]
mod tests {
    use sst_format::index_block::IndexBlockEncoder;

    use super::*;

    /// Key blocks that start with these hashes, behind a first one, with a value block each.
    fn index_of(firsts: &[u64]) -> KeyIndex {
        let mut encoder = IndexBlockEncoder::new();
        encoder.push(0, BlockIndex(0));
        for (i, &first) in firsts.iter().enumerate() {
            encoder.push(first, BlockIndex(u16::try_from(2 * i + 1).unwrap()));
        }
        let payload = encoder.finish().unwrap();
        KeyIndex::new(&IndexBlock::parse(&payload).unwrap()).unwrap()
    }

    /// Looks for every first hash and its neighbours, against a plain search.
    fn check(firsts: &[u64], bounds: HashBounds) {
        let index = index_of(firsts).within(bounds);
        assert_eq!(index.key_block_count(), firsts.len() + 1);
        let around = firsts.iter().flat_map(|&h| [h.saturating_sub(1), h, h.saturating_add(1)]);
        for hash in around.chain([0, u64::MAX]) {
            let expected = firsts.partition_point(|&first| first <= hash);
            let found = index.key_block_of(hash);
            assert_eq!(found, expected, "{hash:#x}");
            let HashBounds { low, high } = index.bounds_of(found);
            assert!(found == 0 || low <= hash);
            assert!(found == firsts.len() || hash < high);
            let block = u16::try_from(found.checked_sub(1).map_or(0, |i| 2 * i + 1)).unwrap();
            assert_eq!(index.block(found), Some(BlockIndex(block)));
            let estimate = index.estimate(hash);
            assert_eq!((estimate.number, estimate.block), (found, BlockIndex(block)));
            assert!((block.saturating_sub(2)..=block).contains(&estimate.value_block.0));
        }
    }

    #[test]
    fn finds_what_a_plain_search_finds() {
        let all = HashBounds { low: 0, high: u64::MAX };
        let uniform = |count: u64| (1..=count).map(|i| u64::MAX / (count + 1) * i).collect();
        let clustered = |count: u64| (1..=count).map(|i| i * 3).collect();
        for count in [0, 1, 2, 7, 8, 9, 17, 33, 1000, 5000] {
            let (uniform, clustered): (Vec<u64>, Vec<u64>) = (uniform(count), clustered(count));
            for bounds in [all, HashBounds { low: 7, high: 7 }, HashBounds { low: 9, high: 3 }] {
                check(&uniform, bounds);
                check(&clustered, bounds);
            }
            check(&clustered, HashBounds { low: 3, high: 3 * count });
        }
    }

    #[test]
    fn a_measured_block_is_not_measured_again_wherever_it_lies() {
        let all = HashBounds { low: 0, high: u64::MAX };
        // All of them far from where they would be if they were spread evenly.
        let firsts: Vec<u64> = (1..=1000).map(|i| i << 40).collect();
        let index = index_of(&firsts).within(all);
        for number in 0..index.key_block_count() {
            let hash = index.bounds_of(number).low + 5;
            assert!(!index.estimate(hash).is_corrected, "{number}");
            let correction = &index.key_blocks[number].correction;
            for _ in 0..2 {
                correction.learn(index.precision, index.bounds_of(number).width(), Some);
            }
            let estimate = index.estimate(hash);
            assert_eq!((estimate.number, estimate.is_corrected), (number, true));
        }
    }
}
