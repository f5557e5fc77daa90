//! Memory maps, bytes with the owner that keeps them in memory, prefetching and huge pages: the one
//! file of this crate with `unsafe` code.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

use arc_swap::Guard;
use memmap2::Mmap;
use triomphe::ThinArc;

/// A whole file, mapped read-only.
///
/// No process may shorten or overwrite the file while it is mapped; the docs of
/// [`Access::Map`](crate::Access::Map) pass that on to the user. Files of this format are immutable
/// once they have their name.
pub(crate) struct Mapping {
    map: Mmap,
    /// Whether the kernel was told to read only the pages that are touched or asked for.
    is_random: bool,
}

/// Shortest file, in bytes, for which the kernel is told that it is read at random: shorter ones it
/// may as well read whole.
#[cfg(unix)]
const MIN_RANDOM_LEN: usize = 64 << 10;

impl Mapping {
    /// Maps `file`.
    #[expect(unsafe_code, reason = "mapping a file has no safe form; see the comment on the block")]
    pub(crate) fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the map is read-only and only ever seen as `&[u8]`. Its bytes change, or vanish,
        // only if a process writes to the file or truncates it meanwhile. The format forbids that
        // (files are immutable and replaced under new names), the docs of `Access::Map` say so, and
        // `Access::Read` is there for files that may change all the same. Every byte is checked as
        // untrusted input after it was loaded.
        let map = unsafe { Mmap::map(file) }?;
        Ok(Self { map, is_random: false })
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.map
    }

    /// Tells the kernel not to read around the pages that are touched. From then on
    /// [`Mapping::prefetch_pages`] reads pages ahead.
    pub(crate) fn expect_random_reads(&mut self) {
        #[cfg(unix)]
        if self.map.len() > MIN_RANDOM_LEN {
            // Where the kernel does not take the advice, it reads ahead as before.
            self.is_random = self.map.advise(memmap2::Advice::Random).is_ok();
        }
    }

    /// Whether only those pages are read that are touched or asked for.
    #[inline]
    pub(crate) const fn is_random(&self) -> bool {
        self.is_random
    }

    /// Starts to read the pages of a range that are not in memory, and does not wait for them.
    pub(crate) fn prefetch_pages(&self, range: Range<usize>) {
        #[cfg(unix)]
        if self.is_random {
            // Advice: without it, each page is read when it is touched.
            let len = range.end.saturating_sub(range.start);
            _ = self.map.advise_range(memmap2::Advice::WillNeed, range.start, len);
        }
        #[cfg(not(unix))]
        let _: Range<usize> = range;
    }
}

/// A block that a slot of the cache lends to a thread, without a counter that processors would take
/// from each other.
type BlockGuard = Guard<Option<Block>>;

/// A block in memory of its own, shared by counting.
type Block = ThinArc<(), u8>;

/// The guard of a slot that has a block.
struct FullGuard(BlockGuard);

impl FullGuard {
    /// `None` if the slot is empty.
    #[inline]
    fn new(guard: BlockGuard) -> Option<Self> {
        guard.is_some().then_some(Self(guard))
    }

    #[inline]
    #[expect(unsafe_code, reason = "`new` has looked; see the comment on the block")]
    fn block(&self) -> &Block {
        // SAFETY: `new`, the only function that makes one, refuses the guard of an empty slot, and
        // the content of a guard never changes.
        unsafe { self.0.as_ref().unwrap_unchecked() }
    }
}

/// The owner of the memory of some bytes, which keeps them where they are.
enum Holder<'a, F> {
    /// A file that is open for as long as `'a`.
    Lender(&'a Arc<F>),
    /// A file, shared.
    File(Arc<F>),
    /// A cached block, for a short time.
    Guard(FullGuard),
    /// A block, shared.
    Block(Block),
}

/// Bytes together with the owner of their memory: a part of a file that is in memory (`F`), or of a
/// block.
///
/// The part is checked once, when it is chosen. Afterwards there is no range that might not fit.
pub(crate) struct HeldBytes<'a, F> {
    /// Lies in memory that `holder` owns.
    bytes: NonNull<[u8]>,
    holder: Holder<'a, F>,
}

// SAFETY: the bytes are only ever read, so threads may read them at once. All else that is sent or
// shared is the holder, which only implements the traits if its parts do.
#[expect(unsafe_code, reason = "a pointer says nothing of threads; see the comment on the block")]
unsafe impl<'a, F> Send for HeldBytes<'a, F> where Holder<'a, F>: Send {}
// SAFETY: as for `Send`.
#[expect(unsafe_code, reason = "a pointer says nothing of threads; see the comment on the block")]
unsafe impl<'a, F> Sync for HeldBytes<'a, F> where Holder<'a, F>: Sync {}

impl<'a, F: 'static> HeldBytes<'a, F> {
    /// A part of a file, if `choose` finds it, which keeps the file open.
    pub(crate) fn of_file(
        file: Arc<F>,
        choose: impl for<'x> FnOnce(&'x F) -> Option<&'x [u8]>,
    ) -> Option<Self> {
        Some(Self { bytes: choose(&file)?.into(), holder: Holder::File(file) })
    }

    /// The part of the bytes that `choose` finds, borrowed from these.
    #[inline(always)]
    pub(crate) fn part<E>(
        &'a self,
        choose: impl for<'x> FnOnce(&'x [u8]) -> Result<&'x [u8], E>,
    ) -> Result<Self, E> {
        let bytes = NonNull::from(choose(self.as_slice())?);
        match &self.holder {
            Holder::File(file) => Ok(Self { bytes, holder: Holder::Lender(file) }),
            Holder::Lender(_) | Holder::Block(_) | Holder::Guard(_) => {
                Ok(Self { bytes, ..self.clone() })
            }
        }
    }

    /// All bytes of a cached block; `None` if the slot was empty.
    #[inline]
    pub(crate) fn of_guard(guard: BlockGuard) -> Option<Self> {
        let guard = FullGuard::new(guard)?;
        let bytes = NonNull::from(&guard.block().slice);
        Some(Self { bytes, holder: Holder::Guard(guard) })
    }

    /// All bytes of a block.
    #[inline]
    pub(crate) fn of_block(block: Block) -> Self {
        Self { bytes: NonNull::from(&block.slice), holder: Holder::Block(block) }
    }

    /// The bytes.
    #[inline]
    #[expect(
        unsafe_code,
        reason = "a field cannot borrow from another; see the comment on the block"
    )]
    pub(crate) const fn as_slice(&self) -> &[u8] {
        // SAFETY: `bytes` was a reference into what the holder owns. That is behind a pointer of
        // the holder, so it stays where it is when `self` moves, it is not dropped before the
        // holder, which `self` never gives away, and it is not changed, because it is shared:
        // neither `Arc` nor `ThinArc` gives out a mutable reference while there is a second one or
        // this one is borrowed, and `self` never borrows its holder mutably. `choose` got the file
        // for a lifetime of which it knows nothing, so what it returned is good for as long as the
        // file lives.
        unsafe { self.bytes.as_ref() }
    }

    /// The part of the bytes that `choose` finds.
    #[inline(always)]
    pub(crate) fn narrow<E>(
        self,
        choose: impl for<'x> FnOnce(&'x [u8]) -> Result<&'x [u8], E>,
    ) -> Result<Self, E> {
        let bytes = NonNull::from(choose(self.as_slice())?);
        Ok(Self { bytes, ..self })
    }

    /// A part of the bytes, to be kept beside them. `None` if `part` is not a part of them.
    ///
    /// As a clone that is narrowed, but the holder is written once: a walk does this twice for each
    /// entry.
    #[inline(always)]
    pub(crate) fn clone_of_part(&self, part: &[u8]) -> Option<Self> {
        let start = part.as_ptr().addr().checked_sub(self.as_slice().as_ptr().addr())?;
        let bytes = NonNull::from(self.as_slice().get(start..)?.get(..part.len())?);
        let holder = match &self.holder {
            Holder::Lender(file) => Holder::Lender(file),
            Holder::File(file) => Holder::File(Arc::clone(file)),
            Holder::Block(block) => Holder::Block(Block::clone(block)),
            Holder::Guard(guard) => {
                let end = start + part.len();
                return self.counted(guard).narrow(|all| all.get(start..end).ok_or(())).ok();
            }
        };
        Some(Self { bytes, holder })
    }

    /// Whether something else holds the same block too. A file does not count as shared.
    pub(crate) fn is_shared(&self) -> bool {
        match &self.holder {
            Holder::Block(block) => Block::strong_count(block) > 1,
            Holder::Guard(_) => true,
            Holder::Lender(_) | Holder::File(_) => false,
        }
    }

    /// The same bytes, held by a count instead of a guard: a thread has guards for a few blocks
    /// only, and finds other blocks more slowly while they are taken.
    #[inline]
    pub(crate) fn unguarded(self) -> Self {
        match &self.holder {
            Holder::Guard(guard) => self.counted(guard),
            Holder::Lender(_) | Holder::File(_) | Holder::Block(_) => self,
        }
    }

    /// The same bytes, free of the borrow. No copy.
    pub(crate) fn into_owned(self) -> HeldBytes<'static, F> {
        let holder = match self.holder {
            Holder::Lender(file) => Holder::File(Arc::clone(file)),
            Holder::File(file) => Holder::File(file),
            Holder::Block(block) => Holder::Block(block),
            Holder::Guard(ref guard) => return self.counted(guard),
        };
        HeldBytes { bytes: self.bytes, holder }
    }

    /// The same bytes in the block that `guard`, the holder, is for.
    fn counted(&self, guard: &FullGuard) -> HeldBytes<'static, F> {
        HeldBytes { bytes: self.bytes, holder: Holder::Block(Block::clone(guard.block())) }
    }
}

impl<F: 'static> Clone for HeldBytes<'_, F> {
    #[inline]
    fn clone(&self) -> Self {
        let holder = match &self.holder {
            Holder::Lender(file) => Holder::Lender(file),
            Holder::File(file) => Holder::File(Arc::clone(file)),
            Holder::Block(block) => Holder::Block(Block::clone(block)),
            Holder::Guard(guard) => return self.counted(guard),
        };
        Self { bytes: self.bytes, holder }
    }
}

/// Length of a cache line in bytes, near enough on every machine: a wrong one costs time, nothing
/// else.
pub(crate) const CACHE_LINE: usize = 64;

/// Asks the processor to fetch the cache line of byte `at` of `bytes` and `REACH` lines to either
/// side, while other work goes on.
#[inline]
pub(crate) fn prefetch_around<const REACH: usize>(bytes: &[u8], at: usize) {
    let first = bytes.as_ptr();
    prefetch_at(first, at);
    for line in 1..=REACH {
        prefetch_at(first, at.wrapping_add(line * CACHE_LINE));
        prefetch_at(first, at.wrapping_sub(line * CACHE_LINE));
    }
}

/// Asks the processor to fetch the cache line `at` bytes behind an address, whatever is there. Does
/// nothing where there is no instruction for it.
#[cfg(target_arch = "x86_64")]
#[inline]
#[expect(unsafe_code, reason = "the instruction has no safe form; see the comment on the block")]
pub(crate) fn prefetch_at<T>(address: *const T, at: usize) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch changes no memory that a program can see and cannot fault, whatever the
    // address. SSE, which has the instruction, is part of every x86-64.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast::<i8>().wrapping_add(at)) };
}

/// Without an instruction for it in stable Rust, nothing is fetched beforehand.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(crate) fn prefetch_at<T>(_: *const T, _: usize) {}

/// Makes one page of the `len` bytes of memory from `address` on, a multiple of `len`, which is the
/// length of a huge page. False if the kernel did not: it is too old, part of the memory is not
/// mapped, or no such page is free.
#[cfg(all(target_os = "linux", not(miri)))]
#[expect(unsafe_code, reason = "advice on memory has no safe form; see the comment on the block")]
pub(crate) fn collapse(address: usize, len: usize) -> bool {
    let start = std::ptr::without_provenance_mut::<libc::c_void>(address);
    // SAFETY: the advice changes in which pages memory lies, not its bytes, and the pointer is
    // never read through. The kernel refuses an address where nothing is mapped.
    unsafe { libc::madvise(start, len, libc::MADV_COLLAPSE) == 0 }
}

/// Only Linux can be asked.
#[cfg(not(all(target_os = "linux", not(miri))))]
pub(crate) const fn collapse(_: usize, _: usize) -> bool {
    false
}
