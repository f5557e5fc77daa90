//! Value blocks that a walk over entries has entered.

use std::collections::HashMap;

use sst_format::BlockIndex;

use crate::block::blocks::{Blocks, Fill};
use crate::block::slice::Slice;
use crate::error::ReadError;

/// What a value block holds.
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
/// its own, so a walk leaves each block once and for all. A hostile file may name two blocks in
/// turn, a million times. So a block that is entered a second time is kept: it is decompressed at
/// most twice. A block that the caller holds too is shared with the next value in it. Together they
/// are at most each block of the table once, 255 times what is stored.
#[derive(Default)]
pub(crate) struct EnteredBlocks {
    small: Option<(BlockIndex, Slice<'static>)>,
    medium: Option<(BlockIndex, Slice<'static>)>,
    earlier: Box<EarlierBlocks>,
}

/// The value blocks that a walk has left.
#[derive(Default)]
struct EarlierBlocks {
    /// One bit for each block that was entered.
    seen: Vec<u64>,
    kept: HashMap<BlockIndex, KeptBlock>,
    /// How many blocks may be kept before those are dropped that the caller has let go.
    room: usize,
}

struct KeptBlock {
    payload: Slice<'static>,
    /// Whether it was entered a second time: it stays for the whole walk.
    was_revisited: bool,
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
        let payload = match last.take() {
            Some((entered, payload)) if entered == block => payload,
            left => {
                if let Some((left, payload)) = left {
                    self.earlier.leave(left, payload);
                }
                self.earlier.enter(blocks, block, fill)?
            }
        };
        Ok(&last.insert((block, payload)).1)
    }
}

impl EarlierBlocks {
    /// Keeps a block that is left if the caller holds it.
    fn leave(&mut self, block: BlockIndex, payload: Slice<'static>) {
        if !payload.is_shared() || self.kept.contains_key(&block) {
            return;
        }
        if self.kept.len() >= self.room {
            self.kept.retain(|_, kept| kept.was_revisited || kept.payload.is_shared());
            self.room = (2 * self.kept.len()).max(1);
        }
        self.kept.insert(block, KeptBlock { payload, was_revisited: false });
    }

    #[inline(never)]
    fn enter(
        &mut self,
        blocks: &Blocks,
        block: BlockIndex,
        fill: Fill,
    ) -> Result<Slice<'static>, ReadError> {
        if let Some(kept) = self.kept.get_mut(&block) {
            kept.was_revisited = true;
            return Ok(kept.payload.clone());
        }
        let payload = blocks.payload(block, fill)?.into_owned();
        if is_seen(&mut self.seen, block) {
            let kept = KeptBlock { payload: payload.clone(), was_revisited: true };
            self.kept.insert(block, kept);
        }
        Ok(payload)
    }
}

/// Whether the block was seen before; from now on it was.
fn is_seen(seen: &mut Vec<u64>, block: BlockIndex) -> bool {
    let (word, bit) = (usize::from(block.0 / 64), 1 << (block.0 % 64));
    if seen.len() <= word {
        seen.resize(word + 1, 0);
    }
    seen.get_mut(word).is_some_and(|word| {
        let was_seen = *word & bit != 0;
        *word |= bit;
        was_seen
    })
}

/// The blocks that a call for many keys had to read or decompress: each once, however many of its
/// answers lie in it, whether the cache has room for it or not.
#[derive(Default)]
pub(crate) struct LoadedBlocks {
    /// The last key block: keys are looked up in the order of key blocks.
    keys: Option<(BlockIndex, Slice<'static>)>,
    /// All value blocks. The answers keep them in any case.
    values: HashMap<BlockIndex, Slice<'static>>,
}

impl LoadedBlocks {
    /// The payload of a key block.
    #[inline]
    pub(crate) fn key_block<'a>(
        &mut self,
        blocks: &'a Blocks,
        block: BlockIndex,
    ) -> Result<Slice<'a>, ReadError> {
        match blocks.ready_or_cached(block) {
            Some(payload) => Ok(payload),
            None => self.load_key_block(blocks, block),
        }
    }

    #[cold]
    fn load_key_block<'a>(
        &mut self,
        blocks: &'a Blocks,
        block: BlockIndex,
    ) -> Result<Slice<'a>, ReadError> {
        if let Some((_, payload)) = self.keys.as_ref().filter(|(known, _)| *known == block) {
            return Ok(payload.clone());
        }
        let payload = blocks.payload(block, Fill::Cache)?.unguarded();
        self.keys = Some((block, payload.clone().into_owned()));
        Ok(payload)
    }

    /// The payload of a value block.
    #[inline]
    pub(crate) fn value_block<'a>(
        &mut self,
        blocks: &'a Blocks,
        block: BlockIndex,
    ) -> Result<Slice<'a>, ReadError> {
        match blocks.ready_or_cached(block) {
            Some(payload) => Ok(payload),
            None => self.load_value_block(blocks, block),
        }
    }

    #[cold]
    fn load_value_block<'a>(
        &mut self,
        blocks: &'a Blocks,
        block: BlockIndex,
    ) -> Result<Slice<'a>, ReadError> {
        if let Some(payload) = self.values.get(&block) {
            return Ok(payload.clone());
        }
        let payload = blocks.payload(block, Fill::Cache)?.unguarded();
        self.values.insert(block, payload.clone().into_owned());
        Ok(payload)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_seen_from_the_second_time_on() {
        let mut seen = Vec::new();
        for block in [0, 63, 64, 65_534] {
            assert!(!is_seen(&mut seen, BlockIndex(block)), "{block}");
        }
        for block in [65_534, 0, 64, 63] {
            assert!(is_seen(&mut seen, BlockIndex(block)), "{block}");
        }
        assert!(!is_seen(&mut seen, BlockIndex(1)));
    }
}
