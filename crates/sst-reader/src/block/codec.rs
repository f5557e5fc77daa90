//! From the bytes of a stored block to its payload: the one file of this crate that knows how
//! blocks are compressed. A codec more is one arm more in each of these functions.

use std::cell::Cell;

use sst_format::block::{BlockHeader, Encoding};

use crate::Corruption;
use crate::block::cached_block::{SharedBlock, filled_block, shared_block};

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

/// The payload of a block whose header has been parsed with `stored`, so that the length is one
/// that the codec can reach.
///
/// # Errors
///
/// [`Corruption::Decompression`] if the bytes are not a compressed block of exactly the stated
/// length.
pub(crate) fn decode(header: BlockHeader, stored: &[u8]) -> Result<Decoded, Corruption> {
    match header.encoding {
        Encoding::Raw => Ok(Decoded::AsStored),
        Encoding::Lz4 { uncompressed_len } => decompress(stored, uncompressed_len)
            .map(Decoded::Decompressed)
            .ok_or(Corruption::Decompression { stated: u64::from(uncompressed_len) }),
    }
}

/// Longest payload that is decompressed by way of a buffer, in bytes: one copy costs less than
/// clearing memory to decompress into. Longer ones would need twice the memory.
const BUFFER_LEN: usize = 64 << 10;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// `None` if the bytes are not an LZ4 block of exactly that length, or there is no memory of that
/// length.
fn decompress(stored: &[u8], uncompressed_len: u32) -> Option<SharedBlock> {
    let len = usize::try_from(uncompressed_len).ok()?;
    let fill = |out: &mut [u8]| {
        lz4_flex::block::decompress_into(stored, out).is_ok_and(|written| written == len)
    };
    if len > BUFFER_LEN {
        return filled_block(len, fill);
    }
    let mut buffer = BUFFER.take();
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
    let payload = buffer.get_mut(..len).and_then(|out| fill(out).then(|| shared_block(out)));
    BUFFER.set(buffer);
    payload
}
