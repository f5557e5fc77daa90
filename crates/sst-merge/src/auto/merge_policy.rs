//! Which tables of a family are worth merging.

use std::collections::BTreeMap;

use super::merge_plan::MergePlan;
use super::table_size::{Group, SizedLayer, TableSize, floor_of, groups_of, layers_of, sum_of};

/// Decides when a family is merged, and which of its tables.
///
/// A *layer* consists of tables that follow each other in age and have disjoint ranges of hashes:
/// what one commit adds, as a rule. A lookup asks one table of each layer, so layers must stay few;
/// a merge writes every byte of the layers that it merges, so it must not come often.
///
/// Only the newest layers are merged, into one: the order of the layers stays, and no entry gets
/// below an older one. A table in them that overlaps no other stays as it is, and is not read.
/// RocksDB's universal compaction does the same, by the ratio of sizes of neighbours. This policy
/// waits until there are too many layers. Then it takes the oldest layer that has not been merged
/// as often as layers of its size have been, and everything that is newer. Such a layer of `s`
/// bytes, with `k` places from it on and increments of `u` bytes each, has been merged `d` times,
/// where C(k + d, k) is the highest such number up to `s / u`, and it is merged again when C(k + d,
/// k − 1) increments lie on it. A binomial coefficient, since that is how many increments a stack
/// of `k` layers holds of which none has been merged more than `d` times.
///
/// Example: with 4 layers at most, a base of 100 increments, and layers of one increment each, the
/// fifth layer starts a merge of the four newest. The base takes part once 56 increments lie on it.
///
/// # Range by range
///
/// A family that is larger than [`MergePolicy::max_bytes`] is merged range by range of hashes. Its
/// *floor*, the lowest tables, is cut into ranges that are at most half as long as the limit where
/// its tables allow that, and each range is then a family of its own. Tables that lie across two
/// ranges, such as those of a new increment, are first merged into tables that end where a range
/// ends. The rest of the limit of a run is given to the ranges with most layers; the others have
/// their turn in the next run. A range that cannot be that short, because a table of the floor is
/// too long, is left as it is: such a family is merged by layers only, as far as the limit allows.
///
/// # Examples
///
/// ```
/// use sst_merge::{MergePolicy, TableSize};
///
/// let table = |bytes| TableSize { bytes, min_hash: 0, max_hash: u64::MAX };
/// let policy = MergePolicy::default().max_layers(2);
/// let oldest_first = [table(1 << 30), table(1 << 20), table(1 << 20)];
/// let plan = policy.choose(&oldest_first).unwrap();
/// assert_eq!((plan.tables, plan.layers, plan.bytes), (vec![1, 2], 2, 2 << 20));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MergePolicy {
    /// A family has at most this many layers after a merge, at least 1. Default: 8.
    pub max_layers: usize,
    /// The lowest tables are merged too if the family is estimated to take more than this
    /// percentage of what its live entries take. Default: 130.
    pub max_space_percent: u64,
    /// How many entries of 100 in newer layers are estimated to replace one of the lowest tables:
    /// this cannot be known without reading. Default: 50.
    pub replaced_percent: u64,
    /// A run reads at most this many bytes of tables: see *Range by range* above. A family may then
    /// have more layers until later runs. Default: no limit.
    pub max_bytes: u64,
}

/// Lowest size of an increment in the calculation, in bytes: below it the cost of a file itself is
/// higher than that of its bytes.
const MIN_INCREMENT: u64 = 64 << 10;

impl Default for MergePolicy {
    fn default() -> Self {
        Self { max_layers: 8, max_space_percent: 130, replaced_percent: 50, max_bytes: u64::MAX }
    }
}

impl MergePolicy {
    /// Sets how many layers there are at most.
    #[must_use]
    pub const fn max_layers(mut self, max_layers: usize) -> Self {
        self.max_layers = max_layers;
        self
    }

    /// Sets how many bytes a merge reads at most.
    #[must_use]
    pub const fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Sets how much space the family may take, in per cent of its live entries.
    #[must_use]
    pub const fn max_space_percent(mut self, max_space_percent: u64) -> Self {
        self.max_space_percent = max_space_percent;
        self
    }

    /// Sets how many entries of 100 are estimated to replace an older one.
    #[must_use]
    pub const fn replaced_percent(mut self, replaced_percent: u64) -> Self {
        self.replaced_percent = replaced_percent;
        self
    }

    /// The merge that is to be done next, of a family with these tables, the oldest first; `None`
    /// if there is nothing to do. O(n log n).
    #[must_use]
    pub fn choose(&self, tables: &[TableSize]) -> Option<MergePlan> {
        self.choose_within(tables, self.max_bytes)
    }

    /// The merges that are to be done one after the other, if each writes as many bytes as it
    /// reads. All of them together read at most [`MergePolicy::max_bytes`].
    #[must_use]
    pub fn choose_all(&self, tables: &[TableSize]) -> Vec<MergePlan> {
        let (mut tables, mut plans, mut limit) = (tables.to_vec(), Vec::new(), self.max_bytes);
        while let Some(plan) = self.choose_within(&tables, limit) {
            tables = plan.applied_to(&tables);
            limit -= plan.bytes;
            plans.push(plan);
        }
        plans
    }

    /// [`MergePolicy::choose`] in a run that may still read `limit` bytes.
    #[must_use]
    pub fn choose_within(&self, tables: &[TableSize], limit: u64) -> Option<MergePlan> {
        let whole = sum_of(tables);
        if whole > self.max_bytes
            && let Some(cuts) = self.cuts(&floor_of(tables), whole)
        {
            return self.choose_ranges(tables, &cuts, limit);
        }
        self.choose_layers(tables, &[], limit)
    }

    /// The merge of as many of the newest layers as are worth it, within the limit.
    fn choose_layers(&self, tables: &[TableSize], cuts: &[u64], limit: u64) -> Option<MergePlan> {
        let layers = layers_of(tables);
        // Of the newest 1, 2 … layers.
        let newest: Vec<SizedLayer> = layers
            .iter()
            .rev()
            .scan(SizedLayer::default(), |sum, layer| {
                sum.tables += layer.tables;
                // As in `sum_of`.
                sum.bytes = sum.bytes.saturating_add(layer.bytes);
                Some(*sum)
            })
            .collect();
        let may_merge_all = newest.last()?.bytes <= limit;
        let wanted = match may_merge_all && self.takes_too_much(tables) {
            true => layers.len(),
            false => self.count_of_newest(&layers, &newest)?,
        };
        // Within the limit: as many as it allows.
        let merge_of = |sum: &SizedLayer| {
            // The layers have no more tables than there are.
            let groups = groups_of(tables, tables.len().saturating_sub(sum.tables));
            plan_of_groups(tables, &groups, cuts).filter(|plan| plan.bytes <= limit)
        };
        newest.iter().take(wanted).skip(1).rev().find_map(merge_of)
    }

    /// The merges of a family that is too large for one run: each range is a family of its own,
    /// whose merges are chosen as if there were no limit. Those of ranges with most layers come
    /// first.
    #[expect(clippy::indexing_slicing, reason = "a plan names places that it was given")]
    fn choose_ranges(&self, tables: &[TableSize], cuts: &[u64], limit: u64) -> Option<MergePlan> {
        if let Some(oldest) = tables.iter().position(|table| is_across(table, cuts)) {
            let cut = MergePlan::new(tables, (oldest..tables.len()).collect(), cuts.to_vec());
            // A range that is too long to be cut is merged by layers.
            let fits = cut.bytes <= limit;
            return if fits { Some(cut) } else { self.choose_layers(tables, cuts, limit) };
        }
        let mut ranges: BTreeMap<usize, Vec<(usize, TableSize)>> = BTreeMap::new();
        for (place, table) in tables.iter().enumerate() {
            let range = cuts.partition_point(|cut| *cut <= table.min_hash);
            ranges.entry(range).or_default().push((place, *table));
        }
        let mut plans: Vec<(usize, MergePlan)> = Vec::new();
        for range in ranges.values() {
            let (places, sizes): (Vec<_>, Vec<_>) = range.iter().copied().unzip();
            if let Some(mut plan) = self.choose_layers(&sizes, &[], u64::MAX) {
                plan.tables.iter_mut().for_each(|place| *place = places[*place]);
                plans.push((layers_of(&sizes).len(), plan));
            }
        }
        plans.sort_by_key(|(layers, _)| std::cmp::Reverse(*layers));
        let (mut left, mut places, mut ends) = (limit, Vec::new(), cuts.to_vec());
        for (_, plan) in plans {
            if let Some(rest) = left.checked_sub(plan.bytes) {
                left = rest;
                places.extend(plan.tables);
                ends.extend(plan.cuts);
            }
        }
        places.sort_unstable();
        ends.sort_unstable();
        (!places.is_empty()).then(|| MergePlan::new(tables, places, ends))
    }

    /// Where ranges end of which each can be merged within the limit: at starts of tables of the
    /// floor. `None` if these tables are too long for that.
    ///
    /// There are at most 2ⁿ ranges, of about the same width: so they mostly stay as they are while
    /// the family grows, and are halved when it has grown to twice its size.
    fn cuts(&self, floor: &[(usize, TableSize)], whole: u64) -> Option<Vec<u64>> {
        let bits = (whole / (self.max_bytes / 2).max(1)).checked_next_power_of_two()?.ilog2();
        // All of them are in one range if a hash is shifted by all its bits.
        let number = |(_, table): &(usize, TableSize)| table.min_hash.checked_shr(u64::BITS - bits);
        let (mut starts, mut longest, mut lowest) = (Vec::new(), 0, 0);
        for range in floor.chunk_by(|one, next| number(one) == number(next)) {
            let bytes = u128::from(sum_of(range.iter().map(|(_, table)| table)));
            (longest, lowest) = (bytes.max(longest), lowest + bytes);
            starts.extend(range.first().map(|(_, first)| first.min_hash));
        }
        let is_short = longest * u128::from(whole) <= lowest * u128::from(self.max_bytes);
        is_short.then(|| starts.into_iter().skip(1).collect())
    }

    /// Whether the newer tables are estimated to hide so much of the lowest ones that the family
    /// takes more space than it may.
    fn takes_too_much(&self, tables: &[TableSize]) -> bool {
        let floor = floor_of(tables);
        let lowest = u128::from(sum_of(floor.iter().map(|(_, table)| table)));
        // Both sums may be saturated: then they are equal.
        let newer = u128::from(sum_of(tables)).saturating_sub(lowest);
        let new_percent = u128::from(100_u64.saturating_sub(self.replaced_percent));
        // Lowest tables that are shorter than what they are estimated to lose say that the estimate
        // is wrong.
        let live_percent = 100 * lowest + new_percent * newer;
        newer > 0
            && newer <= lowest
            && 100 * 100 * (lowest + newer) > live_percent * u128::from(self.max_space_percent)
    }

    /// How many of the newest layers are to be merged, because there are too many; `None` if there
    /// are not. `newest` has the sums of the newest layers.
    fn count_of_newest(&self, layers: &[SizedLayer], newest: &[SizedLayer]) -> Option<usize> {
        let max_layers = self.max_layers.max(1);
        let count = layers.len();
        if count <= max_layers {
            return None;
        }
        // More than one too many, if merges were not done for a while: all of these go at once.
        let excess = count - max_layers;
        let increment = layers.iter().map(|layer| layer.bytes).min()?.max(MIN_INCREMENT);
        for (i, layer) in layers.iter().enumerate().take(max_layers.saturating_sub(1)) {
            let newer = count - i - 1;
            let on_top = newest.get(newer.checked_sub(1)?)?.bytes;
            let places = max_layers - i;
            if u128::from(on_top) >= room_on(layer.bytes, increment, places) {
                return Some(newer + 1);
            }
        }
        Some(excess + 1)
    }
}

/// How many bytes of increments may lie on a layer before it is merged again, if it is the first of
/// `places` layers.
fn room_on(layer: u64, increment: u64, places: usize) -> u128 {
    let (layer, increment) = (u128::from(layer), u128::from(increment));
    let places = places as u128;
    // C(places + d, places), from d = 0 on, and the one after that.
    let (mut merged, mut held) = (0_u128, 1_u128);
    loop {
        let more = held * (places + merged + 1) / (merged + 1);
        if more * increment > layer {
            // C(places + d, places - 1)
            return held * places / (merged + 1) * increment;
        }
        (merged, held) = (merged + 1, more);
    }
}

/// The merge of the groups of more than one table, cut at `cuts` too; `None` if there are none.
fn plan_of_groups(tables: &[TableSize], groups: &[Group], cuts: &[u64]) -> Option<MergePlan> {
    let merged = || groups.iter().filter(|group| group.places.len() > 1);
    let mut places: Vec<usize> = merged().flat_map(|group| &group.places).copied().collect();
    places.sort_unstable();
    // A table between two groups stays, so no output may lie across it.
    let starts = merged().skip(1).map(|group| group.min_hash);
    let mut cuts: Vec<u64> = starts.chain(cuts.iter().copied()).collect();
    cuts.sort_unstable();
    cuts.dedup();
    (!places.is_empty()).then(|| MergePlan::new(tables, places, cuts))
}

/// Whether a table has hashes on both sides of a cut.
fn is_across(table: &TableSize, cuts: &[u64]) -> bool {
    let cut = cuts.partition_point(|cut| *cut <= table.min_hash);
    cuts.get(cut).is_some_and(|cut| *cut <= table.max_hash)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(bytes: u64) -> TableSize {
        TableSize { bytes, min_hash: 0, max_hash: u64::MAX }
    }

    #[test]
    fn room_is_binomial() {
        // One place: every increment is merged at once. Two: after 2, 3, 4 … increments.
        for (layer, places, room) in
            [(1, 1, 1), (70, 1, 1), (1, 2, 2), (3, 2, 3), (5, 2, 3), (6, 2, 4), (100, 4, 56)]
        {
            let bytes = 10 * u64::try_from(layer).unwrap();
            assert_eq!(room_on(bytes, 10, places), 10 * room, "{layer} with {places} places");
        }
    }

    #[test]
    fn a_merge_keeps_to_its_limit() {
        let tables: Vec<_> = [100, 50, 40, 30].map(|mib| whole(mib << 20)).to_vec();
        let policy = MergePolicy::default().max_layers(1).max_space_percent(1000);
        let merged = |policy: &MergePolicy| policy.choose(&tables).map(|plan| plan.tables);
        assert_eq!(merged(&policy), Some(vec![0, 1, 2, 3]));
        assert_eq!(merged(&policy.clone().max_bytes(219 << 20)), Some(vec![1, 2, 3]));
        assert_eq!(merged(&policy.clone().max_bytes(70 << 20)), Some(vec![2, 3]));
        assert_eq!(merged(&policy.max_bytes((70 << 20) - 1)), None);
    }

    #[test]
    fn a_family_that_takes_too_much_is_merged_whole() {
        let policy = MergePolicy::default();
        // 1.3 × (100 + x / 2) is less than 100 + x from x = 85.7 on.
        assert_eq!(policy.choose(&[whole(100_000_000), whole(85_000_000)]), None);
        let plan = policy.choose(&[whole(100_000_000), whole(86_000_000)]).unwrap();
        assert_eq!(plan.layers, 2);
        let none_replaced = policy.replaced_percent(0);
        assert_eq!(none_replaced.choose(&[whole(100_000_000), whole(99_000_000)]), None);
    }

    #[test]
    fn tables_that_nothing_overlaps_stay() {
        let quarter = |number: u64| TableSize {
            bytes: 1 << 20,
            min_hash: number << 62,
            max_hash: number << 62 | u64::MAX >> 2,
        };
        let policy = MergePolicy::default().max_layers(1).max_space_percent(1000);
        let plan = policy.choose(&[0, 1, 2, 3, 2, 0].map(quarter)).unwrap();
        assert_eq!((plan.tables, plan.bytes), (vec![0, 2, 4, 5], 4 << 20));
        // The table of quarter 1 lies between the two outputs.
        assert_eq!(plan.cuts, [2 << 62]);
    }

    /// A family that takes too much, and more than a run may read: first the newer tables are cut
    /// where tables of the floor start, then range by range is merged.
    #[test]
    fn a_family_that_is_too_large_for_one_run_is_merged_range_by_range() {
        let eighth = |bytes, number: u64| TableSize {
            bytes,
            min_hash: number << 61,
            max_hash: number << 61 | u64::MAX >> 3,
        };
        let mut tables: Vec<_> = (0..8).map(|number| eighth(100 << 20, number)).collect();
        tables.extend([whole(700 << 20), whole(1 << 20)]);
        let policy = MergePolicy::default().max_bytes(760 << 20);
        let plan = policy.choose(&tables).unwrap();
        assert_eq!((plan.tables.as_slice(), plan.layers), ([8, 9].as_slice(), 2));
        assert_eq!(plan.cuts, [2, 4, 6].map(|number| number << 61));
        let mut tables = plan.applied_to(&tables);
        for ranges in [2, 2] {
            let plan = policy.choose(&tables).unwrap();
            // Two tables of the floor and a piece of those on them, in each range.
            assert_eq!((plan.tables.len(), plan.layers), (3 * ranges, 2));
            assert!(plan.bytes <= 760 << 20);
            tables = plan.applied_to(&tables);
        }
        assert_eq!(policy.choose(&tables), None);
        assert_eq!(layers_of(&tables).len(), 1);
        // Tables that are longer than the limit allows are left alone.
        let tables = [whole(800 << 20), whole(700 << 20)];
        assert_eq!(MergePolicy::default().max_bytes(750 << 20).choose(&tables), None);
    }

    /// Cells of hashes: tables start and end where one does.
    const CELL_BITS: u32 = 4;

    /// A table as its loads, the oldest first, by cell, each with its bytes in the cell.
    #[derive(Clone, Default)]
    struct Loads(BTreeMap<u64, Vec<(usize, u64)>>);

    impl Loads {
        fn size(&self) -> TableSize {
            let (first, last) = (self.0.keys().next().unwrap(), self.0.keys().last().unwrap());
            let shift = u64::BITS - CELL_BITS;
            TableSize {
                bytes: self.0.values().flatten().map(|(_, bytes)| bytes).sum(),
                min_hash: first << shift,
                max_hash: last << shift | u64::MAX >> CELL_BITS,
            }
        }
    }

    /// The tables after a merge.
    fn applied(plan: &MergePlan, tables: Vec<Loads>) -> Vec<Loads> {
        let (mut stay, mut merged) = (Vec::new(), Loads::default());
        for (place, table) in tables.into_iter().enumerate() {
            if !plan.tables.contains(&place) {
                stay.push(table);
                continue;
            }
            for (cell, loads) in table.0 {
                merged.0.entry(cell).or_default().extend(loads);
            }
        }
        let mut pieces: BTreeMap<usize, Loads> = BTreeMap::new();
        for (cell, loads) in merged.0 {
            let hash = cell << (u64::BITS - CELL_BITS);
            let piece = plan.cuts.partition_point(|cut| *cut <= hash);
            pieces.entry(piece).or_default().0.insert(cell, loads);
        }
        stay.extend(pieces.into_values());
        stay
    }

    fn sizes(tables: &[Loads]) -> Vec<TableSize> {
        tables.iter().map(Loads::size).collect()
    }

    proptest! {
        /// Whatever comes, merges end, keep newer entries above older ones, and leave as few layers
        /// as asked for, if they may read what they want.
        #[test]
        fn merges_keep_the_order_and_bound_the_layers(
            loads in prop::collection::vec((1_u64..1 << 40, 0_u64..16, 0_u64..16), 1..60),
            max_layers in 1_usize..12,
            space in 101_u64..400,
            max_bytes in prop_oneof![Just(u64::MAX), 1_u64..1 << 46],
        ) {
            let policy = MergePolicy::default().max_layers(max_layers).max_space_percent(space);
            let policy = policy.max_bytes(max_bytes);
            let mut tables: Vec<Loads> = Vec::new();
            for (number, (bytes, one, other)) in loads.into_iter().enumerate() {
                let cells = one.min(other)..=one.max(other);
                tables.push(Loads(cells.map(|cell| (cell, vec![(number, bytes)])).collect()));
                let mut left = max_bytes;
                while let Some(plan) = policy.choose_within(&sizes(&tables), left) {
                    prop_assert!(plan.bytes > 0 && plan.bytes <= left);
                    left -= plan.bytes;
                    tables = applied(&plan, tables);
                }
                let layers = layers_of(&sizes(&tables)).len();
                prop_assert!(layers <= max_layers || max_bytes < u64::MAX);
                for cell in 0..1 << CELL_BITS {
                    let of_cell = tables.iter().filter_map(|table| table.0.get(&cell)).flatten();
                    let order: Vec<_> = of_cell.map(|(number, _)| *number).collect();
                    prop_assert!(order.is_sorted(), "newer below older: {order:?}");
                }
            }
        }

        /// The plans of a dry run are those that follow each other.
        #[test]
        fn all_merges_together_keep_to_the_limit(
            bytes in prop::collection::vec(1_u64..1 << 30, 1..40),
            max_bytes in 1_u64..1 << 34,
        ) {
            let tables: Vec<_> = bytes.into_iter().map(whole).collect();
            let plans = MergePolicy::default().max_layers(3).max_bytes(max_bytes).choose_all(&tables);
            prop_assert!(plans.iter().map(|plan| plan.bytes).sum::<u64>() <= max_bytes);
        }
    }
}
