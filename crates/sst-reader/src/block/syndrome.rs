//! Which flipped bit explains a wrong CRC-32.
//!
//! CRC-32 is linear: the checksums of two messages of one length differ by a value that depends on
//! the difference of the messages only, the syndrome. For one flipped bit with `k` bits behind it,
//! in the order in which the checksum takes them, the syndrome is `P·x^k` modulo the polynomial.
//! That polynomial is primitive, so no two bits of a message below 2^32 - 1 bits have the same
//! syndrome, and to name the bit is to find a discrete logarithm: baby steps in a sorted table,
//! giant steps back from the syndrome, O(bits / 2048).

use std::sync::LazyLock;

/// The polynomial of CRC-32, lowest power in the highest bit.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// Number of baby steps.
const STEPS: u32 = 2048;

/// Longest message in bits: in a longer one two bits share a syndrome.
const MAX_BITS: u64 = u32::MAX as u64 - 32;

/// One more bit behind the flipped one.
const fn forward(syndrome: u32) -> u32 {
    (syndrome >> 1) ^ (if syndrome & 1 == 1 { POLYNOMIAL } else { 0 })
}

/// One bit less: undoes [`forward`].
const fn back(syndrome: u32) -> u32 {
    if syndrome >> 31 == 1 { ((syndrome ^ POLYNOMIAL) << 1) | 1 } else { syndrome << 1 }
}

/// Syndromes of the last [`STEPS`] bits, sorted, each with the number of bits behind it.
static BABY_STEPS: LazyLock<[(u32, u16); STEPS as usize]> = LazyLock::new(|| {
    let (mut steps, mut syndrome) = ([(0, 0); STEPS as usize], POLYNOMIAL);
    for (step, behind) in steps.iter_mut().zip(0..) {
        *step = (syndrome, behind);
        syndrome = forward(syndrome);
    }
    steps.sort_unstable();
    steps
});

/// [`STEPS`] times [`back`], applied to each single bit. Other values follow by linearity.
static GIANT_STEP: [u32; 32] = {
    let mut columns = [0; 32];
    let mut bit = 0;
    while bit < 32 {
        let (mut syndrome, mut step) = (1 << bit, 0);
        while step < STEPS {
            syndrome = back(syndrome);
            step += 1;
        }
        #[expect(clippy::indexing_slicing, reason = "in a constant: an error shows when compiling")]
        {
            columns[bit as usize] = syndrome;
        }
        bit += 1;
    }
    columns
};

fn giant_step(syndrome: u32) -> u32 {
    let columns = GIANT_STEP.iter().zip(0..);
    columns.filter(|(_, bit)| syndrome >> bit & 1 == 1).fold(0, |sum, (column, _)| sum ^ column)
}

/// The bit of a message of `len` bytes that explains this difference between its checksum and the
/// right one: its byte, and which of its bits. `None` if no single bit does.
pub(crate) fn flipped_bit(difference: u32, len: u64) -> Option<(u64, u8)> {
    let bits = len.checked_mul(8).filter(|bits| *bits <= MAX_BITS)?;
    let (mut syndrome, mut steps) = (difference, 0);
    while steps < bits {
        let found = BABY_STEPS.binary_search_by_key(&syndrome, |(syndrome, _)| *syndrome);
        if let Some((_, behind)) = found.ok().and_then(|i| BABY_STEPS.get(i)) {
            // Of each byte the lowest bit is taken first, and has the most bits behind it.
            let behind = steps + u64::from(*behind);
            let byte = len.checked_sub(1 + behind / 8)?;
            return Some((byte, 7 - u8::try_from(behind % 8).ok()?));
        }
        syndrome = giant_step(syndrome);
        steps += u64::from(STEPS);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(message: &[u8], byte: usize, bit: u8) -> u32 {
        let mut other = message.to_vec();
        other[byte] ^= 1 << bit;
        crc32fast::hash(message) ^ crc32fast::hash(&other)
    }

    #[test]
    #[cfg_attr(miri, ignore = "arithmetic, and too much of it for an interpreter")]
    fn every_bit_is_named() {
        let message: Vec<u8> = (0..1500_u32).map(|i| (i * i % 251) as u8).collect();
        for byte in 0..message.len() {
            for bit in 0..8 {
                let found = flipped_bit(difference(&message, byte, bit), message.len() as u64);
                assert_eq!(found, Some((byte as u64, bit)));
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "arithmetic, and too much of it for an interpreter")]
    fn bits_of_a_large_message_are_named() {
        let message = vec![7; 3 << 20];
        for byte in [0, 1, 1000, 1 << 20, (3 << 20) - 1] {
            let found = flipped_bit(difference(&message, byte, 3), message.len() as u64);
            assert_eq!(found, Some((byte as u64, 3)));
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "arithmetic, and too much of it for an interpreter")]
    fn two_bits_are_not_taken_for_one() {
        let message = [1_u8; 300];
        for (a, b) in [(0, 1), (0, 299), (100, 200), (298, 299)] {
            let both = difference(&message, a, 0) ^ difference(&message, b, 5);
            assert_eq!(flipped_bit(both, 300), None);
        }
        assert_eq!(flipped_bit(0, 300), None);
        assert_eq!(flipped_bit(POLYNOMIAL, 0), None);
        // A bit before the first one is none of this message.
        let longer = difference(&[1; 301], 0, 7);
        assert_eq!(flipped_bit(longer, 300), None);
    }

    #[test]
    fn a_step_back_undoes_a_step_forward() {
        for syndrome in [1, POLYNOMIAL, 0x8000_0000, 0xffff_ffff, 0x1234_5678] {
            assert_eq!(back(forward(syndrome)), syndrome);
            assert_eq!(forward(back(syndrome)), syndrome);
        }
    }
}
