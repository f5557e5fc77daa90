//! Brings the blocks of a map into memory: each in one piece, and before its bytes are touched.
//!
//! The kernel is told not to read ahead (docs/DECISIONS.md, 66), so a page that is touched before
//! it was asked for is read by itself, with a wait for each. Only a system call tells which pages
//! are in memory, and a lookup that finds everything there makes none. So this is what is known:
//!
//! - A block that was not verified yet was probably not read yet: it is asked for.
//! - A block that was verified was in memory once. If it is stored compressed, its first byte is
//!   touched, and the clock tells whether that waited for a disk. Blocks are evicted together, so
//!   the next block is then asked for before it is touched.
//! - A raw block that was verified is used where it lies, without a look at the clock. If it was
//!   evicted, those of its pages are read that a lookup touches, one after the other.

use std::cell::Cell;
use std::hint::black_box;
use std::iter::Peekable;
use std::ops::Range;
use std::time::{Duration, Instant};

use sst_format::BlockIndex;

use crate::block::blocks::Blocks;
use crate::block::memory::Mapping;

/// A page that takes longer to touch was read from a disk: a fault without one takes below 2 µs, a
/// read from a fast disk above 20 µs. Mistakes cost a system call or a wait.
const DISK_WAIT: Duration = Duration::from_micros(15);

thread_local! {
    /// Whether the last verified block that this thread touched had been evicted.
    static EVICTED: Cell<bool> = const { Cell::new(false) };
}

/// How many bytes a scan asks for beyond the block that it reads, at first and at most: as much as
/// keeps a disk busy meanwhile, and not so much that a merge of a thousand tables fills memory.
const FIRST_WINDOW: usize = 64 << 10;
const LARGEST_WINDOW: usize = 512 << 10;

/// Highest number of bytes that one request of a walk over parts of an object asks for, and of
/// bytes between two of these parts that it asks for as well.
const LARGEST_SPAN: usize = 4 << 20;
const LARGEST_GAP: usize = 256 << 10;

/// How far a scan of a table has asked for bytes.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    /// The bytes before this were asked for, are in memory, or lie before the scan.
    done: usize,
    window: usize,
    /// Set by the first block that was not in memory. From then on all are asked for.
    is_cold: bool,
}

impl ReadAhead {
    /// Of a scan that starts behind block `before`, or with the first block.
    pub(crate) fn behind(blocks: &Blocks, before: Option<BlockIndex>) -> Self {
        Self::from(before.and_then(|before| blocks.byte_range(before)).map_or(0, |range| range.end))
    }

    const fn from(start: usize) -> Self {
        Self { done: start, window: FIRST_WINDOW, is_cold: false }
    }

    /// The bytes to ask for before a block that ends at `end` is read. `is_missing` tells whether
    /// it seems not to be in memory.
    fn step(
        &mut self,
        end: usize,
        file_len: usize,
        is_missing: impl FnOnce() -> bool,
    ) -> Option<Range<usize>> {
        if self.is_cold && (end + self.window / 2).min(file_len) <= self.done {
            return None;
        }
        self.is_cold = self.is_cold || is_missing();
        if !self.is_cold {
            self.done = end;
            return None;
        }
        let start = self.done;
        self.done = (end + self.window).min(file_len).max(start);
        self.window = (self.window * 2).min(LARGEST_WINDOW);
        Some(start..self.done)
    }
}

/// The ranges of bytes that a walk reads of an object, in this order: for example key blocks, with
/// value blocks between them.
pub(crate) struct Spans<I: Iterator<Item = Range<usize>>> {
    ranges: Peekable<I>,
    /// How many ranges were asked for, and not read yet.
    asked: usize,
}

impl<I: Iterator<Item = Range<usize>>> Spans<I> {
    pub(crate) fn new(ranges: I) -> Self {
        Self { ranges: ranges.peekable(), asked: 0 }
    }

    /// The bytes to ask for before the next range is read; `None` if it was asked for already.
    fn step(&mut self) -> Option<Range<usize>> {
        if let Some(left) = self.asked.checked_sub(1) {
            self.asked = left;
            return None;
        }
        let mut span = self.ranges.next()?;
        while let Some(range) = self.ranges.next_if(|range| {
            let gap = range.start.checked_sub(span.end);
            gap.is_some_and(|gap| gap <= LARGEST_GAP) && range.end - span.start <= LARGEST_SPAN
        }) {
            span.end = range.end;
            self.asked += 1;
        }
        Some(span)
    }
}

impl Blocks {
    /// Brings `block`, which a scan is about to read, and the blocks in front of it into memory,
    /// and asks for those behind it.
    pub(crate) fn prefetch_ahead(&self, block: BlockIndex, ahead: &mut ReadAhead) {
        let Some(len) = self.stored_len() else { return self.prefetch_mapped_ahead(block, ahead) };
        // The read that follows reports a block that is not there.
        if let Some(range) = self.byte_range(block)
            // Nothing of an object in a store is in memory.
            && let Some(range) = ahead.step(range.end, len, || true)
        {
            self.prefetch_bytes(range);
        }
    }

    /// [`Blocks::prefetch_ahead`], unless the file is an object in a store.
    pub(crate) fn prefetch_mapped_ahead(&self, block: BlockIndex, ahead: &mut ReadAhead) {
        // The read that follows reports a block that is not there.
        let (Some(map), Some(range)) = (self.random_map(), self.byte_range(block)) else { return };
        let is_missing = || !self.is_verified(block) || touch_waits(map, range.start);
        if let Some(range) = ahead.step(range.end, map.as_slice().len(), is_missing) {
            map.prefetch_pages(range);
        }
    }

    /// Of an object in a store, asks by one request for the next ranges of a walk that lie
    /// together, if they were not asked for yet. Must be called before each range is read.
    pub(crate) fn prefetch_spans<I: Iterator<Item = Range<usize>>>(&self, spans: &mut Spans<I>) {
        if self.stored_len().is_some()
            && let Some(span) = spans.step()
        {
            self.prefetch_bytes(span);
        }
    }

    /// Brings a block that a lookup is about to read into memory, or starts to.
    pub(super) fn prefetch_whole(&self, block: BlockIndex) {
        let (Some(map), Some(range)) = (self.random_map(), self.byte_range(block)) else { return };
        if !self.is_verified(block) {
            return map.prefetch_pages(range);
        }
        let start = range.start;
        if EVICTED.get() {
            map.prefetch_pages(range);
            EVICTED.set(touch_waits(map, start));
        } else if touch_waits(map, start) {
            map.prefetch_pages(range);
            EVICTED.set(true);
        }
    }

    /// Whether a block was never read, or the last blocks that this thread read had been evicted.
    #[inline]
    pub(crate) fn may_be_cold(&self, block: BlockIndex) -> bool {
        !self.is_verified(block) || EVICTED.get()
    }

    /// Starts to read a block that will probably be looked up soon, if it is not in memory as far
    /// as is known.
    pub(crate) fn prefetch_missing(&self, block: BlockIndex) {
        if self.may_be_cold(block) && self.cached(block).is_none() {
            self.prefetch_pages(block);
        }
    }

    /// Length of a block in the file in bytes; `None` if there is no such block.
    pub(crate) fn len_of(&self, block: BlockIndex) -> Option<usize> {
        self.byte_range(block).map(|range| range.len())
    }

    /// Whether a block was never read.
    #[inline]
    pub(crate) fn is_new(&self, block: BlockIndex) -> bool {
        !self.is_verified(block)
    }

    /// Starts to read a block that will be looked up soon, if it was never read.
    #[inline]
    pub(crate) fn prefetch_new(&self, block: BlockIndex) {
        if self.is_new(block) {
            self.prefetch_pages(block);
        }
    }
}

/// Touches a byte, and tells whether that seems to have waited for a disk.
fn touch_waits(map: &Mapping, at: usize) -> bool {
    let start = Instant::now();
    black_box(map.as_slice().get(at).copied());
    start.elapsed() > DISK_WAIT
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const BLOCK: usize = 8 << 10;
    const LEN: usize = 4 << 20;

    /// Reads a file block by block, and gives the ranges that were asked for with the ends of the
    /// blocks before which that was. `is_missing` tells of each end whether its block is.
    fn scanned(start: usize, is_missing: impl Fn(usize) -> bool) -> Vec<(usize, Range<usize>)> {
        let mut ahead = ReadAhead::from(start);
        let ends = (start..LEN).step_by(BLOCK).map(|start| start + BLOCK);
        ends.filter_map(|end| Some((end, ahead.step(end, LEN, || is_missing(end))?))).collect()
    }

    #[test]
    fn a_cold_scan_asks_for_every_byte_once_and_before_it_is_read() {
        for start in [0, 5 * BLOCK, LEN - BLOCK] {
            let asked = scanned(start, |_| true);
            let mut done = start;
            for (end, range) in &asked {
                assert_eq!(range.start, done);
                assert!(*end <= done + BLOCK, "a block before {end} was read unasked");
                done = range.end;
            }
            assert_eq!(done, LEN);
            assert!(asked.iter().all(|(end, range)| range.end - end <= LARGEST_WINDOW));
        }
        let asked = scanned(0, |_| true);
        assert_eq!(asked[0], (BLOCK, 0..BLOCK + FIRST_WINDOW));
        assert!(asked.len() < LEN / LARGEST_WINDOW * 3, "{asked:?}");
    }

    #[test]
    fn a_scan_of_bytes_in_memory_asks_for_nothing_until_one_is_missing() {
        assert_eq!(scanned(0, |_| false), []);
        let asked = scanned(0, |end| end == 100 * BLOCK);
        assert_eq!(asked[0], (100 * BLOCK, 99 * BLOCK..100 * BLOCK + FIRST_WINDOW));
        assert_eq!(asked.last().unwrap().1.end, LEN);
    }

    #[test]
    fn the_last_block_is_asked_for_once() {
        let mut ahead = ReadAhead::from(0);
        assert_eq!(ahead.step(LEN, LEN, || true), Some(0..LEN));
        assert_eq!(ahead.step(LEN, LEN, || true), None);
    }

    #[test]
    fn ranges_that_lie_together_are_asked_for_once() {
        let far = 3 * BLOCK + LARGEST_GAP;
        let ranges = [
            0..BLOCK,
            // A block between them is asked for, too.
            2 * BLOCK..3 * BLOCK,
            far..far + BLOCK,
            // Too far away.
            far + BLOCK + LARGEST_GAP + 1..far + 2 * BLOCK + LARGEST_GAP + 1,
            // Not behind the last one.
            0..BLOCK,
            // Too long together.
            BLOCK..LARGEST_SPAN + 1,
        ];
        let mut spans = Spans::new(ranges.clone().into_iter());
        let asked: Vec<_> = ranges.iter().map(|_| spans.step()).collect();
        let alone = |i: usize| Some(ranges[i].clone());
        assert_eq!(asked, [Some(0..far + BLOCK), None, None, alone(3), alone(4), alone(5)]);
        assert_eq!(spans.step(), None);
    }
}
