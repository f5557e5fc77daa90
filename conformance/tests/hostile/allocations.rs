//! An allocator that counts what the current thread has, so that a test can tell how much something took.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on to the system's allocator as it is; counting touches only two cells of the thread, which
// need no allocation and no destructor.
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
    // A thread that ends may have no cells any more; nobody measures it then.
    let live = LIVE.try_with(|live| {
        live.set(live.get().wrapping_add(change));
        live.get()
    });
    if let Ok(live) = live {
        _ = PEAK.try_with(|peak| peak.set(peak.get().max(live)));
    }
}

/// Does something; returns also how many bytes this thread had at most beyond what it had before.
pub(crate) fn peak_of<T>(action: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.get();
    PEAK.set(before);
    let result = action();
    (result, usize::try_from(PEAK.get() - before).unwrap())
}

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
