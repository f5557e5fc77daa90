//! The run of a mirror.

use std::path::Path;
use std::sync::Arc;

use sst_format::meta_head::Shard;

use super::gate::Gate;
use super::meta_repair::{Repaired, repair_metas};
use super::plan::Plan;
use super::shard_run::copy_shard;
use super::spoiled::{Commits, remove_spoiled};
use super::target::Target;
use super::transfer::Transfer;
use super::{MirrorOptions, MirrorReport};
use crate::{Monitor, Place, RemoteCommit, Store, StoreError};

/// How many commits of the source may overtake one mirror before it is given up.
const MAX_OVERTAKEN: u32 = 100;

/// Copies the newest commit of a directory to another place.
///
/// This is [`mirror`] from a directory of the file system. The directory is not locked: a publisher
/// may be at work.
///
/// # Errors
///
/// As [`mirror`].
pub async fn push(
    directory: impl AsRef<Path>,
    target: &Place,
    options: &MirrorOptions,
    monitor: &Monitor,
) -> Result<MirrorReport, StoreError> {
    mirror(&Store::from_directory(directory)?, target, options, monitor).await
}

/// Copies the newest commit of a store into a directory, which is created if it is missing.
///
/// This is [`mirror`] to a directory of the file system. Readers of the directory see the commit
/// before or the new one, as with any commit, and need not be told.
///
/// # Errors
///
/// As [`mirror`].
pub async fn pull(
    source: &Store,
    directory: impl AsRef<Path>,
    options: &MirrorOptions,
    monitor: &Monitor,
) -> Result<MirrorReport, StoreError> {
    mirror(source, &Place::Directory(directory.as_ref().to_owned()), options, monitor).await
}

/// Makes the newest commit of a source the newest commit of a target, with the same files.
///
/// Files that the newest commit of the target has are not copied, unless one is missing or has
/// another length there: then it is copied again. With [`MirrorOptions::repair`] they are read,
/// too, and copied again if their bytes are wrong. Of the others, those that are there with the
/// right length, because a mirror was interrupted, are read and verified; the rest is copied, and
/// every byte is verified on its way by the chain of checksums. Then the commit becomes visible in
/// one step. It needs memory for [`MirrorOptions::parallel`] pieces, whatever the sizes of files.
/// `monitor` observes the bytes that are copied, and cancels the mirror within one piece.
///
/// With [`MirrorOptions::shard`], a directory gets the tables and blobs that a range of hashes
/// needs, and meta files of its own that describe them (FORMAT.md section 15). Of the source's meta
/// files only those are read that the range needs. Readers of the directory answer keys of the
/// shard, and refuse others.
///
/// If the source gets a newer commit meanwhile and loses files of the one that is being copied, the
/// newer one is copied.
///
/// # Errors
///
/// [`StoreError::Conflict`] if the newest commit of the target is none of the source's, unless
/// [`MirrorOptions::replace`] is set; [`StoreError::Taken`] if that commit then has other files of
/// the same names; of shards [`StoreError::ShardInBucket`], [`StoreError::SourceIsShard`] or
/// [`StoreError::ShardOutgrown`]; [`StoreError::Changed`] or [`StoreError::Claimed`] if there is
/// another writer; [`StoreError::NoCommit`] if the source has no commit; any other [`StoreError`].
/// The target is then at the commit before. It may have files of the new one, with which the next
/// mirror goes on.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use object_store::memory::InMemory;
/// use sst_object_store::{MirrorOptions, Monitor, Place, Store, pull, push};
/// # use sst_writer::{Publisher, PublisherOptions, WriterOptions};
/// # let parent = tempfile::tempdir()?;
/// # let (directory, copy) = (parent.path().join("fruit.db"), parent.path().join("copy.db"));
/// # let mut publisher = Publisher::open(&directory, PublisherOptions::default())?;
/// # let mut commit = publisher.begin();
/// # let mut table = commit.create_table(WriterOptions::default())?;
/// # table.add(("key", "value"))?;
/// # commit.add_table(table.finish()?)?;
/// # commit.publish(&Monitor::default())?;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let store = Store::new(Arc::new(InMemory::new()), "memory:///", "fruit.db")?;
/// let options = MirrorOptions::default();
/// let monitor = Monitor::default();
/// push(&directory, &Place::Bucket(store.clone()), &options, &monitor).await?;
/// let report = pull(&store, &copy, &options, &monitor).await?;
/// // A table and a meta file.
/// assert_eq!(report.copied_files, 2);
/// // Nothing is copied twice.
/// assert_eq!(pull(&store, &copy, &options, &monitor).await?.copied_files, 0);
/// # Ok::<(), sst_object_store::StoreError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn mirror(
    source: &Store,
    target: &Place,
    options: &MirrorOptions,
    monitor: &Monitor,
) -> Result<MirrorReport, StoreError> {
    let source = &source.monitored(monitor);
    let mut overtaken = 0;
    loop {
        let commit = match options.shard {
            Some(shard) => RemoteCommit::read_hashes(source, shard.hashes()).await?,
            None => RemoteCommit::read(source).await?,
        };
        let commit =
            commit.ok_or_else(|| StoreError::NoCommit { place: source.name().to_owned() })?;
        let copied = match options.shard {
            Some(shard) => copy_shard(source, &commit, shard, target, options, monitor).await,
            None => mirror_commit(source, &commit, target, options, monitor).await,
        };
        let error = match copied {
            Err(error) if error.is_corruption() => error,
            result => return result,
        };
        // A newer commit may have removed files that this one needs.
        let is_overtaken = RemoteCommit::newest_identity(source).await? != Some(commit.identity());
        if !is_overtaken || overtaken == MAX_OVERTAKEN {
            return Err(error);
        }
        overtaken += 1;
    }
}

/// Makes a commit of the source the newest of the target.
async fn mirror_commit(
    source: &Store,
    commit: &RemoteCommit,
    place: &Place,
    options: &MirrorOptions,
    monitor: &Monitor,
) -> Result<MirrorReport, StoreError> {
    let repaired = match options.repair {
        true => Some(repair_metas(source, commit, place, options, monitor).await?),
        false => None,
    };
    let mut target = Target::open(place, options, monitor).await?;
    let newest = target.commit().await?;
    let before = newest.as_ref().map(RemoteCommit::identity);
    let mut report = MirrorReport::new(commit.identity(), before);
    let repaired = repaired.as_ref();
    report.copied_files = repaired.map_or(0, Repaired::files);
    report.copied_bytes = repaired.map_or(0, Repaired::bytes);
    let is_changed = report.is_changed();
    if let Some(newest) = &newest
        && is_changed
        && !options.replace
        && !commit.comes_after(newest.as_ancestor()).await?
    {
        check_held(&target, newest, commit.shard())?;
        return Err(conflict(source, &target, newest));
    }
    let newest_of = newest.as_ref();
    let present = target.present().await?;
    let names = Plan::new(commit, newest_of, &present, target.store(), repaired)?;
    if !is_changed && names.new_names().is_empty() {
        report.kept_files = names.kept;
        report.set_tidied(target.end(None, options).await?);
        return Ok(report);
    }
    target.claim(&names.new_names(), commit, options).await?;
    // Looked at again: before the claim, others may have written.
    let present = target.present().await?;
    let plan = Plan::new(commit, newest_of, &present, target.store(), repaired)?;
    let commits = Commits { copied: commit, newest: newest.as_ref() };
    let target = transfer(source, target, plan, commits, options, monitor, &mut report).await?;
    report.set_tidied(target.end(is_changed.then_some(commit), options).await?);
    Ok(report)
}

/// Fails if a target, whose newest commit is given, holds something else than what is to be copied
/// there: another shard, a shard where everything is to be copied, or everything where a shard is.
pub(super) fn check_held(
    target: &Target,
    newest: &RemoteCommit,
    copied: Option<Shard>,
) -> Result<(), StoreError> {
    let place = || target.store().name().to_owned();
    match (newest.shard(), copied) {
        (Some(held), Some(copied)) if held.is_same_shard(&copied) => Ok(()),
        (Some(held), _) => {
            Err(StoreError::HoldsShard { place: place(), index: held.index, count: held.count })
        }
        (None, Some(_)) => Err(StoreError::HoldsAll { place: place() }),
        (None, None) => Ok(()),
    }
}

/// The error for a target whose newest commit is none of the source's.
pub(super) fn conflict(source: &Store, target: &Target, newest: &RemoteCommit) -> StoreError {
    let (target, origin) = (target.store().name().to_owned(), source.name().to_owned());
    StoreError::Conflict { target, origin, sequence: newest.sequence() }
}

/// Copies and verifies the files of a plan.
pub(super) async fn transfer(
    source: &Store,
    target: Target,
    plan: Plan,
    commits: Commits<'_>,
    options: &MirrorOptions,
    monitor: &Monitor,
    report: &mut MirrorReport,
) -> Result<Target, StoreError> {
    let total = plan.missing.iter().chain(&plan.unverified).map(|planned| planned.file.len).sum();
    let transfer = Transfer {
        source: source.clone(),
        target: Arc::new(target),
        options: options.clone(),
        gate: Arc::new(Gate::new(options, monitor, total)),
    };
    let unverified = plan.unverified.len() as u64;
    let mut files = transfer.verify(plan.unverified).await?;
    report.kept_files += plan.kept + unverified - files.len() as u64;
    files.extend(plan.missing);
    remove_spoiled(&transfer.target, commits, &files).await?;
    transfer.copy(files, report).await?;
    Arc::into_inner(transfer.target)
        .ok_or_else(|| StoreError::internal("all tasks have ended when all files are copied"))
}
