//! Search among elements in ascending order of hashes.
//!
//! Hashes are uniform unless somebody went to lengths, so the position of one can be estimated from its value: a few
//! estimates usually land within a cache line or two of the element. Hashes that don't play along (equal ones,
//! clusters, a hostile file) cost a bounded number of bad estimates, then the search halves what is left: O(log n) for
//! any input, ordered or not.

use std::cmp::Ordering;

/// Estimates before the search falls back to halving.
const MAX_ESTIMATES: u32 = 6;

/// The hashes between which the elements lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HashBounds {
    pub(crate) low: u64,
    pub(crate) high: u64,
}

impl HashBounds {
    /// Where in `len` bytes of entries spread evenly between the bounds that with `hash` would be: at most `len`.
    #[inline]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate: it is clamped, and any value of it is right"
    )]
    pub(crate) fn estimate_position(self, hash: u64, len: usize) -> usize {
        let part = hash.saturating_sub(self.low) as f64 / self.high.saturating_sub(self.low) as f64;
        ((part * len as f64) as usize).min(len)
    }

    /// Where among `count` elements spread evenly between the bounds `hash` would be: below `count`.
    #[inline]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate: it is clamped, and any value of it is right"
    )]
    fn estimate(self, hash: u64, count: usize) -> usize {
        let part = hash.saturating_sub(self.low) as f64 / (self.high - self.low) as f64;
        ((part * count as f64) as usize).min(count - 1)
    }
}

/// Index of the first of `count` elements that is not below the target, or `count`.
///
/// `probe(i)` gives the hash of element `i` and how the element compares to the target. `hash` is that of the target,
/// `bounds` what is known of all elements; wrong bounds cost time, never a wrong answer.
#[inline]
pub(crate) fn lower_bound<E>(
    count: usize,
    mut bounds: HashBounds,
    hash: u64,
    mut probe: impl FnMut(usize) -> Result<(u64, Ordering), E>,
) -> Result<usize, E> {
    let (mut low, mut high) = (0, count);
    let mut estimates = 0;
    while low < high {
        let middle = if estimates < MAX_ESTIMATES && bounds.low < bounds.high {
            estimates += 1;
            low + bounds.estimate(hash, high - low)
        } else {
            low + (high - low) / 2
        };
        let (found, ordering) = probe(middle)?;
        if ordering == Ordering::Less {
            low = middle + 1;
            bounds.low = found;
        } else {
            high = middle;
            bounds.high = found;
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: HashBounds = HashBounds { low: 0, high: u64::MAX };

    /// Searches every hash and its neighbours, against a plain search, and returns the highest number of probes.
    fn check(hashes: &[u64], bounds: HashBounds) -> usize {
        let targets = hashes.iter().flat_map(|&h| [h.saturating_sub(1), h, h.saturating_add(1)]);
        let mut most = 0;
        for target in targets.chain([0, u64::MAX]) {
            let mut probes = 0;
            let found = lower_bound(hashes.len(), bounds, target, |i| {
                probes += 1;
                Ok::<_, ()>((hashes[i], hashes[i].cmp(&target)))
            });
            assert_eq!(found, Ok(hashes.partition_point(|&h| h < target)), "{target}");
            most = most.max(probes);
        }
        most
    }

    fn uniform(count: u64) -> Vec<u64> {
        let mut hashes: Vec<u64> =
            (0..count).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        hashes.sort_unstable();
        hashes
    }

    #[test]
    fn finds_what_a_plain_search_finds() {
        for count in [0, 1, 2, 3, 455, 3000] {
            check(&uniform(count), ALL);
        }
        check(&[7; 100], ALL);
        check(&[0, 0, u64::MAX, u64::MAX], ALL);
    }

    #[test]
    fn wrong_bounds_and_clusters_cost_no_more_than_halving() {
        let clustered: Vec<u64> = (0..4096).chain([u64::MAX / 2]).chain([u64::MAX]).collect();
        let limit = MAX_ESTIMATES as usize + 13;
        for bounds in [ALL, HashBounds { low: 5, high: 6 }, HashBounds { low: 9, high: 0 }] {
            assert!(check(&clustered, bounds) <= limit);
            assert!(check(&[7; 4096], bounds) <= limit);
            assert!(check(&uniform(4096), bounds) <= limit);
        }
    }

    #[test]
    fn uniform_hashes_need_few_probes() {
        let hashes = uniform(455);
        let mut probes = 0;
        for &target in &hashes {
            let found = lower_bound(hashes.len(), ALL, target, |i| {
                probes += 1;
                Ok::<_, ()>((hashes[i], hashes[i].cmp(&target)))
            });
            assert_eq!(hashes[found.unwrap()], target);
        }
        // Halving would take about 9.
        assert!(probes < hashes.len() * 5, "{probes} probes for {} searches", hashes.len());
    }
}
