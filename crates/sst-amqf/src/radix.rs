//! A radix sort of numbers in the memory that they already use.
//!
//! It works from the top bits down (MSD): numbers are spread over up to 256 piles by their highest
//! bits, then each pile by the next bits, until a pile (a leaf) fits the cache. A leaf is sorted
//! from the low bits up (LSD). Blocks that have been read are reused for writing. The additional
//! memory is the two arrays of a leaf, 512 KiB, and a partly filled block for each pile: 1 MiB for
//! evenly spread numbers, 4 MiB in the worst case.
//!
//! Time is linear for any input: a number is moved at most eight times to spread it, and three
//! times in its leaf.

use crate::pile::{NO_MEMORY, Pile, Pool};
use sst_format::filter::FilterError;

/// The most numbers that are sorted as a leaf. Both arrays of it stay in a second-level cache.
const LEAF: usize = 1 << 16;
/// Up to this many numbers a comparison sort is faster than clearing the counters of a radix sort.
const SMALL_LEAF: usize = 96;
/// The number of numbers that a pile should have after a spread.
const AIM: usize = 1 << 13;
/// The most bits of one spread: with more piles, each push would miss the cache.
const SPREAD_BITS: u32 = 8;
/// The most bits of one pass over a leaf.
const PASS_BITS: u32 = 11;

/// The fewest bits of one spread, unless fewer are left.
const MIN_SPREAD_BITS: u32 = (LEAF / AIM + 1).next_power_of_two().ilog2();
const _: () = assert!(u32::BITS.div_ceil(MIN_SPREAD_BITS) <= 8);

/// Sorts piles, and reuses its memory from one pile to the next.
#[derive(Debug, Default)]
pub(crate) struct Sorter {
    pool: Pool,
    leaf: Vec<u32>,
    scratch: Vec<u32>,
    /// Number of moves of a number to another pile or to a leaf: tests measure the work by it.
    #[cfg(test)]
    pub(crate) moves: usize,
}

impl Sorter {
    /// Passes the low `bits` bits of all numbers in `piles` to `sink`, in ascending order, slice by
    /// slice and without duplicates. `sink` may store its output in blocks of the pool.
    ///
    /// # Errors
    ///
    /// [`NO_MEMORY`], and the errors of `sink`. Any other [`FilterError`] is a bug of this sort.
    pub(crate) fn sort(
        &mut self,
        piles: Vec<Pile>,
        bits: u32,
        sink: &mut impl FnMut(&[u32], &mut Pool) -> Result<(), FilterError>,
    ) -> Result<(), FilterError> {
        let mask = low_mask(bits);
        let count: usize = piles.iter().map(Pile::len).sum();
        let blocks = piles.into_iter().flat_map(Pile::into_blocks);
        self.sort_blocks(blocks, count, mask, bits, sink)
    }

    /// `mask` selects the bits that are compared. The numbers agree in all of these but the low
    /// `bits`.
    fn sort_blocks(
        &mut self,
        blocks: impl Iterator<Item = Vec<u32>>,
        count: usize,
        mask: u32,
        bits: u32,
        sink: &mut impl FnMut(&[u32], &mut Pool) -> Result<(), FilterError>,
    ) -> Result<(), FilterError> {
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
                self.leaf.try_reserve(block.len()).map_err(|_| NO_MEMORY)?;
                self.leaf.extend(block.iter().map(|&value| value & mask));
                self.pool.give(block);
            }
            sort_leaf(&mut self.leaf, &mut self.scratch, bits)?;
            // Numbers of different leaves differ in the bits by which they were spread.
            self.leaf.dedup();
            return sink(&self.leaf, &mut self.pool);
        }
        let digit_bits =
            count.div_ceil(AIM).next_power_of_two().ilog2().clamp(1, SPREAD_BITS.min(bits));
        let rest = bits - digit_bits;
        for pile in self.spread(blocks, mask, rest, digit_bits)? {
            let count = pile.len();
            if count > 0 {
                self.sort_blocks(pile.into_blocks(), count, mask, rest, sink)?;
            }
        }
        Ok(())
    }

    /// Makes one pile for each value of the `digit_bits` bits from bit `shift` on.
    #[expect(clippy::indexing_slicing, reason = "eight bits index an array of 256")]
    fn spread(
        &mut self,
        blocks: impl Iterator<Item = Vec<u32>>,
        mask: u32,
        shift: u32,
        digit_bits: u32,
    ) -> Result<[Pile; 1 << SPREAD_BITS], FilterError> {
        let mut piles = [const { Pile::new() }; 1 << SPREAD_BITS];
        let digit_mask = low_mask(digit_bits.min(SPREAD_BITS)) as usize;
        for block in blocks {
            for &value in &block {
                let value = value & mask;
                let digit = (value >> shift) as usize & digit_mask & 0xFF;
                piles[digit].push(value, &mut self.pool)?;
            }
            self.pool.give(block);
        }
        Ok(piles)
    }
}

/// Sorts numbers that differ only in their low `bits` bits.
fn sort_leaf(values: &mut Vec<u32>, scratch: &mut Vec<u32>, bits: u32) -> Result<(), FilterError> {
    if values.len() <= SMALL_LEAF {
        values.sort_unstable();
        return Ok(());
    }
    let passes = bits.div_ceil(PASS_BITS);
    let more = values.len().saturating_sub(scratch.len());
    scratch.try_reserve(more).map_err(|_| NO_MEMORY)?;
    scratch.resize(values.len(), 0);
    for pass in 0..passes {
        let from = bits * pass / passes;
        let to = bits * (pass + 1) / passes;
        scatter(values, scratch, from, to - from)?;
        core::mem::swap(values, scratch);
    }
    Ok(())
}

/// Writes `from` to `to`, ordered by `digit_bits` bits from bit `shift` on; equal ones stay in
/// order.
#[expect(
    clippy::indexing_slicing,
    reason = "a digit has at most as many bits as the array's index"
)]
fn scatter(from: &[u32], to: &mut [u32], shift: u32, digit_bits: u32) -> Result<(), FilterError> {
    const BROKEN: FilterError = FilterError::new("internal: more numbers sorted than counted");
    let mut starts = [0_u32; 1 << PASS_BITS];
    let digit_mask = low_mask(digit_bits) as usize & ((1 << PASS_BITS) - 1);
    let digit = |value: u32| (value >> shift) as usize & digit_mask & ((1 << PASS_BITS) - 1);
    for &value in from {
        starts[digit(value)] += 1;
    }
    let mut start = 0;
    for slot in starts.iter_mut().take(digit_mask + 1) {
        start += core::mem::replace(slot, start);
    }
    for &value in from {
        let start = &mut starts[digit(value)];
        *to.get_mut(*start as usize).ok_or(BROKEN)? = value;
        *start += 1;
    }
    Ok(())
}

/// The low `bits` bits set; a shift by all 32 bits leaves none.
fn low_mask(bits: u32) -> u32 {
    u32::MAX.checked_shr(u32::BITS - bits.min(u32::BITS)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{LEAF, Sorter};
    use crate::pile::{Pile, Pool};

    /// How many numbers are sorted: fewer under Miri, which takes long for each.
    const COUNT: u32 = if cfg!(miri) { 5_000 } else { 100_000 };

    /// Sorts numbers that come in two piles, and compares the result with that of the standard
    /// library.
    #[track_caller]
    fn check(numbers: &[u32], bits: u32) {
        let mut piles = [Pile::new(), Pile::new()];
        for (n, &number) in numbers.iter().enumerate() {
            piles[n % 2].push(number, &mut Pool::default()).unwrap();
        }
        let mut sorter = Sorter::default();
        let mut sorted = Vec::new();
        let mut sink = |slice: &[u32], _: &mut Pool| {
            sorted.extend_from_slice(slice);
            Ok(())
        };
        sorter.sort(piles.into(), bits, &mut sink).unwrap();
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
        let numbers: Vec<u32> = (0..COUNT).map(spread).collect();
        for bits in 1..=32 {
            check(&numbers, bits);
            check(&numbers[..2000], bits);
        }
    }

    #[test]
    fn crowded_anywhere() {
        let all: [fn(u32) -> u32; 7] = [
            |n| n,
            |n| !n,
            |_| 0x8000_0001,
            |n| n % 2 * u32::MAX,
            // Each spread leaves all but a few numbers in one pile.
            |n| u32::MAX << (n % 33).min(31),
            |n| 1 << (spread(n) % 32),
            |n| if n < COUNT / 10 * 9 { 5 } else { spread(n) },
        ];
        for numbers in all {
            check(&(0..COUNT).map(numbers).collect::<Vec<_>>(), 32);
        }
    }
}
