//! Bounds how many tables of a set are open at once.

use std::sync::{Arc, Mutex, PoisonError};

use super::set_table::OpenedTable;
use crate::block::clock::Clock;

/// The open tables of a set and of those it was refreshed to.
#[derive(Debug)]
pub(super) struct OpenFiles {
    limit: usize,
    clock: Mutex<Clock<OpenedTable>>,
}

impl OpenFiles {
    /// At most `limit` tables, one at least.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), clock: Mutex::new(Clock::new()) }
    }

    /// Notes that a table was opened, and closes others if they are too many. Returns how many.
    ///
    /// A closed table's file stays open, and its map in place, until the last value that refers to
    /// it is dropped.
    pub(super) fn opened(&self, table: &Arc<OpenedTable>) -> u64 {
        // Every state of the clock is a valid one, so that of a thread that panicked is too.
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        clock.push(table);
        clock.shrink_to(self.limit, table)
    }
}
