//! Walks the entries of all inputs as one sequence, duplicates resolved.

use std::cmp::Ordering;

use sst_writer::table::ShortKey;

use super::run_heap::{Head, RunHeap};
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
/// let mut inputs = Inputs::new(ReaderOptions::default());
/// inputs.add_directory("fruit.db", 0)?;
/// let mut cursor = inputs.live(0..=u64::MAX, Duplicates::Newest)?;
/// while let Some(entry) = cursor.next()? {
///     println!("{:016x} {:?}", entry.hash, entry.key);
/// }
/// # Ok::<(), sst_merge::MergeError>(())
/// ```
pub struct MergeCursor {
    heap: RunHeap,
    duplicates: Duplicates,
    older: OlderTables,
    /// The key of the entry on top of the heap, once the cursor has looked at that entry; `None`
    /// before the first.
    key: Option<KeyState>,
    /// The key of the entry before that on top of the heap.
    last_key: Vec<u8>,
    counts: Counts,
}

/// The state of the key that the cursor stands on.
#[derive(Clone, Copy)]
struct KeyState {
    hash: u64,
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
    ) -> Self {
        let (heap, counts) = (RunHeap::new(runs), Counts::default());
        Self { heap, duplicates, older, key: None, last_key: Vec::new(), counts }
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
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend from itself")]
    pub fn next(&mut self) -> Result<Option<MergedEntry<'_>>, MergeError> {
        if let Err(error) = self.step() {
            self.heap = RunHeap::default();
            return Err(error);
        }
        Ok(self.current())
    }

    /// Moves to the next entry that is to be lent, or to the end.
    #[inline]
    fn step(&mut self) -> Result<(), MergeError> {
        loop {
            if self.key.is_some() {
                self.heap.advance_top(&mut self.last_key)?;
            }
            let Some(top) = self.heap.top() else { return Ok(()) };
            self.counts.read += 1;
            let key = match self.key {
                Some(key) if key.hash == top.run.hash() => {
                    key.followed_by(&self.last_key, top, self.duplicates)?
                }
                _ => KeyState::new(top, self.duplicates),
            };
            let key = self.key.insert(key);
            if top.age > key.oldest {
                self.counts.hidden += 1;
                continue;
            }
            if top.run.is_tombstone() {
                key.oldest = top.age;
                key.tombstone = Some(top.age);
                if !self.older.may_hold(key.hash) {
                    self.counts.dropped_tombstones += 1;
                    continue;
                }
            }
            key.lent += 1;
            return Ok(());
        }
    }

    /// The entry that the last [`MergeCursor::next`] gave, once more; `None` before the first and
    /// behind the last one.
    #[inline]
    pub(crate) fn current(&mut self) -> Option<MergedEntry<'_>> {
        let KeyState { hash, lent, .. } = self.key?;
        let (key, run) = self.heap.top()?.run.parts();
        Some(MergedEntry { hash, key, starts_key: lent == 1, run })
    }

    /// Hash and key of [`MergeCursor::current`]: two cursors can be compared by it.
    #[inline]
    pub(crate) fn current_key(&self) -> Option<(u64, &[u8])> {
        self.key.and_then(|_| self.heap.top_key())
    }

    /// How many entries the walk has met so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }
}

impl KeyState {
    /// The state of a key of which `top` has the first entry.
    #[inline]
    fn new(top: &Head, duplicates: Duplicates) -> Self {
        let oldest = if duplicates == Duplicates::Keep { usize::MAX } else { top.age };
        Self { hash: top.run.hash(), oldest, tombstone: None, lent: 0 }
    }

    /// The state after the entry of `top`, which has the same hash. `last_key` is the key of this
    /// state.
    fn followed_by(
        self,
        last_key: &[u8],
        top: &Head,
        duplicates: Duplicates,
    ) -> Result<Self, MergeError> {
        match top.run.key().cmp(last_key) {
            Ordering::Equal => self.repeated(top, duplicates),
            Ordering::Less => Err(top.run.unordered()),
            Ordering::Greater => Ok(Self::new(top, duplicates)),
        }
    }

    /// The same key with another of its entries.
    #[cold]
    fn repeated(self, top: &Head, duplicates: Duplicates) -> Result<Self, MergeError> {
        if duplicates == Duplicates::Error {
            let key = ShortKey::new(top.run.key());
            return Err(MergeError::DuplicateKey { file: top.run.label(), key });
        }
        // Among the entries of a key a tombstone is the last of its table.
        if self.tombstone == Some(top.age) {
            return Err(top.run.unordered());
        }
        Ok(self)
    }
}

impl std::fmt::Debug for MergeCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MergeCursor")
            .field("key", &self.current_key())
            .field("duplicates", &self.duplicates)
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}
