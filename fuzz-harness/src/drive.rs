//! The driver for any machine: seeded random mutation, without a look at what the target covers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::{Mutator, Target};

/// Inputs between two looks at the clock.
const ROUND: u64 = 64;

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Inputs to be tried at most.
    pub executions: u64,
    /// Time to be taken at most; it does not stop the inputs of the corpus.
    pub time: Duration,
}

/// What came of driving a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriveReport {
    /// Inputs tried.
    pub executions: u64,
    /// The input that made the target panic, if one did.
    pub failure: Option<Vec<u8>>,
}

/// Feeds a target with every input of its corpus, then with mutations of them until the budget is used up or it panics.
/// The same corpus, seed and number of executions give the same inputs.
#[must_use]
pub fn drive(target: &Target, corpus: &[Vec<u8>], budget: Budget, seed: u64) -> DriveReport {
    let start = Instant::now();
    let mut executions = 0;
    let mut mutator = Mutator::new(seed);
    let mut known = corpus.iter();
    loop {
        let is_timely = executions % ROUND != 0 || start.elapsed() < budget.time;
        let input = match known.next() {
            Some(input) => input.clone(),
            None if executions < budget.executions && is_timely => {
                mutator.input(corpus, target.max_len)
            }
            None => return DriveReport { executions, failure: None },
        };
        executions += 1;
        if catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_err() {
            return DriveReport { executions, failure: Some(input) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn target(run: fn(&[u8])) -> Target {
        Target { name: "test", max_len: 8, run }
    }

    #[test]
    fn a_panic_is_reported_with_its_input() {
        let target = target(|input| assert!(!input.contains(&0xff)));
        let corpus = [vec![0; 8]];
        let budget = Budget { executions: 100_000, time: Duration::MAX };
        let report = drive(&target, &corpus, budget, 1);
        assert!(report.failure.is_some_and(|input| input.contains(&0xff)));
        assert!(report.executions > 1);
        let calm = Budget { executions: 0, ..budget };
        assert_eq!(drive(&target, &corpus, calm, 1), DriveReport { executions: 1, failure: None });
    }
}
