//! Content digests: order-independent digests of sets of entries (FORMAT.md section 12).
//!
//! ```text
//! size  field
//!    8  number of entries
//!    8  bytes of their keys and values
//!   32  sum of the hashes of all entries, modulo 2^256
//! ```
//!
//! The hash of an entry is the SHA-256 of
//!
//! ```text
//! tombstone              u8 0, key
//! first value of a key   u8 1, key, SHA-256 of the value
//! value number n > 0     u8 2, u32 n, key, SHA-256 of the value
//! ```
//!
//! The values are uncompressed, wherever they are stored. A sum does not depend on the order of its
//! terms, and the sum over two disjoint sets is the sum of their sums. So every part of a merge or
//! of a split can compute the digest of its own entries, and the digests are then added.
//!
//! Two different sets have equal digests by accident with a chance of about 2^-256. A digest is no
//! signature: an attacker who chooses thousands of entries can make two sets with one sum
//! (generalized birthday), with far less work than it takes to break SHA-256.

use alloc::vec::Vec;
use core::fmt;

use crate::bytes::u64_in;

/// A function that computes the SHA-256 of the concatenation of some pieces.
///
/// This crate has no dependencies, so its callers pass the function in, as with
/// [`Crc32`](crate::Crc32).
pub type Sha256 = fn(&[&[u8]]) -> [u8; 32];

/// Length of a digest in a file, in bytes.
pub const CONTENT_DIGEST_LEN: usize = 48;

const TOMBSTONE: u8 = 0;
const FIRST_VALUE: u8 = 1;
const FURTHER_VALUE: u8 = 2;

/// The part of a value that enters a digest: its length and its SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueDigest {
    /// Length in bytes, uncompressed.
    pub len: u64,
    /// SHA-256.
    pub hash: [u8; 32],
}

impl ValueDigest {
    /// The digest of a value. O(its length).
    #[must_use]
    pub fn of(value: &[u8], sha256: Sha256) -> Self {
        Self { len: value.len() as u64, hash: sha256(&[value]) }
    }
}

/// Counts the values of each key, for [`ContentDigest::add_value`]. Entries of one key follow each
/// other.
#[derive(Debug, Default)]
pub struct Ordinals {
    key: Vec<u8>,
    /// Number of entries of this key so far; 0 before the first entry.
    count: u32,
}

impl Ordinals {
    /// The ordinal of the next entry among the entries of its key, counted from 0. `None` after
    /// 2^32 - 1 entries of one key, which no table holds: all entries of a key are in one key
    /// block.
    #[must_use]
    pub fn next(&mut self, key: &[u8]) -> Option<u32> {
        let ordinal = if self.key == key { self.count } else { 0 };
        if ordinal == 0 {
            self.key.clear();
            self.key.extend_from_slice(key);
        }
        self.count = ordinal.checked_add(1)?;
        Some(ordinal)
    }
}

/// The digest of a multiset of entries. The default is that of no entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContentDigest {
    entries: u64,
    bytes: u64,
    /// Most significant word first.
    sum: [u64; 4],
}

impl ContentDigest {
    /// Number of entries.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.entries
    }

    /// Bytes of all keys and values, values uncompressed.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The sum of the hashes of all entries, big-endian.
    #[must_use]
    pub fn sum(&self) -> [u8; 32] {
        let mut out = [0; 32];
        for (bytes, word) in out.as_chunks_mut::<8>().0.iter_mut().zip(self.sum) {
            *bytes = word.to_be_bytes();
        }
        out
    }

    /// Adds a value of a key. `ordinal` counts the values of the key from 0.
    pub fn add_value(&mut self, key: &[u8], ordinal: u32, value: &ValueDigest, sha256: Sha256) {
        let hash = match ordinal {
            0 => sha256(&[&[FIRST_VALUE], key, &value.hash]),
            n => sha256(&[&[FURTHER_VALUE], &n.to_be_bytes(), key, &value.hash]),
        };
        self.add_entry(&hash, key.len() as u64 + value.len);
    }

    /// Adds a tombstone of a key.
    pub fn add_tombstone(&mut self, key: &[u8], sha256: Sha256) {
        self.add_entry(&sha256(&[&[TOMBSTONE], key]), key.len() as u64);
    }

    fn add_entry(&mut self, hash: &[u8; 32], bytes: u64) {
        self.combine(&Self { entries: 1, bytes, sum: words(hash) });
    }

    /// Adds the digest of another set of entries. No entry may be in both sets.
    ///
    /// All fields wrap: a digest from a file may have any bits, and a sum of such digests equals no
    /// digest of entries.
    pub fn combine(&mut self, other: &Self) {
        self.entries = self.entries.wrapping_add(other.entries);
        self.bytes = self.bytes.wrapping_add(other.bytes);
        let mut carry = false;
        for (word, other) in self.sum.iter_mut().zip(other.sum).rev() {
            let (sum, over) = word.overflowing_add(other);
            let (sum, over_again) = sum.overflowing_add(u64::from(carry));
            (*word, carry) = (sum, over || over_again);
        }
    }

    /// The bytes of the digest, as a file stores them.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; CONTENT_DIGEST_LEN] {
        let mut out = [0; CONTENT_DIGEST_LEN];
        let [a, b, c, d] = self.sum;
        let words = [self.entries, self.bytes, a, b, c, d];
        for (bytes, word) in out.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *bytes = word.to_be_bytes();
        }
        out
    }

    /// The digest in these bytes. Any bytes of this length are a digest.
    #[must_use]
    pub const fn from_bytes(bytes: &[u8; CONTENT_DIGEST_LEN]) -> Self {
        let sum = [
            u64_in::<16, _>(bytes),
            u64_in::<24, _>(bytes),
            u64_in::<32, _>(bytes),
            u64_in::<40, _>(bytes),
        ];
        Self { entries: u64_in::<0, _>(bytes), bytes: u64_in::<8, _>(bytes), sum }
    }
}

fn words(hash: &[u8; 32]) -> [u64; 4] {
    [u64_in::<0, _>(hash), u64_in::<8, _>(hash), u64_in::<16, _>(hash), u64_in::<24, _>(hash)]
}

/// The sum as 64 hex digits.
impl fmt::LowerHex for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sum.iter().try_for_each(|word| write!(f, "{word:016x}"))
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} entries of {} bytes with digest {self:x}", self.entries, self.bytes)
    }
}

/// The content of one family as of a commit: the digest of its live entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilyCertificate {
    /// The family.
    pub family: u32,
    /// The digest of its live entries. For each key these are the entries of the newest table that
    /// has the key; tombstones are left out.
    pub content: ContentDigest,
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn equal_keys_are_counted() {
        let mut ordinals = Ordinals::default();
        let keys: [&[u8]; 6] = [b"", b"", b"a", b"b", b"b", b"b"];
        assert_eq!(keys.map(|key| ordinals.next(key)), [0, 1, 0, 0, 1, 2].map(Some));
    }

    /// A stand-in for SHA-256 whose results are easy to predict.
    fn lengths(pieces: &[&[u8]]) -> [u8; 32] {
        let mut out = [0xff; 32];
        out[31] = u8::try_from(pieces.concat().len()).unwrap();
        out[0] = pieces[0].first().copied().unwrap_or(9);
        out
    }

    #[test]
    fn sums_carry_and_wrap() {
        let mut digest = ContentDigest::default();
        let high = |word: u64| {
            let mut hash = [0xff; 32];
            hash[..8].copy_from_slice(&word.to_be_bytes());
            hash
        };
        digest.add_entry(&high(1), 5);
        let mut one = [0; 32];
        one[31] = 1;
        digest.add_entry(&one, 7);
        assert_eq!((digest.entries(), digest.bytes(), digest.sum), (2, 12, [2, 0, 0, 0]));
        digest.add_entry(&high(u64::MAX - 2), 0);
        digest.add_entry(&one, 0);
        assert_eq!(digest.sum, [0; 4]);
        assert_eq!(digest.sum(), [0; 32]);
    }

    #[test]
    fn order_does_not_matter_and_parts_add_up() {
        let values = [b"one".as_slice(), b"two", b"three"].map(|v| ValueDigest::of(v, lengths));
        let (mut forth, mut back, mut part) =
            <(ContentDigest, ContentDigest, ContentDigest)>::default();
        for (i, value) in values.iter().enumerate() {
            forth.add_value(b"key", u32::try_from(i).unwrap(), value, lengths);
        }
        forth.add_tombstone(b"gone", lengths);
        back.add_tombstone(b"gone", lengths);
        back.add_value(b"key", 2, &values[2], lengths);
        part.add_value(b"key", 1, &values[1], lengths);
        part.add_value(b"key", 0, &values[0], lengths);
        back.combine(&part);
        assert_eq!(forth, back);
        assert_ne!(forth, part);
        assert_eq!((forth.entries(), forth.bytes()), (4, 9 + 3 + 3 + 5 + 4));
    }

    #[test]
    fn every_kind_of_entry_has_its_own_form() {
        let value = ValueDigest::of(b"", lengths);
        for (ordinal, kind, len) in [(0, 1, 1 + 1 + 32), (1, 2, 1 + 4 + 1 + 32)] {
            let mut digest = ContentDigest::default();
            digest.add_value(b"k", ordinal, &value, lengths);
            assert_eq!((digest.sum()[0], digest.sum()[31]), (kind, len));
        }
        let mut digest = ContentDigest::default();
        digest.add_tombstone(b"k", lengths);
        assert_eq!((digest.sum()[0], digest.sum()[31]), (0, 2));
    }

    #[test]
    fn bytes_and_hex_round_trip() {
        let digest = ContentDigest { entries: 1, bytes: 2, sum: [3, 4, 5, u64::MAX] };
        assert_eq!(ContentDigest::from_bytes(&digest.to_bytes()), digest);
        assert_eq!(digest.to_bytes()[..16], [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]);
        let hex = "000000000000000300000000000000040000000000000005ffffffffffffffff";
        assert_eq!(format!("{digest:x}"), hex);
    }
}
