//! Entries: keys with their hashes, and values.

use sst_format::BlobNumber;
use sst_format::block::BlockHeader;
use sst_format::limits::{MAX_INLINE_VALUE_LEN, MAX_MEDIUM_VALUE_LEN, MAX_SMALL_VALUE_LEN};
use twox_hash::XxHash3_64;

/// The hash of a key: XXH3-64 with seed 0 over its bytes.
///
/// # Examples
///
/// ```
/// assert_eq!(sst_writer::table::hash_key(b""), 0x2d06_8005_38d3_94c2);
/// ```
#[must_use]
#[inline]
pub fn hash_key(key: &[u8]) -> u64 {
    XxHash3_64::oneshot(key)
}

/// One entry of a table, as a writer accepts it.
///
/// A pair of key and value is an entry. Its hash is that of the key, and the class of its value
/// follows from the length. A pair of key and [`EntryValue`] is an entry too. Implement the trait
/// to avoid building pairs, or to reuse a hash that was computed before.
///
/// # Examples
///
/// ```
/// use sst_writer::table::hash_key;
/// use sst_writer::{Entry, EntryValue};
///
/// struct Row {
///     id: u64,
///     name: String,
/// }
///
/// impl Entry for Row {
///     fn key_hash(&self) -> u64 {
///         hash_key(&self.id.to_be_bytes())
///     }
///     fn key_len(&self) -> usize {
///         8
///     }
///     fn write_key_to(&self, out: &mut Vec<u8>) {
///         out.extend_from_slice(&self.id.to_be_bytes());
///     }
///     fn value(&self) -> EntryValue<'_> {
///         EntryValue::Small(self.name.as_bytes())
///     }
/// }
/// ```
pub trait Entry {
    /// The hash of the key: [`hash_key`] of its bytes.
    ///
    /// Any other hash is allowed only if the table stores it, that is in a key block with a key
    /// over 32 bytes. Elsewhere the writer refuses it, because no reader would find the entry.
    fn key_hash(&self) -> u64;

    /// Length of the key in bytes: exactly the number that [`Entry::write_key_to`] appends.
    fn key_len(&self) -> usize;

    /// Appends the key to `out`, which is empty.
    fn write_key_to(&self, out: &mut Vec<u8>);

    /// The value.
    fn value(&self) -> EntryValue<'_>;

    /// The key with its hash, if the key lies in memory in one piece. Default: `None`.
    ///
    /// This saves the writer a copy of the key and a check of its hash. It then calls none of the
    /// three methods above.
    #[inline]
    fn hashed_key(&self) -> Option<HashedKey<'_>> {
        None
    }

    /// The key, if it lies in memory in one piece: this spares the writer a copy of it. Its hash is
    /// that of [`Entry::key_hash`]. Default: `None`.
    #[inline]
    fn key_in_memory(&self) -> Option<&[u8]> {
        None
    }
}

/// A key with its hash. The hash is always [`hash_key`] of the key.
///
/// Ordered as entries are in a table: by hash, then by key.
///
/// # Examples
///
/// ```
/// use sst_writer::table::{HashedKey, hash_key};
///
/// let key = HashedKey::new(b"apple");
/// assert_eq!((key.key(), key.hash()), (&b"apple"[..], hash_key(b"apple")));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HashedKey<'a> {
    // The order of the fields makes the derived order that of entries in a table.
    hash: u64,
    key: &'a [u8],
}

impl<'a> HashedKey<'a> {
    /// Computes the hash of a key.
    #[must_use]
    #[inline]
    pub fn new<K: AsRef<[u8]> + ?Sized>(key: &'a K) -> Self {
        let key = key.as_ref();
        Self { hash: hash_key(key), key }
    }

    /// The key.
    #[must_use]
    #[inline]
    pub const fn key(&self) -> &'a [u8] {
        self.key
    }

    /// Its hash.
    #[must_use]
    #[inline]
    pub const fn hash(&self) -> u64 {
        self.hash
    }
}

/// The value of an entry, in the form in which it is to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryValue<'a> {
    /// At most 8 bytes, stored beside the key.
    Inline(&'a [u8]),
    /// At most 65,535 bytes (by convention at most 4096), stored in a value block that it shares
    /// with its neighbours.
    Small(&'a [u8]),
    /// At most 64 MiB, stored in a block of its own.
    Medium(&'a [u8]),
    /// A block in stored form, written unchanged: a merge of tables need not compress it again.
    MediumStored {
        /// The block header, with the form in which the value is stored and the CRC-32 of `block`.
        /// The writer verifies both.
        header: BlockHeader,
        /// The stored bytes, without the block header.
        block: &'a [u8],
    },
    /// A value in a blob file: its number.
    Blob(BlobNumber),
    /// A tombstone: the key was deleted.
    Deleted,
}

impl<'a> EntryValue<'a> {
    /// The value in the class for its length: inline up to 8 bytes, small up to 4096, medium up to
    /// 64 MiB.
    ///
    /// # Errors
    ///
    /// [`ValueTooLarge`] above 64 MiB: such a value must go to a blob file, with
    /// [`EntryValue::Blob`] as its entry.
    pub const fn for_bytes(bytes: &'a [u8]) -> Result<Self, ValueTooLarge> {
        let len = bytes.len();
        if len <= MAX_INLINE_VALUE_LEN {
            Ok(Self::Inline(bytes))
        } else if len <= MAX_SMALL_VALUE_LEN {
            Ok(Self::Small(bytes))
        } else if len <= MAX_MEDIUM_VALUE_LEN {
            Ok(Self::Medium(bytes))
        } else {
            Err(ValueTooLarge { len })
        }
    }
}

/// A value over 64 MiB, which only a blob file can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a value of {len} bytes needs a blob file: a table holds values up to {MAX_MEDIUM_VALUE_LEN} bytes"
)]
pub struct ValueTooLarge {
    /// Length of the value in bytes.
    pub len: usize,
}

/// An entry with a hash that the caller knows or chooses, for example one that is copied from
/// another table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashedEntry<'a> {
    /// The hash: [`hash_key`] of the key, unless readers look the key up by another hash.
    pub hash: u64,
    /// The key.
    pub key: &'a [u8],
    /// The value with its class.
    pub value: EntryValue<'a>,
}

impl Entry for HashedEntry<'_> {
    #[inline]
    fn key_hash(&self) -> u64 {
        self.hash
    }

    #[inline]
    fn key_len(&self) -> usize {
        self.key.len()
    }

    #[inline]
    fn write_key_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.key);
    }

    #[inline]
    fn value(&self) -> EntryValue<'_> {
        self.value
    }

    #[inline]
    fn key_in_memory(&self) -> Option<&[u8]> {
        Some(self.key)
    }
}

impl<E: Entry + ?Sized> Entry for &E {
    #[inline]
    fn key_hash(&self) -> u64 {
        (**self).key_hash()
    }

    #[inline]
    fn key_len(&self) -> usize {
        (**self).key_len()
    }

    #[inline]
    fn write_key_to(&self, out: &mut Vec<u8>) {
        (**self).write_key_to(out);
    }

    #[inline]
    fn value(&self) -> EntryValue<'_> {
        (**self).value()
    }

    #[inline]
    fn hashed_key(&self) -> Option<HashedKey<'_>> {
        (**self).hashed_key()
    }

    #[inline]
    fn key_in_memory(&self) -> Option<&[u8]> {
        (**self).key_in_memory()
    }
}

/// Key and value bytes. The writer refuses a value over 64 MiB: see [`EntryValue::for_bytes`].
impl<K: AsRef<[u8]>, V: AsRef<[u8]>> Entry for (K, V) {
    #[inline]
    fn key_hash(&self) -> u64 {
        hash_key(self.0.as_ref())
    }

    #[inline]
    fn key_len(&self) -> usize {
        self.0.as_ref().len()
    }

    #[inline]
    fn write_key_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_ref());
    }

    #[inline]
    fn value(&self) -> EntryValue<'_> {
        let bytes = self.1.as_ref();
        // The writer refuses a value that is too long for a table.
        EntryValue::for_bytes(bytes).unwrap_or(EntryValue::Medium(bytes))
    }

    #[inline]
    fn hashed_key(&self) -> Option<HashedKey<'_>> {
        Some(HashedKey::new(&self.0))
    }
}

/// Key bytes, and a value with its class.
impl<K: AsRef<[u8]>> Entry for (K, EntryValue<'_>) {
    #[inline]
    fn key_hash(&self) -> u64 {
        hash_key(self.0.as_ref())
    }

    #[inline]
    fn key_len(&self) -> usize {
        self.0.as_ref().len()
    }

    #[inline]
    fn write_key_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_ref());
    }

    #[inline]
    fn value(&self) -> EntryValue<'_> {
        self.1
    }

    #[inline]
    fn hashed_key(&self) -> Option<HashedKey<'_>> {
        Some(HashedKey::new(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_give_their_key_with_its_hash() {
        let pair = ("key", "value");
        let borrowed = &pair;
        let key = Entry::hashed_key(&borrowed).unwrap();
        let mut written = Vec::new();
        pair.write_key_to(&mut written);
        assert_eq!((key.hash(), key.key()), (pair.key_hash(), written.as_slice()));
        assert_eq!(pair.key_len(), written.len());
        assert_eq!(("key", EntryValue::Deleted).hashed_key(), Some(key));
    }

    #[test]
    fn length_picks_the_class() {
        let bytes = vec![0; MAX_MEDIUM_VALUE_LEN + 1];
        for (len, expected) in [
            (0, EntryValue::Inline(&bytes[..0])),
            (8, EntryValue::Inline(&bytes[..8])),
            (9, EntryValue::Small(&bytes[..9])),
            (4096, EntryValue::Small(&bytes[..4096])),
            (4097, EntryValue::Medium(&bytes[..4097])),
            (64 << 20, EntryValue::Medium(&bytes[..64 << 20])),
        ] {
            assert_eq!(EntryValue::for_bytes(&bytes[..len]), Ok(expected));
        }
        let len = bytes.len();
        assert_eq!(EntryValue::for_bytes(&bytes), Err(ValueTooLarge { len }));
    }
}
