//! Reads the catalog of a directory: `CURRENT`, the meta files, and that they belong together.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use sst_format::del_file::DelFile;
use sst_format::file_name::{FileKind, FileName};
use sst_format::live::live_tables;
use sst_format::meta_head::HashRange;
#[cfg(sst_planted)]
use sst_format::protection::LiveMeta;
use sst_format::{FormatError, SequenceNumber, Structure};

use super::super::CatalogTable;
use super::super::directory_stamp::DirectoryStamp;
use super::super::loaded_meta::{ListedFile, LoadedMeta};
use super::super::paths::path_of;
use super::blob_records::BlobRecords;
use super::{Catalog, Scope};
use crate::block::source::Files;
use crate::{Corruption, FileLabel, ReadError};

/// How many commits may overtake one attempt to read a directory before it is given up.
const MAX_OVERTAKEN: u32 = 100;

/// The way to read the catalog of a directory.
pub(super) struct CatalogReader<'a> {
    pub(super) dir: &'a Path,
    pub(super) files: &'a Files,
    /// The part of the directory that is wanted.
    pub(super) scope: Scope,
    /// Meta files that are not read again.
    pub(super) known: &'a [Arc<LoadedMeta>],
}

impl CatalogReader<'_> {
    /// Reads the commit that was `seen`, or another one that takes its place meanwhile.
    pub(super) fn read(&self, mut seen: DirectoryStamp) -> Result<Catalog, ReadError> {
        for _ in 0..MAX_OVERTAKEN {
            let read = self.read_commit(&seen);
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
            let now = DirectoryStamp::at(self.dir, self.files, None)?;
            if now == seen {
                return read;
            }
            seen = now;
        }
        self.read_commit(&seen)
    }

    /// Reads the commit that was `seen`.
    pub(super) fn read_commit(&self, seen: &DirectoryStamp) -> Result<Catalog, ReadError> {
        let (scope, current) = (self.scope, seen.current);
        let metas = if current.is_protected {
            self.read_listed(current.sequence)?
        } else {
            self.read_present(current.sequence)?
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
        Ok(Catalog {
            dir: self.dir.to_owned(),
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
            files: self.files.clone(),
            blobs: Arc::new(BlobRecords::new(metas.clone(), Vec::new())),
            metas,
        })
    }

    /// The meta files of a protected commit, newest first: exactly those that the newest one lists,
    /// as far as the scope needs them. Those that are `known` are not read again.
    fn read_listed(&self, newest: SequenceNumber) -> Result<Vec<Arc<LoadedMeta>>, ReadError> {
        let newest = LoadedMeta::read(self.dir, newest, self.files)?;
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
            if !self.scope.needs_meta(&file) {
                continue;
            }
            let ListedFile { live, .. } = file;
            let is_it = |meta: &&Arc<LoadedMeta>| {
                meta.sequence == live.sequence && meta.checksum == Some(live.checksum)
            };
            if let Some(held) = self.known.iter().find(is_it) {
                metas.push(Arc::clone(held));
                continue;
            }
            let meta = LoadedMeta::read(self.dir, live.sequence, self.files)?;
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

    /// The meta files of an unprotected commit, newest first: those that are there, up to the
    /// commit, and that no `.del` file names.
    fn read_present(&self, newest: SequenceNumber) -> Result<Vec<Arc<LoadedMeta>>, ReadError> {
        let label = FileLabel::new(self.dir);
        let names =
            self.files.list(self.dir).map_err(|error| ReadError::io(&label, "list", error))?;
        let mut present = BTreeSet::new();
        let mut deleted = BTreeSet::new();
        for name in names {
            let Some(name) = FileName::parse(&name) else { continue };
            match name.kind {
                _ if name.sequence > newest => {}
                FileKind::Meta => {
                    present.insert(name.sequence);
                }
                FileKind::Del => deleted.extend(self.read_del(name.sequence)?),
                FileKind::Sst | FileKind::Blob => {}
            }
        }
        let mut metas = Vec::new();
        for &sequence in present.iter().rev().filter(|meta| !deleted.contains(meta)) {
            let meta = LoadedMeta::read(self.dir, sequence, self.files)?;
            // Ours wrote this very commit, so `CURRENT` had a checksum that is lost now.
            if sequence == newest && meta.checksum.is_some() {
                let cause = Corruption::ProtectionMismatch { meta: sequence };
                return Err(ReadError::corrupt(&meta.source.label, cause));
            }
            metas.push(Arc::new(meta.checked()?));
        }
        Ok(metas)
    }

    /// The sequence numbers in a `.del` file.
    fn read_del(&self, sequence: SequenceNumber) -> Result<Vec<SequenceNumber>, ReadError> {
        let label = FileLabel::new(path_of(self.dir, sequence, FileKind::Del));
        let opened = self.files.open(label.path());
        let (file, _) = opened.map_err(|error| ReadError::io(&label, "open", error))?;
        let (expected, found) = (DelFile::max_len(sequence), file.len());
        if found > expected {
            let error = FormatError::WrongLen { structure: Structure::DelFile, expected, found };
            return Err(ReadError::corrupt(&label, error));
        }
        let bytes = file.read(0..found).map_err(|error| ReadError::io(&label, "read", error))?;
        let del = DelFile::parse(&bytes).map_err(|error| ReadError::corrupt(&label, error))?;
        Ok(del.sequences().collect())
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
