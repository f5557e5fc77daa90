//! What a meta file says, as far as opening a set needs it.

use std::path::Path;
use std::sync::Arc;

use sst_format::SequenceNumber;
use sst_format::content_digest::FamilyCertificate;
use sst_format::file_name::FileKind;
use sst_format::identity::TableIdentity;
use sst_format::live::DescribesTables;
use sst_format::meta_file::{MetaFile, TableParts};
use sst_format::meta_head::{CommitKind, HashRange, ListedMeta, MetaHead};
use sst_format::protection::{BlobRecord, CHECKSUM_FROM_END};

use super::CatalogTable;
use super::catalog::path_of;
use super::meta_source::{HeadBytes, MetaSource, Part};
use crate::block::triage::wrong_file;
use crate::{Access, FileLabel, ReadError};

/// The contents of a meta file. Of one with a head, all but its areas.
pub(super) struct LoadedMeta {
    pub(super) sequence: SequenceNumber,
    pub(super) source: Arc<MetaSource>,
    /// The checksum in its trailer; `None` without protection.
    pub(super) checksum: Option<u32>,
    /// The newest meta file of its commit: itself, unless it is a part.
    pub(super) commit: SequenceNumber,
    /// `None` where no version 3 tells.
    pub(super) kind: Option<CommitKind>,
    /// Length of the file up to its filters.
    pub(super) start_len: usize,
    list: Listed,
    obsolete: Vec<SequenceNumber>,
    /// Oldest first.
    tables: Vec<CatalogTable>,
    blobs: Blobs,
    pub(super) certificates: Vec<FamilyCertificate>,
}

/// The live meta files as of a commit.
enum Listed {
    Held(Vec<ListedMeta>),
    Area(Part),
}

/// The blobs of a commit.
enum Blobs {
    Held(Vec<BlobRecord>),
    Area(Part),
}

impl LoadedMeta {
    /// Reads a meta file: its head if it has one, else all of it.
    pub(super) fn read(
        dir: &Path,
        sequence: SequenceNumber,
        access: Access,
    ) -> Result<Self, ReadError> {
        Self::read_file(&FileLabel::new(path_of(dir, sequence, FileKind::Meta)), sequence, access)
    }

    /// [`LoadedMeta::read`] of a file of any name.
    pub(super) fn read_file(
        label: &FileLabel,
        sequence: SequenceNumber,
        access: Access,
    ) -> Result<Self, ReadError> {
        let (source, head) = MetaSource::open(label, access)?;
        if let Some(HeadBytes { start, end }) = head
            && let Ok(head) = MetaHead::parse(&start, &end, source.identity.len, crc32fast::hash)
        {
            return Ok(Self::from_head(sequence, Arc::new(source), &head, start.len()));
        }
        // The file has no head, or a damaged one: the whole of it tells which.
        Self::from_whole(sequence, Arc::new(source.into_whole(access)?))
    }

    fn from_head(
        sequence: SequenceNumber,
        source: Arc<MetaSource>,
        head: &MetaHead<'_>,
        start_len: usize,
    ) -> Self {
        let tables = head.tables().map(|table| CatalogTable {
            sequence: table.record.sequence,
            meta_file: sequence,
            family: head.family(),
            record: table.record,
            entry_count: Some(table.entry_count),
            identity: TableIdentity::new(
                &table.record,
                Some((table.entry_count, table.headers.checksum())),
            ),
            bare_start: None,
            source: Arc::clone(&source),
            filter: Part::Area(table.filter),
            headers: Some(Part::Area(table.headers)),
        });
        Self {
            sequence,
            checksum: Some(head.checksum()),
            commit: head.commit(),
            kind: Some(head.kind()),
            start_len,
            list: Listed::Area(Part::Area(head.live_metas())),
            obsolete: head.obsolete().collect(),
            tables: tables.collect(),
            blobs: Blobs::Area(Part::Area(head.blobs())),
            certificates: head.certificates().collect(),
            source,
        }
    }

    fn from_whole(sequence: SequenceNumber, source: Arc<MetaSource>) -> Result<Self, ReadError> {
        let label = &source.label;
        let seen = (*source).as_ref();
        let meta = MetaFile::parse(seen, crc32fast::hash).map_err(|error| {
            // A file that is shorter has no checksum, and the error is another one.
            let checksum_at = seen.len().saturating_sub(CHECKSUM_FROM_END);
            ReadError::corrupt(label, wrong_file(label, seen, checksum_at, error))
        })?;
        let start_len = meta.start_len();
        let not_within = || ReadError::internal(label, "parsed ranges lie within the meta file");
        let start = seen.get(..start_len).ok_or_else(not_within)?;
        let section = meta.protection();
        let bare_start = section.is_none().then(|| crc32fast::hash(start));
        let described = meta.described().map_err(|error| ReadError::corrupt(label, error))?;
        let tables = described.into_iter().map(|TableParts { record, filter, protection }| {
            let content = match &protection {
                Some(parts) => {
                    let headers = seen.get(parts.block_headers.clone()).ok_or_else(not_within)?;
                    Some((parts.entry_count, crc32fast::hash(headers)))
                }
                None => None,
            };
            let (entry_count, headers) =
                protection.map(|parts| (parts.entry_count, parts.block_headers)).unzip();
            Ok(CatalogTable {
                sequence: record.sequence,
                meta_file: sequence,
                family: meta.family(),
                record,
                entry_count,
                identity: TableIdentity::new(&record, content),
                bare_start,
                source: Arc::clone(&source),
                filter: Part::Held(filter),
                headers: headers.map(Part::Held),
            })
        });
        let tables = tables.collect::<Result<_, ReadError>>()?;
        let unknown = |live: sst_format::protection::LiveMeta| ListedMeta {
            sequence: live.sequence,
            checksum: live.checksum,
            family: 0,
            hashes: HashRange::FULL,
        };
        let live = section.into_iter().flat_map(|section| section.live_metas());
        Ok(Self {
            sequence,
            checksum: section.map(|section| section.checksum()),
            commit: section.and_then(|section| section.head()).map_or(sequence, |h| h.commit()),
            kind: section.and_then(|section| section.head()).map(MetaHead::kind),
            start_len,
            list: Listed::Held(live.map(unknown).collect()),
            obsolete: meta.obsolete().collect(),
            tables,
            blobs: Blobs::Held(section.into_iter().flat_map(|section| section.blobs()).collect()),
            certificates: section.into_iter().flat_map(|section| section.certificates()).collect(),
            source: Arc::clone(&source),
        })
    }

    /// The tables that it describes, oldest first.
    pub(super) fn tables(&self) -> &[CatalogTable] {
        &self.tables
    }

    /// Whether it is one of several of its commit, and not the newest of them.
    pub(super) fn is_part(&self) -> bool {
        self.commit != self.sequence
    }

    /// Whether its list tells families and hashes of the meta files.
    pub(super) const fn lists_hashes(&self) -> bool {
        matches!(self.list, Listed::Area(_))
    }

    /// The live meta files as of its commit, in ascending order; none without protection. Families
    /// and hashes in it say something if [`LoadedMeta::lists_hashes`].
    pub(super) fn listed(&self) -> Result<Vec<ListedMeta>, ReadError> {
        match &self.list {
            Listed::Held(listed) => Ok(listed.clone()),
            Listed::Area(area) => ListedMeta::parse_list(self.source.part(area)?.as_slice())
                .map_err(|error| ReadError::corrupt(&self.source.label, error)),
        }
    }

    /// The blobs that its tables refer to; none without protection.
    pub(super) fn blobs(&self) -> Result<Vec<BlobRecord>, ReadError> {
        match &self.blobs {
            Blobs::Held(blobs) => Ok(blobs.clone()),
            Blobs::Area(area) => {
                let bytes = self.source.part(area)?;
                let blobs = BlobRecord::parse_list(bytes.as_slice())
                    .map_err(|error| ReadError::corrupt(&self.source.label, error))?;
                Ok(blobs.collect())
            }
        }
    }
}

impl DescribesTables for LoadedMeta {
    type Description<'a> = &'a CatalogTable;

    fn sequence(&self) -> SequenceNumber {
        self.sequence
    }

    fn obsolete(&self) -> impl Iterator<Item = SequenceNumber> {
        self.obsolete.iter().copied()
    }

    fn described(&self) -> impl Iterator<Item = (SequenceNumber, &CatalogTable)> {
        self.tables.iter().map(|table| (table.sequence, table))
    }
}
