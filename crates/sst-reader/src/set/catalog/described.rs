//! Catalogs of commits that are not the current one of their directory: an earlier one, or one that
//! is about to be published.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use sst_format::current::Current;
use sst_format::file_name::FileKind;
use sst_format::meta_file::TableRecord;
use sst_format::protection::BlobRecord;
use sst_format::{SequenceNumber, SstMeta};

use super::super::CatalogTable;
use super::super::catalog_table::{Describer, ProtectedParts};
use super::super::directory_stamp::DirectoryStamp;
use super::super::meta_source::{MetaRange, MetaSource};
use super::super::paths::path_of;
use super::blob_records::BlobRecords;
use super::catalog_reader::CatalogReader;
use super::{Catalog, Scope};
use crate::block::source::Files;
use crate::{Access, FileLabel, ReadError, ReaderOptions};

impl Catalog {
    /// Reads a commit of the directory `dir` that need not be the current one: that of the meta
    /// file `sequence`. `CURRENT` is not looked at. Its files may have been removed since.
    ///
    /// # Errors
    ///
    /// As [`Catalog::read`]; [`ReadError::Corrupt`] if the meta file has no protection section, or
    /// is a part of a commit, not the newest meta file of one:
    /// [`Corruption::PartOfCommit`](crate::Corruption::PartOfCommit).
    pub fn read_commit_of(
        dir: impl AsRef<Path>,
        sequence: SequenceNumber,
    ) -> Result<Self, ReadError> {
        let current = Current { sequence, is_protected: true };
        let files = Files::of_system(Access::Read);
        let reader =
            CatalogReader { dir: dir.as_ref(), files: &files, scope: Scope::ALL, known: &[] };
        reader.read_commit(&DirectoryStamp::of_current(current))
    }

    /// A catalog without tables, for a directory that has no commit yet. Its commit has the number
    /// 0, which no commit that a writer makes has.
    #[must_use]
    pub fn empty(dir: impl AsRef<Path>) -> Self {
        Self::empty_in(dir.as_ref(), Files::of_system(Access::Read))
    }

    /// As [`Catalog::empty`], for a place whose files the options open, such as a bucket.
    #[must_use]
    pub fn empty_with(dir: impl AsRef<Path>, options: &ReaderOptions) -> Self {
        Self::empty_in(dir.as_ref(), options.way())
    }

    fn empty_in(dir: &Path, files: Files) -> Self {
        let sequence = SequenceNumber::default();
        let current = Current { sequence, is_protected: true };
        Self {
            dir: dir.to_owned(),
            commit: sequence,
            is_protected: true,
            kind: None,
            tables: Vec::new(),
            certificates: Vec::new(),
            shard: None,
            meta_files: Vec::new(),
            stamp: DirectoryStamp::of_current(current),
            scope: Scope::ALL,
            files,
            metas: Vec::new(),
            blobs: Arc::default(),
        }
    }

    /// The catalog that a directory will have after a commit of `family` that is not visible yet:
    /// of this catalog the tables that are not `obsolete`, and on top of them `tables`, the oldest
    /// first, and `blobs`. Lets a writer's output be read back before it is published. O(blocks of
    /// `tables`).
    ///
    /// Descriptions without a protection section are taken as they are. Filters are left out, since
    /// they are in no file yet. Certificates are dropped: they are of the commit before.
    #[must_use]
    pub fn followed_by(
        mut self,
        family: u32,
        tables: &[(SequenceNumber, SstMeta)],
        obsolete: &[SequenceNumber],
        blobs: &[BlobRecord],
    ) -> Self {
        let obsolete: HashSet<_> = obsolete.iter().collect();
        self.tables.retain(|table| !obsolete.contains(&table.sequence));
        let newest_first = tables.iter().rev();
        let described = newest_first.map(|(table, meta)| describe(&self.dir, *table, family, meta));
        self.tables = described.chain(std::mem::take(&mut self.tables)).collect();
        self.blobs = Arc::new(BlobRecords::new(self.metas.clone(), blobs.to_vec()));
        self.certificates.clear();
        self
    }
}

fn describe(dir: &Path, sequence: SequenceNumber, family: u32, meta: &SstMeta) -> CatalogTable {
    let mut headers = Vec::new();
    for header in meta.protection.iter().flat_map(|known| known.block_headers.iter()) {
        header.encode(&mut headers);
    }
    let (checksum, len) = (crc32fast::hash(&headers), headers.len());
    let protection = meta.protection.as_ref().map(|known| {
        let headers = MetaRange::Held(0..len);
        (ProtectedParts { entry_count: known.entry_count, headers }, checksum)
    });
    // It will be described by a meta file that is not there yet.
    let label = FileLabel::new(path_of(dir, sequence, FileKind::Sst));
    let source = &Arc::new(MetaSource::of_bytes(&label, headers));
    let describer = Describer { meta_file: None, family, bare_start_checksum: None, source };
    let record = TableRecord::new(sequence, meta);
    describer.table(record, MetaRange::Held(0..0), protection)
}
