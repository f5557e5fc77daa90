//! A cursor over a table of a set, whether it is kept open or not.

use std::ops::RangeInclusive;
use std::sync::Arc;

use self_cell::self_cell;

use super::set_table::TableInUse;
use crate::{Cursor, EntryRef, IterEntry, ReadError, StaticSortedFile};

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

impl OwningCursor {
    /// As [`Cursor::owned_entry`].
    #[inline(never)]
    pub(super) fn owned_entry(
        &mut self,
        is_stepped: bool,
        describe: impl FnOnce(ReadError) -> ReadError,
    ) -> Option<Result<IterEntry<'static>, ReadError>> {
        self.with_dependent_mut(|_, cursor| {
            Some(cursor.owned_entry(is_stepped, describe)?.map(IterEntry::into_owned))
        })
    }
}

impl<'s> TableCursor<'s> {
    /// A cursor over the entries of `table` whose hashes are in `hashes`.
    pub(super) fn new(
        table: TableInUse<'s>,
        hashes: RangeInclusive<u64>,
    ) -> Result<Self, ReadError> {
        match table {
            TableInUse::Kept(table) => table.range(hashes).map(Self::Borrowing),
            TableInUse::Shared(table) => {
                OwningCursor::try_new(table, |table| table.range(hashes)).map(Self::Owning)
            }
        }
    }

    /// As [`Cursor::step_in_live_block`], of a cursor that borrows its table.
    #[inline(always)]
    pub(super) fn step_in_live_block(&mut self) -> bool {
        match self {
            Self::Borrowing(cursor) => cursor.step_in_live_block(),
            Self::Owning(_) => false,
        }
    }

    /// As [`Cursor::step_live`].
    pub(super) fn step_live(&mut self, with_tombstones: bool) -> Result<bool, ReadError> {
        match self {
            Self::Borrowing(cursor) => cursor.step_live(with_tombstones),
            Self::Owning(cell) => {
                cell.with_dependent_mut(|_, cursor| cursor.step_live(with_tombstones))
            }
        }
    }

    /// As [`Cursor::is_stopped`].
    pub(super) fn is_stopped(&self) -> bool {
        self.cursor().is_stopped()
    }

    /// Lends the entry to which [`TableCursor::step_live`] has moved; `None` behind the last hash.
    #[inline(always)]
    pub(super) fn lend_stepped(&mut self) -> Result<Option<EntryRef<'_>>, ReadError> {
        match self {
            Self::Borrowing(cursor) => cursor.lend_stepped(),
            Self::Owning(cell) => cell.with_dependent_mut(|_, cursor| cursor.lend_stepped()),
        }
    }

    /// Moves to the next entry and gives its hash. `None` behind the last one.
    #[inline]
    pub(super) fn advance(&mut self) -> Result<Option<u64>, ReadError> {
        match self {
            Self::Borrowing(cursor) => cursor.advance(),
            Self::Owning(cell) => cell.with_dependent_mut(|_, cursor| cursor.advance()),
        }
    }

    /// Whether the current entry is a tombstone.
    #[inline]
    pub(super) fn is_tombstone(&self) -> Result<bool, ReadError> {
        self.cursor().is_tombstone()
    }

    /// The key of the current entry; `None` if there is none.
    #[inline]
    pub(super) fn key(&self) -> Result<Option<&[u8]>, ReadError> {
        self.cursor().current_key()
    }

    /// As [`Cursor::previous_key`].
    pub(super) fn previous_key(&self) -> Result<Option<&[u8]>, ReadError> {
        self.cursor().previous_key()
    }

    /// Lends the current entry; `None` if there is none.
    #[inline]
    pub(super) fn lend(&mut self) -> Result<Option<EntryRef<'_>>, ReadError> {
        match self {
            Self::Borrowing(cursor) => cursor.current(),
            Self::Owning(cell) => cell.with_dependent_mut(|_, cursor| cursor.current()),
        }
    }

    #[inline]
    fn cursor(&self) -> &Cursor<'_> {
        match self {
            Self::Borrowing(cursor) => cursor,
            Self::Owning(cell) => cell.borrow_dependent(),
        }
    }
}
