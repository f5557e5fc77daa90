//! Tables of which at most one can hold a given hash.

use super::TableInput;

/// Tables with disjoint ranges of hashes.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// Ascending.
    pub(super) tables: Vec<TableInput>,
}

impl Run {
    /// A run of one table.
    pub(crate) fn of(table: TableInput) -> Self {
        Self { tables: vec![table] }
    }

    /// Adds a table if its range of hashes overlaps none of the others. Returns whether it did.
    pub(crate) fn insert(&mut self, table: &TableInput) -> bool {
        let at = self.tables.partition_point(|other| other.min_hash < table.min_hash);
        let next = self.tables.get(at);
        let previous = at.checked_sub(1).and_then(|previous| self.tables.get(previous));
        let is_disjoint = next.is_none_or(|next| next.min_hash > table.max_hash)
            && previous.is_none_or(|previous| previous.max_hash < table.min_hash);
        if is_disjoint {
            self.tables.insert(at, table.clone());
        }
        is_disjoint
    }
}
