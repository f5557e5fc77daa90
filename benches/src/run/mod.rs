//! Runs one workload with all contenders, in turn within each round.

mod builds;
mod even_start;
mod floors;
mod lookups;
mod memory;
mod options;
mod outcome;

use std::path::Path;

use crate::store::{BenchError, Contender};
use crate::workload::Data;

pub(crate) use memory::measure_here;
pub(crate) use options::{GROUP, RunOptions, lookups};
pub(crate) use outcome::{Floor, Outcome, Run, WorkloadOutcome};

/// A contender in a run: its directory, and its figures so far.
struct ContenderRun<'c> {
    contender: &'c dyn Contender,
    dir: std::path::PathBuf,
    outcome: Outcome,
}

impl ContenderRun<'_> {
    /// Returns the value. An error is recorded as the reason why the contender has no further
    /// figures.
    fn record<T>(&mut self, result: Result<T, BenchError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.outcome.failure = Some(error.to_string());
                None
            }
        }
    }

    fn is_ok(&self) -> bool {
        self.outcome.failure.is_none()
    }
}

/// Measures all contenders that support the workload. `report_progress` receives a message before
/// each step.
///
/// # Errors
///
/// An error if files cannot be written, or if the floor cannot be measured. The failure of a
/// contender is recorded in its outcome.
pub(crate) fn run_workload(
    data: &Data,
    contenders: &[Box<dyn Contender>],
    options: RunOptions,
    report_progress: &mut dyn FnMut(&str),
) -> Result<(WorkloadOutcome, f64), BenchError> {
    let dir = tempfile::tempdir()?;
    let mut runs = runs(data, contenders, dir.path())?;
    report_progress("building");
    let mut floor = builds::measure(data, &mut runs, options, dir.path())?;
    report_progress("looking up");
    let busyness = lookups::measure(data, &mut runs, options, &mut floor)?;
    report_progress("looking up with a small cache");
    lookups::measure_small_cache(data, &mut runs, options);
    drop(dir);
    if options.memory {
        report_progress("measuring memory");
        memory::measure(data, &mut runs, options);
    }
    let outcome = WorkloadOutcome {
        name: data.name.clone(),
        about: data.about.clone(),
        entries: data.entries(),
        bytes: data.byte_len(),
        small_cache: lookups::small_cache(data),
        floor,
        outcomes: runs.into_iter().map(|run| run.outcome).collect(),
    };
    Ok((outcome, busyness))
}

fn runs<'c>(
    data: &Data,
    contenders: &'c [Box<dyn Contender>],
    dir: &Path,
) -> Result<Vec<ContenderRun<'c>>, BenchError> {
    let supporting = contenders.iter().filter(|contender| contender.supports(data));
    supporting
        .map(|contender| {
            let outcome = Outcome {
                name: contender.name().to_owned(),
                setup: contender.setup().to_owned(),
                ..Outcome::default()
            };
            let dir = dir.join(contender.name().replace([' ', ','], "-"));
            std::fs::create_dir(&dir)?;
            Ok(ContenderRun { contender: contender.as_ref(), dir, outcome })
        })
        .collect()
}
