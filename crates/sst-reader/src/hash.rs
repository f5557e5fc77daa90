//! The hash function of the format.

/// The hash of a key: XXH3-64 with seed 0 (FORMAT.md section 2).
///
/// It has no secret: anyone can make keys with equal hashes. Nothing here depends on hashes being
/// distinct, only speed does.
#[must_use]
#[inline]
pub fn hash_key(key: &[u8]) -> u64 {
    twox_hash::XxHash3_64::oneshot(key)
}
