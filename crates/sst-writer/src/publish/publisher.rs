//! The publisher of a directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Weak};

use sst_format::file_name::{FileKind, FileName};
use sst_format::meta_file::TableRecord;
use sst_format::{BlobNumber, SequenceNumber, planted};

use crate::file::directory::{is_file, list, remove, remove_file};
use crate::file::file_system::is_temporary;
use crate::file::sync_watch::SyncWatch;
use crate::publish::claimed_blocks::ClaimedBlocks;
use crate::publish::commit_list::numbered_files;
use crate::publish::directory_lock::DirectoryLock;
use crate::publish::directory_state::DirectoryState;
use crate::publish::first_commit_marker::{FIRST_COMMIT_FILE_NAME, FirstCommitMarker};
use crate::publish::known_metas::KnownMetas;
use crate::publish::leftovers_of_tasks::remove_leftovers_of_tasks;
use crate::publish::locked_directory::LockedDirectory;
use crate::publish::number_claim::{JobId, has_claims};
use crate::publish::numbers::Numbers;
use crate::publish::retention::Retention;
use crate::publish::unneeded_blobs::UnneededBlobs;
use crate::{FileError, FileOperation, FileSystem, PublishError, PublisherOptions};

/// Publishes tables in a directory, one commit at a time.
///
/// A commit happens whole or not at all: its files are made durable first, then `CURRENT`, the
/// commit point, is replaced in one step. Readers of the directory see the commit before or the
/// commit after, and nothing in between, even after a crash.
///
/// A publisher holds the lock of the directory and of the file `.lock` in it, so a directory has
/// one publisher at a time. The operating system releases both when the process ends, in whatever
/// way. Where the system cannot lock a directory (Windows, NFS), the file `.lock` alone keeps
/// others out, and must not be removed.
///
/// A publisher knows the commit that it has opened or made. If the directory is then at another
/// one, because it was swapped, restored, rebuilt or written to without the lock, the publisher
/// refuses to publish, with [`PublishError::Changed`] or [`PublishError::LockLost`], and removes
/// nothing. It checks this just before it replaces `CURRENT`.
///
/// # Examples
///
/// ```
/// use sst_writer::{Monitor, Publisher, PublisherOptions, WriterOptions};
///
/// let parent = tempfile::tempdir()?;
/// let mut publisher = Publisher::open(parent.path().join("db"), PublisherOptions::default())?;
/// let mut commit = publisher.begin();
/// let mut table = commit.create_table(WriterOptions::default())?;
/// table.add(("key", "value"))?;
/// commit.add_table(table.finish()?)?;
/// commit.publish(&Monitor::default())?;
/// assert_eq!(publisher.live_tables().count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Publisher {
    directory: Arc<Path>,
    options: PublisherOptions,
    file_system: Arc<SyncWatch>,
    /// The newest commit.
    state: DirectoryState,
    /// Earlier commits that keep their files.
    retention: Retention,
    /// All files of the directory with a sequence number.
    present: BTreeSet<FileName>,
    /// Those of them that the newest commit does not need, each with an earlier commit that keeps
    /// it or has kept it.
    unneeded: BTreeMap<FileName, Option<SequenceNumber>>,
    /// Its meta files, as far as they were read or written.
    metas: KnownMetas,
    not_removed: Vec<FileError>,
    /// Files that this publisher has made for commits that failed, and could not remove.
    leftovers: BTreeSet<FileName>,
    numbers: Arc<Numbers>,
    /// The blocks of numbers that others had claimed when the directory was opened.
    claimed: ClaimedBlocks,
    /// Only before the first commit.
    marker: Option<Arc<FirstCommitMarker>>,
    /// Released when the publisher is dropped.
    lock: Arc<DirectoryLock>,
}

impl Publisher {
    /// Opens a directory for publishing.
    ///
    /// Locks it, reads its newest commit, and removes the files of commits that did not happen,
    /// unless their numbers are [claimed](crate::publish::NumberClaim). Earlier commits keep their
    /// files until the next commit, or [`Publisher::remove_obsolete_files`]: for example, a load
    /// that fails on its first line takes no generation away.
    ///
    /// # Errors
    ///
    /// [`PublishError::Locked`] if another publisher has it open. [`PublishError::Unprotected`] if
    /// the original implementation wrote its newest commit. [`PublishError::Format`],
    /// [`PublishError::MissingMeta`] or [`PublishError::BrokenChain`] if the newest commit is
    /// damaged; then nothing is removed. [`PublishError::File`] for an error of the system.
    pub fn open(
        directory: impl AsRef<Path>,
        options: PublisherOptions,
    ) -> Result<Self, PublishError> {
        let directory = directory.as_ref();
        let LockedDirectory { file_system, state, lock } =
            LockedDirectory::open(directory, &options)?;
        let files = list(&*file_system, directory)?;
        let shared = Arc::clone(&file_system) as Arc<dyn FileSystem>;
        let mut claimed = ClaimedBlocks::load(&shared, directory, options.claim_grace)?;
        let taken = remove_leftovers(&*file_system, directory, state.current, &files, &claimed)?;
        let left = remove_leftovers_of_tasks(&*file_system, directory, &mut claimed)?;
        let has_claims = has_claims(&*file_system, directory)?;
        let marker = state.current.is_none().then(|| {
            let is_there = claimed.is_in_force() && is_marked(&files);
            Arc::new(match has_claims {
                true => FirstCommitMarker::shared(directory, is_there),
                false => FirstCommitMarker::new(directory),
            })
        });
        // Sequence numbers start at 1, so before the first commit the last one is 0.
        let last = state.current.unwrap_or_default();
        let present = files.iter().filter_map(|name| FileName::parse(name));
        let present: BTreeSet<_> = present.filter(|file| file.sequence <= last).collect();
        let mut metas = KnownMetas::default();
        metas.add(&state);
        let (retention, unread) =
            Retention::load(&*file_system, directory, &state, &present, &options, &mut metas);
        let keepers = retention.keepers();
        let unneeded = present.iter().filter(|file| !state.needs(**file));
        let unneeded = unneeded.map(|file| (*file, keepers.get(file).copied())).collect();
        let numbers = Numbers::after(directory, last, taken);
        let numbers = match has_claims {
            true => numbers.claimed(shared),
            false => numbers,
        };
        let mut publisher = Self {
            directory: directory.into(),
            options,
            file_system,
            state,
            retention,
            present,
            unneeded,
            metas,
            not_removed: Vec::new(),
            leftovers: BTreeSet::new(),
            numbers: Arc::new(numbers),
            claimed,
            marker,
            lock: Arc::new(lock),
        };
        publisher.not_removed.extend(left.into_iter().chain(unread));
        Ok(publisher)
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The newest commit, by the sequence number of its meta file. `None` before the first commit.
    #[must_use]
    pub const fn current(&self) -> Option<SequenceNumber> {
        self.state.current
    }

    /// The live tables of the newest commit with their families, those of older meta files first.
    /// O(number of tables).
    pub fn live_tables(&self) -> impl Iterator<Item = (u32, &TableRecord)> {
        self.state.live_tables()
    }

    /// The meta files of earlier commits that could not be read when the directory was opened, and
    /// the files of tasks that could not be removed.
    ///
    /// The files that commits of damaged meta files need are unknown, so none are removed before
    /// the directory is opened again.
    #[must_use]
    pub fn not_removed(&self) -> &[FileError] {
        &self.not_removed
    }

    /// Removes the files that neither the newest commit needs nor an earlier one that the options
    /// keep, as every commit does. Returns those that could not be removed, or that could not be
    /// read to find out; the next commit tries again. O(number of files).
    ///
    /// # Errors
    ///
    /// The error of the sync that comes before meta files are removed. The publisher can then no
    /// longer be used.
    pub fn remove_obsolete_files(&mut self) -> Result<Vec<FileError>, FileError> {
        let mut not_removed = self.remove_unneeded()?;
        not_removed.append(&mut self.not_removed);
        Ok(not_removed)
    }

    /// Removes the files that serve nothing: neither the newest commit needs them, nor any earlier
    /// one of which all files are there, nor a claim in its grace. These are files that a process
    /// has left that was killed after its commit, while it removed what that replaced.
    ///
    /// No generation goes, however many the options keep: each that a rollback could return to
    /// before, it can return to afterwards. Of commits that merges have replaced, those stay that
    /// are within the grace period. For example, a merge that finds nothing to do calls this, since
    /// no commit follows that would tidy up. Files that could not be removed are added to
    /// [`Publisher::not_removed`]. O(number of files).
    ///
    /// # Errors
    ///
    /// As [`Publisher::remove_obsolete_files`]. [`PublishError::Poisoned`].
    pub fn remove_leftover_files(&mut self) -> Result<(), PublishError> {
        self.check_usable()?;
        let (complete, unread) = Retention::of_complete(
            &*self.file_system,
            &self.directory,
            &self.state,
            &self.present,
            &self.options,
            &mut self.metas,
        );
        let retention = std::mem::replace(&mut self.retention, complete);
        let not_removed = self.remove_unneeded();
        self.retention = retention;
        self.not_removed.extend(not_removed?.into_iter().chain(unread));
        Ok(())
    }

    /// Ends the claims of all tasks of a job, and removes their files that no commit names.
    pub(crate) fn end_claims_of(&mut self, job: JobId) -> Result<Vec<FileError>, PublishError> {
        let file_system = Arc::clone(&self.file_system) as Arc<dyn FileSystem>;
        self.claimed.end_job(&file_system, &self.directory, job, &self.numbers.claimed_blocks())?;
        Ok(remove_leftovers_of_tasks(&*file_system, &self.directory, &mut self.claimed)?)
    }

    /// Notes that tasks have released claims, because a commit names their files.
    pub(crate) fn forget_claims(&mut self, blocks: &[u32]) {
        blocks.iter().for_each(|first| self.claimed.forget(*first));
    }

    pub(crate) fn shared_directory(&self) -> Arc<Path> {
        Arc::clone(&self.directory)
    }

    pub(crate) fn file_system(&self) -> Arc<dyn FileSystem> {
        Arc::clone(&self.file_system) as _
    }

    pub(crate) fn numbers(&self) -> Arc<Numbers> {
        Arc::clone(&self.numbers)
    }

    pub(crate) const fn options(&self) -> &PublisherOptions {
        &self.options
    }

    /// All files of the directory with a sequence number, those of commits under way left out.
    pub(crate) const fn present(&self) -> &BTreeSet<FileName> {
        &self.present
    }

    /// Whether an earlier operation has failed after which the state of the disk is unknown: a
    /// sync, or the replacement of `CURRENT`. Further commits are then refused with
    /// [`PublishError::Poisoned`], and a commit that failed may be live all the same.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.file_system.has_failed()
    }

    pub(crate) const fn state(&self) -> &DirectoryState {
        &self.state
    }

    /// Fails if the directory is no longer the locked one, or no longer at the known commit, or if
    /// numbers of this publisher are no longer its own.
    pub(crate) fn check_unchanged(&self) -> Result<(), PublishError> {
        self.lock.check()?;
        self.numbers.check()?;
        self.state.check_unchanged(&*self.file_system, &self.directory)
    }

    /// Ends the publisher of a directory that has no commit, and removes the lock file: the caller
    /// is about to remove the directory. A lock file that is no longer the locked one stays: it is
    /// another publisher's.
    ///
    /// # Errors
    ///
    /// [`PublishError::LockLost`]; [`PublishError::File`].
    pub fn remove_lock_file(self) -> Result<(), PublishError> {
        // While the lock is held, so that no other publisher loses its lock file.
        self.lock.remove_file()
    }

    /// The lock, for the files of a commit, some of which may live longer than the publisher.
    pub(crate) fn lock(&self) -> Weak<DirectoryLock> {
        Arc::downgrade(&self.lock)
    }

    /// The marker of the first commit, which has not happened yet.
    pub(crate) fn marker(&self) -> Option<Arc<FirstCommitMarker>> {
        self.marker.clone()
    }

    /// Fails if the state of the disk is unknown after an earlier error.
    pub(crate) fn check_usable(&self) -> Result<(), PublishError> {
        if self.is_poisoned() {
            return Err(PublishError::Poisoned { directory: self.directory.to_path_buf() });
        }
        Ok(())
    }

    /// Makes a durable commit the newest, and removes the files that no commit needs any more.
    /// Returns the files that could not be removed. Fails if a sync failed: the commit is live, but
    /// the state of the disk is unknown.
    pub(crate) fn advance(&mut self, state: DirectoryState) -> Result<Vec<FileError>, FileError> {
        let replaced = std::mem::replace(&mut self.state, state);
        self.metas.add(&self.state);
        for file in self.state.files_unlike(&replaced) {
            self.present.insert(file);
            self.unneeded.remove(&file);
        }
        let gone = replaced.files_unlike(&self.state).filter(|file| !self.state.needs(*file));
        let gone = gone.filter(|file| self.present.contains(file));
        self.unneeded.extend(gone.map(|file| (file, replaced.current)));
        self.retention.push(replaced, &self.state, &self.options);
        let marker = self.marker.as_ref();
        let unmarked = marker.map_or(Ok(()), |marker| marker.end(&*self.file_system));
        let mut not_removed = self.remove_unneeded()?;
        match unmarked {
            Ok(()) => self.marker = None,
            Err(error) => not_removed.push(error),
        }
        Ok(not_removed)
    }

    /// Refuses further commits, because it is unknown which commit is on disk.
    pub(crate) fn poison(&self) {
        self.file_system.note_failure();
    }

    /// The meta files that a commit with this state must name in its `.del` file: those rolled back
    /// that are still there and not live.
    pub(crate) fn still_rolled_back(
        &self,
        state: &DirectoryState,
    ) -> Result<BTreeSet<SequenceNumber>, PublishError> {
        if state.rolled_back.is_empty() {
            return Ok(BTreeSet::new());
        }
        let present = numbered_files(&*self.file_system, &self.directory)?;
        let rolled_back = state.rolled_back.iter().copied().filter(|&sequence| {
            !state.has_meta(sequence)
                && present.contains(&FileName { sequence, kind: FileKind::Meta })
        });
        Ok(rolled_back.collect())
    }

    /// Takes over files that a commit has made and could not remove when it failed: the next commit
    /// tries again.
    pub(crate) fn add_leftovers(&mut self, files: BTreeSet<FileName>) {
        self.leftovers.extend(files);
    }

    /// Removes the files that neither the newest commit nor a retained one needs. Returns the files
    /// that could not be removed.
    ///
    /// Meta files go last, and once the removal of blobs is durable: they prove that the blobs are
    /// not needed ([`UnneededBlobs`]). Fails if the sync between fails.
    fn remove_unneeded(&mut self) -> Result<Vec<FileError>, FileError> {
        if self.options.keep_obsolete_files || self.retention.is_incomplete() {
            return Ok(Vec::new());
        }
        debug_assert!(self.knows_unneeded(), "not all files are accounted for: {self:?}");
        for (file, keeper) in &mut self.unneeded {
            *keeper = self.retention.keeper(*file, *keeper);
        }
        let expired = self.unneeded.iter().filter(|(_, keeper)| keeper.is_none());
        let expired: BTreeSet<_> = expired.map(|(file, _)| *file).collect();
        let unneeded = expired.union(&self.leftovers);
        let unneeded: Vec<_> = unneeded.filter(|file| !self.is_needed(file)).copied().collect();
        // Another publisher may have made a commit of these files since they were listed, if the
        // lock file was removed. A name that cannot be looked at was listed under the lock.
        let is_changed =
            |error| matches!(error, PublishError::Changed { .. } | PublishError::LockLost { .. });
        if unneeded.is_empty() || self.check_unchanged().is_err_and(is_changed) {
            return Ok(Vec::new());
        }
        let blobs = match self.unneeded_blobs(&unneeded) {
            Ok(blobs) => blobs,
            Err(error) => return Ok(vec![error]),
        };
        let of_kind = |kind| move |file: &&FileName| file.kind == kind;
        let metas: Vec<_> = unneeded.iter().filter(of_kind(FileKind::Meta)).copied().collect();
        let others = unneeded.iter().copied();
        let others: Vec<_> =
            others.filter(|file| !matches!(file.kind, FileKind::Meta | FileKind::Blob)).collect();
        let mut not_removed = self.remove_all(&blobs);
        not_removed.extend(self.remove_all(&others));
        if !not_removed.is_empty() {
            return Ok(not_removed);
        }
        if !blobs.is_empty() && !metas.is_empty() {
            self.file_system
                .sync_directory(&self.directory)
                .map_err(FileError::at(&self.directory, FileOperation::SyncDirectory))?;
        }
        Ok(self.remove_all(&metas))
    }

    /// The blobs among `unneeded` that may be removed: those of which a meta file tells whose they
    /// were, and those that this publisher has made.
    fn unneeded_blobs(&mut self, unneeded: &[FileName]) -> Result<Vec<FileName>, FileError> {
        let blobs = unneeded.iter().copied().filter(|file| file.kind == FileKind::Blob);
        let mut blobs: Vec<_> = blobs.collect();
        if blobs.iter().any(|blob| !self.leftovers.contains(blob)) {
            self.read_metas()?;
            let proof = UnneededBlobs::of(self.metas.iter(), |file| self.is_needed(file));
            blobs.retain(|blob| {
                self.leftovers.contains(blob) || proof.contains(BlobNumber(blob.sequence.0))
            });
        }
        Ok(blobs)
    }

    /// Whether a file is needed by the newest commit, by one that is kept, or by the owner of a
    /// claim.
    fn is_needed(&self, file: &FileName) -> bool {
        self.state.needs(*file)
            || self.retention.keeper(*file, None).is_some()
            || self.claimed.contains(file.sequence)
    }

    /// Whether the files that the newest commit does not need, and the commits that keep them, are
    /// those that a look at all files finds.
    fn knows_unneeded(&self) -> bool {
        let is_known = |file: &FileName| match self.unneeded.get(file) {
            None => self.state.needs(*file),
            Some(keeper) => {
                let found = |known| self.retention.keeper(*file, known).is_some();
                !self.state.needs(*file) && found(*keeper) == found(None)
            }
        };
        self.present.iter().all(is_known)
            && self.unneeded.keys().all(|file| self.present.contains(file))
    }

    /// Reads the heads of the meta files of the directory that are not known yet. Damaged ones stay
    /// unknown. Fails if the system cannot read a meta file now.
    fn read_metas(&mut self) -> Result<(), FileError> {
        for file in self.present.iter().filter(|file| file.kind == FileKind::Meta) {
            if let Err(error) = self.metas.load(&*self.file_system, &self.directory, file.sequence)
                && let Ok(error) = error.into_transient()
            {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Removes files. Returns those that could not be removed.
    fn remove_all(&mut self, files: &[FileName]) -> Vec<FileError> {
        let mut not_removed = Vec::new();
        for file in files {
            match remove_file(&*self.file_system, &self.directory.join(file.to_string())) {
                Ok(()) => {
                    self.present.remove(file);
                    self.unneeded.remove(file);
                    if file.kind == FileKind::Meta {
                        self.metas.remove(file.sequence);
                    }
                    self.leftovers.remove(file);
                }
                Err(error) => not_removed.push(error),
            }
        }
        not_removed
    }
}

/// Whether the marker of a first commit that has not happened is among these files.
fn is_marked(names: &[String]) -> bool {
    names.iter().any(|name| name == FIRST_COMMIT_FILE_NAME)
}

/// Removes temporary files and the files of commits that did not happen, whose sequence numbers
/// will be used again. Returns the numbers in the names of directories, links and pipes, which
/// stay.
///
/// Fails if there is no commit, and no marker says that the files are leftovers of a first commit.
/// Then `CURRENT` may be lost, and the files may be the only copy of the data.
fn remove_leftovers(
    file_system: &dyn FileSystem,
    directory: &Path,
    current: Option<SequenceNumber>,
    names: &[String],
    claimed: &ClaimedBlocks,
) -> Result<BTreeSet<SequenceNumber>, PublishError> {
    let numbered = names.iter().filter_map(|name| FileName::parse(name));
    let numbered = numbered.filter(|file| current.is_none_or(|current| file.sequence > current));
    // A task writes them, or has, and a commit may be about to name them.
    let numbered = numbered.filter(|file| !claimed.contains(file.sequence));
    let is_marked = is_marked(names);
    if current.is_some() {
        // The writer before may have been killed before its new `CURRENT` was durable. Nothing that
        // only the commit before that needs may be removed as long as a crash could bring the old
        // one back.
        file_system
            .sync_directory(directory)
            .map_err(FileError::at(directory, FileOperation::SyncDirectory))?;
    }
    let mut taken = BTreeSet::new();
    let mut has_removed = false;
    for file in numbered {
        let path = directory.join(file.to_string());
        if !is_file(file_system, &path)? {
            taken.insert(file.sequence);
            continue;
        }
        if current.is_none() && !is_marked {
            return Err(PublishError::MissingCurrent { directory: directory.to_owned() });
        }
        remove(file_system, &path)?;
        has_removed = true;
    }
    if current.is_none() && has_removed {
        // Before the marker is removed.
        file_system
            .sync_directory(directory)
            .map_err(FileError::at(directory, FileOperation::SyncDirectory))?;
    }
    // Files of tasks may be there, whose first commit has not happened yet.
    let keeps_marker = current.is_none() && claimed.is_in_force();
    let is_leftover =
        |name: &&String| is_temporary(name) || (*name == FIRST_COMMIT_FILE_NAME && !keeps_marker);
    for name in names.iter().filter(is_leftover) {
        planted!("temporaries-stay" => continue);
        remove_file(file_system, &directory.join(name))?;
    }
    Ok(taken)
}
