//! The tables of a merge go to a place that is no directory of the file system.

use std::collections::BTreeMap;
use std::sync::Arc;

use sst_format::block::{BLOCK_HEADER_LEN, BlockHeader};
use sst_format::file_name::FileKind;
use sst_format::protection::BlobRecord;
use sst_format::{BlobNumber, SequenceNumber};
use sst_reader::{Access, Catalog};
use sst_writer::blob::encode_blob;
use sst_writer::file::{
    FileError, FileOperation, FileSystem, OsFileSystem, RemoteFile, RemoteOutput,
};
use sst_writer::publish::TaskTable;
use sst_writer::table::{Compression, Finished, StoredBlockDefect};
use sst_writer::{Entry, PublishError, StreamingSstWriter, WriteError, WriterOptions};

use super::commit_target::copy_once;
use super::target::{Table, Target};
use crate::{MergeError, Monitor};

/// Bytes of a blob that are copied at a time.
const PIECE_LEN: usize = 256 << 10;

/// Tables at a place that gives them their numbers.
pub(crate) struct RemoteTarget<'m> {
    output: Arc<dyn RemoteOutput>,
    options: WriterOptions,
    monitor: &'m Monitor,
    pub(crate) tables: Vec<TaskTable>,
    pub(crate) blobs: Vec<BlobRecord>,
    /// Inputs whose blobs have been asked for.
    origins: Vec<Arc<Catalog>>,
    /// Blobs that have been copied: index of the origin and number there, and number here.
    copied: BTreeMap<(usize, BlobNumber), BlobNumber>,
}

/// A table at that place.
pub(crate) struct RemoteTable {
    sequence: SequenceNumber,
    writer: StreamingSstWriter<Box<dyn RemoteFile>>,
}

impl<'m> RemoteTarget<'m> {
    pub(crate) fn new(
        output: Arc<dyn RemoteOutput>,
        options: WriterOptions,
        monitor: &'m Monitor,
    ) -> Self {
        let (tables, blobs) = (Vec::new(), Vec::new());
        let (origins, copied) = (Vec::new(), BTreeMap::new());
        Self { output, options, monitor, tables, blobs, origins, copied }
    }

    /// Number of blobs that were copied.
    pub(crate) fn copied_blobs(&self) -> u64 {
        self.copied.len() as u64
    }

    /// The place of an input in the list.
    fn origin(&mut self, catalog: &Arc<Catalog>) -> usize {
        match self.origins.iter().position(|known| Arc::ptr_eq(known, catalog)) {
            Some(at) => at,
            None => {
                self.origins.push(Arc::clone(catalog));
                self.origins.len() - 1
            }
        }
    }
}

impl Target for RemoteTarget<'_> {
    type Table = RemoteTable;

    fn create_table(&mut self) -> Result<RemoteTable, MergeError> {
        let (sequence, file) = self.output.create(FileKind::Sst).map_err(not_created)?;
        let writer = StreamingSstWriter::new(file, self.options.clone());
        Ok(RemoteTable { sequence, writer })
    }

    fn finish_table(&mut self, table: RemoteTable) -> Result<u64, MergeError> {
        let RemoteTable { sequence, writer } = table;
        let Finished { meta, blobs, .. } = writer.finish()?;
        let file_size = meta.file_size;
        self.tables.push(TaskTable::new(sequence, meta, blobs));
        Ok(file_size)
    }

    fn copy_blob(
        &mut self,
        catalog: &Arc<Catalog>,
        number: BlobNumber,
        _: &[u8],
    ) -> Result<BlobNumber, MergeError> {
        let origin = self.origin(catalog);
        let Self { output, monitor, copied, blobs, .. } = self;
        copy_once(copied, (origin, number), || {
            let copy = match catalog.is_stored() {
                true => copy_object(&**output, catalog, number)?,
                false => copy_file(&**output, catalog, number, monitor)?,
            };
            blobs.push(copy);
            Ok(copy.number)
        })
    }
}

fn not_created(error: std::io::Error) -> MergeError {
    let (path, operation) = ("the output".into(), FileOperation::Create);
    PublishError::from(FileError { path, operation, source: error }).into()
}

fn not_written(error: std::io::Error) -> MergeError {
    let (path, operation) = ("the output".into(), FileOperation::Write);
    PublishError::from(FileError { path, operation, source: error }).into()
}

/// Copies a blob of another store. Its value and its stored form are in memory.
fn copy_object(
    output: &dyn RemoteOutput,
    catalog: &Catalog,
    number: BlobNumber,
) -> Result<BlobRecord, MergeError> {
    let value = catalog.read_blob(number, Access::Read)?;
    let (blob, bytes) = encode_blob(value, Compression::Lz4)?;
    let (sequence, mut file) = output.create(FileKind::Blob).map_err(not_created)?;
    file.write_all(&bytes).map_err(not_written)?;
    file.finish().map_err(not_written)?;
    let number = BlobNumber(sequence.0);
    Ok(BlobRecord { number, file_size: blob.file_size, header: blob.header })
}

/// Copies a blob file as it is stored, and verifies it against its header and its record.
fn copy_file(
    output: &dyn RemoteOutput,
    catalog: &Catalog,
    number: BlobNumber,
    monitor: &Monitor,
) -> Result<BlobRecord, MergeError> {
    let (path, listed) = (catalog.blob_path(number), catalog.blob_record(number)?);
    let read = |source| {
        let (path, operation) = (path.clone(), FileOperation::Read);
        PublishError::from(FileError { path, operation, source })
    };
    let source = OsFileSystem.open(&path).map_err(read)?;
    let file_size = source.file_size().map_err(read)?;
    let mut header = [0; BLOCK_HEADER_LEN];
    source.read_exact_at(&mut header, 0).map_err(read)?;
    let (sequence, mut file) = output.create(FileKind::Blob).map_err(not_created)?;
    file.write_all(&header).map_err(not_written)?;
    let header = BlockHeader::from_bytes(header);
    let copy = BlobRecord { number: BlobNumber(sequence.0), file_size, header };
    let mut checksum = crc32fast::Hasher::new();
    let mut at = BLOCK_HEADER_LEN as u64;
    let mut buffer = Vec::new();
    while at < file_size {
        monitor.check()?;
        // A rest that does not fit `usize` is longer than the buffer.
        let rest = usize::try_from(file_size - at).unwrap_or(PIECE_LEN);
        buffer.resize(rest.min(PIECE_LEN), 0);
        source.read_exact_at(&mut buffer, at).map_err(read)?;
        checksum.update(&buffer);
        file.write_all(&buffer).map_err(not_written)?;
        at += buffer.len() as u64;
    }
    let (stated, computed) = (header.checksum, checksum.finalize());
    if stated != computed {
        let source = StoredBlockDefect::Checksum { stated, computed };
        return Err(PublishError::BadBlob { path, source }.into());
    }
    if listed.is_some_and(|listed| BlobRecord { number: copy.number, ..*listed } != copy) {
        return Err(PublishError::NotTheListedBlob { path }.into());
    }
    file.finish().map_err(not_written)?;
    Ok(copy)
}

impl Table for RemoteTable {
    #[inline]
    fn entry_count(&self) -> u64 {
        self.writer.entry_count()
    }

    #[inline]
    fn add(&mut self, entry: impl Entry) -> Result<(), WriteError> {
        self.writer.add(entry)
    }

    #[inline]
    fn add_if_room(&mut self, entry: impl Entry) -> Result<bool, WriteError> {
        self.writer.add_if_room(entry)
    }

    fn last_key(&self) -> Result<&[u8], WriteError> {
        self.writer.last_key()
    }
}
