//! Big-endian integers at a position of a slice: `None` past its end, never a panic.

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

/// Splits a word into its top byte and its low 24 bits: how the format packs a `u8` before a `u24`.
#[inline]
pub(crate) const fn split_u8_u24(word: u32) -> (u8, u32) {
    ((word >> 24) as u8, word & 0x00ff_ffff)
}

/// The reverse of [`split_u8_u24`]. Bits of `low` above 24 are an error of the caller and are cut off.
#[inline]
pub(crate) const fn join_u8_u24(top: u8, low: u32) -> u32 {
    ((top as u32) << 24) | (low & 0x00ff_ffff)
}
