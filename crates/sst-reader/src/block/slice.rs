//! Bytes handed out by a table, without copying them.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use crate::block::cached_block::{BlockGuard, SharedBlock};
use crate::block::memory::HeldBytes;
use crate::block::source::Source;

/// A key, a value or a block of a table, without a copy: it borrows from the open file, or keeps a
/// cached block alive.
///
/// It derefs to its bytes. [`Slice::into_owned`] frees it from the borrow, still without a copy.
pub struct Slice<'a>(HeldBytes<'a, Source>);

impl<'a> Slice<'a> {
    /// The part of the bytes that `choose` finds, borrowed from these.
    #[inline(always)]
    pub(crate) fn part<E>(
        &'a self,
        choose: impl for<'x> FnOnce(&'x [u8]) -> Result<&'x [u8], E>,
    ) -> Result<Self, E> {
        self.0.part(choose).map(Self)
    }

    /// All bytes of a cached block; `None` if its slot was empty.
    #[inline]
    pub(crate) fn of_guard(guard: BlockGuard) -> Option<Self> {
        HeldBytes::of_guard(guard).map(Self)
    }

    /// All bytes of a block.
    #[inline]
    pub(crate) fn of_block(block: SharedBlock) -> Self {
        Self(HeldBytes::of_block(block))
    }

    /// The bytes.
    #[must_use]
    #[inline]
    pub const fn as_slice(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// The part of the bytes that `choose` finds.
    #[inline(always)]
    pub(crate) fn narrow<E>(
        self,
        choose: impl for<'x> FnOnce(&'x [u8]) -> Result<&'x [u8], E>,
    ) -> Result<Self, E> {
        self.0.narrow(choose).map(Self)
    }

    /// `part`, a slice of these bytes, to be kept beside them. `None` if it is a slice of other
    /// bytes.
    #[inline(always)]
    pub(crate) fn clone_of_part(&self, part: &[u8]) -> Option<Self> {
        self.0.clone_of_part(part).map(Self)
    }

    /// Whether something else holds the memory of the bytes too, and it is not that of a file.
    pub(crate) fn is_shared(&self) -> bool {
        self.0.is_shared()
    }

    /// The same bytes, held by a count instead of a guard: a thread has guards for a few blocks
    /// only, and finds other blocks more slowly while they are taken.
    #[inline]
    pub(crate) fn unguarded(self) -> Self {
        Self(self.0.unguarded())
    }

    /// The same bytes, free of the borrow: they keep the file or the cached block open themselves.
    /// No copy.
    #[must_use]
    pub fn into_owned(self) -> Slice<'static> {
        Slice(self.0.into_owned())
    }

    /// The same bytes as [`bytes::Bytes`], without a copy.
    #[cfg(feature = "bytes")]
    #[must_use]
    pub fn into_bytes(self) -> bytes::Bytes {
        bytes::Bytes::from_owner(self.into_owned())
    }
}

/// The range that `part`, a slice of `whole`, has in it. `None` if it is a slice of other bytes.
#[inline(always)]
pub(crate) fn range_in(whole: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    let end = start.checked_add(part.len())?;
    (end <= whole.len()).then_some(start..end)
}

impl Slice<'static> {
    /// A part of a file, if `choose` finds it, which keeps the file open.
    pub(crate) fn of_source(
        source: impl Into<Arc<Source>>,
        choose: impl for<'x> FnOnce(&'x Source) -> Option<&'x [u8]>,
    ) -> Option<Self> {
        HeldBytes::of_file(source.into(), choose).map(Self)
    }
}

impl Clone for Slice<'_> {
    #[inline]
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Deref for Slice<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl AsRef<[u8]> for Slice<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Slice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.as_slice().escape_ascii())
    }
}

impl PartialEq for Slice<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Slice<'_> {}

impl PartialEq<[u8]> for Slice<'_> {
    fn eq(&self, other: &[u8]) -> bool {
        self.as_slice() == other
    }
}

impl PartialEq<&[u8]> for Slice<'_> {
    fn eq(&self, other: &&[u8]) -> bool {
        self.as_slice() == *other
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::block::cached_block::shared_block;

    #[test]
    fn a_slice_equals_its_bytes_and_no_others() {
        let slice = Slice::of_block(shared_block(b"some bytes"));
        assert_eq!(slice, *b"some bytes".as_slice());
        assert_eq!(slice, b"some bytes".as_slice());
        assert_ne!(slice, b"other bytes".as_slice());
        assert_eq!(slice, slice.clone().into_owned());
        assert_ne!(slice, Slice::of_block(shared_block(b"")));
    }

    #[test]
    fn a_part_is_one_only_of_the_bytes_that_it_lies_in() {
        let (whole, other) = (shared_block(b"some bytes"), shared_block(b"some bytes"));
        let slice = Slice::of_block(whole);
        assert_eq!(slice.clone_of_part(&slice[5..]).unwrap(), b"bytes".as_slice());
        assert_eq!(slice.clone_of_part(&slice[10..]).unwrap(), b"".as_slice());
        assert!(slice.clone_of_part(&other.slice[1..3]).is_none());
        let part = slice.clone().narrow(|bytes| Ok::<_, ()>(&bytes[5..])).unwrap();
        assert_eq!(part, b"bytes".as_slice());
        assert_eq!(part.clone_of_part(&slice[6..8]).unwrap(), b"yt".as_slice());
        assert!(part.clone_of_part(&slice[4..6]).is_none());
        let narrowed = slice.narrow(|bytes| Ok::<_, ()>(&bytes[2..4])).unwrap();
        assert_eq!(narrowed.clone().into_owned(), b"me".as_slice());
        assert!(narrowed.narrow(|_| Err(7)).is_err_and(|error| error == 7));
    }
}
