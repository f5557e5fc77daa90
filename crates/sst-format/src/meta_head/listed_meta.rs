//! An entry in the list of live meta files.

use alloc::vec::Vec;

use crate::bytes::{u32_in, u64_in};
use crate::protection::LiveMeta;
use crate::{FormatError, SequenceNumber, Structure};

/// Length of an entry, in bytes.
pub(crate) const LISTED_META_LEN: usize = 28;

/// A range of hashes, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HashRange {
    /// The lowest hash.
    pub min: u64,
    /// The highest hash.
    pub max: u64,
}

impl HashRange {
    /// All hashes.
    pub const FULL: Self = Self { min: 0, max: u64::MAX };

    /// No hash. The only range whose lowest hash is above its highest.
    pub const EMPTY: Self = Self { min: u64::MAX, max: 0 };

    /// Whether the ranges have a hash in common. [`HashRange::EMPTY`] has none in common with any.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        let (a, b) = (self, other);
        a.min <= a.max && b.min <= b.max && a.min <= b.max && b.min <= a.max
    }

    /// The smallest range that holds both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

/// A meta file that is live as of a commit, as a list of version 3 has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedMeta {
    /// Its sequence number.
    pub sequence: SequenceNumber,
    /// The CRC-32 from its trailer; 0 in the entry of the file that holds the list.
    pub checksum: u32,
    /// The family of its tables.
    pub family: u32,
    /// A range that holds the hashes of all tables that it describes and of all that it names
    /// obsolete. A reader of hashes that it does not meet needs nothing of this meta file.
    pub hashes: HashRange,
}

impl ListedMeta {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.sequence.0.to_be_bytes());
        out.extend_from_slice(&self.checksum.to_be_bytes());
        out.extend_from_slice(&self.family.to_be_bytes());
        out.extend_from_slice(&self.hashes.min.to_be_bytes());
        out.extend_from_slice(&self.hashes.max.to_be_bytes());
    }

    pub(crate) const fn from_bytes(bytes: &[u8; LISTED_META_LEN]) -> Self {
        Self {
            sequence: SequenceNumber(u32_in::<0, _>(bytes)),
            checksum: u32_in::<4, _>(bytes),
            family: u32_in::<8, _>(bytes),
            hashes: HashRange { min: u64_in::<12, _>(bytes), max: u64_in::<20, _>(bytes) },
        }
    }

    /// Reads a list of live meta files: the verified bytes of
    /// [`MetaHead::live_metas`](super::MetaHead::live_metas). Each is listed once, in ascending
    /// order. O(length of the list).
    ///
    /// # Errors
    ///
    /// [`FormatError::OutOfOrder`], [`FormatError::EmptyHashRange`], or [`FormatError::WrongLen`]
    /// if the bytes are no whole number of entries.
    pub fn parse_list(bytes: &[u8]) -> Result<Vec<Self>, FormatError> {
        let structure = Structure::MetaList;
        let (records, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            let found = bytes.len() as u64;
            let expected = found - rest.len() as u64;
            return Err(FormatError::WrongLen { structure, expected, found });
        }
        let listed: Vec<Self> = records.iter().map(Self::from_bytes).collect();
        let mut previous = None;
        for (index, meta) in (0..).zip(&listed) {
            if previous >= Some(meta.sequence) {
                return Err(FormatError::OutOfOrder { structure, index });
            }
            let HashRange { min, max } = meta.hashes;
            if min > max && meta.hashes != HashRange::EMPTY {
                return Err(FormatError::EmptyHashRange { min_hash: min, max_hash: max });
            }
            previous = Some(meta.sequence);
        }
        Ok(listed)
    }
}

impl From<ListedMeta> for LiveMeta {
    fn from(listed: ListedMeta) -> Self {
        Self { sequence: listed.sequence, checksum: listed.checksum }
    }
}
