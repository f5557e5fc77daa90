//! Writes the buffer of a filter from ascending fingerprints, in one pass and linear time.
//!
//! Each fingerprint goes to the slot of its quotient or, if that is taken, to the slot behind the
//! fingerprint before it. Fingerprints that would lie behind the last slot wrap around to slot 0.
//! The caller counts them beforehand ([`SlotCursor::overflow`]), and the encoder leaves as many
//! slots free at the start. So the number of slots that earlier runs take in a block is known when
//! the pass reaches the block, and its offset is written once. (`qfilter`'s builder adds each
//! fingerprint to the offsets of all blocks that it is pushed across: with hashes that share their
//! low bits that takes quadratic time. The example `beside_qfilter` measures it.)

use crate::layout::{
    HEADER_LEN, Layout, MAX_REMAINDER_BITS, OCCUPIEDS_AT, RUNENDS_AT, SATURATED_OFFSET,
    SLOTS_PER_BLOCK, or_word,
};
use sst_format::filter::FilterError;

/// Follows ascending quotients from slot to slot.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SlotCursor {
    next: u64,
}

impl SlotCursor {
    /// The slot of the next fingerprint. Slots behind the end of the table are counted on.
    #[inline]
    pub(crate) fn next_slot(&mut self, quotient: u64) -> u64 {
        let slot = quotient.max(self.next);
        self.next = slot + 1;
        slot
    }

    /// Number of fingerprints that were placed behind the last slot of the table.
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
    /// Quotient and slot of the last fingerprint. The next fingerprint may belong to the same run.
    last: Option<(u64, u64)>,
    /// The block of the last quotient. The offsets of this block and of all earlier ones are
    /// written.
    home: u64,
    /// The occupieds of `home` so far.
    occupieds: u64,
    /// The block of the last slot. Blocks behind the end of the table are counted on.
    slots_block: u64,
    /// The run ends of `slots_block` so far. The end of a run is set when the next one starts.
    runends: u64,
    /// The remainders of `slots_block` so far.
    remainders: [u16; SLOTS],
    /// Whether a write lay outside the buffer. `finish` then returns an error.
    is_broken: bool,
    /// Number of writes of an offset or of the slots of a block: tests measure the work by it.
    #[cfg(test)]
    writes: u64,
}

/// [`SLOTS_PER_BLOCK`] as a length.
const SLOTS: usize = 64;
const _: () = assert!(SLOTS as u64 == SLOTS_PER_BLOCK);

impl<'a> Encoder<'a> {
    /// Starts on an all-zero buffer of the size of `layout`, with remainders of at most
    /// [`MAX_REMAINDER_BITS`]. `wrapped` is the number of fingerprints that will wrap around to
    /// slot 0, see [`SlotCursor::overflow`].
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
            slots_block: 0,
            runends: 0,
            remainders: [0; SLOTS],
            is_broken: false,
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
            self.advance_home(quotient / SLOTS_PER_BLOCK);
        }
        self.occupieds |= 1 << (quotient % SLOTS_PER_BLOCK);
        let slot = self.cursor.next_slot(quotient);
        if let Some((last_quotient, last_slot)) = self.last {
            self.runends |= u64::from(quotient != last_quotient) << (last_slot % SLOTS_PER_BLOCK);
        }
        self.last = Some((quotient, slot));
        if slot / SLOTS_PER_BLOCK != self.slots_block {
            self.write_slots_block();
            self.slots_block = slot / SLOTS_PER_BLOCK;
        }
        self.put_remainder(slot, low_half(remainder));
        self.count += 1;
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "modulo the length of the array")]
    fn put_remainder(&mut self, slot: u64, remainder: u16) {
        self.remainders[(slot % SLOTS_PER_BLOCK) as usize] = remainder;
    }

    /// Writes the last block, and returns the number of fingerprints.
    ///
    /// # Errors
    ///
    /// [`FilterError`] if the buffer is shorter than the layout says.
    pub(crate) fn finish(mut self) -> Result<u64, FilterError> {
        if let Some((_, slot)) = self.last {
            self.runends |= 1 << (slot % SLOTS_PER_BLOCK);
        }
        self.write_slots_block();
        self.advance_home(self.layout.blocks() - 1);
        self.write_occupieds();
        debug_assert!(!self.is_broken, "the buffer has the size of its layout");
        if self.is_broken {
            return Err(FilterError::new("internal: a block lies outside the buffer"));
        }
        Ok(self.count)
    }

    /// Moves on to the block of a higher quotient. All earlier runs have been placed, so the
    /// offsets of this block and of those between are known.
    #[cold]
    fn advance_home(&mut self, block: u64) {
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
        // 0 if the earlier runs end before this block.
        let taken = self.cursor.next.saturating_sub(self.home * SLOTS_PER_BLOCK);
        let at = self.block_at(self.home);
        match at.and_then(|at| self.buffer.get_mut(at)) {
            // The format stores 255 for any larger number.
            Some(offset) => *offset = u8::try_from(taken).unwrap_or(SATURATED_OFFSET),
            None => self.is_broken = true,
        }
    }

    fn write_occupieds(&mut self) {
        let word = core::mem::take(&mut self.occupieds);
        let at = self.block_at(self.home);
        let written = at.and_then(|at| or_word(self.buffer, at + OCCUPIEDS_AT, word));
        self.is_broken |= written.is_none();
    }

    /// Writes the run ends and remainders of `slots_block`. The first blocks may be written twice:
    /// the fingerprints that wrap around go into the slots that were left free.
    fn write_slots_block(&mut self) {
        #[cfg(test)]
        {
            self.writes += 1;
        }
        let at = self.block_at(self.slots_block & (self.layout.blocks() - 1));
        let written = at.and_then(|at| self.write_slots(at));
        self.is_broken |= written.is_none();
        self.runends = 0;
        self.remainders = [0; SLOTS];
    }

    /// Adds the run ends and remainders of `slots_block` to the block at `at`.
    fn write_slots(&mut self, at: usize) -> Option<()> {
        or_word(self.buffer, at + RUNENDS_AT, self.runends)?;
        // Four remainders of at most 16 bits fit a word.
        let width = u32::from(self.layout.remainder_bits());
        let mut at = at + HEADER_LEN;
        let (mut bits, mut len) = (0_u128, 0);
        for [a, b, c, d] in self.remainders.as_chunks().0.iter().map(|four| four.map(u64::from)) {
            bits |= u128::from(a | b << width | c << (2 * width) | d << (3 * width)) << len;
            len += 4 * width;
            if len >= u64::BITS {
                or_word(self.buffer, at, low_word(bits))?;
                at += 8;
                bits >>= u64::BITS;
                len -= u64::BITS;
            }
        }
        Some(())
    }

    /// The byte at which a block starts in the buffer.
    fn block_at(&self, block: u64) -> Option<usize> {
        usize::try_from(block).ok()?.checked_mul(self.layout.block_len())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a remainder has at most 16 bits")]
fn low_half(remainder: u64) -> u16 {
    remainder as u16
}

#[expect(clippy::cast_possible_truncation, reason = "only the lower half is wanted")]
fn low_word(bits: u128) -> u64 {
    bits as u64
}

#[cfg(test)]
mod tests {
    use super::{Encoder, SlotCursor};
    use crate::layout::Layout;

    /// Fewer under Miri, which takes long for each.
    const FINGERPRINTS: u64 = if cfg!(miri) { 20_000 } else { 400_000 };

    /// An encoder whose work grows with fingerprints × blocks is unusable for clustered hashes: for
    /// these 400,000 it would write 10^9 offsets.
    #[test]
    fn writes_each_block_twice_at_most() {
        let layout = Layout::for_entries(FINGERPRINTS, 7).unwrap();
        let top = 1 << layout.fingerprint_bits();
        for start in [0, top / 2, top - FINGERPRINTS] {
            let mut cursor = SlotCursor::default();
            for fingerprint in start..start + FINGERPRINTS {
                cursor.next_slot(layout.split(fingerprint).0);
            }
            let mut buffer = vec![0; usize::try_from(layout.buffer_len()).unwrap()];
            let mut encoder = Encoder::new(&mut buffer, layout, cursor.overflow(layout));
            for fingerprint in start..start + FINGERPRINTS {
                encoder.push(fingerprint);
            }
            // One write for the offset of each block, and one for its slots.
            assert!(encoder.writes <= 2 * layout.blocks(), "{} writes", encoder.writes);
            assert!(encoder.writes >= FINGERPRINTS / 64);
            assert_eq!(encoder.finish(), Ok(FINGERPRINTS));
        }
    }
}
