//! Where finished blocks go.

use std::path::{Path, PathBuf};

use sst_format::block::{BLOCK_HEADER_LEN, BlockHeader};
use sst_format::limits::{MAX_BLOCK_COUNT, MAX_BLOCKS_END};
use sst_format::offset_table::encode_offset_table;
use sst_format::{BlockIndex, FormatError, Structure};

use crate::file::{FileOperation, Sink};
use crate::table::block_framer::{BlockFramer, FramedBlock, raw_header};
use crate::table::staging::Staging;
use crate::{WriteError, WriterOptions};

/// Output is handed on in pieces that end at multiples of this many bytes: that of a huge page. A file system that keeps
/// what was written at once in one piece of memory can then map it with huge pages, which readers feel.
const PIECE_LEN: usize = 2 << 20;

/// Stored forms of at least this many bytes are handed on as they are, without a copy.
const LARGE_LEN: usize = 256 << 10;

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

/// Frames and writes blocks; knows where they ended up, and how many more there can be.
pub(crate) struct BlockSink<S> {
    sink: S,
    /// The file behind the sink, for errors.
    path: Option<PathBuf>,
    framer: BlockFramer,
    capacity: Capacity,
    /// Blocks that are not yet handed to the sink.
    staging: Staging,
    /// Bytes that the sink has.
    written: u64,
    /// The key block at hand, before it is framed.
    key_block: Vec<u8>,
    /// Of blocks that are staged or written.
    headers: Vec<BlockHeader>,
    ends: Vec<u32>,
    end: u64,
}

/// A block whose stored form is known, before it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PreparedBlock<'a> {
    /// It lies at the end of the staging buffer.
    Staged(FramedBlock),
    /// A header, and the stored form that goes with it.
    Apart(BlockHeader, &'a [u8]),
}

impl PreparedBlock<'_> {
    /// Length of the block, its header included, in bytes.
    pub(crate) const fn len(&self) -> u64 {
        match self {
            Self::Staged(framed) => framed.len as u64,
            Self::Apart(_, stored) => (BLOCK_HEADER_LEN + stored.len()) as u64,
        }
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
        options: &WriterOptions,
        capacity: Capacity,
    ) -> Self {
        Self {
            sink,
            path,
            framer: BlockFramer::new(options.compression),
            capacity,
            staging: Staging::default(),
            written: 0,
            key_block: Vec::new(),
            headers: Vec::new(),
            ends: Vec::new(),
            end: 0,
        }
    }

    /// The file behind the sink, if it is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Checks that `blocks` more blocks with `len` bytes in all will fit. Returns how many bytes are left beside them.
    /// `entry` is the number of the entry that asks.
    pub(crate) fn check_room(&self, blocks: u64, len: u64, entry: u64) -> Result<u64, WriteError> {
        let blocks = self.block_count() + blocks;
        if blocks > self.capacity.blocks {
            return Err(WriteError::TooManyBlocks { entry, blocks });
        }
        let end = self.end + len;
        self.capacity.end.checked_sub(end).ok_or(WriteError::FileTooLarge { entry, end })
    }

    /// How many blocks and bytes there can be.
    pub(crate) const fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Number of blocks so far.
    pub(crate) const fn block_count(&self) -> u64 {
        self.headers.len() as u64
    }

    /// Where the last block ends, in bytes.
    pub(crate) const fn end(&self) -> u64 {
        self.end
    }

    /// Finds the stored form of a payload: compressed where that pays. Follow with [`BlockSink::commit`] or
    /// [`BlockSink::discard`].
    pub(crate) fn prepare<'a>(&mut self, payload: &'a [u8]) -> PreparedBlock<'a> {
        match self.framer.compress(payload, &mut self.staging) {
            Some(framed) => PreparedBlock::Staged(framed),
            None => PreparedBlock::Apart(raw_header(payload), payload),
        }
    }

    /// Gives up a prepared block.
    pub(crate) fn discard(&mut self, prepared: PreparedBlock<'_>) {
        if let PreparedBlock::Staged(framed) = prepared {
            self.staging.truncate(self.staging.len().saturating_sub(framed.len));
        }
    }

    /// Makes a prepared block the next one.
    pub(crate) fn commit(&mut self, prepared: PreparedBlock<'_>) -> Result<BlockIndex, WriteError> {
        match prepared {
            PreparedBlock::Staged(framed) => self.end_block(framed),
            PreparedBlock::Apart(header, stored) => self.write_stored(header, stored),
        }
    }

    /// Writes a block of this payload, compressed where that pays.
    pub(crate) fn write(&mut self, payload: &[u8]) -> Result<BlockIndex, WriteError> {
        let prepared = self.prepare(payload);
        self.commit(prepared)
    }

    /// Writes a block in the stored form that goes with its header.
    pub(crate) fn write_stored(
        &mut self,
        header: BlockHeader,
        stored: &[u8],
    ) -> Result<BlockIndex, WriteError> {
        self.staging.extend(&header.to_bytes());
        if stored.len() < LARGE_LEN {
            self.staging.extend(stored);
        } else {
            self.flush(self.staging.len())?;
            self.write_to_sink(stored)?;
        }
        self.end_block(FramedBlock { header, len: BLOCK_HEADER_LEN + stored.len() })
    }

    /// Writes a block whose payload `encode` appends to the buffer it is given, compressed if that is worth trying and
    /// pays.
    pub(crate) fn write_encoded(
        &mut self,
        is_worth_trying: bool,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), FormatError>,
    ) -> Result<BlockIndex, WriteError> {
        let mut payload = std::mem::take(&mut self.key_block);
        payload.clear();
        encode(&mut payload).map_err(WriteError::Internal)?;
        let block = if is_worth_trying {
            self.write(&payload)
        } else {
            self.write_stored(raw_header(&payload), &payload)
        };
        // A long run of equal hashes must not be paid for until the end.
        payload.truncate(LARGE_LEN);
        payload.shrink_to(LARGE_LEN);
        self.key_block = payload;
        block
    }

    /// Writes the index block and the offset table, and ends the output.
    pub(crate) fn finish(mut self, index: &[u8]) -> Result<WrittenBlocks<S::Output>, WriteError> {
        self.write_stored(raw_header(index), index)?;
        let mut offsets = Vec::new();
        encode_offset_table(self.ends.iter().copied(), &mut offsets);
        self.staging.extend(&offsets);
        let file_size = self.end + offsets.len() as u64;
        self.flush_if_due()?;
        self.flush(self.staging.len())?;
        let Self { sink, path, headers, .. } = self;
        let output = sink
            .finish()
            .map_err(|error| WriteError::io(path.as_deref(), FileOperation::Finish, error))?;
        Ok(WrittenBlocks { headers, file_size, output })
    }

    /// Ends the block that was just staged or written.
    fn end_block(&mut self, framed: FramedBlock) -> Result<BlockIndex, WriteError> {
        let block = self.book(framed)?;
        self.flush_if_due()?;
        Ok(block)
    }

    fn book(&mut self, framed: FramedBlock) -> Result<BlockIndex, WriteError> {
        let index = self.headers.len() as u64;
        let block = BlockIndex(u16::try_from(index).map_err(|_| too_large(index))?);
        self.end += framed.len as u64;
        self.ends.push(u32::try_from(self.end).map_err(|_| too_large(self.end))?);
        self.headers.push(framed.header);
        Ok(block)
    }

    /// Hands whole pieces to the sink, as many as are staged.
    fn flush_if_due(&mut self) -> Result<(), WriteError> {
        loop {
            let beyond = self.written % PIECE_LEN as u64;
            let due = PIECE_LEN - usize::try_from(beyond).unwrap_or(0);
            if self.staging.len() < due {
                return Ok(());
            }
            self.flush(due)?;
        }
    }

    /// Hands the first `len` staged bytes to the sink.
    fn flush(&mut self, len: usize) -> Result<(), WriteError> {
        if len == 0 {
            return Ok(());
        }
        let mut staging = std::mem::take(&mut self.staging);
        self.write_to_sink(staging.as_slice().get(..len).unwrap_or_default())?;
        // A medium value of many MiB must not be paid for until the end.
        staging.remove_front(len, PIECE_LEN + LARGE_LEN);
        self.staging = staging;
        Ok(())
    }

    fn write_to_sink(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.written += bytes.len() as u64;
        self.sink
            .write_all(bytes)
            .map_err(|error| WriteError::io(self.path.as_deref(), FileOperation::Write, error))
    }
}

/// The capacity is checked before an entry is taken, so this is a bug.
fn too_large(value: u64) -> WriteError {
    let (structure, max) = (Structure::OffsetTable, MAX_BLOCKS_END);
    WriteError::Internal(FormatError::TooLarge { structure, value, max })
}
