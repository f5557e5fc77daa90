//! The digest of the entries of a table, as stated in `expected.json` of the real directories.

use sha2::{Digest, Sha256};
use sst_reader::{EntryRef, ReadError, ReadValue};

/// SHA-256 over the entries in order. For each entry: the u64 hash, the u32 key length, the key,
/// then a letter and its operand: `v` with the u32 length and the bytes of the value, `b` with the
/// u32 blob number, `d` with none. Numbers are big-endian.
#[derive(Clone, Debug, Default)]
pub struct EntryDigest(Sha256);

impl EntryDigest {
    /// Adds the next entry.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the entry's value cannot be read or is damaged.
    pub fn add(&mut self, entry: EntryRef<'_>) -> Result<(), ReadError> {
        self.0.update(entry.hash.to_be_bytes());
        self.add_counted(entry.key);
        match entry.into_value()? {
            ReadValue::Deleted => self.0.update(b"d"),
            ReadValue::Blob(number) => {
                self.0.update(b"b");
                self.0.update(number.0.to_be_bytes());
            }
            ReadValue::Value(value) => {
                self.0.update(b"v");
                self.add_counted(value);
            }
        }
        Ok(())
    }

    fn add_counted(&mut self, bytes: &[u8]) {
        // All keys and values of the format are shorter than 4 GiB (`sst_format::limits`).
        self.0.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.0.update(bytes);
    }

    /// The digest of all entries added, as hexadecimal digits.
    #[must_use]
    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// SHA-256 of some bytes, as hexadecimal digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
