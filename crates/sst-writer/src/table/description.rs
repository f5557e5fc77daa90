//! The description of a single table in a file beside it (FORMAT.md section 9).

use std::ffi::OsString;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sst_format::meta_head::{
    CommitKind, DescribedTable, HEAD_LOCATION_LEN, HashRange, HeadLocation, ListedMeta, MetaFileV3,
    MetaHead,
};
use sst_format::{FormatError, SequenceNumber, SstMeta};

use crate::WriteError;
use crate::file::directory::is_file;
use crate::file::{AtomicFile, FileError, FileOperation, FileSystem, OsFileSystem};

/// Writes the description of the table at `path` to a file beside it: `NAME.sst.meta` for
/// `NAME.sst`.
///
/// A reader of the table alone then has its filter, and a checksum for every byte of it. In a
/// directory with a `CURRENT`, the meta files of its commits hold the same.
///
/// A description that this function has written before is replaced in one step: readers see the old
/// one or the new one. So a table that was written anew gets its new description by the same call.
/// No other file of that name is replaced, a damaged description neither: remove it first.
///
/// # Errors
///
/// [`WriteError::Exists`] if a file has the name that is no description of a single table,
/// [`WriteError::Io`], or [`WriteError::Description`] if `meta` does not describe a finished table.
/// If a description was to be replaced, and the directory could not be synced after that, it is
/// unknown which of the two a crash would leave. After all other errors the old one is untouched.
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
    let bytes = encode_description(meta).map_err(WriteError::Description)?;
    let mut name = OsString::from(path.as_ref());
    name.push(".meta");
    let path = PathBuf::from(name);
    if is_description(&*file_system, &path)? {
        let mut file = AtomicFile::replacing(file_system, &path)?;
        file.write(&bytes)?;
        return file.replace(|| Ok(()));
    }
    let mut file = AtomicFile::create_in(file_system, path)?;
    file.write(&bytes)?;
    file.persist()?;
    Ok(())
}

/// The bytes of the description of a single table.
pub(crate) fn encode_description(meta: &SstMeta) -> Result<Vec<u8>, FormatError> {
    // A table outside of a directory has no sequence number, and neither has its description.
    let none = SequenceNumber::default();
    let hashes = HashRange { min: meta.min_hash, max: meta.max_hash };
    let (bytes, _) = MetaFileV3 {
        family: 0,
        obsolete: &[],
        tables: &[DescribedTable::new(none, meta)?],
        kind: CommitKind::Load,
        commit: none,
        live_metas: &[ListedMeta { sequence: none, checksum: 0, family: 0, hashes }],
        blobs: &[],
        certificates: &[],
        extension: &[],
    }
    .encode(crc32fast::hash)?;
    Ok(bytes)
}

/// Whether there is a description of a single table at `path`: a meta file with a valid head that
/// belongs to no commit. The meta files of commits have numbers from 1.
fn is_description(file_system: &dyn FileSystem, path: &Path) -> Result<bool, WriteError> {
    let error = FileError::at(path, FileOperation::Read);
    let is_there = file_system.exists(path).map_err(FileError::at(path, FileOperation::Inspect))?;
    // A link, a pipe or a directory is not ours.
    if !is_there || !is_file(file_system, path)? {
        return Ok(false);
    }
    let read = || {
        let file = file_system.open(path)?;
        let len = file.file_size()?;
        let range = |range: Range<u64>| {
            let range_len = usize::try_from(range.end - range.start);
            let mut bytes = vec![0; range_len.map_err(|_| io::ErrorKind::OutOfMemory)?];
            file.read_exact_at(&mut bytes, range.start)?;
            Ok::<_, io::Error>(bytes)
        };
        // A shorter file is read from byte 0.
        let last_bytes = range(len.saturating_sub(HEAD_LOCATION_LEN as u64)..len)?;
        let Some(location) = HeadLocation::parse(&last_bytes, len) else { return Ok(false) };
        let (start, end) = (range(location.start_range())?, range(location.end_range())?);
        // Anything but a valid head is another's file, or damaged.
        Ok(MetaHead::parse(&start, &end, len, crc32fast::hash).is_ok_and(|head| {
            head.commit() == SequenceNumber::default() && head.tables().count() == 1
        }))
    };
    Ok(read().map_err(error)?)
}
