//! The boundaries of key blocks. No other file decides where a key block ends.

use std::collections::VecDeque;

use sst_format::FormatError;
use sst_format::block::BLOCK_HEADER_LEN;
use sst_format::index_block::IndexBlockEncoder;
use sst_format::key_block::{KeyBlockLimit, KeyBlockShape, SameShapeEntry};
use sst_format::value_ref::EntryType;

/// Divides the sequence of entries into key blocks.
///
/// The boundaries depend only on the limit and on the hashes, key lengths and types of the entries.
/// So the key block of an entry is known when the entry is added, long before that block can be
/// written.
#[derive(Debug, Default)]
pub(crate) struct KeyBlockBoundaries {
    limit: KeyBlockLimit,
    /// Key blocks that get no more entries but are not written yet, oldest first.
    closed: VecDeque<KeyBlockShape>,
    /// The key block of the last entry. Empty only before the first entry, and after the table was
    /// closed.
    open: KeyBlockShape,
    /// Upper bound on the bytes of the closed key blocks, headers included.
    closed_len: u64,
    /// Number of key blocks started, written or not.
    started: usize,
}

/// The key block for an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    /// The shape of that block, the entry included.
    pub(crate) shape: KeyBlockShape,
    /// Whether it is the first entry of that block.
    pub(crate) starts_block: bool,
}

impl KeyBlockBoundaries {
    /// The boundaries of a table whose key blocks are closed at this limit.
    pub(crate) fn new(limit: KeyBlockLimit) -> Self {
        Self { limit, ..Self::default() }
    }

    /// The key block for an entry. `repeats_hash`: whether its hash equals that of the last entry.
    ///
    /// # Errors
    ///
    /// As [`KeyBlockShape::with_entry`].
    #[inline(always)]
    pub(crate) fn place(
        &self,
        repeats_hash: bool,
        key_len: usize,
        entry_type: EntryType,
    ) -> Result<Placement, FormatError> {
        let repeats_hash = sst_format::planted!("hash-run-split", repeats_hash, false);
        let starts_block =
            self.started == 0 || (!repeats_hash && self.open.is_full_for(key_len, self.limit));
        let shape = if starts_block {
            KeyBlockShape::default().with_entry(key_len, entry_type)?
        } else {
            self.open.with_entry(key_len, entry_type)?
        };
        Ok(Placement { shape, starts_block })
    }

    /// The entry, if it goes to the open block and has the shape of all entries there. Its hash
    /// must differ from that of the last entry.
    #[inline]
    pub(crate) fn same_shape(
        &self,
        key_len: usize,
        entry_type: EntryType,
    ) -> Option<SameShapeEntry> {
        self.open.same_shape(key_len, entry_type, self.limit)
    }

    /// Adds an entry that [`KeyBlockBoundaries::same_shape`] found to have the shape of the others.
    #[inline]
    pub(crate) const fn commit_same_shape(&mut self, entry: SameShapeEntry) {
        self.open.push_same_shape(entry);
    }

    /// Adds an entry at its placement.
    #[inline]
    pub(crate) fn commit(&mut self, placement: Placement) {
        if placement.starts_block {
            self.close();
            self.started += 1;
        }
        self.open = placement.shape;
    }

    /// Closes the open block at the end of the table.
    pub(crate) fn close(&mut self) {
        if self.open.entry_count() > 0 {
            self.closed_len += block_len(&self.open);
            self.closed.push_back(std::mem::take(&mut self.open));
        }
    }

    /// Takes out the oldest closed block, if its entries and the first entry of the next block are
    /// among the first `resolved` unwritten entries. The last block of the table has no next one.
    pub(crate) fn take_ready(&mut self, resolved: usize) -> Option<KeyBlockShape> {
        let shape = *self.closed.front()?;
        let is_last = self.closed.len() == 1 && self.open.entry_count() == 0;
        if resolved < shape.entry_count() as usize + usize::from(!is_last) {
            return None;
        }
        self.closed_len -= block_len(&shape);
        self.closed.pop_front()
    }

    /// Upper bound on the blocks and bytes of all unwritten key blocks, the entry at `placement`
    /// included. Headers and the index block are included.
    #[inline]
    pub(crate) fn reserved(&self, placement: &Placement) -> (u64, u64) {
        let (mut blocks, mut len) = self.reserved_for(self.started);
        if placement.starts_block {
            (blocks, len) = self.reserved_for(self.started + 1);
            if self.open.entry_count() > 0 {
                blocks += 1;
                len += block_len(&self.open);
            }
        }
        (blocks + 1, len + block_len(&placement.shape))
    }

    /// Upper bound on the bytes of all unwritten key blocks. Headers and the index block are
    /// included.
    pub(crate) fn reserved_now(&self) -> u64 {
        let (_, len) = self.reserved_for(self.started);
        if self.open.entry_count() == 0 { len } else { len + block_len(&self.open) }
    }

    /// Number of unwritten key blocks, and one for the index block.
    #[inline]
    pub(crate) fn unwritten(&self) -> u64 {
        self.closed.len() as u64 + 1 + u64::from(self.open.entry_count() > 0)
    }

    /// The bound for the closed blocks and an index block over `key_blocks` key blocks.
    #[inline]
    fn reserved_for(&self, key_blocks: usize) -> (u64, u64) {
        let index_len = BLOCK_HEADER_LEN + IndexBlockEncoder::len_of(key_blocks);
        (self.closed.len() as u64 + 1, self.closed_len + index_len as u64)
    }
}

/// Length of a key block that is stored raw. In compressed form it is shorter.
#[inline]
fn block_len(shape: &KeyBlockShape) -> u64 {
    BLOCK_HEADER_LEN as u64 + shape.encoded_len()
}
