//! A growing collection of `u32`s that never moves what it holds, and gives its memory back piece by piece.
//!
//! A `Vec` that doubles holds up to twice what it needs, and three times while it grows. Millions of fingerprints are
//! kept in blocks of 4 KiB instead. While they are sorted, the blocks that have been read become the blocks that are
//! written, so sorting takes no second copy.

/// Numbers per block.
const BLOCK: usize = 1024;
/// Numbers in the first block of a pile to begin with, so that a small pile stays small.
const FIRST: usize = 16;

/// Blocks that have been read and may be overwritten.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    free: Vec<Vec<u32>>,
}

impl Pool {
    /// Takes back a block.
    pub(crate) fn give(&mut self, mut block: Vec<u32>) {
        if block.capacity() >= BLOCK {
            block.resize(BLOCK, 0);
            self.free.push(block);
        }
    }
}

/// Numbers in the order in which they were pushed.
#[derive(Debug, Default)]
pub(crate) struct Pile {
    full: Vec<Vec<u32>>,
    open: Vec<u32>,
    /// How many numbers of the open block are in use. The rest are leftovers.
    used: usize,
}

impl Pile {
    pub(crate) const fn new() -> Self {
        Self { full: Vec::new(), open: Vec::new(), used: 0 }
    }

    /// Adds a number. Blocks come from `pool` as long as it has any.
    #[inline]
    pub(crate) fn push(&mut self, value: u32, pool: &mut Pool) {
        if let Some(place) = self.open.get_mut(self.used) {
            *place = value;
            self.used += 1;
        } else {
            self.push_to_new_room(value, pool);
        }
    }

    #[cold]
    #[inline(never)]
    fn push_to_new_room(&mut self, value: u32, pool: &mut Pool) {
        if self.open.len() >= BLOCK {
            self.full.push(core::mem::take(&mut self.open));
            self.used = 0;
        }
        if self.used == 0
            && let Some(block) = pool.free.pop()
        {
            self.open = block;
        } else if self.full.is_empty() {
            self.open.resize((self.open.len() * 2).clamp(FIRST, BLOCK), 0);
        } else {
            self.open = vec![0; BLOCK];
        }
        if let Some(place) = self.open.get_mut(self.used) {
            *place = value;
            self.used += 1;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.full.len() * BLOCK + self.used
    }

    /// The numbers, block by block.
    pub(crate) fn into_blocks(mut self) -> impl Iterator<Item = Vec<u32>> {
        self.open.truncate(self.used);
        self.full.into_iter().chain([self.open])
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Pile, Pool};

    #[test]
    fn gives_back_what_was_pushed() {
        for count in [0, 1, 15, 16, 17, 1000, 1023, 1024, 1025, 2048, 5000] {
            let mut pool = Pool::default();
            pool.give(vec![7; BLOCK]);
            pool.give(vec![7; 3]);
            for mut pool in [pool, Pool::default()] {
                let mut pile = Pile::new();
                (0..count).for_each(|n| pile.push(n, &mut pool));
                assert_eq!(pile.len(), usize::try_from(count).unwrap());
                assert!(pile.into_blocks().flatten().eq(0..count), "{count}");
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
        (0..2500).for_each(|n| pile.push(n, &mut pool));
        assert!(pool.free.is_empty());
        pile.into_blocks().for_each(|block| pool.give(block));
        assert_eq!(pool.free.len(), 3);
    }
}
