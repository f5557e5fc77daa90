//! Bytes handed out by a table, without copying them.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, Range, RangeBounds};
use std::sync::Arc;
use std::{fmt, slice};

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

    /// A part of the bytes, which keeps them in memory as this does. No copy.
    ///
    /// ```
    /// let slice = sst_reader::Slice::from(b"some bytes".to_vec());
    /// assert_eq!(slice.slice(5..), b"bytes");
    /// ```
    ///
    /// # Panics
    ///
    /// As `&self[range]` does: if the range ends before it starts, or behind the bytes. `get` gives
    /// a part only if there is one.
    #[must_use]
    #[expect(clippy::panic, reason = "as slices and `bytes::Bytes` do; `# Panics` says it")]
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Self {
        let range = (range.start_bound().cloned(), range.end_bound().cloned());
        match self.clone().narrow(|bytes| bytes.get(range).ok_or(bytes.len())) {
            Ok(part) => part,
            Err(len) => panic!("the range {range:?} is not one of {len} bytes"),
        }
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

    /// All of some bytes in memory.
    fn of_memory(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        match Self::of_source(Source::Memory(Box::new(bytes)), Source::as_slice) {
            Some(slice) => slice,
            // A source in memory has its bytes. If it had none, there would be none to hand out.
            None => Self::of_block(SharedBlock::from_header_and_slice((), &[])),
        }
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

impl Eq for Slice<'_> {}

impl PartialEq for Slice<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Ord for Slice<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl PartialOrd for Slice<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// As the bytes, so that maps with such keys can be asked with `&[u8]`.
impl Hash for Slice<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl Borrow<[u8]> for Slice<'_> {
    fn borrow(&self) -> &[u8] {
        self
    }
}

/// No bytes.
impl Default for Slice<'_> {
    fn default() -> Self {
        Slice::from(Vec::new())
    }
}

impl<'s> IntoIterator for &'s Slice<'_> {
    type Item = &'s u8;
    type IntoIter = slice::Iter<'s, u8>;

    fn into_iter(self) -> slice::Iter<'s, u8> {
        self.as_slice().iter()
    }
}

/// Bytes that were in memory before. No copy.
impl From<Vec<u8>> for Slice<'static> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::of_memory(bytes)
    }
}

/// Bytes of the program. No copy.
impl From<&'static [u8]> for Slice<'static> {
    fn from(bytes: &'static [u8]) -> Self {
        Self::of_memory(bytes)
    }
}

/// Text of the program. No copy.
impl From<&'static str> for Slice<'static> {
    fn from(text: &'static str) -> Self {
        Self::of_memory(text)
    }
}

/// Text that was in memory before. No copy.
impl From<String> for Slice<'static> {
    fn from(text: String) -> Self {
        Self::of_memory(text)
    }
}

/// The same bytes. No copy.
#[cfg(feature = "bytes")]
impl From<bytes::Bytes> for Slice<'static> {
    fn from(bytes: bytes::Bytes) -> Self {
        Self::of_memory(bytes)
    }
}

/// The same bytes. No copy.
#[cfg(feature = "bytes")]
impl From<Slice<'_>> for bytes::Bytes {
    fn from(slice: Slice<'_>) -> Self {
        slice.into_bytes()
    }
}

/// A copy.
impl From<Slice<'_>> for Vec<u8> {
    fn from(slice: Slice<'_>) -> Self {
        slice.to_vec()
    }
}

/// Compares with other types of bytes, in both directions.
macro_rules! compared_with {
    ($([$($generics:tt)*] $other:ty;)*) => {$(
        impl<$($generics)*> PartialEq<$other> for Slice<'_> {
            fn eq(&self, other: &$other) -> bool {
                self.as_slice() == AsRef::<[u8]>::as_ref(other)
            }
        }

        impl<$($generics)*> PartialEq<Slice<'_>> for $other {
            fn eq(&self, other: &Slice<'_>) -> bool {
                other == self
            }
        }

        impl<$($generics)*> PartialOrd<$other> for Slice<'_> {
            fn partial_cmp(&self, other: &$other) -> Option<Ordering> {
                self.as_slice().partial_cmp(AsRef::<[u8]>::as_ref(other))
            }
        }
    )*};
}

compared_with! {
    [] [u8];
    [] &[u8];
    [const N: usize] [u8; N];
    [const N: usize] &[u8; N];
    [] str;
    [] &str;
    [] Vec<u8>;
    [] String;
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
    fn a_slice_is_compared_ordered_and_hashed_as_its_bytes() {
        use std::collections::{BTreeSet, HashMap};
        let slice = |text: &str| Slice::from(text.as_bytes().to_vec());
        let apple = slice("apple");
        assert_eq!(apple, *b"apple");
        assert_eq!(b"apple", apple);
        assert_eq!(*"apple", apple);
        let (text, bytes) = ("apple".to_owned(), b"apple".to_vec());
        assert_eq!(apple, text);
        assert_eq!(bytes, apple);
        assert!(apple < slice("pear") && apple < b"b"[..] && slice("apples") > apple);
        let sorted: BTreeSet<_> = ["pear", "apple", "plum"].map(slice).into();
        assert_eq!(sorted.first(), Some(&apple));
        let map = HashMap::from([(apple.clone(), 1), (slice("pear"), 2)]);
        assert_eq!((map.get(&b"pear"[..]), map.get(&b"plum"[..])), (Some(&2), None));
        assert_eq!((&apple).into_iter().copied().collect::<Vec<u8>>(), Vec::from(apple));
        assert!(Slice::default().is_empty());
        assert_eq!(Slice::from(&b"static"[..]), b"static");
    }

    #[test]
    fn a_part_keeps_the_whole_in_memory() {
        let part = {
            let whole = Slice::from(b"some bytes".to_vec());
            assert_eq!(whole.slice(..), whole);
            assert_eq!(whole.slice(10..), b"");
            whole.slice(1..=6).slice(4..6)
        };
        assert_eq!(part, b"by");
        let block = Slice::of_block(shared_block(b"some bytes"));
        assert_eq!(block.slice(..4), b"some");
    }

    #[test]
    #[should_panic(expected = "10 bytes")]
    fn a_part_that_is_none_panics_as_that_of_a_slice() {
        _ = Slice::from(b"some bytes".to_vec()).slice(5..11);
    }

    #[cfg(feature = "bytes")]
    #[test]
    fn bytes_come_and_go_without_a_copy() {
        let bytes = bytes::Bytes::from(b"some bytes".to_vec());
        let slice = Slice::from(bytes.clone());
        assert_eq!(slice.as_ptr(), bytes.as_ptr());
        let back: bytes::Bytes = slice.slice(5..).into();
        assert_eq!(back.as_ptr(), bytes[5..].as_ptr());
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
