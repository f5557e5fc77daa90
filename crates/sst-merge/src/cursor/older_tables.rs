//! The hashes for which a tombstone must stay, since an older table may have an entry.

use std::ops::RangeInclusive;

/// The hashes that tables which take no part in a merge may hold, where those are older than the
/// output.
///
/// A tombstone whose hash is among them must stay: it may hide an entry. Every other one has
/// nothing left to hide.
///
/// # Examples
///
/// ```
/// use sst_merge::OlderTables;
///
/// let older = OlderTables::of([10..=20, 15..=30]);
/// assert!(older.may_hold(25) && !older.may_hold(31));
/// assert!(!OlderTables::none().may_hold(25) && OlderTables::unknown().may_hold(31));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OlderTables {
    /// Disjoint, ascending.
    ranges: Vec<RangeInclusive<u64>>,
}

impl OlderTables {
    /// There are no older tables: all tombstones are dropped.
    #[must_use]
    pub const fn none() -> Self {
        Self { ranges: Vec::new() }
    }

    /// The older tables are unknown: all tombstones are kept.
    #[must_use]
    pub fn unknown() -> Self {
        Self::of([0..=u64::MAX])
    }

    /// Older tables with these ranges of hashes, in any order. O(n log n).
    #[must_use]
    pub fn of(ranges: impl IntoIterator<Item = RangeInclusive<u64>>) -> Self {
        let mut all: Vec<_> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        all.sort_unstable_by_key(|range| *range.start());
        let mut ranges: Vec<RangeInclusive<u64>> = Vec::with_capacity(all.len());
        for range in all {
            match ranges.last_mut() {
                Some(last) if range.start() <= last.end() => {
                    let end = *last.end().max(range.end());
                    *last = *last.start()..=end;
                }
                _ => ranges.push(range),
            }
        }
        Self { ranges }
    }

    /// Whether one of the tables may hold an entry with this hash. O(log n).
    #[must_use]
    pub fn may_hold(&self, hash: u64) -> bool {
        let above = self.ranges.partition_point(|range| *range.start() <= hash);
        above
            .checked_sub(1)
            .and_then(|at| self.ranges.get(at))
            .is_some_and(|range| range.contains(&hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_where_they_touch() {
        let ranges = [50..=60, 10..=20, 20..=30, 0..=5, 55..=58, u64::MAX..=u64::MAX];
        let older = OlderTables::of(ranges.clone());
        for hash in (0..100).chain([u64::MAX - 1, u64::MAX]) {
            let expected = ranges.iter().any(|range| range.contains(&hash));
            assert_eq!(older.may_hold(hash), expected, "{hash}");
        }
        assert_eq!(older.ranges.len(), 4);
    }

    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "that is the case at hand")]
    fn an_empty_range_holds_nothing() {
        assert_eq!(OlderTables::of([9..=1]), OlderTables::none());
    }
}
