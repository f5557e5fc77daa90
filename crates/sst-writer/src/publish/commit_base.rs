//! The next commit of a place that is no directory of the file system.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sst_format::content_digest::FamilyCertificate;
use sst_format::meta_file::TableRecord;
use sst_format::meta_head::{CommitKind, Extension, ListedMeta, MetaLimits};
use sst_format::protection::{BlobRecord, LiveList};
use sst_format::{SequenceNumber, SstMeta};

use crate::PublishError;
use crate::publish::directory_state::DirectoryState;
use crate::publish::meta_plan::{CommitContent, MetaPlan};
use crate::publish::meta_state::{MetaState, TableState};
use crate::publish::older_meta::OlderMeta;

/// A meta file of a commit, as the next commit needs to know it.
#[derive(Clone, Debug)]
pub struct BaseMeta {
    /// Its sequence number, checksum, family and range of hashes.
    pub listed: ListedMeta,
    /// The kind of its commit; `None` before version 3.
    pub kind: Option<CommitKind>,
    /// The newest meta file of its commit.
    pub commit: SequenceNumber,
    /// The tables that it describes, oldest first, with the number of entries and the length of the
    /// filter of each.
    pub tables: Vec<(TableRecord, u64, u64)>,
    /// The blobs to which its tables refer, perhaps more.
    pub blobs: Vec<BlobRecord>,
    /// How many of these blobs belong to each table, in order, if the meta file states it:
    /// [`MetaHead::blob_counts`](sst_format::meta_head::MetaHead::blob_counts).
    pub blob_counts: Option<Vec<u32>>,
    /// The tables that it names obsolete.
    pub obsolete: Vec<SequenceNumber>,
    /// The certificates of its commit.
    pub certificates: Vec<FamilyCertificate>,
    /// Its extension: the commits before its own.
    pub extension: Extension,
}

/// A commit of some place, on which the next commit is built: the rules of [`Publisher`] without
/// files. It decides what the meta files of the next commit say; reading and storing them is up to
/// the caller.
///
/// [`Publisher`]: crate::Publisher
#[derive(Clone, Debug)]
pub struct CommitBase {
    state: DirectoryState,
    /// The place, for messages.
    place: PathBuf,
}

/// The content of a new commit.
#[derive(Clone, Copy, Debug)]
pub struct NewCommit<'a> {
    /// The family whose tables it changes.
    pub family: u32,
    /// Its kind.
    pub kind: CommitKind,
    /// Its own tables, oldest first.
    pub tables: &'a [(SequenceNumber, SstMeta)],
    /// The blobs to which each of these tables refers.
    pub blobs: &'a [Vec<BlobRecord>],
    /// Tables of the commit before that it makes obsolete.
    pub obsolete: &'a BTreeSet<SequenceNumber>,
}

/// The meta files of a new commit, which are made one by one: the parts first, then the newest.
#[derive(Debug)]
pub struct NewMetaFiles<'a>(MetaPlan<'a>);

impl CommitBase {
    /// The base of a first commit.
    #[must_use]
    pub fn empty(place: impl Into<PathBuf>) -> Self {
        Self { state: DirectoryState::default(), place: place.into() }
    }

    /// A commit with these live meta files. They have been read and verified, and belong together.
    #[must_use]
    pub fn new(place: impl Into<PathBuf>, metas: Vec<BaseMeta>) -> Self {
        let metas = metas.into_iter().map(|meta| MetaState::from(meta).into()).collect();
        Self { state: DirectoryState::of_metas(metas), place: place.into() }
    }

    /// The number of the commit; `None` before the first.
    #[must_use]
    pub const fn current(&self) -> Option<SequenceNumber> {
        self.state.current
    }

    /// The live tables with their families, those of older meta files first.
    pub fn live_tables(&self) -> impl Iterator<Item = (u32, &TableRecord)> {
        self.state.live_tables()
    }

    /// The meta files of a commit that continues this one.
    ///
    /// A certificate stays valid as long as nothing of its family changes, so those of the other
    /// families are kept.
    ///
    /// # Errors
    ///
    /// [`PublishError::Format`] if one table exceeds the limits of a meta file;
    /// [`PublishError::OfShard`].
    pub fn next<'a>(
        &'a self,
        commit: &NewCommit<'a>,
        certificates: &'a [FamilyCertificate],
        limits: &MetaLimits,
    ) -> Result<NewMetaFiles<'a>, PublishError> {
        self.next_on(self, commit, certificates, limits)
    }

    /// As [`CommitBase::next`], but on top of an `earlier` commit of the same place: that of a
    /// rollback.
    ///
    /// # Errors
    ///
    /// As [`CommitBase::next`].
    pub fn next_on<'a>(
        &'a self,
        earlier: &Self,
        commit: &NewCommit<'a>,
        certificates: &'a [FamilyCertificate],
        limits: &MetaLimits,
    ) -> Result<NewMetaFiles<'a>, PublishError> {
        let content = CommitContent {
            family: commit.family,
            kind: commit.kind,
            tables: commit.tables,
            blobs: commit.blobs,
            certificates,
            directory: Path::new(&self.place),
        };
        let base = earlier.state.without(commit.family, commit.obsolete);
        let redescribes = commit.kind != CommitKind::Rollback;
        let extension = self.state.next_extension();
        MetaPlan::new(content, base, &extension, redescribes, limits).map(NewMetaFiles)
    }

    /// The certificates that a commit keeps that changes a family.
    #[must_use]
    pub fn certificates_without(&self, family: u32) -> Vec<FamilyCertificate> {
        let kept = self.state.certificates().iter().filter(|known| known.family != family);
        kept.copied().collect()
    }
}

impl NewMetaFiles<'_> {
    /// Number of parts: all meta files but the newest.
    #[must_use]
    pub const fn part_count(&self) -> usize {
        self.0.part_count()
    }

    /// The earlier meta files whose whole bytes [`NewMetaFiles::newest`] needs.
    pub fn redescribed(&self) -> impl ExactSizeIterator<Item = SequenceNumber> {
        self.0.redescribed().iter().map(|meta| meta.sequence)
    }

    /// Makes a part, with a number of its own below `commit`, that of the newest. Parts are made in
    /// order, with ascending numbers.
    ///
    /// # Errors
    ///
    /// [`PublishError`].
    pub fn part(
        &mut self,
        index: usize,
        sequence: SequenceNumber,
        commit: SequenceNumber,
    ) -> Result<Vec<u8>, PublishError> {
        let bytes = self.0.part(index, commit)?.bytes(&[])?;
        let state = MetaState::parse(&bytes, sequence, self.0.directory())?;
        self.0.add_part(index, state)?;
        Ok(bytes)
    }

    /// Makes the newest meta file, which is the commit, after all parts. `redescribed` are the
    /// bytes of [`NewMetaFiles::redescribed`], in that order.
    ///
    /// # Errors
    ///
    /// [`PublishError::Changed`] or [`PublishError::Format`] if these are not the bytes.
    pub fn newest(
        self,
        sequence: SequenceNumber,
        redescribed: &[Vec<u8>],
    ) -> Result<Vec<u8>, PublishError> {
        let older = self.0.redescribed().iter().zip(redescribed);
        let older = older
            .map(|(meta, bytes)| OlderMeta::of_bytes(bytes.as_slice(), self.0.directory(), meta));
        let older: Vec<_> = older.collect::<Result<_, _>>()?;
        self.0.newest(sequence, &older)?.bytes(&older)
    }
}

impl From<BaseMeta> for MetaState {
    fn from(meta: BaseMeta) -> Self {
        let BaseMeta { listed, kind, commit, tables, blobs, blob_counts, obsolete, .. } = meta;
        let ListedMeta { sequence, checksum, family, hashes } = listed;
        let table =
            |(record, entry_count, filter_len)| TableState { record, entry_count, filter_len };
        let tables = tables.into_iter().map(table);
        Self {
            sequence,
            checksum,
            identity: None,
            family,
            kind,
            commit,
            hashes,
            tables: tables.collect(),
            blobs,
            blob_counts,
            obsolete,
            certificates: meta.certificates,
            live_metas: LiveList::Records(Vec::new()),
            extension: meta.extension,
        }
    }
}
