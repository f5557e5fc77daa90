//! One row of the table of results: a kind of case and the counts of its outcomes.

use serde::Serialize;

/// Whether the files of a row have the protection section (FORMAT.md section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protection {
    /// The files have it: no damage may go unnoticed.
    Protected,
    /// The files are as the original writes them.
    Bare,
    /// The distinction does not apply.
    #[serde(rename = "n.a.")]
    NotApplicable,
}

impl Protection {
    /// A short name for tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Protected => "protected",
            Self::Bare => "bare",
            Self::NotApplicable => "n.a.",
        }
    }
}

/// The outcome of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// An error, and no wrong answer.
    Detected,
    /// All answers were exactly right.
    Harmless,
    /// A wrong answer, or a broken promise.
    Wrong(String),
    /// A wrong answer that the row's [`note`](Row::note) explains: the files contain nothing that
    /// shows the damage.
    Explained,
}

/// A case that failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Failure {
    /// Its number within its suite's run.
    pub case: usize,
    /// The name of the case, and its outcome.
    pub what: String,
}

/// Highest number of failures that a row keeps: those with the lowest case numbers.
const MAX_FAILURES: usize = 20;

/// One row of the table of results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The suite.
    pub suite: &'static str,
    /// The kind of case.
    pub test: String,
    /// Whether the files have the protection section.
    pub protection: Protection,
    /// Cases run.
    pub cases: u64,
    /// Cases that gave an error.
    pub detected: u64,
    /// Cases in which every answer was exactly right.
    pub harmless: u64,
    /// Cases with a wrong answer, explained ones included.
    pub wrong: u64,
    /// Cases with a wrong answer that the note explains.
    pub explained: u64,
    /// Cases that panicked.
    pub panics: u64,
    /// Cases in which a read exceeded its memory limit.
    pub over_allocations: u64,
    /// The reason why the row could not run on this machine; `None` if it ran.
    pub skipped: Option<String>,
    /// A remark for readers of the table. It explains the cases of [`Verdict::Explained`].
    pub note: Option<String>,
    /// The first cases that failed.
    pub failures: Vec<Failure>,
}

impl Row {
    /// A row without cases. The runner sets the suite.
    #[must_use]
    pub fn new(test: impl Into<String>, protection: Protection) -> Self {
        Self {
            suite: "",
            test: test.into(),
            protection,
            cases: 0,
            detected: 0,
            harmless: 0,
            wrong: 0,
            explained: 0,
            panics: 0,
            over_allocations: 0,
            skipped: None,
            note: None,
            failures: Vec::new(),
        }
    }

    /// A row that could not run on this machine. Each skipped test must have such a row.
    #[must_use]
    pub fn skipped(
        test: impl Into<String>,
        protection: Protection,
        reason: impl Into<String>,
    ) -> Self {
        Self { skipped: Some(reason.into()), ..Self::new(test, protection) }
    }

    /// The row with a note.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Counts a case. `name` is called only if the case failed.
    pub fn count(&mut self, case: usize, verdict: Verdict, name: impl FnOnce() -> String) {
        self.cases += 1;
        match verdict {
            Verdict::Detected => self.detected += 1,
            Verdict::Harmless => self.harmless += 1,
            Verdict::Explained => {
                self.wrong += 1;
                self.explained += 1;
            }
            Verdict::Wrong(what) => {
                self.wrong += 1;
                self.fail(case, format!("{}: {what}", name()));
            }
        }
    }

    /// Counts a case that panicked.
    pub fn count_panic(&mut self, case: usize, what: String) {
        self.cases += 1;
        self.panics += 1;
        self.fail(case, what);
    }

    /// Counts a read that exceeded its memory limit. The case itself is counted separately.
    pub fn count_over_allocation(&mut self, case: usize, what: String) {
        self.over_allocations += 1;
        self.fail(case, what);
    }

    fn fail(&mut self, case: usize, what: String) {
        self.failures.push(Failure { case, what });
        self.failures.sort();
        self.failures.truncate(MAX_FAILURES);
    }

    /// Adds the counts of another thread for this row.
    pub fn absorb(&mut self, other: Self) {
        self.cases += other.cases;
        self.detected += other.detected;
        self.harmless += other.harmless;
        self.wrong += other.wrong;
        self.explained += other.explained;
        self.panics += other.panics;
        self.over_allocations += other.over_allocations;
        for Failure { case, what } in other.failures {
            self.fail(case, what);
        }
    }

    /// `ok`, `NOT RUN` or `FAILED`.
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        let failed = self.wrong - self.explained + self.panics + self.over_allocations;
        match (&self.skipped, failed, self.cases) {
            (_, 1.., _) | (None, 0, 0) => "FAILED",
            (Some(_), ..) => "NOT RUN",
            _ => "ok",
        }
    }

    /// Whether the row kept its promise: no unexplained wrong answer, no panic, no over-allocation.
    /// A row without cases needs a reason.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.verdict() != "FAILED"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row::new("test", Protection::Protected)
    }

    fn counted(verdict: Verdict) -> Row {
        let mut row = row();
        row.count(1, verdict, || "case".to_owned());
        row
    }

    #[test]
    fn a_row_without_cases_is_no_success() {
        assert_eq!(row().verdict(), "FAILED");
        assert_eq!(Row::skipped("test", Protection::Bare, "no tool").verdict(), "NOT RUN");
    }

    #[test]
    fn only_unexplained_wrong_answers_fail() {
        for verdict in [Verdict::Detected, Verdict::Harmless, Verdict::Explained] {
            assert!(counted(verdict).is_ok());
        }
        assert!(!counted(Verdict::Wrong("x".to_owned())).is_ok());
        assert_eq!(counted(Verdict::Explained).wrong, 1);
    }

    #[test]
    fn panics_and_over_allocations_fail_a_row_that_was_skipped_in_part_too() {
        let mut row = Row::skipped("test", Protection::Bare, "half of it");
        row.count_panic(1, "panic".to_owned());
        assert!(!row.is_ok());
        let mut row = counted(Verdict::Detected);
        row.count_over_allocation(1, "much".to_owned());
        assert_eq!((row.cases, row.is_ok()), (1, false));
    }

    #[test]
    fn the_first_failures_of_all_threads_are_kept() {
        let mut rows = [row(), row()];
        for case in (0..60).rev() {
            rows[case % 2].count_panic(case, format!("case {case}"));
        }
        let [mut row, other] = rows;
        row.absorb(other);
        let kept: Vec<usize> = row.failures.iter().map(|failure| failure.case).collect();
        assert_eq!(kept, (0..20).collect::<Vec<_>>());
        assert_eq!((row.cases, row.panics), (60, 60));
    }
}
