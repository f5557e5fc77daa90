//! The parameters of a run (mode, seed, threads), and the runner of cases.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use sst_conformance::SplitMix;

use crate::watchdog::Watchdog;
use crate::{Cases, Row, Verdict, allocations};

/// The number of cases of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A few cases of each row of a quick run; takes seconds. The suite of planted bugs uses it.
    Brief,
    /// A sample of each kind, the same in each run; takes minutes.
    Quick,
    /// All cases.
    Full,
}

/// The parameters of a suite's run.
#[derive(Debug)]
pub struct Context {
    mode: Mode,
    seed: u64,
    threads: usize,
    progress: indicatif::ProgressBar,
    stops_at_failure: bool,
    has_failed: AtomicBool,
}

impl Context {
    /// A context that shows its progress on `progress`.
    #[must_use]
    pub const fn new(
        mode: Mode,
        seed: u64,
        threads: usize,
        progress: indicatif::ProgressBar,
    ) -> Self {
        let has_failed = AtomicBool::new(false);
        Self { mode, seed, threads, progress, stops_at_failure: false, has_failed }
    }

    /// The same context, but no further case starts after one has failed.
    #[must_use]
    pub fn stopping_at_failure(mut self, stops: bool) -> Self {
        self.stops_at_failure = stops;
        self
    }

    fn is_over(&self) -> bool {
        self.stops_at_failure && self.has_failed.load(Ordering::Relaxed)
    }

    /// Whether all cases run.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.mode == Mode::Full
    }

    /// Whether only a few cases of each row run.
    #[must_use]
    pub fn is_brief(&self) -> bool {
        self.mode == Mode::Brief
    }

    /// Returns `quick` in a brief or quick run, `full` in a full run.
    pub fn pick<T>(&self, quick: T, full: T) -> T {
        match self.mode {
            Mode::Brief | Mode::Quick => quick,
            Mode::Full => full,
        }
    }

    /// The seed of the run.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// Threads that run cases.
    #[must_use]
    pub const fn threads(&self) -> usize {
        self.threads
    }

    /// Random numbers for a case. They depend only on seed, purpose and case, not on other cases.
    #[must_use]
    pub fn random(&self, purpose: &str, case: usize) -> SplitMix {
        let purpose = sst_reader::hash_key(purpose.as_bytes());
        let mut mixed = SplitMix::new(self.seed ^ purpose);
        SplitMix::new(mixed.word() ^ (case as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Runs all cases in parallel and counts them in the rows. A case that panics is counted, and
    /// the run goes on. A case that does not end is named, and the process exits.
    #[must_use]
    pub fn run<C: Cases>(&self, rows: Vec<Row>, cases: &C) -> Vec<Row> {
        let chosen = self.is_brief().then(|| a_few_of_each_row(rows.len(), cases));
        let count = chosen.as_ref().map_or(cases.count(), Vec::len);
        let threads = self.threads.clamp(1, count.max(1));
        self.progress.inc_length(count as u64);
        let run = Run {
            cases,
            chosen,
            count,
            empty: &rows,
            next: AtomicUsize::new(0),
            chunk: (count / (threads * 64)).clamp(1, 256),
            watchdog: Watchdog::new(threads),
            context: self,
        };
        let total = Mutex::new(rows.clone());
        let (running, done) = channel();
        thread::scope(|scope| {
            let (run, total) = (&run, &total);
            for thread in 0..threads {
                let running = running.clone();
                scope.spawn(move || {
                    let counted = run.work(thread);
                    let mut total = total.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    for (row, counted) in total.iter_mut().zip(counted) {
                        row.absorb(counted);
                    }
                    drop(running);
                });
            }
            drop(running);
            run.watchdog.watch(&done, cases.deadline(), |case| give_up(cases, case));
        });
        total.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// About how many cases of each row a brief run tries.
const BRIEF_CASES: usize = 48;

/// The cases of a brief run: a few of each row, spread evenly over the row's cases.
fn a_few_of_each_row<C: Cases>(rows: usize, cases: &C) -> Vec<usize> {
    let mut of_row = vec![Vec::new(); rows];
    for case in 0..cases.count() {
        of_row[cases.row(case)].push(case);
    }
    let few = |row: Vec<usize>| {
        let step = row.len().div_ceil(BRIEF_CASES).max(1);
        row.into_iter().step_by(step)
    };
    of_row.into_iter().flat_map(few).collect()
}

/// Prints the case that does not end and exits the process, since its thread cannot be stopped.
#[expect(clippy::print_stderr, reason = "the run ends here, and this says why")]
fn give_up<C: Cases>(cases: &C, case: usize) {
    let (name, seconds) = (cases.name(case), cases.deadline().as_secs());
    eprintln!("given up: case {case} ({name}) has not ended within {seconds} s");
    std::process::exit(1);
}

/// The state of a run, shared by its threads.
struct Run<'a, C> {
    cases: &'a C,
    /// The cases to run; `None` for all.
    chosen: Option<Vec<usize>>,
    /// Number of cases to run.
    count: usize,
    empty: &'a [Row],
    next: AtomicUsize,
    chunk: usize,
    watchdog: Watchdog,
    context: &'a Context,
}

impl<C: Cases> Run<'_, C> {
    /// Runs cases until there are none left.
    fn work(&self, thread: usize) -> Vec<Row> {
        let mut rows: Vec<Row> =
            self.empty.iter().map(|row| Row::new(row.test.clone(), row.protection)).collect();
        let mut worker = self.cases.worker();
        loop {
            let first = self.next.fetch_add(self.chunk, Ordering::Relaxed);
            if first >= self.count {
                return rows;
            }
            let end = (first + self.chunk).min(self.count);
            for place in first..end {
                let case = self.chosen.as_ref().map_or(place, |chosen| chosen[place]);
                if self.context.is_over() {
                    return rows;
                }
                self.watchdog.begin(thread, case);
                let outcome = caught(|| self.cases.run(&mut worker, case));
                self.watchdog.end(thread);
                if outcome.is_err() {
                    worker = self.cases.worker();
                }
                // If a row is missing, this panics and ends the suite, so that no case runs
                // uncounted.
                self.note(&mut rows[self.cases.row(case)], case, outcome);
            }
            self.context.progress.inc((end - first) as u64);
        }
    }

    fn note(&self, row: &mut Row, case: usize, outcome: Result<Verdict, String>) {
        let name = || self.cases.name(case);
        match outcome {
            Ok(verdict) => row.count(case, verdict, name),
            Err(panic) => row.count_panic(case, format!("{}: {panic}", name())),
        }
        if let Some(excess) = allocations::take_excess() {
            let allocations::Excess { peak, limit } = excess;
            let what = format!("{}: {peak} bytes held where {limit} are allowed", name());
            row.count_over_allocation(case, what);
        }
        if !row.failures.is_empty() {
            self.context.has_failed.store(true, Ordering::Relaxed);
        }
    }
}

thread_local! {
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Installs a panic hook. It keeps the message of a panic within a case for the table instead of
/// printing it; other panics are printed as usual.
pub fn keep_panic_messages() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if IS_CAUGHT.get() {
            LAST_PANIC.set(info.to_string());
        } else {
            default(info);
        }
    }));
}

/// The result of an action, or its panic message.
///
/// # Errors
///
/// The panic message, if the action panicked.
pub fn caught<T>(action: impl FnOnce() -> T) -> Result<T, String> {
    let outer = IS_CAUGHT.replace(true);
    let result = catch_unwind(AssertUnwindSafe(action));
    IS_CAUGHT.set(outer);
    result.map_err(|_| {
        let message = LAST_PANIC.take();
        if message.is_empty() { "panic".to_owned() } else { message }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Protection, Simple};

    fn context(threads: usize) -> Context {
        Context::new(Mode::Quick, 1, threads, indicatif::ProgressBar::hidden())
    }

    #[test]
    fn every_case_is_counted_once() {
        for threads in [1, 3] {
            let cases = Simple {
                count: 1000,
                name: |case| format!("case {case}"),
                run: |case| match case {
                    10 => panic!("on purpose"),
                    20 => Verdict::Wrong("on purpose".to_owned()),
                    30 => allocations::within(10, || {
                        drop(vec![1_u8; 11]);
                        Verdict::Detected
                    }),
                    _ if case % 2 == 0 => Verdict::Detected,
                    _ => Verdict::Harmless,
                },
            };
            let rows = vec![Row::new("test", Protection::NotApplicable)];
            let [row] = &context(threads).run(rows, &cases)[..] else { unreachable!() };
            assert_eq!((row.cases, row.harmless, row.detected), (1000, 500, 498));
            assert_eq!((row.panics, row.wrong, row.over_allocations), (1, 1, 1));
            let failed: Vec<usize> = row.failures.iter().map(|failure| failure.case).collect();
            assert_eq!(failed, [10, 20, 30]);
        }
    }

    struct TwoRows;

    impl Cases for TwoRows {
        type Worker = ();

        fn count(&self) -> usize {
            100_000
        }

        fn worker(&self) {}

        fn row(&self, case: usize) -> usize {
            usize::from(case == 77_777)
        }

        fn name(&self, case: usize) -> String {
            case.to_string()
        }

        fn run(&self, (): &mut (), _: usize) -> Verdict {
            Verdict::Harmless
        }
    }

    #[test]
    fn a_brief_run_tries_some_cases_of_every_row() {
        let context = Context::new(Mode::Brief, 1, 2, indicatif::ProgressBar::hidden());
        let rows = ["many", "one"].map(|name| Row::new(name, Protection::NotApplicable));
        let [many, one] = &context.run(rows.into(), &TwoRows)[..] else { unreachable!() };
        assert_eq!((many.cases, one.cases), (BRIEF_CASES as u64, 1));
    }

    #[test]
    fn random_numbers_depend_on_seed_purpose_and_case_only() {
        let word = |seed, purpose, case| {
            let progress = indicatif::ProgressBar::hidden();
            Context::new(Mode::Quick, seed, 1, progress).random(purpose, case).word()
        };
        assert_eq!(word(1, "a", 1), word(1, "a", 1));
        let others = [word(2, "a", 1), word(1, "b", 1), word(1, "a", 2)];
        assert!(!others.contains(&word(1, "a", 1)));
    }
}
