//! The encoder of key blocks of all kinds.

use alloc::vec::Vec;

use super::{Hashes, KeyBlockKind, KeyBlockShape, fixed, variable};
use crate::limits::MAX_POSITION;
use crate::value_ref::{EntryType, ValueRef};
use crate::{FormatError, Structure};

/// Encodes one key block into a buffer, whose entries are pushed in order. Its shape is known
/// before.
#[derive(Debug)]
pub struct KeyBlockEncoder<'out> {
    out: &'out mut Vec<u8>,
    start: usize,
    expected_len: u64,
    hashes: Hashes,
    /// Where the next word of the position table goes, and the byte from which positions count.
    /// `None` in fixed-size blocks.
    positions: Option<(usize, usize)>,
    /// The first entry that could not be encoded. [`KeyBlockEncoder::finish`] reports it.
    failure: Option<FormatError>,
}

impl<'out> KeyBlockEncoder<'out> {
    /// Starts a block of the given shape at the end of `out`.
    #[must_use]
    pub fn new(shape: &KeyBlockShape, out: &'out mut Vec<u8>) -> Self {
        let (start, expected_len) = (out.len(), shape.encoded_len());
        // Only a hint: if the length does not fit into memory, pushing the entries fails.
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
        Self { out, start, expected_len, hashes, positions, failure: None }
    }

    /// Appends the next entry.
    #[inline]
    pub fn push(&mut self, hash: u64, key: &[u8], value_ref: ValueRef<'_>) {
        match value_ref.entry_type() {
            Ok(entry_type) => self.start_entry(hash, entry_type),
            Err(error) => return self.fail(error),
        }
        self.out.extend_from_slice(key);
        value_ref.encode(self.out);
    }

    /// Appends the next entry, given as its key and its encoded value reference back to back.
    #[inline]
    pub fn push_encoded(&mut self, hash: u64, entry_type: EntryType, key_and_value_ref: &[u8]) {
        self.start_entry(hash, entry_type);
        self.out.extend_from_slice(key_and_value_ref);
    }

    /// Appends all entries of the block at once, if its kind allows it.
    ///
    /// They are given as keys and encoded value references back to back. This works only for a
    /// fixed-size block without hashes, whose encoded entries are just that. Returns `false`, and
    /// appends nothing, for a block of another kind.
    pub fn push_all_encoded(&mut self, keys_and_value_refs: &[u8]) -> bool {
        let is_plain = self.positions.is_none() && self.hashes == Hashes::Computed;
        if is_plain {
            self.out.extend_from_slice(keys_and_value_refs);
        }
        is_plain
    }

    /// Encodes the fields before the key of an entry: its word in the position table, and its hash.
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
        // Fixed-size blocks have no position table.
        let Some((next_word, base)) = self.positions else { return };
        let structure = Structure::KeyBlock;
        let position = (self.out.len() - base) as u64;
        let Some(short) = u32::try_from(position).ok().filter(|short| *short <= MAX_POSITION)
        else {
            let max = MAX_POSITION.into();
            return self.fail(FormatError::TooLarge { structure, value: position, max });
        };
        // One entry more than the shape has would overwrite the first entry.
        let slot = self.out.get_mut(next_word..base).and_then(<[u8]>::first_chunk_mut);
        let Some(slot) = slot else {
            let (index, count) = (self.position_count(), self.position_count());
            return self.fail(FormatError::NoSuchEntry { index, count });
        };
        *slot = variable::position_word(entry_type, short);
        self.positions = Some((next_word + variable::POSITION_LEN, base));
    }

    /// Number of entries that the position table has room for.
    fn position_count(&self) -> u64 {
        let table_len = |(_, base): (usize, usize)| base - self.start - variable::HEADER_LEN;
        self.positions.map_or(0, |positions| (table_len(positions) / variable::POSITION_LEN) as u64)
    }

    /// Stores the first error, for [`KeyBlockEncoder::finish`] to return.
    const fn fail(&mut self, error: FormatError) {
        if self.failure.is_none() {
            self.failure = Some(error);
        }
    }

    /// Ends the block.
    ///
    /// # Errors
    ///
    /// [`FormatError::WrongLen`] if the pushed entries are not those of the shape,
    /// [`FormatError::NoSuchEntry`] if there are more of them, [`FormatError::TooLarge`] if one
    /// cannot be encoded. The buffer then holds no valid block.
    pub fn finish(self) -> Result<KeyBlockKind, FormatError> {
        if let Some(error) = self.failure {
            return Err(error);
        }
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
