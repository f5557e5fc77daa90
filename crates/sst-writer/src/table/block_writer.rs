//! The block writer: compresses, checksums and frames blocks, and knows how many more fit.

use std::path::{Path, PathBuf};

use sst_format::BlockIndex;
use sst_format::block::{BLOCK_HEADER_LEN, BlockHeader};
use sst_format::limits::{MAX_BLOCK_COUNT, MAX_BLOCKS_END};
use sst_format::offset_table::encode_offset_table;

use crate::codec::{Compressor, raw_header};
use crate::file::{FileOperation, Sink};
use crate::invariant::OrBroken;
use crate::table::{WriteError, WriterOptions};

/// The sink gets the output in pieces that end at multiples of this length. It is large enough that
/// calls cost nothing, and that a file system that keeps each write in one piece of memory needs
/// few pieces. It is small enough to fit into memory that was used before (docs/DECISIONS.md, 48).
const PIECE_LEN: usize = 256 << 10;

/// Raw blocks of at least this many bytes go to the sink without a copy.
const LARGE_LEN: usize = 256 << 10;

/// The highest number of blocks and bytes of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capacity {
    /// Highest number of blocks.
    pub(crate) blocks: u64,
    /// Highest end of a block in bytes.
    pub(crate) end: u64,
}

/// The capacity that the encoding allows.
pub(crate) const ENCODABLE: Capacity =
    Capacity { blocks: MAX_BLOCK_COUNT as u64, end: MAX_BLOCKS_END };

/// Writes blocks one after the other.
pub(crate) struct BlockWriter<S> {
    compressor: Compressor,
    output: BlockOutput<S>,
    /// The payload of a key block while it is encoded.
    key_block: Vec<u8>,
    capacity: Capacity,
}

/// The blocks written so far, and the buffer between them and the sink.
struct BlockOutput<S> {
    sink: S,
    /// The path of the file behind the sink, for errors.
    path: Option<PathBuf>,
    /// Bytes that the sink has not received yet.
    buffer: Vec<u8>,
    /// Number of bytes that the sink has received.
    written: u64,
    /// The header of each block.
    headers: Vec<BlockHeader>,
    /// The end of each block in bytes.
    ends: Vec<u32>,
    /// The end of the last block in bytes.
    end: u64,
}

/// A table whose last byte is written.
pub(crate) struct WrittenBlocks<T> {
    /// Number of blocks.
    pub(crate) block_count: u16,
    /// The headers of all blocks.
    pub(crate) headers: Vec<BlockHeader>,
    /// Length of the table in bytes.
    pub(crate) file_size: u64,
    /// The result of the sink.
    pub(crate) output: T,
}

impl<S: Sink> BlockWriter<S> {
    pub(crate) fn new(
        sink: S,
        path: Option<PathBuf>,
        options: &WriterOptions,
        capacity: Capacity,
    ) -> Self {
        let output = BlockOutput {
            sink,
            path,
            buffer: Vec::new(),
            written: 0,
            headers: Vec::new(),
            ends: Vec::new(),
            end: 0,
        };
        let compressor = Compressor::new(options.compression);
        Self { compressor, output, key_block: Vec::new(), capacity }
    }

    /// The path of the file behind the sink, if there is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.output.path.as_deref()
    }

    /// The highest number of blocks and bytes.
    pub(crate) const fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Number of blocks so far.
    pub(crate) const fn block_count(&self) -> u64 {
        self.output.headers.len() as u64
    }

    /// The end of the last block in bytes.
    pub(crate) const fn end(&self) -> u64 {
        self.output.end
    }

    /// Checks that `blocks` more blocks with `len` bytes in all fit. Returns the number of bytes
    /// that stay free. `entry` is the number of the entry that needs them, for errors.
    pub(crate) fn check_room(&self, blocks: u64, len: u64, entry: u64) -> Result<u64, WriteError> {
        let blocks = self.block_count() + blocks;
        if blocks > self.capacity.blocks {
            return Err(WriteError::TooManyBlocks { entry, blocks });
        }
        let end = self.end() + len;
        self.capacity.end.checked_sub(end).ok_or(WriteError::FileTooLarge { entry, end })
    }

    /// Length in bytes of the block that [`BlockWriter::write`] would write. O(length of the
    /// payload).
    pub(crate) fn block_len(&mut self, payload: &[u8]) -> Result<u64, WriteError> {
        let (_, stored) = self.compressor.stored_form(payload)?;
        Ok((BLOCK_HEADER_LEN + stored.len()) as u64)
    }

    /// Writes a block with this payload, compressed if that pays.
    pub(crate) fn write(&mut self, payload: &[u8]) -> Result<BlockIndex, WriteError> {
        let (header, stored) = self.compressor.stored_form(payload)?;
        self.output.put(header, stored)
    }

    /// Writes a block that is already in stored form.
    pub(crate) fn write_stored(
        &mut self,
        header: BlockHeader,
        stored: &[u8],
    ) -> Result<BlockIndex, WriteError> {
        self.output.put(header, stored)
    }

    /// Writes a key block. `encode` appends its payload to the given buffer. The writer tries
    /// compression only if `is_worth_trying`.
    pub(crate) fn write_key_block(
        &mut self,
        is_worth_trying: bool,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), WriteError>,
    ) -> Result<BlockIndex, WriteError> {
        let payload = &mut self.key_block;
        payload.clear();
        encode(payload)?;
        let (header, stored) = if is_worth_trying {
            self.compressor.stored_form(payload)?
        } else {
            (raw_header(payload), payload.as_slice())
        };
        let block = self.output.put(header, stored)?;
        // Release the memory of an oversized key block now: a long run of equal hashes makes one.
        self.key_block.truncate(LARGE_LEN);
        self.key_block.shrink_to(LARGE_LEN);
        Ok(block)
    }

    /// Writes the index block and the offset table, and ends the output.
    pub(crate) fn finish(self, index: &[u8]) -> Result<WrittenBlocks<S::Output>, WriteError> {
        let mut output = self.output;
        output.put(raw_header(index), index)?;
        output.finish()
    }
}

impl<S: Sink> BlockOutput<S> {
    /// Appends a block.
    fn put(&mut self, header: BlockHeader, stored: &[u8]) -> Result<BlockIndex, WriteError> {
        // The capacity was checked before the entry was accepted.
        let block = u16::try_from(self.headers.len()).or_broken("block indices are u16")?;
        self.end += (BLOCK_HEADER_LEN + stored.len()) as u64;
        self.ends.push(u32::try_from(self.end).or_broken("blocks end below 4 GiB")?);
        self.headers.push(header);
        self.make_room(BLOCK_HEADER_LEN + stored.len().min(LARGE_LEN))?;
        self.buffer.extend_from_slice(&header.to_bytes());
        if stored.len() < LARGE_LEN {
            self.buffer.extend_from_slice(stored);
            self.flush_pieces()?;
        } else {
            self.flush()?;
            self.write_to_sink(stored)?;
        }
        Ok(BlockIndex(block))
    }

    /// Appends the offset table and ends the output.
    fn finish(mut self) -> Result<WrittenBlocks<S::Output>, WriteError> {
        let block_count = u16::try_from(self.headers.len()).or_broken("block counts are u16")?;
        let mut offsets = Vec::new();
        encode_offset_table(self.ends.iter().copied(), &mut offsets);
        self.buffer.extend_from_slice(&offsets);
        self.flush_pieces()?;
        self.flush()?;
        let Self { sink, path, headers, end, .. } = self;
        let output = sink
            .finish()
            .map_err(|error| WriteError::io(path.as_deref(), FileOperation::Finish, error))?;
        Ok(WrittenBlocks { block_count, headers, file_size: end + offsets.len() as u64, output })
    }

    /// Reserves `len` more bytes in the buffer. A small table needs little. Any other gets at once
    /// the most that is ever needed, because a buffer that doubles could take twice as much.
    fn make_room(&mut self, len: usize) -> Result<(), WriteError> {
        let needed = self.buffer.len() + len;
        if needed > self.buffer.capacity() && needed > PIECE_LEN / 4 {
            let most = PIECE_LEN + LARGE_LEN + BLOCK_HEADER_LEN - self.buffer.len();
            let refused = |_| WriteError::out_of_memory(most);
            self.buffer.try_reserve_exact(most).map_err(refused)?;
        }
        WriteError::try_reserve(&mut self.buffer, len)
    }

    /// Passes all whole pieces of the buffer to the sink.
    fn flush_pieces(&mut self) -> Result<(), WriteError> {
        loop {
            #[expect(clippy::cast_possible_truncation, reason = "the rest is below 256 KiB")]
            let beyond = (self.written % PIECE_LEN as u64) as usize;
            let len = PIECE_LEN - beyond;
            if self.buffer.len() < len {
                return Ok(());
            }
            let rest = self.buffer.split_off(len);
            self.flush()?;
            self.buffer.extend_from_slice(&rest);
        }
    }

    /// Passes the whole buffer to the sink.
    fn flush(&mut self) -> Result<(), WriteError> {
        if !self.buffer.is_empty() {
            let mut bytes = std::mem::take(&mut self.buffer);
            self.write_to_sink(&bytes)?;
            bytes.clear();
            self.buffer = bytes;
        }
        Ok(())
    }

    fn write_to_sink(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.written += bytes.len() as u64;
        self.sink
            .write_all(bytes)
            .map_err(|error| WriteError::io(self.path.as_deref(), FileOperation::Write, error))
    }
}
