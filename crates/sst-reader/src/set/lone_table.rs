//! The description of a bare table, in a file beside it (FORMAT.md section 9).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sst_format::{SequenceNumber, SstMeta};

use super::loaded_meta::LoadedMeta;
use crate::block::source::Files;
use crate::{Corruption, FileLabel, ReadError, ReaderOptions, StaticSortedFile};

/// Where the description of the table at `path` is, if it has one beside it: `NAME.sst.meta` for
/// `NAME.sst`.
fn description_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".meta");
    PathBuf::from(name)
}

/// The description beside the table at `path`: a meta file of one table. `None` if there is none.
fn read_description(path: &Path, files: &Files) -> Result<Option<SstMeta>, ReadError> {
    let label = FileLabel::new(description_path(path));
    let meta = match LoadedMeta::read_file(&label, SequenceNumber::default(), files) {
        Ok(meta) => meta,
        Err(ReadError::Corrupt { cause: Corruption::Missing, .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    match meta.tables() {
        [table] => table.meta().map(Some),
        tables => {
            let found = tables.len();
            Err(ReadError::corrupt(&label, Corruption::NotOfOneTable { found }))
        }
    }
}

impl StaticSortedFile {
    /// Opens the table at `path` without a directory that describes it.
    ///
    /// If a description lies beside it, `NAME.sst.meta` for `NAME.sst`, the table has the filter
    /// and the protection that it tells of. Else the necessary parts are recovered from the table
    /// itself (FORMAT.md section 3), and there is no filter and no protection.
    ///
    /// # Errors
    ///
    /// As [`StaticSortedFile::open`], for the description too: one that is there counts.
    pub fn open_standalone(
        path: impl AsRef<Path>,
        options: &ReaderOptions,
    ) -> Result<Self, ReadError> {
        let path = path.as_ref();
        match read_description(path, &options.way())? {
            Some(meta) => Self::open(path, &meta, options),
            None => Self::open_undescribed(path, options),
        }
    }
}
