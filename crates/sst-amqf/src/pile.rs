//! A growing collection of `u32`s that never moves its elements, and frees its memory block by
//! block.
//!
//! A `Vec` that doubles takes up to twice the memory that its elements need, and three times while
//! it grows. A pile keeps millions of fingerprints in blocks of 4 KiB instead. While they are
//! sorted, each block that has been read is reused for writing, so sorting needs no second copy.

use sst_format::filter::FilterError;

/// The error if the system has no memory for a filter being built.
pub(crate) const NO_MEMORY: FilterError = FilterError::new("the system has no memory to build it");

/// Numbers per block.
const BLOCK: usize = 1024;
/// Capacity of the first block of a pile at first, so that a small pile stays small.
const FIRST: usize = 16;

/// Empty blocks, to be filled again.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    free: Vec<Vec<u32>>,
}

impl Pool {
    /// Takes back a block that has been read. Blocks smaller than the others are freed, and all
    /// blocks if there is no memory for a longer list.
    pub(crate) fn give(&mut self, mut block: Vec<u32>) {
        if block.capacity() >= BLOCK && self.free.try_reserve(1).is_ok() {
            block.clear();
            self.free.push(block);
        }
    }
}

/// Numbers in the order in which they were pushed.
#[derive(Debug, Default)]
pub(crate) struct Pile {
    full: Vec<Vec<u32>>,
    open: Vec<u32>,
}

impl Pile {
    pub(crate) const fn new() -> Self {
        Self { full: Vec::new(), open: Vec::new() }
    }

    /// Adds a number. Blocks come from `pool` as long as it has any.
    ///
    /// # Errors
    ///
    /// [`NO_MEMORY`].
    #[inline]
    pub(crate) fn push(&mut self, value: u32, pool: &mut Pool) -> Result<(), FilterError> {
        if self.open.len() == self.open.capacity() {
            self.make_room(pool)?;
        }
        self.open.push(value);
        Ok(())
    }

    /// Adds numbers. Blocks come from `pool` as long as it has any.
    ///
    /// # Errors
    ///
    /// [`NO_MEMORY`].
    pub(crate) fn extend(
        &mut self,
        mut values: &[u32],
        pool: &mut Pool,
    ) -> Result<(), FilterError> {
        while !values.is_empty() {
            if self.open.len() == self.open.capacity() {
                self.make_room(pool)?;
            }
            let room = self.open.capacity() - self.open.len();
            // Fewer numbers than there is room for: all of them.
            let (now, later) = values.split_at_checked(room).unwrap_or((values, &[]));
            self.open.extend_from_slice(now);
            values = later;
        }
        Ok(())
    }

    /// Grows the first block, or starts another one.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self, pool: &mut Pool) -> Result<(), FilterError> {
        if self.open.len() >= BLOCK {
            self.full.try_reserve(1).map_err(|_| NO_MEMORY)?;
            self.full.push(core::mem::take(&mut self.open));
        }
        if self.open.is_empty()
            && let Some(block) = pool.free.pop()
        {
            self.open = block;
        } else if self.full.is_empty() {
            let wanted = (self.open.len() * 2).clamp(FIRST, BLOCK);
            let more = wanted - self.open.len();
            self.open.try_reserve_exact(more).map_err(|_| NO_MEMORY)?;
        } else {
            self.open = Vec::new();
            self.open.try_reserve_exact(BLOCK).map_err(|_| NO_MEMORY)?;
        }
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.full.iter().map(Vec::len).sum::<usize>() + self.open.len()
    }

    /// The numbers, block by block.
    pub(crate) fn into_blocks(self) -> impl Iterator<Item = Vec<u32>> {
        self.full.into_iter().chain([self.open])
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Pile, Pool};

    #[test]
    fn yields_the_numbers_in_the_order_of_the_pushes() {
        for count in [0, 1, 15, 16, 17, 1000, 1023, 1024, 1025, 2048, 5000] {
            let mut pool = Pool::default();
            pool.give(vec![7; BLOCK]);
            pool.give(vec![7; 3]);
            for mut pool in [pool, Pool::default()] {
                let mut pile = Pile::new();
                (0..count).for_each(|n| pile.push(n, &mut pool).unwrap());
                assert_eq!(pile.len(), usize::try_from(count).unwrap());
                let more: Vec<u32> = (count..count + 3000).collect();
                more.chunks(700).for_each(|values| pile.extend(values, &mut pool).unwrap());
                assert!(pile.into_blocks().flatten().eq(0..count + 3000), "{count}");
            }
        }
    }

    #[test]
    fn takes_blocks_from_the_pool() {
        let mut pool = Pool::default();
        for _ in 0..3 {
            pool.give(vec![7; BLOCK]);
        }
        let mut pile = Pile::new();
        (0..2500).for_each(|n| pile.push(n, &mut pool).unwrap());
        assert!(pool.free.is_empty());
        pile.into_blocks().for_each(|block| pool.give(block));
        assert_eq!(pool.free.len(), 3);
    }
}
