//! The shape of a key block: its kind, and whether its entries fit the encoding.

use super::fixed::HEADER_LEN as FIXED_HEADER_LEN;
use super::variable::{HEADER_LEN as VARIABLE_HEADER_LEN, POSITION_LEN};
use super::{Hashes, KeyBlockKind};
use crate::limits::{
    HASH_THRESHOLD, KEY_BLOCK_ENTRY_OVERHEAD, KEY_BLOCK_SIZE, MAX_EMPTY_ENTRIES, MAX_FIXED_KEY_LEN,
    MAX_KEY_BLOCK_ENTRIES, MAX_KEY_LEN, MAX_POSITION, MAX_TARGET_BLOCK_SIZE,
};
use crate::value_ref::EntryType;
use crate::{FormatError, Structure};

/// The size at which a writer closes a key block. Any size is a valid file; the default is that of
/// the original (FORMAT.md section 7).
///
/// # Examples
///
/// ```
/// use sst_format::key_block::{KeyBlockLimit, KeyBlockShape};
/// use sst_format::value_ref::EntryType;
///
/// // A key counts with 20 bytes more than it has, so two keys of 5 bytes fill a block of 50.
/// let limit = KeyBlockLimit::of_bytes(50);
/// let one = KeyBlockShape::default().with_entry(5, EntryType::DELETED)?;
/// let two = one.with_entry(5, EntryType::DELETED)?;
/// assert!(!one.is_full_for(5, limit) && two.is_full_for(5, limit));
/// # Ok::<(), sst_format::FormatError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyBlockLimit {
    /// Highest Σ(key length + [`KEY_BLOCK_ENTRY_OVERHEAD`]).
    bytes: u64,
    /// Highest number of entries.
    entries: u32,
}

impl KeyBlockLimit {
    /// A block is closed before an entry would make Σ(key length + 20) exceed `bytes`, and after at
    /// least one entry. More than [`MAX_TARGET_BLOCK_SIZE`] counts as that.
    #[must_use]
    pub const fn of_bytes(bytes: usize) -> Self {
        let bytes = if bytes > MAX_TARGET_BLOCK_SIZE { MAX_TARGET_BLOCK_SIZE } else { bytes };
        #[expect(clippy::cast_possible_truncation, reason = "at most 1 MiB")]
        let entries = (bytes / KEY_BLOCK_ENTRY_OVERHEAD) as u32;
        Self { bytes: bytes as u64, entries: if entries == 0 { 1 } else { entries } }
    }
}

impl Default for KeyBlockLimit {
    fn default() -> Self {
        Self::of_bytes(KEY_BLOCK_SIZE)
    }
}

/// Counts and lengths of the entries of a key block to be written.
///
/// The kind and the size of the block follow from them, without the entries themselves.
///
/// All rules of FORMAT.md sections 4 and 7 about key blocks are applied here: which kind a block
/// has, when it is full, and which entries it cannot hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyBlockShape {
    entry_count: u32,
    /// Σ key length.
    keys_len: u64,
    /// Σ length of value references.
    value_refs_len: u64,
    max_key_len: usize,
    /// Key length and type of the last entry.
    last: Option<(usize, EntryType)>,
    /// Whether entries differ in key length or type. Such a block cannot take the fixed form.
    is_mixed: bool,
}

/// An entry that has the key length and the type of all entries of its key block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SameShapeEntry {
    key_len: usize,
    value_ref_len: usize,
}

impl SameShapeEntry {
    /// By how many bytes the entry lengthens the encoded block.
    #[must_use]
    #[inline]
    pub const fn growth(self) -> u64 {
        let hashes = if self.key_len > HASH_THRESHOLD { Hashes::Stored } else { Hashes::Computed };
        (hashes.stored_len() + self.key_len + self.value_ref_len) as u64
    }
}

impl KeyBlockShape {
    /// The shape with one more entry.
    ///
    /// # Errors
    ///
    /// [`FormatError::TooLarge`] if the encoding cannot hold the entry: a key over [`MAX_KEY_LEN`],
    /// a position over [`MAX_POSITION`], more than [`MAX_KEY_BLOCK_ENTRIES`] entries, or more than
    /// [`MAX_EMPTY_ENTRIES`] entries that take no byte. Only a run of equal hashes can reach the
    /// last three.
    #[inline]
    pub fn with_entry(&self, key_len: usize, entry_type: EntryType) -> Result<Self, FormatError> {
        let structure = Structure::KeyBlock;
        let too_large = |value, max| FormatError::TooLarge { structure, value, max };
        if key_len > MAX_KEY_LEN {
            return Err(too_large(key_len as u64, MAX_KEY_LEN as u64));
        }
        let entry_count = self.entry_count + 1;
        if entry_count > MAX_KEY_BLOCK_ENTRIES {
            return Err(too_large(entry_count.into(), MAX_KEY_BLOCK_ENTRIES.into()));
        }
        let is_empty = self.keys_len == 0 && self.value_refs_len == 0;
        if is_empty && key_len + entry_type.value_ref_len() == 0 && entry_count > MAX_EMPTY_ENTRIES
        {
            return Err(too_large(entry_count.into(), MAX_EMPTY_ENTRIES.into()));
        }
        let shape = Self {
            entry_count,
            keys_len: self.keys_len + key_len as u64,
            value_refs_len: self.value_refs_len + entry_type.value_ref_len() as u64,
            max_key_len: self.max_key_len.max(key_len),
            last: Some((key_len, entry_type)),
            is_mixed: self.is_mixed || self.last.is_some_and(|last| last != (key_len, entry_type)),
        };
        if let KeyBlockKind::Variable(hashes) = shape.kind() {
            let stored_hashes = u64::from(self.entry_count) * hashes.stored_len() as u64;
            let last_position = stored_hashes + self.keys_len + self.value_refs_len;
            if last_position > u64::from(MAX_POSITION) {
                return Err(too_large(last_position, MAX_POSITION.into()));
            }
        }
        Ok(shape)
    }

    /// Whether the block is full for an entry with a key of `key_len` bytes, so that the entry
    /// starts another block.
    ///
    /// Only for an entry whose hash differs from the last one's: entries with equal hashes are
    /// never split.
    #[must_use]
    #[inline]
    pub const fn is_full_for(&self, key_len: usize, limit: KeyBlockLimit) -> bool {
        self.entry_count >= limit.entries
            || self.keys_len
                + key_len as u64
                + (self.entry_count as u64 + 1) * KEY_BLOCK_ENTRY_OVERHEAD as u64
                > limit.bytes
    }

    /// The entry, if the short way is possible.
    ///
    /// The short way is for an entry of the same key length and type as all others in a fixed-size
    /// block that is not full. Such an entry only changes counts and sums, and
    /// [`KeyBlockShape::push_same_shape`] adds it. Only for an entry whose hash differs from the
    /// last one's.
    #[must_use]
    #[inline]
    pub fn same_shape(
        &self,
        key_len: usize,
        entry_type: EntryType,
        limit: KeyBlockLimit,
    ) -> Option<SameShapeEntry> {
        let is_same_shape = self.last == Some((key_len, entry_type)) && !self.is_mixed;
        if !is_same_shape || key_len > MAX_FIXED_KEY_LEN || self.is_full_for(key_len, limit) {
            return None;
        }
        Some(SameShapeEntry { key_len, value_ref_len: entry_type.value_ref_len() })
    }

    /// Adds an entry that [`KeyBlockShape::same_shape`] found to have the shape of the others.
    #[inline]
    pub const fn push_same_shape(&mut self, entry: SameShapeEntry) {
        self.entry_count += 1;
        self.keys_len += entry.key_len as u64;
        self.value_refs_len += entry.value_ref_len as u64;
    }

    /// The kind of the block. An empty one is variable.
    #[must_use]
    #[inline]
    pub fn kind(&self) -> KeyBlockKind {
        let hashes =
            if self.max_key_len > HASH_THRESHOLD { Hashes::Stored } else { Hashes::Computed };
        match self.fixed() {
            Some(_) => KeyBlockKind::Fixed(hashes),
            None => KeyBlockKind::Variable(hashes),
        }
    }

    /// Key length and type of all entries, if they allow the fixed form.
    #[inline]
    pub(super) fn fixed(&self) -> Option<(u8, EntryType)> {
        let (key_len, entry_type) = self.last.filter(|_| !self.is_mixed)?;
        // Keys that are too long for the fixed form have no such length.
        Some((u8::try_from(key_len).ok()?, entry_type))
    }

    /// Number of entries.
    #[must_use]
    pub const fn entry_count(&self) -> u32 {
        self.entry_count
    }

    /// Length of the longest key in bytes.
    #[must_use]
    pub const fn max_key_len(&self) -> usize {
        self.max_key_len
    }

    /// Length of all keys and value references in bytes.
    #[must_use]
    pub const fn entries_len(&self) -> u64 {
        self.keys_len + self.value_refs_len
    }

    /// Length of the encoded block in bytes, before compression.
    #[must_use]
    pub fn encoded_len(&self) -> u64 {
        let hashes = self.entry_count as u64 * self.kind().hashes().stored_len() as u64;
        let overhead = match self.kind() {
            KeyBlockKind::Fixed(_) => FIXED_HEADER_LEN as u64,
            KeyBlockKind::Variable(_) => {
                VARIABLE_HEADER_LEN as u64 + self.entry_count as u64 * POSITION_LEN as u64
            }
        };
        overhead + hashes + self.entries_len()
    }
}
