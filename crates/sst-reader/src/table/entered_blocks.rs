//! Value blocks that a walk over entries has entered.

use std::collections::HashMap;

use sst_format::BlockIndex;

use crate::block::block_cache::TableId;
use crate::block::blocks::{Blocks, Fill};
use crate::block::kept_slices::KeptSlices;
use crate::block::slice::Slice;
use crate::error::ReadError;

/// The class of the values in a value block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueKind {
    /// Small values of many entries.
    Small,
    /// One medium value.
    Medium,
}

/// The value blocks that a walk has entered: the last one of each kind, those that it came back to,
/// and those whose values the caller still holds.
///
/// Writers put small values in the order of their entries, and give each medium value a block of
/// its own, so a walk reads each block once. A hostile file may name two blocks in
/// turn, a million times. So a block that is entered a second time is kept: it is decompressed at
/// most twice. A block that the caller holds too is shared with the next value in it. A block that
/// the cache has is found there again. Together they are at most each block of the table once, 255
/// times what is stored.
#[derive(Default)]
pub(crate) struct EnteredBlocks {
    small: Option<EnteredBlock>,
    medium: Option<EnteredBlock>,
    /// Those that the walk has left.
    earlier: Box<KeptSlices<BlockIndex>>,
}

/// The value block in which a walk is.
struct EnteredBlock {
    block: BlockIndex,
    payload: Slice<'static>,
    /// Whether the cache had it: then it is found there again, and need not be kept here.
    was_cached: bool,
}

impl EnteredBlocks {
    /// The payload of a value block of the table.
    #[inline]
    pub(crate) fn enter(
        &mut self,
        blocks: &Blocks,
        block: BlockIndex,
        kind: ValueKind,
        fill: Fill,
    ) -> Result<&Slice<'static>, ReadError> {
        let last = match kind {
            ValueKind::Small => &mut self.small,
            ValueKind::Medium => &mut self.medium,
        };
        let entered = match last.take() {
            Some(entered) if entered.block == block => entered,
            left => {
                if let Some(left) = left {
                    left.keep_in(&mut self.earlier);
                }
                EnteredBlock::enter(&mut self.earlier, blocks, block, fill)?
            }
        };
        Ok(&last.insert(entered).payload)
    }
}

impl EnteredBlock {
    /// Keeps the block, which the walk leaves, if the caller holds it.
    fn keep_in(self, earlier: &mut KeptSlices<BlockIndex>) {
        let Self { block, payload, was_cached } = self;
        if was_cached || !payload.is_shared() || earlier.has(block) {
            return;
        }
        earlier.make_room();
        earlier.keep(block, payload, false);
    }

    #[inline(never)]
    fn enter(
        earlier: &mut KeptSlices<BlockIndex>,
        blocks: &Blocks,
        block: BlockIndex,
        fill: Fill,
    ) -> Result<Self, ReadError> {
        let entered = |payload, was_cached| Self { block, payload, was_cached };
        if let Some(payload) = earlier.revisit(block) {
            return Ok(entered(payload, false));
        }
        // `Blocks::resident_or_cached` in its parts, which are inlined here. Lookups call it as
        // one, which is better for them, but costs 3 % of the instructions of a walk over medium
        // values.
        if let Some(payload) = blocks.resident_payload(block).or_else(|| blocks.cached(block)) {
            return Ok(entered(payload.into_owned(), true));
        }
        let payload = blocks.load(block, fill)?.into_owned();
        let is_first_time = earlier.see(block);
        if !is_first_time {
            earlier.keep(block, payload.clone(), true);
        }
        Ok(entered(payload, false))
    }
}

/// The blocks that a call for many keys had to read or decompress: each once, however many of its
/// answers lie in it, whether the cache has room for it or not.
///
/// Keys are looked up table by table, and in each in the order of key blocks.
#[derive(Default)]
pub(crate) struct LoadedBlocks {
    /// The last key block.
    last_keys: Option<(TableId, BlockIndex, Slice<'static>)>,
    /// All value blocks of the table of the last one. The answers keep them in any case.
    values: HashMap<BlockIndex, Slice<'static>>,
    values_of: Option<TableId>,
}

/// How long a call for many keys needs a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockUse {
    /// A key block: until a key of another one is looked up.
    Keys,
    /// A value block: to the end, because the order of value blocks is not that of the keys.
    Values,
}

impl LoadedBlocks {
    /// The payload of a block.
    #[inline]
    pub(crate) fn payload<'a>(
        &mut self,
        blocks: &'a Blocks,
        block: BlockIndex,
        block_use: BlockUse,
    ) -> Result<Slice<'a>, ReadError> {
        match blocks.resident_or_cached(block) {
            Some(payload) => Ok(payload),
            None => self.load(blocks, block, block_use),
        }
    }

    #[cold]
    fn load<'a>(
        &mut self,
        blocks: &'a Blocks,
        block: BlockIndex,
        block_use: BlockUse,
    ) -> Result<Slice<'a>, ReadError> {
        let table = blocks.id();
        if block_use == BlockUse::Values && self.values_of != Some(table) {
            self.values.clear();
            self.values_of = Some(table);
        }
        let known = match (block_use, &self.last_keys) {
            (BlockUse::Keys, Some((of, last, keys))) if (*of, *last) == (table, block) => {
                Some(keys)
            }
            (BlockUse::Keys, _) => None,
            (BlockUse::Values, _) => self.values.get(&block),
        };
        if let Some(payload) = known {
            return Ok(payload.clone());
        }
        let payload = blocks.payload(block, Fill::CacheAsked)?.unguarded();
        let kept = payload.clone().into_owned();
        match block_use {
            BlockUse::Keys => self.last_keys = Some((table, block, kept)),
            BlockUse::Values => {
                self.values.insert(block, kept);
            }
        }
        Ok(payload)
    }
}
