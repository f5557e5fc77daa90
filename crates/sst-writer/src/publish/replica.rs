//! A directory that receives the commits of another place, file by file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sst_format::del_file::DelFile;
use sst_format::file_name::{FileKind, FileName};
use sst_format::{SequenceNumber, planted};

use crate::file::directory::{is_file, list, remove, remove_file};
use crate::file::file_system::is_temporary;
use crate::file::sync_watch::SyncWatch;
use crate::publish::commit_list::numbered_files;
use crate::publish::commit_point::{check_current, replace_current};
use crate::publish::del_files;
use crate::publish::directory_lock::DirectoryLock;
use crate::publish::directory_state::DirectoryState;
use crate::publish::first_commit_marker::{FIRST_COMMIT_FILE_NAME, FirstCommitMarker};
use crate::publish::locked_directory::LockedDirectory;
use crate::publish::meta_state::{MetaReader, meta_path};
use crate::{
    AtomicFile, FileError, FileOperation, FileSystem, PublishError, Publisher, PublisherOptions,
};

/// A directory that receives the commits of another place: their files keep names and bytes.
///
/// It holds the lock of the directory, as a [`Publisher`] does. Files are written first, each whole
/// or not at all. Readers see nothing of them until [`Replica::publish`] replaces `CURRENT`, which
/// makes the received commit the newest in one step.
///
/// A replica that is dropped, or whose process is killed, leaves the complete files behind, so that
/// the next replica of the directory need not receive them again. [`Replica::tidy`], or the next
/// publisher of the directory, removes those that no commit needs.
///
/// # Examples
///
/// ```
/// use std::fs;
/// use sst_format::file_name::{FileKind, FileName};
/// use sst_writer::publish::Replica;
/// use sst_writer::{Monitor, Publisher, PublisherOptions, WriterOptions};
///
/// # let parent = tempfile::tempdir()?;
/// # let (origin, copy) = (parent.path().join("origin"), parent.path().join("copy"));
/// let mut publisher = Publisher::open(&origin, PublisherOptions::default())?;
/// let mut commit = publisher.begin();
/// let mut table = commit.create_table(WriterOptions::default())?;
/// table.add(("key", "value"))?;
/// commit.add_table(table.finish()?)?;
/// let sequence = commit.publish(&Monitor::default())?.commit;
///
/// let mut replica = Replica::open(&copy, &PublisherOptions::default())?;
/// for kind in [FileKind::Sst, FileKind::Meta] {
///     let number = match kind { FileKind::Sst => 1, _ => sequence.0 };
///     let name = FileName { sequence: sst_format::SequenceNumber(number), kind };
///     let mut file = replica.create(name)?;
///     file.write(fs::read(origin.join(name.to_string()))?)?;
///     file.finish()?;
/// }
/// # let bytes = fs::read(origin.join(format!("{:08}.meta", sequence.0)))?;
/// # let checksum = sst_format::protection::Trailer::parse(&bytes)?.checksum;
/// replica.publish(sequence, checksum)?;
/// assert_eq!(fs::read(origin.join("CURRENT"))?, fs::read(copy.join("CURRENT"))?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Replica {
    directory: Arc<Path>,
    file_system: Arc<SyncWatch>,
    /// The newest commit.
    state: DirectoryState,
    /// Only before the first commit.
    marker: Option<FirstCommitMarker>,
    /// Released when the replica is dropped.
    lock: DirectoryLock,
}

impl Replica {
    /// Opens a directory for receiving commits. Of the options it uses
    /// [`PublisherOptions::create_directory`] and [`PublisherOptions::file_system`].
    ///
    /// Locks the directory and reads its newest commit. Removes what a process that was killed had
    /// begun to write, and no complete file.
    ///
    /// # Errors
    ///
    /// As [`Publisher::open`].
    pub fn open(
        directory: impl AsRef<Path>,
        options: &PublisherOptions,
    ) -> Result<Self, PublishError> {
        let directory = directory.as_ref();
        let LockedDirectory { file_system, state, lock } =
            LockedDirectory::open(directory, options)?;
        let marker = match state.current {
            Some(_) => None,
            None => Some(marker_of(&*file_system, directory)?),
        };
        // A mirror that is killed and started again and again would fill the disk. The lock is
        // held, so nobody writes them.
        let names = list(&*file_system, directory)?;
        for name in names.iter().filter(|name| is_temporary(name)) {
            planted!("temporaries-stay" => continue);
            remove_file(&*file_system, &directory.join(name))?;
        }
        Ok(Self { directory: directory.into(), file_system, state, marker, lock })
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

    /// The files with a sequence number that are in the directory, and their lengths in bytes. They
    /// belong to the newest commit, to earlier ones, or to one that was not received whole.
    ///
    /// # Errors
    ///
    /// [`PublishError::File`].
    pub fn present(&self) -> Result<Vec<(FileName, u64)>, PublishError> {
        let names = numbered_files(&*self.file_system, &self.directory)?;
        let mut present = Vec::with_capacity(names.len());
        for name in names {
            let path = self.path(name);
            if is_file(&*self.file_system, &path)? {
                present.push((name, MetaReader::open(&*self.file_system, &path)?.len));
            }
        }
        Ok(present)
    }

    /// Starts a file. When it is finished, it takes the place of any other file of that name.
    ///
    /// # Errors
    ///
    /// [`PublishError::Needed`] if the newest commit has a file of that name: no file of a commit
    /// that readers see is ever changed. Only a table or blob that is missing, or has another
    /// length than the commit states, can be received again, which repairs it.
    /// [`PublishError::File`]; [`PublishError::Poisoned`].
    pub fn create(&self, name: FileName) -> Result<ReplicaFile, PublishError> {
        let path = self.path(name);
        if self.state.needs(name) && !self.is_broken(name, &path)? {
            return Err(PublishError::Needed { path });
        }
        self.receive(&path)
    }

    /// As [`Replica::create`], but replaces a table or blob of the newest commit as well, whose
    /// bytes the caller has found to be wrong. The caller must have verified that the new bytes are
    /// those that the commit states. Readers that have opened the file go on with the old one.
    ///
    /// # Errors
    ///
    /// As [`Replica::create`]; [`PublishError::Needed`] for a meta file of the newest commit.
    pub fn create_again(&self, name: FileName) -> Result<ReplicaFile, PublishError> {
        let path = self.path(name);
        let is_content = matches!(name.kind, FileKind::Sst | FileKind::Blob);
        if self.state.needs(name) && !is_content {
            return Err(PublishError::Needed { path });
        }
        self.receive(&path)
    }

    fn receive(&self, path: &Path) -> Result<ReplicaFile, PublishError> {
        self.check_usable()?;
        let file_system = self.shared_file_system();
        if let Some(marker) = &self.marker {
            marker.set(&file_system)?;
            // The files stay if no commit follows, and so must the marker.
            marker.pin();
        }
        Ok(ReplicaFile::new(AtomicFile::replacing(file_system, path)?))
    }

    /// Removes files that the newest commit does not have, and makes it durable that they are gone:
    /// meta files of earlier commits that can no longer be returned to, because a file of theirs is
    /// about to be replaced. A missing file is no error.
    ///
    /// # Errors
    ///
    /// [`PublishError::Needed`] if the newest commit has one of them; none is then removed.
    /// [`PublishError::File`]; [`PublishError::Poisoned`]; [`PublishError::LockLost`] or
    /// [`PublishError::Changed`].
    pub fn remove(&self, files: &[FileName]) -> Result<(), PublishError> {
        self.check_usable()?;
        self.check_unchanged()?;
        if let Some(needed) = files.iter().find(|file| self.state.needs(**file)) {
            return Err(PublishError::Needed { path: self.path(*needed) });
        }
        for file in files {
            remove(&*self.file_system, &self.path(*file))?;
        }
        let synced = self.file_system.sync_directory(&self.directory);
        Ok(synced.map_err(FileError::at(&self.directory, FileOperation::SyncDirectory))?)
    }

    /// Makes a received commit the newest: that of the meta file `sequence`, whose trailer has
    /// `checksum`.
    ///
    /// Before it becomes visible, its chain of meta files is read and verified, and each of its
    /// files must be there with the length that the chain states. The bytes of tables and blobs are
    /// not read: the caller has verified what it has written. O(bytes of the heads of the meta
    /// files + number of files).
    ///
    /// # Errors
    ///
    /// [`PublishError::BrokenChain`] or [`PublishError::Format`] if the meta files are not those of
    /// the commit, [`PublishError::NotAsWritten`] if a file has another length,
    /// [`PublishError::MissingMeta`] or [`PublishError::File`] if one is missing;
    /// [`PublishError::Changed`] or [`PublishError::LockLost`] if the directory was changed
    /// meanwhile. Readers then still see the commit before. If `CURRENT` could not be replaced, or
    /// could not be read after that, it is unknown which of the two commits is on disk, and the
    /// replica is poisoned.
    pub fn publish(&mut self, sequence: SequenceNumber, checksum: u32) -> Result<(), PublishError> {
        self.check_usable()?;
        self.check_unchanged()?;
        let mut state = DirectoryState::load_commit(&*self.file_system, &self.directory, sequence)?;
        if let Some(found) = state.newest_checksum().filter(|found| *found != checksum) {
            let path = meta_path(&self.directory, sequence);
            return Err(PublishError::BrokenChain { path, expected: checksum, found });
        }
        self.check_complete(&state)?;
        state.rolled_back = self.write_del_files(&state, sequence)?;
        let file_system = self.shared_file_system();
        file_system
            .sync_directory(&self.directory)
            .map_err(FileError::at(&self.directory, FileOperation::SyncDirectory))?;
        replace_current(&file_system, &self.directory, sequence, || self.check_unchanged())?;
        check_current(&*file_system, &self.directory, sequence)
            .inspect_err(|_| self.file_system.note_failure())?;
        self.state = state;
        if let Some(marker) = self.marker.take() {
            // The commit is live. A marker that stays beside a `CURRENT` does no harm, and the next
            // publisher removes it.
            _ = marker.end(&*file_system);
        }
        Ok(())
    }

    /// Ends the replica, and removes the files that no commit needs: neither the newest, nor those
    /// that `options` keep. Returns the files that could not be removed.
    ///
    /// # Errors
    ///
    /// As [`Publisher::open`], which does the work.
    pub fn tidy(self, options: PublisherOptions) -> Result<Vec<FileError>, PublishError> {
        let directory = Arc::clone(&self.directory);
        drop(self);
        let mut publisher = Publisher::open(&directory, options)?;
        Ok(publisher.remove_obsolete_files()?)
    }

    /// Whether a table or blob of the newest commit is missing, or has another length than the
    /// commit states.
    fn is_broken(&self, name: FileName, path: &Path) -> Result<bool, PublishError> {
        let tables = self.state.live_tables();
        let mut tables = tables.map(|(_, table)| (table.sequence, table.file_size));
        let blobs = self.state.blobs();
        let mut blobs = blobs.map(|blob| (SequenceNumber(blob.number.0), blob.file_size));
        let stated = match name.kind {
            FileKind::Sst => tables.find(|(sequence, _)| *sequence == name.sequence),
            FileKind::Blob => blobs.find(|(sequence, _)| *sequence == name.sequence),
            FileKind::Meta | FileKind::Del => None,
        };
        let Some((_, stated)) = stated else { return Ok(false) };
        let file_system = &*self.file_system;
        let inspect = FileError::at(path, FileOperation::Inspect);
        if !file_system.exists(path).map_err(inspect)? {
            return Ok(true);
        }
        Ok(MetaReader::open(file_system, path)?.len != stated)
    }

    fn path(&self, name: FileName) -> PathBuf {
        self.directory.join(name.to_string())
    }

    fn shared_file_system(&self) -> Arc<dyn FileSystem> {
        Arc::clone(&self.file_system) as _
    }

    fn check_usable(&self) -> Result<(), PublishError> {
        if self.file_system.has_failed() {
            return Err(PublishError::Poisoned { directory: self.directory.to_path_buf() });
        }
        Ok(())
    }

    fn check_unchanged(&self) -> Result<(), PublishError> {
        self.lock.check()?;
        self.state.check_unchanged(&*self.file_system, &self.directory)
    }

    /// Checks that all tables and blobs of a commit are there, with the lengths that it states.
    fn check_complete(&self, state: &DirectoryState) -> Result<(), PublishError> {
        let tables = state.live_tables();
        let tables = tables.map(|(_, table)| (table.sequence, FileKind::Sst, table.file_size));
        let blobs = state.blobs();
        let blobs =
            blobs.map(|blob| (SequenceNumber(blob.number.0), FileKind::Blob, blob.file_size));
        for (sequence, kind, len) in tables.chain(blobs) {
            let path = self.path(FileName { sequence, kind });
            if MetaReader::open(&*self.file_system, &path)?.len != len {
                return Err(PublishError::NotAsWritten { path });
            }
        }
        Ok(())
    }

    /// Names the meta files in the received commit's `.del` file that the original's readers must
    /// not count, and takes those that it has out of the other `.del` files. The original's readers
    /// know no list of live meta files, and this directory may lack the meta files from which they
    /// would learn that these are obsolete.
    fn write_del_files(
        &self,
        state: &DirectoryState,
        sequence: SequenceNumber,
    ) -> Result<BTreeSet<SequenceNumber>, PublishError> {
        let (file_system, directory) = (self.shared_file_system(), &self.directory);
        let mut present = numbered_files(&*file_system, directory)?;
        let named = del_files::to_name(&*file_system, directory, &present, state, sequence);
        let name = FileName { sequence, kind: FileKind::Del };
        let has_own = present.remove(&name);
        if !named.is_empty() {
            let path = self.path(name);
            let file = AtomicFile::replacing(Arc::clone(&file_system), &path)?;
            let mut file = ReplicaFile::new(file);
            file.write(DelFile::encode(named.iter().copied()))?;
            file.finish()?;
        } else if has_own {
            remove(&*file_system, &self.path(name))?;
        }
        del_files::spare_live(&file_system, directory, &present, state)?;
        Ok(named)
    }
}

/// A file of a [`Replica`] that is not complete yet. If it is dropped, nothing of it stays.
#[derive(Debug)]
#[must_use = "a file that is not finished is removed"]
pub struct ReplicaFile {
    file: AtomicFile,
}

impl ReplicaFile {
    /// A file whose name is made durable by a sync of the directory.
    pub(crate) fn new(file: AtomicFile) -> Self {
        Self { file: file.name_synced_later() }
    }

    /// Appends bytes. There is no buffer: write large pieces.
    ///
    /// # Errors
    ///
    /// [`PublishError::File`]. The file must then be dropped.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), PublishError> {
        Ok(self.file.write(bytes)?)
    }

    /// Makes the content durable, and gives the file its name. The name becomes durable in
    /// [`Replica::publish`].
    ///
    /// # Errors
    ///
    /// [`PublishError::File`].
    pub fn finish(self) -> Result<(), PublishError> {
        self.file.replace(|| Ok(()))
    }
}

/// The marker of a directory without a commit. Fails if the directory has lost its `CURRENT`.
fn marker_of(
    file_system: &dyn FileSystem,
    directory: &Path,
) -> Result<FirstCommitMarker, PublishError> {
    let names = list(file_system, directory)?;
    if names.iter().any(|name| name == FIRST_COMMIT_FILE_NAME) {
        return Ok(FirstCommitMarker::pinned(directory));
    }
    for file in names.iter().filter_map(|name| FileName::parse(name)) {
        if is_file(file_system, &directory.join(file.to_string()))? {
            return Err(PublishError::MissingCurrent { directory: directory.to_owned() });
        }
    }
    Ok(FirstCommitMarker::new(directory))
}
