//! The physical floor: what the machine needs at least.

use std::hint::black_box;

use crate::random::Random;

/// One cache miss at a time: each read says where the next one is.
///
/// No lookup in data of this size can be faster than one of these, since it must at least fetch the value, and where
/// that is depends on the key.
pub struct DependentReads {
    /// One slot per cache line: index of the next line.
    next: Vec<[u64; 8]>,
}

impl DependentReads {
    /// A buffer of `len` bytes, linked into one random cycle.
    #[must_use]
    pub fn new(len: usize) -> Self {
        let lines = (len / 64).max(2);
        let mut order: Vec<usize> = (0..lines).collect();
        let mut random = Random::new(7);
        for i in (1..lines).rev() {
            order.swap(i, random.below(i + 1));
        }
        let mut next = vec![[0; 8]; lines];
        for (from, to) in order.iter().zip(order.iter().cycle().skip(1)) {
            if let Some([slot, ..]) = next.get_mut(*from) {
                *slot = *to as u64;
            }
        }
        Self { next }
    }

    /// Follows the chain for `steps` reads.
    pub fn run(&self, steps: usize) {
        let mut at = 0;
        for _ in 0..steps {
            at = self
                .next
                .get(usize::try_from(at).unwrap_or(0))
                .and_then(|line| line.first())
                .copied()
                .unwrap_or(0);
        }
        black_box(at);
    }
}
