//! Entries of the checks: a writer gets them, and a reader must return them.

use sst_format::BlobNumber;
use sst_format::block::{BlockHeader, Encoding};
use sst_writer::table::hash_key;
use sst_writer::{Entry, EntryValue};

/// The value of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestValue {
    /// An inline value.
    Inline(Vec<u8>),
    /// A small value.
    Small(Vec<u8>),
    /// A medium value.
    Medium(Vec<u8>),
    /// A medium value in its stored form.
    Raw {
        /// The value.
        value: Vec<u8>,
        /// The size word of the block header.
        uncompressed_size: u32,
        /// The stored block.
        block: Vec<u8>,
    },
    /// A blob number.
    Blob(u32),
    /// A tombstone.
    Deleted,
}

impl TestValue {
    /// The bytes that a lookup returns; `None` for a blob or a tombstone.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Inline(value)
            | Self::Small(value)
            | Self::Medium(value)
            | Self::Raw { value, .. } => Some(value),
            Self::Blob(_) | Self::Deleted => None,
        }
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestEntry {
    /// The hash of the key, unless it was chosen by hand.
    pub hash: u64,
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: TestValue,
}

impl TestEntry {
    /// An entry with the hash of its key.
    #[must_use]
    pub fn new(key: impl Into<Vec<u8>>, value: TestValue) -> Self {
        let key = key.into();
        Self { hash: hash_key(&key), key, value }
    }

    /// Sorts entries in the order that a writer requires. Entries of the same key keep their order.
    pub fn sort(entries: &mut [Self]) {
        entries.sort_by(|a, b| (a.hash, &a.key).cmp(&(b.hash, &b.key)));
    }
}

impl Entry for TestEntry {
    fn key_hash(&self) -> u64 {
        self.hash
    }

    fn key_len(&self) -> usize {
        self.key.len()
    }

    fn write_key_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.key);
    }

    fn value(&self) -> EntryValue<'_> {
        match &self.value {
            TestValue::Inline(value) => EntryValue::Inline(value),
            TestValue::Small(value) => EntryValue::Small(value),
            TestValue::Medium(value) => EntryValue::Medium(value),
            TestValue::Raw { uncompressed_size, block, .. } => {
                let encoding = match *uncompressed_size {
                    0 => Encoding::Raw,
                    uncompressed_len => Encoding::Lz4 { uncompressed_len },
                };
                let header = BlockHeader { encoding, checksum: crc32fast::hash(block) };
                EntryValue::MediumStored { header, block }
            }
            TestValue::Blob(number) => EntryValue::Blob(BlobNumber(*number)),
            TestValue::Deleted => EntryValue::Deleted,
        }
    }
}
