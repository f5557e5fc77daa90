//! The rules for fragments that become part of one commit: those of `sst_merge::Gatherer`.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use sst_format::SequenceNumber;
use sst_format::filter::FilterPolicy;
use sst_format::identity::TableIdentity;
use sst_writer::publish::FragmentOverlap;

use crate::StoreError;

/// Options of [`ObjectCommit::adopt`](crate::ObjectCommit::adopt). Start from the default and
/// change single fields.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct AdoptOptions {
    /// How a fragment is treated whose hashes overlap those of a fragment that the commit has
    /// adopted before. Default: it is refused.
    pub overlap: FragmentOverlap,
    /// The filter for tables that come without one, for which their keys are read once more.
    /// Default: they get none.
    pub filter: Option<Arc<dyn FilterPolicy>>,
}

impl AdoptOptions {
    /// Sets how overlapping fragments are treated.
    #[must_use]
    pub const fn overlap(mut self, overlap: FragmentOverlap) -> Self {
        self.overlap = overlap;
        self
    }

    /// Sets the filter for tables that come without one.
    #[must_use]
    pub fn filter(mut self, policy: impl FilterPolicy + 'static) -> Self {
        self.filter = Some(Arc::new(policy));
        self
    }
}

/// The tables of all fragments that a commit has adopted.
#[derive(Debug, Default)]
pub(super) struct AdoptedTables {
    /// The ranges of hashes that they cover, none of which overlap: by the first hash the last one,
    /// and the fragment that was adopted last there.
    ranges: BTreeMap<u64, (u64, String)>,
    /// The tables, without their numbers.
    tables: HashSet<TableIdentity>,
}

impl AdoptedTables {
    /// Adds the tables of a fragment. O(n log n) in the number of all tables.
    ///
    /// Fails if one of them was adopted before, or if they overlap other fragments and must not.
    pub(super) fn add(
        &mut self,
        place: &str,
        tables: impl Iterator<Item = TableIdentity>,
        overlap: FragmentOverlap,
    ) -> Result<(), StoreError> {
        let mut new: Vec<_> = tables
            .map(|table| TableIdentity { sequence: SequenceNumber::default(), ..table })
            .collect();
        if new.iter().any(|table| self.tables.contains(table)) {
            return Err(StoreError::FragmentTwice { place: place.to_owned() });
        }
        new.sort_unstable_by_key(|table| table.min_hash);
        let mut own: Vec<(u64, u64)> = Vec::new();
        for table in &new {
            match own.last_mut() {
                // Tables of one fragment may lie on top of each other.
                Some((_, max)) if table.min_hash <= *max => *max = table.max_hash.max(*max),
                _ => own.push((table.min_hash, table.max_hash)),
            }
        }
        for (mut min, mut max) in own {
            while let Some((start, end, other)) = self.overlapping(min, max) {
                if overlap == FragmentOverlap::Refuse {
                    let place = place.to_owned();
                    return Err(StoreError::FragmentsOverlap { place, other });
                }
                self.ranges.remove(&start);
                (min, max) = (min.min(start), max.max(end));
            }
            self.ranges.insert(min, (max, place.to_owned()));
        }
        self.tables.extend(new);
        Ok(())
    }

    /// A range that shares a hash with this one, and its fragment.
    fn overlapping(&self, min: u64, max: u64) -> Option<(u64, u64, String)> {
        // None overlap each other, so of those that start up to `max` the last one ends last.
        let (start, (end, place)) = self.ranges.range(..=max).next_back()?;
        (*end >= min).then(|| (*start, *end, place.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(sequence: u32, min_hash: u64, max_hash: u64) -> TableIdentity {
        let sequence = SequenceNumber(sequence);
        let (block_count, file_size) = (1, 100);
        TableIdentity { sequence, block_count, min_hash, max_hash, file_size, content: None }
    }

    fn add(
        all: &mut AdoptedTables,
        place: &str,
        ranges: &[(u64, u64)],
        overlap: FragmentOverlap,
    ) -> Result<(), StoreError> {
        let tables = ranges.iter().zip(1..).map(|((min, max), number)| table(number, *min, *max));
        all.add(place, tables, overlap)
    }

    #[test]
    fn fragments_that_share_hashes_are_refused_unless_the_later_wins() {
        let mut all = AdoptedTables::default();
        let refuse = FragmentOverlap::Refuse;
        // Tables of one fragment may overlap.
        add(&mut all, "a", &[(10, 20), (15, 30), (18, 19), (40, 50)], refuse).unwrap();
        add(&mut all, "b", &[(31, 39), (51, u64::MAX)], refuse).unwrap();
        for (overlapping, with) in
            [((0, 10), "a"), ((30, 30), "a"), ((25, 45), "a"), ((39, 39), "b"), ((60, 70), "b")]
        {
            match add(&mut all, "c", &[(0, 5), overlapping], refuse) {
                Err(StoreError::FragmentsOverlap { place, other }) => {
                    assert_eq!((&*place, &*other), ("c", with), "{overlapping:?}");
                }
                other => panic!("{overlapping:?}: {other:?}"),
            }
            all.ranges.remove(&0);
        }
        add(&mut all, "d", &[(5, 45)], FragmentOverlap::LaterWins).unwrap();
        assert!(matches!(
            add(&mut all, "e", &[(35, 36)], refuse),
            Err(StoreError::FragmentsOverlap { other, .. }) if other == "d"
        ));
        add(&mut all, "e", &[(0, 4)], refuse).unwrap();
    }

    #[test]
    fn a_table_is_adopted_once() {
        let mut all = AdoptedTables::default();
        add(&mut all, "a", &[(1, 2), (3, 4)], FragmentOverlap::LaterWins).unwrap();
        // Its number does not matter.
        for overlap in [FragmentOverlap::LaterWins, FragmentOverlap::Refuse] {
            let twice = add(&mut all, "b", &[(9, 9), (8, 8), (3, 4)], overlap);
            assert!(matches!(twice, Err(StoreError::FragmentTwice { place }) if place == "b"));
        }
        add(&mut all, "c", &[(3, 5)], FragmentOverlap::LaterWins).unwrap();
    }
}
