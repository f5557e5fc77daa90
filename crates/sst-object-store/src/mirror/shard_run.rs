//! The copying of one shard of a commit.
//!
//! Tables and blobs are the files of the source. The meta files are the shard's own: for each meta
//! file of the source that the range of hashes needs, one of the same number that describes the
//! tables in the range. So the shard's directory has the numbers of the source, and a later commit
//! of the source adds to it what is new.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sst_format::file_name::{FileKind, FileName};
use sst_format::meta_head::{Ancestor, Extension, Lineage, ListedMeta, Shard};
use sst_format::protection::BlobRecord;
use sst_format::{BlobNumber, SequenceNumber};

use super::blob_refs::blobs_of;
use super::meta_repair::Repaired;
use super::mirror_run::{check_held, conflict, transfer};
use super::plan::Plan;
use super::shard_meta::{ShardMeta, build};
use super::spoiled::Commits;
use super::target::Target;
use super::{MirrorOptions, MirrorReport, ShardNumber};
use crate::blocking::blocking;
use crate::commit::{Described, RemoteMeta, RemoteTable, SharedMeta};
use crate::{CommitFile, FileIdentity, Monitor, Place, RemoteCommit, Store, StoreError};

/// The copying of a shard.
struct ShardRun<'a> {
    source: &'a Store,
    /// The commit of the source, with the meta files that the shard needs.
    commit: &'a RemoteCommit,
    shard: Shard,
    /// The newest commit of the target.
    newest: Option<RemoteCommit>,
    directory: &'a Path,
    options: &'a MirrorOptions,
    monitor: &'a Monitor,
}

/// Makes a shard of a commit of the source the newest commit of a directory.
pub(super) async fn copy_shard(
    source: &Store,
    commit: &RemoteCommit,
    number: ShardNumber,
    place: &Place,
    options: &MirrorOptions,
    monitor: &Monitor,
) -> Result<MirrorReport, StoreError> {
    let directory = match place {
        Place::Directory(directory) => directory,
        Place::Bucket(store) => {
            return Err(StoreError::ShardInBucket { place: store.name().to_owned() });
        }
    };
    if let Some(shard) = commit.shard() {
        let (place, index, count) = (source.name().to_owned(), shard.index, shard.count);
        return Err(StoreError::SourceIsShard { place, index, count });
    }
    let target = Target::open(place, options, monitor).await?;
    let newest = target.commit().await?;
    let shard = Shard::new(number.index(), number.count(), number.hashes());
    let shard = shard.with_source(commit.identity());
    let shard = shard.ok_or(StoreError::Internal("a commit in a store is protected"))?;
    let held = newest.as_ref().and_then(RemoteCommit::shard);
    let mut report = MirrorReport::new(commit.identity(), held.map(|held| held.source_identity()));
    if let Some(newest) = newest.as_ref().filter(|newest| newest.shard() == Some(shard)) {
        let mut target = target;
        report.kept_files = newest.files().len() as u64;
        if options.repair {
            report.kept_files = 0;
            let present = target.present().await?;
            let files = newest.keyed_files();
            // The meta files of a shard are its own, and not repaired.
            let repaired = Some(&Repaired::default());
            let plan = Plan::of(files, Some(newest), &present, target.store(), repaired)?;
            let commits = Commits { copied: newest, newest: Some(newest) };
            target = transfer(source, target, plan, commits, options, monitor, &mut report).await?;
        }
        report.set_tidied(target.end(None, options).await?);
        return Ok(report);
    }
    if let Some(newest) = &newest
        && !options.replace
        && !may_follow(commit, &shard, held.as_ref()).await?
    {
        check_held(&target, newest, Some(shard))?;
        return Err(conflict(source, &target, newest));
    }
    let is_held = newest.as_ref().map(|newest| check_held(&target, newest, Some(shard)));
    let run = ShardRun { source, commit, shard, newest, directory, options, monitor };
    let copied = run.run(target, report).await;
    match (copied, is_held) {
        // Its meta files are in the way, since they are not of this shard.
        (Err(StoreError::ShardOutgrown { .. } | StoreError::Taken { .. }), Some(Err(held))) => {
            Err(held)
        }
        (copied, _) => copied,
    }
}

/// Whether the target holds the same shard of an earlier commit of the source.
async fn may_follow(
    commit: &RemoteCommit,
    shard: &Shard,
    held: Option<&Shard>,
) -> Result<bool, StoreError> {
    let Some(held) = held.filter(|held| held.is_same_shard(shard)) else { return Ok(false) };
    let held = Ancestor { sequence: held.source, checksum: held.source_checksum };
    commit.comes_after(held).await
}

impl ShardRun<'_> {
    async fn run(
        &self,
        target: Target,
        mut report: MirrorReport,
    ) -> Result<MirrorReport, StoreError> {
        let tables = self.commit.table_files(self.shard.hashes);
        let target = self.copy(target, tables, &mut report).await?;
        let present = target.present().await?;
        let mut metas = Vec::with_capacity(self.commit.metas().count());
        for meta in self.commit.metas() {
            let meta = match self.reused(meta, &target, &present).await? {
                Some(reused) => ShardMeta::reused(&reused),
                None => self.new_meta(meta).await?,
            };
            metas.push(meta);
        }
        let newest = metas.pop().ok_or_else(|| StoreError::internal("a commit has a meta file"))?;
        let blobs = metas.iter().chain([&newest]).flat_map(|meta| &meta.blobs);
        let blobs: BTreeMap<_, _> = blobs.copied().map(blob_file).collect();
        let target = self.copy(target, blobs, &mut report).await?;
        let listed: BTreeMap<_, _> = self.commit.listed().map(|it| (it.sequence, it)).collect();
        let mut list = Vec::with_capacity(metas.len() + 1);
        for meta in &metas {
            let listed = listed.get(&meta.sequence);
            let listed = listed.ok_or(StoreError::Internal("a commit lists its meta files"))?;
            list.push(ListedMeta { checksum: meta.checksum, ..**listed });
        }
        let newest = self.newest_meta(newest, list).await?;
        let held = self.newest.iter().flat_map(RemoteCommit::metas);
        if let Some(held) = held.into_iter().find(|held| held.sequence == newest.sequence)
            && held.checksum != newest.checksum
        {
            // It is a part of a later commit, and the source went back.
            let object = target.store().object(&meta_name(held.sequence).to_string());
            return Err(StoreError::ShardOutgrown { object });
        }
        for meta in metas.iter().chain([&newest]) {
            self.write(meta, &target, &mut report).await?;
        }
        let (sequence, checksum) = (newest.sequence, newest.checksum);
        report.set_tidied(target.end_shard(sequence, checksum, self.options).await?);
        Ok(report)
    }

    /// Copies the tables or blobs that are not there.
    async fn copy(
        &self,
        target: Target,
        files: BTreeMap<FileName, (CommitFile, Described)>,
        report: &mut MirrorReport,
    ) -> Result<Target, StoreError> {
        let present = target.present().await?;
        let none = Repaired::default();
        let (newest, repaired) = (self.newest.as_ref(), self.options.repair.then_some(&none));
        let plan = Plan::of(files, newest, &present, target.store(), repaired)?;
        let commits = Commits { copied: self.commit, newest: self.newest.as_ref() };
        transfer(self.source, target, plan, commits, self.options, self.monitor, report).await
    }

    /// The shard's meta file for one of the source's, if it is there: of the target's newest
    /// commit, or left by a pull that was interrupted or has been replaced since.
    async fn reused(
        &self,
        meta: &SharedMeta,
        target: &Target,
        present: &BTreeMap<FileName, u64>,
    ) -> Result<Option<SharedMeta>, StoreError> {
        if meta.sequence == self.commit.sequence() {
            return Ok(None);
        }
        let mut held = self.newest.iter().flat_map(RemoteCommit::metas);
        if let Some(held) = held.find(|held| held.sequence == meta.sequence) {
            if self.serves(held, meta) {
                return Ok(Some(held.clone()));
            }
            let object = target.store().object(&meta_name(meta.sequence).to_string());
            return Err(match self.is_of(held, meta) {
                true => StoreError::ShardOutgrown { object },
                false => StoreError::Taken { object },
            });
        }
        if !present.contains_key(&meta_name(meta.sequence)) {
            return Ok(None);
        }
        // The whole file is verified, since no commit vouches for it.
        match RemoteMeta::read_verified(target.store(), meta.sequence).await {
            Ok(found) => {
                let found = SharedMeta::new(found);
                Ok(self.serves(&found, meta).then_some(found))
            }
            Err(error) if error.is_corruption() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a meta file is this shard's for one of the source's.
    fn is_of(&self, found: &RemoteMeta, source: &RemoteMeta) -> bool {
        let expected = source.as_source_of(self.shard);
        matches!((found.extension.shard, expected), (Some(found), Some(expected)) if found == expected)
    }

    /// Whether it also describes all tables that the shard needs of that meta file, and may belong
    /// to the commit. It does unless tables are live again that were dead when it was made, or it
    /// was made for a later commit, because the source went back to an earlier one.
    fn serves(&self, found: &RemoteMeta, source: &SharedMeta) -> bool {
        let described: BTreeSet<_> = found.tables.iter().map(|it| it.record.sequence).collect();
        self.is_of(found, source)
            && found.commit <= self.commit.sequence()
            && self.live_of(source).all(|table| described.contains(&table.record.sequence))
    }

    /// The live tables of a meta file of the source that the shard needs.
    fn live_of(&self, meta: &SharedMeta) -> impl Iterator<Item = &RemoteTable> {
        self.commit.live_tables_of(meta.sequence, self.shard.hashes)
    }

    /// Makes the shard's meta file for one of the source's, which is a part of the shard's commit,
    /// or the base of its newest meta file. Its tables have been copied.
    async fn new_meta(&self, meta: &SharedMeta) -> Result<ShardMeta, StoreError> {
        // Tables that are dead now may be live again after a rollback. Which blobs they refer to
        // cannot be told, though: they may be gone.
        let live: BTreeSet<_> = self.live_of(meta).map(|table| table.record.sequence).collect();
        let has_blobs = !meta.blobs.is_empty();
        let is_wanted = |table: &&RemoteTable| match has_blobs {
            true => live.contains(&table.record.sequence),
            false => self.shard.hashes.overlaps(table.hashes()),
        };
        let tables: Vec<_> = meta.tables.iter().filter(is_wanted).cloned().collect();
        let blobs = if has_blobs { self.blobs_of(&tables, meta).await? } else { Vec::new() };
        if meta.sequence == self.commit.sequence() {
            // It is encoded when the others are known, which it lists.
            return ShardMeta::unfinished(meta, tables, &blobs);
        }
        let shard = meta.as_source_of(self.shard);
        let extension = Extension { lineage: Lineage::default(), shard };
        let unfinished = ShardMeta::unfinished(meta, tables, &blobs)?;
        build(unfinished, meta, self.commit.sequence(), &[], &extension).await
    }

    /// Encodes the newest meta file, which lists the others.
    async fn newest_meta(
        &self,
        unfinished: ShardMeta,
        mut list: Vec<ListedMeta>,
    ) -> Result<ShardMeta, StoreError> {
        let newest = self.commit.newest();
        let own = self.commit.listed().find(|listed| listed.sequence == newest.sequence);
        let own = own.ok_or(StoreError::Internal("a commit lists its newest meta file"))?;
        list.push(ListedMeta { checksum: 0, ..*own });
        let lineage = self.newest.as_ref().map_or_else(Lineage::default, |before| {
            before.lineage().followed_by(before.as_ancestor())
        });
        let extension = Extension { lineage, shard: Some(self.shard) };
        build(unfinished, newest, newest.sequence, &list, &extension).await
    }

    /// The records of the blobs to which each of the copied tables refers with hashes of the shard.
    async fn blobs_of(
        &self,
        tables: &[RemoteTable],
        meta: &SharedMeta,
    ) -> Result<Vec<Vec<BlobRecord>>, StoreError> {
        let name = |sequence| FileName { sequence, kind: FileKind::Sst }.to_string();
        let paths = tables.iter().map(|table| self.directory.join(name(table.record.sequence)));
        let paths: Vec<_> = paths.collect();
        let hashes = self.shard.hashes;
        let referred = blocking(move || blobs_of(&paths, hashes.min..=hashes.max)).await?;
        let records: BTreeMap<_, _> = meta.blobs.iter().map(|blob| (blob.number, *blob)).collect();
        let record = |number: &BlobNumber| {
            let record = records.get(number).copied();
            record.ok_or_else(|| StoreError::UnlistedBlob { object: meta.object(), blob: *number })
        };
        referred.iter().map(|blobs| blobs.iter().map(record).collect()).collect()
    }

    /// Writes a meta file, unless it is there with these bytes.
    async fn write(
        &self,
        meta: &ShardMeta,
        target: &Target,
        report: &mut MirrorReport,
    ) -> Result<(), StoreError> {
        let Some(bytes) = &meta.bytes else {
            report.kept_files += 1;
            return Ok(());
        };
        let name = meta_name(meta.sequence);
        let len = bytes.len() as u64;
        let is_there = match target.store().read_start(&name.to_string(), len).await {
            Ok(there) => there.len == len && there.bytes == bytes,
            Err(StoreError::Missing { .. }) => false,
            Err(error) => return Err(error),
        };
        if is_there {
            report.kept_files += 1;
            return Ok(());
        }
        report.copied_files += 1;
        report.copied_bytes += bytes.len() as u64;
        target.put(name, bytes.clone()).await
    }
}

fn meta_name(sequence: SequenceNumber) -> FileName {
    FileName { sequence, kind: FileKind::Meta }
}

/// A blob as a file of a commit.
fn blob_file(blob: BlobRecord) -> (FileName, (CommitFile, Described)) {
    let name = FileName { sequence: SequenceNumber(blob.number.0), kind: FileKind::Blob };
    let file = CommitFile { name, len: blob.file_size, identity: FileIdentity::Blob(blob) };
    (name, (file, Described::BySelf))
}
