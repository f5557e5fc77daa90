//! The repair of the meta files of a target, without which its newest commit cannot be read.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use sst_format::SequenceNumber;
use sst_format::file_name::{FileKind, FileName};
use sst_format::monitor::Monitor;
use sst_writer::PublisherOptions;
use sst_writer::publish::MetaRepair;

use super::MirrorOptions;
use super::bucket_target::BucketTarget;
use super::gate::Gate;
use super::target::TargetFile;
use crate::blocking::blocking;
use crate::check::{FileCheck, MetaCheck};
use crate::commit::{CurrentObject, RemoteMeta, checksum_of};
use crate::upload::Upload;
use crate::{Place, RemoteCommit, Store, StoreError};

/// A meta file: its number, its length in bytes, and the checksum that its last bytes state.
#[derive(Clone, Copy, Debug)]
struct KnownMeta {
    sequence: SequenceNumber,
    len: u64,
    checksum: u32,
}

/// The files that were written anew.
#[derive(Clone, Debug, Default)]
pub(super) struct Repaired(Vec<KnownMeta>);

/// The repair of the meta files of the newest commit of a target.
#[derive(Debug)]
struct Repair<'a> {
    source: &'a Store,
    target: &'a Store,
    options: &'a MirrorOptions,
    monitor: &'a Monitor,
    /// The newest commit of the target, which perhaps cannot be read.
    current: SequenceNumber,
    /// The meta files of the source that this commit may have.
    wanted: Vec<KnownMeta>,
}

/// Writes the meta files anew that the newest commit of a target shares with the source, and that
/// are damaged, cut or missing in the target. `CURRENT` stays as it is.
///
/// A file is repaired only if it is known to be the source's: either the newest meta file of the
/// target lists it with the source's checksum, or its own last bytes state that checksum. Without
/// this rule a target of another history could become the source's, which it may with
/// [`MirrorOptions::replace`]. A file that is what its own checksum says belongs to another history
/// and is never touched here.
pub(super) async fn repair_metas(
    source: &Store,
    commit: &RemoteCommit,
    place: &Place,
    options: &MirrorOptions,
    monitor: &Monitor,
) -> Result<Repaired, StoreError> {
    let mut repaired = Repaired::default();
    if matches!(place, Place::Directory(path) if !path.exists()) {
        return Ok(repaired);
    }
    let target = &place.store()?.monitored(monitor);
    let Some(CurrentObject { sequence: current, .. }) = CurrentObject::read(target).await? else {
        return Ok(repaired);
    };
    let wanted = wanted(source, commit, current).await?;
    let repair = Repair { source, target, options, monitor, current, wanted };
    // The newest meta file first: it tells which others the commit has.
    for _ in 0..2 {
        if repair.damaged().await?.is_empty() {
            break;
        }
        repaired.0.extend(match place {
            Place::Directory(path) => repair.of_directory(path.clone()).await?,
            Place::Bucket(_) => repair.of_bucket(commit).await?,
        });
    }
    Ok(repaired)
}

/// The meta files of the source that commit `current` of the target may have: those of the source's
/// newest commit and, if the source still has it, of its commit of that number.
async fn wanted(
    source: &Store,
    commit: &RemoteCommit,
    current: SequenceNumber,
) -> Result<Vec<KnownMeta>, StoreError> {
    let mut wanted = BTreeMap::new();
    let mut add = |commit: &RemoteCommit| {
        for meta in commit.metas().filter(|meta| meta.sequence <= current) {
            let (sequence, len, checksum) = (meta.sequence, meta.len, meta.checksum);
            wanted.insert(sequence, KnownMeta { sequence, len, checksum });
        }
    };
    add(commit);
    if current < commit.sequence() {
        match RemoteCommit::read_at(source, current).await {
            Ok(earlier) => add(&earlier),
            // The source does not have that commit any more, or never had it.
            Err(error) if error.is_corruption() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(wanted.into_values().collect())
}

impl KnownMeta {
    const fn name(&self) -> FileName {
        FileName { sequence: self.sequence, kind: FileKind::Meta }
    }
}

/// The result of a check whose failure is a finding.
fn holds(checked: Result<(), StoreError>) -> Result<bool, StoreError> {
    match checked {
        Ok(()) => Ok(true),
        Err(error) if error.is_corruption() => Ok(false),
        Err(error) => Err(error),
    }
}

impl Repair<'_> {
    /// The wanted meta files that are not intact in the target, and that are to be repaired.
    async fn damaged(&self) -> Result<Vec<KnownMeta>, StoreError> {
        let listed: BTreeSet<_> = match RemoteMeta::read(self.target, self.current).await {
            Ok(newest) => {
                let listed = newest.live_metas.metas();
                listed.map(|meta| (meta.sequence, meta.checksum)).collect()
            }
            Err(error) if error.is_corruption() => BTreeSet::new(),
            Err(error) => return Err(error),
        };
        let mut damaged = Vec::new();
        for meta in &self.wanted {
            let is_listed = listed.contains(&(meta.sequence, meta.checksum));
            let is_newest = meta.sequence == self.current;
            if (is_listed || is_newest)
                && !self.is_intact(meta).await?
                && (is_listed || self.may_become(meta).await?)
            {
                damaged.push(*meta);
            }
        }
        Ok(damaged)
    }

    /// Whether the target has exactly this meta file.
    async fn is_intact(&self, meta: &KnownMeta) -> Result<bool, StoreError> {
        holds(self.check(self.target, meta).await)
    }

    /// Whether the damaged newest meta file of the target was this one, or may be replaced by it.
    async fn may_become(&self, meta: &KnownMeta) -> Result<bool, StoreError> {
        let (checksum, sequence) = match checksum_of(self.target, meta.sequence).await {
            Ok(checksum) => (checksum, meta.sequence),
            Err(error) if error.is_corruption() => return Ok(self.options.replace),
            Err(error) => return Err(error),
        };
        if checksum == meta.checksum {
            return Ok(true);
        }
        let len = self.target.len_of(&meta.name().to_string()).await?;
        let own = len.map(|len| KnownMeta { sequence, len, checksum });
        let is_of_other_history = match own {
            Some(own) => holds(self.check(self.target, &own).await)?,
            None => false,
        };
        Ok(self.options.replace && !is_of_other_history)
    }

    /// Reads a meta file of a store whole, and checks it.
    async fn check(&self, store: &Store, meta: &KnownMeta) -> Result<(), StoreError> {
        let (name, mut check) = (meta.name().to_string(), check_of(meta));
        for range in self.pieces(meta.len) {
            self.monitor.check()?;
            let bytes = store.read_range(&name, range, meta.len).await?;
            check.update(&bytes).map_err(|defect| defect.of(store.object(&name)))?;
        }
        check.finish().map_err(|defect| defect.of(store.object(&name)))
    }

    fn pieces(&self, len: u64) -> impl Iterator<Item = Range<u64>> + Send + use<> {
        let piece_len = self.options.piece_len_of(len);
        (0..len.div_ceil(piece_len)).map(move |index| {
            let start = index * piece_len;
            start..len.min(start + piece_len)
        })
    }

    /// Repairs a directory, which is locked meanwhile.
    async fn of_directory(&self, path: PathBuf) -> Result<Vec<KnownMeta>, StoreError> {
        let open = move || Ok(MetaRepair::open(path, &PublisherOptions::default())?);
        let directory = Arc::new(blocking(open).await?);
        // Before the lock was held, another process may have repaired it.
        let damaged = self.damaged().await?;
        let gate = self.gate(&damaged);
        for meta in &damaged {
            let (directory, sequence) = (Arc::clone(&directory), meta.sequence);
            let output = blocking(move || Ok(directory.create(sequence)?)).await?;
            self.copy(meta, TargetFile::Directory(output), &gate).await?;
        }
        let directory = Arc::into_inner(directory)
            .ok_or_else(|| StoreError::internal("all files are finished when a repair ends"))?;
        blocking(move || Ok(directory.end()?)).await?;
        Ok(damaged)
    }

    /// Repairs a bucket, whose numbers are claimed meanwhile.
    async fn of_bucket(&self, commit: &RemoteCommit) -> Result<Vec<KnownMeta>, StoreError> {
        let mut bucket = BucketTarget::open(self.target).await?;
        let names: Vec<_> = self.damaged().await?.iter().map(KnownMeta::name).collect();
        bucket.claim(&names, commit, self.options).await?;
        let damaged = self.damaged().await?;
        let gate = self.gate(&damaged);
        for meta in &damaged {
            let is_one_piece = meta.len <= self.options.piece_len_of(meta.len);
            let name = meta.name().to_string();
            let upload = Upload::start(self.target, name, is_one_piece).await?;
            self.copy(meta, TargetFile::Bucket(upload), &gate).await?;
        }
        bucket.end(None).await?;
        Ok(damaged)
    }

    fn gate(&self, damaged: &[KnownMeta]) -> Gate {
        let bytes = damaged.iter().map(|meta| meta.len).sum();
        Gate::new(self.options, self.monitor, bytes)
    }

    /// Copies a meta file of the source, and checks it on its way.
    async fn copy(
        &self,
        meta: &KnownMeta,
        mut output: TargetFile,
        gate: &Gate,
    ) -> Result<(), StoreError> {
        let (name, mut check) = (meta.name().to_string(), check_of(meta));
        for range in self.pieces(meta.len) {
            let len = range.end - range.start;
            let permit = gate.enter(len).await?;
            let read = self.source.read_range(&name, range, meta.len).await;
            let checked = read.and_then(|bytes| {
                let checked = check.update(&bytes);
                checked.map_err(|defect| defect.of(self.source.object(&name)))?;
                Ok(bytes)
            });
            output = match checked {
                Ok(bytes) => output.write(bytes, permit).await?,
                Err(error) => {
                    output.abort().await;
                    return Err(error);
                }
            };
            gate.arrived(len)?;
        }
        if let Err(defect) = check.finish() {
            output.abort().await;
            return Err(defect.of(self.source.object(&name)));
        }
        output.finish().await
    }
}

fn check_of(meta: &KnownMeta) -> FileCheck {
    FileCheck::Meta(MetaCheck::new(meta.len, meta.checksum))
}

impl Repaired {
    pub(super) fn has(&self, meta: SequenceNumber) -> bool {
        self.0.iter().any(|repaired| repaired.sequence == meta)
    }

    pub(super) fn files(&self) -> u64 {
        self.0.len() as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|meta| meta.len).sum()
    }
}
