//! Which of the entries of its key an entry is.

use crate::MergeError;

/// Counts the entries of each key, which follow each other.
#[derive(Debug, Default)]
pub(super) struct Ordinals {
    key: Vec<u8>,
    /// Entries of this key so far; 0 before the first entry.
    count: u32,
}

impl Ordinals {
    /// The number of the next entry among those of its key, counted from 0.
    pub(super) fn next(&mut self, key: &[u8]) -> Result<u32, MergeError> {
        if self.count == 0 || self.key != key {
            self.key.clear();
            self.key.extend_from_slice(key);
            self.count = 0;
        }
        let ordinal = self.count;
        // A table holds fewer than 2^32 entries of one hash, and only one table counts for a key.
        self.count = ordinal
            .checked_add(1)
            .ok_or_else(|| MergeError::internal("2^32 entries of one key"))?;
        Ok(ordinal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_keys_are_counted() {
        let mut ordinals = Ordinals::default();
        let keys: [&[u8]; 6] = [b"", b"", b"a", b"b", b"b", b"b"];
        assert_eq!(keys.map(|key| ordinals.next(key).unwrap()), [0, 1, 0, 0, 1, 2]);
    }
}
