//! A record in the list of live meta files.

use alloc::vec::Vec;

use crate::bytes::{u32_in, u64_in};
use crate::protection_records::LiveMeta;
use crate::{FormatError, SequenceNumber, Structure};

/// Length of a record, in bytes.
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

    /// No hash. It is the only range whose lowest hash is above its highest.
    pub const EMPTY: Self = Self { min: u64::MAX, max: 0 };

    /// The hashes of shard `index` of `count` shards, numbered from 0, with equal ranges. `None`
    /// unless `index` is below `count`.
    ///
    /// # Examples
    ///
    /// ```
    /// use sst_format::meta_head::HashRange;
    ///
    /// assert_eq!(HashRange::of_shard(0, 2), Some(HashRange { min: 0, max: (1 << 63) - 1 }));
    /// assert_eq!(HashRange::of_shard(1, 2), Some(HashRange { min: 1 << 63, max: u64::MAX }));
    /// ```
    #[must_use]
    pub fn of_shard(index: u32, count: u32) -> Option<Self> {
        let next = index.checked_add(1).filter(|next| *next <= count)?;
        // Shard `i` starts at 2^64 i / count, rounded up. All but the end of the last are below
        // 2^64.
        let start = |i: u32| (u128::from(i) << 64).div_ceil(u128::from(count));
        let min = u64::try_from(start(index)).ok()?;
        let max = u64::try_from(start(next) - 1).ok()?;
        Some(Self { min, max })
    }

    /// Whether the ranges share a hash. [`HashRange::EMPTY`] shares none with any range.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        let (a, b) = (self, other);
        a.min <= a.max && b.min <= b.max && a.min <= b.max && b.min <= a.max
    }

    /// The hashes that are in both ranges.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        let shared = Self { min: self.min.max(other.min), max: self.max.min(other.max) };
        if shared.min <= shared.max { shared } else { Self::EMPTY }
    }

    /// Whether it holds a hash.
    #[must_use]
    #[inline]
    pub const fn contains(self, hash: u64) -> bool {
        self.min <= hash && hash <= self.max
    }

    /// The smallest range that holds both ranges.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

/// A live meta file, as a list of version 3 records it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedMeta {
    /// Its sequence number.
    pub sequence: SequenceNumber,
    /// The CRC-32 from its trailer; 0 in the record of the file that holds the list.
    pub checksum: u32,
    /// The family of its tables.
    pub family: u32,
    /// A range that covers the hashes of all tables that the meta file describes or names obsolete.
    /// A reader of hashes outside this range needs nothing from this meta file.
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

    /// Parses a list of live meta files. O(length of the list).
    ///
    /// `bytes` are the verified bytes of [`MetaHead::live_metas`](super::MetaHead::live_metas).
    /// Each meta file is listed once, in ascending order.
    ///
    /// # Errors
    ///
    /// [`FormatError::OutOfOrder`], [`FormatError::EmptyHashRange`], or [`FormatError::WrongLen`]
    /// if the length is not a multiple of a record's.
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
