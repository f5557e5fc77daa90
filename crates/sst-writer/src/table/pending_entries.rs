//! The queue of entries that are added and not yet written.

use sst_format::key_block::{KeyBlockEncoder, KeyBlockShape};
use sst_format::limits::{MAX_INLINE_LEN, PENDING_BUDGET, PENDING_ENTRY_OVERHEAD};
use sst_format::value_ref::{EntryType, ValueRef};
use sst_format::{BlobNumber, BlockIndex, FormatError};

/// The value of a pending entry, packed: every entry passes through here, and a word moves as a whole where the fields of
/// an enum don't.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PendingValue {
    /// | type | from the top |
    /// |---|---|
    /// | inline | the bytes |
    /// | small | 16 bits block, 0 while it waits; 16 bits length; 32 bits offset |
    /// | medium, blob | the number, in the lowest bits |
    word: u64,
    entry_type: EntryType,
    /// Whether it is in the small value block being filled, which has no index yet.
    is_waiting: bool,
}

impl PendingValue {
    /// A value of at most 8 bytes, kept beside its key. The type says how many.
    #[inline]
    pub(crate) fn inline(value: &[u8], entry_type: EntryType) -> Self {
        let bytes = value.try_into().unwrap_or_else(|_| {
            let mut bytes = [0; MAX_INLINE_LEN];
            bytes.iter_mut().zip(value).for_each(|(slot, byte)| *slot = *byte);
            bytes
        });
        Self { word: u64::from_be_bytes(bytes), entry_type, is_waiting: false }
    }

    /// A value in the small value block being filled.
    #[inline]
    pub(crate) fn waiting(len: u16, offset: u32) -> Self {
        let word = (u64::from(len) << 32) | u64::from(offset);
        Self { word, entry_type: EntryType::SMALL, is_waiting: true }
    }

    /// A value that has a block of its own.
    pub(crate) fn medium(block: BlockIndex) -> Self {
        Self { word: block.0.into(), entry_type: EntryType::MEDIUM, is_waiting: false }
    }

    /// A value in a blob file.
    pub(crate) fn blob(number: BlobNumber) -> Self {
        Self { word: number.0.into(), entry_type: EntryType::BLOB, is_waiting: false }
    }

    /// No value.
    pub(crate) const fn deleted() -> Self {
        Self { word: 0, entry_type: EntryType::DELETED, is_waiting: false }
    }

    /// The small value block got its index.
    fn resolve(&mut self, block: BlockIndex) {
        if self.is_waiting {
            self.word |= u64::from(block.0) << 48;
            self.is_waiting = false;
        }
    }

    /// The reference to be written. Inline bytes are put into `inline`.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the fields of the word are cut out")]
    fn value_ref<'a>(&self, inline: &'a mut [u8; MAX_INLINE_LEN]) -> ValueRef<'a> {
        let word = self.word;
        match self.entry_type {
            EntryType::SMALL => ValueRef::Small {
                block: BlockIndex((word >> 48) as u16),
                len: (word >> 32) as u16,
                offset: word as u32,
            },
            EntryType::MEDIUM => ValueRef::Medium(BlockIndex(word as u16)),
            EntryType::BLOB => ValueRef::Blob(BlobNumber(word as u32)),
            EntryType::DELETED => ValueRef::Deleted,
            inline_type => {
                *inline = word.to_be_bytes();
                ValueRef::Inline(inline.get(..inline_type.value_ref_len()).unwrap_or_default())
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct PendingEntry {
    hash: u64,
    key_len: u32,
    value: PendingValue,
}

/// Entries in their order, the keys of all of them in one buffer.
///
/// Entries up to the first one that waits for its value block are resolved: their references are known. The last entry
/// of the table is always here, until the table ends.
#[derive(Debug, Default)]
pub(crate) struct PendingEntries {
    entries: Vec<PendingEntry>,
    /// The keys of `entries`, back to back.
    keys: Vec<u8>,
    /// Entries and key bytes at the front that are written and not yet removed.
    written: usize,
    written_keys_len: usize,
    /// First entry that waits for its value block.
    first_waiting: Option<usize>,
    /// What the entries from there on count against the budget, in bytes.
    waiting_cost: usize,
}

impl PendingEntries {
    /// Appends an entry. Its key is at most [`MAX_KEY_LEN`](sst_format::limits::MAX_KEY_LEN) bytes long.
    #[inline]
    pub(crate) fn push(&mut self, hash: u64, key: &[u8], value: PendingValue) {
        if self.first_waiting.is_none() && value.is_waiting {
            self.first_waiting = Some(self.entries.len());
        }
        if self.first_waiting.is_some() {
            self.waiting_cost += key.len() + PENDING_ENTRY_OVERHEAD;
        }
        self.keys.extend_from_slice(key);
        let key_len = u32::try_from(key.len()).unwrap_or(u32::MAX);
        self.entries.push(PendingEntry { hash, key_len, value });
    }

    /// Hash and key of the last entry.
    #[inline]
    pub(crate) fn last(&self) -> Option<(u64, &[u8])> {
        let last = self.entries.last()?;
        let start = self.keys.len().checked_sub(last.key_len as usize)?;
        Some((last.hash, self.keys.get(start..)?))
    }

    /// Whether the entries that wait have exceeded the budget, so that their value block must be written.
    #[inline]
    pub(crate) fn is_over_budget(&self) -> bool {
        self.waiting_cost > PENDING_BUDGET
    }

    /// Number of entries at the front whose references are known.
    pub(crate) fn resolved_count(&self) -> usize {
        self.first_waiting.unwrap_or(self.entries.len()) - self.written
    }

    /// Resolves all waiting entries: their value block was written and got this index.
    pub(crate) fn resolve(&mut self, block: BlockIndex) {
        let first = self.first_waiting.take().unwrap_or(self.entries.len());
        for entry in self.entries.iter_mut().skip(first) {
            entry.value.resolve(block);
        }
        self.waiting_cost = 0;
    }

    /// Hash of the first entry.
    pub(crate) fn first_hash(&self) -> Option<u64> {
        self.entries.get(self.written).map(|entry| entry.hash)
    }

    /// Encodes the key block of the first entries, as many as `shape` has, which must be resolved, and marks them as
    /// written.
    ///
    /// # Errors
    ///
    /// As [`KeyBlockEncoder::finish`], if the shape is not that of the entries.
    pub(crate) fn encode_first(
        &mut self,
        shape: &KeyBlockShape,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        let mut encoder = KeyBlockEncoder::new(shape, out);
        let count = shape.entry_count() as usize;
        let mut keys = self.keys.get(self.written_keys_len..).unwrap_or_default();
        for entry in self.entries.iter().skip(self.written).take(count) {
            let Some((key, rest)) = keys.split_at_checked(entry.key_len as usize) else { break };
            keys = rest;
            encoder.push(entry.hash, key, entry.value.value_ref(&mut [0; MAX_INLINE_LEN]));
        }
        self.written_keys_len = self.keys.len() - keys.len();
        self.written += count;
        encoder.finish().map(drop)
    }

    /// Removes what is written.
    pub(crate) fn remove_written(&mut self) {
        self.entries.drain(..self.written);
        self.keys.drain(..self.written_keys_len);
        self.first_waiting = self.first_waiting.map(|first| first - self.written);
        self.written = 0;
        self.written_keys_len = 0;
    }
}
