//! Takes the content digest of what is on disk.

use std::collections::BTreeMap;
use std::path::Path;

use sst_format::content_digest::{ContentDigest, ValueDigest};
use sst_format::file_name::{FileKind, FileName};
use sst_format::protection::BlobRecord;
use sst_format::{BlobNumber, SequenceNumber};

use super::live_entries::{LiveEntries, WalkedTable};
use super::stored_blob::stored_blob_digest;
use super::stored_entries::StoredValue;
use super::table_defect::TableDefect;
use crate::table::entry_digester::{Ordinals, sha256};
use crate::{CancelToken, FileSystem, PublishError};

/// What is on disk.
#[derive(Debug, Default)]
pub(crate) struct Content {
    /// The live entries.
    pub(crate) live: ContentDigest,
    /// All entries of each of the newest tables, tombstones included, in the order in which the tables were given.
    pub(crate) tables: Vec<ContentDigest>,
    /// Every blob that was met.
    pub(crate) blobs: BTreeMap<BlobNumber, ValueDigest>,
}

/// Reads tables and the blobs they refer to.
pub(crate) struct ContentReader<'a> {
    pub(crate) file_system: &'a dyn FileSystem,
    /// Where the blobs are.
    pub(crate) directory: &'a Path,
    pub(crate) blobs: &'a BTreeMap<BlobNumber, BlobRecord>,
    /// Calls it off.
    pub(crate) cancel: &'a CancelToken,
}

impl ContentReader<'_> {
    /// Reads every byte of `tables`, the newest of which comes first, and of the blobs of their live entries; of the
    /// `newest` newest ones also the digest of each is taken. O(bytes × log(overlapping tables)).
    pub(crate) fn read(
        &self,
        tables: &[WalkedTable],
        newest: usize,
    ) -> Result<Content, PublishError> {
        let mut content = Content {
            tables: vec![ContentDigest::default(); newest.min(tables.len())],
            ..Content::default()
        };
        let mut ordinals: Vec<_> = tables.iter().map(|_| Ordinals::default()).collect();
        let mut walk = LiveEntries::new(self.file_system, tables);
        while let Some(age) = walk.advance()? {
            self.cancel.check()?;
            let is_live = walk.is_live();
            let (Some(table), Some(ordinals)) = (tables.get(age), ordinals.get_mut(age)) else {
                continue;
            };
            let Some(entries) = walk.current() else { continue };
            let ordinal = ordinals.next(entries.key()?);
            let own = content.tables.get_mut(age);
            if !is_live && own.is_none() {
                continue;
            }
            let (key, value) = entries.entry()?;
            let value = match value {
                StoredValue::Deleted => {
                    if let Some(own) = own {
                        own.add_tombstone(key, sha256);
                    }
                    continue;
                }
                StoredValue::Inline(value)
                | StoredValue::Small(value)
                | StoredValue::Medium(value) => ValueDigest::of(value, sha256),
                StoredValue::Blob(number) => self.blob(number, &table.path, &mut content.blobs)?,
            };
            let mut one = ContentDigest::default();
            one.add_value(key, ordinal, &value, sha256);
            if is_live {
                content.live.combine(&one);
            }
            if let Some(own) = own {
                own.combine(&one);
            }
        }
        Ok(content)
    }

    /// The digest of a blob, which is read the first time.
    fn blob(
        &self,
        blob: BlobNumber,
        table: &Path,
        known: &mut BTreeMap<BlobNumber, ValueDigest>,
    ) -> Result<ValueDigest, PublishError> {
        if let Some(digest) = known.get(&blob) {
            return Ok(*digest);
        }
        let unlisted = || PublishError::BadTable {
            path: table.to_owned(),
            block: None,
            reason: TableDefect::UnlistedBlob { blob },
        };
        let listed = self.blobs.get(&blob).ok_or_else(unlisted)?;
        let name = FileName { sequence: SequenceNumber(blob.0), kind: FileKind::Blob };
        let path = self.directory.join(name.to_string());
        let digest = stored_blob_digest(self.file_system, &path, listed)?;
        known.insert(blob, digest);
        Ok(digest)
    }
}
