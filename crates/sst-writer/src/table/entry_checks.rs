//! The checks of an entry before anything changes: its order, the class of its value, its hash.

use std::cmp::Ordering;

use sst_format::FormatError;
use sst_format::limits::{MAX_INLINE_LEN, MAX_KEY_LEN, MAX_MEDIUM_VALUE_LEN, MAX_SMALL_LEN};
use sst_format::value_ref::EntryType;

use crate::table::pending_entries::PendingEntries;
use crate::table::{EntryValue, ShortKey, WriteError, hash_key};

/// A key, and the hash that its entry states.
#[derive(Clone, Copy)]
pub(crate) struct StatedKey<'a> {
    pub(crate) hash: u64,
    pub(crate) key: &'a [u8],
    /// Whether the hash is known to be that of the key.
    pub(crate) is_proven: bool,
}

/// The rules for the next entry, given the accepted entries.
#[derive(Debug)]
pub(crate) struct EntryChecks {
    multi_value: bool,
    /// Number of accepted entries. Errors use it as the number of the next entry.
    entry_count: u64,
    /// `None` before the first entry.
    hashes: Option<AcceptedHashes>,
}

/// The hashes of the accepted entries, which ascend.
#[derive(Clone, Copy, Debug)]
struct AcceptedHashes {
    first: u64,
    last: u64,
}

impl EntryChecks {
    pub(crate) const fn new(multi_value: bool) -> Self {
        Self { multi_value, entry_count: 0, hashes: None }
    }

    /// Number of accepted entries.
    #[inline]
    pub(crate) const fn entry_count(&self) -> u64 {
        self.entry_count
    }

    /// The lowest and the highest hash; `None` if there is no entry.
    pub(crate) fn hash_range(&self) -> Option<(u64, u64)> {
        self.hashes.map(|hashes| (hashes.first, hashes.last))
    }

    /// Whether there is an entry, and the hash is higher than that of every one: then the order is
    /// right.
    #[inline]
    pub(crate) const fn is_above_all(&self, hash: u64) -> bool {
        matches!(self.hashes, Some(accepted) if hash > accepted.last)
    }

    /// Whether the last entry has this hash.
    pub(crate) const fn repeats_hash(&self, hash: u64) -> bool {
        matches!(self.hashes, Some(accepted) if hash == accepted.last)
    }

    /// Counts an accepted entry.
    #[inline]
    pub(crate) const fn count(&mut self, hash: u64) {
        match &mut self.hashes {
            Some(accepted) => accepted.last = hash,
            None => self.hashes = Some(AcceptedHashes { first: hash, last: hash }),
        }
        self.entry_count += 1;
    }

    /// Checks the length of a key.
    #[inline]
    pub(crate) fn check_key_len(&self, len: usize) -> Result<(), WriteError> {
        if len > MAX_KEY_LEN {
            return Err(WriteError::KeyTooLong { entry: self.entry_count, len });
        }
        Ok(())
    }

    /// Checks that an entry comes after the last one, which is also the last in `pending`. Returns
    /// whether their hashes are equal.
    #[inline]
    pub(crate) fn check_order(
        &self,
        hash: u64,
        key: &[u8],
        pending: &PendingEntries,
    ) -> Result<bool, WriteError> {
        if self.hashes.is_none() || self.is_above_all(hash) {
            return Ok(false);
        }
        let entry = self.entry_count;
        let last = pending.last()?;
        match hash.cmp(&last.hash).then_with(|| key.cmp(last.key)) {
            Ordering::Greater => Ok(true),
            Ordering::Equal if !self.multi_value => {
                Err(WriteError::DuplicateKey { entry, key: ShortKey::new(key) })
            }
            Ordering::Equal if last.entry_type == EntryType::DELETED => {
                Err(WriteError::TombstoneNotLast { entry, key: ShortKey::new(key) })
            }
            Ordering::Equal => Ok(true),
            Ordering::Less => Err(WriteError::OutOfOrder {
                entry,
                hash,
                key: ShortKey::new(key),
                previous_hash: last.hash,
                previous_key: ShortKey::new(last.key),
            }),
        }
    }

    /// The error of an entry that makes a run of equal hashes too long for a key block.
    #[cold]
    pub(crate) fn run_too_long(&self, key: &[u8], source: FormatError) -> WriteError {
        WriteError::RunTooLong { entry: self.entry_count, key: ShortKey::new(key), source }
    }

    /// Checks the length of a value against its class. Returns the type of its entry.
    #[inline]
    pub(crate) fn check_value_class(&self, value: EntryValue<'_>) -> Result<EntryType, WriteError> {
        let entry = self.entry_count;
        match value {
            EntryValue::Inline(value) => match EntryType::inline(value.len()) {
                Ok(entry_type) if value.len() <= MAX_INLINE_LEN => Ok(entry_type),
                _ => Err(WriteError::InlineTooLong { entry, len: value.len() }),
            },
            EntryValue::Small(value) if value.len() > MAX_SMALL_LEN => {
                Err(WriteError::SmallTooLong { entry, len: value.len() })
            }
            EntryValue::Medium(value) if value.len() > MAX_MEDIUM_VALUE_LEN => {
                Err(WriteError::MediumTooLong { entry, len: value.len() })
            }
            EntryValue::Small(_) => Ok(EntryType::SMALL),
            EntryValue::Medium(_) | EntryValue::MediumStored { .. } => Ok(EntryType::MEDIUM),
            EntryValue::Blob(_) => Ok(EntryType::BLOB),
            EntryValue::Deleted => Ok(EntryType::DELETED),
        }
    }

    /// Checks that readers will search the entry under its hash: they compute the hash from the key
    /// if it is not stored.
    #[inline(always)]
    pub(crate) fn check_hash(&self, key: StatedKey<'_>) -> Result<(), WriteError> {
        if key.is_proven { Ok(()) } else { self.compare_hash(key.hash, key.key) }
    }

    fn compare_hash(&self, stated: u64, key: &[u8]) -> Result<(), WriteError> {
        let computed = hash_key(key);
        let computed = sst_format::planted!("hash-unchecked", computed, stated);
        if stated != computed {
            let (entry, key) = (self.entry_count, ShortKey::new(key));
            return Err(WriteError::KeyHashMismatch { entry, key, stated, computed });
        }
        Ok(())
    }
}
