//! How far a merge is, and whether it may go on.

use std::ops::ControlFlow;

use crate::MergeError;

/// Entries between two calls of a monitor.
const ENTRIES_PER_CALL: u64 = 1 << 12;

/// How far a merge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Entries of all inputs that have been read.
    pub entries: u64,
    /// Entries there are to read; `None` if no protection section tells, or only a part of all hashes is read.
    pub total: Option<u64>,
}

/// Is told of the progress every few thousand entries, and says whether to go on. `|_| ControlFlow::Continue(())` is
/// content with everything.
pub type Monitor<'m> = &'m mut dyn FnMut(Progress) -> ControlFlow<()>;

/// Calls a monitor from time to time.
pub(crate) struct Watch<'m> {
    monitor: Monitor<'m>,
    total: Option<u64>,
    next: u64,
}

impl<'m> Watch<'m> {
    pub(crate) const fn new(monitor: Monitor<'m>, total: Option<u64>) -> Self {
        Self { monitor, total, next: 0 }
    }

    /// Says that so many entries have been read.
    #[inline]
    pub(crate) fn at(&mut self, entries: u64) -> Result<(), MergeError> {
        if entries < self.next {
            return Ok(());
        }
        self.next = entries + ENTRIES_PER_CALL;
        match (self.monitor)(Progress { entries, total: self.total }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(MergeError::Cancelled),
        }
    }
}
