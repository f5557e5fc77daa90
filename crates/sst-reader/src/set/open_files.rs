//! Bounds how many tables of a set are open at once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::set_table::OpenedTable;

/// The open tables of a set and of those it was refreshed to, in a clock: the hand closes the first
/// table that was not used since it last came by.
#[derive(Debug)]
pub(super) struct OpenFiles {
    limit: usize,
    /// The hand is at the front.
    clock: Mutex<VecDeque<Weak<OpenedTable>>>,
}

impl OpenFiles {
    /// At most `limit` tables, one at least.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), clock: Mutex::default() }
    }

    /// Notes that a table was opened, and closes others if they are too many. Returns how many.
    ///
    /// A closed table's file stays open, and its map in place, until the last value that refers to
    /// it is dropped.
    pub(super) fn opened(&self, table: &Arc<OpenedTable>) -> u64 {
        // Every state of the clock is a valid one, so that of a thread that panicked is too.
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        clock.push_back(Arc::downgrade(table));
        let mut closed = 0;
        // The hand goes round twice at most: the first time it takes away all marks of use.
        let mut steps = clock.len() * 2;
        while clock.len() > self.limit && steps > 0 {
            steps -= 1;
            let Some(front) = clock.pop_front() else { break };
            // A table that no set holds any more is closed already.
            let Some(other) = front.upgrade() else { continue };
            let is_in_use = other.clear_use() || Arc::ptr_eq(&other, table);
            if is_in_use {
                clock.push_back(front);
            } else {
                other.close();
                closed += 1;
            }
        }
        closed
    }
}
