//! Uniform samples: a window of the hashes.

use std::ops::RangeInclusive;

use sst_reader::hash_key;

use crate::{Duplicates, Inputs, MergeError};

/// How large a sample is.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum SampleSize {
    /// Each key with this probability, between 0 and 1.
    Fraction(f64),
    /// Exactly this many keys, or all if there are not so many.
    Keys(u64),
}

/// A uniform sample of keys, which costs no more than reading the sample.
///
/// Hashes are uniform, so the keys in any window of hashes are a uniform sample. The window begins
/// at a place that depends on the seed, and goes on with the lowest hashes behind the highest. It
/// is deterministic: a key is in the sample of any data or not in it, whatever else there is (with
/// a fraction), and a larger sample of the same seed holds the smaller one. Different seeds have
/// windows that begin at places that have nothing to do with each other. If an
/// attacker chose the keys, the sample is not uniform.
///
/// All live entries of a key come with it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// How many keys.
    pub size: SampleSize,
    /// Which of the possible samples. With 0 the window begins at the lowest hash.
    pub seed: u64,
}

/// The keys of a range of hashes, up to a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SampleWindow {
    pub(crate) hashes: RangeInclusive<u64>,
    pub(crate) max_keys: u64,
}

impl Sample {
    /// A sample of this size with seed 0.
    #[must_use]
    pub const fn new(size: SampleSize) -> Self {
        Self { size, seed: 0 }
    }

    /// Sets the seed.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Whether a sample by fraction holds the keys with this hash. `None` for a sample by number:
    /// that depends on the other keys.
    #[must_use]
    pub fn holds(&self, hash: u64) -> Option<bool> {
        match self.size {
            SampleSize::Fraction(fraction) => {
                let distance = hash.wrapping_sub(self.start());
                Some(last_distance(fraction).is_some_and(|last| distance <= last))
            }
            SampleSize::Keys(_) => None,
        }
    }

    /// The hash at which the window begins.
    fn start(&self) -> u64 {
        if self.seed == 0 { 0 } else { hash_key(&self.seed.to_be_bytes()) }
    }

    /// The windows of hashes of the sample, in ascending order. A sample by number walks over as
    /// many keys as it has.
    pub(crate) fn parts(
        &self,
        inputs: &Inputs,
        duplicates: Duplicates,
    ) -> Result<Vec<SampleWindow>, MergeError> {
        let start = self.start();
        match self.size {
            SampleSize::Fraction(fraction) => {
                Ok(last_distance(fraction).map_or_else(Vec::new, |last| window(start, last)))
            }
            SampleSize::Keys(count) => {
                let above = SampleWindow { hashes: start..=u64::MAX, max_keys: count };
                let Some(end) = start.checked_sub(1) else { return Ok(vec![above]) };
                let rest = count - count_keys(inputs, &above, duplicates)?;
                Ok(vec![SampleWindow { hashes: 0..=end, max_keys: rest }, above])
            }
        }
    }
}

/// How far the last hash of a window of this fraction is from its first; `None` if it holds no
/// hash.
fn last_distance(fraction: f64) -> Option<u64> {
    const HASHES: f64 = 18_446_744_073_709_551_616.0;
    if fraction >= 1.0 {
        return Some(u64::MAX);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float outside of the range becomes the nearest end of it"
    )]
    let len = (fraction * HASHES) as u64;
    len.checked_sub(1)
}

/// The hashes from `start` to the one that is `last` further on, with those behind the highest at
/// the beginning.
fn window(start: u64, last: u64) -> Vec<SampleWindow> {
    let part = |hashes| SampleWindow { hashes, max_keys: u64::MAX };
    match start.checked_add(last) {
        Some(end) => vec![part(start..=end)],
        None if start.wrapping_add(last) + 1 == start => vec![part(0..=u64::MAX)],
        None => vec![part(0..=start.wrapping_add(last)), part(start..=u64::MAX)],
    }
}

/// How many keys a part has.
fn count_keys(
    inputs: &Inputs,
    part: &SampleWindow,
    duplicates: Duplicates,
) -> Result<u64, MergeError> {
    let mut cursor = inputs.live(part.hashes.clone(), duplicates)?;
    let mut keys = 0;
    while keys < part.max_keys
        && let Some(entry) = cursor.next()?
    {
        keys += u64::from(entry.starts_key);
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(start: u64, last: u64) -> Vec<RangeInclusive<u64>> {
        window(start, last).into_iter().map(|part| part.hashes).collect()
    }

    #[test]
    fn windows_go_on_at_the_lowest_hash() {
        assert_eq!(ranges(0, 9), [0..=9]);
        assert_eq!(ranges(5, 0), [5..=5]);
        assert_eq!(ranges(u64::MAX, 0), [u64::MAX..=u64::MAX]);
        assert_eq!(ranges(u64::MAX, 1), [0..=0, u64::MAX..=u64::MAX]);
        assert_eq!(ranges(10, u64::MAX), [0..=u64::MAX]);
        assert_eq!(ranges(10, u64::MAX - 1), [0..=8, 10..=u64::MAX]);
    }

    #[test]
    fn fractions_are_parts_of_all_hashes() {
        assert_eq!(last_distance(0.5), Some((1 << 63) - 1));
        assert_eq!(last_distance(0.25), Some((1 << 62) - 1));
        for all in [1.0, 2.0, f64::INFINITY] {
            assert_eq!(last_distance(all), Some(u64::MAX));
        }
        for none in [0.0, -0.5, f64::NAN, 1e-30] {
            assert_eq!(last_distance(none), None);
        }
    }
}
