//! Makes any number of keys with equal XXH3-64 hashes.
//!
//! For keys of 17 to 128 bytes, XXH3-64 with seed 0 adds up products, one for each 16 bytes of the
//! key. The factors are the low and the high 8 bytes, each combined with 8 bytes of a public
//! constant. If the low bytes equal the constant, the first factor is 0 and so is the product,
//! whatever the high 8 bytes are: they can be chosen freely. The windows of other products must not
//! overlap these 16 bytes, which leaves key lengths of 32 and of 48 to 128.

/// The first 8 bytes of the constant. As low bytes of a key they make the factor 0.
const CANCELLING: [u8; 8] = [0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe];

/// Length of the part of a key that does not change its hash.
const FREE_LEN: usize = 16;

/// Key number `n` of `len` bytes. All keys with the same `len` and `tail` have the same hash. The
/// rest of the key is filled with `tail`. Keys ascend with `n`.
///
/// # Panics
///
/// If `len` is neither 32 nor 48 to 128, since the keys would have different hashes.
#[must_use]
pub fn colliding_key(len: usize, tail: u8, n: u64) -> Vec<u8> {
    assert!(len == 32 || (48..=128).contains(&len), "no construction for {len} bytes");
    let mut key = Vec::with_capacity(len);
    key.extend(CANCELLING);
    key.extend(n.to_be_bytes());
    debug_assert_eq!(key.len(), FREE_LEN);
    key.resize(len, tail);
    key
}

/// The first `count` colliding keys, in ascending order.
pub fn colliding_keys(len: usize, tail: u8, count: u64) -> impl Iterator<Item = Vec<u8>> {
    (0..count).map(move |n| colliding_key(len, tail, n))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// The hash by both crates' functions, which were written independently of this construction.
    fn hash(key: &[u8]) -> u64 {
        let hash = sst_writer::table::hash_key(key);
        assert_eq!(hash, sst_reader::hash_key(key));
        hash
    }

    #[test]
    fn keys_differ_and_hashes_do_not() {
        let mut hashes = HashSet::new();
        for len in [32].into_iter().chain(48..=128) {
            for tail in [0, 1] {
                let keys: Vec<_> = colliding_keys(len, tail, 500)
                    .chain([colliding_key(len, tail, u64::MAX)])
                    .collect();
                assert!(keys.is_sorted_by(|a, b| a < b));
                let expected = hash(&keys[0]);
                assert!(keys.iter().all(|key| key.len() == len && hash(key) == expected), "{len}");
                assert!(hashes.insert(expected), "another length or tail has another hash");
            }
        }
    }

    #[test]
    fn a_byte_that_cancels_nothing_tells_keys_apart() {
        let mut keys: Vec<_> = colliding_keys(32, 0, 2).collect();
        keys.iter_mut().for_each(|key| key[0] ^= 1);
        assert_ne!(hash(&keys[0]), hash(&keys[1]));
    }
}
