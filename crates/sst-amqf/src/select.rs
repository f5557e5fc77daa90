//! Finds the n-th set bit of a word, with nothing but portable arithmetic.

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = LOW_BITS << 7;

/// The position of the n-th set bit of a byte, at index `byte * 8 + n`.
static IN_BYTE: [u8; 256 * 8] = positions_in_bytes();

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "runs at compile time only"
)]
const fn positions_in_bytes() -> [u8; 256 * 8] {
    let mut table = [0; 256 * 8];
    let mut byte = 0_usize;
    while byte < 256 {
        let mut found = 0;
        let mut bit = 0_usize;
        while bit < 8 {
            if byte >> bit & 1 == 1 {
                table[byte * 8 + found] = bit as u8;
                found += 1;
            }
            bit += 1;
        }
        byte += 1;
    }
    table
}

/// The position of the set bit that has `n` set bits below it, or `None` if `word` has no more than
/// `n`.
#[inline]
pub(crate) fn select(word: u64, n: u32) -> Option<u32> {
    // First the set bits of each byte, then those of each byte and all bytes below it.
    let mut counts = word - (word >> 1 & 0x5555_5555_5555_5555);
    counts = (counts & 0x3333_3333_3333_3333) + (counts >> 2 & 0x3333_3333_3333_3333);
    counts = (counts + (counts >> 4)) & 0x0F0F_0F0F_0F0F_0F0F;
    let sums = counts.wrapping_mul(LOW_BITS);
    if u64::from(n) >= sums >> 56 {
        return None;
    }
    // A byte whose sum is at most n keeps its high bit: the wanted bit lies above it.
    let above = (((u64::from(n) * LOW_BITS) | HIGH_BITS) - sums) & HIGH_BITS;
    let byte_at = (above >> 7).wrapping_mul(LOW_BITS) >> 56 << 3;
    let below = (sums << 8) >> byte_at & 0xFF;
    let byte = word >> byte_at & 0xFF;
    let in_byte = IN_BYTE.get(entry(byte, u64::from(n) - below))?;
    Some(low_half(byte_at) + u32::from(*in_byte))
}

/// The index in [`IN_BYTE`] for the n-th set bit of a byte.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "eleven bits")]
fn entry(byte: u64, n: u64) -> usize {
    (byte << 3 | n & 7) as usize
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the position of a byte in a word")]
fn low_half(byte_at: u64) -> u32 {
    byte_at as u32
}

#[cfg(test)]
mod tests {
    use super::select;

    #[track_caller]
    fn check(word: u64) {
        let positions: Vec<u32> = (0..64).filter(|bit| word >> bit & 1 == 1).collect();
        for n in 0..70 {
            let expected = positions.get(n as usize).copied();
            assert_eq!(select(word, n), expected, "{word:#x}, {n}");
        }
    }

    #[test]
    fn agrees_with_counting() {
        check(0);
        check(u64::MAX);
        for bit in 0..64 {
            check(1 << bit);
            check(u64::MAX << bit);
            check(u64::MAX >> bit);
        }
        let mut word = 1_u64;
        for _ in 0..2000 {
            word = word.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) ^ 0xABCD;
            check(word);
            check(word & word.rotate_left(7) & word.rotate_left(31));
        }
    }
}
