//! The parts of a meta file that opening a set needs.

use std::path::Path;
use std::sync::Arc;

use sst_format::content_digest::FamilyCertificate;
use sst_format::file_name::FileKind;
use sst_format::identity::CommitIdentity;
use sst_format::live::DescribesTables;
use sst_format::meta_file::{MetaFile, TableParts};
use sst_format::meta_head::{CommitKind, Extension, HashRange, ListedMeta, MetaHead, Shard};
use sst_format::own_number::{check_list, check_older, check_part};
use sst_format::protection::{BlobRecord, CHECKSUM_FROM_END, LiveMeta};
use sst_format::{FormatError, SequenceNumber};

use super::CatalogTable;
use super::catalog_table::{Describer, ProtectedParts};
use super::meta_opening::{self, HeadBytes};
use super::meta_source::{MetaRange, MetaSource};
use super::paths::path_of;
use crate::block::source::Files;
use crate::block::triage::wrong_file;
use crate::{FileLabel, ReadError};

/// The contents of a meta file. Of one with a head, all but its areas.
pub(super) struct LoadedMeta {
    pub(super) sequence: SequenceNumber,
    pub(super) source: Arc<MetaSource>,
    /// The checksum in its trailer; `None` without protection.
    pub(super) checksum: Option<u32>,
    /// The identity of the commit whose newest meta file it is; `None` without protection.
    pub(super) identity: Option<CommitIdentity>,
    /// The newest meta file of its commit: itself, unless it is a part.
    pub(super) commit: SequenceNumber,
    /// `None` where no version 3 tells.
    pub(super) kind: Option<CommitKind>,
    /// Length of the file up to its filters.
    pub(super) start_len: usize,
    /// The CRC-32 of the file up to its filters.
    pub(super) start_checksum: u32,
    list: Listed,
    obsolete: Vec<SequenceNumber>,
    /// Oldest first.
    tables: Vec<CatalogTable>,
    blobs: Blobs,
    pub(super) certificates: Vec<FamilyCertificate>,
    /// The shard that the directory holds.
    pub(super) shard: Option<Shard>,
}

/// The live meta files as of a commit, read or not.
enum Listed {
    /// Those of a meta file that was read whole.
    Numbers(Vec<LiveMeta>),
    /// The records of version 3.
    Area(MetaRange),
}

/// A meta file in the list of a newer one.
pub(super) struct ListedFile {
    pub(super) live: LiveMeta,
    /// The family and the hashes that it is about; `None` if the list does not tell.
    pub(super) coverage: Option<(u32, HashRange)>,
}

/// The blobs of a commit.
enum Blobs {
    Held(Vec<BlobRecord>),
    Area(MetaRange),
}

impl LoadedMeta {
    /// Reads a meta file: its head if it has one, else all of it.
    pub(super) fn read(
        dir: &Path,
        sequence: SequenceNumber,
        files: &Files,
    ) -> Result<Self, ReadError> {
        Self::read_file(&FileLabel::new(path_of(dir, sequence, FileKind::Meta)), sequence, files)
    }

    /// [`LoadedMeta::read`] of a file of any name, whose numbers have no meaning.
    pub(super) fn read_file(
        label: &FileLabel,
        sequence: SequenceNumber,
        files: &Files,
    ) -> Result<Self, ReadError> {
        let (source, head) = meta_opening::open(label, files)?;
        let mut damage = None;
        if let Some(HeadBytes { start, end }) = head {
            match MetaHead::parse(&start, &end, source.identity.len, crc32fast::hash) {
                Ok(head) => {
                    let identity = CommitIdentity::of_last_bytes(sequence, &end)
                        .map_err(|error| ReadError::corrupt(label, error))?;
                    let shard = shard_of(label, &head)?;
                    let meta = Self::from_head(sequence, Arc::new(source), &head, &start, identity);
                    return Ok(Self { shard, ..meta });
                }
                Err(error) => damage = Some(error),
            }
        }
        // The file has no head, or a damaged one: the whole of it tells which, if it may be read.
        source.check_whole(damage)?;
        let (source, bytes) = source.into_whole(files)?;
        Self::from_whole(sequence, Arc::new(source), &bytes)
    }

    fn from_head(
        sequence: SequenceNumber,
        source: Arc<MetaSource>,
        head: &MetaHead<'_>,
        start: &[u8],
        identity: CommitIdentity,
    ) -> Self {
        let describer = Describer {
            meta_file: Some(sequence),
            family: head.family(),
            bare_start_checksum: None,
            source: &source,
        };
        let tables = head.tables().map(|table| {
            let checksum = table.headers.checksum();
            let headers = MetaRange::Area(table.headers);
            let parts = ProtectedParts { entry_count: table.entry_count, headers };
            describer.table(table.record, MetaRange::Area(table.filter), Some((parts, checksum)))
        });
        let tables = tables.collect();
        Self {
            sequence,
            checksum: Some(head.checksum()),
            identity: Some(identity),
            commit: head.commit(),
            kind: Some(head.kind()),
            start_len: start.len(),
            start_checksum: crc32fast::hash(start),
            list: Listed::Area(MetaRange::Area(head.live_metas())),
            obsolete: head.obsolete().collect(),
            tables,
            blobs: Blobs::Area(MetaRange::Area(head.blobs())),
            certificates: head.certificates().collect(),
            shard: None,
            source,
        }
    }

    /// `seen` are all bytes of the file.
    fn from_whole(
        sequence: SequenceNumber,
        source: Arc<MetaSource>,
        seen: &[u8],
    ) -> Result<Self, ReadError> {
        let label = &source.label;
        let meta = MetaFile::parse(seen, crc32fast::hash).map_err(|error| {
            // A file that is shorter has no checksum, and the error is another one.
            let checksum_at = seen.len().saturating_sub(CHECKSUM_FROM_END);
            ReadError::corrupt(label, wrong_file(label, seen, checksum_at, error))
        })?;
        let start_len = meta.start_len();
        let not_within = || ReadError::internal(label, "parsed ranges lie within the meta file");
        let start = seen.get(..start_len).ok_or_else(not_within)?;
        let section = meta.protection();
        let start_checksum = crc32fast::hash(start);
        let bare_start_checksum = section.is_none().then_some(start_checksum);
        let identity = section.map(|_| CommitIdentity::of_last_bytes(sequence, seen));
        let identity = identity.transpose().map_err(|error| ReadError::corrupt(label, error))?;
        let described = meta.described().map_err(|error| ReadError::corrupt(label, error))?;
        let describer = Describer {
            meta_file: Some(sequence),
            family: meta.family(),
            bare_start_checksum,
            source: &source,
        };
        let tables = described.into_iter().map(|TableParts { record, filter, protection }| {
            let protection = match protection {
                Some(parts) => {
                    let headers = seen.get(parts.block_headers.clone()).ok_or_else(not_within)?;
                    let (entry_count, checksum) = (parts.entry_count, crc32fast::hash(headers));
                    let headers = MetaRange::Held(parts.block_headers);
                    Some((ProtectedParts { entry_count, headers }, checksum))
                }
                None => None,
            };
            Ok(describer.table(record, MetaRange::Held(filter), protection))
        });
        let tables = tables.collect::<Result<_, ReadError>>()?;
        let live = section.into_iter().flat_map(|section| section.live_metas());
        Ok(Self {
            sequence,
            checksum: section.map(|section| section.checksum()),
            identity,
            commit: section.and_then(|section| section.head()).map_or(sequence, |h| h.commit()),
            kind: section.and_then(|section| section.head()).map(MetaHead::kind),
            start_len,
            start_checksum,
            list: Listed::Numbers(live.collect()),
            obsolete: meta.obsolete().collect(),
            tables,
            blobs: Blobs::Held(section.into_iter().flat_map(|section| section.blobs()).collect()),
            certificates: section.into_iter().flat_map(|section| section.certificates()).collect(),
            shard: match section.and_then(|section| section.head()) {
                Some(head) => shard_of(label, head)?,
                None => None,
            },
            source: Arc::clone(&source),
        })
    }

    /// Checks what it says against its own number. Lists that are in areas are checked when they
    /// are read.
    pub(super) fn checked(self) -> Result<Self, ReadError> {
        let checked = self.check_number();
        checked.map_err(|error| ReadError::corrupt(&self.source.label, error))?;
        Ok(self)
    }

    fn check_number(&self) -> Result<(), FormatError> {
        check_older(self.sequence, self.tables.iter().map(|table| table.sequence.0))?;
        if let Blobs::Held(blobs) = &self.blobs {
            check_older(self.sequence, blobs.iter().map(|blob| blob.number.0))?;
        }
        if self.is_part() {
            let lists_nothing = match &self.list {
                Listed::Numbers(listed) => listed.is_empty(),
                Listed::Area(area) => area.len() == 0,
            };
            let lists_nothing = lists_nothing && self.certificates.is_empty();
            return check_part(self.sequence, self.commit, lists_nothing);
        }
        match &self.list {
            Listed::Numbers(listed) if self.checksum.is_some() => {
                check_list(self.sequence, listed.iter().copied())
            }
            // A meta file of the original's has no list.
            Listed::Numbers(_) | Listed::Area(_) => Ok(()),
        }
    }

    /// The tables that it describes, oldest first.
    pub(super) fn tables(&self) -> &[CatalogTable] {
        &self.tables
    }

    /// Whether it is one of several of its commit, and not the newest of them.
    pub(super) fn is_part(&self) -> bool {
        self.commit != self.sequence
    }

    /// The live meta files as of its commit, in ascending order, itself last; none without
    /// protection. A part has no list, and is not asked for one.
    pub(super) fn listed(&self) -> Result<Vec<ListedFile>, ReadError> {
        let area = match &self.list {
            Listed::Numbers(numbers) => {
                let listed = numbers.iter().map(|&live| ListedFile { live, coverage: None });
                return Ok(listed.collect());
            }
            Listed::Area(area) => area,
        };
        let damage = |error| ReadError::corrupt(&self.source.label, error);
        let listed = ListedMeta::parse_list(self.source.part(area)?.as_slice()).map_err(damage)?;
        let numbers = listed.iter().copied().map(LiveMeta::from);
        check_list(self.sequence, numbers).map_err(damage)?;
        let file = |listed: ListedMeta| ListedFile {
            coverage: Some((listed.family, listed.hashes)),
            live: LiveMeta::from(listed),
        };
        Ok(listed.into_iter().map(file).collect())
    }

    /// The blobs that its tables refer to; none without protection.
    pub(super) fn blobs(&self) -> Result<Vec<BlobRecord>, ReadError> {
        match &self.blobs {
            Blobs::Held(blobs) => Ok(blobs.clone()),
            Blobs::Area(area) => {
                let bytes = self.source.part(area)?;
                let damage = |error| ReadError::corrupt(&self.source.label, error);
                let blobs = BlobRecord::parse_list(bytes.as_slice()).map_err(damage)?;
                let blobs: Vec<_> = blobs.collect();
                let numbers = blobs.iter().map(|blob| blob.number.0);
                check_older(self.sequence, numbers).map_err(damage)?;
                Ok(blobs)
            }
        }
    }
}

/// The shard in the extension of a meta file.
fn shard_of(label: &FileLabel, head: &MetaHead<'_>) -> Result<Option<Shard>, ReadError> {
    let extension = Extension::parse(head.extension());
    Ok(extension.map_err(|error| ReadError::corrupt(label, error))?.shard)
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
