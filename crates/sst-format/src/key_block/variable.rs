//! Variable-size key blocks: keys of any length, entries of any type.
//!
//! ```text
//! offset  size  field
//!      0     1  kind: 1 with hashes, 2 without
//!      1     3  number of entries n
//!  4+4·i     1  type of entry i
//!  5+4·i     3  position of entry i, counted from byte 4+4·n
//!  4+4·n     …  the entries back to back: [8-byte hash, kind 1 only], key, value reference
//! ```
//!
//! An entry ends where the next one begins, the last one at the end of the block. The key lies
//! between the hash and the value reference, whose length follows from the type.

use alloc::vec::Vec;

use super::{Hashes, KeyBlockKind, KeyEntry};
use crate::bytes::{join_u8_u24, split_u8_u24, u32_at, u64_at};
use crate::value_ref::EntryType;
use crate::{FormatError, Structure};

/// Length of the header before the position table, in bytes.
pub(super) const HEADER_LEN: usize = 4;

/// Length of one word of the position table, in bytes.
pub(crate) const POSITION_LEN: usize = 4;

/// Appends the header of a variable-size key block.
pub(super) fn encode_header(hashes: Hashes, entry_count: u32, out: &mut Vec<u8>) {
    let kind = KeyBlockKind::Variable(hashes).to_byte();
    out.extend_from_slice(&join_u8_u24(kind, entry_count).to_be_bytes());
}

/// One word of the position table.
pub(super) fn position_word(entry_type: EntryType, position: u32) -> [u8; POSITION_LEN] {
    join_u8_u24(entry_type.to_byte(), position).to_be_bytes()
}

/// A checked view of a variable-size key block.
#[derive(Clone, Copy, Debug)]
pub struct VariableKeyBlock<'a> {
    hashes: Hashes,
    entry_count: u32,
    positions: &'a [u8],
    entries: &'a [u8],
}

impl<'a> VariableKeyBlock<'a> {
    /// A view of a payload whose first byte means "variable size", with or without hashes. O(1):
    /// positions and types are checked when an entry is read.
    #[inline]
    pub(super) fn parse(payload: &'a [u8], hashes: Hashes) -> Result<Self, FormatError> {
        let structure = Structure::KeyBlock;
        let available = payload.len() as u64;
        let too_short = |needed| FormatError::TooShort { structure, needed, available };
        let word = u32_at(payload, 0).ok_or(too_short(HEADER_LEN as u64))?;
        let (_, entry_count) = split_u8_u24(word);
        if entry_count == 0 {
            return Err(FormatError::Empty { structure });
        }
        let block = VariableKeyBlock { hashes, entry_count, positions: &[], entries: &[] };
        block.with_bytes(payload)
    }

    /// The same block without its positions and entries.
    pub(super) const fn without_bytes(self) -> VariableKeyBlock<'static> {
        let Self { hashes, entry_count, positions: _, entries: _ } = self;
        VariableKeyBlock { hashes, entry_count, positions: &[], entries: &[] }
    }

    /// The same block with the positions and entries of `payload`.
    #[inline(always)]
    pub(super) fn with_bytes<'b>(
        &self,
        payload: &'b [u8],
    ) -> Result<VariableKeyBlock<'b>, FormatError> {
        let Self { hashes, entry_count, .. } = *self;
        let positions_len = entry_count as usize * POSITION_LEN;
        let (positions, entries) = payload
            .get(HEADER_LEN..)
            .and_then(|rest| rest.split_at_checked(positions_len))
            .ok_or(FormatError::TooShort {
                structure: Structure::KeyBlock,
                needed: (HEADER_LEN + positions_len) as u64,
                available: payload.len() as u64,
            })?;
        Ok(VariableKeyBlock { hashes, entry_count, positions, entries })
    }

    /// Whether hashes are stored.
    #[must_use]
    #[inline]
    pub const fn hashes(&self) -> Hashes {
        self.hashes
    }

    /// Number of entries, at least 1.
    #[must_use]
    #[inline]
    pub const fn entry_count(&self) -> u32 {
        self.entry_count
    }

    /// Entry number `i`. O(1).
    ///
    /// # Errors
    ///
    /// [`FormatError::NoSuchEntry`], [`FormatError::EntryOutOfBounds`] or
    /// [`FormatError::UnknownEntryType`].
    #[inline]
    pub fn entry(&self, i: u32) -> Result<KeyEntry<'a>, FormatError> {
        let (type_byte, start) = self.position(i).ok_or(FormatError::NoSuchEntry {
            index: u64::from(i),
            count: u64::from(self.entry_count),
        })?;
        let entry_type = EntryType::from_byte(type_byte)?;
        // There is an entry `i`, so `i` is below 2^24 and has a successor.
        let end = match self.position(i + 1) {
            Some((_, next)) => next,
            None => self.entries.len(),
        };
        self.split(start, end, entry_type).ok_or(FormatError::EntryOutOfBounds { index: i })
    }

    /// Type byte and position of entry `i`, or `None` past the last entry.
    #[inline]
    fn position(&self, i: u32) -> Option<(u8, usize)> {
        let word = u32_at(self.positions, (i as usize).checked_mul(POSITION_LEN)?)?;
        let (type_byte, position) = split_u8_u24(word);
        Some((type_byte, position as usize))
    }

    #[inline]
    fn split(&self, start: usize, end: usize, entry_type: EntryType) -> Option<KeyEntry<'a>> {
        let entry = self.entries.get(start..end)?;
        let (hash, rest) = entry.split_at_checked(self.hashes.stored_len())?;
        let key_len = rest.len().checked_sub(entry_type.value_ref_len())?;
        let (key, value_ref) = rest.split_at_checked(key_len)?;
        Some(KeyEntry { stored_hash: u64_at(hash, 0), key, entry_type, value_ref })
    }

    /// Whether the first entry starts right behind the position table, as every writer places it.
    /// Bytes between them would belong to no entry.
    pub(crate) fn starts_without_gap(&self) -> bool {
        self.position(0).is_some_and(|(_, position)| position == 0)
    }
}
