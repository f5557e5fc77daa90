//! Walks the entries of all inputs as one sequence, duplicates resolved.

use std::sync::Arc;

use sst_format::BlobNumber;
use sst_format::block::BlockHeader;
use sst_format::value_ref::ValueRef;
use sst_reader::{Access, Catalog, EntryRef, EntryValue};
use sst_writer::table::ShortKey;

use crate::run::RunCursor;
use crate::run_heap::RunHeap;
use crate::{Duplicates, MergeError, OlderTables, ValueBytes};

/// A position in the merged entries that moves forward. See [`Inputs::cursor`](crate::Inputs::cursor).
///
/// It starts before the first entry. Memory: one key block and one value block for each run of tables.
///
/// # Examples
///
/// ```no_run
/// use sst_merge::{Duplicates, Inputs};
/// use sst_reader::ReaderOptions;
///
/// let mut inputs = Inputs::new(ReaderOptions::default());
/// inputs.add_directory("fruit.db".as_ref(), 0)?;
/// let mut cursor = inputs.live(0..=u64::MAX, Duplicates::Newest)?;
/// while cursor.advance()? {
///     let entry = cursor.entry()?;
///     println!("{:016x} {:?}", entry.hash, entry.key);
/// }
/// # Ok::<(), sst_merge::MergeError>(())
/// ```
pub struct MergeCursor {
    heap: RunHeap,
    duplicates: Duplicates,
    older: OlderTables,
    /// The key at hand; `None` before the first.
    key: Option<KeyAtHand>,
    /// Whether the top of the heap is the current entry, so that it must move first.
    is_on_entry: bool,
    counts: Counts,
}

/// What has come of the key of the current entry.
struct KeyAtHand {
    hash: u64,
    key: Vec<u8>,
    /// Age of the oldest run whose entries of this key count.
    oldest: usize,
    /// Age of the run whose tombstone was the last entry, if it was one.
    tombstone: Option<usize>,
    /// How many of its entries the cursor has stood on.
    shown: u64,
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

/// An entry of the merged sequence, borrowed until the cursor moves on.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct MergedEntry<'c> {
    /// The hash, stored or computed.
    pub hash: u64,
    /// The key.
    pub key: &'c [u8],
    /// The value.
    pub value: MergedValue<'c>,
}

/// The value of an entry, in the class in which its table has it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum MergedValue<'c> {
    /// A tombstone.
    Deleted,
    /// A value beside its key.
    Inline(&'c [u8]),
    /// A value in a shared block.
    Small(&'c [u8]),
    /// A value in a block of its own, as it is stored: verified, and not decompressed.
    Medium {
        /// The header of the block.
        header: BlockHeader,
        /// What follows it.
        stored: &'c [u8],
    },
    /// A value in a file of its own.
    Blob {
        /// Its number in the directory.
        number: BlobNumber,
        /// The directory.
        catalog: &'c Arc<Catalog>,
    },
}

impl MergeCursor {
    pub(crate) fn new(
        runs: Vec<RunCursor>,
        duplicates: Duplicates,
        older: OlderTables,
    ) -> Result<Self, MergeError> {
        let heap = RunHeap::new(runs)?;
        let counts = Counts::default();
        Ok(Self { heap, duplicates, older, key: None, is_on_entry: false, counts })
    }

    /// Moves to the next entry. `false` when there is none: the cursor then stands on no entry.
    ///
    /// O(log runs) for each entry of the inputs on the way.
    ///
    /// # Errors
    ///
    /// [`MergeError::Read`] or [`MergeError::Unordered`] if an input cannot be read or is damaged;
    /// [`MergeError::DuplicateKey`]. The cursor is then at its end.
    #[inline]
    pub fn advance(&mut self) -> Result<bool, MergeError> {
        let moved = self.step();
        if !matches!(moved, Ok(true)) {
            self.heap.clear();
            self.is_on_entry = false;
        }
        moved
    }

    fn step(&mut self) -> Result<bool, MergeError> {
        loop {
            if std::mem::replace(&mut self.is_on_entry, true) {
                self.heap.advance_top()?;
            }
            let Some((age, run)) = self.heap.top() else { return Ok(false) };
            self.counts.read += 1;
            let key = KeyAtHand::next(self.key.take(), age, run, self.duplicates)?;
            let oldest = key.oldest;
            let key = self.key.insert(key);
            if age > oldest {
                self.counts.hidden += 1;
                continue;
            }
            if run.value_ref()? == Some(ValueRef::Deleted) {
                key.oldest = age;
                key.tombstone = Some(age);
                if !self.older.may_hold(run.hash()) {
                    self.counts.dropped_tombstones += 1;
                    continue;
                }
            }
            key.shown += 1;
            return Ok(true);
        }
    }

    /// Hash of the current entry; 0 if the cursor stands on none.
    #[must_use]
    #[inline]
    pub fn hash(&self) -> u64 {
        if self.is_on_entry { self.key.as_ref().map_or(0, |key| key.hash) } else { 0 }
    }

    /// Key of the current entry; empty if the cursor stands on none.
    #[must_use]
    #[inline]
    pub fn key(&self) -> &[u8] {
        if self.is_on_entry { self.key.as_ref().map_or(&[], |key| &key.key) } else { &[] }
    }

    /// Whether the current entry is the first of its key.
    #[must_use]
    #[inline]
    pub fn starts_key(&self) -> bool {
        self.is_on_entry && self.key.as_ref().is_some_and(|key| key.shown == 1)
    }

    /// The bytes of the current value: decompressed, or read from its blob file. Empty for a tombstone, or without an
    /// entry.
    ///
    /// # Errors
    ///
    /// As [`MergeCursor::entry`], and [`MergeError::Read`] if a blob cannot be read or is damaged.
    pub fn value(&mut self) -> Result<ValueBytes<'_>, MergeError> {
        if let MergedValue::Blob { number, catalog } = self.entry()?.value {
            return Ok(ValueBytes::of_blob(catalog.read_blob(number, Access::Read)?));
        }
        let run = if self.is_on_entry { self.heap.top() } else { None };
        let entry = run.map(|(_, run)| run.entry()).transpose()?.flatten();
        let value = entry.map(EntryRef::into_value).transpose()?;
        Ok(ValueBytes::in_block(match value {
            Some(EntryValue::Value(value)) => value,
            _ => &[],
        }))
    }

    /// The current entry. Only here is its value read. Without one it is a tombstone of the empty key.
    ///
    /// # Errors
    ///
    /// [`MergeError::Read`] if the value's block cannot be read or is damaged; [`MergeError::BlobWithoutDirectory`].
    pub fn entry(&mut self) -> Result<MergedEntry<'_>, MergeError> {
        let none = MergedEntry { hash: 0, key: &[], value: MergedValue::Deleted };
        if !self.is_on_entry {
            return Ok(none);
        }
        let Some((_, run)) = self.heap.top() else { return Ok(none) };
        let hash = run.hash();
        match run.value_ref()? {
            None => Ok(none),
            Some(ValueRef::Medium(_)) => Ok(run.stored_medium()?.map_or(none, |medium| {
                let value = MergedValue::Medium { header: medium.header, stored: medium.stored };
                MergedEntry { hash, key: medium.key, value }
            })),
            Some(ValueRef::Blob(number)) => match run.catalog() {
                Some(catalog) => {
                    let value = MergedValue::Blob { number, catalog };
                    Ok(MergedEntry { hash, key: run.key(), value })
                }
                None => Err(MergeError::BlobWithoutDirectory { file: run.label(), blob: number }),
            },
            Some(kind) => {
                let is_small = matches!(kind, ValueRef::Small { .. });
                let Some(entry) = run.entry()? else { return Ok(none) };
                let key = entry.key;
                let value = match entry.into_value()? {
                    EntryValue::Value(value) if is_small => MergedValue::Small(value),
                    EntryValue::Value(value) => MergedValue::Inline(value),
                    EntryValue::Deleted | EntryValue::Blob(_) => MergedValue::Deleted,
                };
                Ok(MergedEntry { hash, key, value })
            }
        }
    }

    /// How many entries the walk has met so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }
}

impl KeyAtHand {
    /// The key of the entry on which `run` stands, given what came before it.
    #[inline]
    fn next(
        before: Option<Self>,
        age: usize,
        run: &RunCursor,
        duplicates: Duplicates,
    ) -> Result<Self, MergeError> {
        let hash = run.hash();
        let key = run.key();
        let mut bytes = match before {
            Some(before) if before.hash == hash => match key.cmp(before.key.as_slice()) {
                std::cmp::Ordering::Equal => return before.repeated(age, run, duplicates),
                std::cmp::Ordering::Less => return Err(run.unordered()),
                std::cmp::Ordering::Greater => before.key,
            },
            Some(before) => before.key,
            None => Vec::new(),
        };
        bytes.clear();
        bytes.extend_from_slice(key);
        let oldest = if duplicates == Duplicates::Keep { usize::MAX } else { age };
        Ok(Self { hash, key: bytes, oldest, tombstone: None, shown: 0 })
    }

    /// The same key with another of its entries.
    #[cold]
    fn repeated(
        self,
        age: usize,
        run: &RunCursor,
        duplicates: Duplicates,
    ) -> Result<Self, MergeError> {
        if duplicates == Duplicates::Error {
            let key = ShortKey::new(&self.key);
            return Err(MergeError::DuplicateKey { file: run.label(), key });
        }
        // Among the entries of a key a tombstone is the last of its table.
        if self.tombstone == Some(age) {
            return Err(run.unordered());
        }
        Ok(self)
    }
}

impl std::fmt::Debug for MergeCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MergeCursor")
            .field("hash", &self.hash())
            .field("duplicates", &self.duplicates)
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}
