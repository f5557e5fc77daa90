//! Encoding of key blocks of all kinds.

use alloc::vec::Vec;

use super::{Hashes, KeyBlockKind, KeyBlockShape, fixed, variable};
use crate::value_ref::ValueRef;
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
        if self.positions.is_some() {
            self.push_position(value_ref);
        }
        if self.hashes == Hashes::Stored {
            self.out.extend_from_slice(&hash.to_be_bytes());
        }
        self.out.extend_from_slice(key);
        value_ref.encode(self.out);
    }

    fn push_position(&mut self, value_ref: ValueRef<'_>) {
        let Some((next_word, base)) = &mut self.positions else {
            return;
        };
        let position = u32::try_from(self.out.len() - *base).unwrap_or(u32::MAX);
        let slot = self.out.get_mut(*next_word..).and_then(<[u8]>::first_chunk_mut);
        if let (Some(slot), Ok(entry_type)) = (slot, value_ref.entry_type()) {
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
