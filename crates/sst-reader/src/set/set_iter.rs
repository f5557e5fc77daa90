//! Walking the tables of a set and keeping the entries.

use super::SetCursor;
use crate::{IterEntry, ReadError};

/// Iterator over the live entries of a set in (hash, key) order. It ends after the first error.
///
/// It has open and in memory what a [`SetCursor`] has, which lends entries and is faster. Each
/// entry keeps its file and its blocks alive.
///
/// Values in blob files come as their number: [`SstSet::read_blob`](crate::SstSet::read_blob) reads
/// them.
pub struct SetIter<'a> {
    cursor: SetCursor<'a>,
}

impl<'a> SetIter<'a> {
    pub(super) const fn new(cursor: SetCursor<'a>) -> Self {
        Self { cursor }
    }

    /// The same walk, from where it is, with entries that are lent.
    #[must_use]
    pub fn into_cursor(self) -> SetCursor<'a> {
        self.cursor
    }
}

impl<'a> Iterator for SetIter<'a> {
    type Item = Result<IterEntry<'a>, ReadError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.cursor.next_owned()
    }
}
