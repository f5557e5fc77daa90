//! The tables and blobs of a directory as of its commit (FORMAT.md sections 1 and 9).

mod around_table;
mod blob_records;
mod catalog_reader;
mod described;
mod scope;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sst_format::SequenceNumber;
use sst_format::content_digest::FamilyCertificate;
use sst_format::identity::CommitIdentity;
use sst_format::meta_file::check_lengths;
use sst_format::meta_head::{CommitKind, HashRange, Shard};

use super::CatalogTable;
use super::directory_stamp::{BareStart, DirectoryStamp};
use super::loaded_meta::LoadedMeta;
use crate::block::source::Files;
use crate::{Access, Corruption, FileLabel, ReadError, ReaderOptions, StaticSortedFile};
use blob_records::BlobRecords;
use catalog_reader::CatalogReader;

pub(super) use scope::Scope;

/// The tables of a directory as of one commit, with everything their meta files say, before any of
/// them is opened.
#[derive(Clone)]
#[non_exhaustive]
pub struct Catalog {
    /// The directory.
    pub dir: PathBuf,
    /// The commit: the sequence number in `CURRENT`.
    pub commit: SequenceNumber,
    /// Whether the commit is one chain of checksums. Directories of the original are not.
    pub is_protected: bool,
    /// Why the commit was made, if its newest meta file tells.
    pub kind: Option<CommitKind>,
    /// The live tables of all families, newest first.
    pub tables: Vec<CatalogTable>,
    /// The certificates of families, ascending; families without one are left out. A shard has
    /// none.
    pub certificates: Vec<FamilyCertificate>,
    /// The shard that the directory holds, of which source; `None` if it holds everything.
    pub shard: Option<Shard>,
    /// The live meta files, newest first.
    pub meta_files: Vec<SequenceNumber>,
    /// The stamp that a refresh compares.
    stamp: DirectoryStamp,
    scope: Scope,
    /// The way to its files.
    files: Files,
    /// Newest first.
    metas: Vec<Arc<LoadedMeta>>,
    blobs: Arc<BlobRecords>,
}

impl Catalog {
    /// Reads `CURRENT` and the heads of the live meta files of the directory `dir`. No table is
    /// touched.
    ///
    /// Commits that happen meanwhile are no error: the newest one that can be read whole counts.
    /// Nor is another directory that takes the place of this one.
    ///
    /// # Errors
    ///
    /// [`ReadError::Io`]; [`ReadError::Corrupt`] if a file is damaged, missing, or not the one that
    /// belongs there, or the directory is of another revision of the format.
    pub fn read(dir: impl AsRef<Path>) -> Result<Self, ReadError> {
        Self::read_scope(dir.as_ref(), &Files::of_system(Access::Read), Scope::ALL)
    }

    /// [`Catalog::read`] with the [access](ReaderOptions::access) and the
    /// [store](ReaderOptions::files) of `options`. With [`Access::Map`] large meta files are
    /// mapped: their filters are then used where they lie.
    ///
    /// Of meta files of version 3 it reads at most 64 bytes for each table that they describe, 4
    /// for each that they name obsolete, and some 600 for each meta file: together less than 64
    /// bytes a table and 64 KiB where there are up to a hundred meta files. Those of versions 1 and
    /// 2 and of the original's are read whole.
    ///
    /// # Errors
    ///
    /// As [`Catalog::read`].
    pub fn read_with(dir: impl AsRef<Path>, options: &ReaderOptions) -> Result<Self, ReadError> {
        Self::read_scope(dir.as_ref(), &options.way(), Scope::ALL)
    }

    /// [`Catalog::read_with`] of the meta files that a scope needs.
    pub(super) fn read_scope(dir: &Path, files: &Files, scope: Scope) -> Result<Self, ReadError> {
        let seen = DirectoryStamp::at(dir, files, None)?;
        CatalogReader { dir, files, scope, known: &[] }.read(seen)
    }

    /// Reads the directory of `known` again, unless it has the same commit. Meta files that `known`
    /// holds are not read again.
    pub(super) fn read_if_changed(known: &Self) -> Result<Option<Self>, ReadError> {
        if known.stamp_now()? == known.stamp {
            return Ok(None);
        }
        let Self { dir, files, scope, metas, .. } = known;
        let seen = DirectoryStamp::at(dir, files, None)?;
        CatalogReader { dir, files, scope: *scope, known: metas }.read(seen).map(Some)
    }

    /// A stamp at the directory as it is now.
    fn stamp_now(&self) -> Result<DirectoryStamp, ReadError> {
        DirectoryStamp::at(&self.dir, &self.files, self.bare_start())
    }

    /// Where the stamp of a directory without protection is read. `None` if there is no live meta
    /// file.
    fn bare_start(&self) -> Option<BareStart> {
        let newest = self.metas.first()?;
        Some(BareStart { meta_file: newest.sequence, len: newest.start_len })
    }

    /// The identity of the commit, which tells it from one of the same number in a directory that
    /// was put in the place of this one. `None` if there is no live meta file.
    #[must_use]
    pub const fn identity(&self) -> Option<CommitIdentity> {
        self.stamp.commit()
    }

    /// How many bytes of meta files have been read so far: those that opening took, and the
    /// filters, block headers and lists of blobs that were needed since. Of a mapped file, those
    /// that were looked at.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.metas.iter().map(|meta| meta.source.bytes_read()).sum()
    }

    /// The hashes of which it shows entries: those that were asked for, as far as the directory has
    /// them.
    pub(super) fn hashes(&self) -> HashRange {
        self.scope.hashes.intersection(self.shard_hashes())
    }

    /// The hashes that the directory has: all, or those of its shard.
    pub(crate) fn shard_hashes(&self) -> HashRange {
        self.shard.map_or(HashRange::FULL, |shard| shard.hashes)
    }

    /// Whether its files are those of a store ([`ReaderOptions::files`]), and not of the file
    /// system.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.files.store.as_ref().is_some_and(|store| store.serves(&self.dir))
    }

    /// Opens one of its tables.
    ///
    /// # Errors
    ///
    /// As [`StaticSortedFile::open`]; a file that is not there is [`ReadError::Outdated`] if there
    /// is a newer commit by now, else [`Corruption::Missing`].
    pub fn open_table(
        &self,
        table: &CatalogTable,
        options: &ReaderOptions,
    ) -> Result<StaticSortedFile, ReadError> {
        let options = self.options_for(options);
        let file = StaticSortedFile::open(table.path(&self.dir), &table.meta()?, &options);
        self.opened(file)
    }

    /// Options with which its files can be opened: those of `options`, and its own store.
    pub(super) fn options_for<'a>(&self, options: &'a ReaderOptions) -> Cow<'a, ReaderOptions> {
        match (&self.files.store, &options.files) {
            (Some(store), None) => Cow::Owned(options.clone().files(Arc::clone(store))),
            _ => Cow::Borrowed(options),
        }
    }

    /// The way to its files, with this access.
    pub(super) fn files(&self, access: Access) -> Files {
        Files { access, store: self.files.store.clone() }
    }

    /// All bytes of one of its files.
    pub(crate) fn read_whole(&self, label: &FileLabel) -> Result<Vec<u8>, ReadError> {
        read_whole(label, &self.files)
    }

    /// Looks whether a file that was opened by its name can be trusted to be of this commit.
    /// Checksums tell in a protected directory, when its blocks are read.
    pub(super) fn opened<T>(&self, file: Result<T, ReadError>) -> Result<T, ReadError> {
        let file = file.map_err(|error| self.outdated_or(error))?;
        if self.is_protected || self.stamp_now()? == self.stamp {
            return Ok(file);
        }
        let label = FileLabel::new(&self.dir);
        Err(self.outdated_or(ReadError::corrupt(&label, Corruption::Missing)))
    }

    /// The error for a file of this commit that could not be opened, or is not as the commit says:
    /// it is [`ReadError::Outdated`] if the directory has another commit by now, or another one has
    /// taken its place. Else a file that is not there is damage.
    #[cold]
    pub(crate) fn outdated_or(&self, error: ReadError) -> ReadError {
        sst_format::planted!("missing-file-blamed-on-system" => return error);
        let is_missing = match &error {
            ReadError::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            // An object that was replaced is as good as gone, but is no damage.
            ReadError::Corrupt { .. } | ReadError::Changed { .. } => false,
            ReadError::OutOfMemory { .. }
            | ReadError::OverLimit { .. }
            | ReadError::Cancelled { .. }
            | ReadError::Outdated { .. }
            | ReadError::Throttled { .. }
            | ReadError::OfOtherShard { .. }
            | ReadError::Internal { .. } => return error,
        };
        let is_changed = matches!(error, ReadError::Changed { .. });
        if !is_missing && !is_changed && !error.is_corruption() {
            return error;
        }
        let file = error.file().clone();
        match self.stamp_now() {
            Ok(now) if now != self.stamp => {
                let (commit, current) = (self.commit, now.current.sequence);
                crate::telemetry::outdated(file.path(), commit, current);
                ReadError::Outdated { file, commit, current }
            }
            // The directory is the same, or cannot be read at all, which is no better.
            _ if is_missing => ReadError::corrupt(&file, Corruption::Missing),
            _ => error,
        }
    }

    /// Families that have tables, ascending.
    #[must_use]
    pub fn families(&self) -> BTreeSet<u32> {
        self.tables.iter().map(|table| table.family).collect()
    }
}

/// All bytes of a meta file.
pub(crate) fn read_whole(label: &FileLabel, files: &Files) -> Result<Vec<u8>, ReadError> {
    let read_error = |error| ReadError::io(label, "read", error);
    let (file, _) = files.open(label.path()).map_err(read_error)?;
    let len = file.len();
    let read = |range| file.read(range).map_err(read_error);
    // Its lengths tell whether it is a meta file at all, before it is read.
    check_lengths(len, read, |error| ReadError::corrupt(label, error))?;
    read(0..len)
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog")
            .field("dir", &self.dir)
            .field("commit", &self.stamp.commit())
            .field("kind", &self.kind)
            .field("tables", &self.tables)
            .field("certificates", &self.certificates)
            .field("shard", &self.shard)
            .field("meta_files", &self.meta_files)
            .finish_non_exhaustive()
    }
}
