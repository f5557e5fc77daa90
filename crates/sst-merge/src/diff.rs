//! The differences between two sets of tables.

use std::cmp::Ordering;
use std::ops::RangeInclusive;
use std::sync::Arc;

use sst_format::BlobNumber;
use sst_format::block::Encoding;
use sst_format::monitor::{Meter, Monitor, Phase, Progress};
use sst_reader::Catalog;
use sst_writer::EntryValue;

use crate::{Duplicates, Inputs, MergeCursor, MergeError, MergedEntry, StoredValue, ValueBytes};

/// How a key differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only the new side knows it.
    Added,
    /// Only the old side knows it.
    Removed,
    /// Both know it, with different values.
    Changed,
}

/// How many keys a comparison has met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiffCounts {
    /// Keys that only the new side knows.
    pub added: u64,
    /// Keys that only the old side knows.
    pub removed: u64,
    /// Keys that both know, with different values.
    pub changed: u64,
    /// Keys that both know, with the same values.
    pub same: u64,
    /// Values that had to be decompressed, or read from blob files, to be compared.
    pub decoded: u64,
}

/// Walks two sets of tables side by side and stops at every key that differs, in the order of
/// (hash, key).
///
/// It compares the live entries: those that `get` finds, or all entries of each key with
/// [`Duplicates::Keep`]. Values are compared in stored form first, and decompressed only where that
/// leaves it open. Memory: one block for each run of tables.
///
/// # Examples
///
/// ```no_run
/// use sst_merge::{Diff, Duplicates, Inputs, Monitor};
/// use sst_reader::ReaderOptions;
///
/// let mut old = Inputs::new(&ReaderOptions::default());
/// old.add_directory("monday.db", 0)?;
/// let mut new = Inputs::new(&ReaderOptions::default());
/// new.add_directory("tuesday.db", 0)?;
/// let mut diff = Diff::new(&old, &new, 0..=u64::MAX, Duplicates::Newest, &Monitor::default())?;
/// while let Some(key) = diff.next()? {
///     println!("{:?} {}", key.change, key.key.escape_ascii());
/// }
/// # Ok::<(), sst_merge::MergeError>(())
/// ```
#[derive(Debug)]
pub struct Diff {
    old: MergeCursor,
    new: MergeCursor,
    /// Hash and key of the last difference, as long as entries of it may not have been passed.
    last: Option<(u64, Vec<u8>)>,
    counts: DiffCounts,
    meter: Meter,
}

/// A key that differs, lent by a [`Diff`] until it moves on.
#[derive(Debug)]
#[non_exhaustive]
pub struct KeyDiff<'d> {
    /// How it differs.
    pub change: Change,
    /// The hash of the key.
    pub hash: u64,
    /// The key.
    pub key: &'d [u8],
    /// The first of the old entries that differs; `None` if the old side has no other entries of
    /// the key.
    pub old: Option<MergedEntry<'d>>,
    /// The first of the new entries that differs; `None` if the new side has no other entries of
    /// the key.
    pub new: Option<MergedEntry<'d>>,
}

impl Diff {
    /// Compares the keys with hashes in `hashes`. `monitor` is told of the entries read, hidden
    /// ones included.
    ///
    /// # Errors
    ///
    /// As [`MergeCursor::next`].
    pub fn new(
        old: &Inputs,
        new: &Inputs,
        hashes: RangeInclusive<u64>,
        duplicates: Duplicates,
        monitor: &Monitor,
    ) -> Result<Self, MergeError> {
        let total = old.entry_count().zip(new.entry_count()).map(|(old, new)| old + new);
        let meter = Meter::new(monitor, Progress::new(Phase::Compare).total_entries(total));
        let mut old = old.live(hashes.clone(), duplicates)?;
        let mut new = new.live(hashes, duplicates)?;
        old.next()?;
        new.next()?;
        Ok(Self { old, new, last: None, counts: DiffCounts::default(), meter })
    }

    /// Moves to the next key that differs and lends it. `None` when there is none.
    ///
    /// # Errors
    ///
    /// As [`MergeCursor::next`] and [`MergedEntry::into_stored`], and [`MergeError::Cancelled`].
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend from itself")]
    pub fn next(&mut self) -> Result<Option<KeyDiff<'_>>, MergeError> {
        let mut buffer = Vec::new();
        if let Some((hash, key)) = self.last.take() {
            skip_key(&mut self.old, hash, &key)?;
            skip_key(&mut self.new, hash, &key)?;
            buffer = key;
        }
        while let Some((order, hash)) = self.next_key(&mut buffer)? {
            self.meter.at(self.read(), 0)?;
            let change = match order {
                Ordering::Less => Change::Removed,
                Ordering::Greater => Change::Added,
                Ordering::Equal if self.skip_equal(hash, &buffer)? => {
                    self.counts.same += 1;
                    continue;
                }
                Ordering::Equal => Change::Changed,
            };
            *match change {
                Change::Added => &mut self.counts.added,
                Change::Removed => &mut self.counts.removed,
                Change::Changed => &mut self.counts.changed,
            } += 1;
            let (hash, key) = self.last.insert((hash, buffer));
            let (hash, key) = (*hash, key.as_slice());
            let old = self.old.current()?.filter(|old| (old.hash, old.key) == (hash, key));
            let new = self.new.current()?.filter(|new| (new.hash, new.key) == (hash, key));
            return Ok(Some(KeyDiff { change, hash, key, old, new }));
        }
        Ok(None)
    }

    /// How many keys have been met so far.
    #[must_use]
    pub const fn counts(&self) -> DiffCounts {
        self.counts
    }

    /// Entries of both sides that have been read so far, hidden ones included.
    #[must_use]
    pub const fn read(&self) -> u64 {
        self.old.counts().read + self.new.counts().read
    }

    /// Puts the next key of either side into `key`. Returns how the old side's key compares to the
    /// new side's, and the hash; `None` if neither side has another key.
    fn next_key(&self, key: &mut Vec<u8>) -> Result<Option<(Ordering, u64)>, MergeError> {
        let (old, new) = (self.old.current_key()?, self.new.current_key()?);
        let (order, (hash, next)) = match (old, new) {
            (None, None) => return Ok(None),
            (Some(old), None) => (Ordering::Less, old),
            (None, Some(new)) => (Ordering::Greater, new),
            (Some(old), Some(new)) => (old.cmp(&new), old.min(new)),
        };
        key.clear();
        key.extend_from_slice(next);
        Ok(Some((order, hash)))
    }

    /// Passes the entries of a key on both sides as long as they are equal. Returns whether all
    /// are.
    fn skip_equal(&mut self, hash: u64, key: &[u8]) -> Result<bool, MergeError> {
        loop {
            if !self.are_equal()? {
                return Ok(false);
            }
            self.old.next()?;
            self.new.next()?;
            let old = self.old.current_key()? == Some((hash, key));
            let new = self.new.current_key()? == Some((hash, key));
            if !old || !new {
                return Ok(old == new);
            }
        }
    }

    /// Whether the current entries of both sides have the same value.
    fn are_equal(&mut self) -> Result<bool, MergeError> {
        let Self { old, new, .. } = self;
        let stored = (stored(old)?, stored(new)?);
        if let Some(equal) = stored_forms_tell(&stored.0, &stored.1) {
            return Ok(equal);
        }
        self.counts.decoded += 1;
        Ok(value(&mut self.old)?.as_deref() == value(&mut self.new)?.as_deref())
    }
}

/// Passes all entries of a key.
fn skip_key(cursor: &mut MergeCursor, hash: u64, key: &[u8]) -> Result<(), MergeError> {
    while cursor.current_key()? == Some((hash, key)) {
        cursor.next()?;
    }
    Ok(())
}

/// The current entry of a side of which it is known that it has one.
#[inline(always)]
fn current(cursor: &mut MergeCursor) -> Result<MergedEntry<'_>, MergeError> {
    // `ok_or_else` would be a call, and copy the entry.
    match cursor.current()? {
        Some(entry) => Ok(entry),
        None => Err(MergeError::internal("both sides are on the key that is compared")),
    }
}

fn stored(cursor: &mut MergeCursor) -> Result<StoredValue<'_>, MergeError> {
    current(cursor)?.into_stored()
}

fn value(cursor: &mut MergeCursor) -> Result<Option<ValueBytes<'_>>, MergeError> {
    current(cursor)?.into_value()
}

/// Whether two values are equal, if their stored forms tell.
fn stored_forms_tell(old: &StoredValue<'_>, new: &StoredValue<'_>) -> Option<bool> {
    use EntryValue::{Inline, MediumStored, Small};
    let have_one_len = old.table_len() == new.table_len();
    let (old, new) = match (old, new) {
        (StoredValue::InTable(old), StoredValue::InTable(new)) => (old, new),
        (
            StoredValue::InBlob { number, catalog },
            StoredValue::InBlob { number: new_number, catalog: new_catalog },
        ) => return blobs_tell((*number, catalog), (*new_number, new_catalog)),
        _ => return None,
    };
    match (old, new) {
        (Inline(old) | Small(old), Inline(new) | Small(new)) => Some(old == new),
        (MediumStored { .. }, MediumStored { .. }) if old == new => Some(true),
        (MediumStored { .. }, MediumStored { .. }) => {
            let are_raw = is_raw(old) && is_raw(new);
            (are_raw || !have_one_len).then_some(false)
        }
        _ => None,
    }
}

/// Whether a medium value is stored without compression.
const fn is_raw(value: &EntryValue<'_>) -> bool {
    matches!(value, EntryValue::MediumStored { header, .. } if matches!(header.encoding, Encoding::Raw))
}

/// Whether two blobs are equal, if what is known of them without reading tells.
fn blobs_tell(
    (old, old_catalog): (BlobNumber, &Arc<Catalog>),
    (new, new_catalog): (BlobNumber, &Arc<Catalog>),
) -> Option<bool> {
    let is_one_number = old == new && old_catalog.dir == new_catalog.dir;
    // A list that cannot be read tells nothing; reading the blobs then says why.
    let (old, new) = (old_catalog.blobs().ok()?.get(&old)?, new_catalog.blobs().ok()?.get(&new)?);
    // Numbers are not used twice in a directory whose chain holds. If the directory was replaced by
    // another one since, the records differ.
    if is_one_number && old == new {
        return Some(true);
    }
    let is_raw = old.header.encoding == Encoding::Raw && new.header.encoding == Encoding::Raw;
    let differs = old.file_size != new.file_size || old.header != new.header;
    (is_raw && differs).then_some(false)
}
