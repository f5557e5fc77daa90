//! The cases of a suite.

use std::time::Duration;

use crate::Verdict;

/// A numbered list of cases. Each case can run on any thread and in any order, with the same
/// outcome.
pub trait Cases: Sync {
    /// State that a thread keeps from case to case, for example a buffer or a directory.
    type Worker;

    /// Number of cases.
    fn count(&self) -> usize;

    /// Creates the worker of a thread. After a panic in a case, its worker is replaced by a new
    /// one.
    fn worker(&self) -> Self::Worker;

    /// The index of the row that counts the case. Default: 0.
    fn row(&self, case: usize) -> usize {
        _ = case;
        0
    }

    /// The name of a case, for messages.
    fn name(&self, case: usize) -> String;

    /// Runs a case. Its reads go through [`allocations::within`](crate::allocations::within).
    fn run(&self, worker: &mut Self::Worker, case: usize) -> Verdict;

    /// The time limit of a case. A longer case counts as an endless loop and ends the run. Default:
    /// a quarter of an hour, far more than any case needs even where the disk is busy.
    fn deadline(&self) -> Duration {
        Duration::from_secs(900)
    }
}

/// Cases without a worker: a count, a name and an action.
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
