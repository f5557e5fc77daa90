//! The files that exist in a directory, and the contents of its meta files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sst_format::SequenceNumber;
use sst_format::del_file::DelFile;
use sst_format::file_name::{FileKind, FileName};
use sst_format::live::MetaTables;
use sst_format::meta_file::MetaFile;

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
    /// The meta files that `.del` files up to `CURRENT` list.
    pub(super) deleted: BTreeSet<SequenceNumber>,
    /// Meta files and `.del` files up to `CURRENT` that cannot be read, or are damaged: what they
    /// say is unknown.
    pub(super) unread: Vec<FileName>,
}

impl PresentFiles {
    pub(super) fn list(dir: &Path, commit: SequenceNumber) -> Result<Self, CliError> {
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(dir).map_err(|error| CliError::io("list", dir, error))? {
            let entry = entry.map_err(|error| CliError::io("list", dir, error))?;
            names.insert(entry.file_name().to_string_lossy().into_owned());
        }
        let mut present = Self { names, ..Self::default() };
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
            FileKind::Meta => self.metas.push(tables_of(&bytes()?, file.sequence)?),
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

/// The tables that a meta file describes or makes obsolete; `None` if it is damaged.
fn tables_of(bytes: &[u8], sequence: SequenceNumber) -> Option<MetaTables> {
    let meta = MetaFile::parse(bytes, crc32fast::hash).ok()?;
    let (obsolete, described) = (meta.obsolete(), meta.tables().map(|table| table.sequence));
    Some(MetaTables { sequence, obsolete: obsolete.collect(), described: described.collect() })
}
