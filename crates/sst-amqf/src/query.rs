//! The question, answered from the bytes in bounded time, whatever they are.
//!
//! "No" is said in two cases only: no fingerprint has this quotient, or the run of the quotient was found and read to its end without meeting the
//! remainder. Everything else is "maybe": that includes bytes that contradict themselves, and a run that is more than
//! [`MAX_BLOCKS`] away or long. With hashes that are spread at all evenly, runs are close to their quotients and a few
//! slots long. Hashes that were chosen to share their low bits can make them longer than any limit (the offset of a block
//! is exact only below 255), and then finding the one "no" in ten thousand blocks would cost more than the lookup it
//! saves.

use crate::{
    layout::{SATURATED_OFFSET, SLOTS_PER_BLOCK, bits_from, read_word},
    select::select,
    view::QuotientFilterView,
};

/// The most blocks that one question reads beyond the first.
const MAX_BLOCKS: u64 = 64;

impl QuotientFilterView<'_> {
    /// Whether the table may hold an entry with this hash: `false` is certain, `true` is not.
    ///
    /// Takes bounded time and never panics, also on damaged bytes.
    #[must_use]
    #[inline]
    pub fn may_contain(&self, hash: u64) -> bool {
        let (number, home, remainder) = self.split(hash);
        let Some(block) = self.block(number) else {
            return true;
        };
        if block.occupieds >> home & 1 == 0 {
            return false;
        }
        // Slots are counted from the first that belongs to runs of this block, if that lies in it at all.
        let offset = u32::from(block.offset);
        let Some(runends) = block.runends.checked_shr(offset) else {
            return self.may_contain_far(hash);
        };
        // The run is the one behind those of lower quotients.
        let earlier = (block.occupieds & !(u64::MAX << home)).count_ones();
        let mut free_from = 0;
        if let Some(n) = earlier.checked_sub(1) {
            match select(runends, n) {
                Some(end) => free_from = end + 1,
                None => return self.may_contain_far(hash),
            }
        }
        // Bit 63 is never the end of an earlier run, or the next line could not ...
        let ahead = runends.checked_shr(free_from).unwrap_or(0);
        if ahead == 0 {
            return self.may_contain_far(hash);
        }
        let free_from = u64::from(free_from + offset);
        let end = free_from + u64::from(ahead.trailing_zeros());
        // A run that ends before it may begin is damage.
        end < home || self.has(block.remainders, free_from.max(home), end, remainder)
    }

    /// Block, place in the block, and remainder of a hash.
    #[inline]
    fn split(&self, hash: u64) -> (u64, u64, u64) {
        let (quotient, remainder) = self.split_hash(hash);
        (quotient / SLOTS_PER_BLOCK, quotient % SLOTS_PER_BLOCK, remainder)
    }

    /// Whether one of the slots `start..=end` of a block has this remainder.
    #[inline]
    fn has(&self, remainders: &[u8], start: u64, end: u64, remainder: u64) -> bool {
        let width = self.remainder_bits();
        let bit = start * width;
        let used = (end + 1 - start) * width;
        let word =
            usize::try_from(bit / 8).ok().and_then(|at| remainders.get(at..)).and_then(read_word);
        if let Some(word) = word
            && used + bit % 8 <= 64
        {
            // Compares all at once: a remainder becomes zero where it is equal, and what is not asked becomes ones.
            let lows = self.remainder_lows();
            let highs = lows << (width - 1);
            let unequal = (word >> (bit % 8)) ^ remainder * lows | bits_from(used);
            return unequal.wrapping_sub(lows) & !unequal & highs != 0;
        }
        self.has_far(remainders, start, end, remainder)
    }

    /// As [`has`](Self::has), for remainders that do not fit one word.
    #[cold]
    #[inline(never)]
    fn has_far(&self, remainders: &[u8], start: u64, end: u64, remainder: u64) -> bool {
        (start..=end)
            .any(|slot| self.remainder_at(remainders, slot).is_none_or(|other| other == remainder))
    }

    /// The rest of [`may_contain`](Self::may_contain) where the run is not all in the block of its quotient.
    #[cold]
    #[inline(never)]
    fn may_contain_far(&self, hash: u64) -> bool {
        let (number, home, remainder) = self.split(hash);
        let Some(block) = self.block(number) else {
            return true;
        };
        if block.offset == SATURATED_OFFSET {
            return true;
        }
        let earlier = (block.occupieds & !(u64::MAX << home)).count_ones();
        self.run_start(number, u64::from(block.offset), earlier)
            .filter(|&free_from| block.runends & bits_from(free_from) & !bits_from(home) == 0)
            .and_then(|free_from| self.run_has(number, free_from.max(home), remainder))
            .unwrap_or(true)
    }

    /// The slot behind `earlier` runs that follow each other from slot `from` on; slots are counted from the first of
    /// block `number`. `None` if it is too far away.
    fn run_start(&self, number: u64, from: u64, earlier: u32) -> Option<u64> {
        let Some(mut earlier) = earlier.checked_sub(1) else {
            return Some(from);
        };
        let first = from / SLOTS_PER_BLOCK;
        let mut skipped = bits_from(from % SLOTS_PER_BLOCK);
        for ahead in first..first + MAX_BLOCKS {
            let runends = self.block_ahead(number + ahead)?.runends & skipped;
            if let Some(end) = select(runends, earlier) {
                return Some(ahead * SLOTS_PER_BLOCK + u64::from(end) + 1);
            }
            earlier -= runends.count_ones();
            skipped = u64::MAX;
        }
        None
    }

    /// Whether the run that starts in slot `start` has this remainder. `None` if the run is too long to say.
    fn run_has(&self, number: u64, start: u64, remainder: u64) -> Option<bool> {
        let first = start / SLOTS_PER_BLOCK;
        let mut from = start % SLOTS_PER_BLOCK;
        for ahead in first..first + MAX_BLOCKS {
            let block = self.block_ahead(number + ahead)?;
            // 64 where the run goes on in the next block.
            let end = u64::from((block.runends & bits_from(from)).trailing_zeros());
            let last = end.min(SLOTS_PER_BLOCK - 1);
            if self.has(block.remainders, from, last, remainder) {
                return Some(true);
            }
            if end < SLOTS_PER_BLOCK {
                return Some(false);
            }
            from = 0;
        }
        None
    }
}
