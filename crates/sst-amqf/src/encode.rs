//! Writes the buffer of a filter from ascending fingerprints, in one pass and linear time.
//!
//! Each fingerprint goes to the slot of its quotient, or to the first one behind the fingerprint before
//! it. Those that come to lie behind the last slot go on at slot 0. How many they are is found out
//! beforehand, and as many slots are kept free. So what reaches into a block from the blocks before it is
//! known when the pass gets there, and its offset is written once: adding each fingerprint to the
//! offsets of all blocks that it is pushed across, one by one, would make hashes that share their low
//! bits take quadratic time.

use crate::layout::{
    HEADER_LEN, Layout, MAX_REMAINDER_BITS, OCCUPIEDS_AT, RUNENDS_AT, SATURATED_OFFSET,
    SLOTS_PER_BLOCK, or_word,
};

/// Follows ascending quotients from slot to slot.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SlotCursor {
    next: u64,
}

impl SlotCursor {
    /// The slot of the next fingerprint, counted on past the end of the table.
    #[inline]
    pub(crate) fn place(&mut self, quotient: u64) -> u64 {
        let slot = quotient.max(self.next);
        self.next = slot + 1;
        slot
    }

    /// How many fingerprints came to lie behind the last slot.
    pub(crate) fn overflow(self, layout: Layout) -> u64 {
        self.next.saturating_sub(layout.slots())
    }
}

/// A filter buffer being filled.
#[derive(Debug)]
pub(crate) struct Encoder<'a> {
    buffer: &'a mut [u8],
    layout: Layout,
    cursor: SlotCursor,
    count: u64,
    /// Quotient and slot of the last fingerprint, whose run may go on.
    last: Option<(u64, u64)>,
    /// The block of the last quotient. Its offset is written, and those of all blocks before.
    home: u64,
    /// What `home` holds so far.
    occupieds: u64,
    /// The block of the last slot, counted on past the end of the table.
    place: u64,
    /// What `place` holds so far; a run end is set when the next fingerprint shows that it is one.
    runends: u64,
    remainders: [u16; SLOTS],
    /// How often a part of a block was written: the measure of work for tests.
    #[cfg(test)]
    writes: u64,
}

/// [`SLOTS_PER_BLOCK`] as a length.
const SLOTS: usize = 64;
const _: () = assert!(SLOTS as u64 == SLOTS_PER_BLOCK);

impl<'a> Encoder<'a> {
    /// Starts on an all-zero buffer of the size of `layout`, with remainders of at most
    /// [`MAX_REMAINDER_BITS`]. `wrapped` is the number of fingerprints that will go on at slot 0, see
    /// [`SlotCursor::overflow`].
    pub(crate) fn new(buffer: &'a mut [u8], layout: Layout, wrapped: u64) -> Self {
        debug_assert_eq!(buffer.len() as u64, layout.buffer_len());
        debug_assert!(layout.remainder_bits() <= MAX_REMAINDER_BITS);
        let mut encoder = Self {
            buffer,
            layout,
            cursor: SlotCursor { next: wrapped },
            count: 0,
            last: None,
            home: 0,
            occupieds: 0,
            place: 0,
            runends: 0,
            remainders: [0; SLOTS],
            #[cfg(test)]
            writes: 0,
        };
        encoder.write_offset();
        encoder
    }

    /// Adds a fingerprint larger than the one before.
    #[inline]
    pub(crate) fn push(&mut self, fingerprint: u64) {
        let (quotient, remainder) = self.layout.split(fingerprint);
        if quotient / SLOTS_PER_BLOCK != self.home {
            self.go_home(quotient / SLOTS_PER_BLOCK);
        }
        self.occupieds |= 1 << (quotient % SLOTS_PER_BLOCK);
        let slot = self.cursor.place(quotient);
        if let Some((last_quotient, last_slot)) = self.last {
            self.runends |= u64::from(quotient != last_quotient) << (last_slot % SLOTS_PER_BLOCK);
        }
        self.last = Some((quotient, slot));
        if slot / SLOTS_PER_BLOCK != self.place {
            self.write_place();
            self.place = slot / SLOTS_PER_BLOCK;
        }
        if let Some(place) = self.remainders.get_mut(to_usize(slot % SLOTS_PER_BLOCK)) {
            *place = low_half(remainder);
        }
        self.count += 1;
    }

    /// Writes what is still held back, and returns the number of fingerprints.
    pub(crate) fn finish(mut self) -> u64 {
        if let Some((_, slot)) = self.last {
            self.runends |= 1 << (slot % SLOTS_PER_BLOCK);
        }
        self.write_place();
        self.go_home(self.layout.blocks() - 1);
        self.write_occupieds();
        self.count
    }

    /// Goes on to the block of a higher quotient: how far all runs before it reach is known now.
    #[cold]
    fn go_home(&mut self, block: u64) {
        self.write_occupieds();
        while self.home < block {
            self.home += 1;
            self.write_offset();
        }
    }

    fn write_offset(&mut self) {
        #[cfg(test)]
        {
            self.writes += 1;
        }
        let spilled = self.cursor.next.saturating_sub(self.home * SLOTS_PER_BLOCK);
        if let Some(offset) = self.buffer.get_mut(self.block_at(self.home)) {
            *offset = u8::try_from(spilled).unwrap_or(SATURATED_OFFSET);
        }
    }

    fn write_occupieds(&mut self) {
        let at = self.block_at(self.home) + OCCUPIEDS_AT;
        or_word(self.buffer, at, core::mem::take(&mut self.occupieds));
    }

    /// Writes run ends and remainders of a block. The first blocks may get them twice: slots that have
    /// gone around the table are added to those that were kept free.
    fn write_place(&mut self) {
        #[cfg(test)]
        {
            self.writes += 1;
        }
        let at = self.block_at(self.place & (self.layout.blocks() - 1));
        or_word(self.buffer, at + RUNENDS_AT, core::mem::take(&mut self.runends));
        // Four remainders of at most 16 bits fit a word.
        let remainders = core::mem::replace(&mut self.remainders, [0; SLOTS]);
        let width = u32::from(self.layout.remainder_bits());
        let mut at = at + HEADER_LEN;
        let (mut bits, mut len) = (0_u128, 0);
        for [a, b, c, d] in remainders.as_chunks().0.iter().map(|four| four.map(u64::from)) {
            bits |= u128::from(a | b << width | c << (2 * width) | d << (3 * width)) << len;
            len += 4 * width;
            if len >= u64::BITS {
                or_word(self.buffer, at, low_word(bits));
                at += 8;
                bits >>= u64::BITS;
                len -= u64::BITS;
            }
        }
    }

    fn block_at(&self, block: u64) -> usize {
        to_usize(block) * self.layout.block_len()
    }
}

/// A number below the length of the buffer, which is in memory.
fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

#[expect(clippy::cast_possible_truncation, reason = "a remainder has at most 16 bits")]
fn low_half(remainder: u64) -> u16 {
    remainder as u16
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
fn low_word(bits: u128) -> u64 {
    bits as u64
}

#[cfg(test)]
mod tests {
    use super::{Encoder, SlotCursor};
    use crate::layout::Layout;

    /// Work that goes with the product of fingerprints and blocks is what makes a filter of clustered hashes
    /// unusable: 400,000 of them would write 10^9 offsets here.
    #[test]
    fn writes_each_block_twice_at_most() {
        let layout = Layout::for_entries(400_000, 7).unwrap();
        let top = 1 << layout.fingerprint_bits();
        for start in [0, top / 2, top - 400_000] {
            let mut cursor = SlotCursor::default();
            for fingerprint in start..start + 400_000 {
                cursor.place(layout.split(fingerprint).0);
            }
            let mut buffer = vec![0; usize::try_from(layout.buffer_len()).unwrap()];
            let mut encoder = Encoder::new(&mut buffer, layout, cursor.overflow(layout));
            for fingerprint in start..start + 400_000 {
                encoder.push(fingerprint);
            }
            // The offset of every block so far, and the contents of every block that was left.
            assert!(encoder.writes <= 2 * layout.blocks(), "{} writes", encoder.writes);
            assert!(encoder.writes >= 400_000 / 64);
            assert_eq!(encoder.finish(), 400_000);
        }
    }
}
