//! The queue of entries that are added and not yet written.

use sst_format::key_block::{KeyBlockEncoder, KeyBlockShape};
use sst_format::limits::{MAX_KEY_LEN, PENDING_BUDGET, PENDING_ENTRY_OVERHEAD};
use sst_format::value_ref::{EntryType, ValueRef, set_small_block};
use sst_format::{BlockIndex, FormatError};

/// Type and key length of an entry, packed into a word: there are many, and they are walked often.
#[derive(Clone, Copy, Debug)]
struct Outline(u32);

const KEY_LEN_BITS: u32 = 24;
const KEY_LEN_MASK: u32 = (1 << KEY_LEN_BITS) - 1;
const _: () = assert!(MAX_KEY_LEN <= KEY_LEN_MASK as usize);

impl Outline {
    #[inline]
    fn new(key_len: usize, entry_type: EntryType) -> Self {
        let key_len = u32::try_from(key_len).unwrap_or(KEY_LEN_MASK).min(KEY_LEN_MASK);
        Self((u32::from(entry_type.to_byte()) << KEY_LEN_BITS) | key_len)
    }

    #[inline]
    fn entry_type(self) -> EntryType {
        let [byte, ..] = self.0.to_be_bytes();
        // Only types that exist are put in.
        EntryType::from_byte(byte).unwrap_or(EntryType::DELETED)
    }

    #[inline]
    fn key_len(self) -> usize {
        (self.0 & KEY_LEN_MASK) as usize
    }

    /// Length of key and value reference.
    #[inline]
    fn len(self) -> usize {
        self.key_len() + self.entry_type().value_ref_len()
    }
}

/// Entries in their order: their hashes, and in one buffer their keys and value references as a key block will have them.
///
/// Entries up to the first one that waits for its value block are resolved: their references are known. From there on
/// every reference to a small value lacks its block index. The last entry of the table is always here, until the table
/// ends.
#[derive(Debug, Default)]
pub(crate) struct PendingEntries {
    hashes: Vec<u64>,
    outlines: Vec<Outline>,
    /// Key and value reference of each entry, back to back.
    bytes: Vec<u8>,
    /// Entries and their bytes at the front that are written and not yet removed.
    written: usize,
    written_len: usize,
    /// First entry that waits for its value block, and where its bytes start.
    first_waiting: Option<(usize, usize)>,
    /// What the entries from there on count against the budget, in bytes.
    waiting_cost: usize,
}

impl PendingEntries {
    /// Appends an entry, of which the type says what the reference is. Its key is at most [`MAX_KEY_LEN`] bytes long.
    /// A small value waits: whatever block index its reference has is set by [`PendingEntries::resolve`].
    #[inline(always)]
    pub(crate) fn push(
        &mut self,
        hash: u64,
        key: &[u8],
        entry_type: EntryType,
        value_ref: ValueRef<'_>,
    ) {
        if self.first_waiting.is_some() {
            self.waiting_cost += key.len() + PENDING_ENTRY_OVERHEAD;
        } else if entry_type == EntryType::SMALL {
            self.first_waiting = Some((self.hashes.len(), self.bytes.len()));
            self.waiting_cost = key.len() + PENDING_ENTRY_OVERHEAD;
        }
        self.hashes.push(hash);
        self.outlines.push(Outline::new(key.len(), entry_type));
        append(&mut self.bytes, key);
        match value_ref {
            ValueRef::Inline(value) => append(&mut self.bytes, value),
            other => other.encode(&mut self.bytes),
        }
    }

    /// Hash and key of the last entry.
    #[inline]
    pub(crate) fn last(&self) -> Option<(u64, &[u8])> {
        let (hash, outline) = (*self.hashes.last()?, *self.outlines.last()?);
        let start = self.bytes.len().checked_sub(outline.len())?;
        Some((hash, self.bytes.get(start..)?.get(..outline.key_len())?))
    }

    /// Type of the last entry.
    pub(crate) fn last_type(&self) -> Option<EntryType> {
        self.outlines.last().map(|outline| outline.entry_type())
    }

    /// Whether the entries that wait have exceeded the budget, so that their value block must be written.
    #[inline]
    pub(crate) fn is_over_budget(&self) -> bool {
        self.waiting_cost > PENDING_BUDGET
    }

    /// Number of entries at the front whose references are known.
    pub(crate) fn resolved_count(&self) -> usize {
        self.first_waiting.map_or(self.hashes.len(), |(first, _)| first) - self.written
    }

    /// Resolves all waiting entries: their value block got this index.
    pub(crate) fn resolve(&mut self, block: BlockIndex) {
        self.waiting_cost = 0;
        let Some((first, start)) = self.first_waiting.take() else { return };
        let mut bytes = self.bytes.get_mut(start..).unwrap_or_default();
        for outline in self.outlines.iter().skip(first) {
            let Some((entry, rest)) = bytes.split_at_mut_checked(outline.len()) else { break };
            bytes = rest;
            if outline.entry_type() == EntryType::SMALL
                && let Some(reference) = entry.get_mut(outline.key_len()..)
            {
                set_small_block(reference, block);
            }
        }
    }

    /// Hashes of the first entries that are not written, as many as `shape` has.
    pub(crate) fn first_hashes(&self, shape: &KeyBlockShape) -> &[u64] {
        let hashes = self.hashes.get(self.written..).unwrap_or_default();
        hashes.get(..shape.entry_count() as usize).unwrap_or(hashes)
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
        let bytes = self.bytes.get(self.written_len..).unwrap_or_default();
        let len = usize::try_from(shape.entries_len()).unwrap_or(usize::MAX);
        let bytes = bytes.get(..len).unwrap_or_default();
        if !encoder.push_all_encoded(bytes) {
            let mut rest = bytes;
            let entries = self.hashes.iter().zip(&self.outlines).skip(self.written).take(count);
            for (hash, outline) in entries {
                let Some((entry, behind)) = rest.split_at_checked(outline.len()) else { break };
                rest = behind;
                encoder.push_encoded(*hash, outline.entry_type(), entry);
            }
        }
        self.written += count;
        self.written_len += bytes.len();
        encoder.finish().map(drop)
    }

    /// Removes what is written.
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

/// Appends bytes; of the commonest lengths without a call.
#[inline]
fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    if let Ok(bytes) = <&[u8; 8]>::try_from(bytes) {
        out.extend_from_slice(bytes);
    } else if let Ok(bytes) = <&[u8; 16]>::try_from(bytes) {
        out.extend_from_slice(bytes);
    } else {
        out.extend_from_slice(bytes);
    }
}
