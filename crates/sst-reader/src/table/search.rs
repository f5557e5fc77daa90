//! Search among elements in ascending order of hashes.
//!
//! Hashes are uniform unless keys were made up to have others, so the position of one can be
//! estimated from its value: a few estimates usually land within a cache line or two of the
//! element. Hashes that don't play along (equal ones, clusters, a hostile file) cost a bounded
//! number of bad estimates, then the search halves the rest: O(log n) for any input, ordered or
//! not.

use std::cmp::Ordering;

/// Estimates before the search falls back to halving.
const MAX_ESTIMATES: u32 = 6;

/// The hashes between which the elements lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HashBounds {
    pub(crate) low: u64,
    pub(crate) high: u64,
}

impl HashBounds {
    /// Where between the bounds `hash` would be if hashes are spread evenly. Any value is right.
    #[inline]
    pub(crate) fn fraction(self, hash: u64) -> Fraction {
        Precision::for_width(self.width()).fraction(self, hash)
    }

    /// [`HashBounds::fraction`] of `len`.
    #[inline]
    pub(crate) fn estimate(self, hash: u64, len: u32) -> u32 {
        self.fraction(hash).of(len)
    }

    pub(crate) const fn width(self) -> u64 {
        self.high.saturating_sub(self.low)
    }
}

/// How many low bits of hashes are left out of an estimate, so that the others fit the arithmetic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Precision {
    left_out: u32,
}

impl Precision {
    /// The highest for bounds that are at most `width` apart: widths fit 32 bits then.
    #[inline]
    pub(crate) const fn for_width(width: u64) -> Self {
        Self { left_out: 32_u32.saturating_sub(width.leading_zeros()) }
    }

    /// As [`HashBounds::fraction`]. Good only for bounds that are no further apart than it is made
    /// for.
    #[inline]
    pub(crate) fn fraction(self, bounds: HashBounds, hash: u64) -> Fraction {
        let scale = |hash: u64| hash.wrapping_sub(bounds.low) >> self.left_out;
        // An odd width is as good, and is not zero.
        Fraction::saturated((scale(hash) << Fraction::BITS) / (scale(bounds.high) | 1))
    }

    /// A difference of hashes without the bits that are left out, and `more` of them.
    #[inline(always)]
    pub(crate) const fn cut(self, difference: u64, more: u32) -> u64 {
        difference >> (self.left_out + more)
    }

    /// A hash whose [`Precision::fraction`] is about `place`.
    pub(crate) fn hash_at(self, bounds: HashBounds, place: Fraction) -> u64 {
        let width = (bounds.width() >> self.left_out) | 1;
        let scaled = (u64::from(place.0).wrapping_mul(width)) >> Fraction::BITS;
        bounds.low.saturating_add(scaled << self.left_out)
    }
}

/// A place on a scale from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fraction(u32);

impl Fraction {
    /// In units of 2⁻³².
    pub(crate) const BITS: u32 = 32;

    /// The middle of entry number `i` of `count`; the end of the scale if there is no such entry.
    pub(crate) fn of_entry(i: u32, count: u32) -> Self {
        let halves = (u64::from(i) * 2 + 1) << (Self::BITS - 1);
        Self::saturated(halves / u64::from(count.max(1)))
    }

    /// The place `parts - less`, or the nearest end of the scale.
    #[inline(always)]
    pub(crate) fn clamped(parts: u64, less: u64) -> Self {
        Self::saturated(parts.saturating_sub(less))
    }

    /// The place that lies further on by so much, or at the end of the scale.
    #[cfg(test)]
    pub(crate) const fn moved_by(self, by: i32) -> Self {
        Self(self.0.saturating_add_signed(by))
    }

    /// How far behind `other` it lies, in units of that many bits, rounded.
    pub(crate) fn units_from(self, other: Self, unit_bits: u32) -> i32 {
        let half = 1 << unit_bits >> 1;
        let units = (i64::from(self.0) - i64::from(other.0) + half) >> unit_bits;
        // Both are of 32 bits, so their difference is, but for its sign.
        i32::try_from(units).unwrap_or(i32::MAX)
    }

    #[inline]
    fn saturated(parts: impl TryInto<u32>) -> Self {
        Self(parts.try_into().unwrap_or(u32::MAX))
    }

    /// The place on a scale of `len`: below `len`, or 0.
    #[inline]
    pub(crate) const fn of(self, len: u32) -> u32 {
        ((self.0 as u64 * len as u64) >> Self::BITS) as u32
    }

    /// The place on a scale of `len` bytes of a block: below `len`, or 0.
    #[inline]
    pub(crate) fn of_len(self, len: usize) -> usize {
        self.of(u32::try_from(len).unwrap_or(u32::MAX)) as usize
    }
}

/// How many blocks there are to a range of hashes, on average over a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Density {
    /// In units of 2⁻⁶⁴ blocks.
    per_hash: u64,
}

impl Density {
    /// Of that many blocks over all hashes between the bounds.
    pub(crate) fn new(blocks: usize, bounds: HashBounds) -> Self {
        let width = u128::from(bounds.high.saturating_sub(bounds.low)) + 1;
        Self { per_hash: u64::try_from(((blocks as u128) << 64) / width).unwrap_or(u64::MAX) }
    }

    /// How many whole blocks lie below `hash` if the first begins at `low`.
    #[inline]
    pub(crate) fn blocks_below(self, hash: u64, low: u64) -> u64 {
        u64::try_from(self.scaled(hash.saturating_sub(low)) >> 64).unwrap_or(u64::MAX)
    }

    /// How far apart two hashes of one block are: the whole block at most.
    #[inline]
    pub(crate) fn between(self, one: u64, other: u64) -> Fraction {
        let parts = self.scaled(one.abs_diff(other)) >> (64 - Fraction::BITS);
        Fraction::saturated(parts)
    }

    #[inline]
    fn scaled(self, hashes: u64) -> u128 {
        u128::from(hashes) * u128::from(self.per_hash)
    }
}

/// Index of the first of `count` elements that is not below the target, or `count`.
///
/// `probe(i)` gives the hash of element `i` and how the element compares to the target. `hash` is
/// that of the target, `bounds` those of all elements, as far as they are known; wrong bounds cost
/// time, never a wrong answer.
#[inline]
pub(crate) fn lower_bound<E>(
    count: u32,
    mut bounds: HashBounds,
    hash: u64,
    mut probe: impl FnMut(u32) -> Result<(u64, Ordering), E>,
) -> Result<u32, E> {
    let (mut low, mut high) = (0, count);
    let mut estimates = 0;
    while low < high {
        let middle = if estimates < MAX_ESTIMATES && bounds.low < bounds.high {
            estimates += 1;
            low + bounds.estimate(hash, high - low)
        } else {
            low + (high - low) / 2
        };
        let (found, ordering) = probe(middle)?;
        let ordering =
            sst_format::planted!("equal-passed-over", ordering, ordering.then(Ordering::Less));
        if ordering == Ordering::Less {
            low = middle + 1;
            bounds.low = found;
        } else {
            high = middle;
            bounds.high = found;
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: HashBounds = HashBounds { low: 0, high: u64::MAX };

    fn search(hashes: &[u64], bounds: HashBounds, target: u64, probes: &mut usize) -> usize {
        let found = lower_bound(hashes.len().try_into().unwrap(), bounds, target, |i| {
            *probes += 1;
            let hash = hashes[i as usize];
            Ok::<_, ()>((hash, hash.cmp(&target)))
        });
        found.unwrap() as usize
    }

    /// Searches every hash and its neighbours, against a plain search, and returns the highest
    /// number of probes.
    fn check(hashes: &[u64], bounds: HashBounds) -> usize {
        let targets = hashes.iter().flat_map(|&h| [h.saturating_sub(1), h, h.saturating_add(1)]);
        let mut most = 0;
        for target in targets.chain([0, u64::MAX]) {
            let mut probes = 0;
            let found = search(hashes, bounds, target, &mut probes);
            assert_eq!(found, hashes.partition_point(|&h| h < target), "{target}");
            most = most.max(probes);
        }
        most
    }

    fn uniform(count: u64) -> Vec<u64> {
        let mut hashes: Vec<u64> =
            (0..count).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        hashes.sort_unstable();
        hashes
    }

    #[test]
    fn estimates_are_proportional_and_within_the_scale() {
        for (low, high) in [(0, u64::MAX), (5, 5), (9, 3), (1 << 63, (1 << 63) + 1000)] {
            let bounds = HashBounds { low, high };
            assert_eq!(bounds.estimate(low, 400), 0);
            assert!(bounds.estimate(high, 400) <= 400);
            assert!(bounds.estimate(u64::MAX, 7) <= 7);
            let middle = bounds.estimate(low / 2 + high / 2, 400);
            assert!(high <= low || (198..=200).contains(&middle), "{middle}");
        }
    }

    #[test]
    fn finds_what_a_plain_search_finds() {
        for count in [0, 1, 2, 3, 455, 3000] {
            check(&uniform(count), ALL);
        }
        check(&[7; 100], ALL);
        check(&[0, 0, u64::MAX, u64::MAX], ALL);
    }

    #[test]
    fn wrong_bounds_and_clusters_cost_no_more_than_halving() {
        let clustered: Vec<u64> = (0..4096).chain([u64::MAX / 2]).chain([u64::MAX]).collect();
        let limit = MAX_ESTIMATES as usize + 13;
        for bounds in [ALL, HashBounds { low: 5, high: 6 }, HashBounds { low: 9, high: 0 }] {
            assert!(check(&clustered, bounds) <= limit);
            assert!(check(&[7; 4096], bounds) <= limit);
            assert!(check(&uniform(4096), bounds) <= limit);
        }
    }

    /// A million keys with one hash: the keys alone tell where to go on.
    #[test]
    fn a_million_equal_hashes_cost_no_more_than_halving() {
        const COUNT: u32 = 1_000_000;
        for bounds in [ALL, HashBounds { low: 7, high: 7 }, HashBounds { low: 0, high: 7 }] {
            for target in (0..COUNT).step_by(7919).chain([COUNT - 1, COUNT]) {
                let mut probes = 0;
                let found = lower_bound(COUNT, bounds, 7, |i| {
                    probes += 1;
                    Ok::<_, ()>((7, i.cmp(&target)))
                });
                assert_eq!(found, Ok(target));
                // 2^20 is just above a million.
                assert!(probes <= MAX_ESTIMATES + 20, "{probes}");
            }
        }
    }

    #[test]
    fn uniform_hashes_need_few_probes() {
        let hashes = uniform(455);
        let mut probes = 0;
        for &target in &hashes {
            let found = search(&hashes, ALL, target, &mut probes);
            assert_eq!(hashes[found], target);
        }
        // Halving would take about 9.
        assert!(probes < hashes.len() * 5, "{probes} probes for {} searches", hashes.len());
    }
}
