//! Big-endian integers at a position of a slice: `None` past its end, never a panic.

use crate::{FormatError, Structure};

/// The `u16` at byte `at`.
#[inline]
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The `u32` at byte `at`.
#[inline]
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The `u64` at byte `at`.
#[inline]
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The `u16` at byte `AT` of a record. The compiler checks that it lies within the record.
#[inline]
pub(crate) const fn u16_in<const AT: usize, const LEN: usize>(record: &[u8; LEN]) -> u16 {
    u16::from_be_bytes(field::<AT, 2, LEN>(record))
}

/// The `u32` at byte `AT` of a record.
#[inline]
pub(crate) const fn u32_in<const AT: usize, const LEN: usize>(record: &[u8; LEN]) -> u32 {
    u32::from_be_bytes(field::<AT, 4, LEN>(record))
}

/// The `u64` at byte `AT` of a record.
#[inline]
pub(crate) const fn u64_in<const AT: usize, const LEN: usize>(record: &[u8; LEN]) -> u64 {
    u64::from_be_bytes(field::<AT, 8, LEN>(record))
}

/// The `N` bytes from byte `AT` of a record on.
#[inline]
#[expect(
    clippy::indexing_slicing,
    reason = "the assertion rules out, at compile time, what could panic"
)]
pub(crate) const fn field<const AT: usize, const N: usize, const LEN: usize>(
    record: &[u8; LEN],
) -> [u8; N] {
    const { assert!(AT + N <= LEN) };
    let mut bytes = [0; N];
    let mut i = 0;
    while i < N {
        bytes[i] = record[AT + i];
        i += 1;
    }
    bytes
}

/// Splits a word into its top byte and its low 24 bits, as the format packs a `u8` and a `u24`.
#[inline]
pub(crate) const fn split_u8_u24(word: u32) -> (u8, u32) {
    ((word >> 24) as u8, word & 0x00ff_ffff)
}

/// The reverse of [`split_u8_u24`]. Bits of `low` above 24 are a bug of the caller and are cut off.
#[inline]
pub(crate) const fn join_u8_u24(top: u8, low: u32) -> u32 {
    ((top as u32) << 24) | (low & 0x00ff_ffff)
}

/// Converts a count or a length for its field of 32 bits.
pub(crate) fn count(structure: Structure, len: usize) -> Result<u32, FormatError> {
    count_u64(structure, len as u64)
}

/// As [`count`], of a number that may be too large for memory.
pub(crate) fn count_u64(structure: Structure, value: u64) -> Result<u32, FormatError> {
    let max = u64::from(u32::MAX);
    u32::try_from(value).map_err(|_| FormatError::TooLarge { structure, value, max })
}
