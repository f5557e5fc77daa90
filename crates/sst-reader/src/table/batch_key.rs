//! The keys of a call for many, in the order of their hashes.

use crate::hash::hash_key;

/// A key to be looked up, its hash, and its place among the keys of the call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchKey<'k> {
    pub(crate) hash: u64,
    pub(crate) key: &'k [u8],
    pub(crate) place: usize,
}

/// Fewer keys are sorted by comparing them.
const MIN_SPREAD: usize = 32;

/// Bits of the number of a bucket, at most: the counts of all buckets are in the first-level cache.
const MAX_BUCKET_BITS: u32 = 12;

/// With more keys in one bucket, all keys are sorted by comparing them. Evenly spread hashes have
/// at most so many as long as there are some 50,000 of them.
const MAX_BUCKET: u32 = 32;

impl<'k> BatchKey<'k> {
    /// These keys in the order of their hashes. O(n) for evenly spread hashes, else O(n log n).
    pub(crate) fn sorted<K: AsRef<[u8]>>(keys: &'k [K]) -> Vec<Self> {
        let hashed = keys.iter().enumerate().map(|(place, key)| {
            let key = key.as_ref();
            Self { hash: hash_key(key), key, place }
        });
        sorted(hashed.collect())
    }
}

fn sorted(mut keys: Vec<BatchKey<'_>>) -> Vec<BatchKey<'_>> {
    if keys.len() >= MIN_SPREAD
        && let Some(sorted) = spread(&keys)
    {
        return sorted;
    }
    keys.sort_unstable_by_key(|key| key.hash);
    keys
}

/// The keys, sorted by the bucket that the first bits of their hash tell, and then by moving each
/// key before those of its bucket that are above it. `None` if a bucket gets too many.
#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a bucket has at most as many bits as there are counts, a count at most as many keys as there are"
)]
fn spread<'k>(keys: &[BatchKey<'k>]) -> Option<Vec<BatchKey<'k>>> {
    if keys.len() >> MAX_BUCKET_BITS >= MAX_BUCKET as usize {
        return None;
    }
    let lowest = keys.iter().fold(u64::MAX, |lowest, key| lowest.min(key.hash));
    let highest = keys.iter().fold(0, |highest, key| highest.max(key.hash));
    let bits = keys.len().ilog2().min(MAX_BUCKET_BITS);
    let width_bits = u64::BITS - (highest - lowest).leading_zeros();
    let shift = width_bits.saturating_sub(bits);
    let bucket_of = |key: &BatchKey<'_>| ((key.hash - lowest) >> shift) as usize;
    // Of each bucket first how many keys it has, then where the next of them goes.
    let mut next = vec![0_u32; 1 << bits];
    for key in keys {
        next[bucket_of(key)] += 1;
    }
    let mut start = 0;
    for next in &mut next {
        if *next > MAX_BUCKET {
            return None;
        }
        start += std::mem::replace(next, start);
    }
    let mut sorted = keys.to_vec();
    for key in keys {
        let next = &mut next[bucket_of(key)];
        sorted[*next as usize] = *key;
        *next += 1;
    }
    for end in 1..sorted.len() {
        let key = sorted[end];
        let mut at = end;
        while at > 0 && sorted[at - 1].hash > key.hash {
            sorted[at] = sorted[at - 1];
            at -= 1;
        }
        sorted[at] = key;
    }
    Some(sorted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sorts keys with these hashes, and checks their order and that none is missing.
    fn check(hashes: &[u64], is_spread: bool) {
        let keys: Vec<_> = hashes
            .iter()
            .enumerate()
            .map(|(place, hash)| BatchKey { hash: *hash, key: b"key", place })
            .collect();
        assert_eq!(spread(&keys).is_some(), is_spread, "{} hashes", hashes.len());
        let sorted = sorted(keys);
        assert!(sorted.is_sorted_by_key(|key| key.hash));
        let mut places: Vec<_> = sorted.iter().map(|key| key.place).collect();
        assert!(sorted.iter().all(|key| hashes[key.place] == key.hash));
        places.sort_unstable();
        assert!(places.into_iter().eq(0..hashes.len()));
    }

    #[test]
    fn keys_come_in_the_order_of_their_hashes() {
        let spread_out = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17);
        for count in [32, 33, 1000, 5000, if cfg!(miri) { 6000 } else { 40_000 }] {
            let hashes: Vec<u64> = (0..count).map(spread_out).collect();
            check(&hashes, true);
            // In a small part of all hashes, at either end.
            check(&hashes.iter().map(|hash| hash >> 40).collect::<Vec<_>>(), true);
            check(&hashes.iter().map(|hash| hash | !0 << 50).collect::<Vec<_>>(), true);
        }
        // A few equal ones, and many.
        check(&(0..100).map(|i| i / 20).collect::<Vec<_>>(), true);
        check(&[7; 100], false);
        let mut clustered: Vec<u64> = (0..100).rev().collect();
        clustered.push(u64::MAX);
        check(&clustered, false);
    }

    #[test]
    fn few_keys_are_sorted_too() {
        for count in 0..=MIN_SPREAD {
            let keys: Vec<_> = (0..count).map(|i| i.to_be_bytes()).collect();
            let sorted = BatchKey::sorted(&keys);
            assert_eq!(sorted.len(), count);
            assert!(sorted.is_sorted_by_key(|key| key.hash));
            assert!(sorted.iter().all(|key| key.key == keys[key.place]));
        }
    }
}
