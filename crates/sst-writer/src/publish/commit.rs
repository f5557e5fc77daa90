//! A commit to a directory.

mod add_task;
mod added_tasks;
pub(crate) mod adopt;
pub(crate) mod commit_files;
pub(crate) mod commit_tables;
mod file_copy;
mod meta_files;
pub(crate) mod prepared_commit;
pub(crate) mod table_writer;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use sst_format::content_digest::{FamilyCertificate, ValueDigest};
use sst_format::file_name::{FileKind, FileName};
use sst_format::meta_head::CommitKind;
use sst_format::protection::BlobRecord;
use sst_format::{BlobNumber, SequenceNumber, SstMeta, planted};

use self::added_tasks::AddedTasks;
use self::commit_files::CommitFiles;
use self::commit_tables::CommitTables;
use self::file_copy::FileCopy;
use self::prepared_commit::PreparedCommit;
use crate::blob::blob_file::write_blob;
use crate::publish::directory_state::DirectoryState;
use crate::publish::family_change::FamilyChange;
use crate::table::entry_digester::sha256;
use crate::{
    FileError, FinishedTable, Monitor, PublishError, Publisher, StreamingSstWriter, TableWriter,
    WriteError, WriterOptions,
};

/// A commit that is being made. See [`Publisher::begin`].
///
/// Several threads may write tables and blobs at once, through a shared reference.
#[derive(Debug)]
pub struct Commit<'p> {
    publisher: &'p mut Publisher,
    change: FamilyChange,
    files: Arc<CommitFiles>,
    tables: CommitTables,
    /// The tasks whose tables were added.
    tasks: AddedTasks,
    /// The earlier commit that this one makes live again; `None` if it continues the newest one.
    rollback_to: Option<DirectoryState>,
    outcome: CommitState,
}

/// The state of a commit, which decides about its files when it is dropped.
#[derive(Clone, Copy, Debug)]
enum CommitState {
    /// It is not visible: its files are removed.
    Open,
    /// `CURRENT` may or may not name it: its files may be needed, and stay.
    Unknown,
    /// It is the newest commit: its files stay.
    Published,
}

/// A commit that is durable.
#[derive(Debug)]
#[non_exhaustive]
pub struct CommitInfo {
    /// The commit's number: the sequence number of its newest meta file.
    pub commit: SequenceNumber,
    /// Certificates of families, ascending: see [`PreparedCommit::certify`].
    pub certificates: Vec<FamilyCertificate>,
    /// Files that no commit needs any more but that could not be removed. The next commit, or the
    /// next publisher, tries again. Empty too if another publisher has published since, because the
    /// lock file was removed: then nothing is removed, since its commit may need the files.
    pub not_removed: Vec<FileError>,
}

impl Publisher {
    /// Starts a commit of family 0.
    ///
    /// Readers see nothing of it before [`Commit::publish`]. If it is dropped before, nothing of it
    /// stays.
    pub fn begin(&mut self) -> Commit<'_> {
        self.begin_family(0)
    }

    /// Starts a commit of a family: a key space with its own tables.
    pub fn begin_family(&mut self, family: u32) -> Commit<'_> {
        Commit::new(self, family)
    }
}

impl<'p> Commit<'p> {
    pub(crate) fn new(publisher: &'p mut Publisher, family: u32) -> Self {
        let files = Arc::new(CommitFiles::new(publisher));
        Self {
            publisher,
            change: FamilyChange::new(family),
            files,
            tables: CommitTables::default(),
            tasks: AddedTasks::default(),
            rollback_to: None,
            outcome: CommitState::Open,
        }
    }

    /// Sets the kind of the commit, which only affects the list of generations: a
    /// [`CommitKind::Merge`] is no generation.
    ///
    /// By default the kind is [`CommitKind::Load`] after [`Commit::replace_all`], and
    /// [`CommitKind::Append`] otherwise. A kind that is set here counts, before or after that call.
    pub const fn set_kind(&mut self, kind: CommitKind) {
        self.change.set_kind(kind);
    }

    /// The kind of the commit, set or by default.
    #[must_use]
    pub const fn kind(&self) -> CommitKind {
        self.change.kind()
    }

    /// Makes the commit continue an earlier commit instead of the newest.
    pub(crate) fn roll_back_to(&mut self, earlier: DirectoryState) {
        self.rollback_to = Some(earlier);
    }

    /// The directory of the commit.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.files.directory
    }

    /// The family whose tables the commit changes.
    #[must_use]
    pub const fn family(&self) -> u32 {
        self.change.family()
    }

    /// The tables added so far, with their descriptions, in the order in which they were added.
    #[must_use]
    pub fn tables(&self) -> &[(SequenceNumber, SstMeta)] {
        self.tables.described()
    }

    /// Starts a table, with a sequence number of its own.
    ///
    /// # Errors
    ///
    /// [`PublishError`] if the file cannot be created, or an earlier failure has poisoned the
    /// publisher.
    pub fn create_table(&self, mut options: WriterOptions) -> Result<TableWriter, PublishError> {
        self.check_usable()?;
        options.digest |= self.publisher.options().digest;
        let (name, path) = self.files.allocate(FileKind::Sst)?;
        let file = self.files.create(&path)?;
        let writer = StreamingSstWriter::in_file(file, options);
        Ok(TableWriter::new(writer, name, Arc::clone(&self.files)))
    }

    /// Writes a blob, to which a table of this commit can refer. A blob to which no table refers is
    /// removed after the commit.
    ///
    /// # Errors
    ///
    /// [`PublishError`] if the file cannot be written, or an earlier failure has poisoned the
    /// publisher.
    pub fn create_blob(&self, value: impl AsRef<[u8]>) -> Result<BlobNumber, PublishError> {
        let value = value.as_ref();
        self.check_usable()?;
        let (name, path) = self.files.allocate(FileKind::Blob)?;
        let compression = self.publisher.options().blob_compression;
        // Before the work of compressing: most errors show when the file is created.
        let file = self.files.create(&path).map_err(WriteError::from);
        let written = file.and_then(|file| write_blob(file, &path, value, compression));
        let (blob, ()) = self.files.note_created(name, written)?;
        let digest = self.publisher.options().digest.then(|| ValueDigest::of(value, sha256));
        let number = BlobNumber(name.sequence.0);
        self.files.add_blob(number, blob, digest);
        Ok(number)
    }

    /// Copies a blob file of another directory, to which a table of this commit can refer.
    ///
    /// The file is copied as stored, without decompressing it. While copying, it is verified
    /// against the checksum in its header and against `listed`, its record in the commit that it
    /// comes from. O(length of the file), with 256 KiB of it in memory.
    ///
    /// # Errors
    ///
    /// [`PublishError::BadBlob`] or [`PublishError::Format`] if the file is damaged or is not the
    /// listed one; [`PublishError::Cancelled`]; [`PublishError`] as for [`Commit::create_blob`].
    pub fn copy_blob(
        &self,
        from: impl AsRef<Path>,
        listed: Option<&BlobRecord>,
        monitor: &Monitor,
    ) -> Result<BlobNumber, PublishError> {
        let from = from.as_ref();
        self.check_usable()?;
        let (name, to) = self.files.allocate(FileKind::Blob)?;
        let (file, blob) = self.copy(from, &to, monitor).run_for_blob(listed)?;
        self.files.note_created(name, file.persist())?;
        let number = BlobNumber(name.sequence.0);
        self.files.add_blob(number, blob, None);
        Ok(number)
    }

    /// Copies a table file of another directory byte for byte, and adds it with the description
    /// `meta`.
    ///
    /// The table must refer to no blob, because blobs have other numbers here. The bytes are not
    /// checked: verify the copy before the commit is published, as `sst_merge` does. O(length of
    /// the file), with 256 KiB of it in memory.
    ///
    /// # Errors
    ///
    /// [`PublishError::File`] if a file cannot be read or written; [`PublishError::Cancelled`];
    /// [`PublishError::Poisoned`].
    pub fn copy_table(
        &mut self,
        from: impl AsRef<Path>,
        meta: SstMeta,
        monitor: &Monitor,
    ) -> Result<SequenceNumber, PublishError> {
        let from = from.as_ref();
        self.check_usable()?;
        let (name, to) = self.files.allocate(FileKind::Sst)?;
        let (file, _) = self.copy(from, &to, monitor).run(|_| {})?;
        let persisted = planted!("gathered-sync-skipped", file.persist(), file.persist_unsynced());
        self.files.note_created(name, persisted)?;
        planted!("gathered-copies-stay" => self.files.forget_last());
        self.tables.add_copied(name.sequence, meta);
        Ok(name.sequence)
    }

    /// Fails if the publisher is poisoned, or the directory holds a shard, in which only rollbacks
    /// are published.
    fn check_usable(&self) -> Result<(), PublishError> {
        if let Some(shard) = self.publisher.state().shard() {
            return Err(PublishError::of_shard(self.directory(), &shard));
        }
        self.publisher.check_usable()
    }

    fn copy<'a>(&'a self, from: &'a Path, to: &'a Path, monitor: &'a Monitor) -> FileCopy<'a> {
        FileCopy { files: &self.files, from, to, monitor }
    }

    /// The record of a blob that this commit has made.
    #[must_use]
    pub fn blob(&self, number: BlobNumber) -> Option<BlobRecord> {
        self.files.blob(number).map(|blob| blob.record)
    }

    /// Asks the system to read a file of the directory from the device the next time, not from its
    /// cache. So verifying the file verifies what the device holds.
    ///
    /// # Errors
    ///
    /// [`PublishError::File`] if the file cannot be opened.
    pub fn drop_cache(&self, file: FileName) -> Result<(), PublishError> {
        Ok(self.files.drop_cache(file)?)
    }

    /// Adds a finished table. If tables of a commit share a key, the table added last wins.
    ///
    /// # Errors
    ///
    /// [`PublishError::ForeignTable`] if the table was made for another commit, or was added
    /// before.
    pub fn add_table(&mut self, table: FinishedTable) -> Result<(), PublishError> {
        let FinishedTable { sequence, finished, files } = table;
        if self.tables.contains(sequence) || !Arc::ptr_eq(&files, &self.files) {
            return Err(PublishError::ForeignTable { table: sequence });
        }
        self.tables.add_written(sequence, finished);
        Ok(())
    }

    /// Makes a table of an earlier commit obsolete: readers of this commit do not see it.
    ///
    /// # Errors
    ///
    /// [`PublishError::NotLive`] if the newest commit has no such table of this family.
    pub fn obsolete(&mut self, table: SequenceNumber) -> Result<(), PublishError> {
        self.change.make_obsolete(table, self.publisher.live_tables())
    }

    /// Makes all tables of earlier commits of this family obsolete: the tables of this commit
    /// replace them. That makes it a commit of kind [`CommitKind::Load`], unless another is set.
    pub fn replace_all(&mut self) {
        self.change.replace_all(self.publisher.live_tables());
    }

    /// Ends the writing of tables and blobs, whose contents are all durable, and describes the
    /// commit in memory. The names of the files become durable in [`PreparedCommit::publish`].
    ///
    /// Nothing is visible yet: the commit can be read back and certified before
    /// [`PreparedCommit::publish`]. If it is dropped, nothing of it stays.
    ///
    /// # Errors
    ///
    /// [`PublishError::UnknownBlob`] if a table refers to a blob that neither this commit nor an
    /// earlier one made; [`PublishError::Poisoned`].
    pub fn prepare(self) -> Result<PreparedCommit<'p>, PublishError> {
        PreparedCommit::new(self)
    }

    /// Makes the commit visible in one step, without a new certificate.
    ///
    /// This is [`Commit::prepare`] followed by [`PreparedCommit::publish`].
    ///
    /// # Errors
    ///
    /// As [`Commit::prepare`] and [`PreparedCommit::publish`].
    pub fn publish(self, monitor: &Monitor) -> Result<CommitInfo, PublishError> {
        self.prepare()?.publish(monitor)
    }

    /// The commit that this one continues.
    fn base(&self) -> &DirectoryState {
        self.rollback_to.as_ref().unwrap_or_else(|| self.publisher.state())
    }

    /// Removes the files of a commit that did not happen. If the directory is no longer the one
    /// that the publisher has opened and locked, they stay: files of these names may belong to
    /// another publisher now. The next publisher removes them.
    fn remove_files(&mut self) {
        if !self.files.has_files() {
            self.files.remove_marker();
            return;
        }
        // An error of the system does not tell whether the directory has changed, and is likely the
        // reason why the commit failed.
        let is_of_another = matches!(
            self.publisher.check_unchanged(),
            Err(PublishError::Changed { .. } | PublishError::LockLost { .. })
        );
        if is_of_another {
            self.files.keep_marker();
            return;
        }
        let left = self.files.remove_all_but(&BTreeSet::new());
        match left.is_empty() {
            true => self.files.remove_marker(),
            false => self.files.keep_marker(),
        }
        self.publisher.add_leftovers(left);
    }

    /// The records of all blobs to which the tables refer, in the order of their numbers.
    fn blob_records(&self) -> Result<Vec<BlobRecord>, PublishError> {
        // Each blob once, with one table that refers to it.
        let mut pairs: BTreeMap<BlobNumber, SequenceNumber> = BTreeMap::new();
        for of_table in self.tables.blobs() {
            let (table, blobs) = of_table?;
            pairs.extend(blobs.iter().map(|blob| (*blob, table)));
        }
        let by_number: OnceCell<BTreeMap<BlobNumber, BlobRecord>> = OnceCell::new();
        let earlier = |blob| {
            let blobs = || self.publisher.state().blobs().map(|it| (it.number, *it)).collect();
            by_number.get_or_init(blobs).get(&blob).copied()
        };
        let find = |(blob, table)| {
            self.blob(blob)
                .or_else(|| earlier(blob))
                .ok_or(PublishError::UnknownBlob { table, blob })
        };
        pairs.into_iter().map(find).collect()
    }
}

impl Drop for Commit<'_> {
    fn drop(&mut self) {
        self.files.end();
        match self.outcome {
            CommitState::Open => self.remove_files(),
            CommitState::Unknown => self.files.keep_marker(),
            CommitState::Published => {
                let left = self.files.remove_all_but(self.publisher.present());
                self.publisher.add_leftovers(left);
            }
        }
    }
}
