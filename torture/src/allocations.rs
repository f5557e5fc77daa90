//! An allocator that counts the bytes that a thread or the process has allocated, to measure the
//! memory of a call, and that refuses memory, to test what a call does then.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};

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
    static REFUSAL: Cell<Option<Refusal>> = const { Cell::new(None) };
    static CEILING: Cell<Option<Ceiling>> = const { Cell::new(None) };
}

/// Whether the bytes of all threads are counted.
static COUNTS_PROCESS: AtomicBool = AtomicBool::new(false);
static PROCESS_LIVE: AtomicIsize = AtomicIsize::new(0);
static PROCESS_PEAK: AtomicIsize = AtomicIsize::new(0);

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

/// Runs an action. Returns its result, and the peak of the bytes that all threads allocated during
/// the action. Only one thread may call this at a time.
pub fn process_peak_of<T>(action: impl FnOnce() -> T) -> (T, u64) {
    PROCESS_LIVE.store(0, Ordering::Relaxed);
    PROCESS_PEAK.store(0, Ordering::Relaxed);
    COUNTS_PROCESS.store(true, Ordering::Relaxed);
    let result = action();
    COUNTS_PROCESS.store(false, Ordering::Relaxed);
    (result, PROCESS_PEAK.load(Ordering::Relaxed).unsigned_abs() as u64)
}

/// The requests for memory that are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Requests for fewer bytes are granted. The standard library ends the process where a request
    /// of its own is refused, so this must be more than any buffer of a fixed length.
    pub smallest_len: usize,
    /// How many of the other requests are granted before all further ones are refused.
    pub granted: u64,
}

/// Runs an action in which requests of this thread for memory are refused. Returns its result, and
/// whether all requests were used up that were to be granted.
pub fn refusing<T>(refusal: Refusal, action: impl FnOnce() -> T) -> (T, bool) {
    REFUSAL.set(Some(refusal));
    let result = action();
    let left = REFUSAL.take();
    (result, left.is_some_and(|left| left.granted == 0))
}

/// A limit on the bytes of a thread that are allocated at the same time.
#[derive(Clone, Copy, Debug)]
struct Ceiling {
    live: isize,
    /// Requests for fewer bytes are granted, as in [`Refusal`].
    smallest_len: usize,
}

/// Runs an action in which this thread may allocate at most `room` bytes at the same time; requests
/// for fewer than `smallest_len` bytes are granted. Unlike with [`refusing`], memory that was
/// granted and given back is there again, as in a real system.
pub fn with_room<T>(room: usize, smallest_len: usize, action: impl FnOnce() -> T) -> T {
    CEILING.set(Some(Ceiling { live: LIVE.get() + room.cast_signed(), smallest_len }));
    let result = action();
    CEILING.set(None);
    result
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

// SAFETY: every call is passed on unchanged to the system's allocator, or refused with a null
// pointer, which changes nothing. Counting uses only thread-local cells and statics, which need
// neither allocation nor destructor.
#[expect(unsafe_code, reason = "an allocator is unsafe to implement")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_refused(layout.size(), 0) {
            return ptr::null_mut();
        }
        count(layout.size(), 0);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_refused(layout.size(), 0) {
            return ptr::null_mut();
        }
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
        if new_size > layout.size() && is_refused(new_size, layout.size()) {
            return ptr::null_mut();
        }
        count(new_size, layout.size());
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

/// Whether a request for `len` bytes in place of `before` is refused. Counts it if it is granted.
fn is_refused(len: usize, before: usize) -> bool {
    let is_over = CEILING.try_with(|ceiling| {
        let more = len.cast_signed().wrapping_sub(before.cast_signed());
        ceiling.get().is_some_and(|ceiling| {
            len >= ceiling.smallest_len && LIVE.get().wrapping_add(more) > ceiling.live
        })
    });
    if is_over.unwrap_or(false) {
        return true;
    }
    let refused = REFUSAL.try_with(|refusal| match refusal.get() {
        Some(rule) if len >= rule.smallest_len => {
            let granted = rule.granted.checked_sub(1);
            refusal.set(granted.map(|granted| Refusal { granted, ..rule }).or(Some(rule)));
            granted.is_none()
        }
        _ => false,
    });
    // A thread that ends, whose cells are gone, is granted everything.
    refused.unwrap_or(false)
}

fn count(more: usize, less: usize) {
    let change = more.cast_signed().wrapping_sub(less.cast_signed());
    if COUNTS_PROCESS.load(Ordering::Relaxed) {
        let live = PROCESS_LIVE.fetch_add(change, Ordering::Relaxed).wrapping_add(change);
        PROCESS_PEAK.fetch_max(live, Ordering::Relaxed);
    }
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
    fn memory_that_is_given_back_is_there_again() {
        let granted = with_room(5000, 1000, || {
            let reserve = |len| Vec::<u8>::new().try_reserve_exact(len).is_ok();
            let kept = vec![1_u8; 2000];
            let granted = [reserve(3000), reserve(3000), reserve(3001), reserve(999)];
            drop(kept);
            (granted, reserve(5000))
        });
        assert_eq!(granted, ([true, true, false, true], true));
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
