//! Key blocks: sorted keys with value references, in four kinds (FORMAT.md section 4).
//!
//! | first byte | entries | hashes stored | module |
//! |---|---|---|---|
//! | 1 | variable size | yes | [`variable`] |
//! | 2 | variable size | no | [`variable`] |
//! | 3 | fixed size | yes | [`fixed`] |
//! | 4 | fixed size | no | [`fixed`] |
//!
//! A writer adds the key length and type of every entry to a [`KeyBlockShape`], which tells the
//! kind, and encodes the block with a [`KeyBlockEncoder`]. A reader parses a [`KeyBlock`].
//!
//! Entries are in ascending (hash, key) order. If a block stores no hashes, its order is by the
//! hashes of its keys, which only the caller can compute: this crate has no hash function.

mod encoder;
pub mod fixed;
mod shape;
pub mod variable;

use crate::value_ref::{EntryType, ValueRef};
use crate::{FormatError, Structure};

pub use encoder::KeyBlockEncoder;
pub use shape::{KeyBlockLimit, KeyBlockShape, SameShapeEntry};

#[cfg(feature = "explain")]
pub(crate) use fixed::check_empty_entries;

use fixed::FixedKeyBlock;
use variable::VariableKeyBlock;

/// Length of a stored hash in bytes.
const HASH_LEN: usize = 8;

/// Whether a key block stores the hash of each entry before its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hashes {
    /// It stores them: a key of the block is longer than
    /// [`HASH_THRESHOLD`](crate::limits::HASH_THRESHOLD).
    Stored,
    /// It stores none: a reader computes them from the keys.
    Computed,
}

impl Hashes {
    /// Bytes that the hash of one entry takes.
    #[must_use]
    #[inline]
    pub const fn stored_len(self) -> usize {
        match self {
            Self::Stored => HASH_LEN,
            Self::Computed => 0,
        }
    }
}

/// The kind of a key block, stored as its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyBlockKind {
    /// Entries of different key lengths or types.
    Variable(Hashes),
    /// All entries have one key length and one type.
    Fixed(Hashes),
}

impl KeyBlockKind {
    /// The first byte of a block of this kind.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Variable(Hashes::Stored) => 1,
            Self::Variable(Hashes::Computed) => 2,
            Self::Fixed(Hashes::Stored) => 3,
            Self::Fixed(Hashes::Computed) => 4,
        }
    }

    /// The kind of a block with this first byte.
    ///
    /// # Errors
    ///
    /// [`FormatError::WrongKind`].
    #[inline]
    pub const fn from_byte(byte: u8) -> Result<Self, FormatError> {
        Ok(match byte {
            1 => Self::Variable(Hashes::Stored),
            2 => Self::Variable(Hashes::Computed),
            3 => Self::Fixed(Hashes::Stored),
            4 => Self::Fixed(Hashes::Computed),
            found => {
                return Err(FormatError::WrongKind { structure: Structure::KeyBlock, found });
            }
        })
    }

    /// Whether blocks of this kind store hashes.
    #[must_use]
    pub const fn hashes(self) -> Hashes {
        match self {
            Self::Variable(hashes) | Self::Fixed(hashes) => hashes,
        }
    }

    /// A short name: `fixed`, `variable+hash`, …
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Variable(Hashes::Stored) => "variable+hash",
            Self::Variable(Hashes::Computed) => "variable",
            Self::Fixed(Hashes::Stored) => "fixed+hash",
            Self::Fixed(Hashes::Computed) => "fixed",
        }
    }
}

/// One entry of a key block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEntry<'a> {
    /// The hash, if the block stores hashes.
    pub stored_hash: Option<u64>,
    /// The key.
    pub key: &'a [u8],
    /// The type of the entry.
    pub entry_type: EntryType,
    /// The bytes of the value reference; [`ValueRef::parse`] reads them.
    pub value_ref: &'a [u8],
}

impl<'a> KeyEntry<'a> {
    /// The value reference.
    ///
    /// # Errors
    ///
    /// As [`ValueRef::parse`]. An entry from a [`KeyBlock`] gives no error.
    #[inline]
    pub fn value_ref(&self) -> Result<ValueRef<'a>, FormatError> {
        ValueRef::parse(self.entry_type, self.value_ref)
    }
}

/// A checked view of a key block of any kind.
#[derive(Clone, Copy, Debug)]
pub enum KeyBlock<'a> {
    /// Kinds 1 and 2.
    Variable(VariableKeyBlock<'a>),
    /// Kinds 3 and 4.
    Fixed(FixedKeyBlock<'a>),
}

impl<'a> KeyBlock<'a> {
    /// A view of the uncompressed payload of a key block. O(1); see [`KeyBlock::validate`].
    ///
    /// # Errors
    ///
    /// [`FormatError`] if the bytes cannot be a key block.
    #[inline(always)]
    pub fn parse(payload: &'a [u8]) -> Result<Self, FormatError> {
        let Some(&kind) = payload.first() else {
            let structure = Structure::KeyBlock;
            return Err(FormatError::TooShort { structure, needed: 1, available: 0 });
        };
        match KeyBlockKind::from_byte(kind)? {
            KeyBlockKind::Variable(hashes) => {
                VariableKeyBlock::parse(payload, hashes).map(Self::Variable)
            }
            KeyBlockKind::Fixed(hashes) => FixedKeyBlock::parse(payload, hashes).map(Self::Fixed),
        }
    }

    /// The parsed start of the block, without its bytes.
    #[must_use]
    #[inline]
    pub const fn layout(&self) -> KeyBlockLayout {
        KeyBlockLayout(match self {
            Self::Variable(block) => KeyBlock::Variable(block.without_bytes()),
            Self::Fixed(block) => KeyBlock::Fixed(block.without_bytes()),
        })
    }

    /// The kind of the block.
    #[must_use]
    pub const fn kind(&self) -> KeyBlockKind {
        match self {
            Self::Variable(block) => KeyBlockKind::Variable(block.hashes()),
            Self::Fixed(block) => KeyBlockKind::Fixed(block.hashes()),
        }
    }

    /// Number of entries, at least 1.
    #[must_use]
    #[inline]
    pub const fn entry_count(&self) -> u32 {
        match self {
            Self::Variable(block) => block.entry_count(),
            Self::Fixed(block) => block.entry_count(),
        }
    }

    /// Entry number `i`. O(1).
    ///
    /// # Errors
    ///
    /// [`FormatError::NoSuchEntry`], [`FormatError::EntryOutOfBounds`] or
    /// [`FormatError::UnknownEntryType`].
    #[inline]
    pub fn entry(&self, i: u32) -> Result<KeyEntry<'a>, FormatError> {
        match self {
            Self::Variable(block) => block.entry(i),
            Self::Fixed(block) => block.entry(i),
        }
    }

    /// Key of entry number `i`.
    ///
    /// # Errors
    ///
    /// As [`KeyBlock::entry`].
    #[inline]
    pub fn key(&self, i: u32) -> Result<&'a [u8], FormatError> {
        self.entry(i).map(|entry| entry.key)
    }

    /// Value reference of entry number `i`.
    ///
    /// # Errors
    ///
    /// As [`KeyBlock::entry`].
    #[inline]
    pub fn value_ref(&self, i: u32) -> Result<ValueRef<'a>, FormatError> {
        self.entry(i)?.value_ref()
    }

    /// Checks every entry: its bounds, its type, and that (hash, key) ascends. Equal ones may
    /// follow each other. O(n).
    ///
    /// `hash_key` computes the hash of a key if the block does not store it.
    ///
    /// # Errors
    ///
    /// [`FormatError::OutOfOrder`] or as [`KeyBlock::entry`], for the first wrong entry.
    pub fn validate(&self, hash_key: impl Fn(&[u8]) -> u64) -> Result<(), FormatError> {
        if matches!(self, Self::Variable(block) if !block.starts_without_gap()) {
            return Err(FormatError::EntryOutOfBounds { index: 0 });
        }
        let mut previous: Option<(u64, &[u8])> = None;
        for index in 0..self.entry_count() {
            let entry = self.entry(index)?;
            entry.value_ref()?;
            let hash = entry.stored_hash.unwrap_or_else(|| hash_key(entry.key));
            if previous.is_some_and(|previous| previous > (hash, entry.key)) {
                return Err(FormatError::OutOfOrder { structure: Structure::KeyBlock, index });
            }
            previous = Some((hash, entry.key));
        }
        Ok(())
    }
}

/// The parsed start of a key block, for a reader that keeps the bytes elsewhere: it parses them
/// once, and not for every entry that it looks at.
#[derive(Clone, Copy, Debug)]
pub struct KeyBlockLayout(KeyBlock<'static>);

impl KeyBlockLayout {
    /// The view of the payload of which this is the layout. With another payload, its entries are
    /// wrong or errors. O(1).
    ///
    /// # Errors
    ///
    /// [`FormatError::TooShort`] with another payload.
    #[inline(always)]
    pub fn attach<'a>(&self, payload: &'a [u8]) -> Result<KeyBlock<'a>, FormatError> {
        match &self.0 {
            KeyBlock::Variable(block) => block.with_bytes(payload).map(KeyBlock::Variable),
            KeyBlock::Fixed(block) => block.with_bytes(payload).map(KeyBlock::Fixed),
        }
    }

    /// The type of all entries of a fixed-size block; `None` for a variable-size one.
    #[must_use]
    #[inline]
    pub const fn common_type(&self) -> Option<EntryType> {
        match &self.0 {
            KeyBlock::Variable(_) => None,
            KeyBlock::Fixed(block) => Some(block.entry_type()),
        }
    }
}

#[cfg(test)]
mod tests;
