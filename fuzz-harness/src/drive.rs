//! A driver that runs on any machine: feeds a target with every input of the corpus, then with
//! random edits of them.
//!
//! It does not measure coverage; libFuzzer does that. If an edited input makes a target panic,
//! `proptest` removes the edits that are not needed for the panic.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::Target;
use crate::edit::{apply, edits};

/// Inputs between two checks of the time.
const ROUND: u64 = 64;

/// The limits of a run.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Highest number of inputs. The whole corpus is tried even if it has more.
    pub executions: u64,
    /// Time limit for the edits, after the corpus.
    pub time: Duration,
}

/// The result of driving a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriveReport {
    /// Number of inputs tried, including those tried to simplify a failing input.
    pub executions: u64,
    /// The input that made the target panic; `None` if there is none.
    pub failure: Option<Vec<u8>>,
}

/// Feeds a target with every input of its corpus, then with edits of them, until the budget is used
/// up or the target panics. The same corpus, seed and number of executions give the same inputs.
///
/// # Errors
///
/// `proptest` rejected its own edits. That has never happened.
pub fn drive(
    target: &Target,
    corpus: &[Vec<u8>],
    budget: Budget,
    seed: u64,
) -> Result<DriveReport, String> {
    let executions = Cell::new(0);
    let passes = |input: &[u8]| {
        executions.set(executions.get() + 1);
        catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_ok()
    };
    let report = |failure| Ok(DriveReport { executions: executions.get(), failure });
    if let Some(input) = corpus.iter().find(|input| !passes(input)) {
        return report(Some(input.clone()));
    }
    let (mut runner, strategy, start) = (runner(seed), edits(), Instant::now());
    loop {
        let tried = executions.get();
        let is_late = tried.is_multiple_of(ROUND) && start.elapsed() >= budget.time;
        if tried >= budget.executions || is_late {
            return report(None);
        }
        let case = strategy.new_tree(&mut runner).map_err(|reason| reason.to_string())?;
        let outcome = runner.run_one(case, |(chosen, edits)| {
            let is_ok = passes(&apply(corpus, chosen, &edits, target.max_len));
            if is_ok { Ok(()) } else { Err(TestCaseError::fail("the target panicked")) }
        });
        match outcome {
            Ok(_) => {}
            Err(TestError::Fail(_, (chosen, edits))) => {
                return report(Some(apply(corpus, chosen, &edits, target.max_len)));
            }
            Err(TestError::Abort(reason)) => return Err(reason.to_string()),
        }
    }
}

/// A test runner whose random numbers depend only on the seed.
fn runner(seed: u64) -> TestRunner {
    let config = Config { failure_persistence: None, ..Config::default() };
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(seed.to_be_bytes()).for_each(|(to, from)| *to = from);
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn target(run: fn(&[u8])) -> Target {
        Target { name: "test", max_len: 8, run }
    }

    const BUDGET: Budget = Budget { executions: 100_000, time: Duration::MAX };

    #[test]
    fn a_panic_is_reported_with_its_simplest_input() {
        let target = target(|input| assert!(!input.contains(&0xff)));
        let corpus = [vec![0; 8]];
        let report = drive(&target, &corpus, BUDGET, 1).unwrap();
        let failure = report.failure.unwrap();
        assert_eq!(failure.iter().filter(|&&byte| byte != 0).count(), 1, "{failure:?}");
        assert!(report.executions > 1);
        let calm = Budget { executions: 0, ..BUDGET };
        let calm = drive(&target, &corpus, calm, 1).unwrap();
        assert_eq!(calm, DriveReport { executions: 1, failure: None });
    }

    #[test]
    fn every_input_of_the_corpus_is_tried() {
        let target = target(|input| assert_ne!(input, [7]));
        let report = drive(&target, &[vec![1], vec![7], vec![2]], BUDGET, 1).unwrap();
        assert_eq!(report, DriveReport { executions: 2, failure: Some(vec![7]) });
    }

    #[test]
    fn the_same_seed_makes_the_same_run() {
        let target = target(|input| assert!(input.len() < 3 || input[1] != 0x80));
        let run = |seed| drive(&target, &[vec![1; 5]], BUDGET, seed).unwrap();
        assert_eq!(run(1), run(1));
        assert_ne!(run(1).executions, run(2).executions);
    }
}
