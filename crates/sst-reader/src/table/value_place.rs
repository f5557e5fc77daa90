//! Where a value lies.

use sst_format::BlockIndex;
use sst_format::value_ref::ValueRef;

use crate::EntryValue;

/// Where a value lies that is not in its key block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ValuePlace {
    pub(crate) block: BlockIndex,
    /// Length and offset, where it is not the whole block.
    pub(crate) part: Option<(u16, u32)>,
}

impl ValuePlace {
    /// The place that a reference names, or else what the reference itself says.
    #[inline]
    pub(crate) fn of(value: ValueRef<'_>) -> Result<Self, EntryValue<&[u8]>> {
        match value {
            ValueRef::Deleted => Err(EntryValue::Deleted),
            ValueRef::Blob(number) => Err(EntryValue::Blob(number)),
            ValueRef::Inline(value) => Err(EntryValue::Value(value)),
            ValueRef::Medium(block) => Ok(Self { block, part: None }),
            ValueRef::Small { block, len, offset } => Ok(Self { block, part: Some((len, offset)) }),
        }
    }

    /// Its first byte, counted from that of the block's payload.
    #[inline]
    pub(crate) fn offset(self) -> usize {
        self.part.map_or(0, |(_, offset)| offset as usize)
    }
}
