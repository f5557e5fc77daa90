//! The value block that is being filled with small values.

use sst_format::BlockIndex;
use sst_format::block::BLOCK_HEADER_LEN;
use sst_format::value_ref::ValueRef;

use crate::invariant::{BrokenInvariant, OrBroken};

/// A value whose length fits a reference to a value block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SmallValue<'a> {
    bytes: &'a [u8],
    /// The length of `bytes`.
    len: u16,
}

impl<'a> SmallValue<'a> {
    /// `None` if the value is over 65,535 bytes long.
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        Some(Self { bytes, len: u16::try_from(bytes.len()).ok()? })
    }

    /// Its length in bytes.
    #[inline]
    pub(crate) const fn len(&self) -> usize {
        self.len as usize
    }
}

/// The small values of the entries that wait for their value block, back to back.
///
/// The block is open from its first value on, even an empty one, until it is written.
#[derive(Debug)]
pub(crate) struct SmallValueBlock {
    /// The length in bytes at which the block is written.
    full_len: usize,
    bytes: Vec<u8>,
    is_open: bool,
}

impl SmallValueBlock {
    /// No block yet. A block is written when its values reach `full_len` bytes.
    pub(crate) const fn new(full_len: usize) -> Self {
        Self { full_len, bytes: Vec::new(), is_open: false }
    }

    /// Appends a value. Returns its reference, with 0 for the index of the block.
    #[inline]
    pub(crate) fn push(
        &mut self,
        value: SmallValue<'_>,
    ) -> Result<ValueRef<'static>, BrokenInvariant> {
        let offset = u32::try_from(self.bytes.len())
            .or_broken("a value block is written before it reaches 4 GiB")?;
        self.is_open = true;
        self.bytes.extend_from_slice(value.bytes);
        Ok(ValueRef::Small { block: BlockIndex(0), len: value.len, offset })
    }

    /// Whether there is an open block.
    #[inline]
    pub(crate) const fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether the block has reached the size at which it is written.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= self.full_len
    }

    /// The payload, if a block is open.
    pub(crate) fn payload(&self) -> Option<&[u8]> {
        self.is_open.then_some(&self.bytes)
    }

    /// Starts again without a block, after the block was written.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.is_open = false;
    }

    /// Upper bound on the blocks and bytes of the value block, header included, with `more` bytes
    /// of another value.
    #[inline]
    pub(crate) fn reserved(&self, more: Option<usize>) -> (u64, u64) {
        if self.is_open || more.is_some() {
            // Without another value there are no more bytes.
            (1, (BLOCK_HEADER_LEN + self.bytes.len() + more.unwrap_or(0)) as u64)
        } else {
            (0, 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use sst_format::limits::VALUE_BLOCK_SIZE;

    use super::*;

    #[test]
    fn a_value_of_no_bytes_opens_the_block() {
        let mut block = SmallValueBlock::new(VALUE_BLOCK_SIZE);
        assert_eq!(block.payload(), None);
        assert_eq!(block.reserved(None), (0, 0));
        assert_eq!(block.reserved(Some(5)), (1, 13));
        let small = |len, offset| Ok(ValueRef::Small { block: BlockIndex(0), len, offset });
        let value = |bytes| SmallValue::new(bytes).unwrap();
        assert_eq!(block.push(value(b"")), small(0, 0));
        assert_eq!(block.payload(), Some(&b""[..]));
        assert_eq!(block.push(value(b"ab")), small(2, 0));
        assert_eq!(block.push(value(b"c")), small(1, 2));
        assert_eq!(block.reserved(None), (1, 11));
        assert!(!block.is_full());
        block.push(value(&[0; VALUE_BLOCK_SIZE - 3])).unwrap();
        assert!(block.is_full());
        block.clear();
        assert_eq!(block.payload(), None);
    }
}
