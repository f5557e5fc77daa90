//! The cases of a suite.

use std::time::Duration;

use crate::Verdict;

/// A numbered list of cases, each of which can be run on any thread, in any order, with the same
/// outcome.
pub trait Cases: Sync {
    /// State that a thread keeps from case to case: a buffer to mutate, a directory of its own.
    type Worker;

    /// Number of cases.
    fn count(&self) -> usize;

    /// A new worker, for the thread that asks. One that saw a panic is replaced.
    fn worker(&self) -> Self::Worker;

    /// The index of the row in which a case counts. Default: the first.
    fn row(&self, case: usize) -> usize {
        _ = case;
        0
    }

    /// Which case it is, for messages.
    fn name(&self, case: usize) -> String;

    /// Runs a case. Its reads go through [`allocations::within`](crate::allocations::within).
    fn run(&self, worker: &mut Self::Worker, case: usize) -> Verdict;

    /// A case that runs longer counts as an endless loop, and the run is given up. Default: two
    /// minutes, far more than a busy machine needs for any case.
    fn deadline(&self) -> Duration {
        Duration::from_secs(120)
    }
}

/// Cases that need no worker: a count, a name and an action.
pub struct Simple<N, R> {
    /// Number of cases.
    pub count: usize,
    /// Names a case.
    pub name: N,
    /// Runs a case.
    pub run: R,
}

impl<N, R> Cases for Simple<N, R>
where
    N: Fn(usize) -> String + Sync,
    R: Fn(usize) -> Verdict + Sync,
{
    type Worker = ();

    fn count(&self) -> usize {
        self.count
    }

    fn worker(&self) {}

    fn name(&self, case: usize) -> String {
        (self.name)(case)
    }

    fn run(&self, (): &mut (), case: usize) -> Verdict {
        (self.run)(case)
    }
}
