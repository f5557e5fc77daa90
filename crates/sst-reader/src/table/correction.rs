//! By how much estimates of where entries lie within their key block are off.
//!
//! Hashes are spread evenly only on average. Among the 455 entries of a full block of 16-byte keys
//! an estimate from the hash alone is off by 7 entries. Hashing the key that is found there, and
//! estimating once more, brings that down to 2 or 3, at the price of one more hash. The same for
//! less: each key block is measured once, in [`SEGMENTS`] places, and the estimates in a segment
//! are corrected by what was measured in the middle of it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::table::search::{Fraction, Precision};

/// Parts of a key block of which each has a correction of its own: one byte each of two words.
const SEGMENTS: u32 = 16;
/// Bytes of a word.
const PER_WORD: u32 = u64::BITS / u8::BITS;

/// The byte of a segment whose estimates are right. The smallest byte of a measured block is 1, so
/// that its word is neither [`NEVER_ASKED`] nor [`ASKED_ONCE`].
const RIGHT: u8 = 128;

/// The word of a key block for which no estimate was made.
const NEVER_ASKED: u64 = 0;
/// The word of a key block for which one was. Blocks that are looked at once only are not measured:
/// that takes about 80 hashes.
const ASKED_ONCE: u64 = 1;

/// Bits of a [`Fraction`] below the unit of corrections, which is a 1024th of a block: less than
/// half an entry of a full block of 16-byte keys. The largest correction is an eighth of a block.
const UNIT_BITS: u32 = Fraction::BITS - 10;

/// Bits of hashes that are left out here and not in other estimates: 24 are used.
const LEFT_OUT: u32 = 8;
/// Bits of a reciprocal below one: the bits that are used, and as many as a usual width is shorter
/// than 64 bits.
const RECIPROCAL_BITS: u32 = 40;

/// The measured corrections of one key block.
///
/// Wrong values cost time, never a wrong answer. So threads may write to them at the same time, and
/// read them in any order.
#[derive(Debug)]
pub(crate) struct Correction {
    /// The corrections of all segments, those of earlier ones in lower bytes.
    segments: [AtomicU64; 2],
    /// One over the width of the block.
    per_width: AtomicU32,
}

impl Correction {
    /// Of a block that was not measured.
    pub(crate) const fn none() -> Self {
        let segments = [const { AtomicU64::new(NEVER_ASKED) }; 2];
        Self { segments, per_width: AtomicU32::new(0) }
    }

    /// The place in the block of a hash that lies so far above the lowest one. `None` if the block
    /// was not measured.
    #[inline(always)]
    pub(crate) fn position(&self, precision: Precision, above: u64) -> Option<Fraction> {
        let [early, late] = &self.segments;
        let per_width = self.per_width.load(Ordering::Relaxed).into();
        let parts = precision.cut(above, LEFT_OUT).wrapping_mul(per_width);
        let even = parts >> (RECIPROCAL_BITS - Fraction::BITS);
        let segment = (even >> (Fraction::BITS - SEGMENTS.ilog2())) % u64::from(SEGMENTS);
        let word = if segment < u64::from(PER_WORD) { early } else { late };
        let word = word.load(Ordering::Relaxed);
        if word <= ASKED_ONCE {
            return None;
        }
        let byte =
            (word >> (u64::from(u8::BITS) * segment % u64::from(u64::BITS))) & u64::from(u8::MAX);
        Some(Fraction::clamped(even + (byte << UNIT_BITS), u64::from(RIGHT) << UNIT_BITS))
    }

    /// Measures the block, which is so wide, unless this is the first time that it is asked for.
    /// `measure` gives the right place for one that is right if hashes are spread evenly, if it can
    /// be told.
    pub(crate) fn learn(
        &self,
        precision: Precision,
        width: u64,
        measure: impl Fn(Fraction) -> Option<Fraction>,
    ) {
        let [early, late] = &self.segments;
        if early.load(Ordering::Relaxed) == NEVER_ASKED {
            return early.store(ASKED_ONCE, Ordering::Relaxed);
        }
        // An odd width is as good, and is not zero.
        let per_width = (1 << RECIPROCAL_BITS) / (precision.cut(width, LEFT_OUT) | 1);
        // The largest one for blocks that are much narrower than the others.
        self.per_width.store(per_width.try_into().unwrap_or(u32::MAX), Ordering::Relaxed);
        for (word, first) in [(early, 0), (late, PER_WORD)] {
            let measured = (first..first + PER_WORD).rev().fold(0, |word, segment| {
                let middle = Fraction::of_entry(segment, SEGMENTS);
                let units = measure(middle).map_or(0, |right| right.units_from(middle, UNIT_BITS));
                let byte = (units + i32::from(RIGHT)).clamp(1, u8::MAX.into());
                word << u8::BITS | u64::from(byte.unsigned_abs())
            });
            word.store(measured, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: u64 = 1_000_000 << 32;

    fn precision() -> Precision {
        Precision::for_width(WIDTH)
    }

    /// Where the hash is found that would be entry number `i` of `count` if they were spread
    /// evenly.
    fn found(correction: &Correction, i: u32, count: u32) -> Option<u32> {
        let above = (WIDTH / u64::from(count)) * u64::from(i) + WIDTH / u64::from(count) / 2;
        correction.position(precision(), above).map(|position| position.of(count))
    }

    #[test]
    fn a_block_is_measured_when_it_is_asked_for_again() {
        let correction = Correction::none();
        for _ in 0..2 {
            assert_eq!(found(&correction, 300, 1000), None);
            correction.learn(precision(), WIDTH, |place| Some(place.moved_by(8 << UNIT_BITS)));
        }
        for i in [0, 1, 300, 980] {
            assert_eq!(found(&correction, i, 1024), Some(i + 8), "{i}");
        }
    }

    #[test]
    fn each_segment_has_its_own_correction_however_large() {
        let correction = Correction::none();
        let at = |segment| Fraction::of_entry(segment, SEGMENTS);
        let right_segments = [0, 15, 2, 2, 4, 5, 0, 7, 8, 8, 8, 11, 0, 15, 14, 15];
        for _ in 0..2 {
            correction.learn(precision(), WIDTH, |place| match place.of(SEGMENTS) {
                6 => None,
                segment => Some(at(right_segments[segment as usize])),
            });
        }
        let by = [0, 127, 0, -64, 0, 0, 0, 0, 0, -64, -127, 0, -127, 127, 0, 0];
        for (segment, by) in (0..).zip(by) {
            let middle = 64 * segment + 32;
            assert_eq!(found(&correction, middle, 1024), middle.checked_add_signed(by));
        }
    }

    #[test]
    fn beyond_the_ends_of_a_block_there_is_nothing() {
        for by in [-127, 127] {
            let correction = Correction::none();
            for _ in 0..2 {
                correction.learn(precision(), WIDTH, |it| Some(it.moved_by(by << UNIT_BITS)));
            }
            let ends = [found(&correction, 0, 1024), found(&correction, 1023, 1024)];
            let expected = if by < 0 { [0, 1023 - 127] } else { [127, 1023] };
            assert_eq!(ends, expected.map(Some));
            // Hashes that the bounds do not hold for.
            for above in [WIDTH + 1, u64::MAX] {
                assert!(correction.position(precision(), above).unwrap().of(1024) < 1024);
            }
        }
    }
}
