//! The runs of a merge, in the order of their current entries.

use std::cmp::Ordering;

use sst_reader::Tournament;

use crate::MergeError;
use crate::runs::RunCursor;

/// Runs in the order of (hash, key, age) of their current entries. A run is known by its age: the
/// number of runs that are newer.
#[derive(Default)]
pub(super) struct MergingRuns {
    /// The newest first.
    runs: Vec<MergingRun>,
    tournament: Tournament,
}

/// A run that takes part in a merge.
enum MergingRun {
    Open(Box<RunCursor>),
    /// All its entries have come. Its last key may have to be compared with the next one.
    Over {
        last_key: Vec<u8>,
    },
    /// It never had an entry.
    Empty,
}

impl MergingRuns {
    /// These runs, the newest first; `None` stands for a run without entries.
    pub(super) fn new(runs: Vec<Option<RunCursor>>) -> Result<Self, MergeError> {
        let run = |run: Option<RunCursor>| match run {
            Some(run) => MergingRun::Open(Box::new(run)),
            None => MergingRun::Empty,
        };
        let runs: Vec<_> = runs.into_iter().map(run).collect();
        let hash = |run: &MergingRun| match run {
            MergingRun::Open(run) => Some(run.hash()),
            MergingRun::Over { .. } | MergingRun::Empty => None,
        };
        let hashes: Vec<_> = runs.iter().map(hash).collect();
        let tournament = Tournament::new(&hashes, |a, b| compare_keys(&runs, a, b))?;
        Ok(Self { runs, tournament })
    }

    /// Age and hash of the entry that comes next; `None` when all entries have come.
    #[inline]
    pub(super) const fn next(&self) -> Option<(usize, u64)> {
        self.tournament.winner()
    }

    /// A run that has an entry.
    #[inline]
    pub(super) fn run(&self, age: usize) -> Result<&RunCursor, MergeError> {
        open_run(&self.runs, age)
    }

    /// As [`MergingRuns::run`], to read its value.
    #[inline]
    pub(super) fn run_mut(&mut self, age: usize) -> Result<&mut RunCursor, MergeError> {
        match self.runs.get_mut(age) {
            Some(MergingRun::Open(run)) => Ok(run),
            _ => Err(no_entry()),
        }
    }

    /// The key that a run has left last.
    pub(super) fn previous_key(&self, age: usize) -> Result<&[u8], MergeError> {
        match self.runs.get(age) {
            Some(MergingRun::Open(run)) => run.previous_key(),
            Some(MergingRun::Over { last_key }) => Ok(last_key),
            Some(MergingRun::Empty) | None => Err(no_entry()),
        }
    }

    /// Moves the run of the next entry on. O(log runs), O(1) while the entries of one run follow
    /// each other.
    #[inline]
    pub(super) fn advance(&mut self) -> Result<(), MergeError> {
        let (age, _) = self.tournament.winner().ok_or_else(no_entry)?;
        let run = self.runs.get_mut(age).ok_or_else(no_entry)?;
        let MergingRun::Open(cursor) = run else { return Err(no_entry()) };
        let hash = if cursor.advance()? {
            Some(cursor.hash())
        } else {
            // This drops the cursor, and closes the run's last table.
            *run = MergingRun::Over { last_key: cursor.take_last_key() };
            None
        };
        self.tournament.replace(hash, |a, b| compare_keys(&self.runs, a, b))
    }
}

fn compare_keys(runs: &[MergingRun], a: usize, b: usize) -> Result<Ordering, MergeError> {
    Ok(open_run(runs, a)?.key()?.cmp(open_run(runs, b)?.key()?))
}

#[inline]
fn open_run(runs: &[MergingRun], age: usize) -> Result<&RunCursor, MergeError> {
    match runs.get(age) {
        Some(MergingRun::Open(run)) => Ok(run),
        _ => Err(no_entry()),
    }
}

/// The error of a run that is asked for an entry and has none.
#[cold]
fn no_entry() -> MergeError {
    MergeError::internal("a run that comes next has an entry")
}
