//! The physical floor of lookups: the time that the machine needs for the minimum work of any
//! lookup.

use std::hint::black_box;

use crate::random::Random;

/// A chain of reads where each read gives the address of the next one, so the cache misses cannot
/// overlap.
///
/// No lookup in data of this size can be faster than one such read: a lookup must at least fetch
/// the value, whose address depends on the key.
pub struct DependentReads {
    /// One array per cache line. Its first word is the index of the next line.
    next: Vec<[usize; 8]>,
}

impl DependentReads {
    /// Creates a buffer of `len` bytes, whose cache lines form one random cycle.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "a permutation of the indexes")]
    pub fn new(len: usize) -> Self {
        let lines = (len / 64).max(2);
        let mut order: Vec<usize> = (0..lines).collect();
        let mut random = Random::new(7);
        for i in (1..lines).rev() {
            order.swap(i, random.below(i + 1));
        }
        let mut next = vec![[0; 8]; lines];
        for (from, to) in order.iter().zip(order.iter().cycle().skip(1)) {
            next[*from] = [*to; 8];
        }
        Self { next }
    }

    /// Follows the chain for `steps` reads.
    #[expect(
        clippy::indexing_slicing,
        reason = "a chain that breaks must not look like a fast one"
    )]
    pub fn run(&self, steps: usize) {
        let mut at = 0;
        for _ in 0..steps {
            let [next, ..] = self.next[at];
            at = next;
        }
        black_box(at);
    }
}
