//! Blob files: one large value each (FORMAT.md section 8).

use std::io;
use std::path::Path;
use std::sync::Arc;

use sst_format::block::{BLOCK_HEADER_LEN, BlockHeader};

use crate::codec::Compressor;
use crate::{AtomicFile, Compression, FileOperation, FileSystem, OsFileSystem, Sink, WriteError};

/// A description of a blob file, with which a reader opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlobFile {
    /// Length of the file in bytes.
    pub file_size: u64,
    /// The header at the start of the file.
    pub header: BlockHeader,
}

/// Writes one value to a new file of its own.
///
/// The file appears under its name whole or not at all. If the value is to be compressed, this
/// needs as much memory again as the value is long.
///
/// # Errors
///
/// [`WriteError::Exists`] or [`WriteError::Io`]; there is then no new file.
///
/// # Examples
///
/// ```
/// use sst_writer::table::Compression;
/// use sst_writer::blob::write_blob_file;
///
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("00000007.blob");
/// let blob = write_blob_file(&path, &[7; 100_000], Compression::Lz4)?;
/// assert_eq!(blob.file_size, std::fs::metadata(&path)?.len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_blob_file(
    path: impl AsRef<Path>,
    value: impl AsRef<[u8]>,
    compression: Compression,
) -> Result<BlobFile, WriteError> {
    write_blob_file_in(Arc::new(OsFileSystem), path, value, compression)
}

/// As [`write_blob_file`], with the caller's file system.
///
/// # Errors
///
/// As [`write_blob_file`].
pub fn write_blob_file_in(
    file_system: Arc<dyn FileSystem>,
    path: impl AsRef<Path>,
    value: impl AsRef<[u8]>,
    compression: Compression,
) -> Result<BlobFile, WriteError> {
    // The file is created before the value is compressed: most errors occur here.
    let path = path.as_ref();
    let file = AtomicFile::create_in(file_system, path)?;
    let (blob, ()) = write_blob(file, path, value.as_ref(), compression)?;
    Ok(blob)
}

/// The description and the bytes of a blob file, for a place that is no directory of the file
/// system. Needs memory for the stored form of the value.
///
/// # Errors
///
/// [`WriteError`] if the value is too long to be stored.
pub fn encode_blob(
    value: impl AsRef<[u8]>,
    compression: Compression,
) -> Result<(BlobFile, Vec<u8>), WriteError> {
    // Writing into memory does not fail, so no error names this path.
    write_blob(Vec::new(), Path::new("blob"), value.as_ref(), compression)
}

/// Writes the bytes of a blob file and ends the output. Errors name `path`.
pub(crate) fn write_blob<S: Sink>(
    mut sink: S,
    path: &Path,
    value: &[u8],
    compression: Compression,
) -> Result<(BlobFile, S::Output), WriteError> {
    let error = |error: io::Error| WriteError::io(Some(path), FileOperation::Write, error);
    let mut compressor = Compressor::new(compression);
    let (header, stored) = compressor.stored_form(value)?;
    sink.write_all(&header.to_bytes()).map_err(error)?;
    sink.write_all(stored).map_err(error)?;
    let output = sink.finish().map_err(error)?;
    Ok((BlobFile { file_size: (BLOCK_HEADER_LEN + stored.len()) as u64, header }, output))
}
