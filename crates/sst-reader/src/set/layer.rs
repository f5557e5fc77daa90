//! Tables of disjoint hash ranges, and how the tables of a set are put into as few layers of them
//! as can be.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use sst_format::meta_head::HashRange;

use super::Catalog;
use super::set_table::SetTable;
use crate::table::search::{HashBounds, lower_bound};
use crate::{FileLabel, ReadError};

/// A broken rule: a layer has a lowest and a highest hash for each of its tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnevenLayer;

impl UnevenLayer {
    #[cold]
    pub(super) fn in_catalog(self, catalog: &Catalog) -> ReadError {
        let label = FileLabel::new(&catalog.dir);
        ReadError::internal(&label, "a layer has a range for each of its tables")
    }
}

/// Tables of which at most one can hold a given hash.
#[derive(Default)]
pub(super) struct Layer {
    /// Lowest hash of each table, ascending.
    lowest: Box<[u64]>,
    /// Highest hash of each table.
    highest: Box<[u64]>,
    tables: Box<[SetTable]>,
}

impl Layer {
    /// Takes over tables whose ranges are disjoint and meet `hashes`, outside of which they are not
    /// to be asked.
    fn new(mut tables: Vec<SetTable>, hashes: HashRange) -> Self {
        tables.sort_unstable_by_key(|table| table.hashes().0);
        Self {
            lowest: tables.iter().map(|table| table.hashes().0.max(hashes.min)).collect(),
            highest: tables.iter().map(|table| table.hashes().1.min(hashes.max)).collect(),
            tables: tables.into_boxed_slice(),
        }
    }

    /// The tables, ascending by hash range.
    pub(super) const fn tables(&self) -> &[SetTable] {
        &self.tables
    }

    /// The table of a layer of one table.
    pub(super) const fn only_table(&self) -> Option<&SetTable> {
        match &*self.tables {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The only table that can hold `hash`; `None` if there is none. Expected O(1) probes for
    /// tables of even ranges, at most O(log n).
    #[inline]
    pub(super) fn table_of(&self, hash: u64) -> Result<Option<&SetTable>, UnevenLayer> {
        match self.tables_up_to(hash).checked_sub(1) {
            Some(i) => self.reaching(i, hash),
            None => Ok(None),
        }
    }

    /// Table number `i`, if its range does not end before `hash`.
    #[inline]
    fn reaching(&self, i: usize, hash: u64) -> Result<Option<&SetTable>, UnevenLayer> {
        match (self.highest.get(i), self.tables.get(i)) {
            (Some(highest), Some(table)) => Ok((hash <= *highest).then_some(table)),
            _ => Err(UnevenLayer),
        }
    }

    /// Finds tables of hashes that ascend.
    pub(super) const fn walk(&self) -> LayerWalk<'_> {
        LayerWalk { layer: self, up_to: 0 }
    }

    /// The tables whose ranges meet `hashes`.
    pub(super) fn tables_in(
        &self,
        hashes: &RangeInclusive<u64>,
    ) -> Result<&[SetTable], UnevenLayer> {
        let start = *hashes.start();
        let first = self.tables_up_to(start);
        let first = match first.checked_sub(1) {
            // The table before reaches into the range.
            Some(before) if self.reaching(before, start)?.is_some() => before,
            _ => first,
        };
        let end = self.tables_up_to(*hashes.end());
        // A range that ends before it starts meets no table.
        Ok(self.tables.get(first..end).unwrap_or_default())
    }

    /// Number of tables that start at or below `hash`.
    #[inline]
    fn tables_up_to(&self, hash: u64) -> usize {
        let (Some(&low), Some(&high)) = (self.lowest.first(), self.highest.last()) else {
            return 0;
        };
        if let [low] = *self.lowest {
            return usize::from(low <= hash);
        }
        let found = u32::try_from(self.lowest.len()).ok().and_then(|count| {
            let probe = |i: u32| {
                let lowest = *self.lowest.get(i as usize).ok_or(())?;
                let is_below = lowest <= hash;
                Ok::<_, ()>((lowest, if is_below { Ordering::Less } else { Ordering::Greater }))
            };
            lower_bound(count, HashBounds { low, high }, hash, probe).ok()
        });
        match found {
            Some(found) => found as usize,
            // More tables than sequence numbers of 32 bits: halving is as right, and slower.
            None => self.lowest.partition_point(|lowest| *lowest <= hash),
        }
    }
}

/// Finds the tables of hashes that ascend: the next one is mostly near the last one.
pub(super) struct LayerWalk<'s> {
    layer: &'s Layer,
    /// Number of tables that start at or below the last hash.
    up_to: usize,
}

/// Tables that a [`LayerWalk`] looks at one after the other before it searches.
const STEPS: usize = 4;

impl<'s> LayerWalk<'s> {
    /// [`Layer::table_of`] a hash that is not below the one before, and the table's number in the
    /// layer.
    #[inline]
    pub(super) fn table_of(
        &mut self,
        hash: u64,
    ) -> Result<Option<(usize, &'s SetTable)>, UnevenLayer> {
        let layer = self.layer;
        // Behind the last table none starts.
        let starts_below = |i: usize| layer.lowest.get(i).is_some_and(|low| *low <= hash);
        let steps = (0..STEPS).take_while(|step| starts_below(self.up_to + step)).count();
        self.up_to = match steps {
            STEPS => layer.tables_up_to(hash),
            _ => self.up_to + steps,
        };
        match self.up_to.checked_sub(1) {
            Some(i) => Ok(layer.reaching(i, hash)?.map(|table| (i, table))),
            None => Ok(None),
        }
    }
}

/// Puts tables, newest first, into the fewest layers in which every table comes behind all newer
/// ones that it overlaps. O(n log n).
pub(super) fn layers_of(tables: Vec<SetTable>, hashes: HashRange) -> Vec<Layer> {
    if are_disjoint(&tables) {
        return if tables.is_empty() { Vec::new() } else { vec![Layer::new(tables, hashes)] };
    }
    let mut skyline = Skyline::default();
    let mut layers: Vec<Vec<SetTable>> = Vec::new();
    for table in tables {
        // A table on top of all layers starts a new one.
        let level = skyline.stack(table.hashes());
        match layers.get_mut(level) {
            Some(layer) => layer.push(table),
            None => layers.push(vec![table]),
        }
    }
    layers.into_iter().map(|tables| Layer::new(tables, hashes)).collect()
}

/// Whether no two tables overlap: the common case, told by sorting.
fn are_disjoint(tables: &[SetTable]) -> bool {
    let mut ranges: Vec<_> = tables.iter().map(|table| table.hashes()).collect();
    ranges.sort_unstable();
    ranges.iter().zip(ranges.iter().skip(1)).all(|((_, end), (start, _))| end < start)
}

/// How many tables lie on each other at each hash: a step function.
#[derive(Default)]
struct Skyline {
    /// Height from this hash on, up to the next entry.
    heights: BTreeMap<u64, usize>,
}

impl Skyline {
    /// Puts a table on top of those in its range, and returns its level. Amortized O(log n).
    fn stack(&mut self, (low, high): (u64, u64)) -> usize {
        // A hostile description may have them the wrong way round: such a table holds nothing.
        if low > high {
            return 0;
        }
        let height_before = |heights: &BTreeMap<u64, usize>, hash| {
            heights.range(..=hash).next_back().map_or(0, |(_, height)| *height)
        };
        let at_low = height_before(&self.heights, low);
        let level =
            self.heights.range(low..=high).map(|(_, height)| *height).fold(at_low, usize::max);
        let behind = height_before(&self.heights, high);
        let covered: Vec<u64> = self.heights.range(low..=high).map(|(start, _)| *start).collect();
        for start in covered {
            self.heights.remove(&start);
        }
        self.heights.insert(low, level + 1);
        if let Some(next) = high.checked_add(1) {
            self.heights.entry(next).or_insert(behind);
        }
        level
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ranges of tables, newest first, and a number that tells them apart.
    fn layers(ranges: &[(u64, u64)]) -> Vec<Layer> {
        let tables = ranges.iter().zip(0..);
        let tables = tables.map(|(&range, sequence)| SetTable::stub(sequence, range));
        layers_of(tables.collect(), HashRange::FULL)
    }

    fn check(ranges: &[(u64, u64)], hashes: impl Iterator<Item = u64>) -> usize {
        let layers = layers(ranges);
        assert_eq!(layers.iter().map(|layer| layer.tables().len()).sum::<usize>(), ranges.len());
        // Hashes ascend.
        let mut walks: Vec<_> = layers.iter().map(Layer::walk).collect();
        for hash in hashes {
            let expected: Vec<u32> = (0..)
                .zip(ranges)
                .filter(|(_, (low, high))| (low..=high).contains(&&hash))
                .map(|(sequence, _)| sequence)
                .collect();
            let found = layers.iter().filter_map(|layer| layer.table_of(hash).unwrap());
            let found: Vec<u32> = found.map(|table| table.sequence().0).collect();
            assert_eq!(found, expected, "hash {hash} in {ranges:?}");
            let walked = walks.iter_mut().filter_map(|walk| walk.table_of(hash).unwrap());
            let walked: Vec<u32> = walked.map(|(_, table)| table.sequence().0).collect();
            assert_eq!(walked, expected, "walked to hash {hash} in {ranges:?}");
            for layer in &layers {
                for end in [hash, hash.saturating_add(7), u64::MAX] {
                    let meets =
                        |table: &&SetTable| table.hashes().0 <= end && table.hashes().1 >= hash;
                    let expected: Vec<_> =
                        layer.tables().iter().filter(meets).map(|table| table.sequence()).collect();
                    let found = layer.tables_in(&(hash..=end)).unwrap().iter();
                    assert_eq!(found.map(|table| table.sequence()).collect::<Vec<_>>(), expected);
                }
            }
        }
        layers.len()
    }

    #[test]
    fn every_hash_meets_its_tables_newest_first() {
        assert_eq!(check(&[], 0..3), 0);
        assert_eq!(check(&[(0, u64::MAX)], [0, 1, u64::MAX].into_iter()), 1);
        assert_eq!(check(&[(5, 9), (0, 4), (10, 12)], 0..14), 1);
        let disjoint: Vec<_> = (0..40).map(|i| (i * 10, i * 10 + 7)).collect();
        assert_eq!(check(&disjoint, [0, 8, 9, 30, 31, 150, 157, 158, 399, 400].into_iter()), 1);
        // One increment over everything, then one that fits beside it.
        assert_eq!(check(&[(0, 20), (5, 9), (0, 4), (10, 12)], 0..22), 2);
        assert_eq!(check(&[(3, 3), (3, 3), (3, 3)], 2..5), 3);
        // A chain: each overlaps the next, yet two layers would mix up which one is newer.
        assert_eq!(check(&[(0, 5), (4, 10), (9, 15)], 0..17), 3);
        assert_eq!(check(&[(4, 10), (0, 5), (9, 15)], 0..17), 2);
        assert_eq!(check(&[(0, 5), (8, 9), (u64::MAX - 1, u64::MAX), (4, u64::MAX)], 0..12), 2);
    }

    #[test]
    fn random_tables_are_stacked_right() {
        let mut state = 1_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        for _ in 0..300 {
            let ranges: Vec<_> = (0..random(12))
                .map(|_| {
                    let low = random(40);
                    (low, low + random(15))
                })
                .collect();
            check(&ranges, 0..60);
        }
    }
}
