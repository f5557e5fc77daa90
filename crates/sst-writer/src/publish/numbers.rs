//! The sequence numbers of a directory.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use sst_format::SequenceNumber;

/// Allocates sequence numbers. Files of all kinds share one sequence.
#[derive(Debug)]
pub(crate) struct Numbers {
    last: AtomicU32,
    /// Numbers that are left out, because the name of a directory, a link or a pipe has them. The
    /// publisher must not remove those.
    taken: BTreeSet<SequenceNumber>,
}

impl Numbers {
    pub(crate) const fn after(last: SequenceNumber, taken: BTreeSet<SequenceNumber>) -> Self {
        Self { last: AtomicU32::new(last.0), taken }
    }

    /// The next number; `None` if all are used up.
    pub(crate) fn next(&self) -> Option<SequenceNumber> {
        let next = |last: u32| {
            let mut rest = (last.checked_add(1)?..=u32::MAX).map(SequenceNumber);
            rest.find(|number| !self.taken.contains(number))
        };
        let update = |last| next(last).map(|number| number.0);
        next(self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update).ok()?)
    }
}
