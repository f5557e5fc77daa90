//! Fixed-size key blocks: all keys of one length, all entries of one type.
//!
//! ```text
//!     offset  size  field
//!          0     1  kind: 3 with hashes, 4 without
//!          1     3  number of entries n
//!          4     1  key length k
//!          5     1  entry type
//! 6+stride·i     8  hash of entry i, kind 3 only
//!          …     k  key
//!          …     …  value reference, its length from the type
//! ```
//!
//! Entry `i` is found by one multiplication, so lookups are fastest in these blocks.

use alloc::vec::Vec;

use super::{Hashes, KeyBlockKind, KeyEntry};
use crate::bytes::{join_u8_u24, split_u8_u24, u64_at};
use crate::limits::MAX_EMPTY_ENTRIES;
use crate::value_ref::EntryType;
use crate::{FormatError, Structure};

/// Length of the header before the entries, in bytes.
pub(super) const HEADER_LEN: usize = 6;

/// Number of key bytes that are compared at once.
const WORD: usize = 8;

/// Appends the header of a fixed-size key block.
pub(super) fn encode_header(
    hashes: Hashes,
    entry_count: u32,
    key_len: u8,
    entry_type: EntryType,
    out: &mut Vec<u8>,
) {
    let kind = KeyBlockKind::Fixed(hashes).to_byte();
    out.extend_from_slice(&join_u8_u24(kind, entry_count).to_be_bytes());
    out.extend_from_slice(&[key_len, entry_type.to_byte()]);
}

/// Checks the number of entries in a block whose entries take no bytes. All of them have the empty
/// key: either as a tombstone, of which a key has at most one, or with an empty inline value, of
/// which [`MAX_EMPTY_ENTRIES`] are allowed.
pub(crate) const fn check_empty_entries(
    entry_count: u32,
    entry_type: EntryType,
) -> Result<(), FormatError> {
    let structure = Structure::KeyBlock;
    if entry_type.to_byte() == EntryType::DELETED.to_byte() && entry_count > 1 {
        return Err(FormatError::OutOfOrder { structure, index: 1 });
    }
    if entry_count > MAX_EMPTY_ENTRIES {
        let (value, max) = (entry_count as u64, MAX_EMPTY_ENTRIES as u64);
        return Err(FormatError::TooLarge { structure, value, max });
    }
    Ok(())
}

/// The header of a fixed-size key block that fits its entries: for a reader that has checked a
/// block, and keeps the header apart from the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedShape {
    hashes: Hashes,
    entry_count: u32,
    key_len: u8,
    entry_type: EntryType,
    stride: usize,
}

impl FixedShape {
    /// Number of entries, at least 1.
    #[must_use]
    #[inline]
    pub const fn entry_count(self) -> u32 {
        self.entry_count
    }

    /// Type of every entry.
    #[must_use]
    #[inline]
    pub const fn entry_type(self) -> EntryType {
        self.entry_type
    }

    /// Bytes from one entry to the next.
    #[must_use]
    #[inline]
    pub const fn stride(self) -> usize {
        self.stride
    }

    /// The shape as one number, never 0, for [`FixedShape::unpack`].
    ///
    /// | bits | field |
    /// |---|---|
    /// | 0 to 23 | number of entries |
    /// | 24 to 39 | bytes from one entry to the next |
    /// | 40 to 47 | key length |
    /// | 48 to 55 | entry type |
    /// | 56 to 63 | kind |
    #[must_use]
    pub const fn pack(self) -> u64 {
        let Self { hashes, entry_count, key_len, entry_type, stride } = self;
        let kind = KeyBlockKind::Fixed(hashes).to_byte();
        entry_count as u64
            | (stride as u64) << 24
            | (key_len as u64) << 40
            | (entry_type.to_byte() as u64) << 48
            | (kind as u64) << 56
    }

    /// The shape that [`FixedShape::pack`] made this number of; `None` for 0 and other numbers that
    /// name no kind or type.
    #[must_use]
    #[inline(always)]
    pub fn unpack(packed: u64) -> Option<Self> {
        let [kind, entry_type, key_len, stride_high, stride_low, count @ ..] = packed.to_be_bytes();
        let KeyBlockKind::Fixed(hashes) = KeyBlockKind::from_byte(kind).ok()? else { return None };
        let [high, middle, low] = count;
        Some(Self {
            hashes,
            entry_count: u32::from_be_bytes([0, high, middle, low]),
            key_len,
            entry_type: EntryType::from_byte(entry_type).ok()?,
            stride: u16::from_be_bytes([stride_high, stride_low]).into(),
        })
    }

    /// The view of the entries of which this is the shape; `None` if it does not fit these bytes.
    #[must_use]
    #[inline(always)]
    pub const fn attach(self, entries: &[u8]) -> Option<FixedKeyBlock<'_>> {
        if self.entry_count as u64 * self.stride as u64 == entries.len() as u64 {
            Some(FixedKeyBlock { shape: self, entries })
        } else {
            None
        }
    }
}

/// A checked view of a fixed-size key block.
#[derive(Clone, Copy, Debug)]
pub struct FixedKeyBlock<'a> {
    shape: FixedShape,
    entries: &'a [u8],
}

impl<'a> FixedKeyBlock<'a> {
    /// A view of a payload whose first byte means "fixed size", with or without hashes. Checks that
    /// the entries fill the block exactly, so every entry is in bounds. O(1).
    #[inline(always)]
    pub(super) fn parse(payload: &'a [u8], hashes: Hashes) -> Result<Self, FormatError> {
        let structure = Structure::KeyBlock;
        let found = payload.len() as u64;
        let Some((header, entries)) = payload.split_first_chunk::<HEADER_LEN>() else {
            let needed = HEADER_LEN as u64;
            return Err(FormatError::TooShort { structure, needed, available: found });
        };
        let &[kind, high, middle, low, key_len, entry_type] = header;
        let (_, entry_count) = split_u8_u24(u32::from_be_bytes([kind, high, middle, low]));
        let entry_type = EntryType::from_byte(entry_type)?;
        let stride = hashes.stored_len() + usize::from(key_len) + entry_type.value_ref_len();
        let expected = HEADER_LEN as u64 + u64::from(entry_count) * stride as u64;
        let shape = FixedShape { hashes, entry_count, key_len, entry_type, stride };
        let block = || Self { shape, entries };
        match entry_count {
            0 => Err(FormatError::Empty { structure }),
            _ if expected != found => Err(FormatError::WrongLen { structure, expected, found }),
            2.. if stride == 0 => check_empty_entries(entry_count, entry_type).map(|()| block()),
            _ => Ok(block()),
        }
    }

    /// A view of a payload, if it is a fixed-size key block and [`KeyBlock::parse`] would take it:
    /// for a path on which nothing else is likely. `None` for everything else.
    ///
    /// [`KeyBlock::parse`]: super::KeyBlock::parse
    #[must_use]
    #[inline(always)]
    pub fn peek(payload: &'a [u8]) -> Option<Self> {
        let (&[kind, high, middle, low, key_len, entry_type], entries) =
            payload.split_first_chunk::<HEADER_LEN>()?;
        let KeyBlockKind::Fixed(hashes) = KeyBlockKind::from_byte(kind).ok()? else { return None };
        let entry_count = u32::from_be_bytes([0, high, middle, low]);
        let entry_type = EntryType::from_byte(entry_type).ok()?;
        let stride = hashes.stored_len() + usize::from(key_len) + entry_type.value_ref_len();
        let is_whole = entry_count > 0
            && stride > 0
            && u64::from(entry_count) * stride as u64 == entries.len() as u64;
        let shape = FixedShape { hashes, entry_count, key_len, entry_type, stride };
        is_whole.then_some(Self { shape, entries })
    }

    /// The same block without its entries.
    pub(super) const fn without_bytes(self) -> FixedKeyBlock<'static> {
        FixedKeyBlock { shape: self.shape, entries: &[] }
    }

    /// The same block with the entries of `payload`.
    #[inline(always)]
    pub(super) fn with_bytes<'b>(
        &self,
        payload: &'b [u8],
    ) -> Result<FixedKeyBlock<'b>, FormatError> {
        let entries = payload.get(HEADER_LEN..).ok_or(FormatError::TooShort {
            structure: Structure::KeyBlock,
            needed: HEADER_LEN as u64,
            available: payload.len() as u64,
        })?;
        Ok(FixedKeyBlock { shape: self.shape, entries })
    }

    /// The header, apart from the entries.
    #[must_use]
    #[inline]
    pub const fn shape(&self) -> FixedShape {
        self.shape
    }

    /// The bytes of all entries.
    #[must_use]
    #[inline]
    pub const fn entries(&self) -> &'a [u8] {
        self.entries
    }

    /// Whether hashes are stored.
    #[must_use]
    #[inline]
    pub const fn hashes(&self) -> Hashes {
        self.shape.hashes
    }

    /// Number of entries, at least 1.
    #[must_use]
    #[inline]
    pub const fn entry_count(&self) -> u32 {
        self.shape.entry_count
    }

    /// Length of every key in bytes.
    #[must_use]
    pub const fn key_len(&self) -> u8 {
        self.shape.key_len
    }

    /// Type of every entry.
    #[must_use]
    pub const fn entry_type(&self) -> EntryType {
        self.shape.entry_type
    }

    /// Bytes from one entry to the next.
    #[must_use]
    pub const fn stride(&self) -> usize {
        self.shape.stride
    }

    /// Entry number `i`. O(1).
    ///
    /// # Errors
    ///
    /// [`FormatError::NoSuchEntry`].
    #[inline]
    pub fn entry(&self, i: u32) -> Result<KeyEntry<'a>, FormatError> {
        self.get(i).ok_or(FormatError::NoSuchEntry {
            index: u64::from(i),
            count: u64::from(self.shape.entry_count),
        })
    }

    /// The stored hash of entry number `i`. `None` if the block stores no hashes, and past the last
    /// entry.
    #[must_use]
    #[inline]
    pub fn stored_hash(&self, i: u32) -> Option<u64> {
        match self.shape.hashes {
            Hashes::Stored => u64_at(self.entries, (i as usize).checked_mul(self.shape.stride)?),
            Hashes::Computed => None,
        }
    }

    /// The first entry with this key, if it is near `middle`.
    ///
    /// Compares the `reach` entries from number `middle` on and the `reach` entries before it.
    /// O(`reach`).
    ///
    /// This is for searches that have an estimate of the position. `None` does not mean that the
    /// key is missing: keys of less than 8 bytes are not searched, nor is an entry returned if the
    /// entry before it might have the same key.
    #[must_use]
    #[inline(always)]
    pub fn find_near(&self, key: &[u8], middle: u32, reach: u32) -> Option<KeyEntry<'a>> {
        self.near(key, middle, reach).map(|(_, entry)| entry)
    }

    /// The index of [`FixedKeyBlock::find_near`].
    #[must_use]
    pub fn index_near(&self, key: &[u8], middle: u32, reach: u32) -> Option<u32> {
        let (start, _) = self.near(key, middle, reach)?;
        u32::try_from(start.checked_div(self.shape.stride)?).ok()
    }

    /// The entry of [`FixedKeyBlock::find_near`], and where it starts.
    #[inline(always)]
    fn near(&self, key: &[u8], middle: u32, reach: u32) -> Option<(usize, KeyEntry<'a>)> {
        if key.len() != usize::from(self.shape.key_len) {
            return None;
        }
        // The last bytes of keys differ more often than the first, so they tell nearly all keys
        // apart.
        let tail = key.last_chunk::<WORD>()?;
        let key_at = self.shape.hashes.stored_len();
        let tail_at = key_at + key.len() - WORD;
        let middle = self.start_of(middle)?;
        let start = entry_with(tail, self.entries, middle, self.shape.stride, tail_at, reach)?;
        let entry = self.entry_at(start)?;
        let before = start.wrapping_sub(self.shape.stride).wrapping_add(tail_at);
        let is_first = self.entries.get(before..).and_then(<[u8]>::first_chunk) != Some(tail);
        (is_first && is_equal(entry.key, key)).then_some((start, entry))
    }

    #[inline]
    fn get(&self, i: u32) -> Option<KeyEntry<'a>> {
        if i >= self.shape.entry_count {
            return None;
        }
        self.entry_at(self.start_of(i)?)
    }

    /// Where entry number `i` starts.
    #[inline(always)]
    const fn start_of(&self, i: u32) -> Option<usize> {
        (i as usize).checked_mul(self.shape.stride)
    }

    /// The entry that starts at byte `start` of the entries.
    #[inline(always)]
    fn entry_at(&self, start: usize) -> Option<KeyEntry<'a>> {
        let entry = self.entries.get(start..)?.get(..self.shape.stride)?;
        let (hash, rest) = entry.split_at_checked(self.shape.hashes.stored_len())?;
        let (key, value_ref) = rest.split_at_checked(usize::from(self.shape.key_len))?;
        Some(KeyEntry {
            stored_hash: u64_at(hash, 0),
            key,
            entry_type: self.shape.entry_type,
            value_ref,
        })
    }
}

/// Where the entry starts that has the bytes `tail` at its byte `tail_at` and is the nearest to
/// byte `middle` among the `reach` entries before it and the `reach` from it on.
///
/// A function of its own, so that its loop has the registers to itself.
#[inline(never)]
fn entry_with(
    tail: &[u8; WORD],
    entries: &[u8],
    middle: usize,
    stride: usize,
    tail_at: usize,
    reach: u32,
) -> Option<usize> {
    let (mut before, mut after) = entries.split_at_checked(middle)?;
    let tail_end = tail_at.checked_add(WORD).filter(|end| *end <= stride)?;
    let tail = u64::from_be_bytes(*tail);
    let has_tail = |entry: &[u8]| {
        let bytes = entry.get(tail_at..tail_end).and_then(<[u8]>::first_chunk);
        bytes.map(|bytes| u64::from_be_bytes(*bytes)) == Some(tail)
    };
    for _ in 0..reach {
        if let Some((entry, rest)) = after.split_at_checked(stride) {
            if has_tail(entry) {
                return entries.len().checked_sub(after.len());
            }
            after = rest;
        }
        if let Some(len) = before.len().checked_sub(stride) {
            let (rest, entry) = before.split_at_checked(len)?;
            if has_tail(entry) {
                return Some(len);
            }
            before = rest;
        }
    }
    None
}

/// Whether two keys are equal. Keys of 8 to 16 bytes, which are the most common, are two words that
/// may overlap, and no call of a function.
#[inline(always)]
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    if one.len() > 2 * WORD || one.len() != other.len() {
        return one == other;
    }
    match (one.first_chunk::<WORD>(), one.last_chunk::<WORD>()) {
        (Some(head), Some(tail)) => {
            other.first_chunk() == Some(head) && other.last_chunk() == Some(tail)
        }
        _ => one == other,
    }
}
