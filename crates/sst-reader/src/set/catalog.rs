//! The tables and blobs of a directory as of its commit: reads `CURRENT` and the meta files, and
//! checks that they belong together (FORMAT.md sections 1 and 9).

mod around_table;
mod blob_records;
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
use sst_format::del_file::DelFile;
use sst_format::file_name::{FileKind, FileName};
use sst_format::identity::CommitIdentity;
use sst_format::live::live_tables;
use sst_format::meta_head::{CommitKind, HashRange, Shard};
#[cfg(sst_planted)]
use sst_format::protection::LiveMeta;

use super::CatalogTable;
use super::directory_stamp::{BareStart, DirectoryStamp};
use super::loaded_meta::{ListedFile, LoadedMeta};
use super::paths::path_of;
use crate::block::source::Files;
use crate::{Access, Corruption, FileLabel, ReadError, ReaderOptions, StaticSortedFile};
use blob_records::BlobRecords;

pub(super) use scope::Scope;

/// How many commits may overtake one attempt to read a directory before it is given up.
const MAX_OVERTAKEN: u32 = 100;

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
        Self::read_from(dir, seen, files, scope, &[])
    }

    /// Reads the directory of `known` again, unless it has the same commit. Meta files that `known`
    /// holds are not read again.
    pub(super) fn read_if_changed(known: &Self) -> Result<Option<Self>, ReadError> {
        if known.stamp_now()? == known.stamp {
            return Ok(None);
        }
        let files = &known.files;
        let seen = DirectoryStamp::at(&known.dir, files, None)?;
        Self::read_from(&known.dir, seen, files, known.scope, &known.metas).map(Some)
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

    /// Reads the commit that was `seen`, or another one that takes its place meanwhile.
    fn read_from(
        dir: &Path,
        mut seen: DirectoryStamp,
        files: &Files,
        scope: Scope,
        known: &[Arc<LoadedMeta>],
    ) -> Result<Self, ReadError> {
        for _ in 0..MAX_OVERTAKEN {
            let read = Self::read_commit(dir, &seen, files, scope, known);
            let is_doubtful = match &read {
                // A newer commit may have removed files that this one needs, and files of two
                // directories don't belong together.
                Err(error) => error.is_corruption() || error.is_unknown_version(),
                // Without checksums, a mixture looks as good.
                Ok(catalog) => !catalog.is_protected,
            };
            if !is_doubtful {
                return read;
            }
            let now = DirectoryStamp::at(dir, files, None)?;
            if now == seen {
                return read;
            }
            seen = now;
        }
        Self::read_commit(dir, &seen, files, scope, known)
    }

    fn read_commit(
        dir: &Path,
        seen: &DirectoryStamp,
        files: &Files,
        scope: Scope,
        known: &[Arc<LoadedMeta>],
    ) -> Result<Self, ReadError> {
        let current = seen.current;
        let metas = if current.is_protected {
            read_listed(dir, current.sequence, files, scope, known)?
        } else {
            read_present(dir, current.sequence, files)?
        };
        let newest = metas.first();
        let stamp = match newest {
            Some(newest) => stamp_of_loaded(seen, newest),
            None => seen.clone(),
        };
        // In a directory without protection the newest meta file may be of an earlier commit, whose
        // certificates are not those of this one.
        let own = newest.filter(|newest| newest.sequence == current.sequence);
        let described: Vec<&LoadedMeta> = metas.iter().map(|meta| &**meta).collect();
        let live = live_tables(&described).into_iter().rev();
        let shard = own.and_then(|own| own.shard);
        let of_shard = shard.map_or(HashRange::FULL, |shard| shard.hashes);
        let is_wanted = |table: &&CatalogTable| {
            let (min, max) = (table.record.min_hash, table.record.max_hash);
            scope.needs_table(table) && of_shard.overlaps(HashRange { min, max })
        };
        let tables = live.map(|live| live.description).filter(is_wanted).cloned().collect();
        Ok(Self {
            dir: dir.to_owned(),
            commit: current.sequence,
            is_protected: current.is_protected,
            kind: own.and_then(|own| own.kind),
            tables,
            certificates: match own.filter(|own| own.shard.is_none()) {
                Some(own) => own.certificates.clone(),
                // Those of a shard could only be about all hashes.
                None => Vec::new(),
            },
            shard,
            meta_files: metas.iter().map(|meta| meta.sequence).collect(),
            stamp,
            scope,
            files: files.clone(),
            blobs: Arc::new(BlobRecords::new(metas.clone(), Vec::new())),
            metas,
        })
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

/// The stamp of a directory whose newest live meta file has been read.
fn stamp_of_loaded(seen: &DirectoryStamp, newest: &LoadedMeta) -> DirectoryStamp {
    match newest.identity {
        Some(identity) if seen.current.is_protected => {
            DirectoryStamp::protected(seen.current, identity)
        }
        _ => {
            let file = newest.source.identity.clone();
            seen.clone().with_bare_meta_file(newest.sequence, newest.start_checksum, file)
        }
    }
}

/// The meta files of a protected commit, newest first: exactly those that the newest one lists, as
/// far as the scope needs them. Those that are `known` are not read again.
fn read_listed(
    dir: &Path,
    newest: SequenceNumber,
    files: &Files,
    scope: Scope,
    known: &[Arc<LoadedMeta>],
) -> Result<Vec<Arc<LoadedMeta>>, ReadError> {
    let newest = LoadedMeta::read(dir, newest, files)?;
    let label = &newest.source.label;
    if newest.checksum.is_none() {
        let cause = Corruption::ProtectionMismatch { meta: newest.sequence };
        return Err(ReadError::corrupt(label, cause));
    }
    let newest = newest.checked()?;
    let label = &newest.source.label;
    if newest.is_part() {
        let cause = Corruption::PartOfCommit { commit: newest.commit };
        return Err(ReadError::corrupt(label, cause));
    }
    // They ascend, and end with the newest.
    let mut listed = newest.listed()?;
    listed.reverse();
    let by = newest.sequence;
    let mut metas = Vec::with_capacity(listed.len());
    metas.push(Arc::new(newest));
    for file in listed.into_iter().skip(1) {
        if !scope.needs_meta(&file) {
            continue;
        }
        let ListedFile { live, .. } = file;
        let is_it = |meta: &&Arc<LoadedMeta>| {
            meta.sequence == live.sequence && meta.checksum == Some(live.checksum)
        };
        if let Some(held) = known.iter().find(is_it) {
            metas.push(Arc::clone(held));
            continue;
        }
        let meta = LoadedMeta::read(dir, live.sequence, files)?;
        let live = sst_format::planted!(
            "chain-unchecked",
            live,
            LiveMeta { checksum: meta.checksum.unwrap_or(0), ..live }
        );
        if meta.checksum != Some(live.checksum) {
            let (expected, found) = (live.checksum, meta.checksum);
            let cause = Corruption::NotTheListedFile { by, expected, found };
            return Err(ReadError::corrupt(&meta.source.label, cause));
        }
        metas.push(Arc::new(meta.checked()?));
    }
    Ok(metas)
}

/// The meta files of an unprotected commit, newest first: those that are there, up to the commit,
/// and that no `.del` file names.
fn read_present(
    dir: &Path,
    newest: SequenceNumber,
    files: &Files,
) -> Result<Vec<Arc<LoadedMeta>>, ReadError> {
    let label = FileLabel::new(dir);
    let names = files.list(dir).map_err(|error| ReadError::io(&label, "list", error))?;
    let mut present = BTreeSet::new();
    let mut deleted = BTreeSet::new();
    for name in names {
        let Some(name) = FileName::parse(&name) else { continue };
        match name.kind {
            _ if name.sequence > newest => {}
            FileKind::Meta => {
                present.insert(name.sequence);
            }
            FileKind::Del => deleted.extend(read_del(dir, files, name.sequence)?),
            FileKind::Sst | FileKind::Blob => {}
        }
    }
    let mut metas = Vec::new();
    for &sequence in present.iter().rev().filter(|meta| !deleted.contains(meta)) {
        let meta = LoadedMeta::read(dir, sequence, files)?;
        // Ours wrote this very commit, so `CURRENT` had a checksum that is lost now.
        if sequence == newest && meta.checksum.is_some() {
            let cause = Corruption::ProtectionMismatch { meta: sequence };
            return Err(ReadError::corrupt(&meta.source.label, cause));
        }
        metas.push(Arc::new(meta.checked()?));
    }
    Ok(metas)
}

/// All bytes of a regular file.
pub(crate) fn read_whole(label: &FileLabel, files: &Files) -> Result<Vec<u8>, ReadError> {
    files.read(label.path()).map_err(|error| ReadError::io(label, "read", error))
}

/// The sequence numbers in a `.del` file.
fn read_del(
    dir: &Path,
    files: &Files,
    sequence: SequenceNumber,
) -> Result<Vec<SequenceNumber>, ReadError> {
    let label = FileLabel::new(path_of(dir, sequence, FileKind::Del));
    let bytes = read_whole(&label, files)?;
    let del = DelFile::parse(&bytes).map_err(|error| ReadError::corrupt(&label, error))?;
    Ok(del.sequences().collect())
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
