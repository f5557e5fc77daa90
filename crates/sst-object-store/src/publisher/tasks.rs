//! Tables that tasks have written into a bucket under claims become part of a commit.

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;

use futures_util::future::try_join;
use futures_util::{StreamExt, TryStreamExt, stream};
use sst_format::SequenceNumber;
use sst_format::content_digest::ContentDigest;
use sst_format::file_name::{FileKind, FileName};
use sst_writer::PublishError;
use sst_writer::publish::{FragmentOverlap, JobId, TaskReport};

use super::added_tasks::check_claim;
use super::{ObjectCommit, ObjectPublisher};
use crate::claims::{Claim, FoundClaim, NumberBlock, Owner};
use crate::commit::{numbered_files, older_commits};
use crate::{RemoteCommit, Store, StoreError};

impl ObjectCommit<'_> {
    /// Adds the tables and blobs that one attempt of a task has written into this bucket
    /// ([`ObjectTaskWriter`](crate::ObjectTaskWriter)). They count as added after the tables before
    /// them, in their own order.
    ///
    /// Checked are the claims of the task, and that each object has the reported length: one
    /// request for each. No table is read. `overlap` says how a task is treated whose hashes
    /// overlap those of a task added before. After an error nothing of the task is added. A commit
    /// that is dropped, or fails, leaves the objects of its tasks where they are.
    ///
    /// # Errors
    ///
    /// [`StoreError::Claimed`] if a claim has ended or is another's; [`StoreError::Directory`] with
    /// the errors of [`Commit::add_task`](sst_writer::publish::Commit::add_task);
    /// [`StoreError::Request`].
    pub async fn add_task(
        &mut self,
        report: &TaskReport,
        overlap: FragmentOverlap,
    ) -> Result<(), StoreError> {
        report.check(self.change.family())?;
        let mut tables = report.tables.iter().map(|table| table.sequence);
        if let Some(table) = tables.find(|table| self.numbers.contains(table)) {
            return Err(PublishError::ForeignTable { table }.into());
        }
        let overlaps = self.tasks.tables().overlap(report, overlap)?;
        let store = &self.publisher.store;
        let parallel = self.publisher.options.parallel.max(1);
        let blocks = report.claims.iter().map(|first| NumberBlock::of(SequenceNumber(*first)));
        let claims: Vec<_> = blocks.map(|block| check_claim(store, block, report.owner)).collect();
        let claims = stream::iter(claims).buffer_unordered(parallel).try_collect::<()>();
        let lens = lens(report).map(|(name, len)| check_len(store, name, len));
        let lens = stream::iter(lens).buffer_unordered(parallel).try_collect::<()>();
        try_join(claims, lens).await?;
        self.tasks.add(report, overlaps);
        self.made_blobs.extend(report.blobs.iter().map(|blob| (blob.number, *blob)));
        for table in &report.tables {
            self.add_described(table.sequence, table.meta.clone(), table.blobs.clone());
        }
        Ok(())
    }

    /// Certifies the commit by the digests that its tasks have reported: no table is read. Returns
    /// whether that was possible. It is not, and the commit is published without a certificate or
    /// as the options say, if a task has not read its tables back, if tasks overlap, if the commit
    /// has tables that no task has written, or if earlier tables of the family stay live.
    #[must_use = "a commit without a certificate is published all the same"]
    pub fn certify_tasks(&mut self) -> bool {
        let replaces_all = self.change.leaves_none_of(self.publisher.live_tables());
        let are_of_tasks = self.tasks.tables().count() == self.tables.len();
        let content = self.tasks.tables().content().filter(|_| replaces_all && are_of_tasks);
        self.content = content.or(self.content);
        content.is_some()
    }

    /// Sets the certificate of the commit's family: the digest of its live entries, tables of
    /// earlier commits included (FORMAT.md section 12). The caller must have read them from the
    /// bucket. It holds only for this commit on top of the newest one as of
    /// [`ObjectPublisher::begin`]: if another writer is faster, and the commit is made again, it is
    /// published without it.
    pub const fn certify(&mut self, content: ContentDigest) {
        self.content = Some(content);
    }
}

/// The names and lengths of the objects of a task.
fn lens(report: &TaskReport) -> impl Iterator<Item = (FileName, u64)> {
    let table = |sequence| FileName { sequence, kind: FileKind::Sst };
    let tables = report.tables.iter().map(move |it| (table(it.sequence), it.meta.file_size));
    let blob = |number| FileName { sequence: SequenceNumber(number), kind: FileKind::Blob };
    tables.chain(report.blobs.iter().map(move |it| (blob(it.number.0), it.file_size)))
}

async fn check_len(store: &Store, name: FileName, expected: u64) -> Result<(), StoreError> {
    let name = name.to_string();
    match store.len_of(&name).await? {
        Some(found) if found == expected => Ok(()),
        found => {
            let path = store.object(&name).into();
            Err(PublishError::TaskFile { path, expected, found }.into())
        }
    }
}

impl ObjectPublisher {
    /// Ends a job: the claims of all attempts of its tasks end, and the objects under them that no
    /// commit names are removed. The driver calls it after the commit, or instead of one. For
    /// example, an executor was killed, and an attempt that was too slow has written the tables of
    /// another attempt once more.
    ///
    /// An attempt that still runs finds [`StoreError::Claimed`] when it finishes. O(objects) in
    /// requests for lists, one request for each claim, four for each claim of the job, and one for
    /// each object that is removed; [`ObjectPublisherOptions::parallel`] of them at once.
    ///
    /// [`ObjectPublisherOptions::parallel`]: crate::ObjectPublisherOptions::parallel
    ///
    /// # Errors
    ///
    /// [`StoreError::Request`]; as [`RemoteCommit::read_at`]: what a damaged commit names is
    /// unknown, so nothing is removed. Garbage collection removes the rest, by its age.
    pub async fn end_job(&mut self, job: JobId) -> Result<(), StoreError> {
        let store = &self.store;
        let parallel = self.options.parallel.max(1);
        let collector = Owner::Collector(job.new_owner());
        let blocks = NumberBlock::claimed(store).await?.into_iter();
        let taken: Vec<_> = blocks.map(|block| take_of_job(store, block, job, collector)).collect();
        let taken = stream::iter(taken).buffer_unordered(parallel);
        let claims: Vec<_> = taken.try_filter_map(|it| ready(Ok(it))).try_collect().await?;
        // A job without claims has no files.
        let Some(lowest) = claims.iter().map(Claim::block).min() else { return Ok(()) };
        let files = numbered_files(store).await?;
        let mut of_blocks: BTreeMap<NumberBlock, Vec<FileName>> = BTreeMap::new();
        for name in files.keys() {
            of_blocks.entry(NumberBlock::of(name.sequence)).or_default().push(*name);
        }
        // A commit that was published before the claims were taken may name some of the files. Its
        // number is above theirs.
        let mut named = BTreeSet::new();
        if let Some(newest) = RemoteCommit::read(store).await? {
            named.extend(newest.files().iter().map(|file| file.name));
            let older = older_commits(&newest, &files).into_iter();
            for sequence in older.filter(|sequence| *sequence >= lowest.first()) {
                match RemoteCommit::read_at(store, sequence).await {
                    Ok(commit) => named.extend(commit.files().iter().map(|file| file.name)),
                    // Its own files were removed, or it is a part of a newer one.
                    Err(StoreError::PartOfCommit { .. } | StoreError::Missing { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let end = |claim: Claim| {
            // A block without files has nothing to remove.
            let of_block = of_blocks.remove(&claim.block()).unwrap_or_default();
            end_claim(store, claim, of_block, &named)
        };
        let ends: Vec<_> = claims.into_iter().map(end).collect();
        stream::iter(ends).buffer_unordered(parallel).try_collect().await
    }
}

/// Takes the claim on a block, if it is of an attempt of a task of a job.
async fn take_of_job(
    store: &Store,
    block: NumberBlock,
    job: JobId,
    collector: Owner,
) -> Result<Option<Claim>, StoreError> {
    let is_of_job = |owner| match owner {
        Owner::Publisher(owner) => JobId::of_owner(owner) == job,
        Owner::Mirror { .. } | Owner::Collector(_) => false,
    };
    let owner = FoundClaim::read(store, block).await?.and_then(|found| found.owner());
    if !owner.is_some_and(is_of_job) {
        return Ok(None);
    }
    // In force for every other owner.
    let grace = std::time::Duration::MAX;
    let is_free = |owner| ready(Ok(is_of_job(owner)));
    Claim::take(store, block, collector, grace, is_free).await.map(Some)
}

/// Removes the files of a block that no commit names, and ends the claim.
async fn end_claim(
    store: &Store,
    claim: Claim,
    of_block: Vec<FileName>,
    named: &BTreeSet<FileName>,
) -> Result<(), StoreError> {
    let (needed, left): (Vec<_>, Vec<_>) =
        of_block.into_iter().partition(|name| named.contains(name));
    for name in left {
        store.remove(&name.to_string()).await?;
    }
    match needed.is_empty() {
        true => claim.remove(store).await,
        false => claim.release(store).await,
    }
}
