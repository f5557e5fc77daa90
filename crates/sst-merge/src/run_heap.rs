//! Which run comes next.

use std::cmp::Ordering;

use crate::MergeError;
use crate::run::RunCursor;

/// The place of a run in the heap: the hash it stands on, and its age.
#[derive(Clone, Copy)]
struct Place {
    hash: u64,
    /// Index of the run; 0 is the newest.
    run: usize,
}

/// Runs in the order of (hash, key, age) of their current entries: a binary heap of which the top moves on and sinks.
///
/// Hashes decide nearly always; keys are compared only where hashes are equal.
pub(crate) struct RunHeap {
    runs: Vec<RunCursor>,
    heap: Vec<Place>,
}

impl RunHeap {
    /// Moves all runs, the newest first, to their first entries.
    pub(crate) fn new(mut runs: Vec<RunCursor>) -> Result<Self, MergeError> {
        let mut heap = Vec::with_capacity(runs.len());
        for (run, cursor) in runs.iter_mut().enumerate() {
            if cursor.advance()? {
                heap.push(Place { hash: cursor.hash(), run });
            }
        }
        let mut this = Self { runs, heap };
        for at in (0..this.heap.len() / 2).rev() {
            this.sink(at);
        }
        Ok(this)
    }

    /// The run whose entry is next, with its age.
    #[inline]
    pub(crate) fn top(&mut self) -> Option<(usize, &mut RunCursor)> {
        let run = self.heap.first()?.run;
        Some((run, self.runs.get_mut(run)?))
    }

    /// Moves the top run to its next entry.
    #[inline]
    pub(crate) fn advance_top(&mut self) -> Result<(), MergeError> {
        let Some(top) = self.heap.first_mut() else { return Ok(()) };
        let Some(cursor) = self.runs.get_mut(top.run) else { return Ok(()) };
        if cursor.advance()? {
            top.hash = cursor.hash();
        } else {
            self.heap.swap_remove(0);
        }
        self.sink(0);
        Ok(())
    }

    /// Ends the walk.
    pub(crate) fn clear(&mut self) {
        self.heap.clear();
        self.runs.clear();
    }

    /// Lets the place at `at` sink below all that come before it. O(log runs).
    #[inline]
    fn sink(&mut self, mut at: usize) {
        while let Some(first) = self.first_child(at) {
            match (self.heap.get(first), self.heap.get(at)) {
                (Some(child), Some(parent)) if self.compare(*child, *parent).is_lt() => {
                    self.heap.swap(first, at);
                    at = first;
                }
                _ => return,
            }
        }
    }

    /// The child of the place at `at` that comes first.
    #[inline]
    fn first_child(&self, at: usize) -> Option<usize> {
        let left = 2 * at + 1;
        match (self.heap.get(left)?, self.heap.get(left + 1)) {
            (first, Some(second)) if self.compare(*second, *first).is_lt() => Some(left + 1),
            _ => Some(left),
        }
    }

    #[inline]
    fn compare(&self, a: Place, b: Place) -> Ordering {
        a.hash
            .cmp(&b.hash)
            .then_with(|| self.key(a).cmp(self.key(b)))
            .then_with(|| a.run.cmp(&b.run))
    }

    fn key(&self, place: Place) -> &[u8] {
        self.runs.get(place.run).map(RunCursor::key).unwrap_or_default()
    }
}
