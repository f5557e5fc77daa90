//! Disjoint ranges of hashes.

use alloc::collections::BTreeMap;

/// Disjoint ranges of hashes: the highest hash of each, by the lowest.
///
/// # Examples
///
/// ```
/// use sst_format::hash_ranges::HashRanges;
///
/// let mut ranges = HashRanges::default();
/// assert!(ranges.insert_disjoint(10, 20));
/// assert!(!ranges.insert_disjoint(20, 30));
/// ranges.join(20, 30);
/// assert!(ranges.meet(25, 40));
/// ```
#[derive(Clone, Debug, Default)]
pub struct HashRanges(BTreeMap<u64, u64>);

impl HashRanges {
    /// Whether one of them has a hash from `min` to `max`. O(log n).
    #[must_use]
    pub fn meet(&self, min: u64, max: u64) -> bool {
        self.0.range(..=max).next_back().is_some_and(|(_, highest)| *highest >= min)
    }

    /// Adds the range from `min` to `max`, if it is disjoint with the others. Returns whether it
    /// is. O(log n).
    pub fn insert_disjoint(&mut self, min: u64, max: u64) -> bool {
        let is_disjoint = !self.meet(min, max);
        if is_disjoint {
            self.0.insert(min, max);
        }
        is_disjoint
    }

    /// Adds the hashes from `min` to `max`: ranges that meet them become one range with them.
    /// Amortized O(log n).
    pub fn join(&mut self, mut min: u64, mut max: u64) {
        while let Some((start, highest)) = self.0.range(..=max).next_back().map(|(s, h)| (*s, *h))
            && highest >= min
        {
            self.0.remove(&start);
            (min, max) = (min.min(start), max.max(highest));
        }
        self.0.insert(min, max);
    }

    /// The ranges, ascending: the lowest and the highest hash of each.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().map(|(min, max)| (*min, *max))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn joined_ranges_meet_what_one_of_them_meets() {
        let all = [(50, 60), (10, 20), (21, 30), (15, 25), (0, 5), (55, 58), (u64::MAX, u64::MAX)];
        let mut ranges = HashRanges::default();
        for (count, (min, max)) in all.into_iter().enumerate() {
            let known = all.get(..count).unwrap();
            for hash in (0..70).chain([u64::MAX - 1, u64::MAX]) {
                for end in [hash, hash.saturating_add(3)] {
                    let expected = known.iter().any(|(min, max)| *min <= end && *max >= hash);
                    assert_eq!(ranges.meet(hash, end), expected, "{hash} to {end} of {known:?}");
                }
            }
            ranges.join(min, max);
        }
        let joined: Vec<_> = ranges.iter().collect();
        assert_eq!(joined, [(0, 5), (10, 30), (50, 60), (u64::MAX, u64::MAX)]);
    }
}
