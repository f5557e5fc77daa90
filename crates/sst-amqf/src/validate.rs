//! Checks a whole filter for damage.
//!
//! There are two depths. [`check_structure`](QuotientFilterView::check_structure) reads the head of
//! every block and follows the runs from block to block. It finds every single flipped bit among
//! offsets, occupieds and runends, which decide where the run of a hash is.
//! [`validate`](QuotientFilterView::validate) also reads every slot, and accepts only blocks that a
//! builder makes. Neither notices damage that turns a remainder into another one that is valid in
//! its slot: only a checksum over the bytes does.

use crate::{
    layout::{PADDING, SATURATED_OFFSET, SLOTS_PER_BLOCK, bits_from},
    pile::NO_MEMORY,
    select::select,
    view::QuotientFilterView,
};
use core::ops::Range;
use sst_format::filter::FilterError;

const SHORT: FilterError = FilterError::new("buffer shorter than its blocks");
const WRONG_COUNT: FilterError = FilterError::new("number of fingerprints is wrong");
const RUNENDS: FilterError = FilterError::new("run ends do not match the quotients");

impl QuotientFilterView<'_> {
    /// Checks that offsets, occupieds and runends of all blocks agree.
    ///
    /// O(n): some ten nanoseconds per block of 64 slots, once the bytes are in memory.
    ///
    /// # Errors
    ///
    /// [`FilterError`] if they do not agree.
    pub fn check_structure(&self) -> Result<(), FilterError> {
        if self.layout().blocks() == 1 {
            // The only offset counts slots of its own block, so only the contents of the runs show
            // whether it is wrong.
            self.check_runs()
        } else {
            self.check_blocks()
        }
    }

    /// Checks the whole filter.
    ///
    /// Besides [`check_structure`](Self::check_structure), it checks that the remainders of each
    /// run ascend, that unused slots are zero, and that the number of fingerprints is right. O(n):
    /// some nanoseconds per slot.
    ///
    /// # Errors
    ///
    /// [`FilterError`] unless a builder makes exactly these blocks from the fingerprints in them.
    pub fn validate(&self) -> Result<(), FilterError> {
        self.check_blocks()?;
        self.check_runs()
    }

    /// Follows the runs from block to block, and compares the slots that they take in each with its
    /// offset.
    fn check_blocks(&self) -> Result<(), FilterError> {
        let blocks = self.layout().blocks();
        let (first, start) = self.exact_block()?;
        let mut offset = start;
        let mut runs = RunendCursor::new(self, first, offset)?;
        for number in first..first + blocks {
            let block = self.block_ahead(number).ok_or(SHORT)?;
            // The format stores 255 for any larger offset.
            if block.offset != u8::try_from(offset).unwrap_or(SATURATED_OFFSET) {
                return Err(FilterError::new("offset of a block is wrong"));
            }
            runs.skip(block.occupieds.count_ones())?;
            offset = runs.leave(number)?;
        }
        if offset == start { Ok(()) } else { Err(RUNENDS) }
    }

    /// Follows the runs from slot to slot.
    fn check_runs(&self) -> Result<(), FilterError> {
        let blocks = self.layout().blocks();
        let (first, offset) = self.exact_block()?;
        let mut slot = first * SLOTS_PER_BLOCK + offset;
        let stop = slot + self.layout().slots();
        let mut count = 0;
        for number in first..first + blocks {
            let mut quotients = self.block_ahead(number).ok_or(SHORT)?.occupieds;
            while quotients != 0 {
                let quotient = number * SLOTS_PER_BLOCK + u64::from(quotients.trailing_zeros());
                quotients &= quotients - 1;
                self.expect_empty(slot..quotient)?;
                let start = slot.max(quotient);
                slot = self.validate_run(start..stop)?;
                count += slot - start;
            }
        }
        self.expect_empty(slot..stop)?;
        if count != self.fingerprint_count() {
            return Err(WRONG_COUNT);
        }
        match self.buffer().last_chunk::<PADDING>() {
            Some([0, 0, 0, 0, 0, 0, 0, 0]) => {}
            Some(_) => return Err(FilterError::new("padding is not zero")),
            None => return Err(SHORT),
        }
        Ok(())
    }

    /// Checks the run that starts at the first of `slots`, and returns the slot behind it.
    fn validate_run(&self, slots: Range<u64>) -> Result<u64, FilterError> {
        let mut last = None;
        for slot in slots {
            let (remainder, ends_run) = self.slot(slot)?;
            if last >= Some(remainder) {
                return Err(FilterError::new("remainders of a run do not ascend"));
            }
            if ends_run {
                return Ok(slot + 1);
            }
            last = Some(remainder);
        }
        Err(RUNENDS)
    }

    /// All fingerprints, by quotient. O(n).
    ///
    /// # Errors
    ///
    /// [`FilterError`] if the runs cannot be followed, if their fingerprints are not as many as the
    /// filter says, or if the system has no memory for them.
    pub(crate) fn fingerprints(&self) -> Result<Vec<u64>, FilterError> {
        let layout = self.layout();
        let (first, offset) = self.exact_block()?;
        let mut slot = first * SLOTS_PER_BLOCK + offset;
        let stop = slot + layout.slots();
        // The number that the filter states is not above the capacity of its bytes.
        let mut found = Vec::new();
        let count = usize::try_from(self.fingerprint_count()).map_err(|_| NO_MEMORY)?;
        found.try_reserve_exact(count).map_err(|_| NO_MEMORY)?;
        for number in first..first + layout.blocks() {
            let mut quotients = self.block_ahead(number).ok_or(SHORT)?.occupieds;
            while quotients != 0 {
                let quotient = number * SLOTS_PER_BLOCK + u64::from(quotients.trailing_zeros());
                quotients &= quotients - 1;
                let high = (quotient & layout.slot_mask()) << self.remainder_bits();
                slot = slot.max(quotient);
                loop {
                    if slot >= stop {
                        return Err(RUNENDS);
                    }
                    let (remainder, ends_run) = self.slot(slot)?;
                    if found.len() == count {
                        return Err(WRONG_COUNT);
                    }
                    found.push(high | remainder);
                    slot += 1;
                    if ends_run {
                        break;
                    }
                }
            }
        }
        if found.len() != count {
            return Err(WRONG_COUNT);
        }
        Ok(found)
    }

    fn expect_empty(&self, mut slots: Range<u64>) -> Result<(), FilterError> {
        slots.try_for_each(|slot| match self.slot(slot)? {
            (0, false) => Ok(()),
            _ => Err(FilterError::new("slot without a fingerprint is not empty")),
        })
    }

    /// The remainder in a slot, and whether a run ends there.
    fn slot(&self, slot: u64) -> Result<(u64, bool), FilterError> {
        let block = self.block_ahead(slot / SLOTS_PER_BLOCK).ok_or(SHORT)?;
        let place = slot % SLOTS_PER_BLOCK;
        let remainder = self.remainder_at(block.remainders, place).ok_or(SHORT)?;
        Ok((remainder, block.runends >> place & 1 == 1))
    }

    /// The first block whose offset is exact, and that offset. The checks start there and go once
    /// around the table.
    fn exact_block(&self) -> Result<(u64, u64), FilterError> {
        for number in 0..self.layout().blocks() {
            let offset = self.block_ahead(number).ok_or(SHORT)?.offset;
            if offset != SATURATED_OFFSET {
                return Ok((number, u64::from(offset)));
            }
        }
        Err(FilterError::new("no slot is empty"))
    }
}

/// A position among the run ends that only moves forward. Slots and blocks behind the end of the
/// table are counted on.
struct RunendCursor<'v, 'a> {
    view: &'v QuotientFilterView<'a>,
    /// The block of the position.
    block: u64,
    /// The first block that is too far: a cursor that reaches it has gone around the table.
    limit: u64,
    /// The run ends of this block that are still to come.
    ahead: u64,
    /// The slot behind the last run.
    next_slot: u64,
}

impl<'v, 'a> RunendCursor<'v, 'a> {
    /// A cursor at the first slot that does not belong to runs of blocks before block `first`.
    fn new(view: &'v QuotientFilterView<'a>, first: u64, offset: u64) -> Result<Self, FilterError> {
        let next_slot = first * SLOTS_PER_BLOCK + offset;
        // Once around the table, and on to the block of the start.
        let limit = view.layout().blocks() + next_slot / SLOTS_PER_BLOCK + 1;
        let mut cursor = Self { view, block: 0, limit, ahead: 0, next_slot };
        cursor.enter(next_slot / SLOTS_PER_BLOCK)?;
        cursor.ahead &= bits_from(next_slot % SLOTS_PER_BLOCK);
        Ok(cursor)
    }

    fn enter(&mut self, block: u64) -> Result<(), FilterError> {
        if block >= self.limit {
            return Err(RUNENDS);
        }
        self.block = block;
        self.ahead = self.view.block_ahead(block).ok_or(SHORT)?.runends;
        Ok(())
    }

    /// Moves past `runs` run ends.
    fn skip(&mut self, mut runs: u32) -> Result<(), FilterError> {
        loop {
            let here = self.ahead.count_ones();
            if let Some(last) = runs.checked_sub(1)
                && runs <= here
            {
                let end = if runs == here {
                    self.ahead.checked_ilog2()
                } else {
                    select(self.ahead, last)
                };
                let behind = u64::from(end.ok_or(RUNENDS)?) + 1;
                self.next_slot = self.block * SLOTS_PER_BLOCK + behind;
                self.ahead &= bits_from(behind);
                return Ok(());
            }
            if runs == 0 {
                return Ok(());
            }
            runs -= here;
            self.enter(self.block + 1)?;
        }
    }

    /// Leaves block `number`, whose runs have been skipped. Returns the number of slots that these
    /// runs take behind the block: 0 if they end within it.
    fn leave(&mut self, number: u64) -> Result<u64, FilterError> {
        if self.block == number {
            if self.ahead != 0 {
                return Err(RUNENDS);
            }
            self.enter(number + 1)?;
        }
        Ok(self.next_slot.saturating_sub((number + 1) * SLOTS_PER_BLOCK))
    }
}
