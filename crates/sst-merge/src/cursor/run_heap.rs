//! The runs of a merge, in the order of their current entries.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::MergeError;
use crate::runs::RunCursor;

/// A run that takes part in a merge.
pub(super) struct Head {
    /// Hash of the current entry: it decides nearly always, so it lies here and not behind the
    /// pointer.
    hash: u64,
    /// How many runs are newer: 0 is the newest.
    pub(super) age: usize,
    pub(super) run: Box<RunCursor>,
}

/// The head whose entry comes first is the greatest, since it is to be on top of a heap.
impl Ord for Head {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        other
            .hash
            .cmp(&self.hash)
            .then_with(|| other.run.key().cmp(self.run.key()))
            .then_with(|| other.age.cmp(&self.age))
    }
}

impl PartialOrd for Head {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

/// Runs in the order of (hash, key, age) of their current entries.
///
/// The first run lies beside the heap of the others: while its entries come first, the heap is not
/// touched.
#[derive(Default)]
pub(super) struct RunHeap {
    top: Option<Head>,
    others: BinaryHeap<Head>,
}

impl RunHeap {
    /// A heap of these runs, the newest first; `None` stands for a run without entries.
    pub(super) fn new(runs: Vec<Option<RunCursor>>) -> Self {
        let head = |(age, run): (usize, Option<RunCursor>)| {
            run.map(|run| Head { hash: run.hash(), age, run: Box::new(run) })
        };
        let mut others: BinaryHeap<Head> = runs.into_iter().enumerate().filter_map(head).collect();
        Self { top: others.pop(), others }
    }

    /// The run whose entry comes next; `None` when all entries have come.
    #[inline]
    pub(super) fn top(&mut self) -> Option<&mut Head> {
        self.top.as_mut()
    }

    /// Hash and key of the entry that comes next.
    #[inline]
    pub(super) fn top_key(&self) -> Option<(u64, &[u8])> {
        self.top.as_ref().map(|top| (top.hash, top.run.key()))
    }

    /// Moves the top run to its next entry, and puts its key so far into `last_key`. O(log runs).
    #[inline]
    pub(super) fn advance_top(&mut self, last_key: &mut Vec<u8>) -> Result<(), MergeError> {
        let Some(mut top) = self.top.take() else { return Ok(()) };
        top.run.swap_key(last_key);
        if !top.run.advance()? {
            self.top = self.others.pop();
            return Ok(());
        }
        top.hash = top.run.hash();
        if let Some(mut first) = self.others.peek_mut()
            && *first > top
        {
            std::mem::swap(&mut *first, &mut top);
        }
        self.top = Some(top);
        Ok(())
    }
}
