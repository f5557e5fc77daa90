//! An allocator that counts the bytes that the current thread holds, to measure the memory of a
//! read.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use sst_format::limits::MAX_LZ4_RATIO;

/// Bytes that a read may take however small a file is: open tables, sets and reports, and the small
/// cache of [`reader_options`](crate::model::reader_options) while it grows.
pub const FIXED_COST: u64 = 64 << 10;

/// Bytes of memory that reading `stored` bytes may take: 255 times as much (FORMAT.md section 11),
/// and [`FIXED_COST`].
#[must_use]
pub const fn read_limit(stored: u64) -> u64 {
    stored.saturating_mul(MAX_LZ4_RATIO).saturating_add(FIXED_COST)
}

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static EXCESS: Cell<Option<Excess>> = const { Cell::new(None) };
}

/// More memory than a read may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    /// Bytes that it held at most.
    pub peak: u64,
    /// Bytes that it may hold.
    pub limit: u64,
}

/// Runs an action; returns its result and the most bytes that this thread held beyond those it held
/// before.
pub fn peak_of<T>(action: impl FnOnce() -> T) -> (T, u64) {
    let before = LIVE.get();
    PEAK.set(before);
    let result = action();
    (result, (PEAK.get() - before).unsigned_abs() as u64)
}

/// Runs an action that may hold at most `limit` bytes at a time. If it holds more, the case that
/// runs counts as an over-allocation.
pub fn within<T>(limit: u64, action: impl FnOnce() -> T) -> T {
    let (result, peak) = peak_of(action);
    if peak > limit {
        EXCESS.set(Some(Excess { peak, limit }));
    }
    result
}

/// The largest excess over a limit on this thread since the last call.
pub fn take_excess() -> Option<Excess> {
    EXCESS.take()
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on to the system's allocator as it is; counting touches only two
// cells of the thread, which need no allocation and no destructor.
#[expect(unsafe_code, reason = "an allocator is unsafe to implement")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size, layout.size());
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

fn count(more: usize, less: usize) {
    let change = more.cast_signed().wrapping_sub(less.cast_signed());
    // A thread that ends may have no cells any more; it is not measured then.
    let live = LIVE.try_with(|live| {
        live.set(live.get().wrapping_add(change));
        live.get()
    });
    if let Ok(live) = live {
        _ = PEAK.try_with(|peak| peak.set(peak.get().max(live)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_that_of_the_action() {
        let kept = vec![0_u8; 5000];
        let (_, peak) = peak_of(|| {
            drop(vec![1_u8; 1000]);
            drop(vec![1_u8; 3000]);
        });
        assert_eq!(peak, 3000);
        let (_, none) = peak_of(|| drop(kept));
        assert_eq!(none, 0);
    }

    #[test]
    fn an_excess_is_told_once() {
        within(1000, || drop(vec![1_u8; 1000]));
        assert_eq!(take_excess(), None);
        within(1000, || drop(vec![1_u8; 1001]));
        assert_eq!(take_excess(), Some(Excess { peak: 1001, limit: 1000 }));
        assert_eq!(take_excess(), None);
    }
}
