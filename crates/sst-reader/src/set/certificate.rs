//! The content digest of a set, and the certificate of its commit (FORMAT.md section 12).

use std::ops::RangeInclusive;

use sst_format::content_digest::{ContentDigest, Ordinals, ValueDigest};
use sst_format::meta_head::HashRange;

use super::paths::path_of;
use super::{Catalog, SstSet};
use crate::hash::sha256;
use crate::{
    Cancelled, Corruption, FileLabel, Meter, Monitor, Phase, Progress, ReadError, ReadValue,
};

impl Catalog {
    /// The certified digest of the live entries of a family, all of them, whatever range of hashes
    /// the catalog is of; `None` if there is none. It is taken as it is written:
    /// [`SstSet::verify_certificate`] compares it with the entries.
    #[must_use]
    pub fn certificate(&self, family: u32) -> Option<ContentDigest> {
        let mut certificates = self.certificates.iter();
        certificates.find(|known| known.family == family).map(|known| known.content)
    }
}

impl SstSet {
    /// The certified digest of the live entries of the set: a writer has read them back from disk
    /// before it published them (`sst_merge::certify`). `None` if there is none, and for a set of a
    /// range of hashes ([`SstSet::open_range`]), since the certificate is about all entries of the
    /// family. O(families); nothing is read.
    ///
    /// Two sets with equal certificates answer every [`SstSet::get`] alike, and each other's
    /// [`SstSet::iter`] entry for entry, however their entries lie in tables: a copy, a merged
    /// directory, one that was loaded from the same input elsewhere. [`ContentDigest`] says how
    /// sure that is.
    #[must_use]
    pub fn certificate(&self) -> Option<ContentDigest> {
        let catalog = self.catalog();
        let is_whole = catalog.hashes() == HashRange::FULL;
        catalog.certificate(self.family()).filter(|_| is_whole)
    }

    /// An order-independent digest of the live entries of the set, found by reading all of them,
    /// blobs included. O(bytes of the set), with two SHA-256 for each entry; `monitor` is told of
    /// the entries and of the bytes of their keys and values.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if a file cannot be read or is damaged; [`ReadError::Cancelled`].
    pub fn content_digest(&self, monitor: &Monitor) -> Result<ContentDigest, ReadError> {
        self.content_digest_of(0..=u64::MAX, monitor)
    }

    /// As [`SstSet::content_digest`], of the live entries whose hashes are in a range. The digests
    /// of disjoint ranges are added with [`ContentDigest::combine`]: so many machines can read one
    /// set, each a part of it.
    ///
    /// # Errors
    ///
    /// As [`SstSet::content_digest`].
    pub fn content_digest_of(
        &self,
        hashes: RangeInclusive<u64>,
        monitor: &Monitor,
    ) -> Result<ContentDigest, ReadError> {
        let start = Progress::new(Phase::Certify);
        let mut meter = Meter::new(monitor, start);
        let mut digest = ContentDigest::default();
        let mut ordinals = Ordinals::default();
        let directory = || FileLabel::new(&self.catalog().dir);
        for entry in self.range(hashes) {
            let entry = entry?;
            let ordinal = ordinals.next(&entry.key).ok_or_else(|| {
                ReadError::internal(&directory(), "a key has fewer than 2^32 entries")
            })?;
            let value = match &entry.value {
                ReadValue::Deleted => {
                    let invariant = "live entries are no tombstones";
                    return Err(ReadError::internal(&directory(), invariant));
                }
                ReadValue::Value(value) => ValueDigest::of(value, sha256),
                ReadValue::Blob(number) => ValueDigest::of(&self.read_blob(*number)?, sha256),
            };
            digest.add_value(&entry.key, ordinal, &value, sha256);
            meter
                .at(digest.entries(), digest.bytes())
                .map_err(|Cancelled| ReadError::cancelled(&directory()))?;
        }
        monitor.report(start.entries(digest.entries()).bytes(digest.bytes()));
        Ok(digest)
    }

    /// Reads all live entries and compares their digest with [`SstSet::certificate`]. Returns the
    /// certificate; `None` if there is none, as for a set of a range of hashes, and nothing was
    /// compared.
    ///
    /// # Errors
    ///
    /// [`Corruption::Certificate`] if the commit says something else; [`ReadError`] as for
    /// [`SstSet::content_digest`].
    pub fn verify_certificate(
        &self,
        monitor: &Monitor,
    ) -> Result<Option<ContentDigest>, ReadError> {
        let Some(expected) = self.certificate() else { return Ok(None) };
        let found = self.content_digest(monitor)?;
        if found == expected {
            return Ok(Some(found));
        }
        let catalog = self.catalog();
        let kind = sst_format::file_name::FileKind::Meta;
        let label = FileLabel::new(path_of(&catalog.dir, catalog.commit, kind));
        let (expected, found) = (Box::new(expected), Box::new(found));
        let family = self.family();
        Err(ReadError::corrupt(&label, Corruption::Certificate { family, expected, found }))
    }
}
