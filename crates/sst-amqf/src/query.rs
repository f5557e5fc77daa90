//! Queries, answered from the bytes in place and in bounded time, even if the bytes are damaged.
//!
//! The answer is "no" in two cases only: no fingerprint has this quotient, or the run of the
//! quotient was found and read to its end without a match of the remainder. Every other case is
//! "maybe". That includes blocks that contradict each other, and runs that reach further than
//! [`MAX_BLOCKS`] from home, the block of their quotient.
//!
//! Evenly spread hashes have runs of a few slots, near their home. Hashes that were chosen to share
//! their low bits can push runs away by any number of blocks, through blocks whose offset is only
//! known to be 255 or more. To find a run among them would take longer than the lookup that a "no"
//! saves, so the query answers "maybe" at once.

use crate::{
    cpu,
    layout::{SATURATED_OFFSET, SLOTS_PER_BLOCK, bits_from, read_word},
    select::select,
    view::QuotientFilterView,
};

/// A query follows a run for at most this many blocks behind the block of its quotient.
const MAX_BLOCKS: u64 = 64;

impl QuotientFilterView<'_> {
    /// Whether the table may hold an entry with this hash: `false` is certain, `true` is not.
    ///
    /// Takes bounded time and never panics, on damaged bytes too.
    #[must_use]
    #[inline]
    pub fn may_contain(&self, hash: u64) -> bool {
        cpu::may_contain(self, hash)
    }

    /// Asks the processor to fetch the block at which the query for this hash starts.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        let (number, _, _) = self.split(hash);
        if let Some(bytes) = self.block_bytes(number) {
            cpu::prefetch(bytes);
        }
    }

    /// Answers a query. `select` finds the n-th set bit of a word; `n` is below 63.
    #[inline(always)]
    pub(crate) fn answer(&self, hash: u64, select: impl Fn(u64, u32) -> Option<u32>) -> bool {
        let (number, home, remainder) = self.split(hash);
        let Some(block) = self.block(number) else {
            return true;
        };
        if block.occupieds >> home & 1 == 0 {
            return false;
        }
        // From here on bit 0 is the first slot that belongs to runs of this block.
        let offset = u32::from(block.offset);
        let Some(runends) = block.runends.checked_shr(offset) else {
            return self.may_contain_far(hash);
        };
        let earlier_runs = (block.occupieds & !(u64::MAX << home)).count_ones();
        let mut free_from = 0;
        if let Some(last_earlier) = earlier_runs.checked_sub(1) {
            match select(runends, last_earlier) {
                Some(end) => free_from = end + 1,
                None => return self.may_contain_far(hash),
            }
        }
        // A shift by all 64 bits leaves no run end.
        let ahead = runends.checked_shr(free_from).unwrap_or(0);
        if ahead == 0 {
            return self.may_contain_far(hash);
        }
        // From here on, slots are counted from the start of the block again.
        let free_from = u64::from(offset + free_from);
        let end = free_from + u64::from(ahead.trailing_zeros());
        // A run that ends before its quotient's slot is damage: "maybe".
        end < home || self.has(block.remainders, free_from.max(home), end, remainder)
    }

    /// Answers a query whose run does not lie wholly in the block of its quotient.
    #[cold]
    #[inline(never)]
    fn may_contain_far(&self, hash: u64) -> bool {
        let (number, home, remainder) = self.split(hash);
        let Some(block) = self.block(number) else {
            return true;
        };
        sst_format::planted!("far-run-denied" => return false);
        if block.offset == SATURATED_OFFSET {
            return true;
        }
        let earlier_runs = (block.occupieds & !(u64::MAX << home)).count_ones();
        self.free_from(number, u64::from(block.offset), earlier_runs)
            // A run that ends before its quotient's slot is damage: "maybe".
            .filter(|&free_from| block.runends & bits_from(free_from) & !bits_from(home) == 0)
            .and_then(|free_from| self.run_has(number, free_from.max(home), remainder))
            .unwrap_or(true)
    }

    /// The slot behind `runs` consecutive runs that start at slot `from`. Slots are counted from
    /// the first of block `number`. `None` if the slot is too far away.
    fn free_from(&self, number: u64, from: u64, runs: u32) -> Option<u64> {
        let Some(mut last) = runs.checked_sub(1) else {
            return Some(from);
        };
        let mut mask = bits_from(from % SLOTS_PER_BLOCK);
        for ahead in from / SLOTS_PER_BLOCK..=self.reach() {
            let runends = self.block_ahead(number + ahead)?.runends & mask;
            if let Some(end) = select(runends, last) {
                return Some(ahead * SLOTS_PER_BLOCK + u64::from(end) + 1);
            }
            last -= runends.count_ones();
            mask = u64::MAX;
        }
        None
    }

    /// Whether the run that starts in slot `start`, counted from the first of block `number`, has
    /// this remainder. `None` if its end is too far away.
    fn run_has(&self, number: u64, start: u64, remainder: u64) -> Option<bool> {
        let mut from = start % SLOTS_PER_BLOCK;
        for ahead in start / SLOTS_PER_BLOCK..=self.reach() {
            let block = self.block_ahead(number + ahead)?;
            // 64 if the run goes on in the next block.
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

    /// The number of blocks behind that of its quotient within which a run must end. In a small
    /// table that is once around.
    fn reach(&self) -> u64 {
        self.layout().blocks().min(MAX_BLOCKS)
    }

    /// The block of a hash, its slot in the block, and its remainder.
    #[inline]
    fn split(&self, hash: u64) -> (u64, u64, u64) {
        let (quotient, remainder) = self.split_hash(hash);
        (quotient / SLOTS_PER_BLOCK, quotient % SLOTS_PER_BLOCK, remainder)
    }

    /// Whether one of the slots `start..=end` of a block has this remainder.
    #[inline]
    fn has(&self, remainders: &[u8], start: u64, end: u64, remainder: u64) -> bool {
        let start = sst_format::planted!("slot-passed-over", start, (start + 1).min(end));
        let width = self.remainder_bits();
        let bit = start * width;
        let used = (end + 1 - start) * width;
        let word =
            usize::try_from(bit / 8).ok().and_then(|at| remainders.get(at..)).and_then(read_word);
        if let Some(word) = word
            && used + bit % 8 <= 64
        {
            // Compares all slots at once: an equal remainder becomes zero, bits outside the run
            // become ones, and subtracting 1 from each slot borrows from its top bit only if the
            // slot was zero.
            let lows = self.remainder_lows();
            let tops = lows << (width - 1);
            let unequal = ((word >> (bit % 8)) ^ (remainder * lows)) | bits_from(used);
            return unequal.wrapping_sub(lows) & !unequal & tops != 0;
        }
        self.has_one_by_one(remainders, start, end, remainder)
    }

    /// As [`has`](Self::has), for slots that don't fit one word.
    #[cold]
    #[inline(never)]
    fn has_one_by_one(&self, remainders: &[u8], start: u64, end: u64, remainder: u64) -> bool {
        (start..=end)
            .any(|slot| self.remainder_at(remainders, slot).is_none_or(|found| found == remainder))
    }
}
