//! The meta files of a commit: the tables that each of them describes, and their bytes.
//!
//! A commit has one meta file, unless one meta file has no room for all its filters. Then it has
//! several, each for a range of its tables. The newest is made last, and lists the others, which
//! are called parts.
//!
//! A commit also describes the tables of small earlier meta files again, so that the live meta
//! files stay few. They are like the levels of a log-structured merge tree: each is more than twice
//! as large as all newer ones together.
//!
//! Nothing here reads or writes a file: the caller brings the bytes of the meta files whose tables
//! are described again, and stores the new ones.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use sst_format::content_digest::FamilyCertificate;
use sst_format::meta_file::{MetaFile, TableParts};
use sst_format::meta_head::{
    BlockHeaders, CommitKind, DescribedTable, Extension, HashRange, ListedMeta, MetaFileV3,
    MetaLimits,
};
use sst_format::protection::BlobRecord;
use sst_format::{BlobNumber, SequenceNumber, SstMeta};

use crate::PublishError;
use crate::invariant::OrBroken;
use crate::publish::directory_state::{BaseState, DirectoryState};
use crate::publish::meta_state::{DescriptionSize, MetaState, meta_path};

/// The invariant of dividing a commit among meta files.
const RANGE: &str = "meta files describe ranges of the tables of their commit";

/// The invariant of describing the tables of a meta file again.
const WHOLE: &str = "a meta file that was verified describes all tables that its state has";

/// The content of a commit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CommitContent<'a> {
    pub(crate) family: u32,
    pub(crate) kind: CommitKind,
    /// Its own tables, oldest first.
    pub(crate) tables: &'a [(SequenceNumber, SstMeta)],
    /// The blobs to which each of these tables refers, in their order.
    pub(crate) blobs: &'a [Vec<BlobRecord>],
    /// Certificates of families, in ascending order.
    pub(crate) certificates: &'a [FamilyCertificate],
    /// The directory, for messages.
    pub(crate) directory: &'a Path,
}

/// The meta files of a commit, which are encoded one by one: the parts first, then the newest.
#[derive(Debug)]
pub(crate) struct MetaPlan<'a> {
    content: CommitContent<'a>,
    own: Vec<DescribedTable<'a>>,
    /// The tables of each part.
    parts: Vec<Range<usize>>,
    /// The own tables that the newest meta file describes.
    newest: Range<usize>,
    base: BaseState,
    /// Earlier meta files, whose live tables the newest one describes again.
    redescribed: Vec<MetaState>,
    /// That of the newest meta file.
    extension: Vec<u8>,
}

impl<'a> MetaPlan<'a> {
    /// Divides the tables of a commit among meta files. With `redescribes`, small earlier meta
    /// files are described again; a rollback describes no tables. `extension` is that of the commit
    /// ([`DirectoryState::next_extension`]).
    ///
    /// Fails if it is the commit of a shard, and no rollback.
    pub(crate) fn new(
        content: CommitContent<'a>,
        mut base: BaseState,
        extension: &Extension,
        redescribes: bool,
        limits: &MetaLimits,
    ) -> Result<Self, PublishError> {
        if let Some(shard) = extension.shard.filter(|_| content.kind != CommitKind::Rollback) {
            return Err(PublishError::of_shard(content.directory, &shard));
        }
        let format = |source| PublishError::Format { path: content.directory.to_owned(), source };
        let own = content.tables.iter().map(|(table, meta)| DescribedTable::new(*table, meta));
        let own: Vec<_> = own.collect::<Result<_, _>>().map_err(format)?;
        let mut parts = limits.split(own.iter().map(size)).map_err(format)?;
        let newest = parts.pop().or_broken("a commit has one meta file at least")?;
        let redescribed = if redescribes && parts.is_empty() {
            let own = DescriptionSize::of(own.iter().map(size));
            base.take_redescribed(content.family, own, limits)
        } else {
            Vec::new()
        };
        let extension = extension.encode();
        Ok(Self { content, own, parts, newest, base, redescribed, extension })
    }

    /// Number of parts.
    pub(crate) const fn part_count(&self) -> usize {
        self.parts.len()
    }

    /// The meta files whose whole bytes the newest meta file needs.
    pub(crate) fn redescribed(&self) -> impl ExactSizeIterator<Item = SequenceNumber> {
        self.redescribed.iter().map(|meta| meta.sequence)
    }

    /// Encodes a part. `commit` is the number of the newest meta file.
    pub(crate) fn part(
        &mut self,
        index: usize,
        sequence: SequenceNumber,
        commit: SequenceNumber,
    ) -> Result<Vec<u8>, PublishError> {
        let range = self.parts.get(index).or_broken(RANGE)?.clone();
        let tables = self.own.get(range.clone()).or_broken(RANGE)?;
        let meta = NewMeta { sequence, commit, tables, blobs: self.blobs_of(range)? };
        let (bytes, mut part) = self.encode(&meta, &[], &[])?;
        part.hashes = meta.hashes();
        self.base.state.push(part);
        Ok(bytes)
    }

    /// Encodes the newest meta file, after all parts. `redescribed` are the bytes of the meta files
    /// of [`MetaPlan::redescribed`]. Returns it with the resulting state.
    pub(crate) fn newest(
        self,
        sequence: SequenceNumber,
        redescribed: &[Vec<u8>],
    ) -> Result<(Vec<u8>, DirectoryState), PublishError> {
        let mut tables = Vec::new();
        let mut blobs = self.blobs_of(self.newest.clone())?;
        for (older, bytes) in self.redescribed.iter().zip(redescribed) {
            tables.extend(described_again(older, bytes, self.content.directory)?);
            blobs.extend(older.blobs.iter().map(|blob| (blob.number, *blob)));
        }
        tables.extend(self.own.get(self.newest.clone()).or_broken(RANGE)?);
        let meta = NewMeta { sequence, commit: sequence, tables: &tables, blobs };
        let family = self.content.family;
        let (obsolete, hashes) = self.base.to_name();
        let hashes = meta.hashes().union(hashes);
        let this = ListedMeta { sequence, checksum: 0, family, hashes };
        let live_metas: Vec<_> = self.base.state.listed_metas().chain([this]).collect();
        let (bytes, newest) = self.encode(&meta, &obsolete, &live_metas)?;
        let mut state = self.base.state;
        state.push(newest);
        Ok((bytes, state))
    }

    /// Records of the blobs to which these tables of the commit refer.
    fn blobs_of(
        &self,
        tables: Range<usize>,
    ) -> Result<BTreeMap<BlobNumber, BlobRecord>, PublishError> {
        let blobs = self.content.blobs.get(tables).or_broken(RANGE)?;
        Ok(blobs.iter().flatten().map(|blob| (blob.number, *blob)).collect())
    }

    /// Encodes a meta file. Returns its bytes, and the state that reading them gives.
    fn encode(
        &self,
        meta: &NewMeta<'_>,
        obsolete: &[SequenceNumber],
        live_metas: &[ListedMeta],
    ) -> Result<(Vec<u8>, MetaState), PublishError> {
        let blobs: Vec<_> = meta.blobs.values().copied().collect();
        let is_part = meta.sequence != meta.commit;
        let parts = MetaFileV3 {
            family: self.content.family,
            obsolete,
            tables: meta.tables,
            kind: self.content.kind,
            commit: meta.commit,
            live_metas,
            blobs: &blobs,
            certificates: if is_part { &[] } else { self.content.certificates },
            extension: if is_part { &[] } else { &self.extension },
        };
        let path = self.path(meta.sequence);
        let encoded = parts.encode(crc32fast::hash);
        let (bytes, _) =
            encoded.map_err(|source| PublishError::Format { path: path.clone(), source })?;
        let state = MetaState::parse(&bytes, meta.sequence, &path)?;
        Ok((bytes, state))
    }

    fn path(&self, sequence: SequenceNumber) -> PathBuf {
        meta_path(self.content.directory, sequence)
    }
}

/// A meta file of the commit that is to be made.
struct NewMeta<'a> {
    sequence: SequenceNumber,
    /// Number of the newest meta file of the commit.
    commit: SequenceNumber,
    tables: &'a [DescribedTable<'a>],
    blobs: BTreeMap<BlobNumber, BlobRecord>,
}

impl NewMeta<'_> {
    /// The range of hashes of its tables.
    fn hashes(&self) -> HashRange {
        let ranges = self.tables.iter().map(|table| &table.record);
        let ranges = ranges.map(|table| HashRange { min: table.min_hash, max: table.max_hash });
        ranges.fold(HashRange::EMPTY, HashRange::union)
    }
}

/// The live tables of an earlier meta file, given all its bytes, which are verified.
fn described_again<'b>(
    meta: &MetaState,
    bytes: &'b [u8],
    directory: &Path,
) -> Result<Vec<DescribedTable<'b>>, PublishError> {
    let path = || meta_path(directory, meta.sequence);
    let damage = |source| PublishError::Format { path: path(), source };
    let file = MetaFile::parse(bytes, crc32fast::hash).map_err(damage)?;
    if file.protection().map(|section| section.checksum()) != Some(meta.checksum) {
        return Err(PublishError::Changed { path: path() });
    }
    let tables = file.described().map_err(damage)?;
    let live = tables.into_iter().zip(&meta.tables).filter(|(_, state)| state.is_live);
    let describe = |(TableParts { record, filter, protection }, _)| {
        let protection = protection?;
        Some(DescribedTable {
            record,
            entry_count: protection.entry_count,
            filter: bytes.get(filter)?,
            headers: BlockHeaders::Stored(bytes.get(protection.block_headers)?),
            // Parsing has verified all bytes.
            filter_checksum: None,
            headers_checksum: None,
        })
    };
    let described: Vec<_> = live.map(describe).collect::<Option<_>>().or_broken(WHOLE)?;
    // A table that is left out here is lost: its meta file becomes obsolete.
    let is_whole = described.len() == meta.live_tables().count();
    is_whole.then_some(described).or_broken(WHOLE).map_err(Into::into)
}

/// The length of a table's filter, and its number of blocks.
fn size(table: &DescribedTable<'_>) -> (u64, u16) {
    (table.filter.len() as u64, table.record.block_count)
}
