//! The size of a filter, and its false-positive rate.

use crate::layout::Layout;
use sst_format::filter::Filter;

/// Size and quality of a filter. See [`QuotientFilter::info`](crate::QuotientFilter::info).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct FilterInfo {
    /// Bits of a quotient; the filter has two to the power of it slots.
    pub quotient_bits: u8,
    /// Bits of a remainder.
    pub remainder_bits: u8,
    /// Distinct fingerprints that are stored.
    pub fingerprint_count: u64,
    /// The most fingerprints that may be stored: 95 % of the slots.
    pub capacity: u64,
    /// Bytes of the blocks and their padding. The whole filter is at most 24 bytes longer.
    pub buffer_len: usize,
}

impl FilterInfo {
    pub(crate) fn new(layout: Layout, fingerprint_count: u64, buffer_len: usize) -> Self {
        Self {
            quotient_bits: layout.quotient_bits(),
            remainder_bits: layout.remainder_bits(),
            fingerprint_count,
            capacity: layout.capacity(),
            buffer_len,
        }
    }

    /// Share of the slots that are taken: from 0 to slightly above 0.95.
    #[must_use]
    pub fn load(&self) -> f64 {
        self.fingerprint_count as f64 / power_of_two(self.quotient_bits)
    }

    /// Bits of buffer per stored fingerprint; infinite when there are none.
    #[must_use]
    pub fn bits_per_fingerprint(&self) -> f64 {
        self.buffer_len as f64 * 8.0 / self.fingerprint_count as f64
    }

    /// The expected share of absent keys that get a "maybe", if hashes are spread evenly: the share
    /// of all possible fingerprints that are stored.
    #[must_use]
    pub fn expected_false_positive_rate(&self) -> f64 {
        self.load() / power_of_two(self.remainder_bits)
    }
}

/// Measures the share of `queries` random hashes that get a "maybe".
///
/// [`FilterInfo::expected_false_positive_rate`] is the calculated share.
///
/// The hashes are always the same ones. A table holds one of them by chance with a probability of
/// one in 2^64 for each entry, far below the error of the measurement. Returns 0 for 0 queries.
#[must_use]
pub fn measure_false_positive_rate(filter: &dyn Filter, queries: u64) -> f64 {
    if queries == 0 {
        return 0.0;
    }
    let maybe = (0..queries).filter(|&n| filter.may_contain(sample_hash(n))).count();
    maybe as f64 / queries as f64
}

/// The n-th number of a fixed sequence that looks random (splitmix64 from an arbitrary seed).
fn sample_hash(n: u64) -> u64 {
    const SEED: u64 = 0x7261_6E64_6F6D_2E2E;
    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut z = SEED.wrapping_add(n.wrapping_add(1).wrapping_mul(STEP));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn power_of_two(exponent: u8) -> f64 {
    f64::from(exponent).exp2()
}
