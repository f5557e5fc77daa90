//! Which shard a key belongs to.

use std::ops::RangeInclusive;

use sst_format::meta_head::HashRange;
use sst_format::monitor::{Meter, Phase, Progress};
use sst_reader::hash_key;

use crate::{Duplicates, Inputs, MergeError, Monitor};

/// How many places of the first walk are remembered, so that the second can begin nearby.
const MAX_MARKS: usize = 1 << 14;

/// Divides all hashes into shards: consecutive ranges, of which each shard has one. It is the
/// router too.
///
/// A shard is told by the first hash of each: a hash belongs to the last shard whose first hash is
/// not above it. Shards may be empty; they then share the first hash of the next one.
///
/// # Examples
///
/// ```
/// use sst_merge::ShardMap;
///
/// let map = ShardMap::by_hash(3);
/// assert_eq!(map.shard_of_hash(0), 0);
/// assert_eq!(map.shard_of_hash(u64::MAX), 2);
/// assert!(map.shard_of(b"any key") < map.shard_count());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardMap {
    /// First hash of each shard but the first, ascending.
    bounds: Vec<u64>,
}

impl ShardMap {
    /// `count` shards with equal ranges of hashes; one if `count` is 0.
    #[must_use]
    pub fn by_hash(count: u32) -> Self {
        let shards = (1..count).map_while(|shard| HashRange::of_shard(shard, count));
        Self { bounds: shards.map(|hashes| hashes.min).collect() }
    }

    /// `count` shards with equal numbers of live entries; one if `count` is 0. Their sizes differ
    /// by one at most, unless entries share a hash: those stay together.
    ///
    /// Reads all keys once, and few of them again. O(entries); 256 KiB of memory beside the
    /// cursor's.
    ///
    /// # Errors
    ///
    /// As [`MergeCursor::next`](crate::MergeCursor::next), and [`MergeError::Cancelled`].
    pub fn by_entries(
        inputs: &Inputs,
        count: u32,
        duplicates: Duplicates,
        monitor: &Monitor,
    ) -> Result<Self, MergeError> {
        let ranks = Ranks::walk(inputs, duplicates, MAX_MARKS, monitor)?;
        let total = u128::from(ranks.total);
        let count = u128::from(count.max(1));
        let bounds = (1..count).map(|i| {
            // Below `total`, which is a `u64`.
            let rank = u64::try_from(i * total / count).unwrap_or(u64::MAX);
            ranks.first_hash_at(rank, inputs, duplicates)
        });
        Ok(Self { bounds: bounds.collect::<Result<_, _>>()? })
    }

    /// The shards with these first hashes, as [`ShardMap::first_hashes`] gives them. `None` unless
    /// they ascend from 0.
    #[must_use]
    pub fn from_first_hashes(first_hashes: &[u64]) -> Option<Self> {
        let (first, bounds) = first_hashes.split_first()?;
        (*first == 0 && bounds.is_sorted()).then(|| Self { bounds: bounds.to_vec() })
    }

    /// The first hash of each shard, ascending from 0.
    pub fn first_hashes(&self) -> impl Iterator<Item = u64> {
        std::iter::once(0).chain(self.bounds.iter().copied())
    }

    /// Number of shards.
    #[must_use]
    pub const fn shard_count(&self) -> usize {
        self.bounds.len() + 1
    }

    /// The shard of a key. O(length of the key + log shards).
    #[must_use]
    pub fn shard_of(&self, key: impl AsRef<[u8]>) -> usize {
        self.shard_of_hash(hash_key(key.as_ref()))
    }

    /// The shard of a hash. O(log shards).
    #[must_use]
    pub fn shard_of_hash(&self, hash: u64) -> usize {
        self.bounds.partition_point(|bound| *bound <= hash)
    }

    /// The hashes of each shard; `None` for one that is empty.
    pub fn ranges(&self) -> impl Iterator<Item = Option<RangeInclusive<u64>>> {
        let ends = self.bounds.iter().map(|bound| bound.checked_sub(1)).chain([Some(u64::MAX)]);
        self.first_hashes().zip(ends).map(|(first, end)| {
            let end = end?;
            (first <= end).then_some(first..=end)
        })
    }
}

/// How many entries are below some of the hashes.
struct Ranks {
    /// Hashes, and how many entries have lower ones; ascending.
    marks: Vec<(u64, u64)>,
    max_hash: u64,
    total: u64,
}

impl Ranks {
    /// Walks all entries. There are at most `max_marks` marks, evenly spread.
    fn walk(
        inputs: &Inputs,
        duplicates: Duplicates,
        max_marks: usize,
        monitor: &Monitor,
    ) -> Result<Self, MergeError> {
        let start = Progress::new(Phase::Count).total_entries(inputs.entry_count());
        let mut meter = Meter::new(monitor, start);
        let mut ranks = Self { marks: Vec::new(), max_hash: 0, total: 0 };
        let mut stride = 1;
        let mut cursor = inputs.live(0..=u64::MAX, duplicates)?;
        while let Some(hash) = cursor.next()?.map(|entry| entry.hash) {
            meter.at(cursor.counts().read, 0)?;
            let starts_hash = ranks.total == 0 || hash != ranks.max_hash;
            let is_due = ranks.marks.last().is_none_or(|(_, rank)| ranks.total - rank >= stride);
            if starts_hash && is_due {
                if ranks.marks.len() >= max_marks.max(1) {
                    let mut at = 0;
                    ranks.marks.retain(|_| {
                        at += 1;
                        at % 2 == 1
                    });
                    stride *= 2;
                }
                ranks.marks.push((hash, ranks.total));
            }
            ranks.max_hash = hash;
            ranks.total += 1;
        }
        Ok(ranks)
    }

    /// The lowest hash that has at least `rank` entries below it; one above all hashes, if there is
    /// any, where there are not so many.
    fn first_hash_at(
        &self,
        rank: u64,
        inputs: &Inputs,
        duplicates: Duplicates,
    ) -> Result<u64, MergeError> {
        let above = self.marks.partition_point(|(_, below)| *below <= rank);
        // Below the first mark is no entry: the walk starts at the lowest hash.
        let mark = above.checked_sub(1).and_then(|at| self.marks.get(at));
        let (hash, mut below) = mark.copied().unwrap_or((0, 0));
        let mut cursor = inputs.live(hash..=u64::MAX, duplicates)?;
        let mut last = None;
        while let Some(hash) = cursor.next()?.map(|entry| entry.hash) {
            if below >= rank && last != Some(hash) {
                return Ok(hash);
            }
            last = Some(hash);
            below += 1;
        }
        // No hash is above `u64::MAX`: the last shard then holds only entries of `u64::MAX`.
        Ok(self.max_hash.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ranges_cover_all_hashes_once() {
        for count in [1, 2, 3, 7, 1000] {
            let map = ShardMap::by_hash(count);
            let ranges: Vec<_> = map.ranges().map(Option::unwrap).collect();
            assert_eq!(ranges.len(), count as usize);
            assert_eq!((*ranges[0].start(), *ranges.last().unwrap().end()), (0, u64::MAX));
            for (shard, range) in ranges.iter().enumerate() {
                assert_eq!(map.shard_of_hash(*range.start()), shard);
                assert_eq!(map.shard_of_hash(*range.end()), shard);
                let len = u128::from(range.end() - range.start()) + 1;
                assert!(len.abs_diff((1 << 64) / u128::from(count)) <= 1);
            }
            assert!(ranges.windows(2).all(|pair| pair[0].end() + 1 == *pair[1].start()));
        }
        assert_eq!(ShardMap::by_hash(0), ShardMap::by_hash(1));
    }

    #[test]
    fn shards_may_be_empty() {
        let map = ShardMap::from_first_hashes(&[0, 0, 5, 5, 9]).unwrap();
        let ranges: Vec<_> = map.ranges().collect();
        assert_eq!(ranges, [None, Some(0..=4), None, Some(5..=8), Some(9..=u64::MAX)]);
        assert_eq!([0, 4, 5, 8, 9].map(|hash| map.shard_of_hash(hash)), [1, 1, 3, 3, 4]);
        let first: Vec<u64> = map.first_hashes().collect();
        assert_eq!(ShardMap::from_first_hashes(&first), Some(map));
        for wrong in [&[][..], &[1], &[0, 2, 1]] {
            assert_eq!(ShardMap::from_first_hashes(wrong), None);
        }
    }
}
