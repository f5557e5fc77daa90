//! A commit in a store.

use futures_util::{StreamExt, TryStreamExt};
use object_store::UpdateVersion;
use sst_format::SequenceNumber;
use sst_format::content_digest::FamilyCertificate;
use sst_format::current::Current;
use sst_format::file_name::{CURRENT_FILE_NAME, FileKind, FileName};
use sst_format::identity::{CommitIdentity, IDENTITY_LEN};
use sst_format::live::live_tables;
use sst_format::meta_file::TableRecord;
use sst_format::meta_head::{Ancestor, CommitKind, HashRange, Lineage, ListedMeta, Shard};
use sst_format::offset_table::OffsetTable;
use sst_format::protection::{BlobRecord, LiveList, LiveMeta, TRAILER_LEN, Trailer};
use std::collections::BTreeMap;

use super::object_reader::ObjectReader;
use super::{CommitFile, FileIdentity, RemoteMeta, RemoteTable, SharedMeta};
use crate::check::{BlobCheck, FileCheck, MetaCheck, TableCheck};
use crate::{Store, StoreError};

/// Longest `CURRENT` in bytes: more than a valid one has, and enough to recognise other revisions,
/// whose length differs.
pub(crate) const MAX_CURRENT_LEN: u64 = 4 << 10;

/// Meta files that are read at once.
const PARALLEL_READS: usize = 8;

/// A commit of a directory in a store: what its meta files say, before any table is read.
///
/// Reading it takes one request for `CURRENT`, and one for each live meta file of up to 64 KiB. Of
/// a larger one of version 3, the head and the lists are read, with two or three requests more: the
/// filters stay where they are.
///
/// # Examples
///
/// ```
/// use sst_object_store::{RemoteCommit, Store};
/// # use sst_writer::{Publisher, PublisherOptions, WriterOptions};
/// # let parent = tempfile::tempdir()?;
/// # let directory = parent.path();
/// # let mut publisher = Publisher::open(directory, PublisherOptions::default())?;
/// # let mut commit = publisher.begin();
/// # let mut table = commit.create_table(WriterOptions::default())?;
/// # table.add(("key", "value"))?;
/// # commit.add_table(table.finish()?)?;
/// # commit.publish(&sst_object_store::Monitor::default())?;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let store = Store::from_directory(directory)?;
/// let commit = RemoteCommit::read(&store).await?.expect("there is a commit");
/// assert_eq!(commit.tables().count(), 1);
/// // One table and one meta file.
/// assert_eq!(commit.files().len(), 2);
/// # Ok::<(), sst_object_store::StoreError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct RemoteCommit {
    store: Store,
    sequence: SequenceNumber,
    checksum: u32,
    identity: CommitIdentity,
    /// Its other meta files, oldest first.
    older: Vec<SharedMeta>,
    newest: SharedMeta,
    /// The meta files that the newest one lists, with all hashes where its list has none.
    listed: Vec<ListedMeta>,
    /// The live descriptions, oldest first.
    live: Vec<LiveTable>,
}

/// A live table, and the meta file that describes it.
#[derive(Clone, Debug)]
pub(crate) struct LiveTable {
    meta: SharedMeta,
    table: RemoteTable,
}

/// `CURRENT` of a store, and its version for a conditional replacement.
#[derive(Clone, Debug)]
pub(crate) struct CurrentObject {
    pub(crate) sequence: SequenceNumber,
    pub(crate) version: UpdateVersion,
}

impl CurrentObject {
    /// Reads `CURRENT`; `None` if there is none.
    pub(crate) async fn read(store: &Store) -> Result<Option<Self>, StoreError> {
        let Some(object) = store.read(CURRENT_FILE_NAME, MAX_CURRENT_LEN).await? else {
            return Ok(None);
        };
        let current = Current::parse(&object.bytes, crc32fast::hash)
            .map_err(|source| StoreError::format(store.object(CURRENT_FILE_NAME), source))?;
        if !current.is_protected {
            return Err(StoreError::Unprotected { object: store.object(CURRENT_FILE_NAME) });
        }
        Ok(Some(Self { sequence: current.sequence, version: object.version }))
    }
}

/// The checksum in the trailer of a meta file.
pub(crate) async fn checksum_of(
    store: &Store,
    sequence: SequenceNumber,
) -> Result<u32, StoreError> {
    let name = FileName { sequence, kind: FileKind::Meta }.to_string();
    let reader = ObjectReader::open(store, name).await?;
    let trailer = Trailer::parse(&reader.last_bytes(TRAILER_LEN).await?);
    Ok(trailer.map_err(|source| StoreError::format(reader.object(), source))?.checksum)
}

impl RemoteCommit {
    /// The identity of the newest commit, by two small requests; `None` before the first commit.
    /// Its files are not looked at: this only tells whether there is another commit than before.
    ///
    /// # Errors
    ///
    /// As [`RemoteCommit::read`].
    pub async fn newest_identity(store: &Store) -> Result<Option<CommitIdentity>, StoreError> {
        let Some(current) = CurrentObject::read(store).await? else { return Ok(None) };
        let name = FileName { sequence: current.sequence, kind: FileKind::Meta }.to_string();
        let reader = ObjectReader::open(store, name).await?;
        let last_bytes = reader.last_bytes(IDENTITY_LEN).await?;
        let identity = CommitIdentity::of_last_bytes(current.sequence, &last_bytes);
        identity.map(Some).map_err(|source| StoreError::format(reader.object(), source))
    }

    /// Reads the newest commit; `None` if there is no `CURRENT`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unprotected`] for a directory of the original implementation;
    /// [`StoreError::Format`], [`StoreError::Missing`] or [`StoreError::WrongChecksum`] if the
    /// chain of meta files is damaged; [`StoreError::Request`].
    pub async fn read(store: &Store) -> Result<Option<Self>, StoreError> {
        match CurrentObject::read(store).await? {
            Some(current) => Self::read_at(store, current.sequence).await.map(Some),
            None => Ok(None),
        }
    }

    /// Reads the commit whose newest meta file is `sequence`, which need not be the newest commit.
    ///
    /// # Errors
    ///
    /// As [`RemoteCommit::read`]; [`StoreError::PartOfCommit`].
    pub async fn read_at(store: &Store, sequence: SequenceNumber) -> Result<Self, StoreError> {
        Self::read_hashes_at(store, sequence, HashRange::FULL).await
    }

    /// [`RemoteCommit::read`] of the meta files that a range of hashes needs. Of tables outside the
    /// range it may know some or none.
    #[cfg(feature = "mirror")]
    pub(crate) async fn read_hashes(
        store: &Store,
        hashes: HashRange,
    ) -> Result<Option<Self>, StoreError> {
        match CurrentObject::read(store).await? {
            Some(current) => Self::read_hashes_at(store, current.sequence, hashes).await.map(Some),
            None => Ok(None),
        }
    }

    async fn read_hashes_at(
        store: &Store,
        sequence: SequenceNumber,
        hashes: HashRange,
    ) -> Result<Self, StoreError> {
        let newest = RemoteMeta::read(store, sequence).await?;
        if newest.commit != sequence {
            let object = newest.object();
            return Err(StoreError::PartOfCommit { object, commit: newest.commit });
        }
        // A list without hashes does not tell which meta files a range needs.
        let is_needed = |meta: &LiveMeta| {
            let listed = newest.live_metas.record(meta.sequence);
            let is_of_range = hashes == HashRange::FULL
                || listed.is_none_or(|listed| listed.hashes.overlaps(hashes));
            meta.sequence != sequence && is_of_range
        };
        let older: Vec<_> = newest.live_metas.metas().filter(is_needed).collect();
        let older = futures_util::stream::iter(older).map(|listed| async move {
            let meta = RemoteMeta::read(store, listed.sequence).await?;
            let (expected, found) = (listed.checksum, meta.checksum);
            if expected != found {
                let (object, block) = (meta.object(), None);
                return Err(StoreError::WrongChecksum { object, block, expected, found });
            }
            Ok(SharedMeta::new(meta))
        });
        let mut older: Vec<_> = older.buffered(PARALLEL_READS).try_collect().await?;
        let (checksum, identity) = (newest.checksum, newest.identity);
        older.sort_by_key(|meta| meta.sequence);
        let newest = SharedMeta::new(newest);
        let metas: Vec<_> = older.iter().chain([&newest]).cloned().collect();
        let live = live_tables(&metas);
        let live = live
            .iter()
            .map(|live| LiveTable { meta: live.meta.clone(), table: live.description.clone() });
        let live = live.collect();
        let listed = match &newest.live_metas {
            LiveList::Records(records) => records.clone(),
            // All of them have been read, and tell their families.
            LiveList::Numbers(numbers) => listed_of(numbers, &metas)?,
        };
        let store = store.clone();
        Ok(Self { store, sequence, checksum, identity, older, newest, listed, live })
    }

    /// The commit's number: that of its newest meta file.
    #[must_use]
    pub const fn sequence(&self) -> SequenceNumber {
        self.sequence
    }

    /// Its identity (FORMAT.md section 9). Two commits with equal identities have the same files.
    #[must_use]
    pub const fn identity(&self) -> CommitIdentity {
        self.identity
    }

    /// The shard that its place holds, and the commit of the source that it was taken from; `None`
    /// if the place holds everything.
    #[must_use]
    pub fn shard(&self) -> Option<Shard> {
        self.newest.extension.shard
    }

    /// The commits before it.
    pub(crate) fn lineage(&self) -> Lineage {
        self.newest.extension.lineage.clone()
    }

    /// Its meta files, the oldest first.
    pub(crate) fn metas(&self) -> impl Iterator<Item = &SharedMeta> {
        self.older.iter().chain([&self.newest])
    }

    /// Its newest meta file.
    #[cfg(feature = "mirror")]
    pub(crate) const fn newest(&self) -> &SharedMeta {
        &self.newest
    }

    /// The meta files that the newest one lists.
    pub(crate) fn listed(&self) -> impl Iterator<Item = &ListedMeta> {
        self.listed.iter()
    }

    /// The live tables of one of its meta files that a range of hashes needs.
    #[cfg(feature = "mirror")]
    pub(crate) fn live_tables_of(
        &self,
        meta: SequenceNumber,
        hashes: HashRange,
    ) -> impl Iterator<Item = &RemoteTable> {
        let of_meta = self.live.iter().filter(move |live| live.meta.sequence == meta);
        of_meta.map(|live| &live.table).filter(move |table| table.hashes().overlaps(hashes))
    }

    /// The tables that a range of hashes needs, each with the place that describes it.
    #[cfg(feature = "mirror")]
    pub(crate) fn table_files(
        &self,
        hashes: HashRange,
    ) -> BTreeMap<FileName, (CommitFile, Described)> {
        let needed = self.live.iter().filter(|live| live.table.hashes().overlaps(hashes));
        needed.map(LiveTable::file).collect()
    }

    /// The checksum in the trailer of its newest meta file.
    pub(crate) const fn checksum(&self) -> u32 {
        self.checksum
    }

    /// The length in bytes of one of its meta files; `None` if it has no such meta file.
    #[cfg(feature = "publish")]
    pub(crate) fn meta_len(&self, sequence: SequenceNumber) -> Option<u64> {
        self.metas().find(|meta| meta.sequence == sequence).map(|meta| meta.len)
    }

    /// Its kind; `None` if an older build made it, which does not store it.
    #[must_use]
    pub fn kind(&self) -> Option<CommitKind> {
        self.newest.kind
    }

    /// The live tables with their families, those of older meta files first.
    pub fn tables(&self) -> impl Iterator<Item = (u32, &TableRecord)> {
        self.live.iter().map(|live| (live.meta.family, &live.table.record))
    }

    /// Number of entries of the live tables.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.live.iter().map(|live| live.table.entry_count).sum()
    }

    /// The blobs that its tables may refer to, in the order of their numbers.
    #[must_use]
    pub fn blobs(&self) -> Vec<BlobRecord> {
        let blobs = self.metas().flat_map(|meta| &meta.blobs);
        let blobs: BTreeMap<_, _> = blobs.map(|blob| (blob.number, *blob)).collect();
        blobs.into_values().collect()
    }

    /// The certificates of families, in ascending order.
    #[must_use]
    pub fn certificates(&self) -> &[FamilyCertificate] {
        &self.newest.certificates
    }

    /// All files of the commit except `CURRENT`, in the order of their names. O(n log n).
    #[must_use]
    pub fn files(&self) -> Vec<CommitFile> {
        let mut files: Vec<_> = self.keyed_files().into_values().map(|(file, _)| file).collect();
        files.sort_by_key(|file| file.name);
        files
    }

    /// All files of the commit, each with the place that describes it.
    pub(crate) fn keyed_files(&self) -> BTreeMap<FileName, (CommitFile, Described)> {
        let mut files = BTreeMap::new();
        let mut add = |sequence, kind, len, identity, described| {
            let name = FileName { sequence, kind };
            files.insert(name, (CommitFile { name, len, identity }, described));
        };
        for meta in self.metas() {
            let identity = FileIdentity::Meta { checksum: meta.checksum };
            add(meta.sequence, FileKind::Meta, meta.len, identity, Described::BySelf);
        }
        for blob in self.blobs() {
            let sequence = SequenceNumber(blob.number.0);
            let identity = FileIdentity::Blob(blob);
            add(sequence, FileKind::Blob, blob.file_size, identity, Described::BySelf);
        }
        files.extend(self.live.iter().map(LiveTable::file));
        files
    }

    /// The commit as the base of the next one.
    #[cfg(feature = "publish")]
    pub(crate) fn base(&self) -> sst_writer::publish::CommitBase {
        let listed: BTreeMap<_, _> =
            self.listed().map(|listed| (listed.sequence, listed.hashes)).collect();
        let base = |meta: &SharedMeta| {
            // A meta file about which its list says nothing may have any hashes.
            let hashes = listed.get(&meta.sequence).copied().unwrap_or(HashRange::FULL);
            let (sequence, checksum, family) = (meta.sequence, meta.checksum, meta.family);
            let tables = meta.tables.iter();
            let tables = tables.map(|table| (table.record, table.entry_count, table.filter_len));
            sst_writer::publish::BaseMeta {
                listed: ListedMeta { sequence, checksum, family, hashes },
                kind: meta.kind,
                commit: meta.commit,
                tables: tables.collect(),
                blobs: meta.blobs.clone(),
                blob_counts: meta.blob_counts.clone(),
                obsolete: meta.obsolete.clone(),
                certificates: meta.certificates.clone(),
                extension: meta.extension.clone(),
            }
        };
        let metas = self.metas().map(base).collect();
        sst_writer::publish::CommitBase::new(self.store.name(), metas)
    }

    /// Whether the commit says anything about another one, given by its number and its own tables:
    /// then it came after that.
    #[cfg(feature = "publish")]
    pub(crate) fn mentions(
        &self,
        commit: SequenceNumber,
        tables: impl Iterator<Item = SequenceNumber>,
    ) -> bool {
        let tables: std::collections::BTreeSet<_> = tables.collect();
        self.metas().any(|meta| {
            let described = meta.tables.iter().map(|table| table.record.sequence);
            let mut named = meta.obsolete.iter().copied().chain(described);
            meta.sequence == commit || named.any(|table| tables.contains(&table))
        })
    }

    /// The commit as a later one names it.
    pub(crate) const fn as_ancestor(&self) -> Ancestor {
        Ancestor { sequence: self.sequence, checksum: self.checksum }
    }

    /// Whether `other` is this commit or one before it in the history of its place: its newest meta
    /// file is in the lineage or in the list of live meta files, or it is older than the lineage
    /// tells, and its meta file is still there.
    ///
    /// A lineage goes back 32 commits. Only meta files that are kept tell of older ones, and of
    /// those of builds that wrote no lineage. A meta file that lies there says nothing if the
    /// lineage should name it, or if its number is not below this one: a bucket has meta files of
    /// histories that were replaced, until they are collected.
    pub(crate) async fn comes_after(&self, other: Ancestor) -> Result<bool, StoreError> {
        let is_other =
            |meta: &ListedMeta| (meta.sequence, meta.checksum) == (other.sequence, other.checksum);
        if self.newest.extension.lineage.contains(other) || self.listed().any(is_other) {
            return Ok(true);
        }
        let lineage = self.lineage();
        let oldest = lineage.commits().map(|commit| commit.sequence).min();
        if other.sequence >= oldest.unwrap_or(self.sequence) {
            return Ok((other.sequence, other.checksum) == (self.sequence, self.checksum));
        }
        match checksum_of(&self.store, other.sequence).await {
            Ok(found) => Ok(found == other.checksum),
            Err(StoreError::Missing { .. } | StoreError::Format { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The records of listed meta files that have been read, for a list that has their numbers only.
/// Both ascend.
fn listed_of(numbers: &[LiveMeta], metas: &[SharedMeta]) -> Result<Vec<ListedMeta>, StoreError> {
    let record = |LiveMeta { sequence, checksum }: &LiveMeta| {
        let place = metas.binary_search_by_key(sequence, |meta| meta.sequence);
        let meta = metas.get(place.ok()?)?;
        let (sequence, checksum, family) = (*sequence, *checksum, meta.family);
        Some(ListedMeta { sequence, checksum, family, hashes: HashRange::FULL })
    };
    let listed: Option<_> = numbers.iter().map(record).collect();
    listed.ok_or_else(|| StoreError::internal("all meta files of a list without hashes are read"))
}

/// The place that describes a file of a commit.
#[derive(Clone, Debug)]
pub(crate) enum Described {
    /// Its identity says everything.
    BySelf,
    /// A table: its block headers are in a meta file.
    InMeta(LiveTable),
}

impl Described {
    /// The check of the bytes of a file, as they come from `store`. For a table it reads the copies
    /// of the block headers in the described commit, and the offset table in `store`.
    pub(crate) async fn check(
        &self,
        file: &CommitFile,
        store: &Store,
    ) -> Result<FileCheck, StoreError> {
        match (&file.identity, self) {
            (FileIdentity::Meta { checksum }, _) => {
                Ok(FileCheck::Meta(MetaCheck::new(file.len, *checksum)))
            }
            (FileIdentity::Blob(blob), _) => Ok(FileCheck::Blob(BlobCheck::new(blob))),
            (FileIdentity::Table(_), Self::InMeta(live)) => {
                live.check(file, store).await.map(FileCheck::Table)
            }
            (FileIdentity::Table(_), Self::BySelf) => {
                Err(StoreError::internal("a table of a commit has a description"))
            }
        }
    }
}

impl LiveTable {
    /// The table as a file of its commit.
    fn file(&self) -> (FileName, (CommitFile, Described)) {
        let record = &self.table.record;
        let name = FileName { sequence: record.sequence, kind: FileKind::Sst };
        let identity = FileIdentity::Table(self.table.identity);
        let file = CommitFile { name, len: record.file_size, identity };
        (name, (file, Described::InMeta(self.clone())))
    }

    async fn check(&self, file: &CommitFile, store: &Store) -> Result<TableCheck, StoreError> {
        let block_count = self.table.record.block_count;
        let ends_len = OffsetTable::len_of(block_count) as u64;
        let ends_start = file.len.checked_sub(ends_len).ok_or_else(|| {
            let object = self.meta.object();
            StoreError::WrongLen { object, expected: ends_len, found: file.len }
        })?;
        let name = file.name.to_string();
        let headers = self.meta.headers(&self.table).await?;
        let ends = store.read_range(&name, ends_start..file.len, file.len).await?;
        TableCheck::new(headers, ends, block_count, file.len)
            .map_err(|source| StoreError::format(store.object(&name), source))
    }
}
