//! Entry types and value references: the fields behind each key of a key block (FORMAT.md section
//! 4).
//!
//! ```text
//! type   value          reference
//!    0   small          u16 block, u16 length, u32 offset in the block's uncompressed payload
//!    1   blob           u32 blob number
//!    2   tombstone      nothing
//!    3   medium         u16 block: the value is its whole payload
//! 8 + s  inline         the s bytes themselves
//! ```
//!
//! The length of a reference follows from the type alone; only [`EntryType::value_ref_len`] states
//! it.

use alloc::vec::Vec;
use core::ops::Range;

use crate::limits::MAX_READABLE_INLINE_LEN;
use crate::{BlobNumber, BlockIndex, FormatError, Structure};

const SMALL: u8 = 0;
const BLOB: u8 = 1;
const DELETED: u8 = 2;
const MEDIUM: u8 = 3;
const INLINE: u8 = 8;

/// The bytes of a reference to a small value: block index, length and offset.
pub const SMALL_LEN: usize = 8;

/// A type byte that the format defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryType(u8);

impl EntryType {
    /// Type of an entry whose value is a slice of a shared value block.
    pub const SMALL: Self = Self(SMALL);
    /// Type of an entry whose value is in a file of its own.
    pub const BLOB: Self = Self(BLOB);
    /// Type of a tombstone.
    pub const DELETED: Self = Self(DELETED);
    /// Type of an entry whose value is a whole block.
    pub const MEDIUM: Self = Self(MEDIUM);

    /// Type of an entry with an inline value of `len` bytes.
    ///
    /// # Errors
    ///
    /// [`FormatError::TooLarge`] above 247 bytes.
    #[inline]
    pub fn inline(len: usize) -> Result<Self, FormatError> {
        match u8::try_from(len) {
            Ok(len) if usize::from(len) <= MAX_READABLE_INLINE_LEN => Ok(Self(INLINE + len)),
            _ => Err(FormatError::TooLarge {
                structure: Structure::ValueRef,
                value: len as u64,
                max: MAX_READABLE_INLINE_LEN as u64,
            }),
        }
    }

    /// The type with this byte.
    ///
    /// # Errors
    ///
    /// [`FormatError::UnknownEntryType`].
    #[inline]
    pub const fn from_byte(byte: u8) -> Result<Self, FormatError> {
        match byte {
            SMALL..=MEDIUM | INLINE..=u8::MAX => Ok(Self(byte)),
            found => Err(FormatError::UnknownEntryType { found }),
        }
    }

    /// The byte of the type.
    #[must_use]
    #[inline]
    pub const fn to_byte(self) -> u8 {
        self.0
    }

    /// Whether the value is with the key.
    #[must_use]
    #[inline]
    pub const fn is_inline(self) -> bool {
        self.0 >= INLINE
    }

    /// Length of the value reference behind a key of this type, in bytes.
    #[must_use]
    #[inline]
    pub const fn value_ref_len(self) -> usize {
        match self.0 {
            SMALL => SMALL_LEN,
            BLOB => 4,
            MEDIUM => 2,
            inline @ INLINE.. => (inline - INLINE) as usize,
            // A tombstone: no other byte is a type.
            _ => 0,
        }
    }

    /// Name of the type, without its length if it is inline: `small`, `blob`, `deleted`, `medium`,
    /// `inline`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            SMALL => "small",
            BLOB => "blob",
            MEDIUM => "medium",
            INLINE.. => "inline",
            // No other byte is a type.
            _ => "deleted",
        }
    }
}

/// The value of an entry, or its location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueRef<'a> {
    /// The value is a slice of the uncompressed payload of a shared value block.
    Small {
        /// The value block.
        block: BlockIndex,
        /// Length of the value in bytes.
        len: u16,
        /// Byte of the payload at which the value starts.
        offset: u32,
    },
    /// The value is in a blob file.
    Blob(BlobNumber),
    /// There is no value: a tombstone.
    Deleted,
    /// The value is the whole uncompressed payload of a block.
    Medium(BlockIndex),
    /// The value itself.
    Inline(&'a [u8]),
}

impl<'a> ValueRef<'a> {
    /// The entry type of the reference.
    ///
    /// # Errors
    ///
    /// [`FormatError::TooLarge`] for an inline value over 247 bytes.
    pub fn entry_type(&self) -> Result<EntryType, FormatError> {
        Ok(match self {
            Self::Small { .. } => EntryType::SMALL,
            Self::Blob(_) => EntryType::BLOB,
            Self::Deleted => EntryType::DELETED,
            Self::Medium(_) => EntryType::MEDIUM,
            Self::Inline(value) => EntryType::inline(value.len())?,
        })
    }

    /// Appends the reference to `out`, which takes [`EntryType::value_ref_len`] bytes.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Small { block, len, offset } => {
                let word = (u64::from(block.0) << 48) | (u64::from(len) << 32) | u64::from(offset);
                out.extend_from_slice(&word.to_be_bytes());
            }
            Self::Blob(number) => out.extend_from_slice(&number.0.to_be_bytes()),
            Self::Deleted => {}
            Self::Medium(block) => out.extend_from_slice(&block.0.to_be_bytes()),
            Self::Inline(value) => out.extend_from_slice(value),
        }
    }

    /// Parses the reference of an entry of type `entry_type`.
    ///
    /// # Errors
    ///
    /// [`FormatError::WrongLen`] if `bytes` do not have the length that the type requires.
    #[inline]
    pub fn parse(entry_type: EntryType, bytes: &'a [u8]) -> Result<Self, FormatError> {
        Self::of_exact_len(entry_type, bytes).ok_or_else(|| FormatError::WrongLen {
            structure: Structure::ValueRef,
            expected: entry_type.value_ref_len() as u64,
            found: bytes.len() as u64,
        })
    }

    /// As [`ValueRef::parse`]; `None` if the bytes are not as many as the type needs.
    #[inline(always)]
    fn of_exact_len(entry_type: EntryType, bytes: &'a [u8]) -> Option<Self> {
        Some(match entry_type.0 {
            SMALL => {
                let &[b0, b1, l0, l1, offset @ ..] = <&[u8; SMALL_LEN]>::try_from(bytes).ok()?;
                Self::Small {
                    block: BlockIndex(u16::from_be_bytes([b0, b1])),
                    len: u16::from_be_bytes([l0, l1]),
                    offset: u32::from_be_bytes(offset),
                }
            }
            BLOB => Self::Blob(BlobNumber(u32::from_be_bytes(bytes.try_into().ok()?))),
            MEDIUM => Self::Medium(BlockIndex(u16::from_be_bytes(bytes.try_into().ok()?))),
            INLINE.. if bytes.len() == entry_type.value_ref_len() => Self::Inline(bytes),
            DELETED if bytes.is_empty() => Self::Deleted,
            _ => return None,
        })
    }
}

/// Sets the block index in an encoded reference to a small value.
///
/// The writer learns the index last. The caller must know from the entry type that `reference`
/// refers to a small value.
#[inline]
pub const fn set_small_block(reference: &mut [u8; SMALL_LEN], block: BlockIndex) {
    let [high, low, ..] = reference;
    [*high, *low] = block.0.to_be_bytes();
}

/// The range of a small value in the uncompressed payload of its value block (FORMAT.md section 5).
///
/// # Errors
///
/// [`FormatError::ValueOutOfBounds`].
#[inline]
pub fn small_value_range(
    payload_len: u64,
    len: u16,
    offset: u32,
) -> Result<Range<usize>, FormatError> {
    let end = u64::from(offset) + u64::from(len);
    match (usize::try_from(offset), usize::try_from(end)) {
        (Ok(start), Ok(range_end)) if end <= payload_len => Ok(start..range_end),
        _ => Err(FormatError::ValueOutOfBounds { offset, len, payload_len }),
    }
}

/// The bytes of a small value within the uncompressed payload of its value block.
///
/// # Errors
///
/// [`FormatError::ValueOutOfBounds`].
#[inline]
pub fn small_value(payload: &[u8], len: u16, offset: u32) -> Result<&[u8], FormatError> {
    let payload_len = payload.len() as u64;
    payload.get(small_value_range(payload_len, len, offset)?).ok_or(FormatError::ValueOutOfBounds {
        offset,
        len,
        payload_len,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_round_trip() {
        let cases: [(ValueRef<'_>, u8, &[u8]); 6] = [
            (
                ValueRef::Small { block: BlockIndex(0x0102), len: 0x0304, offset: 0x0506_0708 },
                0,
                &[1, 2, 3, 4, 5, 6, 7, 8],
            ),
            (ValueRef::Blob(BlobNumber(0x0102_0304)), 1, &[1, 2, 3, 4]),
            (ValueRef::Deleted, 2, &[]),
            (ValueRef::Medium(BlockIndex(0x0102)), 3, &[1, 2]),
            (ValueRef::Inline(&[]), 8, &[]),
            (ValueRef::Inline(&[9; 247]), 255, &[9; 247]),
        ];
        for (value_ref, byte, bytes) in cases {
            let entry_type = value_ref.entry_type().unwrap();
            assert_eq!(entry_type.to_byte(), byte);
            assert_eq!(entry_type.is_inline(), matches!(value_ref, ValueRef::Inline(_)));
            assert_eq!(EntryType::from_byte(byte), Ok(entry_type));
            let mut encoded = Vec::new();
            value_ref.encode(&mut encoded);
            assert_eq!(encoded, bytes);
            assert_eq!(ValueRef::parse(entry_type, bytes), Ok(value_ref));
            let longer = [bytes, &[0]].concat();
            assert!(ValueRef::parse(entry_type, &longer).is_err());
        }
    }

    #[test]
    fn the_block_of_a_small_value_can_be_set_later() {
        let small = |block| ValueRef::Small { block: BlockIndex(block), len: 7, offset: 9 };
        let (mut early, mut late) = (Vec::new(), Vec::new());
        small(0).encode(&mut early);
        small(0x0102).encode(&mut late);
        set_small_block(early.first_chunk_mut().unwrap(), BlockIndex(0x0102));
        assert_eq!(early, late);
    }

    #[test]
    fn undefined_types_are_refused() {
        for byte in 4..8 {
            assert_eq!(
                EntryType::from_byte(byte),
                Err(FormatError::UnknownEntryType { found: byte })
            );
        }
        assert!(EntryType::inline(248).is_err());
        assert!(EntryType::inline(1 << 40).is_err());
    }

    #[test]
    fn small_values_stay_within_their_block() {
        assert_eq!(small_value(b"abcdef", 3, 3).unwrap(), b"def");
        assert_eq!(small_value(b"abcdef", 0, 6).unwrap(), b"");
        assert!(small_value(b"abcdef", 4, 3).is_err());
        assert!(small_value(b"abcdef", 0, 7).is_err());
        assert!(small_value(b"abcdef", 1, u32::MAX).is_err());
    }
}
