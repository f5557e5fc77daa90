//! The tables and blobs of a directory as of its commit: reads `CURRENT` and the meta files, and
//! checks that they belong together (FORMAT.md sections 1 and 9).

mod described;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sst_format::content_digest::FamilyCertificate;
use sst_format::current::{CURRENT_CHECKSUM_AT, Current};
use sst_format::del_file::DelFile;
use sst_format::file_name::{CURRENT_FILE_NAME, FileKind, FileName};
use sst_format::filter::FilterBytes;
use sst_format::live::{DescribesTables, live_tables};
use sst_format::meta_file::MetaFile;
use sst_format::protection::{BlobRecord, CHECKSUM_FROM_END, LiveMeta};
use sst_format::{BlobNumber, SequenceNumber};

use super::CatalogTable;
use super::meta_bytes::MetaBytes;
use crate::block::memory::HeldBytes;
use crate::block::triage::wrong_file;
use crate::{Access, Corruption, FileLabel, ReadError, ReaderOptions, StaticSortedFile};

/// How many commits may overtake one attempt to read a directory before it is given up.
const MAX_OVERTAKEN: u32 = 100;

/// The tables of a directory as of one commit, with everything their meta files say, before any of
/// them is opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Catalog {
    /// The directory.
    pub dir: PathBuf,
    /// The commit: the highest committed sequence number.
    pub commit: SequenceNumber,
    /// Whether the commit is one chain of checksums. Directories of the original are not.
    pub is_protected: bool,
    /// The live tables of all families, newest first.
    pub tables: Vec<CatalogTable>,
    /// The records of the blob files; empty without protection.
    pub blobs: BTreeMap<BlobNumber, BlobRecord>,
    /// The certificates of families, ascending; families without one are left out.
    pub certificates: Vec<FamilyCertificate>,
    /// The live meta files, newest first.
    pub meta_files: Vec<SequenceNumber>,
}

/// Where a numbered file is in the directory `dir`.
pub(crate) fn path_of(dir: &Path, sequence: SequenceNumber, kind: FileKind) -> PathBuf {
    dir.join(FileName { sequence, kind }.to_string())
}

impl Catalog {
    /// Reads `CURRENT` and the live meta files of the directory `dir` into memory. No table is
    /// touched.
    ///
    /// Commits that happen meanwhile are no error: the newest one that can be read whole counts.
    ///
    /// # Errors
    ///
    /// [`ReadError::Io`]; [`ReadError::Corrupt`] if a file is damaged, missing, or not the one that
    /// belongs there, or the directory is of another revision of the format.
    pub fn read(dir: impl AsRef<Path>) -> Result<Self, ReadError> {
        Self::read_with(dir, Access::Read)
    }

    /// [`Catalog::read`] with large meta files mapped, if `access` is [`Access::Map`]: their
    /// filters are then used where they lie.
    ///
    /// O(bytes of the meta files), all of which are checksummed in a protected directory.
    ///
    /// # Errors
    ///
    /// As [`Catalog::read`].
    pub fn read_with(dir: impl AsRef<Path>, access: Access) -> Result<Self, ReadError> {
        let dir = dir.as_ref();
        Self::read_from(dir, read_current(dir)?, access)
    }

    /// [`Catalog::read_with`] of the directory of `known`, unless that is its newest commit.
    pub(super) fn read_if_newer(known: &Self, access: Access) -> Result<Option<Self>, ReadError> {
        let current = read_current(&known.dir)?;
        if current.sequence == known.commit && current.is_protected == known.is_protected {
            return Ok(None);
        }
        Self::read_from(&known.dir, current, access).map(Some)
    }

    /// Reads the commit that `CURRENT` names, or a newer one that overtakes it.
    fn read_from(dir: &Path, mut current: Current, access: Access) -> Result<Self, ReadError> {
        for _ in 0..MAX_OVERTAKEN {
            match Self::read_commit(dir, current, access) {
                Err(error) if error.is_missing_file() => {
                    // A newer commit may have removed files that this one needs.
                    let newest = read_current(dir)?;
                    if newest == current {
                        return Err(error);
                    }
                    current = newest;
                }
                catalog => return catalog,
            }
        }
        Self::read_commit(dir, current, access)
    }

    fn read_commit(dir: &Path, current: Current, access: Access) -> Result<Self, ReadError> {
        let loaded = if current.is_protected {
            read_listed(dir, current.sequence, access)?
        } else {
            read_present(dir, current.sequence, access)?
        };
        let mut catalog = Self {
            dir: dir.to_owned(),
            commit: current.sequence,
            is_protected: current.is_protected,
            tables: Vec::new(),
            blobs: BTreeMap::new(),
            certificates: Vec::new(),
            meta_files: loaded.iter().map(|meta| meta.sequence).collect(),
        };
        if let Some(newest) = loaded.first() {
            catalog.certificates.clone_from(&newest.certificates);
        }
        let live = live_tables(&loaded).into_iter().rev();
        catalog.tables = live.map(|live| live.description.clone()).collect();
        let blobs = loaded.into_iter().flat_map(|meta| meta.blobs);
        catalog.blobs = blobs.map(|blob| (blob.number, blob)).collect();
        Ok(catalog)
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
        StaticSortedFile::open(table.path(&self.dir), &table.meta(), options)
            .map_err(|error| missing_since(&self.dir, self.commit, error))
    }

    /// Families that have tables, ascending.
    #[must_use]
    pub fn families(&self) -> BTreeSet<u32> {
        self.tables.iter().map(|table| table.family).collect()
    }
}

/// Reads `CURRENT`.
fn read_current(dir: &Path) -> Result<Current, ReadError> {
    let label = FileLabel::new(dir.join(CURRENT_FILE_NAME));
    let bytes = fs::read(label.path()).map_err(|e| ReadError::io(&label, "read", e))?;
    Current::parse(&bytes, crc32fast::hash).map_err(|error| {
        ReadError::corrupt(&label, wrong_file(&label, &bytes, CURRENT_CHECKSUM_AT, error))
    })
}

/// The error for a file of commit `commit` that could not be opened: if it is not there, either a
/// newer commit has removed it, or the directory is damaged.
pub(super) fn missing_since(dir: &Path, commit: SequenceNumber, error: ReadError) -> ReadError {
    sst_format::planted!("missing-file-blamed-on-system" => return error);
    match error {
        ReadError::Io { file, source, .. } if source.kind() == io::ErrorKind::NotFound => {
            match read_current(dir) {
                Ok(now) if now.sequence != commit => {
                    crate::telemetry::outdated(file.path(), commit, now.sequence);
                    ReadError::Outdated { file, commit, current: now.sequence }
                }
                _ => ReadError::corrupt(&file, Corruption::Missing),
            }
        }
        error => error,
    }
}

/// The meta files of a protected commit, newest first: exactly those that the newest one lists.
fn read_listed(
    dir: &Path,
    newest: SequenceNumber,
    access: Access,
) -> Result<Vec<LoadedMeta>, ReadError> {
    let newest = LoadedMeta::read(dir, newest, access)?;
    // Parsing has made sure that they ascend.
    let mut listed = newest.live_metas.clone().ok_or_else(|| {
        ReadError::corrupt(&newest.label, Corruption::ProtectionMismatch { meta: newest.sequence })
    })?;
    listed.reverse();
    if listed.first().is_none_or(|first| first.sequence != newest.sequence) {
        return Err(ReadError::corrupt(&newest.label, Corruption::NotListed));
    }
    let by = newest.sequence;
    let mut metas = Vec::with_capacity(listed.len());
    metas.push(newest);
    for live in listed.into_iter().skip(1) {
        let meta = LoadedMeta::read(dir, live.sequence, access)?;
        let live = sst_format::planted!(
            "chain-unchecked",
            live,
            LiveMeta { checksum: meta.checksum, ..live }
        );
        if meta.checksum != live.checksum {
            let (expected, found) = (live.checksum, meta.checksum);
            let cause = Corruption::NotTheListedFile { by, expected, found };
            return Err(ReadError::corrupt(&meta.label, cause));
        }
        metas.push(meta);
    }
    Ok(metas)
}

/// The meta files of an unprotected commit, newest first: those that are there, up to the commit,
/// and that no `.del` file names.
fn read_present(
    dir: &Path,
    newest: SequenceNumber,
    access: Access,
) -> Result<Vec<LoadedMeta>, ReadError> {
    let label = FileLabel::new(dir);
    let list_error = |error| ReadError::io(&label, "list", error);
    let mut present = BTreeSet::new();
    let mut deleted = BTreeSet::new();
    for entry in fs::read_dir(dir).map_err(list_error)? {
        let name = entry.map_err(list_error)?.file_name();
        let Some(name) = name.to_str().and_then(FileName::parse) else { continue };
        match name.kind {
            _ if name.sequence > newest => {}
            FileKind::Meta => {
                present.insert(name.sequence);
            }
            FileKind::Del => deleted.extend(read_del(dir, name.sequence)?),
            FileKind::Sst | FileKind::Blob => {}
        }
    }
    let mut metas = Vec::new();
    for &sequence in present.iter().rev().filter(|meta| !deleted.contains(meta)) {
        let meta = LoadedMeta::read(dir, sequence, access)?;
        // Ours wrote this very commit, so `CURRENT` had a checksum that is lost now.
        if sequence == newest && meta.live_metas.is_some() {
            let cause = Corruption::ProtectionMismatch { meta: sequence };
            return Err(ReadError::corrupt(&meta.label, cause));
        }
        metas.push(meta);
    }
    Ok(metas)
}

/// The sequence numbers in a `.del` file.
fn read_del(dir: &Path, sequence: SequenceNumber) -> Result<Vec<SequenceNumber>, ReadError> {
    let label = FileLabel::new(path_of(dir, sequence, FileKind::Del));
    let bytes = fs::read(label.path()).map_err(|e| ReadError::io(&label, "read", e))?;
    let del = DelFile::parse(&bytes).map_err(|error| ReadError::corrupt(&label, error))?;
    Ok(del.sequences().collect())
}

/// The contents of a meta file.
struct LoadedMeta {
    sequence: SequenceNumber,
    label: FileLabel,
    /// The checksum in its trailer; 0 without protection.
    checksum: u32,
    /// The live meta files as of its commit; `None` without protection.
    live_metas: Option<Vec<LiveMeta>>,
    obsolete: Vec<SequenceNumber>,
    /// Oldest first.
    tables: Vec<CatalogTable>,
    blobs: Vec<BlobRecord>,
    certificates: Vec<FamilyCertificate>,
}

impl LoadedMeta {
    fn read(dir: &Path, sequence: SequenceNumber, access: Access) -> Result<Self, ReadError> {
        let label = FileLabel::new(path_of(dir, sequence, FileKind::Meta));
        let bytes = Arc::new(MetaBytes::open(&label, access)?);
        let seen = (*bytes).as_ref();
        let meta = MetaFile::parse(seen, crc32fast::hash).map_err(|error| {
            // A file that is shorter has no checksum, and the error is another one.
            let checksum_at = seen.len().saturating_sub(CHECKSUM_FROM_END);
            ReadError::corrupt(&label, wrong_file(&label, seen, checksum_at, error))
        })?;
        let section = meta.protection();
        let mut protected = meta.protected_tables();
        let not_within = || ReadError::internal(&label, "parsed ranges lie within the meta file");
        let tables = meta.tables().zip(meta.filter_ranges()).map(|(record, filter)| {
            let owner = Arc::<MetaBytes>::clone(&bytes);
            let filter = FilterBytes::slice_of(owner, filter).ok_or_else(not_within)?;
            let (entry_count, headers) = protected.next().unzip();
            let headers = headers.map(|range| {
                HeldBytes::of_file(Arc::clone(&bytes), |bytes| bytes.as_ref().get(range))
                    .ok_or_else(not_within)
            });
            Ok(CatalogTable {
                sequence: record.sequence,
                meta_file: sequence,
                family: meta.family(),
                record,
                entry_count,
                filter,
                headers: headers.transpose()?,
            })
        });
        let tables = tables.collect::<Result<_, ReadError>>()?;
        Ok(Self {
            sequence,
            tables,
            label,
            checksum: section.map_or(0, |section| section.checksum()),
            live_metas: section.map(|section| section.live_metas().collect()),
            obsolete: meta.obsolete().collect(),
            blobs: section.map_or_else(Vec::new, |section| section.blobs().collect()),
            certificates: section.map_or_else(Vec::new, |section| section.certificates().collect()),
        })
    }
}

impl DescribesTables for LoadedMeta {
    type Description<'a> = &'a CatalogTable;

    fn sequence(&self) -> SequenceNumber {
        self.sequence
    }

    fn obsolete(&self) -> impl Iterator<Item = SequenceNumber> {
        self.obsolete.iter().copied()
    }

    fn described(&self) -> impl Iterator<Item = (SequenceNumber, &CatalogTable)> {
        self.tables.iter().map(|table| (table.sequence, table))
    }
}
