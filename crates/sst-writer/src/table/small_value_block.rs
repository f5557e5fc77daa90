//! The value block that small values gather in.

use sst_format::BlockIndex;
use sst_format::block::BLOCK_HEADER_LEN;
use sst_format::limits::VALUE_BLOCK_SIZE;
use sst_format::value_ref::ValueRef;

/// Small values of the entries that wait for their value block, back to back.
///
/// The block is open from its first value on, even if that has no bytes, until it is taken.
#[derive(Debug, Default)]
pub(crate) struct SmallValueBlock {
    bytes: Vec<u8>,
    is_open: bool,
}

impl SmallValueBlock {
    /// Appends a value and returns the reference to it, but for the index of the block, which it will get.
    ///
    /// The block is written at 8 KiB and a value has at most 65535 bytes, so the numbers fit.
    #[inline]
    pub(crate) fn push(&mut self, value: &[u8]) -> ValueRef<'static> {
        let offset = self.bytes.len();
        self.is_open = true;
        self.bytes.extend_from_slice(value);
        ValueRef::Small {
            block: BlockIndex(0),
            len: u16::try_from(value.len()).unwrap_or(u16::MAX),
            offset: u32::try_from(offset).unwrap_or(u32::MAX),
        }
    }

    /// Whether there is a block, to which a value can be added.
    #[inline]
    pub(crate) const fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether it is time to write the block.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= VALUE_BLOCK_SIZE
    }

    /// The payload, if there is a block to be written.
    pub(crate) fn payload(&self) -> Option<&[u8]> {
        self.is_open.then_some(&self.bytes)
    }

    /// Starts over, after the block was written.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.is_open = false;
    }

    /// Blocks and bytes, headers included, that the block will take at most, with `more` bytes of a further value.
    #[inline]
    pub(crate) fn reserved(&self, more: Option<usize>) -> (u64, u64) {
        if self.is_open || more.is_some() {
            (1, (BLOCK_HEADER_LEN + self.bytes.len() + more.unwrap_or(0)) as u64)
        } else {
            (0, 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_no_bytes_opens_the_block() {
        let mut block = SmallValueBlock::default();
        assert_eq!(block.payload(), None);
        assert_eq!(block.reserved(None), (0, 0));
        assert_eq!(block.reserved(Some(5)), (1, 13));
        let small = |len, offset| ValueRef::Small { block: BlockIndex(0), len, offset };
        assert_eq!(block.push(b""), small(0, 0));
        assert_eq!(block.payload(), Some(&b""[..]));
        assert_eq!(block.push(b"ab"), small(2, 0));
        assert_eq!(block.push(b"c"), small(1, 2));
        assert_eq!(block.reserved(None), (1, 11));
        assert!(!block.is_full());
        block.push(&[0; VALUE_BLOCK_SIZE - 3]);
        assert!(block.is_full());
        block.clear();
        assert_eq!(block.payload(), None);
    }
}
