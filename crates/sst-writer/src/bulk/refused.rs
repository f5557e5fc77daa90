//! Records that no table can hold.

use super::input_position::InputPosition;
use crate::WriteError;

/// Number of refused records that are kept with their input positions.
const MAX_KEPT: usize = 10;

/// A record that was refused when its table was written.
#[derive(Debug)]
#[non_exhaustive]
pub struct RefusedRecord {
    /// The input position of the record.
    pub input_position: InputPosition,
    /// The reason.
    pub source: WriteError,
}

/// Records that were refused because their hash has more entries than a key block can hold.
///
/// Records are written in the order of hash, key and input position. So the same records are
/// refused for any budget and any number of threads.
#[derive(Debug, Default)]
pub(super) struct RefusedRecords {
    pub(super) count: u64,
    /// Those with the lowest input positions, ascending.
    pub(super) first: Vec<RefusedRecord>,
}

impl RefusedRecords {
    pub(super) fn add(&mut self, record: RefusedRecord) {
        self.count += 1;
        self.keep(record);
    }

    pub(super) fn join(&mut self, other: Self) {
        self.count += other.count;
        other.first.into_iter().for_each(|record| self.keep(record));
    }

    fn keep(&mut self, record: RefusedRecord) {
        let at = self.first.partition_point(|known| known.input_position < record.input_position);
        if at < MAX_KEPT {
            self.first.truncate(MAX_KEPT - 1);
            self.first.insert(at.min(self.first.len()), record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_positions_are_kept_in_any_order_of_arrival() {
        let record = |position| RefusedRecord {
            input_position: InputPosition { stream: 0, position },
            source: WriteError::NoEntries,
        };
        let mut parts = [RefusedRecords::default(), RefusedRecords::default()];
        for position in (0..100).rev().chain(200..300) {
            parts[usize::from(position % 3 == 0)].add(record(position));
        }
        let [mut all, other] = parts;
        all.join(other);
        let kept: Vec<_> = all.first.iter().map(|record| record.input_position.position).collect();
        assert_eq!((all.count, kept), (200, (0..10).collect()));
    }
}
