//! Blob files: one large value each (FORMAT.md section 8).

use std::io;
use std::path::Path;
use std::sync::Arc;

use sst_format::block::{BLOCK_HEADER_LEN, BlockHeader, Encoding, compression_pays};

use crate::lz4::{Lz4, max_compressed_len};
use crate::{AtomicFile, Compression, FileOperation, FileSystem, OsFileSystem, Sink, WriteError};

/// The longest input that the LZ4 block format allows, in bytes. Longer blobs are stored as they
/// are.
const MAX_LZ4_INPUT_LEN: u32 = 0x7e00_0000;

/// What a reader must know of a blob file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlobFile {
    /// Length of the file in bytes.
    pub file_size: u64,
    /// The header the file starts with.
    pub header: BlockHeader,
}

/// Writes one value to a new file of its own, which appears under its name whole or not at all.
///
/// Needs as much memory again as the value is long, if it is to be compressed.
///
/// # Errors
///
/// [`WriteError::Exists`] or [`WriteError::Io`]; there is then no new file.
///
/// # Examples
///
/// ```
/// use sst_writer::Compression;
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
    value: &[u8],
    compression: Compression,
) -> Result<BlobFile, WriteError> {
    write_blob_file_in(Arc::new(OsFileSystem), path, value, compression)
}

/// [`write_blob_file`] in a file system of one's own.
///
/// # Errors
///
/// As there.
pub fn write_blob_file_in(
    file_system: Arc<dyn FileSystem>,
    path: impl AsRef<Path>,
    value: &[u8],
    compression: Compression,
) -> Result<BlobFile, WriteError> {
    // Before the work of compressing: most errors show here.
    let path = path.as_ref();
    let file = AtomicFile::create_in(file_system, path)?;
    let (blob, ()) = write_blob(file, value, compression)
        .map_err(|error| WriteError::io(Some(path), FileOperation::Write, error))?;
    Ok(blob)
}

/// Writes the bytes of a blob file and ends the output.
pub(crate) fn write_blob<S: Sink>(
    mut sink: S,
    value: &[u8],
    compression: Compression,
) -> io::Result<(BlobFile, S::Output)> {
    let compressed = match compression {
        Compression::Lz4 => compress(value),
        Compression::None => None,
    };
    let (encoding, stored) = match &compressed {
        Some((uncompressed_len, stored)) => {
            (Encoding::Lz4 { uncompressed_len: *uncompressed_len }, stored.as_slice())
        }
        None => (Encoding::Raw, value),
    };
    let header = BlockHeader { encoding, checksum: crc32fast::hash(stored) };
    sink.write_all(&header.to_bytes())?;
    sink.write_all(stored)?;
    let output = sink.finish()?;
    Ok((BlobFile { file_size: (BLOCK_HEADER_LEN + stored.len()) as u64, header }, output))
}

/// The length of a value and its compressed form, if that pays.
fn compress(value: &[u8]) -> Option<(u32, Vec<u8>)> {
    let uncompressed_len =
        u32::try_from(value.len()).ok().filter(|len| *len <= MAX_LZ4_INPUT_LEN)?;
    let mut stored = vec![0; max_compressed_len(value.len())];
    let len = Lz4::new().compress(value, &mut stored)?;
    stored.truncate(len);
    compression_pays(value.len(), len).then_some((uncompressed_len, stored))
}
