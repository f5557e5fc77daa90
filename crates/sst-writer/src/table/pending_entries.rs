//! The queue of entries that are accepted but not written yet.

use sst_format::BlockIndex;
use sst_format::key_block::{KeyBlockEncoder, KeyBlockShape};
use sst_format::limits::{MAX_INLINE_LEN, PENDING_BUDGET, PENDING_ENTRY_OVERHEAD};
use sst_format::value_ref::{EntryType, SMALL_LEN, ValueRef, set_small_block};

use crate::invariant::{BrokenInvariant, OrBroken};
use crate::table::WriteError;

/// The lengths of the parts of an entry's bytes.
#[derive(Clone, Copy, Debug)]
struct Outline {
    key_len: u32,
    entry_type: EntryType,
}

impl Outline {
    /// Length of the key and the value reference in bytes.
    #[inline]
    const fn len(self) -> usize {
        self.key_len as usize + self.entry_type.value_ref_len()
    }
}

/// An entry that is still in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PendingEntry<'a> {
    pub(crate) hash: u64,
    pub(crate) key: &'a [u8],
    pub(crate) entry_type: EntryType,
}

/// Pending entries in order: their hashes, and in one buffer their keys and value references in the
/// form of a key block.
///
/// A reference to a small value needs the index of the value block, which is known only when that
/// block is written. The entries before the first such reference are *resolved*; this entry and all
/// later ones wait. Example: of entries with values inline, small, inline, small, the first is
/// resolved and three wait. When their value block is written as block 7, all four are resolved.
///
/// The last entry of the table always stays here, because the order of the next entry is checked
/// against it.
#[derive(Debug, Default)]
pub(crate) struct PendingEntries {
    hashes: Vec<u64>,
    outlines: Vec<Outline>,
    /// Key and value reference of each entry, back to back.
    bytes: Vec<u8>,
    /// Number of entries at the front that are written but not removed yet, and the length of their
    /// bytes.
    written: usize,
    written_len: usize,
    /// The first entry that waits for its value block, and the position of its bytes.
    first_waiting: Option<(usize, usize)>,
    /// Bytes of the waiting entries that count against the budget.
    waiting_cost: usize,
}

impl PendingEntries {
    /// Reserves memory for an entry with a key of this length.
    #[inline]
    pub(crate) fn reserve(&mut self, key_len: usize) -> Result<(), WriteError> {
        WriteError::try_reserve(&mut self.hashes, 1)?;
        WriteError::try_reserve(&mut self.outlines, 1)?;
        WriteError::try_reserve(&mut self.bytes, key_len + MAX_INLINE_LEN)
    }

    /// Appends an entry with a reference of the given type. [`PendingEntries::resolve`] later sets
    /// the block index in a reference to a small value.
    #[inline(always)]
    pub(crate) fn push(
        &mut self,
        hash: u64,
        key: &[u8],
        entry_type: EntryType,
        value_ref: ValueRef<'_>,
    ) -> Result<(), BrokenInvariant> {
        let key_len = u32::try_from(key.len()).or_broken("keys are at most 2^24 - 1 bytes long")?;
        if self.first_waiting.is_some() {
            self.waiting_cost += key.len() + PENDING_ENTRY_OVERHEAD;
        } else if entry_type == EntryType::SMALL {
            self.first_waiting = Some((self.hashes.len(), self.bytes.len()));
            self.waiting_cost = key.len() + PENDING_ENTRY_OVERHEAD;
        }
        self.hashes.push(hash);
        self.outlines.push(Outline { key_len, entry_type });
        append(&mut self.bytes, key);
        match value_ref {
            ValueRef::Inline(value) => append(&mut self.bytes, value),
            other => other.encode(&mut self.bytes),
        }
        Ok(())
    }

    /// The last entry. There must be one.
    pub(crate) fn last(&self) -> Result<PendingEntry<'_>, BrokenInvariant> {
        let last = || {
            let (hash, outline) = (*self.hashes.last()?, *self.outlines.last()?);
            let start = self.bytes.len().checked_sub(outline.len())?;
            let key = self.bytes.get(start..)?.get(..outline.key_len as usize)?;
            Some(PendingEntry { hash, key, entry_type: outline.entry_type })
        };
        last().or_broken("the last entry stays in memory")
    }

    /// Whether the waiting entries exceed the budget, so that their value block must be written.
    #[inline]
    pub(crate) fn is_over_budget(&self) -> bool {
        self.waiting_cost > PENDING_BUDGET
    }

    /// Number of unwritten entries at the front whose references are complete.
    pub(crate) fn resolved_count(&self) -> usize {
        self.first_waiting.map_or(self.hashes.len(), |(first, _)| first) - self.written
    }

    /// Sets the index of the value block in all waiting entries, which resolves them.
    pub(crate) fn resolve(&mut self, block: BlockIndex) -> Result<(), BrokenInvariant> {
        const RULE: &str = "a value block has an entry that waits for it";
        let (first, start) = self.first_waiting.take().or_broken(RULE)?;
        self.waiting_cost = 0;
        let mut bytes = self.bytes.get_mut(start..).or_broken(RULE)?;
        for outline in self.outlines.iter().skip(first) {
            let (entry, rest) = bytes
                .split_at_mut_checked(outline.len())
                .or_broken("outlines add up to the bytes of their entries")?;
            bytes = rest;
            if outline.entry_type == EntryType::SMALL {
                let (_, reference) = entry
                    .split_at_mut_checked(outline.key_len as usize)
                    .or_broken("an entry starts with its key")?;
                let reference = <&mut [u8; SMALL_LEN]>::try_from(reference)
                    .or_broken("a reference to a small value has its length")?;
                set_small_block(reference, block);
            }
        }
        Ok(())
    }

    /// The hashes of the first unwritten entries, as many as `shape` has.
    pub(crate) fn first_hashes(&self, shape: &KeyBlockShape) -> Result<&[u64], BrokenInvariant> {
        let hashes = self.hashes.get(self.written..).and_then(|it| it.get(..count_of(shape)));
        hashes.or_broken("the entries of a closed key block are in memory")
    }

    /// Appends the key block of the first unwritten entries to `out`, as many as `shape` has, and
    /// marks them as written. They must be resolved.
    pub(crate) fn encode_first(
        &mut self,
        shape: &KeyBlockShape,
        out: &mut Vec<u8>,
    ) -> Result<(), BrokenInvariant> {
        const RULE: &str = "the entries of a key block have the lengths of its shape";
        let mut encoder = KeyBlockEncoder::new(shape, out);
        let len = usize::try_from(shape.entries_len()).or_broken(RULE)?;
        let bytes = self.bytes.get(self.written_len..).and_then(|bytes| bytes.get(..len));
        let bytes = bytes.or_broken(RULE)?;
        if !encoder.push_all_encoded(bytes) {
            let mut rest = bytes;
            let entries = self.hashes.iter().zip(&self.outlines);
            for (hash, outline) in entries.skip(self.written).take(count_of(shape)) {
                let (entry, behind) = rest.split_at_checked(outline.len()).or_broken(RULE)?;
                rest = behind;
                encoder.push_encoded(*hash, outline.entry_type, entry);
            }
        }
        self.written += count_of(shape);
        self.written_len += bytes.len();
        encoder.finish().or_broken(RULE)?;
        Ok(())
    }

    /// Removes the written entries.
    pub(crate) fn remove_written(&mut self) {
        self.hashes.drain(..self.written);
        self.outlines.drain(..self.written);
        self.bytes.drain(..self.written_len);
        self.first_waiting = self
            .first_waiting
            .map(|(first, start)| (first - self.written, start - self.written_len));
        self.written = 0;
        self.written_len = 0;
    }
}

fn count_of(shape: &KeyBlockShape) -> usize {
    shape.entry_count() as usize
}

/// Appends bytes. The most frequent lengths need no call of `memcpy`. As a call, it costs 2 % of
/// the instructions of writing short entries.
#[inline(always)]
fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    if let Ok(bytes) = <&[u8; 8]>::try_from(bytes) {
        out.extend_from_slice(bytes);
    } else if let Ok(bytes) = <&[u8; 16]>::try_from(bytes) {
        out.extend_from_slice(bytes);
    } else {
        out.extend_from_slice(bytes);
    }
}
