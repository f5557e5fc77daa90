//! Memory maps, prefetching and huge pages: the one file of this crate with `unsafe` code.

use std::fs::File;
use std::io;

use memmap2::Mmap;

/// A whole file, mapped read-only.
///
/// What mapping asks of its user is passed on in the docs of [`Access::Map`](crate::Access::Map): nobody may shorten
/// or overwrite the file while it is open. Files of this format are immutable once they have their name.
pub(crate) struct Mapping(Mmap);

impl Mapping {
    /// Maps `file`.
    #[expect(unsafe_code, reason = "mapping a file has no safe form; see the comment on the block")]
    pub(crate) fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the map is read-only and only ever seen as `&[u8]`. Its bytes change, or vanish, only if somebody
        // writes to or truncates the file meanwhile. The format forbids that (files are immutable and replaced under
        // new names), the docs of `Access::Map` say so, and `Access::Read` is there for files where nobody can promise
        // it. Every byte is checked as untrusted input after it was loaded.
        let map = unsafe { Mmap::map(file) }?;
        Ok(Self(map))
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

/// Length of a cache line in bytes, near enough on every machine: a wrong one costs time, nothing else.
const CACHE_LINE: usize = 64;

/// Asks the processor to fetch the cache line of byte `at` of `bytes` and `REACH` lines to either side, while other work
/// goes on.
#[inline]
pub(crate) fn prefetch_around<const REACH: usize>(bytes: &[u8], at: usize) {
    let first = bytes.as_ptr();
    prefetch_at(first, at);
    for line in 1..=REACH {
        prefetch_at(first, at.wrapping_add(line * CACHE_LINE));
        prefetch_at(first, at.wrapping_sub(line * CACHE_LINE));
    }
}

/// Asks the processor to fetch the cache line `at` bytes behind an address, whatever is there. Does nothing where there is
/// no instruction for it.
#[cfg(target_arch = "x86_64")]
#[inline]
#[expect(unsafe_code, reason = "the instruction has no safe form; see the comment on the block")]
pub(crate) fn prefetch_at<T>(address: *const T, at: usize) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch changes no memory that a program can see and cannot fault, whatever the address, so it may lie
    // anywhere. SSE, which has the instruction, is part of every x86-64.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast::<i8>().wrapping_add(at)) };
}

/// Without an instruction for it in stable Rust, nothing is fetched beforehand.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(crate) fn prefetch_at<T>(_: *const T, _: usize) {}

/// Makes one page of the `len` bytes of memory from `address` on, a multiple of `len`, which is the length of a huge page.
/// False if the kernel did not: it is too old, part of it is not mapped, or no such page is to be had.
#[cfg(all(target_os = "linux", not(miri)))]
#[expect(unsafe_code, reason = "advice on memory has no safe form; see the comment on the block")]
pub(crate) fn collapse(address: usize, len: usize) -> bool {
    let start = std::ptr::without_provenance_mut::<libc::c_void>(address);
    // SAFETY: the advice changes in which pages memory lies, not what is in it, and the pointer is never read through. An
    // address where nothing is mapped is refused.
    unsafe { libc::madvise(start, len, libc::MADV_COLLAPSE) == 0 }
}

/// Only Linux can be asked.
#[cfg(not(all(target_os = "linux", not(miri))))]
pub(crate) const fn collapse(_: usize, _: usize) -> bool {
    false
}
