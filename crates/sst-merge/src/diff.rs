//! What has changed between two sets of tables.

use std::cmp::Ordering;
use std::ops::RangeInclusive;
use std::sync::Arc;

use sst_format::BlobNumber;
use sst_format::block::Encoding;
use sst_format::monitor::{Meter, Monitor, Phase, Progress};
use sst_reader::Catalog;

use crate::{Duplicates, Inputs, MergeCursor, MergeError, MergedValue, ValueBytes};

/// How a key differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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

/// Walks two sets of tables side by side and stops at every key that differs, in the order of (hash, key).
///
/// Live entries count: what `get` finds, or all entries of each key with [`Duplicates::Keep`]. Values are compared in
/// stored form first, and decompressed only where that leaves it open. Memory: one block for each run of tables.
///
/// # Examples
///
/// ```no_run
/// use sst_merge::{Diff, Duplicates, Inputs, Monitor};
/// use sst_reader::ReaderOptions;
///
/// let mut old = Inputs::new(ReaderOptions::default());
/// old.add_directory("monday.db".as_ref(), 0)?;
/// let mut new = Inputs::new(ReaderOptions::default());
/// new.add_directory("tuesday.db".as_ref(), 0)?;
/// let mut diff = Diff::new(&old, &new, 0..=u64::MAX, Duplicates::Newest, &Monitor::default())?;
/// while let Some(change) = diff.advance()? {
///     println!("{change:?} {}", diff.key().escape_ascii());
/// }
/// # Ok::<(), sst_merge::MergeError>(())
/// ```
#[derive(Debug)]
pub struct Diff {
    old: Side,
    new: Side,
    hash: u64,
    key: Vec<u8>,
    /// Whether the key at hand is one at which the walk has stopped.
    is_on_key: bool,
    counts: DiffCounts,
    meter: Meter,
}

/// One of the two.
#[derive(Debug)]
struct Side {
    cursor: MergeCursor,
    /// Whether the cursor is on an entry.
    is_on_entry: bool,
}

impl Side {
    fn new(cursor: MergeCursor) -> Result<Self, MergeError> {
        let mut side = Self { cursor, is_on_entry: false };
        side.advance()?;
        Ok(side)
    }

    fn advance(&mut self) -> Result<(), MergeError> {
        self.is_on_entry = self.cursor.advance()?;
        Ok(())
    }

    /// Whether it is on an entry of this key.
    fn is_on(&self, hash: u64, key: &[u8]) -> bool {
        self.is_on_entry && self.cursor.hash() == hash && self.cursor.key() == key
    }

    /// Passes all entries of a key.
    fn pass(&mut self, hash: u64, key: &[u8]) -> Result<(), MergeError> {
        while self.is_on(hash, key) {
            self.advance()?;
        }
        Ok(())
    }

    fn value(&mut self, hash: u64, key: &[u8]) -> Result<Option<ValueBytes<'_>>, MergeError> {
        if self.is_on(hash, key) { self.cursor.value().map(Some) } else { Ok(None) }
    }
}

impl Diff {
    /// Compares the keys with hashes in `hashes`. `monitor` is told of the entries read, hidden ones included.
    ///
    /// # Errors
    ///
    /// As [`MergeCursor::advance`].
    pub fn new(
        old: &Inputs,
        new: &Inputs,
        hashes: RangeInclusive<u64>,
        duplicates: Duplicates,
        monitor: &Monitor,
    ) -> Result<Self, MergeError> {
        let total = old.entry_count().zip(new.entry_count()).map(|(old, new)| old + new);
        let start = Progress::new(Phase::Compare).total_entries(total);
        Ok(Self {
            meter: Meter::new(monitor, start),
            old: Side::new(old.live(hashes.clone(), duplicates)?)?,
            new: Side::new(new.live(hashes, duplicates)?)?,
            hash: 0,
            key: Vec::new(),
            is_on_key: false,
            counts: DiffCounts::default(),
        })
    }

    /// Moves to the next key that differs; `None` when there is none.
    ///
    /// # Errors
    ///
    /// As [`MergeCursor::advance`] and [`MergeCursor::entry`], and [`MergeError::Cancelled`].
    pub fn advance(&mut self) -> Result<Option<Change>, MergeError> {
        if self.is_on_key {
            self.old.pass(self.hash, &self.key)?;
            self.new.pass(self.hash, &self.key)?;
        }
        self.is_on_key = true;
        while let Some(order) = self.next_key() {
            self.meter.at(self.read(), 0)?;
            let change = match order {
                Ordering::Less => Change::Removed,
                Ordering::Greater => Change::Added,
                Ordering::Equal if self.pass_equal()? => {
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
            return Ok(Some(change));
        }
        self.is_on_key = false;
        Ok(None)
    }

    /// Hash of the key at which the walk has stopped; meaningless if it has not.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// The key at which the walk has stopped; meaningless if it has not.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The old value: the first of the key's values that differs. `None` if there is none on this side.
    ///
    /// # Errors
    ///
    /// As [`MergeCursor::value`].
    pub fn old_value(&mut self) -> Result<Option<ValueBytes<'_>>, MergeError> {
        self.old.value(self.hash, &self.key)
    }

    /// The new value: the first of the key's values that differs. `None` if there is none on this side.
    ///
    /// # Errors
    ///
    /// As [`MergeCursor::value`].
    pub fn new_value(&mut self) -> Result<Option<ValueBytes<'_>>, MergeError> {
        self.new.value(self.hash, &self.key)
    }

    /// How many keys have been met so far.
    #[must_use]
    pub const fn counts(&self) -> DiffCounts {
        self.counts
    }

    /// Entries of both sides that have been read so far, hidden ones included.
    #[must_use]
    pub const fn read(&self) -> u64 {
        self.old.cursor.counts().read + self.new.cursor.counts().read
    }

    /// Takes the next key of either side. How the old side's compares to the new one's; `None` if there is none.
    fn next_key(&mut self) -> Option<Ordering> {
        let (old, new) = (&self.old, &self.new);
        let order = match (old.is_on_entry, new.is_on_entry) {
            (false, false) => return None,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (true, true) => {
                let (old, new) = (&old.cursor, &new.cursor);
                old.hash().cmp(&new.hash()).then_with(|| old.key().cmp(new.key()))
            }
        };
        let cursor = if order.is_le() { &old.cursor } else { &new.cursor };
        self.hash = cursor.hash();
        self.key.clear();
        self.key.extend_from_slice(cursor.key());
        Some(order)
    }

    /// Passes the entries of the key at hand on both sides as long as they are equal. Whether all are.
    fn pass_equal(&mut self) -> Result<bool, MergeError> {
        loop {
            if !self.are_equal()? {
                return Ok(false);
            }
            self.old.advance()?;
            self.new.advance()?;
            let old = self.old.is_on(self.hash, &self.key);
            let new = self.new.is_on(self.hash, &self.key);
            if !old || !new {
                return Ok(old == new);
            }
        }
    }

    /// Whether the current entries of both sides have the same value.
    fn are_equal(&mut self) -> Result<bool, MergeError> {
        let (old, new) = (self.old.cursor.entry()?, self.new.cursor.entry()?);
        match stored_forms_tell(&old.value, &new.value) {
            Some(equal) => Ok(equal),
            None => {
                self.counts.decoded += 1;
                Ok(*self.old.cursor.value()? == *self.new.cursor.value()?)
            }
        }
    }
}

/// Whether two values are equal, if their stored forms tell.
fn stored_forms_tell(old: &MergedValue<'_>, new: &MergedValue<'_>) -> Option<bool> {
    use MergedValue::{Blob, Inline, Medium, Small};
    match (old, new) {
        (Inline(old) | Small(old), Inline(new) | Small(new)) => Some(old == new),
        (Medium { header, stored }, Medium { header: new_header, stored: new_stored }) => {
            if header == new_header && stored == new_stored {
                return Some(true);
            }
            let len = header.payload_len(stored.len() as u64);
            let is_raw = header.encoding == Encoding::Raw && new_header.encoding == Encoding::Raw;
            (is_raw || len != new_header.payload_len(new_stored.len() as u64)).then_some(false)
        }
        (Blob { number, catalog }, Blob { number: new_number, catalog: new_catalog }) => {
            blobs_tell((*number, catalog), (*new_number, new_catalog))
        }
        _ => None,
    }
}

/// Whether two blobs are equal, if what is known of them without reading tells.
fn blobs_tell(
    (old, old_catalog): (BlobNumber, &Arc<Catalog>),
    (new, new_catalog): (BlobNumber, &Arc<Catalog>),
) -> Option<bool> {
    // Numbers are not used twice in a directory whose chain holds.
    if old == new && old_catalog.is_protected && old_catalog.dir == new_catalog.dir {
        return Some(true);
    }
    let (old, new) = (old_catalog.blobs.get(&old)?, new_catalog.blobs.get(&new)?);
    let is_raw = old.header.encoding == Encoding::Raw && new.header.encoding == Encoding::Raw;
    let differs = old.file_size != new.file_size || old.header != new.header;
    (is_raw && differs).then_some(false)
}
