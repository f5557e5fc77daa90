//! One commit to a directory.

pub(crate) mod adopt;
mod certify;
pub(crate) mod fragment;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sst_format::content_digest::{FamilyCertificate, ValueDigest};
use sst_format::current::Current;
use sst_format::del_file::DelFile;
use sst_format::file_name::{CURRENT_FILE_NAME, FileKind, FileName};
use sst_format::meta_file::MetaFileParts;
use sst_format::protection::{BlobRecord, LiveMeta};
use sst_format::{BlobNumber, SequenceNumber, SstMeta};

use self::fragment::AddedFragment;
use crate::blob::write_blob_file_in;
use crate::file::blob_copy::BlobCopy;
use crate::publish::directory_state::{DirectoryState, MetaState};
use crate::publish::publisher::{Numbers, remove};
use crate::table::entry_digester::sha256;
use crate::{
    AtomicFile, BlobFile, CancelToken, FileError, FileSystem, Finished, FinishedTable,
    PublishError, Publisher, StreamingSstWriter, TableDigest, TableWriter, WriterOptions,
};

/// A commit in the making. See [`Publisher::begin`].
///
/// Tables and blobs may be made by several threads at once, through a shared reference.
#[derive(Debug)]
pub struct Commit<'p> {
    publisher: &'p mut Publisher,
    family: u32,
    context: Arc<CommitContext>,
    tables: Vec<(SequenceNumber, SstMeta)>,
    /// What was put into the tables, if that is to be certified.
    digests: BTreeMap<SequenceNumber, TableDigest>,
    /// The blobs that the tables refer to, each with a table that does.
    blobs: BTreeMap<BlobNumber, SequenceNumber>,
    obsolete: BTreeSet<SequenceNumber>,
    fragments: Vec<AddedFragment>,
    /// The commit that this one goes back to; the newest if there is none.
    base: Option<DirectoryState>,
    outcome: Outcome,
}

/// What has become of a commit, and so of its files when it is dropped.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// Nothing yet: its files are leftovers.
    Open,
    /// `CURRENT` may name it or not: its files may be needed.
    Unknown,
    /// It is the newest: those of its files that belong to it stay.
    Published,
}

/// What a commit shares with the writers of its tables.
#[derive(Debug)]
pub(crate) struct CommitContext {
    directory: Arc<Path>,
    file_system: Arc<dyn FileSystem>,
    cancel: CancelToken,
    numbers: Arc<Numbers>,
    has_ended: AtomicBool,
    /// Every name given to a file of this commit.
    names: Mutex<Vec<FileName>>,
    /// The blobs of this commit.
    blobs: Mutex<Vec<BlobRecord>>,
    /// What was put into the blobs of this commit, if that is to be certified.
    blob_digests: Mutex<BTreeMap<BlobNumber, ValueDigest>>,
}

/// A commit that is durable.
#[derive(Debug)]
#[non_exhaustive]
pub struct CommitInfo {
    /// The commit point: the sequence number of the commit's meta file.
    pub sequence: SequenceNumber,
    /// What the commit says of the content of families, ascending: see
    /// [`PublisherOptions::certify`](crate::PublisherOptions::certify).
    pub certificates: Vec<FamilyCertificate>,
    /// Files that nobody needs any more and that could not be removed. The next commit, or the next publisher, tries again.
    pub not_removed: Vec<FileError>,
}

impl CommitContext {
    /// Whether the commit was published or given up.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// A new file of the commit: its number and its path.
    fn allocate(&self, kind: FileKind) -> Result<(SequenceNumber, PathBuf), PublishError> {
        let exhausted =
            || PublishError::NumbersExhausted { directory: self.directory.to_path_buf() };
        let sequence = self.numbers.next().ok_or_else(exhausted)?;
        let name = FileName { sequence, kind };
        self.names.lock().unwrap_or_else(PoisonError::into_inner).push(name);
        Ok((sequence, self.directory.join(name.to_string())))
    }

    /// Removes the files of the commit that `keep` does not name. What cannot be removed is left to the next publisher.
    fn remove_files(&self, keep: &BTreeSet<FileName>) {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names.iter().filter(|name| !keep.contains(name)) {
            _ = remove(&*self.file_system, &self.directory.join(name.to_string()));
        }
    }
}

impl<'p> Commit<'p> {
    pub(crate) fn new(publisher: &'p mut Publisher, family: u32) -> Self {
        let context = Arc::new(CommitContext {
            directory: publisher.shared_directory(),
            file_system: publisher.file_system(),
            cancel: publisher.options().monitor.token().clone(),
            numbers: publisher.numbers(),
            has_ended: AtomicBool::new(false),
            names: Mutex::default(),
            blobs: Mutex::default(),
            blob_digests: Mutex::default(),
        });
        Self {
            publisher,
            family,
            context,
            tables: Vec::new(),
            digests: BTreeMap::new(),
            blobs: BTreeMap::new(),
            obsolete: BTreeSet::new(),
            fragments: Vec::new(),
            base: None,
            outcome: Outcome::Open,
        }
    }

    /// Makes the commit start from an earlier one instead of the newest.
    pub(crate) fn go_back_to(&mut self, base: DirectoryState) {
        self.base = Some(base);
    }

    /// The directory that the commit is made in.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.context.directory
    }

    /// Starts a table, with a sequence number of its own.
    ///
    /// # Errors
    ///
    /// [`PublishError`]: the file cannot be created, or an earlier failure has poisoned the publisher.
    pub fn create_table(&self, mut options: WriterOptions) -> Result<TableWriter, PublishError> {
        self.publisher.check_usable()?;
        options.digest |= self.publisher.options().certify;
        let (sequence, path) = self.context.allocate(FileKind::Sst)?;
        let file = AtomicFile::create_in(Arc::clone(&self.context.file_system), &path)?;
        let writer = StreamingSstWriter::in_file(file, options);
        Ok(TableWriter::new(writer, sequence, Arc::clone(&self.context)))
    }

    /// Writes a blob, to be referred to by a table of this commit. If none does it is removed in the end.
    ///
    /// # Errors
    ///
    /// [`PublishError`]: the file cannot be written, or an earlier failure has poisoned the publisher.
    pub fn create_blob(&self, value: &[u8]) -> Result<BlobNumber, PublishError> {
        self.publisher.check_usable()?;
        let (sequence, path) = self.context.allocate(FileKind::Blob)?;
        let file_system = Arc::clone(&self.context.file_system);
        let compression = self.publisher.options().blob_compression;
        let blob = write_blob_file_in(file_system, &path, value, compression)?;
        let digest = self.publisher.options().certify.then(|| ValueDigest::of(value, sha256));
        Ok(self.add_blob(sequence, blob, digest))
    }

    /// Copies a blob file of another directory as it is stored, without decompressing it, to be referred to by a table of
    /// this commit. It is verified on the way: against the checksum in its header, and against `listed`, what the commit it
    /// comes from says of it. O(length of the file), with a MiB of it in memory.
    ///
    /// # Errors
    ///
    /// [`PublishError::BadBlob`] if it is damaged or not the one listed; [`PublishError`] as for
    /// [`Commit::create_blob`].
    pub fn copy_blob(
        &self,
        from: &Path,
        listed: Option<&BlobRecord>,
    ) -> Result<BlobNumber, PublishError> {
        self.publisher.check_usable()?;
        let (sequence, path) = self.context.allocate(FileKind::Blob)?;
        let file_system = Arc::clone(&self.context.file_system);
        let copy = BlobCopy { file_system, from, to: &path, listed, cancel: &self.context.cancel };
        let blob = copy.run()?;
        Ok(self.add_blob(sequence, blob, None))
    }

    fn add_blob(
        &self,
        sequence: SequenceNumber,
        blob: BlobFile,
        digest: Option<ValueDigest>,
    ) -> BlobNumber {
        let number = BlobNumber(sequence.0);
        if let Some(digest) = digest {
            let mut digests =
                self.context.blob_digests.lock().unwrap_or_else(PoisonError::into_inner);
            digests.insert(number, digest);
        }
        let record = BlobRecord { number, file_size: blob.file_size, header: blob.header };
        self.context.blobs.lock().unwrap_or_else(PoisonError::into_inner).push(record);
        number
    }

    /// Adds a finished table. Where tables of a commit have a key in common, the one added later wins.
    ///
    /// # Errors
    ///
    /// [`PublishError::ForeignTable`] if it was made for another commit or added before.
    pub fn add_table(&mut self, table: FinishedTable) -> Result<(), PublishError> {
        let FinishedTable { sequence, finished, context } = table;
        let is_known = self.tables.iter().any(|(known, _)| *known == sequence);
        if is_known || !Arc::ptr_eq(&context, &self.context) {
            return Err(PublishError::ForeignTable { table: sequence });
        }
        self.push_table(sequence, finished);
        Ok(())
    }

    fn push_table<T>(&mut self, sequence: SequenceNumber, table: Finished<T>) {
        let Finished { meta, blobs, digest, .. } = table;
        self.digests.extend(digest.map(|digest| (sequence, digest)));
        self.blobs.extend(blobs.into_iter().map(|blob| (blob, sequence)));
        self.tables.push((sequence, meta));
    }

    /// Makes a table of an earlier commit obsolete: it is not read any more once this commit is published.
    ///
    /// # Errors
    ///
    /// [`PublishError::NotLive`] if there is no such table in the newest commit, or it is of another family.
    pub fn obsolete(&mut self, table: SequenceNumber) -> Result<(), PublishError> {
        let family = self.family;
        let mut live = self.publisher.live_tables();
        if !live.any(|(of, record)| of == family && record.sequence == table) {
            return Err(PublishError::NotLive { table, family });
        }
        self.obsolete.insert(table);
        Ok(())
    }

    /// Makes all tables of earlier commits of this family obsolete: the tables of this commit replace them.
    pub fn replace_all(&mut self) {
        let live = self.publisher.live_tables().filter(|(family, _)| *family == self.family);
        let tables: Vec<_> = live.map(|(_, table)| table.sequence).collect();
        self.obsolete.extend(tables);
    }

    /// Makes the commit durable and then visible, in one step.
    ///
    /// # Errors
    ///
    /// [`PublishError`]; readers go on with the commit before. With
    /// [`PublisherOptions::certify`](crate::PublisherOptions::certify) [`PublishError::BadTable`] if what is on disk is not
    /// what was put in. Only if `CURRENT` could not be replaced or the directory
    /// not be synced after that, nobody can say which of the two commits a crash would leave: the publisher is then
    /// poisoned, and [`Publisher::open`] will tell.
    pub fn publish(mut self) -> Result<CommitInfo, PublishError> {
        self.publisher.check_usable()?;
        let (sequence, path) = self.context.allocate(FileKind::Meta)?;
        let base = self.base.as_ref().unwrap_or_else(|| self.publisher.state());
        let (mut state, obsolete) = base.without(&self.obsolete);
        let certificates = self.certificates(&state)?;
        self.context.cancel.check()?;
        let this = LiveMeta { sequence, checksum: 0 };
        let live_metas: Vec<_> = state.live_metas().chain([this]).collect();
        let parts = MetaFileParts {
            family: self.family,
            obsolete: &obsolete,
            tables: &self.tables,
            live_metas: &live_metas,
            blobs: &self.blob_records()?,
            certificates: &certificates,
        };
        let (bytes, _) = parts
            .encode(crc32fast::hash)
            .map_err(|source| PublishError::Format { path: path.clone(), source })?;
        state.push(MetaState::parse(&bytes, sequence, &path)?);
        state.misleading = self.publisher.still_misleading(&state)?;
        if !state.misleading.is_empty() {
            self.write_del(sequence, &state.misleading)?;
        }
        #[cfg(sst_planted)]
        if sst_format::planted("inputs-removed-early") {
            for &sequence in &self.obsolete {
                let name = FileName { sequence, kind: FileKind::Sst };
                _ = remove(&*self.context.file_system, &self.directory().join(name.to_string()));
            }
        }
        self.write_file(&path, &bytes)?;
        // No writer of this commit may finish a table any more.
        self.context.has_ended.store(true, Ordering::Release);
        self.switch_current(sequence)?;
        self.outcome = Outcome::Published;
        let not_removed = self.publisher.advance(state);
        Ok(CommitInfo { sequence, certificates, not_removed })
    }

    /// Records of all blobs that the tables refer to.
    fn blob_records(&self) -> Result<Vec<BlobRecord>, PublishError> {
        let own = self.context.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        let find = |(&blob, &table): (&BlobNumber, &SequenceNumber)| {
            let own = own.iter().find(|record| record.number == blob).copied();
            own.or_else(|| self.publisher.state().blob(blob))
                .ok_or(PublishError::UnknownBlob { table, blob })
        };
        self.blobs.iter().map(find).collect()
    }

    /// Writes the `.del` file of the commit, which tells the original's readers what not to read.
    fn write_del(
        &self,
        sequence: SequenceNumber,
        metas: &BTreeSet<SequenceNumber>,
    ) -> Result<(), FileError> {
        let name = FileName { sequence, kind: FileKind::Del };
        self.context.names.lock().unwrap_or_else(PoisonError::into_inner).push(name);
        let bytes = DelFile::encode(metas.iter().copied());
        self.write_file(&self.context.directory.join(name.to_string()), &bytes)
    }

    fn write_file(&self, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
        let mut file = AtomicFile::create_in(Arc::clone(&self.context.file_system), path)?;
        file.write(bytes)?;
        file.persist()
    }

    /// Replaces `CURRENT`: the commit point.
    fn switch_current(&mut self, sequence: SequenceNumber) -> Result<(), FileError> {
        let path = self.context.directory.join(CURRENT_FILE_NAME);
        let mut file = AtomicFile::replacing(Arc::clone(&self.context.file_system), &path)?;
        file.write(&Current::encode(sequence, crc32fast::hash))?;
        file.replace(|| self.outcome = Outcome::Unknown)
    }
}

impl Drop for Commit<'_> {
    fn drop(&mut self) {
        self.context.has_ended.store(true, Ordering::Release);
        match self.outcome {
            Outcome::Open => self.context.remove_files(&BTreeSet::new()),
            Outcome::Unknown => {}
            Outcome::Published => self.context.remove_files(&self.publisher.state().files()),
        }
    }
}
