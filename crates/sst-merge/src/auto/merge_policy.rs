//! Which of the newest layers of a family are worth merging.

use std::collections::BTreeMap;

/// Decides when a family is merged, and how many of its newest layers.
///
/// A *layer* consists of tables that follow each other in age and have disjoint ranges of hashes:
/// what one commit adds, as a rule. A lookup asks one table of each layer, so layers must stay few;
/// a merge writes every byte of the layers that it merges, so it must not come often.
///
/// Only the newest layers are merged, into one: the order of the layers stays, and no entry gets
/// below an older one. RocksDB's universal compaction does the same, by the ratio of sizes of
/// neighbours. This policy waits until there are too many layers. Then it takes the oldest layer
/// that has not been merged as often as layers of its size have been, and everything that is newer.
/// Such a layer of `s` bytes, with `k` places from it on and increments of `u` bytes each, has been
/// merged `d` times, where C(k + d, k) is the highest such number up to `s / u`, and it is merged
/// again when C(k + d, k − 1) increments lie on it. A binomial coefficient, since that is how many
/// increments a stack of `k` layers holds of which none has been merged more than `d` times.
///
/// Example: with 4 layers at most, a base of 100 increments, and layers of one increment each, the
/// fifth layer starts a merge of the four newest. The base takes part once 56 increments lie on it.
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
/// assert_eq!((plan.tables, plan.layers, plan.bytes), (2, 2, 2 << 20));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MergePolicy {
    /// A family has at most this many layers after a merge, at least 1. Default: 8.
    pub max_layers: usize,
    /// All layers are merged if the family is estimated to take more than this percentage of what
    /// its live entries take. Default: 130.
    pub max_space_percent: u64,
    /// How many entries of 100 in newer layers are estimated to replace one of the oldest layer:
    /// this cannot be known without reading. Default: 50.
    pub replaced_percent: u64,
    /// A merge reads at most this many bytes of tables. A family may then have more layers.
    /// Default: no limit.
    pub max_bytes: u64,
}

/// Size and range of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSize {
    /// Length of the table in bytes.
    pub bytes: u64,
    /// Its lowest hash.
    pub min_hash: u64,
    /// Its highest hash.
    pub max_hash: u64,
}

/// The merge of the newest layers of a family into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MergePlan {
    /// How many of the newest tables are merged: all of the newest layers.
    pub tables: usize,
    /// How many layers these are, at least 2.
    pub layers: usize,
    /// Length of these tables in bytes: the merge writes as many at most.
    pub bytes: u64,
}

/// Increments are taken to be at least this long, in bytes: tiny ones cost what their files cost.
const MIN_INCREMENT: u64 = 64 << 10;

impl Default for MergePolicy {
    fn default() -> Self {
        Self { max_layers: 8, max_space_percent: 130, replaced_percent: 50, max_bytes: u64::MAX }
    }
}

/// A layer: how many tables it has, and how many bytes.
#[derive(Clone, Copy, Debug)]
struct Layer {
    tables: usize,
    bytes: u64,
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
        let layers = layers_of(tables);
        // Of the newest 0, 1, 2 … layers.
        let newest: Vec<Layer> = layers
            .iter()
            .rev()
            .scan(Layer { tables: 0, bytes: 0 }, |sum, layer| {
                sum.tables += layer.tables;
                // More than a file system holds is as much as it holds.
                sum.bytes = sum.bytes.saturating_add(layer.bytes);
                Some(*sum)
            })
            .collect();
        let may_merge_all = newest.last()?.bytes <= self.max_bytes;
        let wanted = match may_merge_all && self.takes_too_much(&layers) {
            true => layers.len(),
            false => self.count_of_newest(&layers, &newest)?,
        };
        // Within the limit: as many as it allows.
        let allowed = newest.iter().take(wanted).take_while(|sum| sum.bytes <= self.max_bytes);
        let layers = allowed.count();
        let sum = newest.get(layers.checked_sub(1)?)?;
        (layers >= 2).then_some(MergePlan { tables: sum.tables, layers, bytes: sum.bytes })
    }

    /// The merges that are to be done one after the other, if each writes as many bytes as it
    /// reads. All of them together read at most [`MergePolicy::max_bytes`].
    #[must_use]
    pub fn choose_all(&self, tables: &[TableSize]) -> Vec<MergePlan> {
        let (mut tables, mut plans, mut policy) = (tables.to_vec(), Vec::new(), self.clone());
        while let Some(plan) = policy.choose(&tables) {
            let merged = tables.split_off(tables.len() - plan.tables);
            tables.extend(merged.into_iter().reduce(|a, b| TableSize {
                bytes: a.bytes.saturating_add(b.bytes),
                min_hash: a.min_hash.min(b.min_hash),
                max_hash: a.max_hash.max(b.max_hash),
            }));
            policy.max_bytes -= plan.bytes;
            plans.push(plan);
        }
        plans
    }

    /// Whether the newer layers are estimated to hide so much of the oldest one that the family
    /// takes more space than it may.
    fn takes_too_much(&self, layers: &[Layer]) -> bool {
        let Some((oldest, newer)) = layers.split_first() else { return false };
        let newer: u128 = newer.iter().map(|layer| u128::from(layer.bytes)).sum();
        let oldest = u128::from(oldest.bytes);
        let new_percent = u128::from(100_u64.saturating_sub(self.replaced_percent));
        // An oldest layer that is shorter than what it is estimated to lose says that the estimate
        // is wrong.
        let live_percent = 100 * oldest + new_percent * newer;
        newer > 0
            && newer <= oldest
            && 100 * 100 * (oldest + newer) > live_percent * u128::from(self.max_space_percent)
    }

    /// How many of the newest layers are to be merged, because there are too many; `None` if there
    /// are not. `newest` has the sums of the newest layers.
    fn count_of_newest(&self, layers: &[Layer], newest: &[Layer]) -> Option<usize> {
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

/// The layers of tables, the oldest first: each takes tables in the order of their age as long as
/// their ranges are disjoint.
fn layers_of(tables: &[TableSize]) -> Vec<Layer> {
    let mut layers: Vec<Layer> = Vec::new();
    // The ranges of the last layer: the highest hash, by the lowest.
    let mut ranges = BTreeMap::new();
    for table in tables {
        let before = ranges.range(..=table.max_hash).next_back();
        let overlaps = before.is_some_and(|(_, max)| *max >= table.min_hash);
        match layers.last_mut() {
            Some(layer) if !overlaps => {
                layer.tables += 1;
                layer.bytes = layer.bytes.saturating_add(table.bytes);
            }
            _ => {
                ranges.clear();
                layers.push(Layer { tables: 1, bytes: table.bytes });
            }
        }
        ranges.insert(table.min_hash, table.max_hash);
    }
    layers
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(bytes: u64) -> TableSize {
        TableSize { bytes, min_hash: 0, max_hash: u64::MAX }
    }

    /// A layer of two tables side by side.
    fn halves(bytes: u64) -> [TableSize; 2] {
        let half = |min_hash| TableSize { bytes, min_hash, max_hash: min_hash + (u64::MAX >> 1) };
        [half(1 << 63), half(0)]
    }

    #[test]
    fn layers_are_tables_side_by_side() {
        let mut tables = vec![whole(10)];
        tables.extend(halves(5));
        tables.extend(halves(6));
        let layers: Vec<_> = layers_of(&tables).iter().map(|l| (l.tables, l.bytes)).collect();
        assert_eq!(layers, [(1, 10), (2, 10), (2, 12)]);
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
        assert_eq!(merged(&policy), Some(4));
        assert_eq!(merged(&policy.clone().max_bytes(219 << 20)), Some(3));
        assert_eq!(merged(&policy.clone().max_bytes(70 << 20)), Some(2));
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

    proptest! {
        /// Whatever comes, merges take the newest layers whole, end, and leave as few layers as
        /// asked for.
        #[test]
        fn merges_keep_the_order_and_bound_the_layers(
            loads in prop::collection::vec((1_u64..1 << 40, 0_u64..4), 1..60),
            max_layers in 1_usize..12,
            space in 101_u64..400,
        ) {
            let policy = MergePolicy::default().max_layers(max_layers).max_space_percent(space);
            // Each table with the loads that it holds, the oldest first.
            let mut tables: Vec<(TableSize, Vec<usize>)> = Vec::new();
            for (number, (bytes, quarter)) in loads.into_iter().enumerate() {
                let min_hash = quarter << 62;
                let max_hash = min_hash | u64::MAX >> 2;
                tables.push((TableSize { bytes, min_hash, max_hash }, vec![number]));
                loop {
                    let sizes: Vec<_> = tables.iter().map(|(size, _)| *size).collect();
                    let before = layers_of(&sizes).len();
                    let Some(plan) = policy.choose(&sizes) else { break };
                    prop_assert!(plan.layers >= 2 && plan.layers <= before);
                    let merged = tables.split_off(tables.len() - plan.tables);
                    // What stays is whole layers.
                    let stay: Vec<_> = tables.iter().map(|(size, _)| *size).collect();
                    prop_assert_eq!(layers_of(&stay).len(), before - plan.layers);
                    prop_assert_eq!(plan.bytes, merged.iter().map(|(size, _)| size.bytes).sum());
                    let size = TableSize {
                        bytes: plan.bytes,
                        min_hash: merged.iter().map(|(size, _)| size.min_hash).min().unwrap(),
                        max_hash: merged.iter().map(|(size, _)| size.max_hash).max().unwrap(),
                    };
                    tables.push((size, merged.into_iter().flat_map(|(_, loads)| loads).collect()));
                }
                let sizes: Vec<_> = tables.iter().map(|(size, _)| *size).collect();
                prop_assert!(layers_of(&sizes).len() <= max_layers);
                let order: Vec<_> = tables.iter().flat_map(|(_, loads)| loads).copied().collect();
                prop_assert!(order.iter().copied().eq(0..=number), "newer below older: {order:?}");
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
