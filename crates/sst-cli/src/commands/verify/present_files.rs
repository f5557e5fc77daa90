//! The files of a directory, and what all meta files among them say.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sst_format::SequenceNumber;
use sst_format::del_file::DelFile;
use sst_format::file_name::{FileKind, FileName};
use sst_format::live::MetaTables;
use sst_format::meta_file::MetaFile;

use crate::error::CliError;

/// The files of a directory by their names, whether they are live or not.
pub(super) struct PresentFiles {
    /// All names, sorted. A name that is not UTF-8 is shown as well as it can be.
    pub(super) names: BTreeSet<String>,
    /// What the meta files up to `CURRENT` say, the oldest first. Those that cannot be read are
    /// left out: if they are live, that is damage and part of the report.
    pub(super) metas: Vec<MetaTables>,
    /// The meta files that `.del` files up to `CURRENT` name.
    pub(super) deleted: BTreeSet<SequenceNumber>,
}

impl PresentFiles {
    pub(super) fn list(dir: &Path, commit: SequenceNumber) -> Result<Self, CliError> {
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(dir).map_err(|error| CliError::io("list", dir, error))? {
            let entry = entry.map_err(|error| CliError::io("list", dir, error))?;
            names.insert(entry.file_name().to_string_lossy().into_owned());
        }
        let mut present = Self { names, metas: Vec::new(), deleted: BTreeSet::new() };
        let files: BTreeSet<_> =
            present.numbered().filter(|file| file.sequence <= commit).collect();
        for file in files {
            let bytes = || fs::read(dir.join(file.to_string())).ok();
            match file.kind {
                FileKind::Meta => {
                    present.metas.extend(bytes().and_then(|it| said(&it, file.sequence)));
                }
                FileKind::Del => {
                    present.deleted.extend(bytes().into_iter().flat_map(|it| named(&it)));
                }
                FileKind::Sst | FileKind::Blob => {}
            }
        }
        Ok(present)
    }

    /// The files that have a sequence number.
    pub(super) fn numbered(&self) -> impl Iterator<Item = FileName> {
        self.names.iter().filter_map(|name| FileName::parse(name))
    }
}

/// The meta files that a `.del` file names; none if it is damaged.
fn named(bytes: &[u8]) -> Vec<SequenceNumber> {
    DelFile::parse(bytes).map_or_else(|_| Vec::new(), |del| del.sequences().collect())
}

/// What a meta file says of tables.
fn said(bytes: &[u8], sequence: SequenceNumber) -> Option<MetaTables> {
    let meta = MetaFile::parse(bytes, crc32fast::hash).ok()?;
    let (obsolete, described) = (meta.obsolete(), meta.tables().map(|table| table.sequence));
    Some(MetaTables { sequence, obsolete: obsolete.collect(), described: described.collect() })
}
