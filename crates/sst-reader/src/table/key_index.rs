//! Which key block can hold a hash.

use std::cmp::Ordering;
use std::collections::TryReserveError;
use std::convert::Infallible;

use sst_format::index_block::IndexBlock;
use sst_format::key_block::KeyBlock;
use sst_format::{BlockIndex, FormatError};

use crate::table::corrections::Corrections;
use crate::table::static_sorted_file::entry_hash;
use crate::table::search::{Density, Fraction, HashBounds, Precision, lower_bound};

/// Key blocks around the estimated one among which that of a hash is looked for first. Of a table
/// of a million entries, 2,200 key blocks, estimates are off by one key block, of one of ten
/// million by three or four.
const WINDOW: usize = 8;
/// As [`WINDOW`], in tables of more than [`LARGE`] key blocks.
const LARGE_WINDOW: usize = 16;
const LARGE: usize = 4096;

/// A block that no table has, so that a look at it is an error: a table has 65,535 blocks at most.
const NO_BLOCK: BlockIndex = BlockIndex(u16::MAX);

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

/// The index block in memory, in the machine's own byte order: 10 bytes per key block, and 8 more
/// for the corrections of estimates.
///
/// While a processor waits for the memory of one key it goes on with the next lookup, as far as a
/// few hundred instructions reach. So an estimate is made of few instructions.
#[derive(Debug)]
pub(crate) struct KeyIndex {
    bounds: HashBounds,
    density: Density,
    /// For the bounds of every key block.
    precision: Precision,
    /// Lowest hash of each key block, ascending; then the highest of the last one; then as many
    /// that nothing is above as a window may reach past the end.
    lows: Box<[u64]>,
    /// Zero, then each key block.
    blocks: Box<[BlockIndex]>,
    corrections: Corrections,
}

impl KeyIndex {
    /// Bytes of the index of so many key blocks.
    pub(crate) const fn len_of(key_blocks: usize) -> usize {
        (key_blocks + 1 + LARGE_WINDOW) * size_of::<u64>()
            + (key_blocks + 1) * size_of::<BlockIndex>()
            + Corrections::len_of(key_blocks)
    }

    /// Copies a valid index block. `None` if it gives another number of hashes or blocks than it
    /// says. O(number of key blocks).
    pub(crate) fn new(index: &IndexBlock<'_>) -> Result<Option<Self>, TryReserveError> {
        let count = index.key_block_count();
        let mut lows = Vec::new();
        lows.try_reserve_exact(count + 1 + LARGE_WINDOW)?;
        lows.push(0);
        lows.extend((1..count).map_while(|i| index.first_hash(i)));
        if lows.len() != count {
            return Ok(None);
        }
        lows.extend([u64::MAX; 1 + LARGE_WINDOW]);
        let mut blocks = Vec::new();
        blocks.try_reserve_exact(1 + count)?;
        blocks.push(BlockIndex::default());
        blocks.extend(index.blocks());
        if blocks.len() != 1 + count {
            return Ok(None);
        }
        let bounds = HashBounds { low: 0, high: u64::MAX };
        let precision = Precision::for_width(bounds.width());
        let density = Density::new(count, bounds);
        let (lows, blocks) = (lows.into(), blocks.into());
        let corrections = Corrections::new(count)?;
        Ok(Some(Self { bounds, density, precision, lows, blocks, corrections }))
    }

    /// Sets the hashes of the first and the last entry. Wrong ones cost time, never a wrong answer.
    pub(crate) fn within(mut self, bounds: HashBounds) -> Self {
        let last = self.last();
        // The order of the others, which are known to be right, is kept.
        let next = if last > 0 { self.bounds_of(0).high } else { bounds.low };
        if let Some(low) = self.lows.first_mut() {
            *low = bounds.low.min(next);
        }
        let lowest = self.bounds_of(last).low;
        if let Some(high) = self.lows.get_mut(last + 1) {
            *high = bounds.high.max(lowest);
        }
        // The precision decides about time only.
        let lows = self.lows.get(..last + 2).unwrap_or_default();
        let widths =
            lows.iter().zip(lows.iter().skip(1)).map(|(low, high)| high.wrapping_sub(*low));
        let precision = Precision::for_width(widths.fold(0, u64::max));
        Self { bounds, density: Density::new(last + 1, bounds), precision, ..self }
    }

    /// Number of key blocks, at least 1.
    #[inline]
    pub(crate) const fn key_block_count(&self) -> usize {
        self.blocks.len().saturating_sub(1)
    }

    /// Number of the last key block.
    #[inline]
    const fn last(&self) -> usize {
        // An index block has at least one key block, which parsing it checks.
        self.key_block_count().saturating_sub(1)
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
        self.blocks.get(1..)?.get(i).copied()
    }

    /// Between which hashes those of key block number `i` are.
    #[inline]
    pub(crate) fn bounds_of(&self, i: usize) -> HashBounds {
        // Too wide bounds cost time, never a wrong answer.
        let [low, high] = two_of(&self.lows, i).unwrap_or([0, u64::MAX]);
        HashBounds { low, high }
    }

    /// Where an entry is likely to be.
    #[inline(always)]
    pub(crate) fn estimate(&self, hash: u64) -> Estimate {
        let number = self.key_block_of(hash);
        let even = self.precision.fraction(self.bounds_of(number), hash);
        let (position, is_corrected) = self.corrections.corrected(number, even);
        let handles = two_of(&self.blocks, number);
        debug_assert!(handles.is_some(), "the index has a block for each of its numbers");
        let [before, block] = handles.unwrap_or([NO_BLOCK; 2]);
        let between = position.of(block.0.wrapping_sub(before.0).into());
        let value_block = BlockIndex(before.0.wrapping_add(low_half(between)));
        Estimate { number, block, position, is_corrected, value_block }
    }

    /// Learns where the entries of key block number `number` are from the block itself, when its
    /// estimates are asked for the second time.
    #[cold]
    #[inline(never)]
    pub(crate) fn learn(&self, number: usize, key_block: &KeyBlock<'_>) {
        let bounds = self.bounds_of(number);
        self.corrections.learn(number, |place| {
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
    #[inline(always)]
    pub(crate) fn key_block_of(&self, hash: u64) -> usize {
        let estimate = self.density.blocks_below(hash, self.bounds.low);
        let last = self.last();
        let estimate = usize::try_from(estimate).map_or(last, |estimate| estimate.min(last));
        let found = if last < LARGE {
            self.search_around::<WINDOW, { WINDOW + 1 }>(estimate, hash)
        } else {
            self.search_around::<LARGE_WINDOW, { LARGE_WINDOW + 1 }>(estimate, hash)
        };
        match found {
            // The bound behind the last block starts no block.
            Some(found) => found.min(last),
            None => self.search(hash),
        }
    }

    /// As [`KeyIndex::key_block_of`], if it is one of `N` around the estimate. Halves without a
    /// branch that depends on a hash.
    #[inline(always)]
    fn search_around<const N: usize, const BOUNDS: usize>(
        &self,
        estimate: usize,
        hash: u64,
    ) -> Option<usize> {
        let start = estimate.saturating_sub(N / 2);
        let lows: &[u64; BOUNDS] = self.lows.get(start..)?.first_chunk()?;
        let is_from = |i: usize| lows.get(i).is_some_and(|&low| low <= hash);
        let mut i = 0;
        let mut step = N / 2;
        while step > 0 {
            i += step * usize::from(is_from(i + step));
            step /= 2;
        }
        (is_from(i) && !is_from(i + 1)).then_some(start + i)
    }

    /// As [`KeyIndex::key_block_of`], where hashes are not as evenly spread as they should be.
    #[cold]
    #[inline(never)]
    fn search(&self, hash: u64) -> usize {
        // There are fewer key blocks than a u16 counts.
        let count = u32::try_from(self.last()).unwrap_or(u32::MAX);
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

/// Element `i` and the next.
#[inline]
fn two_of<T: Copy>(elements: &[T], i: usize) -> Option<[T; 2]> {
    let next = elements.get(i.wrapping_add(1))?;
    Some([*elements.get(i)?, *next])
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

    /// Looks for every first hash and its neighbours, against a plain search.
    fn check(firsts: &[u64], bounds: HashBounds) {
        let mut encoder = IndexBlockEncoder::new();
        encoder.push(0, BlockIndex(0));
        for (i, &first) in firsts.iter().enumerate() {
            encoder.push(first, BlockIndex(u16::try_from(2 * i + 1).unwrap()));
        }
        let payload = encoder.finish().unwrap();
        let index =
            KeyIndex::new(&IndexBlock::parse(&payload).unwrap()).unwrap().unwrap().within(bounds);
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
}
