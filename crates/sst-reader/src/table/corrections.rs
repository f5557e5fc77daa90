//! By how much estimates of where entries lie within their key block are off.
//!
//! Hashes are spread evenly only on average. Among the 455 entries of a full block of 16-byte keys
//! an estimate from the hash alone is off by 7 entries. A lookup used to hash the key that it found
//! there and to estimate once more, which brought it to within 2 or 3 entries. The same for less:
//! each key block is measured once, in [`SEGMENTS`] places, and the estimates in a segment are
//! corrected by what was measured in the middle of it.

use std::collections::TryReserveError;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::table::search::Fraction;

/// Parts of a key block of which each has a correction of its own: one byte each of a word.
const SEGMENTS: u32 = 8;

/// A byte without a correction. The smallest byte of a measured block is 1, so that its word is
/// neither [`NEVER_ASKED`] nor [`ASKED_ONCE`].
const NONE: i32 = 128;

/// The word of a key block for which no estimate was made.
const NEVER_ASKED: u64 = 0;
/// The word of a key block for which one was. Blocks that are looked at once only are not measured:
/// that takes about 40 hashes.
const ASKED_ONCE: u64 = 1;

/// Bits of a [`Fraction`] below the unit of corrections, which is a 1024th of a block: less than
/// half an entry of a full block of 16-byte keys. The largest correction is an eighth of a block.
const UNIT_BITS: u32 = Fraction::BITS - 10;

/// The corrections for all key blocks of a table.
///
/// Wrong ones cost time, never a wrong answer.
#[derive(Debug)]
pub(crate) struct Corrections(Box<[AtomicU64]>);

impl Corrections {
    /// Bytes of the corrections for so many key blocks.
    pub(crate) const fn len_of(key_blocks: usize) -> usize {
        key_blocks * size_of::<AtomicU64>()
    }

    /// None yet.
    pub(crate) fn new(key_blocks: usize) -> Result<Self, TryReserveError> {
        let mut words = Vec::new();
        words.try_reserve_exact(key_blocks)?;
        words.resize_with(key_blocks, || AtomicU64::new(NEVER_ASKED));
        Ok(Self(words.into()))
    }

    /// The place in key block number `number` that goes with `even`, the place that evenly spread
    /// hashes would have, and whether the block was measured.
    #[inline(always)]
    pub(crate) fn corrected(&self, number: usize, even: Fraction) -> (Fraction, bool) {
        // The words publish nothing but themselves, so they need no order.
        let word = self.0.get(number).map_or(NEVER_ASKED, |word| word.load(Ordering::Relaxed));
        if word <= ASKED_ONCE {
            return (even, false);
        }
        let segment = even.of(SEGMENTS);
        let units = i32::from((word >> (8 * segment)).to_le_bytes()[0]) - NONE;
        (even.moved_by(units << UNIT_BITS), true)
    }

    /// Measures key block number `number`, unless this is the first time that it is asked for.
    /// `measure` gives the right place for an evenly spread one, if it can be told.
    pub(crate) fn learn(&self, number: usize, measure: impl Fn(Fraction) -> Option<Fraction>) {
        let Some(word) = self.0.get(number) else { return };
        if word.load(Ordering::Relaxed) == NEVER_ASKED {
            return word.store(ASKED_ONCE, Ordering::Relaxed);
        }
        let measured = (0..SEGMENTS).rev().fold(0, |word, segment| {
            let middle = Fraction::of_entry(segment, SEGMENTS);
            let units = measure(middle).map_or(0, |right| right.units_from(middle, UNIT_BITS));
            let byte = (units + NONE).clamp(1, u8::MAX.into());
            word << 8 | u64::from(byte.unsigned_abs())
        });
        word.store(measured, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_measured_when_it_is_asked_for_again() {
        let corrections = Corrections::new(2).unwrap();
        let even = Fraction::of_entry(300, 1000);
        let ahead = |place: Fraction| Some(place.moved_by(7 << UNIT_BITS));
        for _ in 0..2 {
            assert_eq!(corrections.corrected(1, even), (even, false));
            corrections.learn(1, ahead);
        }
        assert_eq!(corrections.corrected(1, even), (even.moved_by(7 << UNIT_BITS), true));
        assert_eq!(corrections.corrected(0, even), (even, false));
        assert_eq!(corrections.corrected(2, even), (even, false));
    }

    #[test]
    fn each_segment_has_its_own_correction_however_large() {
        let corrections = Corrections::new(1).unwrap();
        let at = |segment| Fraction::of_entry(segment, SEGMENTS);
        let far = [0, 7, 2, 2, 4, 6, 0, 7];
        let right = |place: Fraction| match place.of(SEGMENTS) {
            6 => None,
            segment => Some(at(far[segment as usize])),
        };
        corrections.learn(0, right);
        corrections.learn(0, right);
        let largest = 127 << UNIT_BITS;
        for (segment, by) in [0, largest, 0, -largest, 0, largest, 0, 0].into_iter().enumerate() {
            let segment = u32::try_from(segment).unwrap();
            let found = corrections.corrected(0, at(segment));
            assert_eq!(found, (at(segment).moved_by(by), true), "{segment}");
        }
        // Beyond the ends there is nothing.
        let (first, last) = (Fraction::of_entry(0, 1000), Fraction::of_entry(999, 1000));
        assert_eq!(first.moved_by(-largest).of(1000), 0);
        assert_eq!(last.moved_by(largest).of(1000), 999);
    }
}
