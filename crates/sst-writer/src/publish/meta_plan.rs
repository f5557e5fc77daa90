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
//! Nothing here reads or writes a file: the caller brings the meta files whose tables are described
//! again, and stores the new ones.

use std::collections::BTreeMap;
use std::path::Path;

use sst_format::content_digest::FamilyCertificate;
use sst_format::meta_head::{
    CommitKind, DescribedTable, Extension, HashRange, ListedMeta, MetaFileV3, MetaLimits,
    TableSize, TableSummary, blob_counts_field,
};
use sst_format::protection::BlobRecord;
use sst_format::{BlobNumber, FormatError, SequenceNumber, SstMeta};

use crate::PublishError;
use crate::invariant::{BrokenInvariant, OrBroken};
use crate::publish::commit_meta::{CommitMeta, LiveBlobs};
use crate::publish::directory_state::{BaseState, DirectoryState};
use crate::publish::meta_state::{DescriptionSize, MetaState};
use crate::publish::new_meta_file::{NewMetaFile, TableBytes};
use crate::publish::older_meta::OlderMeta;

/// The invariant of dividing a commit among meta files.
const DIVIDED: &str = "each table of a commit is in one of its meta files";

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
    /// The indices of the tables of each part.
    parts: Vec<Vec<usize>>,
    /// The indices of the own tables that the newest meta file describes.
    newest: Vec<usize>,
    base: BaseState,
    /// Earlier meta files, whose live tables the newest one describes again.
    redescribed: Vec<CommitMeta>,
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
        let is_complete = content.tables.len() == content.blobs.len();
        is_complete.then_some(()).or_broken("each table of a commit has its list of blobs")?;
        let sizes = content.tables.iter().zip(content.blobs).map(|((_, meta), blobs)| TableSize {
            hashes: HashRange { min: meta.min_hash, max: meta.max_hash },
            filter_len: meta.filter.as_slice().len() as u64,
            block_count: meta.block_count,
            blob_count: blobs.len() as u64,
        });
        let sizes: Vec<TableSize> = sizes.collect();
        let parts = limits.split(&sizes);
        let mut parts = parts.map_err(|source| format_error(&content, source))?;
        let newest = parts.pop().or_broken("a commit has one meta file at least")?;
        let redescribed = if redescribes && parts.is_empty() {
            let tables = sizes.iter().map(|table| (table.filter_len, table.block_count));
            let blobs = sizes.iter().map(|table| table.blob_count).sum();
            base.take_redescribed(content.family, DescriptionSize::of(tables, blobs), limits)?
        } else {
            Vec::new()
        };
        let extension = extension.encode();
        Ok(Self { content, parts, newest, base, redescribed, extension })
    }

    /// The directory of the commit, for messages.
    pub(crate) const fn directory(&self) -> &'a Path {
        self.content.directory
    }

    /// The state of the directory with the parts that were added, without the newest meta file.
    pub(crate) const fn base(&self) -> &DirectoryState {
        &self.base.state
    }

    /// Number of parts.
    pub(crate) const fn part_count(&self) -> usize {
        self.parts.len()
    }

    /// The meta files that the newest meta file describes again.
    pub(crate) fn redescribed(&self) -> &[CommitMeta] {
        &self.redescribed
    }

    /// Encodes a part. `commit` is the number of the newest meta file.
    pub(crate) fn part(
        &self,
        index: usize,
        commit: SequenceNumber,
    ) -> Result<NewMetaFile<'a>, PublishError> {
        let mut described = Described::default();
        self.describe(self.parts.get(index).or_broken(DIVIDED)?, &mut described)?;
        self.encode(described, commit, &[], &[], &[])
    }

    /// Adds a part that was written to the commit. `state` is read back from it.
    pub(crate) fn add_part(&mut self, index: usize, state: MetaState) -> Result<(), PublishError> {
        let mut part = CommitMeta::from(state);
        part.hashes = HashRange::EMPTY;
        for table in self.parts.get(index).or_broken(DIVIDED)? {
            let (_, meta) = self.content.tables.get(*table).or_broken(DIVIDED)?;
            let hashes = HashRange { min: meta.min_hash, max: meta.max_hash };
            part.hashes = part.hashes.union(hashes);
        }
        self.base.state.push(part);
        Ok(())
    }

    /// Encodes the newest meta file, after all parts were added. `redescribed` are the meta files
    /// of [`MetaPlan::redescribed`], in their order; tables of one that is missing would be lost.
    pub(crate) fn newest(
        &self,
        sequence: SequenceNumber,
        redescribed: &[OlderMeta<'_>],
    ) -> Result<NewMetaFile<'a>, PublishError> {
        let is_complete = redescribed.len() == self.redescribed.len();
        is_complete.then_some(()).or_broken("all meta files to be described again are given")?;
        let mut described = Described::default();
        for (index, (state, older)) in self.redescribed.iter().zip(redescribed).enumerate() {
            described.add_again(index, state, older)?;
        }
        self.describe(&self.newest, &mut described)?;
        let family = self.content.family;
        let (obsolete, hashes) = self.base.to_name();
        let hashes = described.hashes().union(hashes);
        let this = ListedMeta { sequence, checksum: 0, family, hashes };
        let live_metas: Vec<_> = self.base.state.listed_metas().chain([this]).collect();
        let certificates = self.content.certificates;
        self.encode(described, sequence, &obsolete, &live_metas, certificates)
    }

    /// The state of the directory with the commit. `newest` is what reading the newest meta file
    /// gives.
    pub(crate) fn finish(self, newest: MetaState) -> DirectoryState {
        let mut state = self.base.state;
        state.push(newest.into());
        state
    }

    /// Adds tables of the commit.
    fn describe(
        &self,
        tables: &[usize],
        described: &mut Described<'a>,
    ) -> Result<(), PublishError> {
        for index in tables {
            let (sequence, meta) = self.content.tables.get(*index).or_broken(DIVIDED)?;
            let table = DescribedTable::new(*sequence, meta);
            let table = table.map_err(|source| format_error(&self.content, source))?;
            let summary = table.summary(crc32fast::hash);
            let summary = summary.map_err(|source| format_error(&self.content, source))?;
            let blobs = self.content.blobs.get(*index).or_broken(DIVIDED)?;
            described.add(summary, TableBytes::Here(table), blobs)?;
        }
        Ok(())
    }

    fn encode(
        &self,
        described: Described<'a>,
        commit: SequenceNumber,
        obsolete: &[SequenceNumber],
        live_metas: &[ListedMeta],
        certificates: &[FamilyCertificate],
    ) -> Result<NewMetaFile<'a>, PublishError> {
        let Described { summaries, tables, blobs, blob_counts, of_any } = described;
        let blobs: Vec<BlobRecord> = blobs.into_iter().chain(of_any.into_values()).collect();
        // A part lists no live meta files, and has no lineage.
        let mut extension = match live_metas.is_empty() {
            true => Vec::new(),
            false => self.extension.clone(),
        };
        if !blobs.is_empty() {
            let field = blob_counts_field(blob_counts.into_iter());
            extension.extend(field.map_err(|source| format_error(&self.content, source))?);
        }
        let parts = MetaFileV3 {
            family: self.content.family,
            obsolete,
            tables: summaries.as_slice(),
            kind: self.content.kind,
            commit,
            live_metas,
            blobs: &blobs,
            certificates,
            extension: &extension,
        };
        let frame = parts.frame(crc32fast::hash);
        let frame = frame.map_err(|source| format_error(&self.content, source))?;
        Ok(NewMetaFile { frame, tables })
    }
}

fn format_error(content: &CommitContent<'_>, source: FormatError) -> PublishError {
    PublishError::Format { path: content.directory.to_owned(), source }
}

/// The tables of a meta file that is to be made, in its order.
#[derive(Debug, Default)]
struct Described<'a> {
    summaries: Vec<TableSummary>,
    tables: Vec<TableBytes<'a>>,
    /// The blobs of the first table, then those of the second, and so on.
    blobs: Vec<BlobRecord>,
    /// The number of blobs of each table.
    blob_counts: Vec<u32>,
    /// Blobs of older meta files that do not tell which tables refer to them.
    of_any: BTreeMap<BlobNumber, BlobRecord>,
}

impl<'a> Described<'a> {
    fn add(
        &mut self,
        summary: TableSummary,
        bytes: TableBytes<'a>,
        blobs: &[BlobRecord],
    ) -> Result<(), BrokenInvariant> {
        self.summaries.push(summary);
        self.tables.push(bytes);
        self.blobs.extend_from_slice(blobs);
        let count = u32::try_from(blobs.len());
        self.blob_counts.push(count.or_broken("a table has no more blobs than there are numbers")?);
        Ok(())
    }

    /// Adds the live tables of the older meta file with this index. Of its blobs it leaves out
    /// those that only its dead tables refer to.
    fn add_again(
        &mut self,
        meta: usize,
        state: &CommitMeta,
        older: &OlderMeta<'_>,
    ) -> Result<(), PublishError> {
        let LiveBlobs { of_each, of_any } = state.live_blobs()?;
        let is_complete = older.tables().len() == of_each.len();
        is_complete.then_some(()).or_broken("the state of a meta file has its live tables")?;
        for (table, blobs) in older.tables().iter().zip(of_each) {
            let summary = TableSummary {
                record: table.record,
                entry_count: table.entry_count,
                filter_len: table.filter.len(),
                filter_checksum: table.filter.checksum(),
                headers_checksum: table.headers.checksum(),
            };
            let (filter, headers) = (table.filter.clone(), table.headers.clone());
            self.add(summary, TableBytes::Older { meta, filter, headers }, blobs)?;
        }
        self.of_any.extend(of_any.iter().map(|blob| (blob.number, *blob)));
        Ok(())
    }

    /// The range of hashes of the tables.
    fn hashes(&self) -> HashRange {
        let ranges = self.summaries.iter().map(|table| &table.record);
        let ranges = ranges.map(|table| HashRange { min: table.min_hash, max: table.max_hash });
        ranges.fold(HashRange::EMPTY, HashRange::union)
    }
}
