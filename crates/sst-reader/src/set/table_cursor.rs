//! A cursor over a table of a set, whether it is kept open or not.

use std::ops::RangeInclusive;
use std::sync::Arc;

use self_cell::self_cell;

use super::set_table::OpenTable;
use crate::{Cursor, IterEntry, ReadError, Slice, StaticSortedFile};

self_cell!(
    /// A cursor together with the table that it walks, which stays open for it.
    pub(super) struct OwningCursor {
        owner: Arc<StaticSortedFile>,
        #[covariant]
        dependent: Cursor,
    }
);

/// A [`Cursor`] that borrows its table from the set, or holds its own share of it.
#[expect(
    clippy::large_enum_variant,
    reason = "a cursor that borrows is found without one more pointer; the other kind is rare"
)]
pub(super) enum TableCursor<'s> {
    Borrowing(Cursor<'s>),
    Owning(OwningCursor),
}

impl<'s> TableCursor<'s> {
    /// A cursor over the entries of `table` whose hashes are in `hashes`.
    pub(super) fn new(
        table: OpenTable<'s>,
        hashes: RangeInclusive<u64>,
    ) -> Result<Self, ReadError> {
        match table {
            OpenTable::Kept(table) => table.range(hashes).map(Self::Borrowing),
            OpenTable::Shared(table) => {
                OwningCursor::try_new(table, |table| table.range(hashes)).map(Self::Owning)
            }
        }
    }

    /// Moves to the next entry and gives its hash and key, to be kept. `None` behind the last one.
    pub(super) fn next_key(&mut self) -> Result<Option<(u64, Slice<'s>)>, ReadError> {
        match self {
            Self::Borrowing(cursor) => cursor.next_key(),
            Self::Owning(cell) => cell.with_dependent_mut(|_, cursor| {
                let key = cursor.next_key()?;
                Ok(key.map(|(hash, key)| (hash, key.into_owned())))
            }),
        }
    }

    /// The current entry, to be kept; `None` if it stands on none.
    pub(super) fn owned_entry(&mut self) -> Result<Option<IterEntry<'s>>, ReadError> {
        match self {
            Self::Borrowing(cursor) => cursor.owned_entry(),
            Self::Owning(cell) => cell.with_dependent_mut(|_, cursor| {
                cursor.owned_entry().map(|entry| entry.map(IterEntry::into_owned))
            }),
        }
    }
}
