//! The codec: from a payload to the stored form of a block, and back (FORMAT.md section 3).
//!
//! No other file of this crate compresses or decompresses, except for `codec/spliced_block.rs`,
//! which compresses payloads that do not fit into memory. A new codec needs a variant of
//! [`Compression`], and one of [`Encoding`] in sst-format.
//!
//! lz4_flex finds repetitions by hashing as many bytes as a machine word has, in the byte order of
//! the machine. So all 64-bit little-endian machines compress to the same bytes. Other machines
//! compress to other bytes, which every machine can read.

pub(crate) mod spliced_block;

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};
use sst_format::FormatError;
use sst_format::block::{BlockHeader, Encoding, compression_pays};

use crate::invariant::{BrokenInvariant, OrBroken};

/// The compression of the payloads of blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// As LZ4 if that saves more than an eighth, else as they are.
    #[default]
    Lz4,
    /// As they are. The file is larger, but a reader returns values straight from its memory map.
    None,
}

/// The longest input that the LZ4 block format allows, in bytes. Longer payloads are stored raw.
pub(crate) const MAX_LZ4_INPUT_LEN: usize = 0x7e00_0000;

/// Highest capacity in bytes of the output buffer that is kept from one payload to the next.
const KEPT_ROOM_LEN: usize = 128 << 10;

/// The reason why a payload has no stored form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CompressError {
    Broken(BrokenInvariant),
    /// The system has no memory for the compressed form.
    NoMemory {
        bytes: usize,
    },
}

impl From<BrokenInvariant> for CompressError {
    fn from(broken: BrokenInvariant) -> Self {
        Self::Broken(broken)
    }
}

/// Computes the stored forms of payloads. A stored form depends on its payload alone.
pub(crate) struct Compressor {
    /// The match table of LZ4, cleared for each payload; `None` if payloads are stored raw.
    table: Option<CompressTable>,
    /// The compressed form of the last payload. The bytes behind it are left from earlier payloads.
    room: Vec<u8>,
}

impl Compressor {
    pub(crate) fn new(compression: Compression) -> Self {
        let table = match compression {
            Compression::Lz4 => Some(CompressTable::large()),
            Compression::None => None,
        };
        Self { table, room: Vec::new() }
    }

    /// The stored form of a payload with its header: compressed if that pays, else the payload
    /// itself. O(length of the payload).
    pub(crate) fn stored_form<'a>(
        &'a mut self,
        payload: &'a [u8],
    ) -> Result<(BlockHeader, &'a [u8]), CompressError> {
        match self.compress(payload)? {
            Some(compressed) => Ok(compressed),
            None => Ok((raw_header(payload), payload)),
        }
    }

    /// The compressed form of a payload with its header, if it pays.
    fn compress(&mut self, payload: &[u8]) -> Result<Option<(BlockHeader, &[u8])>, CompressError> {
        let Some(table) = &mut self.table else { return Ok(None) };
        let uncompressed_len = match u32::try_from(payload.len()) {
            Ok(len) if payload.len() <= MAX_LZ4_INPUT_LEN => len,
            _ => return Ok(None),
        };
        let longest = get_maximum_output_size(payload.len());
        if self.room.len() < longest {
            // The old buffer is freed first, because its content need not be copied.
            self.room = Vec::new();
            let refused = |_| CompressError::NoMemory { bytes: longest };
            self.room.try_reserve_exact(longest).map_err(refused)?;
            self.room.resize(longest, 0);
        } else if self.room.len() > KEPT_ROOM_LEN && longest <= KEPT_ROOM_LEN {
            self.room.truncate(KEPT_ROOM_LEN);
            self.room.shrink_to_fit();
        }
        let stored_len = compress_into_with_table(payload, &mut self.room, table)
            .or_broken("a compressed form fits into the room that LZ4 asks for")?;
        if !compression_pays(payload.len(), stored_len) {
            return Ok(None);
        }
        let stored = self.room.get(..stored_len).or_broken("a compressed form lies in its room")?;
        let encoding = Encoding::Lz4 { uncompressed_len };
        Ok(Some((BlockHeader { encoding, checksum: crc32fast::hash(stored) }, stored)))
    }
}

/// The header of a payload that is stored raw.
pub(crate) fn raw_header(payload: &[u8]) -> BlockHeader {
    BlockHeader { encoding: Encoding::Raw, checksum: crc32fast::hash(payload) }
}

/// The reason why a block in stored form is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoredBlockDefect {
    /// The checksum does not match the bytes.
    #[error("its checksum is {computed:08x}, its header states {stated:08x}")]
    Checksum {
        /// The checksum in its header.
        stated: u32,
        /// The checksum of its bytes.
        computed: u32,
    },
    /// LZ4 cannot compress that many bytes to so few.
    #[error(transparent)]
    Ratio(FormatError),
    /// The block is no valid LZ4 block.
    #[error("it is no valid LZ4 block of {uncompressed_size} bytes")]
    Corrupt {
        /// The length that its header states.
        uncompressed_size: u32,
    },
    /// The block decompresses to another length than its header states.
    #[error("it decompresses to {found} bytes, its header states {stated}")]
    Len {
        /// The length that its header states.
        stated: u32,
        /// The length that it decompresses to.
        found: usize,
    },
    /// The header states LZ4 and a length of 0, which readers would take for a raw block.
    #[error("an empty payload cannot be stored as LZ4")]
    EmptyLz4,
}

/// The reason why a block in stored form was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckError {
    Defect(StoredBlockDefect),
    /// The system has no memory for its payload.
    NoMemory {
        bytes: usize,
    },
}

impl From<StoredBlockDefect> for CheckError {
    fn from(defect: StoredBlockDefect) -> Self {
        Self::Defect(defect)
    }
}

/// Checks a block in stored form: its checksum, and that it decompresses to the length that its
/// header states. Returns the payload, which lies in `buffer` if it had to be decompressed.
pub(crate) fn check_stored<'a>(
    header: BlockHeader,
    stored: &'a [u8],
    buffer: &'a mut Vec<u8>,
) -> Result<&'a [u8], CheckError> {
    let computed = crc32fast::hash(stored);
    if computed != header.checksum {
        return Err(StoredBlockDefect::Checksum { stated: header.checksum, computed }.into());
    }
    let uncompressed_len = match header.encoding {
        Encoding::Raw => return Ok(stored),
        Encoding::Lz4 { uncompressed_len: 0 } => return Err(StoredBlockDefect::EmptyLz4.into()),
        Encoding::Lz4 { uncompressed_len } => uncompressed_len,
    };
    // Checked before memory is allocated for the payload.
    header.payload_len(stored.len() as u64).map_err(StoredBlockDefect::Ratio)?;
    let len = uncompressed_len as usize;
    if let Some(more) = len.checked_sub(buffer.len()) {
        let refused = |_| CheckError::NoMemory { bytes: len };
        buffer.try_reserve_exact(more).map_err(refused)?;
    }
    buffer.resize(len, 0);
    let found = lz4_flex::block::decompress_into(stored, buffer)
        .map_err(|_| StoredBlockDefect::Corrupt { uncompressed_size: uncompressed_len })?;
    if found != buffer.len() {
        return Err(StoredBlockDefect::Len { stated: uncompressed_len, found }.into());
    }
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_forms_come_back() {
        let text = b"a text that repeats itself, ".repeat(400);
        let (mut compressor, mut buffer) = (Compressor::new(Compression::Lz4), Vec::new());
        for payload in [&text[..], b"", b"too short", &text[..5000], &text.repeat(40)] {
            let (header, stored) = compressor.stored_form(payload).unwrap();
            assert_eq!(header.encoding != Encoding::Raw, payload.len() >= 5000);
            assert_eq!(check_stored(header, stored, &mut buffer), Ok(payload));
        }
        let mut raw = Compressor::new(Compression::None);
        assert_eq!(raw.stored_form(&text), Ok((raw_header(&text), &text[..])));
    }

    #[test]
    fn bad_stored_forms_are_refused() {
        let text = b"a text that repeats itself, ".repeat(400);
        let mut compressor = Compressor::new(Compression::Lz4);
        let (header, stored) = compressor.stored_form(&text).unwrap();
        let uncompressed_size = u32::try_from(text.len()).unwrap();
        let check = |header, stored: &[u8]| {
            let mut buffer = Vec::new();
            match check_stored(header, stored, &mut buffer) {
                Ok(_) => Ok(()),
                Err(CheckError::Defect(defect)) => Err(defect),
                Err(CheckError::NoMemory { bytes }) => panic!("no memory for {bytes} bytes"),
            }
        };
        let resized = |uncompressed_len| BlockHeader {
            encoding: Encoding::Lz4 { uncompressed_len },
            ..header
        };
        let computed = header.checksum;
        assert_eq!(
            check(BlockHeader { checksum: 7, ..header }, stored),
            Err(StoredBlockDefect::Checksum { stated: 7, computed })
        );
        let stated = uncompressed_size + 1;
        assert_eq!(
            check(resized(stated), stored),
            Err(StoredBlockDefect::Len { stated, found: text.len() })
        );
        let short = uncompressed_size - 1;
        let corrupt = Err(StoredBlockDefect::Corrupt { uncompressed_size: short });
        assert_eq!(check(resized(short), stored), corrupt);
        assert!(matches!(check(resized(u32::MAX), stored), Err(StoredBlockDefect::Ratio(_))));
        assert_eq!(check(resized(0), stored), Err(StoredBlockDefect::EmptyLz4));
        assert_eq!(check(BlockHeader { encoding: Encoding::Raw, ..header }, stored), Ok(()));
    }
}
