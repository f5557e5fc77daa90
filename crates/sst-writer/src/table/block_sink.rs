//! Where finished blocks go.

use std::path::{Path, PathBuf};

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};
use sst_format::block::{BLOCK_HEADER_LEN, BlockHeader, Encoding, compression_pays};
use sst_format::limits::{MAX_BLOCK_COUNT, MAX_BLOCKS_END};
use sst_format::offset_table::encode_offset_table;
use sst_format::{BlockIndex, FormatError, Structure};

use crate::{Compression, FileOperation, Sink, WriteError};

/// Output is handed on in pieces of at least this many bytes.
const STAGING_LEN: usize = 256 << 10;

/// How many blocks and bytes a table can have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capacity {
    /// Blocks.
    pub(crate) blocks: u64,
    /// Highest end of a block in bytes.
    pub(crate) end: u64,
}

/// What the encoding can address.
pub(crate) const ENCODABLE: Capacity =
    Capacity { blocks: MAX_BLOCK_COUNT as u64, end: MAX_BLOCKS_END };

/// Compresses, checksums, frames and writes blocks; knows where they ended up, and how many more there can be.
pub(crate) struct BlockSink<S> {
    sink: S,
    /// The file behind the sink, for errors.
    path: Option<PathBuf>,
    /// `None`: blocks are stored as they are.
    lz4: Option<CompressTable>,
    capacity: Capacity,
    /// Blocks that are not yet handed to the sink.
    staging: Vec<u8>,
    /// What a key block compresses to. As long as the longest attempt needed.
    compressed: Vec<u8>,
    headers: Vec<BlockHeader>,
    ends: Vec<u32>,
    end: u64,
}

/// A payload whose stored form is known, before it becomes a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PreparedBlock {
    header: BlockHeader,
    stored_len: usize,
    /// Whether header and stored form lie at the end of the staging buffer.
    is_staged: bool,
}

impl PreparedBlock {
    /// A block that comes in its stored form.
    pub(crate) const fn stored(header: BlockHeader, stored_len: usize) -> Self {
        Self { header, stored_len, is_staged: false }
    }

    /// Length of the block, its header included, in bytes.
    pub(crate) const fn len(&self) -> u64 {
        (BLOCK_HEADER_LEN + self.stored_len) as u64
    }
}

/// What is known of a table when it is written.
pub(crate) struct WrittenBlocks<T> {
    /// Headers of all blocks.
    pub(crate) headers: Vec<BlockHeader>,
    /// Length of the table in bytes.
    pub(crate) file_size: u64,
    /// What the sink left.
    pub(crate) output: T,
}

impl<S: Sink> BlockSink<S> {
    pub(crate) fn new(
        sink: S,
        path: Option<PathBuf>,
        compression: Compression,
        capacity: Capacity,
    ) -> Self {
        let lz4 = match compression {
            Compression::Lz4 => Some(CompressTable::large()),
            Compression::None => None,
        };
        Self {
            sink,
            path,
            lz4,
            capacity,
            staging: Vec::new(),
            compressed: Vec::new(),
            headers: Vec::new(),
            ends: Vec::new(),
            end: 0,
        }
    }

    /// The file behind the sink, if it is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Checks that `blocks` more blocks with `len` bytes in all will fit. `entry` is the number of the entry that asks.
    #[inline]
    pub(crate) fn check_room(&self, blocks: u64, len: u64, entry: u64) -> Result<(), WriteError> {
        let (blocks, end) = self.with_reserved(blocks, len);
        if blocks > self.capacity.blocks {
            return Err(WriteError::TooManyBlocks { entry, blocks });
        }
        if end > self.capacity.end {
            return Err(WriteError::FileTooLarge { entry, end });
        }
        Ok(())
    }

    /// How many blocks and bytes there can be.
    pub(crate) const fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Number of blocks, and where the last one ends, with `blocks` more of `len` bytes in all.
    #[inline]
    pub(crate) fn with_reserved(&self, blocks: u64, len: u64) -> (u64, u64) {
        (self.headers.len() as u64 + blocks, self.end + len)
    }

    /// Finds the stored form of a payload: compressed where that pays. Follow with [`BlockSink::commit`] or
    /// [`BlockSink::discard`].
    pub(crate) fn prepare(&mut self, payload: &[u8]) -> PreparedBlock {
        let start = self.staging.len();
        if let Some(prepared) = self.prepare_compressed(payload) {
            return prepared;
        }
        self.staging.truncate(start);
        let header = BlockHeader { encoding: Encoding::Raw, checksum: crc32fast::hash(payload) };
        PreparedBlock::stored(header, payload.len())
    }

    /// Compresses straight into the staging buffer, behind room for the header.
    fn prepare_compressed(&mut self, payload: &[u8]) -> Option<PreparedBlock> {
        let table = self.lz4.as_mut()?;
        let uncompressed_len = u32::try_from(payload.len()).ok()?;
        let header_at = self.staging.len();
        let payload_at = header_at + BLOCK_HEADER_LEN;
        let staged_len = payload_at + get_maximum_output_size(payload.len());
        if payload.len() >= STAGING_LEN {
            // Not twice as much, as `resize` would take.
            self.staging.reserve_exact(staged_len - header_at);
        }
        self.staging.resize(staged_len, 0);
        let room = self.staging.get_mut(payload_at..)?;
        let stored_len = compress_into_with_table(payload, room, table).ok()?;
        if !compression_pays(payload.len(), stored_len) {
            return None;
        }
        self.staging.truncate(payload_at + stored_len);
        let checksum = crc32fast::hash(self.staging.get(payload_at..)?);
        let header = BlockHeader { encoding: Encoding::Lz4 { uncompressed_len }, checksum };
        self.put_header(header_at, header);
        Some(PreparedBlock { header, stored_len, is_staged: true })
    }

    /// Gives up a prepared block.
    pub(crate) fn discard(&mut self, prepared: PreparedBlock) {
        if prepared.is_staged {
            let len = BLOCK_HEADER_LEN + prepared.stored_len;
            self.staging.truncate(self.staging.len().saturating_sub(len));
        }
    }

    /// Makes a prepared block the next one. `stored` is its stored form, unless it is staged already.
    pub(crate) fn commit(
        &mut self,
        prepared: PreparedBlock,
        stored: &[u8],
    ) -> Result<BlockIndex, WriteError> {
        if prepared.is_staged {
            return self.end_block(prepared.header, prepared.stored_len);
        }
        self.write_stored(prepared.header, stored)
    }

    /// Writes a block of this payload, compressed where that pays.
    pub(crate) fn write(&mut self, payload: &[u8]) -> Result<BlockIndex, WriteError> {
        let prepared = self.prepare(payload);
        self.commit(prepared, payload)
    }

    /// Writes a block in the stored form that goes with its header.
    fn write_stored(
        &mut self,
        header: BlockHeader,
        stored: &[u8],
    ) -> Result<BlockIndex, WriteError> {
        header.encode(&mut self.staging);
        if stored.len() < STAGING_LEN {
            self.staging.extend_from_slice(stored);
        } else {
            // Large pieces go straight through.
            self.flush()?;
            self.write_to_sink(|sink| sink.write_all(stored))?;
        }
        self.end_block(header, stored.len())
    }

    /// Writes a block whose payload `encode` appends to the buffer it is given.
    ///
    /// Made for key blocks: they hardly ever compress, so the payload is written where it will stay, and only moved
    /// if it is stored compressed after all.
    pub(crate) fn write_encoded(
        &mut self,
        try_to_compress: bool,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), FormatError>,
    ) -> Result<BlockIndex, WriteError> {
        let header_at = self.staging.len();
        let payload_at = header_at + BLOCK_HEADER_LEN;
        self.staging.resize(payload_at, 0);
        encode(&mut self.staging).map_err(WriteError::Internal)?;
        let payload = self.staging.get(payload_at..).unwrap_or_default();
        let mut encoding = Encoding::Raw;
        if try_to_compress
            && let Some(table) = self.lz4.as_mut()
            && let Some(compressed) = compress(payload, &mut self.compressed, table)
        {
            let too_large = too_large(payload.len() as u64);
            let uncompressed_len = u32::try_from(payload.len()).map_err(|_| too_large)?;
            encoding = Encoding::Lz4 { uncompressed_len };
            self.staging.truncate(payload_at);
            self.staging.extend_from_slice(compressed);
        }
        let stored = self.staging.get(payload_at..).unwrap_or_default();
        let stored_len = stored.len();
        let header = BlockHeader { encoding, checksum: crc32fast::hash(stored) };
        self.put_header(header_at, header);
        self.end_block(header, stored_len)
    }

    /// Writes the index block and the offset table, and ends the output.
    pub(crate) fn finish(mut self, index: &[u8]) -> Result<WrittenBlocks<S::Output>, WriteError> {
        let checksum = crc32fast::hash(index);
        self.write_stored(BlockHeader { encoding: Encoding::Raw, checksum }, index)?;
        let before = self.staging.len();
        encode_offset_table(self.ends.iter().copied(), &mut self.staging);
        let file_size = self.end + (self.staging.len() - before) as u64;
        self.flush()?;
        let Self { sink, path, headers, .. } = self;
        let output = sink
            .finish()
            .map_err(|error| WriteError::io(path.as_deref(), FileOperation::Finish, error))?;
        Ok(WrittenBlocks { headers, file_size, output })
    }

    fn put_header(&mut self, at: usize, header: BlockHeader) {
        if let Some(slot) = self.staging.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
            *slot = header.to_bytes();
        }
    }

    /// Books the block that was just staged or written.
    fn end_block(
        &mut self,
        header: BlockHeader,
        stored_len: usize,
    ) -> Result<BlockIndex, WriteError> {
        let index = self.headers.len() as u64;
        let block = BlockIndex(u16::try_from(index).map_err(|_| too_large(index))?);
        self.end += (BLOCK_HEADER_LEN + stored_len) as u64;
        self.ends.push(u32::try_from(self.end).map_err(|_| too_large(self.end))?);
        self.headers.push(header);
        if self.staging.len() >= STAGING_LEN {
            self.flush()?;
        }
        Ok(block)
    }

    /// Hands all staged bytes to the sink.
    fn flush(&mut self) -> Result<(), WriteError> {
        let staged = std::mem::take(&mut self.staging);
        self.write_to_sink(|sink| sink.write_all(&staged))?;
        self.staging = staged;
        self.staging.clear();
        // A medium value of many MiB must not be paid for until the end.
        self.staging.shrink_to(8 * STAGING_LEN);
        Ok(())
    }

    fn write_to_sink(
        &mut self,
        write: impl FnOnce(&mut S) -> std::io::Result<()>,
    ) -> Result<(), WriteError> {
        write(&mut self.sink)
            .map_err(|error| WriteError::io(self.path.as_deref(), FileOperation::Write, error))
    }
}

/// Compresses into `buffer`, which grows as needed; `None` if it does not pay.
fn compress<'a>(
    payload: &[u8],
    buffer: &'a mut Vec<u8>,
    table: &mut CompressTable,
) -> Option<&'a [u8]> {
    let needed = get_maximum_output_size(payload.len());
    if buffer.len() < needed {
        buffer.resize(needed, 0);
    }
    let len = compress_into_with_table(payload, buffer, table).ok()?;
    if compression_pays(payload.len(), len) { buffer.get(..len) } else { None }
}

/// The capacity is checked before an entry is taken, so this is a bug.
fn too_large(value: u64) -> WriteError {
    let (structure, max) = (Structure::OffsetTable, MAX_BLOCKS_END);
    WriteError::Internal(FormatError::TooLarge { structure, value, max })
}
