//! A blob whose value is put piece by piece, so that it need not fit into memory.

use std::mem;
use std::sync::Arc;

use sst_format::block::{BLOCK_HEADER_LEN, BlockHeader, Encoding, compression_pays};
use sst_format::file_name::FileKind;

use super::bulk_error::BulkError;
use super::input_position::InputPosition;
use super::load_file::LoadedFile;
use super::shared::Shared;
use super::spool::Spool;
use super::unnumbered_blobs::UnnumberedBlob;
use crate::blob::BlobFile;
use crate::codec::MAX_LZ4_INPUT_LEN;
use crate::codec::spliced_block::{BlockPart, SplicedBlock};
use crate::invariant::OrBroken;
use crate::table::entry_digester::ValueDigester;
use crate::{Compression, FileOperation, Sink, WriteError};

/// Writes the value of a blob piece by piece.
///
/// [`BulkHandle::blob_writer`](super::BulkHandle::blob_writer) creates it, and
/// [`BulkHandle::put_blob_from_at`](super::BulkHandle::put_blob_from_at) puts the value into the
/// load. A value that is not put is discarded.
///
/// It takes at most 6 MiB of memory, however long the value is. Until the value is put, it is in
/// temporary files, raw and compressed; then the form that is to be stored is copied.
#[derive(Debug)]
pub struct BlobWriter {
    shared: Arc<Shared>,
    value: Value,
}

/// The value so far.
#[derive(Debug)]
struct Value {
    raw: Spool,
    /// The compressed form; `None` if the value will be stored raw.
    compressed: Option<(SplicedBlock, Spool)>,
    /// `None` if the load computes no digests.
    digester: Option<ValueDigester>,
}

impl BlobWriter {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { value: Value::new(&shared), shared }
    }

    /// Appends bytes to the value.
    ///
    /// # Errors
    ///
    /// [`BulkError`]; the load has failed.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), BulkError> {
        let bytes = bytes.as_ref();
        self.shared.fail_load_on_error(self.value.write(bytes, &self.shared))
    }

    /// Number of bytes of the value so far.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.value.raw.len()
    }

    /// Whether the value has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Discards the value, and starts another one.
    pub fn clear(&mut self) {
        if !self.is_empty() {
            self.value = Value::new(&self.shared);
        }
    }

    /// Writes the blob file, and starts another value. Returns the ticket of the blob.
    pub(super) fn finish(
        &mut self,
        shared: &Shared,
        input_position: InputPosition,
    ) -> Result<u64, BulkError> {
        let value = mem::replace(&mut self.value, Value::new(&self.shared));
        let (file, blob, digester) = value.finish(shared)?;
        let digest = digester.map(ValueDigester::finish);
        Ok(shared.blobs.add(UnnumberedBlob { input_position, file, blob, digest }))
    }
}

impl Value {
    fn new(shared: &Shared) -> Self {
        let spool = || Spool::new(shared.spill_file());
        let compressed = match shared.blob_compression {
            Compression::Lz4 => Some((SplicedBlock::default(), spool())),
            Compression::None => None,
        };
        let digester = shared.options.writer.digest.then(ValueDigester::default);
        Self { raw: spool(), compressed, digester }
    }

    fn write(&mut self, mut bytes: &[u8], shared: &Shared) -> Result<(), BulkError> {
        while !bytes.is_empty() {
            bytes = self.raw.fill(bytes)?;
            if self.raw.is_full() {
                shared.check()?;
                self.end_piece()?;
            }
        }
        Ok(())
    }

    /// Compresses the piece that was filled, and spills it.
    fn end_piece(&mut self) -> Result<(), BulkError> {
        let Self { raw, compressed, digester } = self;
        if let Some(digester) = digester {
            digester.add(raw.piece());
        }
        if raw.len() > MAX_LZ4_INPUT_LEN as u64 {
            *compressed = None;
        }
        if let Some((block, spool)) = compressed {
            block.push(raw.piece(), |part| append_part(spool, part, raw))?;
        }
        raw.spill()
    }

    /// Writes the blob file.
    fn finish(
        mut self,
        shared: &Shared,
    ) -> Result<(LoadedFile, BlobFile, Option<ValueDigester>), BulkError> {
        self.end_piece()?;
        let Self { raw, compressed, digester } = self;
        let compressed = match compressed {
            Some((block, mut spool)) => {
                block.finish(|part| append_part(&mut spool, part, &raw))?;
                spool.spill()?;
                pays(&raw, &spool)?.map(|encoding| (encoding, spool))
            }
            None => None,
        };
        let (encoding, stored) = match &compressed {
            Some((encoding, spool)) => (*encoding, spool),
            None => (Encoding::Raw, &raw),
        };
        let header = BlockHeader { encoding, checksum: stored.checksum() };
        let mut file = shared.create(FileKind::Blob)?;
        let path = shared.directory();
        let error = |error| WriteError::io(Some(path), FileOperation::Write, error);
        file.write_all(&header.to_bytes()).map_err(error)?;
        stored.read(0..stored.len(), |bytes| {
            shared.check()?;
            Ok(file.write_all(bytes).map_err(error)?)
        })?;
        let file_size = BLOCK_HEADER_LEN as u64 + stored.len();
        Ok((file.finish().map_err(error)?, BlobFile { file_size, header }, digester))
    }
}

/// Appends a part of the compressed form.
fn append_part(spool: &mut Spool, part: BlockPart<'_>, raw: &Spool) -> Result<(), BulkError> {
    match part {
        BlockPart::Bytes(bytes) => spool.append(bytes),
        BlockPart::Payload(range) => raw.read(range, |bytes| spool.append(bytes)),
    }
}

/// The encoding of the compressed form, if it saves enough.
fn pays(raw: &Spool, compressed: &Spool) -> Result<Option<Encoding>, BulkError> {
    const SHORT: &str = "a value that LZ4 cannot hold is stored raw";
    let uncompressed_len = u32::try_from(raw.len()).or_broken(SHORT)?;
    // LZ4 holds less than 2 GiB, which every address space reaches.
    let [len, compressed_len] =
        [raw.len(), compressed.len()].map(|len| usize::try_from(len).or_broken(SHORT));
    let pays = compression_pays(len?, compressed_len?);
    Ok(pays.then_some(Encoding::Lz4 { uncompressed_len }))
}
