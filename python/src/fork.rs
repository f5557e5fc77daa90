//! Processes that Python forks.
//!
//! Locks, threads and files of the parent are of no use to its child. Objects remember how many
//! forks lay behind them when they were made: a set opens its directory anew in the child, and all
//! else is refused there.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;

/// Number of forks between the first process and this one.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// The process in which an object was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch(u64);

impl Epoch {
    /// This process.
    #[inline]
    pub(crate) fn now() -> Self {
        Self(FORKS.load(Ordering::Relaxed))
    }

    /// Whether this is the process.
    #[inline]
    pub(crate) fn is_now(self) -> bool {
        self == Self::now()
    }
}

/// Tells that this process is a child: Python calls it after each fork.
#[pyfunction]
pub(crate) fn _after_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}
