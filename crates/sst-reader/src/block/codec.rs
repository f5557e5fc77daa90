//! From the bytes of a stored block to its payload: the one file of this crate that knows how
//! blocks are compressed. To add a codec, add an arm to each `match` on [`Encoding`] here.

use std::cell::Cell;

use sst_format::BlockIndex;
use sst_format::block::{BlockHeader, Encoding};

use crate::block::cached_block::{
    FillError, NoMemory, SharedBlock, filled_block, try_shared_block,
};
use crate::{Corruption, FileLabel, ReadError};

/// The payload of a block.
pub(crate) enum Decoded {
    /// The stored bytes are the payload.
    AsStored,
    /// The stored bytes were compressed; this is the payload.
    Decompressed(SharedBlock),
}

impl Decoded {
    /// Length of the payload in bytes.
    pub(crate) fn len_from(&self, stored: &[u8]) -> u64 {
        match self {
            Self::AsStored => stored.len() as u64,
            Self::Decompressed(payload) => payload.slice.len() as u64,
        }
    }
}

/// Whether the stored bytes of a block are its payload.
pub(crate) const fn is_stored_raw(header: BlockHeader) -> bool {
    match header.encoding {
        Encoding::Raw => true,
        Encoding::Lz4 { .. } => false,
    }
}

/// The file and block that errors name, and the longest payload that is decoded.
#[derive(Clone, Copy)]
pub(crate) struct Decoder<'a> {
    pub(crate) label: &'a FileLabel,
    /// The block of a table; `None` for a blob.
    pub(crate) block: Option<BlockIndex>,
    /// Longest payload that memory is taken for, in bytes.
    pub(crate) max_len: u64,
}

impl Decoder<'_> {
    /// The payload of a block whose header has been parsed with `stored`, so that the length is one
    /// that the codec can reach.
    ///
    /// # Errors
    ///
    /// [`Corruption::Decompression`] if the bytes are not a compressed block of exactly the stated
    /// length; [`ReadError::OverLimit`]; [`ReadError::OutOfMemory`].
    pub(crate) fn decode(&self, header: BlockHeader, stored: &[u8]) -> Result<Decoded, ReadError> {
        let uncompressed_len = match header.encoding {
            Encoding::Raw => return Ok(Decoded::AsStored),
            Encoding::Lz4 { uncompressed_len } => uncompressed_len,
        };
        let stated = u64::from(uncompressed_len);
        self.check_len(stated)?;
        decompress(stored, uncompressed_len).map(Decoded::Decompressed).map_err(|error| match error
        {
            FillError::NotFilled => ReadError::Corrupt {
                file: self.label.clone(),
                block: self.block,
                cause: Corruption::Decompression { stated },
            },
            FillError::NoMemory(NoMemory) => self.out_of_memory(stated),
            FillError::Internal(invariant) => ReadError::internal(self.label, invariant),
        })
    }

    /// A copy of a payload that is stored as it is, in memory of its own.
    pub(crate) fn copy(&self, stored: &[u8]) -> Result<SharedBlock, ReadError> {
        let len = stored.len() as u64;
        self.check_len(len)?;
        try_shared_block(stored).map_err(|NoMemory| self.out_of_memory(len))
    }

    fn check_len(&self, bytes: u64) -> Result<(), ReadError> {
        if bytes <= self.max_len {
            return Ok(());
        }
        let (file, block) = (self.label.clone(), self.block);
        Err(ReadError::OverLimit { file, block, bytes, limit: self.max_len })
    }

    fn out_of_memory(&self, bytes: u64) -> ReadError {
        ReadError::OutOfMemory { file: self.label.clone(), block: self.block, bytes }
    }
}

/// Longest payload that is decompressed by way of a buffer, in bytes: one copy costs less than
/// clearing memory to decompress into. Longer ones would need twice the memory.
const BUFFER_LEN: usize = 64 << 10;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// [`FillError::NotFilled`] if the bytes are not an LZ4 block of exactly that length.
fn decompress(stored: &[u8], uncompressed_len: u32) -> Result<SharedBlock, FillError> {
    // A machine whose addresses do not reach so far has no memory of that length.
    let len = usize::try_from(uncompressed_len).map_err(|_| NoMemory)?;
    let fill = |out: &mut [u8]| {
        lz4_flex::block::decompress_into(stored, out).is_ok_and(|written| written == len)
    };
    if len > BUFFER_LEN {
        return filled_block(len, fill);
    }
    let mut buffer = BUFFER.take();
    if let Some(more) = len.checked_sub(buffer.len()) {
        buffer.try_reserve_exact(more).map_err(|_| NoMemory)?;
        buffer.resize(len, 0);
    }
    let payload = match buffer.get_mut(..len) {
        Some(out) => match fill(out) {
            true => try_shared_block(out).map_err(FillError::from),
            false => Err(FillError::NotFilled),
        },
        None => Err(FillError::Internal("a buffer that was resized has the length")),
    };
    BUFFER.set(buffer);
    payload
}
