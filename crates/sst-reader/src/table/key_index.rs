//! Which key block can hold a hash.

use std::cmp::Ordering;
use std::convert::Infallible;

use sst_format::BlockIndex;
use sst_format::index_block::IndexBlock;

use crate::table::search::{Density, Fraction, HashBounds, lower_bound};

/// First hashes that are counted around the estimated one. Of a table of a million entries, 2,200 key blocks, estimates
/// are off by one key block, of one of ten million by three or four.
const WINDOW: usize = 8;
/// As [`WINDOW`], in tables of more than [`LARGE`] key blocks.
const LARGE_WINDOW: usize = 16;
const LARGE: usize = 4096;

/// Where the entry of a hash is likely to be, as far as the index tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Estimate {
    /// The only key block that can hold it.
    pub(crate) block: BlockIndex,
    /// Where in the block.
    pub(crate) place: Fraction,
    /// A block near the one with its value, if that is not with the key: writers put values in front of their key block.
    pub(crate) value_block: BlockIndex,
    /// Between which hashes those of the block are.
    pub(crate) bounds: HashBounds,
    /// How many blocks there are to a range of hashes.
    pub(crate) density: Density,
}

/// The index block in memory, in the machine's own byte order: 10 bytes per key block.
#[derive(Debug)]
pub(crate) struct KeyIndex {
    bounds: HashBounds,
    density: Density,
    window: usize,
    /// First hash of each key block but the first, ascending.
    first_hashes: Box<[u64]>,
    blocks: Box<[BlockIndex]>,
}

impl KeyIndex {
    /// Takes over a valid index block. O(number of key blocks).
    pub(crate) fn new(index: &IndexBlock<'_>) -> Self {
        let first_hashes: Box<[u64]> =
            (1..index.key_block_count()).map_while(|i| index.first_hash(i)).collect();
        let window = if first_hashes.len() > LARGE { LARGE_WINDOW } else { WINDOW };
        let blocks: Box<[BlockIndex]> = index.blocks().collect();
        let bounds = HashBounds { low: 0, high: u64::MAX };
        let density = Density::new(blocks.len(), bounds);
        Self { bounds, density, window, first_hashes, blocks }
    }

    /// With what is known of the hashes of the first and the last entry. Wrong ones cost time, never a wrong answer.
    pub(crate) fn within(self, bounds: HashBounds) -> Self {
        Self { bounds, density: Density::new(self.blocks.len(), bounds), ..self }
    }

    /// Number of key blocks, at least 1.
    #[inline]
    pub(crate) const fn key_block_count(&self) -> usize {
        self.blocks.len()
    }

    /// Hashes of the first and the last entry, as far as they are known.
    #[inline]
    pub(crate) const fn bounds(&self) -> HashBounds {
        self.bounds
    }

    /// Key block number `i`.
    #[inline]
    pub(crate) fn block(&self, i: usize) -> Option<BlockIndex> {
        self.blocks.get(i).copied()
    }

    /// Where an entry of key block number `i` is likely to be.
    #[inline]
    pub(crate) fn estimate(&self, i: usize, hash: u64) -> Option<Estimate> {
        let bounds = self.bounds_of(i);
        let place = bounds.fraction(hash);
        let block = self.block(i)?;
        let before = i.checked_sub(1).and_then(|before| self.block(before)).unwrap_or_default();
        let between = place.of(block.0.saturating_sub(before.0).into());
        let between = u16::try_from(between).unwrap_or_default();
        let value_block = BlockIndex(before.0.saturating_add(between));
        Some(Estimate { block, place, value_block, bounds, density: self.density })
    }

    /// Between which hashes those of key block number `i` are.
    #[inline]
    fn bounds_of(&self, i: usize) -> HashBounds {
        let first = |i: usize| self.first_hashes.get(i).copied();
        HashBounds {
            low: i.checked_sub(1).and_then(first).unwrap_or(self.bounds.low),
            high: first(i).unwrap_or(self.bounds.high),
        }
    }

    /// The only key block that can hold `hash`: the last whose first hash is not above it, or the first one. A number
    /// below [`KeyIndex::key_block_count`].
    #[inline]
    pub(crate) fn key_block_of(&self, hash: u64) -> usize {
        let count = self.first_hashes.len();
        let estimate = self.density.blocks_below(hash, self.bounds.low);
        let estimate = usize::try_from(estimate).unwrap_or(count);
        let start = estimate.saturating_sub(self.window / 2).min(count.saturating_sub(self.window));
        let end = (start + self.window).min(count);
        let window = self.first_hashes.get(start..end).unwrap_or_default();
        // Counted without a branch that depends on a hash.
        let not_above = window.iter().map(|&first| usize::from(first <= hash)).sum::<usize>();
        let is_below = not_above == 0 && start > 0;
        let is_above = not_above == window.len() && end < count;
        if is_below || is_above {
            return self.search(hash);
        }
        start + not_above
    }

    /// As [`KeyIndex::key_block_of`], where hashes are not as evenly spread as they should be.
    #[cold]
    #[inline(never)]
    fn search(&self, hash: u64) -> usize {
        let count = u32::try_from(self.first_hashes.len()).unwrap_or(u32::MAX);
        let found = lower_bound(count, self.bounds, hash, |i| {
            let first = self.first_hashes.get(i as usize).copied().unwrap_or(u64::MAX);
            // Those up to `hash`, itself included, count as below it.
            let order = if first <= hash { Ordering::Less } else { Ordering::Greater };
            Ok::<_, Infallible>((first, order))
        });
        match found {
            Ok(found) => found as usize,
        }
    }
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
        let index = KeyIndex::new(&IndexBlock::parse(&payload).unwrap()).within(bounds);
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
            let estimate = index.estimate(found, hash).unwrap();
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
