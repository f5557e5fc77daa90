//! Walks the entries of all inputs as one sequence, duplicates resolved.

use std::cmp::Ordering;

use sst_writer::table::ShortKey;

use super::merging_runs::MergingRuns;
use super::{MergedEntry, OlderTables};
use crate::runs::RunCursor;
use crate::{Duplicates, MergeError};

/// A merging iterator: a position in the merged entries that moves forward. See
/// [`Inputs::cursor`](crate::Inputs::cursor).
///
/// It starts before the first entry. Memory: one key block and one value block for each run of
/// tables.
///
/// # Examples
///
/// ```no_run
/// use sst_merge::{Duplicates, Inputs};
/// use sst_reader::ReaderOptions;
///
/// let mut inputs = Inputs::new(&ReaderOptions::default());
/// inputs.add_directory("fruit.db", 0)?;
/// let mut cursor = inputs.live(0..=u64::MAX, Duplicates::Newest)?;
/// while let Some(entry) = cursor.next()? {
///     println!("{:016x} {:?}", entry.hash, entry.key);
/// }
/// # Ok::<(), sst_merge::MergeError>(())
/// ```
pub struct MergeCursor {
    runs: MergingRuns,
    duplicates: Duplicates,
    older: OlderTables,
    /// The key of the entry on which the cursor stands; `None` before the first and behind the
    /// last.
    key: Option<KeyState>,
    counts: Counts,
}

/// The state of the key that the cursor stands on.
#[derive(Clone, Copy)]
struct KeyState {
    hash: u64,
    /// Age of the run that the entry is of.
    age: usize,
    /// Age of the oldest run whose entries of this key count.
    oldest: usize,
    /// Age of the run whose tombstone was the last entry, if it was one.
    tombstone: Option<usize>,
    /// How many entries of the key the cursor has lent.
    lent: u64,
}

/// How many entries a walk has met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Entries of all inputs.
    pub read: u64,
    /// Entries that newer ones of their key hide.
    pub hidden: u64,
    /// Tombstones that were left out, since there is nothing left for them to hide.
    pub dropped_tombstones: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.read += other.read;
        self.hidden += other.hidden;
        self.dropped_tombstones += other.dropped_tombstones;
    }
}

impl MergeCursor {
    /// Merges runs, the newest first; `None` stands for a run without entries.
    pub(crate) fn new(
        runs: Vec<Option<RunCursor>>,
        duplicates: Duplicates,
        older: OlderTables,
    ) -> Result<Self, MergeError> {
        let (runs, counts) = (MergingRuns::new(runs)?, Counts::default());
        Ok(Self { runs, duplicates, older, key: None, counts })
    }

    /// Moves to the next entry and lends it. `None` behind the last one.
    ///
    /// The value is read only when [`MergedEntry::into_stored`] or [`MergedEntry::into_value`] asks
    /// for it.
    ///
    /// O(log runs) for each entry of the inputs on the way.
    ///
    /// # Errors
    ///
    /// [`MergeError::Read`] or [`MergeError::Unordered`] if an input cannot be read or is damaged;
    /// [`MergeError::DuplicateKey`]. The cursor is then at its end.
    // Always inline, as is all that an entry passes through: a call would return it in memory, in
    // words, and the caller would copy it 16 bytes at a time, for which a processor waits until the
    // words are stored (docs/DECISIONS.md, 158).
    #[inline(always)]
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend from itself")]
    pub fn next(&mut self) -> Result<Option<MergedEntry<'_>>, MergeError> {
        if let Err(error) = self.step() {
            self.runs = MergingRuns::default();
            self.key = None;
            return Err(error);
        }
        self.current()
    }

    /// Moves to the next entry that is to be lent, or to the end.
    #[inline]
    fn step(&mut self) -> Result<(), MergeError> {
        loop {
            if self.key.is_some() {
                self.runs.advance()?;
            }
            let Some((age, hash)) = self.runs.next() else {
                self.key = None;
                return Ok(());
            };
            self.counts.read += 1;
            let key = match self.key {
                Some(key) if key.hash == hash => self.followed_by(key, age)?,
                _ => KeyState::new(hash, age, self.duplicates),
            };
            let key = self.key.insert(key);
            if age > key.oldest {
                self.counts.hidden += 1;
                continue;
            }
            if self.runs.run(age)?.is_tombstone() {
                key.oldest = age;
                key.tombstone = Some(age);
                if !self.older.may_hold(key.hash) {
                    self.counts.dropped_tombstones += 1;
                    continue;
                }
            }
            key.lent += 1;
            return Ok(());
        }
    }

    /// The state after an entry of the run of this age, which has the hash of the entry before.
    #[cold]
    fn followed_by(&self, key: KeyState, age: usize) -> Result<KeyState, MergeError> {
        let run = self.runs.run(age)?;
        match run.key()?.cmp(self.runs.previous_key(key.age)?) {
            Ordering::Greater => Ok(KeyState::new(key.hash, age, self.duplicates)),
            Ordering::Less => Err(run.unordered()),
            Ordering::Equal if self.duplicates == Duplicates::Error => {
                let key = ShortKey::new(run.key()?);
                Err(MergeError::DuplicateKey { file: run.label(), key })
            }
            // Among the entries of a key a tombstone is the last of its table.
            Ordering::Equal if key.tombstone == Some(age) => Err(run.unordered()),
            Ordering::Equal => Ok(KeyState { age, ..key }),
        }
    }

    /// The entry that the last [`MergeCursor::next`] gave, once more; `None` before the first and
    /// behind the last one.
    #[inline(always)]
    pub(crate) fn current(&mut self) -> Result<Option<MergedEntry<'_>>, MergeError> {
        let Some(KeyState { age, lent, .. }) = self.key else { return Ok(None) };
        let current = self.runs.run_mut(age)?.current()?;
        Ok(Some(MergedEntry::new(current, lent == 1)))
    }

    /// Hash and key of [`MergeCursor::current`]: two cursors can be compared by it.
    pub(crate) fn current_key(&self) -> Result<Option<(u64, &[u8])>, MergeError> {
        match self.key {
            Some(KeyState { hash, age, .. }) => Ok(Some((hash, self.runs.run(age)?.key()?))),
            None => Ok(None),
        }
    }

    /// How many entries the walk has met so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }
}

impl KeyState {
    /// The state of a key of which the run of this age has the first entry.
    #[inline]
    fn new(hash: u64, age: usize, duplicates: Duplicates) -> Self {
        let oldest = if duplicates == Duplicates::Keep { usize::MAX } else { age };
        Self { hash, age, oldest, tombstone: None, lent: 0 }
    }
}

impl std::fmt::Debug for MergeCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // An error of the key shows when the cursor is used; a picture for people does without it.
        f.debug_struct("MergeCursor")
            .field("key", &self.current_key().ok().flatten())
            .field("duplicates", &self.duplicates)
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}
