//! The walks of a set.

use std::ops::RangeInclusive;

use super::set_cursor::Values;
use super::{SetCursor, SetEntries, SetIter, SstSet};

impl SstSet {
    /// All live entries as pairs of key and value, blobs included, in (hash, key) order. `for entry
    /// in &set` does the same.
    #[must_use]
    pub fn entries(&self) -> SetEntries<'_> {
        SetEntries::new(self.iter(), self)
    }

    /// All live entries in (hash, key) order, each key as its newest table has it: those that
    /// [`SstSet::get`] finds.
    #[must_use]
    pub fn iter(&self) -> SetIter<'_> {
        self.range(0..=u64::MAX)
    }

    /// [`SstSet::iter`] with entries that are lent: nothing is copied or counted for an entry. The
    /// other walks have one too: [`SetIter::into_cursor`].
    #[must_use]
    pub fn cursor(&self) -> SetCursor<'_> {
        self.iter().into_cursor()
    }

    /// [`SstSet::iter`] over the keys whose hashes are in `hashes`: the part of the tables before
    /// the range is not read.
    #[must_use]
    pub fn range(&self, hashes: RangeInclusive<u64>) -> SetIter<'_> {
        SetIter::new(SetCursor::new(self, hashes, Values::Newest))
    }

    /// [`SstSet::iter`] with tombstones: the entries of each key in the newest table that knows it.
    /// A part of the tables of a directory is more than its live entries, since tombstones in it
    /// hide entries of older tables.
    #[must_use]
    pub fn iter_with_tombstones(&self) -> SetIter<'_> {
        SetIter::new(SetCursor::new(self, 0..=u64::MAX, Values::Newest).with_tombstones())
    }

    /// All live entries in (hash, key) order, each key with its entries in all tables: those that
    /// [`SstSet::get_all`] finds.
    #[must_use]
    pub fn iter_all(&self) -> SetIter<'_> {
        self.range_all(0..=u64::MAX)
    }

    /// [`SstSet::iter_all`] over the keys whose hashes are in `hashes`.
    #[must_use]
    pub fn range_all(&self, hashes: RangeInclusive<u64>) -> SetIter<'_> {
        SetIter::new(SetCursor::new(self, hashes, Values::All))
    }
}
