//! The content digest of a table, computed while its entries are added (FORMAT.md section 12).

use sha2::{Digest, Sha256};
use sst_format::BlobNumber;
use sst_format::block::Encoding;
use sst_format::content_digest::{ContentDigest, Ordinals, ValueDigest};

use crate::invariant::{BrokenInvariant, OrBroken};
use crate::table::EntryValue;

/// SHA-256 of the concatenation of some pieces.
pub(crate) fn sha256(pieces: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    pieces.iter().for_each(|piece| hasher.update(piece));
    hasher.finalize().into()
}

/// Computes the digest of a value that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct ValueDigester {
    len: u64,
    hasher: Sha256,
}

impl ValueDigester {
    pub(crate) fn add(&mut self, piece: &[u8]) {
        self.len += piece.len() as u64;
        self.hasher.update(piece);
    }

    pub(crate) fn finish(self) -> ValueDigest {
        ValueDigest { len: self.len, hash: self.hasher.finalize().into() }
    }
}

/// The content digest of a table, over all its entries, tombstones included.
///
/// The writer of a table does not know the values in blobs. [`TableDigest::with_blobs`] adds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableDigest {
    inner: ContentDigest,
    blobs: Vec<BlobEntry>,
}

/// An entry whose value is in a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
struct BlobEntry {
    key: Box<[u8]>,
    ordinal: u32,
    blob: BlobNumber,
}

impl TableDigest {
    /// The digest including the values in blobs. O(references to blobs).
    ///
    /// `value` returns the digest of the value of a blob.
    ///
    /// # Errors
    ///
    /// The number of the first blob for which `value` returns `None`.
    pub fn with_blobs(
        &self,
        value: impl Fn(BlobNumber) -> Option<ValueDigest>,
    ) -> Result<ContentDigest, BlobNumber> {
        let mut digest = self.inner;
        for entry in &self.blobs {
            let value = value(entry.blob).ok_or(entry.blob)?;
            digest.add_value(&entry.key, entry.ordinal, &value, sha256);
        }
        Ok(digest)
    }
}

/// Adds the entries of one table, in their order, to its digest.
#[derive(Debug, Default)]
pub(crate) struct EntryDigester {
    digest: TableDigest,
    ordinals: Ordinals,
}

impl EntryDigester {
    /// Adds the next entry. `decompressed` is the payload of a value block in compressed stored
    /// form.
    pub(crate) fn add(
        &mut self,
        key: &[u8],
        value: EntryValue<'_>,
        decompressed: &[u8],
    ) -> Result<(), BrokenInvariant> {
        let ordinal = self.ordinals.next(key);
        let ordinal = ordinal.or_broken("a key has fewer than 2^32 entries in a table")?;
        let bytes = match value {
            EntryValue::Inline(value) | EntryValue::Small(value) | EntryValue::Medium(value) => {
                value
            }
            EntryValue::MediumStored { header, block } => match header.encoding {
                Encoding::Raw => block,
                Encoding::Lz4 { .. } => decompressed,
            },
            EntryValue::Blob(blob) => {
                self.digest.blobs.push(BlobEntry { key: key.into(), ordinal, blob });
                return Ok(());
            }
            EntryValue::Deleted => {
                self.digest.inner.add_tombstone(key, sha256);
                return Ok(());
            }
        };
        let value = ValueDigest::of(bytes, sha256);
        self.digest.inner.add_value(key, ordinal, &value, sha256);
        Ok(())
    }

    pub(crate) fn finish(self) -> TableDigest {
        self.digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_sha_256() {
        // The example of FIPS 180-2.
        let hash = sha256(&[b"a", b"", b"bc"]);
        assert_eq!(hash[..4], [0xba, 0x78, 0x16, 0xbf]);
    }

    #[test]
    fn a_blob_counts_like_a_value_in_the_table() {
        let (mut with_blob, mut without) = (EntryDigester::default(), EntryDigester::default());
        for digester in [&mut with_blob, &mut without] {
            digester.add(b"key", EntryValue::Inline(b"one"), b"").unwrap();
            digester.add(b"other", EntryValue::Deleted, b"").unwrap();
        }
        with_blob.add(b"other", EntryValue::Blob(BlobNumber(7)), b"").unwrap();
        without.add(b"other", EntryValue::Small(b"large"), b"").unwrap();
        let value = ValueDigest::of(b"large", sha256);
        let with_blob = with_blob.finish();
        let known = with_blob.with_blobs(|number| (number.0 == 7).then_some(value));
        assert_eq!(known, without.finish().with_blobs(|_| None));
        assert_eq!(with_blob.with_blobs(|_| None), Err(BlobNumber(7)));
    }
}
