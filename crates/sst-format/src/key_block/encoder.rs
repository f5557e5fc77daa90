//! Encoding of key blocks of all kinds.

use alloc::vec::Vec;

use super::{Hashes, KeyBlockKind, KeyBlockShape, fixed, variable};
use crate::value_ref::{EntryType, ValueRef};
use crate::{FormatError, Structure};

/// Encodes one key block into a buffer: entries are pushed in their order, the shape being known.
#[derive(Debug)]
pub struct KeyBlockEncoder<'out> {
    out: &'out mut Vec<u8>,
    start: usize,
    expected_len: u64,
    hashes: Hashes,
    /// Where the next word of the position table goes, and where positions count from; only in variable blocks.
    positions: Option<(usize, usize)>,
}

impl<'out> KeyBlockEncoder<'out> {
    /// Starts a block of the given shape at the end of `out`.
    #[must_use]
    pub fn new(shape: &KeyBlockShape, out: &'out mut Vec<u8>) -> Self {
        let (start, expected_len) = (out.len(), shape.encoded_len());
        out.reserve(usize::try_from(expected_len).unwrap_or(0));
        let hashes = shape.kind().hashes();
        let positions = match shape.fixed() {
            Some((key_len, entry_type)) => {
                fixed::encode_header(hashes, shape.entry_count(), key_len, entry_type, out);
                None
            }
            None => {
                variable::encode_header(hashes, shape.entry_count(), out);
                let table = out.len();
                let base = table + shape.entry_count() as usize * variable::POSITION_LEN;
                out.resize(base, 0);
                Some((table, base))
            }
        };
        Self { out, start, expected_len, hashes, positions }
    }

    /// Appends the next entry.
    #[inline]
    pub fn push(&mut self, hash: u64, key: &[u8], value_ref: ValueRef<'_>) {
        if let Ok(entry_type) = value_ref.entry_type() {
            self.start_entry(hash, entry_type);
        }
        self.out.extend_from_slice(key);
        value_ref.encode(self.out);
    }

    /// Appends the next entry, of which key and encoded value reference lie back to back.
    #[inline]
    pub fn push_encoded(&mut self, hash: u64, entry_type: EntryType, key_and_value_ref: &[u8]) {
        self.start_entry(hash, entry_type);
        self.out.extend_from_slice(key_and_value_ref);
    }

    /// Appends all entries of the block at once, given their keys and encoded value references back to back, if that is
    /// what a block of this kind consists of. Returns whether it is; if not, nothing is appended.
    pub fn push_all_encoded(&mut self, keys_and_value_refs: &[u8]) -> bool {
        let is_plain = self.positions.is_none() && self.hashes == Hashes::Computed;
        if is_plain {
            self.out.extend_from_slice(keys_and_value_refs);
        }
        is_plain
    }

    /// What stands before the key of an entry, and its place in the position table.
    #[inline]
    fn start_entry(&mut self, hash: u64, entry_type: EntryType) {
        if self.positions.is_some() {
            self.push_position(entry_type);
        }
        if self.hashes == Hashes::Stored {
            self.out.extend_from_slice(&hash.to_be_bytes());
        }
    }

    fn push_position(&mut self, entry_type: EntryType) {
        let Some((next_word, base)) = &mut self.positions else {
            return;
        };
        let position = u32::try_from(self.out.len() - *base).unwrap_or(u32::MAX);
        if let Some(slot) = self.out.get_mut(*next_word..).and_then(<[u8]>::first_chunk_mut) {
            *slot = variable::position_word(entry_type, position);
        }
        *next_word += variable::POSITION_LEN;
    }

    /// Ends the block.
    ///
    /// # Errors
    ///
    /// [`FormatError::WrongLen`] if the entries pushed are not those the shape was made from. The buffer then holds
    /// no valid block.
    pub fn finish(self) -> Result<KeyBlockKind, FormatError> {
        let structure = Structure::KeyBlock;
        let found = (self.out.len() - self.start) as u64;
        let table_is_full = self.positions.is_none_or(|(next_word, base)| next_word == base);
        if found != self.expected_len || !table_is_full {
            return Err(FormatError::WrongLen { structure, expected: self.expected_len, found });
        }
        Ok(match self.positions {
            Some(_) => KeyBlockKind::Variable(self.hashes),
            None => KeyBlockKind::Fixed(self.hashes),
        })
    }
}
