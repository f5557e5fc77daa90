//! Resolves the records of one key.

use super::duplicates::Duplicates;
use super::input_position::InputPosition;

/// Decides for each record of one key whether it is kept. The records come tombstones first, then
/// in the order of their input positions.
#[derive(Debug)]
pub(super) struct KeyGroup {
    policy: Duplicates,
    /// Input position of the last tombstone.
    deletion: Option<InputPosition>,
    /// Input position of the value that is kept if no later one follows.
    held: Option<InputPosition>,
    records: u64,
    entries: u64,
    /// The two lowest input positions.
    lowest: (Option<InputPosition>, Option<InputPosition>),
}

/// The decision about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Write it.
    Emit,
    /// Hold it instead of the record held before: it is kept if no later one follows.
    Hold,
    /// Leave it out.
    Skip,
}

/// The entry that is written at the end of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// No further entry.
    Nothing,
    /// The held record.
    Held,
    /// A tombstone with this input position.
    Deletion(InputPosition),
}

impl KeyGroup {
    pub(super) const fn new(policy: Duplicates) -> Self {
        Self { policy, deletion: None, held: None, records: 0, entries: 0, lowest: (None, None) }
    }

    /// Decides about the next record.
    pub(super) fn accept(&mut self, position: InputPosition, is_deletion: bool) -> Verdict {
        self.records += 1;
        self.note_position(position);
        if is_deletion {
            self.deletion = self.deletion.max(Some(position));
            return Verdict::Skip;
        }
        if self.deletion > Some(position) {
            return Verdict::Skip;
        }
        match self.policy {
            Duplicates::Keep => {
                self.entries += 1;
                Verdict::Emit
            }
            Duplicates::Newest | Duplicates::Error => {
                self.held = Some(position);
                Verdict::Hold
            }
        }
    }

    /// Ends the group.
    pub(super) fn end(&mut self) -> Tail {
        let tail = match (self.held, self.deletion) {
            (Some(_), _) => Tail::Held,
            (None, Some(position)) => Tail::Deletion(position),
            (None, None) => Tail::Nothing,
        };
        self.entries += u64::from(tail != Tail::Nothing);
        tail
    }

    /// Number of records that were left out in favour of others, once the group has ended.
    pub(super) const fn left_out(&self) -> u64 {
        self.records - self.entries
    }

    /// The two lowest input positions, if the policy forbids two records of a key.
    pub(super) const fn duplicate(&self) -> Option<(InputPosition, InputPosition)> {
        match (self.policy, self.lowest) {
            (Duplicates::Error, (Some(first), Some(second))) => Some((first, second)),
            (Duplicates::Error, (_, None) | (None, _))
            | (Duplicates::Newest | Duplicates::Keep, _) => None,
        }
    }

    fn note_position(&mut self, position: InputPosition) {
        let (first, second) = self.lowest;
        self.lowest = match first {
            None => (Some(position), None),
            Some(lowest) if position < lowest => (Some(position), first),
            Some(_) => (first, Some(second.map_or(position, |second| second.min(position)))),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the positions of the values written, whether a tombstone comes last, and the number
    /// of records left out.
    fn resolve(policy: Duplicates, records: &[(u64, bool)]) -> (Vec<u64>, bool, u64) {
        let mut sorted = records.to_vec();
        sorted.sort_by_key(|&(position, is_deletion)| (!is_deletion, position));
        let mut group = KeyGroup::new(policy);
        let (mut written, mut held) = (Vec::new(), None);
        for (position, is_deletion) in sorted {
            match group.accept(InputPosition { stream: 0, position }, is_deletion) {
                Verdict::Emit => written.push(position),
                Verdict::Hold => held = Some(position),
                Verdict::Skip => {}
            }
        }
        let tail = group.end();
        if tail == Tail::Held {
            written.extend(held);
        }
        (written, matches!(tail, Tail::Deletion(_)), group.left_out())
    }

    const VALUE: bool = false;
    const DELETION: bool = true;

    #[test]
    fn the_last_record_counts() {
        let last = |records: &[_]| resolve(Duplicates::Newest, records);
        assert_eq!(last(&[(1, VALUE)]), (vec![1], false, 0));
        assert_eq!(last(&[(1, DELETION)]), (vec![], true, 0));
        assert_eq!(last(&[(2, VALUE), (1, VALUE), (3, VALUE)]), (vec![3], false, 2));
        assert_eq!(last(&[(2, DELETION), (1, VALUE)]), (vec![], true, 1));
        assert_eq!(last(&[(2, DELETION), (1, DELETION), (3, VALUE)]), (vec![3], false, 2));
        assert_eq!(last(&[(4, DELETION), (1, DELETION), (3, VALUE)]), (vec![], true, 2));
    }

    #[test]
    fn all_are_kept_and_a_deletion_takes_those_before_it() {
        let keep = |records: &[_]| resolve(Duplicates::Keep, records);
        assert_eq!(keep(&[(2, VALUE), (1, VALUE), (3, VALUE)]), (vec![1, 2, 3], false, 0));
        assert_eq!(keep(&[(2, DELETION), (1, VALUE), (3, VALUE)]), (vec![3], true, 1));
        assert_eq!(keep(&[(9, DELETION), (1, VALUE), (3, VALUE)]), (vec![], true, 2));
        assert_eq!(keep(&[(1, DELETION), (2, DELETION), (3, VALUE)]), (vec![3], true, 1));
    }

    #[test]
    fn the_first_two_positions_are_reported() {
        let mut group = KeyGroup::new(Duplicates::Error);
        let at = |position| InputPosition { stream: 0, position };
        for (position, expected) in
            [(5, None), (7, Some((5, 7))), (9, Some((5, 7))), (1, Some((1, 5))), (3, Some((1, 3)))]
        {
            group.accept(at(position), VALUE);
            assert_eq!(group.duplicate(), expected.map(|(a, b)| (at(a), at(b))));
        }
    }
}
