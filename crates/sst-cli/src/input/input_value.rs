//! The value of an entry: in memory, or so long that it goes to a blob while it is read.

use std::hash::Hasher as _;

use sst_reader::hash_key;
use sst_writer::bulk::BlobWriter;
use twox_hash::XxHash3_64;

use super::LineError;
use super::bounded::Bounded;

/// The value of an entry. Its buffers are reused for the next value.
#[derive(Default)]
pub(crate) struct InputValue {
    /// The value; empty if it is in `long`.
    held: Bounded,
    /// `None` if every value is held in memory.
    long: Option<LongValue>,
}

/// A value that is too long for memory.
struct LongValue {
    /// Highest length of a value in memory, in bytes.
    max_held: usize,
    /// The value; empty if it is held in memory.
    blob: BlobWriter,
    /// The hash of the bytes in `blob`.
    hasher: XxHash3_64,
}

/// Where a value is.
pub(crate) enum ValueForm<'a> {
    /// In memory.
    Held(&'a [u8]),
    /// Written to a blob that has no key yet.
    Blob(&'a mut BlobWriter),
}

impl InputValue {
    /// Has values longer than `max_held` bytes written to `blob` while they are read.
    pub(crate) fn spill_to(&mut self, blob: BlobWriter, max_held: usize) {
        self.long = Some(LongValue { max_held, blob, hasher: XxHash3_64::new() });
    }

    pub(super) fn clear(&mut self) {
        self.held.clear();
        if let Some(long) = &mut self.long {
            long.blob.clear();
        }
    }

    /// Appends bytes, if the value then has at most `max` bytes.
    #[inline]
    pub(super) fn append(&mut self, bytes: &[u8], max: usize) -> Result<(), LineError> {
        match &mut self.long {
            Some(long) if !long.can_hold(&self.held, bytes) => {
                long.append(&mut self.held, bytes, max)
            }
            long => {
                let limit = long.as_ref().map_or(max, |long| long.max_held.min(max));
                let appended = self.held.append(bytes, limit);
                appended.map_err(|refused| LineError::of_value(refused, max))
            }
        }
    }

    /// The buffer of a value in memory, for formats whose values are never longer than that.
    pub(super) const fn held_mut(&mut self) -> &mut Bounded {
        &mut self.held
    }

    /// Whether the value is these bytes, which are fewer than a value in memory may have.
    pub(super) fn is(&self, bytes: &[u8]) -> bool {
        self.long.as_ref().is_none_or(|long| long.blob.is_empty()) && *self.held == *bytes
    }

    /// XXH3-64 of the value.
    pub(super) fn hash(&self) -> u64 {
        match &self.long {
            Some(long) if !long.blob.is_empty() => long.hasher.finish(),
            _ => hash_key(&self.held),
        }
    }

    pub(crate) fn form(&mut self) -> ValueForm<'_> {
        match &mut self.long {
            Some(long) if !long.blob.is_empty() => ValueForm::Blob(&mut long.blob),
            _ => ValueForm::Held(&self.held),
        }
    }

    /// The value, if it is in memory, which it always is without [`InputValue::spill_to`].
    pub(crate) fn held(&self) -> &[u8] {
        &self.held
    }
}

impl LongValue {
    fn can_hold(&self, held: &Bounded, bytes: &[u8]) -> bool {
        self.blob.is_empty() && held.len() + bytes.len() <= self.max_held
    }

    /// Appends bytes to the blob, behind those that were held in memory.
    fn append(&mut self, held: &mut Bounded, bytes: &[u8], max: usize) -> Result<(), LineError> {
        if self.blob.len() + (held.len() + bytes.len()) as u64 > max as u64 {
            return Err(LineError::ValueTooLong { max });
        }
        if self.blob.is_empty() {
            self.hasher = XxHash3_64::new();
        }
        for bytes in [held, bytes] {
            self.hasher.write(bytes);
            self.blob.write(bytes).map_err(LineError::Blob)?;
        }
        held.clear();
        Ok(())
    }
}

impl std::fmt::Debug for InputValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("InputValue").field(&self.held).finish()
    }
}
