//! The header of a key block that was checked before, beside the index.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use sst_format::key_block::fixed::FixedShape;

/// The header of a fixed-size key block of a file in memory, checked: the shape of the block, and
/// the range of its entries in the file. A lookup then neither reads nor checks its header again,
/// which is a cache line of its own.
///
/// Bytes in memory that were checked once are still there (see
/// [`Access::Map`](crate::Access::Map)). So all threads write the same values.
#[derive(Debug)]
pub(crate) struct CheckedBlock {
    /// 0 until the other fields are set.
    shape: AtomicU64,
    start: AtomicU32,
    end: AtomicU32,
}

impl CheckedBlock {
    /// Of a block that was not checked.
    pub(crate) const fn none() -> Self {
        Self { shape: AtomicU64::new(0), start: AtomicU32::new(0), end: AtomicU32::new(0) }
    }

    pub(crate) fn set(&self, shape: FixedShape, entries: Range<u32>) {
        self.start.store(entries.start, Ordering::Relaxed);
        self.end.store(entries.end, Ordering::Relaxed);
        // A thread that sees the shape sees the range too.
        self.shape.store(shape.pack(), Ordering::Release);
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> Option<(FixedShape, Range<u32>)> {
        let shape = FixedShape::unpack(self.shape.load(Ordering::Acquire))?;
        Some((shape, self.start.load(Ordering::Relaxed)..self.end.load(Ordering::Relaxed)))
    }
}
