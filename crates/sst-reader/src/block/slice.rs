//! Bytes handed out by a table, without copying them.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use crate::block::cached_block::{BlockGuard, SharedBlock};
use crate::block::source::Source;

/// The uncompressed payload of a block, where it lies.
pub(crate) enum Payload<'a> {
    /// Stored raw in a file that is in memory.
    InPlace { source: &'a Arc<Source>, bytes: &'a [u8] },
    /// Found in the cache.
    Cached(BlockGuard),
    /// Just read or decompressed, perhaps shared with the cache.
    Shared(SharedBlock),
}

impl<'a> Payload<'a> {
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::InPlace { bytes, .. } => bytes,
            Self::Cached(block) => block.as_slice(),
            Self::Shared(block) => &block.slice,
        }
    }

    /// A part of the payload, given as a slice of [`Payload::as_slice`].
    #[inline]
    pub(crate) fn slice_of(&self, part: &[u8]) -> Slice<'a> {
        let range = range_within(self.as_slice(), part);
        Slice(match self {
            Self::InPlace { source, bytes } => {
                Repr::InPlace { source, bytes: bytes.get(range).unwrap_or_default() }
            }
            Self::Cached(block) => Repr::Shared { block: block.to_shared(), range },
            Self::Shared(block) => Repr::Shared { block: SharedBlock::clone(block), range },
        })
    }

    /// The part of the payload that `range_of` names, given its length: one within it. The payload is not shared once more,
    /// and what is cached is not looked at.
    #[inline]
    pub(crate) fn into_part<E>(
        self,
        range_of: impl FnOnce(u64) -> Result<Range<usize>, E>,
    ) -> Result<Slice<'a>, E> {
        Ok(Slice(match self {
            Self::InPlace { source, bytes } => {
                let range = range_of(bytes.len() as u64)?;
                Repr::InPlace { source, bytes: bytes.get(range).unwrap_or_default() }
            }
            Self::Cached(block) => {
                let range = range_of(block.len() as u64)?;
                Repr::Cached { block, range }
            }
            Self::Shared(block) => {
                let range = range_of(block.slice.len() as u64)?;
                Repr::Shared { block, range }
            }
        }))
    }
}

/// Where `part`, a slice of `whole`, lies in it.
#[inline]
fn range_within(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    start..start + part.len()
}

/// A key or a value of a table, without a copy: it borrows from the open file, or keeps a cached block alive.
///
/// It derefs to its bytes. [`Slice::into_owned`] frees it from the borrow, still without a copy.
pub struct Slice<'a>(Repr<'a>);

enum Repr<'a> {
    InPlace { source: &'a Arc<Source>, bytes: &'a [u8] },
    Cached { block: BlockGuard, range: Range<usize> },
    Shared { block: SharedBlock, range: Range<usize> },
    OwnSource { source: Arc<Source>, range: Range<usize> },
}

impl<'a> Slice<'a> {
    /// The whole of a payload.
    #[inline]
    pub(crate) fn whole(payload: Payload<'a>) -> Self {
        match payload {
            Payload::InPlace { source, bytes } => Self(Repr::InPlace { source, bytes }),
            Payload::Cached(block) => {
                let range = 0..block.len();
                Self(Repr::Cached { block, range })
            }
            Payload::Shared(block) => {
                let range = 0..block.slice.len();
                Self(Repr::Shared { block, range })
            }
        }
    }

    /// Bytes that nobody else holds.
    pub(crate) fn of_block(block: SharedBlock) -> Slice<'static> {
        let range = 0..block.slice.len();
        Slice(Repr::Shared { block, range })
    }

    /// Part of a file that nothing else keeps open. Empty if the range is not within the file, or not in memory.
    pub(crate) fn of_source(source: Arc<Source>, range: Range<usize>) -> Slice<'static> {
        Slice(Repr::OwnSource { source, range })
    }

    /// The bytes.
    #[must_use]
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Repr::InPlace { bytes, .. } => bytes,
            Repr::Cached { block, range } => {
                block.as_slice().get(range.clone()).unwrap_or_default()
            }
            Repr::Shared { block, range } => block.slice.get(range.clone()).unwrap_or_default(),
            Repr::OwnSource { source, range } => {
                source.as_slice().and_then(|all| all.get(range.clone())).unwrap_or_default()
            }
        }
    }

    /// The same bytes, with a share of a cached block instead of a guard over it: a thread has guards for a few blocks only,
    /// and finds others more slowly while they are taken.
    #[inline]
    pub(crate) fn unguarded(self) -> Self {
        match self.0 {
            Repr::Cached { block, range } => Self(Repr::Shared { block: block.to_shared(), range }),
            other => Self(other),
        }
    }

    /// The same bytes, free of the borrow: they keep the file or the cached block open themselves. No copy.
    #[must_use]
    pub fn into_owned(self) -> Slice<'static> {
        Slice(match self.0 {
            Repr::InPlace { source, bytes } => Repr::OwnSource {
                source: Arc::clone(source),
                range: range_within(source.as_slice().unwrap_or_default(), bytes),
            },
            Repr::Cached { block, range } => Repr::Shared { block: block.to_shared(), range },
            Repr::Shared { block, range } => Repr::Shared { block, range },
            Repr::OwnSource { source, range } => Repr::OwnSource { source, range },
        })
    }

    /// The same bytes as [`bytes::Bytes`], without a copy.
    #[cfg(feature = "bytes")]
    #[must_use]
    pub fn into_bytes(self) -> bytes::Bytes {
        bytes::Bytes::from_owner(self.into_owned())
    }
}

impl Clone for Slice<'_> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Repr::InPlace { source, bytes } => Repr::InPlace { source, bytes },
            Repr::Cached { block, range } => {
                Repr::Shared { block: block.to_shared(), range: range.clone() }
            }
            Repr::Shared { block, range } => {
                Repr::Shared { block: SharedBlock::clone(block), range: range.clone() }
            }
            Repr::OwnSource { source, range } => {
                Repr::OwnSource { source: Arc::clone(source), range: range.clone() }
            }
        })
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
}
