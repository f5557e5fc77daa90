//! Distributions of the keys that are looked up.

use crate::random::Random;

/// Distribution of the lookups over the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// All entries are looked up equally often.
    Uniform,
    /// Skewed: the k-th most popular entry is looked up in proportion to k^-0.99.
    Zipf,
}

impl Access {
    /// Picks `count` entry numbers below `entries`, which must not be 0.
    #[must_use]
    pub fn pick(self, entries: usize, count: usize, seed: u64) -> Vec<usize> {
        let mut random = Random::new(seed);
        match self {
            Self::Uniform => (0..count).map(|_| random.below(entries)).collect(),
            Self::Zipf => {
                let zipf = Zipf::new(entries);
                (0..count).map(|_| scatter(zipf.rank(&mut random), entries)).collect()
            }
        }
    }
}

/// Spreads ranks over the table, so that the most popular entries are not all in one block.
fn scatter(rank: usize, entries: usize) -> usize {
    Random::new(rank as u64).below(entries)
}

/// Draws ranks from a Zipf distribution, with the method of Gray et al., "Quickly generating
/// billion-record synthetic databases".
struct Zipf {
    entries: f64,
    zeta: f64,
    eta: f64,
}

/// Exponent of the distribution.
const THETA: f64 = 0.99;

impl Zipf {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn new(entries: usize) -> Self {
        let zeta = |n: usize| (1..=n).map(|k| (k as f64).powf(-THETA)).sum::<f64>();
        // The sum over many terms is approximated: the first terms are added up, and an integral
        // stands for the rest. That is exact enough and fast.
        let exact = entries.min(100_000);
        let tail =
            ((entries as f64).powf(1.0 - THETA) - (exact as f64).powf(1.0 - THETA)) / (1.0 - THETA);
        let zeta_all = zeta(exact) + tail;
        let entries = entries as f64;
        let eta = (1.0 - (2.0 / entries).powf(1.0 - THETA)) / (1.0 - zeta(2) / zeta_all);
        Self { entries, zeta: zeta_all, eta }
    }

    /// Draws a rank, counted from 0. Rank 0 is the most frequent one.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "between 0 and the number of entries"
    )]
    fn rank(&self, random: &mut Random) -> usize {
        let uniform = (random.word() >> 11) as f64 / (1_u64 << 53) as f64;
        let scaled = uniform * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5_f64.powf(THETA) {
            return 1;
        }
        (self.entries * (self.eta * (uniform - 1.0) + 1.0).powf(1.0 / (1.0 - THETA))) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share_of_most_wanted(access: Access) -> f64 {
        let picked = access.pick(10_000, 100_000, 1);
        assert!(picked.iter().all(|&i| i < 10_000));
        let mut counts = vec![0_u32; 10_000];
        picked.iter().for_each(|&i| counts[i] += 1);
        counts.sort_unstable_by(|a, b| b.cmp(a));
        f64::from(counts[..100].iter().sum::<u32>()) / 100_000.0
    }

    #[test]
    fn zipf_prefers_a_few() {
        // The most popular 1 % of the entries get H(100) / H(10000) of the lookups with exponent
        // 0.99, and 1 % of them if the distribution is uniform.
        assert!((share_of_most_wanted(Access::Zipf) - 0.53).abs() < 0.03);
        assert!(share_of_most_wanted(Access::Uniform) < 0.03);
    }
}
