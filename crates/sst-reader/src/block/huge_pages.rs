//! Moves the memory of cached blocks into huge pages.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::block::memory::collapse;

/// Length of a huge page in bytes, on x86-64 and, with pages of 4 KiB, on 64-bit ARM. Where it is
/// another, the kernel refuses, or makes pages of it that are as good.
const PAGE: usize = 2 << 20;

/// Blocks that lie in a region before it is worth a huge page, in bytes: nearly all that it has
/// room for.
const NEARLY_ALL: u64 = PAGE as u64 / 8 * 7;

/// Bytes of blocks after which a region is asked for once more, if it was refused: its last part
/// may not have been mapped. Twice as many after each refusal.
const FIRST_WAIT: u64 = 32 << 10;

/// Bytes of blocks after which a region is asked for again in any case: an allocator may have given
/// memory back meanwhile. Loading that many takes far longer than to ask.
const LONGEST_WAIT: u64 = 64 << 20;

/// Longest block that counts, in bytes. Allocators map longer ones by themselves, at addresses of
/// their own.
const LONGEST_BLOCK: usize = 128 << 10;

/// Counts the blocks that are put into each aligned piece of the address space, and has the kernel
/// make one page of it when it is nearly full of them.
///
/// In pages of 4 KiB a cache of some hundred megabytes is more than the TLB reaches: each access
/// costs a walk through page tables that do not fit into the processor's caches either. It works
/// with every allocator.
#[derive(Debug, Default)]
pub(crate) struct HugePages {
    regions: Mutex<HashMap<usize, Region>>,
}

/// One piece of the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Region {
    /// Bytes of blocks until the kernel is asked.
    left: u64,
    /// Bytes of blocks until it is asked again, if it refuses.
    wait: u64,
}

impl HugePages {
    /// A block was put there. Now and then this asks the kernel, and waits for it.
    pub(crate) fn note(&self, block: &[u8]) {
        self.note_at(block.as_ptr().addr(), block.len(), |address| collapse(address, PAGE));
    }

    fn note_at(&self, address: usize, len: usize, ask: impl FnOnce(usize) -> bool) {
        let region = address / PAGE;
        if len <= LONGEST_BLOCK && self.is_due(region, len as u64) && !ask(region * PAGE) {
            self.refused(region);
        }
    }

    /// Whether the kernel is to be asked for a region now: by one thread, and without keeping
    /// others waiting for it.
    fn is_due(&self, region: usize, len: u64) -> bool {
        // The counts are hints; those of a thread that panicked are as good.
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        let region = regions.entry(region).or_insert(Region { left: NEARLY_ALL, wait: FIRST_WAIT });
        let is_due = region.left <= len;
        region.left = if is_due { LONGEST_WAIT } else { region.left - len };
        is_due
    }

    fn refused(&self, region: usize) {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(region) = regions.get_mut(&region) {
            region.left = region.wait;
            region.wait = (region.wait * 2).min(LONGEST_WAIT);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const BLOCK: usize = 8 << 10;

    /// After how many blocks of the given length, in one region, the kernel was asked, if it
    /// answers so.
    fn asked_after(blocks: usize, len: usize, answer: bool) -> Vec<usize> {
        let pages = HugePages::default();
        let asked: RefCell<Vec<usize>> = RefCell::default();
        for i in 1..=blocks {
            // Anywhere within the region, which starts at its multiple.
            let address = 5 * PAGE + (i * BLOCK) % PAGE;
            pages.note_at(address, len, |address| {
                assert_eq!(address, 5 * PAGE);
                asked.borrow_mut().push(i);
                answer
            });
        }
        asked.into_inner()
    }

    #[test]
    #[cfg_attr(miri, ignore = "counting, and too much of it for an interpreter")]
    fn a_region_that_is_nearly_full_is_asked_for_and_much_later_again() {
        let nearly_full = PAGE / BLOCK / 8 * 7;
        let much_later = nearly_full + (64 << 20) / BLOCK;
        assert_eq!(asked_after(much_later, BLOCK, true), [nearly_full, much_later]);
        assert_eq!(asked_after(nearly_full - 1, BLOCK, true), []);
    }

    #[test]
    #[cfg_attr(miri, ignore = "counting, and too much of it for an interpreter")]
    fn a_refused_region_is_asked_for_less_and_less_often() {
        let first = PAGE / BLOCK / 8 * 7;
        let asked = asked_after(first + 4 + 8 + 16 + 1, BLOCK, false);
        assert_eq!(asked, [first, first + 4, first + 4 + 8, first + 4 + 8 + 16]);
        let asked = asked_after(100_000, BLOCK, false);
        let apart: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(apart.last(), Some(&((64 << 20) / BLOCK)));
    }

    #[test]
    fn regions_are_apart_and_long_blocks_do_not_count() {
        let pages = HugePages::default();
        for region in 0..1000 {
            pages.note_at(region * PAGE, LONGEST_BLOCK, |_| unreachable!("one block each"));
        }
        assert_eq!(asked_after(1000, LONGEST_BLOCK + 1, true), []);
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no such pages")]
    fn memory_keeps_what_is_in_it() {
        let filled = |seed: usize| {
            (0..3 * PAGE).map(move |i| ((i ^ seed) % 251).to_be_bytes()[size_of::<usize>() - 1])
        };
        let bytes: Vec<u8> = filled(7).collect();
        let first = bytes.as_ptr().addr().next_multiple_of(PAGE);
        // Whether it is one page then is up to the machine.
        collapse(first, PAGE);
        assert!(bytes.iter().copied().eq(filled(7)));
        assert!(!collapse(0, PAGE), "nothing is mapped there");
    }
}
