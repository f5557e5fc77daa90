//! A merge that a policy wants.

use super::table_size::{TableSize, layers_of, sum_of};

/// The merge of some tables of a family.
///
/// Where a table that stays overlaps one that is merged, it is older: so the output, which is newer
/// than all tables, hides nothing that is newer than its own entries.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MergePlan {
    /// The tables that are merged, by their places among all tables of the family, the oldest
    /// first. Tables between them that overlap no other stay as they are.
    pub tables: Vec<usize>,
    /// How many layers these are.
    pub layers: usize,
    /// Length of these tables in bytes: the merge writes as many at most.
    pub bytes: u64,
    /// The output is cut at these hashes, so that it can be merged range by range later: a table
    /// ends before each of them. Ascending.
    pub cuts: Vec<u64>,
}

impl MergePlan {
    /// The merge of the tables at these places, ascending, of all tables of a family.
    #[expect(clippy::indexing_slicing, reason = "the places are those of tables among all")]
    pub(super) fn new(all: &[TableSize], tables: Vec<usize>, cuts: Vec<u64>) -> Self {
        let merged = || tables.iter().map(|place| &all[*place]);
        let (layers, bytes) = (layers_of(merged()).len(), sum_of(merged()));
        Self { tables, layers, bytes, cuts }
    }

    /// The tables of the family after the merge, the oldest first, if it writes as many bytes as it
    /// reads and hashes are spread evenly.
    #[must_use]
    pub fn applied_to(&self, tables: &[TableSize]) -> Vec<TableSize> {
        let (mut stay, mut merged) = (Vec::new(), Vec::new());
        for (place, table) in tables.iter().enumerate() {
            match self.tables.binary_search(&place) {
                Ok(_) => merged.push(*table),
                Err(_) => stay.push(*table),
            }
        }
        let starts = std::iter::once(0).chain(self.cuts.iter().copied());
        let ends = self.cuts.iter().map(|cut| cut.saturating_sub(1)).chain([u64::MAX]);
        let pieces = starts.zip(ends).filter_map(|(start, end)| {
            merged.iter().filter_map(|table| part_of(table, start, end)).reduce(|a, b| TableSize {
                bytes: a.bytes.saturating_add(b.bytes),
                min_hash: a.min_hash.min(b.min_hash),
                max_hash: a.max_hash.max(b.max_hash),
            })
        });
        stay.extend(pieces);
        stay
    }
}

/// The part of a table with hashes from `start` to `end`; `None` if it has none.
fn part_of(table: &TableSize, start: u64, end: u64) -> Option<TableSize> {
    let (min_hash, max_hash) = (table.min_hash.max(start), table.max_hash.min(end));
    let hashes = |min: u64, max: u64| Some(u128::from(max.checked_sub(min)?) + 1);
    let part = hashes(min_hash, max_hash)?;
    let bytes = u128::from(table.bytes) * part / hashes(table.min_hash, table.max_hash)?;
    // A part of a number of 64 bits has as many.
    let bytes = u64::try_from(bytes).unwrap_or(table.bytes);
    Some(TableSize { bytes, min_hash, max_hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_leaves_what_it_does_not_name_and_cuts_its_output() {
        let table = |bytes, min_hash, max_hash| TableSize { bytes, min_hash, max_hash };
        let tables = [table(70, 0, 69), table(5, 80, 89), table(40, 10, 49)];
        let plan = MergePlan::new(&tables, vec![0, 2], Vec::new());
        assert_eq!((plan.layers, plan.bytes), (2, 110));
        assert_eq!(plan.applied_to(&tables), [table(5, 80, 89), table(110, 0, 69)]);
        let plan = MergePlan::new(&tables, vec![0, 2], vec![20, 75]);
        let cut = [table(5, 80, 89), table(30, 0, 19), table(80, 20, 69)];
        assert_eq!(plan.applied_to(&tables), cut);
    }
}
