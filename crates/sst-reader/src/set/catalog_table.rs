//! The description of one live table.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sst_format::file_name::FileKind;
use sst_format::filter::FilterBytes;
use sst_format::identity::TableIdentity;
use sst_format::meta_file::TableRecord;
use sst_format::{SequenceNumber, SstMeta, TableProtection};

use super::meta_source::{MetaRange, MetaSource};
use super::paths::path_of;
use crate::ReadError;

/// A live table of a directory. Its filter and the copies of its block headers stay in the meta
/// file until they are asked for, and are verified then: a directory of 10,000 tables is opened by
/// reading 64 bytes for each.
#[derive(Clone)]
#[non_exhaustive]
pub struct CatalogTable {
    /// Its sequence number.
    pub sequence: SequenceNumber,
    /// The meta file that describes it; `None` if none does yet.
    pub meta_file: Option<SequenceNumber>,
    /// The key space it belongs to.
    pub family: u32,
    /// Its line in the meta file: size, hashes, flags.
    pub record: TableRecord,
    /// Tells whether the table of another commit is this one.
    pub(super) identity: TableIdentity,
    /// The checksum of the start of the meta file; `None` with protection.
    pub(super) bare_start_checksum: Option<u32>,
    /// The meta file.
    pub(super) source: Arc<MetaSource>,
    /// Empty if it has none.
    pub(super) filter: MetaRange,
    /// `None` if the directory is not protected.
    pub(super) protection: Option<ProtectedParts>,
}

/// The meta file that describes tables.
pub(super) struct Describer<'a> {
    /// Its number; `None` for one that is not there yet.
    pub(super) meta_file: Option<SequenceNumber>,
    pub(super) family: u32,
    /// As [`CatalogTable::bare_start_checksum`].
    pub(super) bare_start_checksum: Option<u32>,
    pub(super) source: &'a Arc<MetaSource>,
}

impl Describer<'_> {
    /// A table that it describes. `protection` comes with the checksum of the copies of the block
    /// headers.
    pub(super) fn table(
        &self,
        record: TableRecord,
        filter: MetaRange,
        protection: Option<(ProtectedParts, u32)>,
    ) -> CatalogTable {
        let content = protection.as_ref().map(|(parts, headers)| (parts.entry_count, *headers));
        CatalogTable {
            sequence: record.sequence,
            meta_file: self.meta_file,
            family: self.family,
            record,
            identity: TableIdentity::new(&record, content),
            bare_start_checksum: self.bare_start_checksum,
            source: Arc::clone(self.source),
            filter,
            protection: protection.map(|(parts, _)| parts),
        }
    }
}

/// The protection of a table: a number, and a part of the meta file.
#[derive(Clone, Debug)]
pub(super) struct ProtectedParts {
    /// Number of entries.
    pub(super) entry_count: u64,
    /// The copies of its block headers.
    pub(super) headers: MetaRange,
}

impl CatalogTable {
    /// Where its file is in the directory `dir`.
    #[must_use]
    pub fn path(&self, dir: impl AsRef<Path>) -> PathBuf {
        path_of(dir.as_ref(), self.sequence, FileKind::Sst)
    }

    /// Whether the meta file protects it.
    #[must_use]
    pub const fn is_protected(&self) -> bool {
        self.protection.is_some()
    }

    /// Number of entries; `None` if the directory is not protected.
    #[must_use]
    pub const fn entry_count(&self) -> Option<u64> {
        match &self.protection {
            Some(protection) => Some(protection.entry_count),
            None => None,
        }
    }

    /// The bytes of its filter; empty if it has none. O(their number): they are read, where the
    /// meta file is not mapped, and verified.
    ///
    /// # Errors
    ///
    /// [`ReadError`] that names the meta file if they cannot be read or are damaged.
    pub fn filter(&self) -> Result<FilterBytes, ReadError> {
        self.source.part(&self.filter)
    }

    /// Length of its filter in bytes; 0 if it has none.
    #[must_use]
    pub fn filter_len(&self) -> u64 {
        self.filter.len()
    }

    /// Its description, as [`StaticSortedFile::open`](crate::StaticSortedFile::open) takes it.
    /// O(number of blocks, bytes of the filter).
    ///
    /// # Errors
    ///
    /// [`ReadError`] that names the meta file if the filter or the copies of the block headers
    /// cannot be read or are damaged.
    pub fn meta(&self) -> Result<SstMeta, ReadError> {
        Ok(SstMeta { filter: self.filter()?, ..self.meta_without_filter()? })
    }

    /// Its description, as if it had no filter.
    pub(super) fn meta_without_filter(&self) -> Result<SstMeta, ReadError> {
        Ok(self.record.description(FilterBytes::new([]), self.protection()?))
    }

    fn protection(&self) -> Result<Option<TableProtection>, ReadError> {
        let Some(ProtectedParts { entry_count, ref headers }) = self.protection else {
            return Ok(None);
        };
        let headers = self.source.part(headers)?;
        Ok(Some(TableProtection::from_stored(entry_count, headers.as_slice())))
    }

    /// Whether both describe the same file, though perhaps in different meta files. Without
    /// protection nothing but the meta file tells tables of two directories apart, so it must be
    /// the same one too.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        self.identity == other.identity
            && self.family == other.family
            && self.bare_start_checksum == other.bare_start_checksum
            && (self.bare_start_checksum.is_none() || self.source.identity == other.source.identity)
    }
}

impl fmt::Debug for CatalogTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatalogTable")
            .field("sequence", &self.sequence)
            .field("meta_file", &self.meta_file)
            .field("family", &self.family)
            .field("record", &self.record)
            .field("entry_count", &self.entry_count())
            .field("filter_len", &self.filter_len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl CatalogTable {
    /// A table without files.
    pub(super) fn stub(sequence: u32, min_hash: u64, max_hash: u64) -> Self {
        let sequence = SequenceNumber(sequence);
        let record = TableRecord {
            sequence,
            block_count: 2,
            min_hash,
            max_hash,
            file_size: 0,
            flags: sst_format::TableFlags(0),
            filter_end: 0,
        };
        let label = crate::FileLabel::new("none");
        let source = &Arc::new(MetaSource::of_bytes(&label, Vec::new()));
        let describer =
            Describer { meta_file: None, family: 0, bare_start_checksum: Some(0), source };
        describer.table(record, MetaRange::Held(0..0), None)
    }
}
