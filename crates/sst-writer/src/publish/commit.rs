//! One commit to a directory.

pub(crate) mod adopt;
pub(crate) mod commit_files;
mod file_copy;
mod meta_files;
pub(crate) mod prepared_commit;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use sst_format::content_digest::{FamilyCertificate, ValueDigest};
use sst_format::file_name::{FileKind, FileName};
use sst_format::meta_head::CommitKind;
use sst_format::protection::BlobRecord;
use sst_format::{BlobNumber, SequenceNumber, SstMeta, planted};

use self::commit_files::CommitFiles;
use self::file_copy::FileCopy;
use self::prepared_commit::PreparedCommit;
use crate::blob::write_blob_file_in;
use crate::publish::directory_state::DirectoryState;
use crate::table::entry_digester::sha256;
use crate::{
    AtomicFile, FileError, Finished, FinishedTable, Monitor, PublishError, Publisher,
    StreamingSstWriter, TableDigest, TableWriter, WriterOptions,
};

/// A commit in the making. See [`Publisher::begin`].
///
/// Tables and blobs may be made by several threads at once, through a shared reference.
#[derive(Debug)]
pub struct Commit<'p> {
    publisher: &'p mut Publisher,
    family: u32,
    files: Arc<CommitFiles>,
    /// Tables of the commit, the oldest first.
    tables: Vec<(SequenceNumber, SstMeta)>,
    /// Digests of the entries that were put into the tables, if they are taken.
    digests: BTreeMap<SequenceNumber, TableDigest>,
    /// The blobs that each table refers to.
    blobs: BTreeMap<SequenceNumber, Vec<BlobNumber>>,
    obsolete: BTreeSet<SequenceNumber>,
    kind: CommitKind,
    /// The earlier commit that this one goes back to; `None` if it continues the newest one.
    rollback_to: Option<DirectoryState>,
    outcome: Outcome,
}

/// How far a commit has come, which decides about its files when it is dropped.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// It is not visible: its files go.
    Open,
    /// `CURRENT` may name it or not: its files may be needed and stay.
    Unknown,
    /// It is the newest commit: the files that belong to it stay.
    Published,
}

/// A commit that is durable.
#[derive(Debug)]
#[non_exhaustive]
pub struct CommitInfo {
    /// The commit point: the sequence number of the commit's meta file.
    pub sequence: SequenceNumber,
    /// Certificates of families, ascending: see [`PreparedCommit::certify`].
    pub certificates: Vec<FamilyCertificate>,
    /// Files that no commit needs any more and that could not be removed. The next commit, or the
    /// next publisher, tries again.
    pub not_removed: Vec<FileError>,
}

impl<'p> Commit<'p> {
    pub(crate) fn new(publisher: &'p mut Publisher, family: u32) -> Self {
        let files = Arc::new(CommitFiles::new(publisher));
        Self {
            publisher,
            family,
            files,
            tables: Vec::new(),
            digests: BTreeMap::new(),
            blobs: BTreeMap::new(),
            obsolete: BTreeSet::new(),
            kind: CommitKind::Append,
            rollback_to: None,
            outcome: Outcome::Open,
        }
    }

    /// Says why the commit is made, which nothing depends on but the list of generations: a commit
    /// of kind [`CommitKind::Merge`] is none. Unless said, it is [`CommitKind::Load`] after
    /// [`Commit::replace_all`], and [`CommitKind::Append`] otherwise.
    pub const fn kind(&mut self, kind: CommitKind) {
        self.kind = kind;
    }

    /// Makes the commit continue an earlier one instead of the newest.
    pub(crate) fn roll_back_to(&mut self, earlier: DirectoryState) {
        self.rollback_to = Some(earlier);
    }

    /// The directory that the commit is made in.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.files.directory
    }

    /// The family whose tables the commit changes.
    #[must_use]
    pub const fn family(&self) -> u32 {
        self.family
    }

    /// Observes and cancels the commit:
    /// [`PublisherOptions::monitor`](crate::PublisherOptions::monitor).
    #[must_use]
    pub fn monitor(&self) -> &Monitor {
        &self.files.monitor
    }

    /// The tables added so far with their descriptions, the oldest first.
    #[must_use]
    pub fn tables(&self) -> &[(SequenceNumber, SstMeta)] {
        &self.tables
    }

    /// Starts a table, with a sequence number of its own.
    ///
    /// # Errors
    ///
    /// [`PublishError`] if the file cannot be created, or an earlier failure has poisoned the
    /// publisher.
    pub fn create_table(&self, mut options: WriterOptions) -> Result<TableWriter, PublishError> {
        self.publisher.check_usable()?;
        options.digest |= self.publisher.options().digest;
        let (name, path) = self.files.allocate(FileKind::Sst)?;
        let file = AtomicFile::create_in(Arc::clone(&self.files.file_system), &path)?;
        let writer = StreamingSstWriter::in_file(file, options);
        Ok(TableWriter::new(writer, name, Arc::clone(&self.files)))
    }

    /// Writes a blob, to be referred to by a table of this commit. A blob that no table refers to
    /// is removed in the end.
    ///
    /// # Errors
    ///
    /// [`PublishError`] if the file cannot be written, or an earlier failure has poisoned the
    /// publisher.
    pub fn create_blob(&self, value: impl AsRef<[u8]>) -> Result<BlobNumber, PublishError> {
        let value = value.as_ref();
        self.publisher.check_usable()?;
        let (name, path) = self.files.allocate(FileKind::Blob)?;
        let file_system = Arc::clone(&self.files.file_system);
        let compression = self.publisher.options().blob_compression;
        let written = write_blob_file_in(file_system, &path, value, compression);
        let blob = self.files.note_created(name, written)?;
        let digest = self.publisher.options().digest.then(|| ValueDigest::of(value, sha256));
        let number = BlobNumber(name.sequence.0);
        self.files.add_blob(number, blob, digest);
        Ok(number)
    }

    /// Copies a blob file of another directory as it is stored, without decompressing it, to be
    /// referred to by a table of this commit. The copy is verified on the way: against the checksum
    /// in its header, and against `listed`, its record in the commit that it comes from. O(length
    /// of the file), with 2 MiB of it in memory.
    ///
    /// # Errors
    ///
    /// [`PublishError::BadBlob`] or [`PublishError::Format`] if the file is damaged or is not the
    /// one listed; [`PublishError::Cancelled`]; [`PublishError`] as for [`Commit::create_blob`].
    pub fn copy_blob(
        &self,
        from: &Path,
        listed: Option<&BlobRecord>,
    ) -> Result<BlobNumber, PublishError> {
        self.publisher.check_usable()?;
        let (name, to) = self.files.allocate(FileKind::Blob)?;
        let blob = self.files.note_created(name, self.copy(from, &to).run_for_blob(listed))?;
        let number = BlobNumber(name.sequence.0);
        self.files.add_blob(number, blob, None);
        Ok(number)
    }

    /// Copies a table file of another directory byte for byte, and adds it as a table with the
    /// description `meta`. It must refer to no blob, since blobs have other numbers here. The bytes
    /// are not looked at: verify the copy before the commit is published, as `sst_merge` does.
    /// O(length of the file), with 2 MiB of it in memory.
    ///
    /// # Errors
    ///
    /// [`PublishError::File`] if a file cannot be read or written; [`PublishError::Cancelled`];
    /// [`PublishError::Poisoned`].
    pub fn copy_table(
        &mut self,
        from: &Path,
        meta: SstMeta,
    ) -> Result<SequenceNumber, PublishError> {
        self.publisher.check_usable()?;
        let (name, to) = self.files.allocate(FileKind::Sst)?;
        let (file, _) = self.copy(from, &to).run(|_| {})?;
        let persisted = planted!("gathered-sync-skipped", file.persist(), file.persist_unsynced());
        self.files.note_created(name, persisted)?;
        planted!("gathered-copies-stay" => self.files.forget_last());
        self.tables.push((name.sequence, meta));
        Ok(name.sequence)
    }

    fn copy<'a>(&'a self, from: &'a Path, to: &'a Path) -> FileCopy<'a> {
        let file_system = Arc::clone(&self.files.file_system);
        FileCopy { file_system, from, to, monitor: &self.files.monitor }
    }

    /// The record of a blob that this commit made.
    #[must_use]
    pub fn blob(&self, number: BlobNumber) -> Option<BlobRecord> {
        self.files.blob(number).map(|blob| blob.record)
    }

    /// Asks the system to answer the next read of a file of the directory from the device, not from
    /// its cache: so that a file that is verified is the one on the device.
    ///
    /// # Errors
    ///
    /// [`PublishError::File`] if the file cannot be opened.
    pub fn drop_cache(&self, file: FileName) -> Result<(), PublishError> {
        Ok(self.files.drop_cache(file)?)
    }

    /// Adds a finished table. Where tables of a commit have a key in common, the one added later
    /// wins.
    ///
    /// # Errors
    ///
    /// [`PublishError::ForeignTable`] if the table was made for another commit or added before.
    pub fn add_table(&mut self, table: FinishedTable) -> Result<(), PublishError> {
        let FinishedTable { sequence, finished, files } = table;
        let is_known = self.tables.iter().any(|(known, _)| *known == sequence);
        if is_known || !Arc::ptr_eq(&files, &self.files) {
            return Err(PublishError::ForeignTable { table: sequence });
        }
        self.push_table(sequence, finished);
        Ok(())
    }

    fn push_table<T>(&mut self, sequence: SequenceNumber, table: Finished<T>) {
        let Finished { meta, blobs, digest, .. } = table;
        self.blobs.insert(sequence, blobs);
        self.digests.extend(digest.map(|digest| (sequence, digest)));
        self.tables.push((sequence, meta));
    }

    /// Makes a table of an earlier commit obsolete: readers of this commit do not see it.
    ///
    /// # Errors
    ///
    /// [`PublishError::NotLive`] if the newest commit has no such table of this family.
    pub fn obsolete(&mut self, table: SequenceNumber) -> Result<(), PublishError> {
        let family = self.family;
        let mut live = self.publisher.live_tables();
        if !live.any(|(of, record)| of == family && record.sequence == table) {
            return Err(PublishError::NotLive { table, family });
        }
        self.obsolete.insert(table);
        Ok(())
    }

    /// Makes all tables of earlier commits of this family obsolete: the tables of this commit
    /// replace them. That makes it a commit of kind [`CommitKind::Load`].
    pub fn replace_all(&mut self) {
        self.kind = CommitKind::Load;
        let live = self.publisher.live_tables().filter(|(family, _)| *family == self.family);
        let tables: Vec<_> = live.map(|(_, table)| table.sequence).collect();
        self.obsolete.extend(tables);
    }

    /// Ends the making of tables and blobs, all of which are durable, and describes the commit that
    /// they make. Nothing is visible yet: the commit can be read back and certified before
    /// [`PreparedCommit::publish`]. Dropped, it leaves nothing behind.
    ///
    /// # Errors
    ///
    /// [`PublishError::UnknownBlob`] if a table refers to a blob that neither this commit nor an
    /// earlier one made; [`PublishError::Poisoned`].
    pub fn prepare(self) -> Result<PreparedCommit<'p>, PublishError> {
        PreparedCommit::new(self)
    }

    /// Makes the commit visible in one step, without a certificate of its own: [`Commit::prepare`]
    /// and [`PreparedCommit::publish`].
    ///
    /// # Errors
    ///
    /// As those.
    pub fn publish(self) -> Result<CommitInfo, PublishError> {
        self.prepare()?.publish()
    }

    /// The commit that this one continues.
    fn base(&self) -> &DirectoryState {
        self.rollback_to.as_ref().unwrap_or_else(|| self.publisher.state())
    }

    /// Removes the files of a commit that did not happen. If the directory is no longer the one
    /// that the publisher has opened and locked, they stay: files of their names may be another's
    /// now. The next publisher removes them.
    fn take_back(&self) {
        if !self.files.has_files() {
            self.files.forget_first();
            return;
        }
        // An error of the system leaves it open whether the directory has changed, and is likely
        // the reason why the commit failed.
        let is_of_another = matches!(
            self.publisher.check_unchanged(),
            Err(PublishError::Changed { .. } | PublishError::LockLost { .. })
        );
        if !is_of_another && self.files.remove_all_but(&BTreeSet::new()) {
            self.files.forget_first();
        } else {
            self.files.pin_first();
        }
    }

    /// Records of all blobs that the tables refer to, in the order of their numbers.
    fn blob_records(&self) -> Result<Vec<BlobRecord>, PublishError> {
        let pairs = self.blobs.iter();
        let pairs = pairs.flat_map(|(table, blobs)| blobs.iter().map(|blob| (*blob, *table)));
        // Each blob once, with a table that refers to it.
        let pairs: BTreeMap<BlobNumber, SequenceNumber> = pairs.collect();
        let find = |(blob, table)| {
            self.blob(blob)
                .or_else(|| self.publisher.state().blob(blob))
                .ok_or(PublishError::UnknownBlob { table, blob })
        };
        pairs.into_iter().map(find).collect()
    }
}

impl Drop for Commit<'_> {
    fn drop(&mut self) {
        self.files.end();
        match self.outcome {
            Outcome::Open => self.take_back(),
            Outcome::Unknown => self.files.pin_first(),
            Outcome::Published => {
                self.files.remove_all_but(&self.publisher.state().files());
            }
        }
    }
}
