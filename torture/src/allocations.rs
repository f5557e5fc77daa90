//! An allocator that counts the bytes that the current thread has allocated, to measure the memory
//! of a read.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use sst_format::limits::MAX_LZ4_RATIO;

/// Bytes that a read may allocate for even the smallest file: open tables, sets, reports, and the
/// growing small cache of [`reader_options`](crate::model::reader_options).
pub const FIXED_COST: u64 = 64 << 10;

/// The memory limit of reading `stored` bytes: 255 times as much (FORMAT.md section 11) plus
/// [`FIXED_COST`].
#[must_use]
pub const fn read_limit(stored: u64) -> u64 {
    stored.saturating_mul(MAX_LZ4_RATIO).saturating_add(FIXED_COST)
}

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static EXCESS: Cell<Option<Excess>> = const { Cell::new(None) };
}

/// A read exceeded its memory limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    /// Peak of the bytes allocated at the same time.
    pub peak: u64,
    /// Highest number of bytes allowed.
    pub limit: u64,
}

/// Runs an action. Returns its result, and the peak of the bytes that this thread allocated during
/// the action.
pub fn peak_of<T>(action: impl FnOnce() -> T) -> (T, u64) {
    let before = LIVE.get();
    PEAK.set(before);
    let result = action();
    (result, (PEAK.get() - before).unsigned_abs() as u64)
}

/// Runs an action with a limit on its peak memory, in bytes. If it allocates more, the runner
/// counts the current case as an over-allocation.
pub fn within<T>(limit: u64, action: impl FnOnce() -> T) -> T {
    let (result, peak) = peak_of(action);
    if peak > limit {
        EXCESS.set(Some(Excess { peak, limit }));
    }
    result
}

/// The last excess over a limit on this thread since the last call of this function.
pub fn take_excess() -> Option<Excess> {
    EXCESS.take()
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on unchanged to the system's allocator. Counting uses only two
// thread-local cells, which need neither allocation nor destructor.
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
    // While a thread ends, its cells may be gone already. Such a thread is not measured.
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
