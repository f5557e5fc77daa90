//! Checks blocks that come in stored form.

use sst_format::block::{BlockHeader, Encoding};

use crate::table::write_error::RawBlockDefect;

/// Checks that a block in stored form can be read back: its checksum, and that it decompresses to the stated length.
///
/// Decompresses into `buffer`.
pub(crate) fn check_raw_block(
    uncompressed_size: u32,
    checksum: u32,
    block: &[u8],
    buffer: &mut Vec<u8>,
) -> Result<BlockHeader, RawBlockDefect> {
    let computed = crc32fast::hash(block);
    if computed != checksum {
        return Err(RawBlockDefect::Checksum { stated: checksum, computed });
    }
    let encoding = match uncompressed_size {
        0 => Encoding::Raw,
        uncompressed_len => Encoding::Lz4 { uncompressed_len },
    };
    let header = BlockHeader { encoding, checksum };
    let payload_len = header.payload_len(block.len() as u64).map_err(RawBlockDefect::Ratio)?;
    if encoding != Encoding::Raw {
        let corrupt = RawBlockDefect::Corrupt { uncompressed_size };
        let payload_len = usize::try_from(payload_len).map_err(|_| corrupt)?;
        buffer.resize(payload_len, 0);
        let found = lz4_flex::block::decompress_into(block, buffer).map_err(|_| corrupt)?;
        if found != payload_len {
            return Err(RawBlockDefect::Len { stated: uncompressed_size, found });
        }
    }
    Ok(header)
}
