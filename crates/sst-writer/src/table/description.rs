//! The description of a single table in a file beside it (FORMAT.md section 9).

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sst_format::meta_head::{CommitKind, DescribedTable, HashRange, ListedMeta, MetaFileV3};
use sst_format::{SequenceNumber, SstMeta};

use crate::WriteError;
use crate::file::{AtomicFile, FileSystem, OsFileSystem};

/// Writes the description of the table at `path` to a file beside it: `NAME.sst.meta` for
/// `NAME.sst`.
///
/// A reader of the table alone then has its filter, and a checksum for every byte of it. In a
/// directory with a `CURRENT`, the meta files of its commits hold the same.
///
/// # Errors
///
/// [`WriteError::Exists`] if there is a description already, [`WriteError::Io`], or
/// [`WriteError::Description`] if `meta` does not describe a finished table.
///
/// # Examples
///
/// ```
/// use sst_writer::WriterOptions;
/// use sst_writer::table::{write_description, write_static_sorted_file};
///
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("fruit.sst");
/// let finished = write_static_sorted_file(&[("apple", "red")], &path, WriterOptions::default())?;
/// write_description(&path, &finished.meta)?;
/// assert!(directory.path().join("fruit.sst.meta").exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_description(path: impl AsRef<Path>, meta: &SstMeta) -> Result<(), WriteError> {
    write_description_in(Arc::new(OsFileSystem), path, meta)
}

/// As [`write_description`], with the caller's file system.
///
/// # Errors
///
/// As [`write_description`].
pub fn write_description_in(
    file_system: Arc<dyn FileSystem>,
    path: impl AsRef<Path>,
    meta: &SstMeta,
) -> Result<(), WriteError> {
    // A table outside of a directory has no sequence number, and neither has its description.
    let none = SequenceNumber::default();
    let hashes = HashRange { min: meta.min_hash, max: meta.max_hash };
    let table = DescribedTable::new(none, meta).map_err(WriteError::Description)?;
    let (bytes, _) = MetaFileV3 {
        family: 0,
        obsolete: &[],
        tables: &[table],
        kind: CommitKind::Load,
        commit: none,
        live_metas: &[ListedMeta { sequence: none, checksum: 0, family: 0, hashes }],
        blobs: &[],
        certificates: &[],
        extension: &[],
    }
    .encode(crc32fast::hash)
    .map_err(WriteError::Description)?;
    let mut name = OsString::from(path.as_ref());
    name.push(".meta");
    let mut file = AtomicFile::create_in(file_system, PathBuf::from(name))?;
    file.write(&bytes)?;
    file.persist()?;
    Ok(())
}
