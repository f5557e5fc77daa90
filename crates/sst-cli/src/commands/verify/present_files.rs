//! The files that exist in a directory, and the contents of its meta files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sst_format::del_file::DelFile;
use sst_format::file_name::{FileKind, FileName};
use sst_format::live::MetaTables;
use sst_format::meta_file::MetaFile;
use sst_format::{BlobNumber, SequenceNumber};

use crate::error::CliError;
use crate::regular;

/// Longest meta file, in bytes, that is looked at though the commit does not list it.
const MAX_META_LEN: u64 = 1 << 30;

/// All files of a directory, live or not.
#[derive(Default)]
pub(super) struct PresentFiles {
    /// All names, sorted. Invalid UTF-8 in a name is replaced.
    pub(super) names: BTreeSet<String>,
    /// The tables that each meta file up to `CURRENT` describes or makes obsolete, the oldest meta
    /// file first, without those that are `unread`.
    pub(super) metas: Vec<MetaTables>,
    /// The blobs that these meta files list.
    pub(super) blobs: BTreeSet<BlobNumber>,
    /// The meta files that `.del` files up to `CURRENT` list.
    pub(super) deleted: BTreeSet<SequenceNumber>,
    /// Meta files and `.del` files up to `CURRENT` that cannot be read, or are damaged: what they
    /// say is unknown.
    pub(super) unread: Vec<FileName>,
}

impl PresentFiles {
    /// The names alone.
    pub(super) fn names(dir: &Path) -> Result<Self, CliError> {
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(dir).map_err(|error| CliError::io("list", dir, error))? {
            let entry = entry.map_err(|error| CliError::io("list", dir, error))?;
            names.insert(entry.file_name().to_string_lossy().into_owned());
        }
        Ok(Self { names, ..Self::default() })
    }

    /// The names, and the contents of meta files and `.del` files up to `commit`.
    pub(super) fn list(dir: &Path, commit: SequenceNumber) -> Result<Self, CliError> {
        let mut present = Self::names(dir)?;
        let files: BTreeSet<_> =
            present.numbered().filter(|file| file.sequence <= commit).collect();
        for file in files {
            if present.read(dir, file).is_none() {
                present.unread.push(file);
            }
        }
        Ok(present)
    }

    /// Reads a meta file or a `.del` file; others are left alone. `None` if it cannot be read or is
    /// damaged.
    fn read(&mut self, dir: &Path, file: FileName) -> Option<()> {
        let bytes = || regular::read(&dir.join(file.to_string()), MAX_META_LEN).ok();
        match file.kind {
            FileKind::Meta => {
                let (tables, blobs) = parsed(&bytes()?, file.sequence)?;
                self.metas.push(tables);
                self.blobs.extend(blobs);
            }
            FileKind::Del => self.deleted.extend(DelFile::parse(&bytes()?).ok()?.sequences()),
            FileKind::Sst | FileKind::Blob => {}
        }
        Some(())
    }

    /// Whether all files of this kind could be read.
    pub(super) fn has_read_all(&self, kind: FileKind) -> bool {
        self.unread.iter().all(|file| file.kind != kind)
    }

    /// The files with a sequence number in their names.
    pub(super) fn numbered(&self) -> impl Iterator<Item = FileName> {
        self.names.iter().filter_map(|name| FileName::parse(name))
    }
}

/// The tables that a meta file describes or makes obsolete, and the blobs that it lists; `None` if
/// it is damaged.
fn parsed(bytes: &[u8], sequence: SequenceNumber) -> Option<(MetaTables, Vec<BlobNumber>)> {
    let meta = MetaFile::parse(bytes, crc32fast::hash).ok()?;
    let (obsolete, described) = (meta.obsolete(), meta.tables().map(|table| table.sequence));
    let blobs = meta.protection().into_iter().flat_map(|section| section.blobs());
    let blobs = blobs.map(|blob| blob.number).collect();
    let (obsolete, described) = (obsolete.collect(), described.collect());
    Some((MetaTables { sequence, obsolete, described }, blobs))
}
