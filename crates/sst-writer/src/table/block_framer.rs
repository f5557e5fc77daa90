//! How a payload becomes a block: compressed where that pays, checksummed, framed (FORMAT.md section 3).

use sst_format::block::{BLOCK_HEADER_LEN, BlockHeader, Encoding, compression_pays};

use crate::Compression;
use crate::lz4::{Lz4, max_compressed_len};
use crate::table::staging::Staging;

/// Frames payloads. What comes out depends on the payload alone.
pub(crate) struct BlockFramer {
    /// `None`: blocks are stored as they are.
    lz4: Option<Lz4>,
}

/// A block that is part of an output buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FramedBlock {
    /// Its header.
    pub(crate) header: BlockHeader,
    /// Its length in bytes, the header included.
    pub(crate) len: usize,
}

impl BlockFramer {
    pub(crate) fn new(compression: Compression) -> Self {
        let lz4 = match compression {
            Compression::Lz4 => Some(Lz4::new()),
            Compression::None => None,
        };
        Self { lz4 }
    }

    /// Appends the block of a payload in compressed form to `out`, if that pays. Otherwise nothing is appended.
    pub(crate) fn compress(&mut self, payload: &[u8], out: &mut Staging) -> Option<FramedBlock> {
        let lz4 = self.lz4.as_mut()?;
        let uncompressed_len = u32::try_from(payload.len()).ok()?;
        let room = out.room(BLOCK_HEADER_LEN + max_compressed_len(payload.len()));
        let (header_room, stored_room) = room.split_first_chunk_mut()?;
        let stored_len = lz4.compress(payload, stored_room)?;
        if !compression_pays(payload.len(), stored_len) {
            return None;
        }
        let checksum = crc32fast::hash(stored_room.get(..stored_len)?);
        let header = BlockHeader { encoding: Encoding::Lz4 { uncompressed_len }, checksum };
        *header_room = header.to_bytes();
        let len = BLOCK_HEADER_LEN + stored_len;
        out.advance(len);
        Some(FramedBlock { header, len })
    }
}

/// The header of a payload that is stored as it is.
pub(crate) fn raw_header(payload: &[u8]) -> BlockHeader {
    BlockHeader { encoding: Encoding::Raw, checksum: crc32fast::hash(payload) }
}
