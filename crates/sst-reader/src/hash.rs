//! The hash functions of the format.

use sha2::{Digest, Sha256};
use sst_format::key_block::KeyEntry;

/// The hash of a key: XXH3-64 with seed 0 (FORMAT.md section 2).
///
/// It has no secret: anyone can make keys with equal hashes. Nothing here depends on hashes being
/// distinct, only speed does.
#[must_use]
#[inline]
pub fn hash_key(key: &[u8]) -> u64 {
    twox_hash::XxHash3_64::oneshot(key)
}

/// The hash of an entry, stored or computed.
#[inline]
pub(crate) fn entry_hash(entry: &KeyEntry<'_>) -> u64 {
    entry.stored_hash.unwrap_or_else(|| hash_key(entry.key))
}

/// SHA-256 of the concatenation of some pieces: the function that
/// [`ContentDigest`](sst_format::content_digest::ContentDigest) is computed with.
#[must_use]
pub fn sha256(pieces: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    pieces.iter().for_each(|piece| hasher.update(piece));
    hasher.finalize().into()
}
