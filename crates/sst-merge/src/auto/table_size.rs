//! Sizes and ranges of tables, and how tables lie on each other.

use sst_format::hash_ranges::HashRanges;

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

/// A layer: how many tables it has, and how many bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SizedLayer {
    pub(super) tables: usize,
    pub(super) bytes: u64,
}

/// Tables that overlap each other, directly or through others of them: `a` and `c` in
///
/// ```text
/// newest          |--c--|
///            |--b--|          |--d--|
/// oldest |--a--|
/// ```
///
/// These three are one group, `d` is another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// The places of the tables among all, ascending: the oldest first.
    pub(super) places: Vec<usize>,
    pub(super) bytes: u64,
    /// The lowest hash of all.
    pub(super) min_hash: u64,
}

impl TableSize {
    /// Adds its range, if it is disjoint with the others. Returns whether it is.
    fn joins(&self, ranges: &mut HashRanges) -> bool {
        ranges.insert_disjoint(self.min_hash, self.max_hash)
    }
}

/// Length of tables in bytes.
pub(super) fn sum_of<'t>(tables: impl IntoIterator<Item = &'t TableSize>) -> u64 {
    // More than a file system holds is as much as it holds.
    tables.into_iter().fold(0, |sum, table| sum.saturating_add(table.bytes))
}

/// The layers of tables, the oldest first: each takes tables in the order of their age as long as
/// their ranges are disjoint.
pub(super) fn layers_of<'t>(tables: impl IntoIterator<Item = &'t TableSize>) -> Vec<SizedLayer> {
    let mut layers: Vec<SizedLayer> = Vec::new();
    let mut ranges = HashRanges::default();
    for table in tables {
        let joins = table.joins(&mut ranges);
        if !joins {
            ranges = HashRanges::default();
            table.joins(&mut ranges);
        }
        if !joins || layers.is_empty() {
            layers.push(SizedLayer::default());
        }
        if let Some(layer) = layers.last_mut() {
            layer.tables += 1;
            layer.bytes = layer.bytes.saturating_add(table.bytes);
        }
    }
    layers
}

/// The floor of tables: every table that overlaps no older table of the floor, with its place.
/// Ascending by hash. O(n log n).
pub(super) fn floor_of(tables: &[TableSize]) -> Vec<(usize, TableSize)> {
    let mut ranges = HashRanges::default();
    let lowest = tables.iter().copied().enumerate().filter(|(_, table)| table.joins(&mut ranges));
    let mut floor: Vec<_> = lowest.collect();
    floor.sort_unstable_by_key(|(_, table)| table.min_hash);
    floor
}

/// The groups of tables, ascending by hash, of those from place `first` on. A table that overlaps
/// no other is a group of its own. O(n log n).
pub(super) fn groups_of(tables: &[TableSize], first: usize) -> Vec<Group> {
    let mut by_hash: Vec<_> = tables.iter().enumerate().skip(first).collect();
    by_hash.sort_by_key(|(_, table)| table.min_hash);
    let mut groups: Vec<Group> = Vec::new();
    let mut highest = 0;
    for (place, table) in by_hash {
        match groups.last_mut() {
            Some(group) if table.min_hash <= highest => {
                group.places.push(place);
                group.bytes = group.bytes.saturating_add(table.bytes);
                highest = table.max_hash.max(highest);
            }
            _ => {
                let (bytes, min_hash) = (table.bytes, table.min_hash);
                groups.push(Group { places: vec![place], bytes, min_hash });
                highest = table.max_hash;
            }
        }
    }
    groups.iter_mut().for_each(|group| group.places.sort_unstable());
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(bytes: u64, min_hash: u64, max_hash: u64) -> TableSize {
        TableSize { bytes, min_hash, max_hash }
    }

    #[test]
    fn layers_are_tables_side_by_side() {
        let halves = |bytes| [table(bytes, 50, 99), table(bytes, 0, 49)];
        let tables = [&[table(10, 0, 99)][..], &halves(5), &halves(6)].concat();
        let layers: Vec<_> = layers_of(&tables).iter().map(|l| (l.tables, l.bytes)).collect();
        assert_eq!(layers, [(1, 10), (2, 10), (2, 12)]);
        assert_eq!(layers_of(&[]), []);
    }

    /// The picture in the documentation of [`Group`], and a table that ends where another starts.
    #[test]
    fn groups_are_tables_that_touch_through_others() {
        let (a, b, c, d) = (table(1, 0, 6), table(2, 4, 10), table(4, 9, 15), table(8, 20, 26));
        let groups = |tables: &[TableSize], first| -> Vec<_> {
            let groups = groups_of(tables, first).into_iter();
            groups.map(|group| (group.places, group.bytes, group.min_hash)).collect()
        };
        let tables = [a, d, b, c];
        assert_eq!(groups(&tables, 0), [(vec![0, 2, 3], 7, 0), (vec![1], 8, 20)]);
        assert_eq!(groups(&tables, 3), [(vec![3], 4, 9)]);
        assert_eq!(groups(&[b, table(1, 10, 10)], 0), [(vec![0, 1], 3, 4)]);
        assert_eq!(groups(&[b, table(1, 11, 11)], 0).len(), 2);
        // A wide one first, then narrow ones in it.
        assert_eq!(groups(&[table(1, 0, 99), a, d], 0).len(), 1);
        // Nothing of the floor lies below `c`.
        assert_eq!(floor_of(&tables), [(0, a), (3, c), (1, d)]);
        assert_eq!(floor_of(&[d, c, b, a]), [(3, a), (1, c), (0, d)]);
    }
}
