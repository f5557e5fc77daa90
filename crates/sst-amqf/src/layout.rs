//! The layout of a filter: how a fingerprint splits, and where the parts of the buffer are.
//!
//! The buffer is `2^q / 64` blocks of 64 slots, then 8 zero bytes:
//!
//! ```text
//! ┌────────┬───────────┬─────────┬─────────────────────────────┐
//! │ offset │ occupieds │ runends │ remainders                  │  one block
//! │ u8     │ u64       │ u64     │ 64 × r bits, no gaps        │  17 + 8·r bytes
//! └────────┴───────────┴─────────┴─────────────────────────────┘
//! ```
//!
//! Words are little-endian, which no other part of the format is. Bit `i` of `occupieds` says that
//! fingerprints are stored whose quotient is slot `i` of the block. Their remainders, in ascending
//! order, are a *run*; `runends` has a bit for the last slot of each run. Runs lie in the order of
//! their quotients, none before the slot of its quotient, and they wrap around the end of the table
//! to slot 0. For example, two fingerprints of quotient 3 and one of quotient 4 take slots 3, 4 and
//! 5: `occupieds` has bits 3 and 4, `runends` has bits 4 and 5. `offset` is the number of slots at
//! the start of a block that belong to runs of earlier blocks; 255 stands for 255 or more.
//!
//! The padding makes an 8-byte read at any remainder legal (9 bytes where a remainder needs them).
//!
//! Limits: 6 ≤ q ≤ 59, 1 ≤ r, q + r ≤ 64. A filter is never more than 95 % full, so it always has
//! an empty slot.

/// Slots of one block, and bits of one word.
pub(crate) const SLOTS_PER_BLOCK: u64 = 64;
/// Bytes of a block before its remainders.
pub(crate) const HEADER_LEN: usize = 1 + 8 + 8;
/// The byte of a block at which `occupieds` starts.
pub(crate) const OCCUPIEDS_AT: usize = 1;
/// The byte of a block at which `runends` starts.
pub(crate) const RUNENDS_AT: usize = 1 + 8;
/// Zero bytes behind the last block.
pub(crate) const PADDING: usize = 8;
/// The stored offset that stands for 255 and all larger numbers.
pub(crate) const SATURATED_OFFSET: u8 = u8::MAX;

/// Bits of the largest remainder that a builder writes. A reader accepts any.
pub(crate) const MAX_REMAINDER_BITS: u8 = 16;

const MIN_QUOTIENT_BITS: u8 = 6;
const MAX_QUOTIENT_BITS: u8 = 59;
const MAX_FINGERPRINT_BITS: u8 = 64;
/// The fill limit: 19 fingerprints in 20 slots.
const CAPACITY: (u64, u64) = (19, 20);

const _: () = {
    assert!(1 << MIN_QUOTIENT_BITS == SLOTS_PER_BLOCK, "the smallest filter is one block");
    assert!(
        (1 << MAX_QUOTIENT_BITS) <= u64::MAX / CAPACITY.0,
        "the capacity of the largest filter does not overflow"
    );
};

/// Bits of the quotient and of the remainder, within the limits of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    quotient_bits: u8,
    remainder_bits: u8,
}

impl Layout {
    /// A layout of these sizes, or `None` outside the limits.
    pub(crate) fn new(quotient_bits: u8, remainder_bits: u8) -> Option<Self> {
        let total = quotient_bits.checked_add(remainder_bits)?;
        ((MIN_QUOTIENT_BITS..=MAX_QUOTIENT_BITS).contains(&quotient_bits)
            && remainder_bits >= 1
            && total <= MAX_FINGERPRINT_BITS)
            .then_some(Self { quotient_bits, remainder_bits })
    }

    /// The smallest layout with room for `entries` fingerprints, or `None` if no layout with such
    /// remainders has it. `qfilter` computes the size, so a filter is as large as the original's.
    pub(crate) fn for_entries(entries: u64, remainder_bits: u8) -> Option<Self> {
        // The rate only decides the size of the remainder, which is given, so any rate will do.
        let capacity = qfilter::filter_specs(entries, 0.5).ok()?.max_capacity;
        // A capacity is 95 % of the slots, whose number is the next power of two.
        let quotient_bits = capacity.checked_next_power_of_two()?.ilog2();
        Self::new(u8::try_from(quotient_bits).ok()?, remainder_bits)
    }

    pub(crate) fn quotient_bits(self) -> u8 {
        self.quotient_bits
    }

    pub(crate) fn remainder_bits(self) -> u8 {
        self.remainder_bits
    }

    /// Bits of a fingerprint, 7 to 64.
    pub(crate) fn fingerprint_bits(self) -> u8 {
        self.quotient_bits + self.remainder_bits
    }

    /// Whether a filter of this layout may state `max` as the quotient bits it may grow to.
    pub(crate) fn may_grow_to(self, max: u8) -> bool {
        (self.quotient_bits..=MAX_QUOTIENT_BITS).contains(&max) && max < self.fingerprint_bits()
    }

    pub(crate) fn slots(self) -> u64 {
        1 << self.quotient_bits
    }

    pub(crate) fn slot_mask(self) -> u64 {
        self.slots() - 1
    }

    pub(crate) fn blocks(self) -> u64 {
        self.slots() / SLOTS_PER_BLOCK
    }

    /// The most fingerprints that may be stored: 95 % of the slots, rounded up.
    pub(crate) fn capacity(self) -> u64 {
        (self.slots() * CAPACITY.0).div_ceil(CAPACITY.1)
    }

    pub(crate) fn remainder_mask(self) -> u64 {
        (1 << self.remainder_bits) - 1
    }

    pub(crate) fn block_len(self) -> usize {
        HEADER_LEN + 8 * usize::from(self.remainder_bits)
    }

    /// Bytes of all blocks and the padding. At most 2^59, so it never overflows.
    pub(crate) fn buffer_len(self) -> u64 {
        self.blocks() * self.block_len() as u64 + PADDING as u64
    }

    /// The fingerprint of a hash: its low bits.
    #[inline]
    pub(crate) fn split(self, hash: u64) -> (u64, u64) {
        ((hash >> self.remainder_bits) & self.slot_mask(), hash & self.remainder_mask())
    }
}

/// The first 8 bytes as a word.
#[inline]
#[expect(
    clippy::little_endian_bytes,
    reason = "the filter is the one little-endian structure of the format"
)]
pub(crate) fn read_word(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.first_chunk()?))
}

/// Sets the bits of `word` in the 8 bytes at `at`. `None` if the slice ends before them.
#[inline]
#[expect(
    clippy::little_endian_bytes,
    reason = "the filter is the one little-endian structure of the format"
)]
pub(crate) fn or_word(bytes: &mut [u8], at: usize, word: u64) -> Option<()> {
    let chunk = bytes.get_mut(at..)?.first_chunk_mut()?;
    *chunk = (u64::from_le_bytes(*chunk) | word).to_le_bytes();
    Some(())
}

/// A word with the bits below `n` clear and all others set. No bit is set from 64 on.
#[inline]
pub(crate) fn bits_from(n: u64) -> u64 {
    if n < 64 { u64::MAX << n } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::Layout;

    #[test]
    fn limits_are_those_of_the_format() {
        assert!(Layout::new(5, 7).is_none());
        assert!(Layout::new(6, 1).is_some());
        assert!(Layout::new(6, 0).is_none());
        assert!(Layout::new(6, 58).is_some());
        assert!(Layout::new(6, 59).is_none());
        assert!(Layout::new(59, 5).is_some());
        assert!(Layout::new(59, 6).is_none());
        assert!(Layout::new(60, 1).is_none());
        assert!(Layout::new(255, 255).is_none());
    }

    #[test]
    fn sized_for_95_percent() {
        for (entries, quotient_bits) in [
            (0, 6),
            (1, 6),
            (61, 6),
            (62, 7),
            (122, 7),
            (123, 8),
            (996_148, 20),
            (996_149, 21),
            (31_876_711, 25),
            (31_876_712, 26),
            (63_753_421, 26),
        ] {
            let layout = Layout::for_entries(entries, 7).unwrap();
            assert_eq!(layout.quotient_bits(), quotient_bits, "{entries}");
        }
        assert!(Layout::for_entries(u64::MAX, 7).is_none());
    }

    #[test]
    fn largest_layouts_do_not_overflow() {
        for quotient_bits in 6..=59_u8 {
            let layout = Layout::new(quotient_bits, 64 - quotient_bits).unwrap();
            assert!(layout.capacity() < layout.slots());
            assert!(layout.buffer_len() <= 1 << 59);
            assert_eq!(layout.fingerprint_bits(), 64);
        }
    }
}
