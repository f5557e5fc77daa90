//! The removal of objects that no commit needs.

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use sst_format::file_name::{CLAIMS_FOLDER, FileKind, FileName};
use sst_format::meta_head::CommitKind;
use sst_format::monitor::Monitor;
use sst_format::{BlobNumber, SequenceNumber};

use crate::claims::{Claim, FoundClaim, NumberBlock, Owner};
use crate::commit::{NumberedFiles, older_commits};
use crate::store::ListedObject;
use crate::{RemoteCommit, Store, StoreError};

/// Claims that are read at once: there may be one for each task of the last jobs.
const PARALLEL: usize = 8;

/// Options of [`collect_garbage`]. Start from the default and change single fields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GcOptions {
    /// Age up to which an object stays, whether a commit needs it or not: a writer may be about to
    /// publish it. Also the time for which a commit keeps its objects after it was replaced: a
    /// reader of it may be about to read them. Choose it longer than the longest push. Default: 1
    /// day.
    pub grace: Duration,
    /// Number of generations before the newest whose objects stay. A merge is no generation of its
    /// own. Default: 1.
    pub keep_generations: usize,
    /// Whether the objects are only listed. Default: `false`.
    pub dry_run: bool,
}

impl Default for GcOptions {
    fn default() -> Self {
        Self { grace: Duration::from_secs(24 * 60 * 60), keep_generations: 1, dry_run: false }
    }
}

impl GcOptions {
    /// Sets the age up to which an object stays.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets the number of earlier generations whose objects stay.
    #[must_use]
    pub fn keep_generations(mut self, keep_generations: usize) -> Self {
        self.keep_generations = keep_generations;
        self
    }

    /// Sets whether the objects are only listed.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }
}

/// The result of [`collect_garbage`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GcReport {
    /// The files that were removed or, in a dry run, would have been.
    pub removed: Vec<FileName>,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Number of files that no commit needs, but that are younger than the grace period, or whose
    /// numbers another writer has claimed, or of which nothing tells whose they are.
    pub spared: u64,
}

/// Removes the files of a bucket that no commit needs: those of commits that were replaced, and
/// those that crashed writers have left.
///
/// It spares the files of the newest commit and of [`GcOptions::keep_generations`] generations
/// before it, all objects younger than [`GcOptions::grace`], all files under numbers that another
/// writer has claimed and not released for less than that, and blobs that no meta file lists and no
/// claim covers. If a commit whose files are to stay is damaged, nothing is removed. Objects with
/// other names are not touched. O(objects) in requests for lists, and one request for each file
/// that is removed.
///
/// It may run beside mirrors: it claims the numbers of the files before it removes them, and reads
/// the newest commit after that. `monitor` cancels it between two objects.
///
/// # Errors
///
/// [`StoreError::NoCommit`] if there is no `CURRENT`: the files may be the only copy of the data.
/// [`StoreError::Request`]; [`StoreError::Cancelled`]. Commits are complete in any case.
pub async fn collect_garbage(
    store: &Store,
    options: &GcOptions,
    monitor: &Monitor,
) -> Result<GcReport, StoreError> {
    store.check_writable()?;
    let listing = Listing::read(store, options.grace).await?;
    let needed = Needed::read(store, &listing, options).await?;
    let mut report = GcReport::default();
    let mut garbage = listing.garbage(&needed, &mut report);
    spare_unlisted(store, &listing, &needed, &mut garbage, &mut report).await?;
    if options.dry_run {
        report.add(garbage.into_values().flatten());
        return Ok(report);
    }
    // A claim that a killed writer holds would keep others away, whatever files it is about.
    let claims = listing.old_claims().filter(|block| !garbage.contains_key(block));
    let ended: Vec<_> = claims.map(|block| to_be_ended(store, &listing, block)).collect();
    let ended = stream::iter(ended).buffer_unordered(PARALLEL).try_filter_map(|it| ready(Ok(it)));
    let ended: Vec<_> = ended.try_collect().await?;
    monitor.check()?;
    garbage.extend(ended.into_iter().map(|block| (block, Vec::new())));
    let (mut claims, owner) = (Vec::new(), Owner::Collector(RandomState::new().hash_one(())));
    garbage = {
        let mut claimed = BTreeMap::new();
        for (block, files) in garbage {
            monitor.check()?;
            let never = |_| ready(Ok(false));
            match Claim::take(store, block, owner, options.grace, never).await {
                Ok(claim) => {
                    claims.push(claim);
                    claimed.insert(block, files);
                }
                Err(StoreError::Claimed { .. }) => report.spared += files.len() as u64,
                Err(error) => return Err(error),
            }
        }
        claimed
    };
    // A commit that was published before the claims were taken may need some of the files.
    let needed = Needed::read(store, &listing, options).await?;
    for claim in claims {
        let files = garbage.remove(&claim.block());
        let files = files.ok_or_else(|| StoreError::internal("blocks with garbage are claimed"))?;
        let mut removed = BTreeSet::new();
        for file in files.into_iter().filter(|(name, _)| !needed.has(name)) {
            monitor.check()?;
            store.remove(&file.0.to_string()).await?;
            removed.insert(file.0);
            report.add([file]);
        }
        if listing.files_of(claim.block()).all(|name| removed.contains(name)) {
            claim.remove(store).await?;
        } else {
            claim.release(store).await?;
        }
    }
    Ok(report)
}

/// The block, if the old claim on it is to be ended: it has no files, or its owner has not
/// finished.
async fn to_be_ended(
    store: &Store,
    listing: &Listing,
    block: NumberBlock,
) -> Result<Option<NumberBlock>, StoreError> {
    let has_files = listing.files_of(block).next().is_some();
    Ok((!has_files || FoundClaim::is_held(store, block).await?).then_some(block))
}

/// The files that may be removed, by the block of their numbers, with their lengths.
type Garbage = BTreeMap<NumberBlock, Vec<(FileName, u64)>>;

/// Spares blobs of which nothing tells whose they are: no writer has claimed their numbers, and no
/// meta file of an earlier commit lists them. A meta file with right checksums may leave a blob of
/// a live table out of its list, and the object may be the only copy of the value.
async fn spare_unlisted(
    store: &Store,
    listing: &Listing,
    needed: &Needed,
    garbage: &mut Garbage,
    report: &mut GcReport,
) -> Result<(), StoreError> {
    let is_unclaimed = |block: &NumberBlock, file: &FileName| {
        file.kind == FileKind::Blob && !listing.claims.contains_key(block)
    };
    let mut files = garbage.iter().flat_map(|(block, files)| files.iter().map(move |f| (block, f)));
    if !files.any(|(block, (file, _))| is_unclaimed(block, file)) {
        return Ok(());
    }
    let mut listed: BTreeSet<_> = needed.blobs.values().flatten().copied().collect();
    let metas = listing.files.keys().filter(|name| name.kind == FileKind::Meta);
    for meta in metas.filter(|meta| !needed.blobs.contains_key(&meta.sequence)) {
        match RemoteCommit::read_at(store, meta.sequence).await {
            Ok(commit) => listed.extend(commit.blobs().iter().map(|blob| blob.number)),
            // One that is damaged, incomplete or a part proves nothing.
            Err(error) if error.is_corruption() => {}
            Err(error) => return Err(error),
        }
    }
    for (block, files) in garbage {
        let before = files.len();
        files.retain(|(file, _)| {
            !is_unclaimed(block, file) || listed.contains(&BlobNumber(file.sequence.0))
        });
        report.spared += (before - files.len()) as u64;
    }
    Ok(())
}

impl GcReport {
    fn add(&mut self, files: impl IntoIterator<Item = (FileName, u64)>) {
        for (name, len) in files {
            self.removed.push(name);
            self.removed_bytes += len;
        }
    }
}

/// The objects of a bucket.
struct Listing {
    files: BTreeMap<FileName, ListedObject>,
    /// The claims, and whether each is older than the grace period.
    claims: BTreeMap<NumberBlock, bool>,
    grace: Duration,
}

impl Listing {
    async fn read(store: &Store, grace: Duration) -> Result<Self, StoreError> {
        let (mut files, mut claims) = (BTreeMap::new(), BTreeMap::new());
        for object in store.list(None).await? {
            if let Some(name) = FileName::parse(&object.name) {
                files.insert(name, object);
            } else if let Some(("", claim)) =
                object.name.strip_prefix(CLAIMS_FOLDER).and_then(|rest| rest.split_once('/'))
                && let Some(block) = NumberBlock::from_name(claim)
            {
                claims.insert(block, is_old(&object, grace));
            }
        }
        Ok(Self { files, claims, grace })
    }

    /// The files that are not needed and old enough, by the block of their numbers.
    fn garbage(&self, needed: &Needed, report: &mut GcReport) -> Garbage {
        let mut garbage = Garbage::new();
        let unneeded = self.files.iter().filter(|(name, _)| !needed.files.contains(name));
        for (name, object) in unneeded {
            if is_old(object, self.grace) && !needed.in_grace.contains(name) {
                let block = NumberBlock::of(name.sequence);
                garbage.entry(block).or_default().push((*name, object.len));
            } else {
                report.spared += 1;
            }
        }
        garbage
    }

    /// The claims that are older than the grace period.
    fn old_claims(&self) -> impl Iterator<Item = NumberBlock> {
        let old = self.claims.iter().filter(|(_, is_old)| **is_old);
        old.map(|(block, _)| *block)
    }

    /// The files whose numbers are in a block.
    fn files_of(&self, block: NumberBlock) -> impl Iterator<Item = &FileName> {
        let first = FileName { sequence: block.first(), kind: FileKind::Sst };
        let from = self.files.range(first..).map(|(name, _)| name);
        from.take_while(move |name| NumberBlock::of(name.sequence) == block)
    }
}

/// Whether an object is older than the grace period. One of the future counts as new.
fn is_old(object: &ListedObject, grace: Duration) -> bool {
    object.modified.elapsed().is_ok_and(|age| age >= grace)
}

/// The files that must stay.
#[derive(Default)]
struct Needed {
    /// Those of the newest commit, and of the generations that are kept.
    files: BTreeSet<FileName>,
    /// Those of commits that were replaced less than the grace period ago: a reader that opened
    /// such a commit may still need them.
    in_grace: BTreeSet<FileName>,
    /// The blobs that each of these commits lists.
    blobs: BTreeMap<SequenceNumber, Vec<BlobNumber>>,
}

impl Needed {
    async fn read(
        store: &Store,
        listing: &Listing,
        options: &GcOptions,
    ) -> Result<Self, StoreError> {
        let newest = RemoteCommit::read(store).await?;
        let newest =
            newest.ok_or_else(|| StoreError::NoCommit { place: store.name().to_owned() })?;
        let mut needed = Self::default();
        needed.add(&newest, true);
        let mut is_merged = newest.kind() == Some(CommitKind::Merge);
        let mut generations = 0;
        let mut successor = newest.sequence();
        for sequence in older_commits(&newest, &listing.times()) {
            // A commit was replaced when the meta file of the next one was written.
            let is_kept = generations < options.keep_generations;
            if !is_kept && listing.is_old_meta(successor) {
                break;
            }
            match RemoteCommit::read_at(store, sequence).await {
                Ok(commit) => {
                    generations += usize::from(!is_merged);
                    is_merged = commit.kind() == Some(CommitKind::Merge);
                    needed.add(&commit, is_kept);
                    successor = sequence;
                }
                // A part, or a commit that is no longer complete: no rollback can use it. Which
                // files a damaged one needs is unknown, so nothing is removed.
                Err(StoreError::PartOfCommit { .. } | StoreError::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(needed)
    }

    fn add(&mut self, commit: &RemoteCommit, is_kept: bool) {
        let files = if is_kept { &mut self.files } else { &mut self.in_grace };
        files.extend(commit.files().iter().map(|file| file.name));
        let blobs = commit.blobs().into_iter().map(|blob| blob.number).collect();
        self.blobs.insert(commit.sequence(), blobs);
    }

    fn has(&self, name: &FileName) -> bool {
        self.files.contains(name) || self.in_grace.contains(name)
    }
}

impl Listing {
    /// The time of the last write to each file.
    fn times(&self) -> NumberedFiles {
        self.files.iter().map(|(name, object)| (*name, object.modified)).collect()
    }

    /// Whether a meta file was written before the grace period; one that is not in the list was
    /// written after it, so lately.
    fn is_old_meta(&self, sequence: SequenceNumber) -> bool {
        let meta = FileName { sequence, kind: FileKind::Meta };
        self.files.get(&meta).is_some_and(|object| is_old(object, self.grace))
    }
}
