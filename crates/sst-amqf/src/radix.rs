//! Sorts numbers in the memory that they already take.
//!
//! From the top bits down (MSD): numbers are spread over up to 256 piles by their highest bits, and the
//! numbers of a pile in turn by their next ones, until a pile is small enough to be sorted in the cache,
//! from the low bits up (LSD). Blocks that have been read are written again, so what comes on top is
//! the two arrays of a leaf, 512 KiB, and a partly filled block for each pile: 1 MiB for evenly spread
//! numbers, 4 MiB for the worst.
//!
//! Time is linear for any input: a number is moved at most eight times to spread it, and three times in
//! its leaf.

use crate::pile::{Pile, Pool};

/// The most numbers that are sorted as a leaf. Both arrays of it stay in a second-level cache.
const LEAF: usize = 1 << 16;
/// Below this a comparison sort beats clearing the counters of a radix sort.
const SMALL_LEAF: usize = 96;
/// How many numbers a pile should have after a spread.
const AIM: usize = 1 << 13;
/// The most bits of one spread: with more piles, each push would miss the cache.
const SPREAD_BITS: u32 = 8;
/// The most bits of one pass over a leaf.
const PASS_BITS: u32 = 11;

/// The fewest bits of one spread, but for the last bits.
const MIN_SPREAD_BITS: u32 = (LEAF / AIM + 1).next_power_of_two().ilog2();
const _: () = assert!(u32::BITS.div_ceil(MIN_SPREAD_BITS) <= 8);

/// Sorts piles, and keeps its memory from one to the next.
#[derive(Debug, Default)]
pub(crate) struct Sorter {
    pool: Pool,
    leaf: Vec<u32>,
    scratch: Vec<u32>,
    /// How often a number was moved to another pile or to a leaf: the measure of work for tests.
    #[cfg(test)]
    pub(crate) moves: usize,
}

impl Sorter {
    /// Hands the low `bits` bits of all numbers in `piles` to `sink`, in ascending order and slice by
    /// slice. Duplicates may be dropped, but need not be. `sink` may use the pool for what it keeps.
    pub(crate) fn sort(
        &mut self,
        piles: Vec<Pile>,
        bits: u32,
        sink: &mut impl FnMut(&[u32], &mut Pool),
    ) {
        let mask = low_mask(bits);
        let count: usize = piles.iter().map(Pile::len).sum();
        let blocks = piles.into_iter().flat_map(Pile::into_blocks);
        self.sort_blocks(blocks, count, mask, bits, sink);
    }

    /// `mask` selects the bits that count. All but the low `bits` of them are the same in all numbers.
    fn sort_blocks(
        &mut self,
        blocks: impl Iterator<Item = Vec<u32>>,
        count: usize,
        mask: u32,
        bits: u32,
        sink: &mut impl FnMut(&[u32], &mut Pool),
    ) {
        #[cfg(test)]
        {
            self.moves += count;
        }
        if count <= LEAF || bits == 0 {
            self.leaf.clear();
            for block in blocks {
                if bits == 0 {
                    self.leaf.clear();
                }
                self.leaf.extend(block.iter().map(|&value| value & mask));
                self.pool.give(block);
            }
            sort_leaf(&mut self.leaf, &mut self.scratch, bits);
            sink(&self.leaf, &mut self.pool);
            return;
        }
        let digit_bits =
            count.div_ceil(AIM).next_power_of_two().ilog2().clamp(1, SPREAD_BITS.min(bits));
        let rest = bits - digit_bits;
        for pile in self.spread(blocks, mask, rest, digit_bits) {
            let count = pile.len();
            if count > 0 {
                self.sort_blocks(pile.into_blocks(), count, mask, rest, sink);
            }
        }
    }

    /// One pile for each value of the `digit_bits` bits from bit `shift` on.
    fn spread(
        &mut self,
        blocks: impl Iterator<Item = Vec<u32>>,
        mask: u32,
        shift: u32,
        digit_bits: u32,
    ) -> [Pile; 1 << SPREAD_BITS] {
        let mut piles = [const { Pile::new() }; 1 << SPREAD_BITS];
        let digit_mask = low_mask(digit_bits.min(SPREAD_BITS)) as usize;
        for block in blocks {
            for &value in &block {
                let value = value & mask;
                let digit = (value >> shift) as usize & digit_mask & 0xFF;
                if let Some(pile) = piles.get_mut(digit) {
                    pile.push(value, &mut self.pool);
                }
            }
            self.pool.give(block);
        }
        piles
    }
}

/// Sorts numbers that differ only in their low `bits` bits.
fn sort_leaf(values: &mut Vec<u32>, scratch: &mut Vec<u32>, bits: u32) {
    if values.len() <= SMALL_LEAF {
        values.sort_unstable();
        return;
    }
    let passes = bits.div_ceil(PASS_BITS);
    scratch.resize(values.len(), 0);
    for pass in 0..passes {
        let from = bits * pass / passes;
        let to = bits * (pass + 1) / passes;
        scatter(values, scratch, from, to - from);
        core::mem::swap(values, scratch);
    }
}

/// Writes `from` to `to`, ordered by `digit_bits` bits from bit `shift` on; equal ones stay in their order.
fn scatter(from: &[u32], to: &mut [u32], shift: u32, digit_bits: u32) {
    let mut starts = [0_u32; 1 << PASS_BITS];
    let digit_mask = low_mask(digit_bits) as usize & ((1 << PASS_BITS) - 1);
    let digit = |value: u32| (value >> shift) as usize & digit_mask;
    for &value in from {
        if let Some(count) = starts.get_mut(digit(value)) {
            *count += 1;
        }
    }
    let mut start = 0;
    for slot in starts.iter_mut().take(digit_mask + 1) {
        start += core::mem::replace(slot, start);
    }
    for &value in from {
        if let Some(start) = starts.get_mut(digit(value)) {
            if let Some(place) = to.get_mut(*start as usize) {
                *place = value;
            }
            *start += 1;
        }
    }
}

fn low_mask(bits: u32) -> u32 {
    u32::MAX.checked_shr(u32::BITS - bits.min(u32::BITS)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{LEAF, Sorter};
    use crate::pile::{Pile, Pool};

    /// Sorts numbers that come in two piles, and fails unless they come out as they should.
    #[track_caller]
    fn check(numbers: &[u32], bits: u32) {
        let mut piles = [Pile::new(), Pile::new()];
        for (n, &number) in numbers.iter().enumerate() {
            piles[n % 2].push(number, &mut Pool::default());
        }
        let mut sorter = Sorter::default();
        let mut sorted = Vec::new();
        sorter.sort(piles.into(), bits, &mut |slice, _| sorted.extend_from_slice(slice));
        assert!(sorted.is_sorted());
        sorted.dedup();
        let mut expected: Vec<u32> =
            numbers.iter().map(|n| n << (32 - bits) >> (32 - bits)).collect();
        expected.sort_unstable();
        expected.dedup();
        assert!(sorted == expected);
        assert!(sorter.moves <= 9 * numbers.len(), "{} moves", sorter.moves);
    }

    fn spread(n: u32) -> u32 {
        let n = (n ^ n >> 16).wrapping_mul(0x85EB_CA6B);
        let n = (n ^ n >> 13).wrapping_mul(0xC2B2_AE35);
        n ^ n >> 16
    }

    #[test]
    fn any_count() {
        let leaf = u32::try_from(LEAF).unwrap();
        for count in [0, 1, 2, 95, 96, 97, 98, 1023, 1024, 1025, leaf - 1, leaf, leaf + 1, 3 * leaf]
        {
            for bits in [7, 13, 28, 32] {
                check(&(0..count).map(spread).collect::<Vec<_>>(), bits);
            }
        }
    }

    #[test]
    fn any_number_of_bits() {
        let numbers: Vec<u32> = (0..100_000).map(spread).collect();
        for bits in 1..=32 {
            check(&numbers, bits);
            check(&numbers[..2000], bits);
        }
    }

    #[test]
    fn crowded_anywhere() {
        let count = 100_000;
        let all: [fn(u32) -> u32; 7] = [
            |n| n,
            |n| !n,
            |_| 0x8000_0001,
            |n| n % 2 * u32::MAX,
            // Each spread leaves all but a few numbers in one pile.
            |n| u32::MAX << (n % 33).min(31),
            |n| 1 << (spread(n) % 32),
            |n| if n < 90_000 { 5 } else { spread(n) },
        ];
        for numbers in all {
            check(&(0..count).map(numbers).collect::<Vec<_>>(), 32);
        }
    }
}
