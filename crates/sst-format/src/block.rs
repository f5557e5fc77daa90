//! Block header and encoding: how the payload of a block, or of a blob file, is stored (FORMAT.md
//! sections 3 and 8).
//!
//! ```text
//! offset  size  field
//!      0     4  uncompressed size of the payload; 0: the payload is stored raw
//!      4     4  CRC-32 of the payload as stored
//!      8     …  the payload: raw bytes, or one LZ4 block
//! ```
//!
//! A writer keeps the compressed form only if [`compression_pays`]; a reader verifies the checksum
//! before it decompresses. No other module knows that a size of 0 stands for "raw".

use alloc::vec::Vec;

use crate::limits::MAX_LZ4_RATIO;
use crate::{FormatError, Structure};

/// Length of a block header in bytes.
pub const BLOCK_HEADER_LEN: usize = 8;

/// How a payload is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As raw bytes.
    Raw,
    /// As one raw LZ4 block.
    Lz4 {
        /// Exact length after decompression, in bytes. Never 0.
        uncompressed_len: u32,
    },
}

/// The 8 bytes before the payload of a block or a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// How the payload is stored.
    pub encoding: Encoding,
    /// CRC-32 of the payload as stored.
    pub checksum: u32,
}

impl BlockHeader {
    /// The bytes of the header.
    #[must_use]
    pub fn to_bytes(self) -> [u8; BLOCK_HEADER_LEN] {
        let size = match self.encoding {
            Encoding::Raw => 0,
            Encoding::Lz4 { uncompressed_len } => uncompressed_len,
        };
        ((u64::from(size) << 32) | u64::from(self.checksum)).to_be_bytes()
    }

    /// The header in these bytes. Any 8 bytes are a header.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; BLOCK_HEADER_LEN]) -> Self {
        let [a, b, c, d, e, f, g, h] = bytes;
        let encoding = match u32::from_be_bytes([a, b, c, d]) {
            0 => Encoding::Raw,
            uncompressed_len => Encoding::Lz4 { uncompressed_len },
        };
        Self { encoding, checksum: u32::from_be_bytes([e, f, g, h]) }
    }

    /// Appends the header to `out`.
    pub fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_bytes());
    }

    /// Splits a block or a blob file into header and stored payload.
    ///
    /// # Errors
    ///
    /// [`FormatError::TooShort`] below 8 bytes, [`FormatError::ImpossibleRatio`] from
    /// [`BlockHeader::payload_len`].
    pub fn parse(block: &[u8]) -> Result<(Self, &[u8]), FormatError> {
        let too_short = FormatError::TooShort {
            structure: Structure::BlockHeader,
            needed: BLOCK_HEADER_LEN as u64,
            available: block.len() as u64,
        };
        let (bytes, payload) = block.split_first_chunk().ok_or(too_short)?;
        let header = Self::from_bytes(*bytes);
        header.payload_len(payload.len() as u64)?;
        Ok((header, payload))
    }

    /// Length of the payload after decompression, given its stored length, both in bytes.
    ///
    /// The result is at most [`MAX_LZ4_RATIO`] × `stored_len`, so a caller may allocate it.
    ///
    /// # Errors
    ///
    /// [`FormatError::ImpossibleRatio`] if no LZ4 block of `stored_len` bytes decompresses to that
    /// many.
    pub fn payload_len(self, stored_len: u64) -> Result<u64, FormatError> {
        // Only below 16 MiB: the header can state 4 GiB, and clearing so much memory would take the
        // tests too long.
        planted!("ratio-unchecked" => if let Encoding::Lz4 { uncompressed_len: len @ ..0x0100_0000 } =
            self.encoding { return Ok(u64::from(len)); });
        match self.encoding {
            Encoding::Raw => Ok(stored_len),
            // A bound that does not fit 64 bits is above every length of 32 bits.
            Encoding::Lz4 { uncompressed_len }
                if u64::from(uncompressed_len) <= stored_len.saturating_mul(MAX_LZ4_RATIO) =>
            {
                Ok(u64::from(uncompressed_len))
            }
            Encoding::Lz4 { uncompressed_len } => {
                Err(FormatError::ImpossibleRatio { uncompressed_len, stored_len })
            }
        }
    }

    /// Whether `bytes` has this header at byte `at`. A reader compares a copy of the header in a
    /// protection section this way.
    #[must_use]
    pub fn matches(self, bytes: &[u8], at: usize) -> bool {
        bytes.get(at..).and_then(<[u8]>::first_chunk) == Some(&self.to_bytes())
    }
}

/// Whether a payload of `len` bytes is stored compressed if that takes `compressed_len` bytes: only
/// if it saves more than an eighth.
#[must_use]
pub const fn compression_pays(len: usize, compressed_len: usize) -> bool {
    compressed_len < len - len / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_round_trip_and_layout() {
        let raw = BlockHeader { encoding: Encoding::Raw, checksum: 0x0102_0304 };
        assert_eq!(raw.to_bytes(), [0, 0, 0, 0, 1, 2, 3, 4]);
        let lz4 = BlockHeader { encoding: Encoding::Lz4 { uncompressed_len: 0x2000 }, ..raw };
        assert_eq!(lz4.to_bytes(), [0, 0, 0x20, 0, 1, 2, 3, 4]);
        for header in [raw, lz4] {
            assert_eq!(BlockHeader::from_bytes(header.to_bytes()), header);
            assert!(header.matches(&header.to_bytes(), 0));
        }
        assert!(!raw.matches(&lz4.to_bytes(), 0));
        assert!(!raw.matches(&raw.to_bytes(), 1));
    }

    #[test]
    fn ratio_is_bounded() {
        let header = |uncompressed_len| BlockHeader {
            encoding: Encoding::Lz4 { uncompressed_len },
            checksum: 0,
        };
        assert_eq!(header(2550).payload_len(10), Ok(2550));
        assert_eq!(
            header(2551).payload_len(10),
            Err(FormatError::ImpossibleRatio { uncompressed_len: 2551, stored_len: 10 })
        );
        assert!(BlockHeader::parse(&[0; 7]).is_err());
    }

    #[test]
    fn an_eighth_must_be_saved() {
        assert!(compression_pays(8192, 7167));
        assert!(!compression_pays(8192, 7168));
        assert!(!compression_pays(0, 0));
        assert!(compression_pays(7, 6));
        assert!(!compression_pays(7, 7));
    }
}
