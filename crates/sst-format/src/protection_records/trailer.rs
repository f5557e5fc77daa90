//! The trailer of a protected meta file.

use alloc::vec::Vec;

use super::{PROTECTION_MAGIC, STRUCTURE};
use crate::bytes::{count, field, u32_in};
use crate::{Crc32, FormatError};

/// Length of the trailer in bytes: [`Trailer::parse`] needs no more.
pub const TRAILER_LEN: usize = 12;

/// Distance from the start of the checksum to the end of a protected meta file, in bytes. The magic
/// number follows the checksum.
pub const CHECKSUM_FROM_END: usize = 4 + PROTECTION_MAGIC.len();

/// The last bytes of a protected meta file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Length of the section before the trailer, in bytes.
    pub len: u32,
    /// The CRC-32 of every byte of the file before it. Lists of later commits state it for this
    /// file.
    pub checksum: u32,
}

impl Trailer {
    /// Parses the last bytes of a meta file, at least [`TRAILER_LEN`] of them. The checksum in the
    /// trailer is not verified. O(1).
    ///
    /// # Errors
    ///
    /// [`FormatError::TooShort`], or [`FormatError::WrongLen`] if the bytes do not end with
    /// [`PROTECTION_MAGIC`].
    pub fn parse(last_bytes: &[u8]) -> Result<Self, FormatError> {
        let available = last_bytes.len() as u64;
        let trailer: &[u8; TRAILER_LEN] = last_bytes.last_chunk().ok_or(FormatError::TooShort {
            structure: STRUCTURE,
            needed: TRAILER_LEN as u64,
            available,
        })?;
        if field::<8, 4, _>(trailer) != PROTECTION_MAGIC {
            let expected = available - 4;
            return Err(FormatError::WrongLen { structure: STRUCTURE, expected, found: available });
        }
        Ok(Self { len: u32_in::<0, _>(trailer), checksum: u32_in::<4, _>(trailer) })
    }
}

/// Appends the trailer of the section that starts at byte `section_start` of `out`. Returns the
/// checksum in it.
pub(crate) fn encode_trailer(
    out: &mut Vec<u8>,
    section_start: usize,
    crc32: Crc32,
) -> Result<u32, FormatError> {
    out.extend_from_slice(&count(STRUCTURE, out.len() - section_start)?.to_be_bytes());
    let checksum = crc32(out);
    out.extend_from_slice(&checksum.to_be_bytes());
    out.extend_from_slice(&PROTECTION_MAGIC);
    Ok(checksum)
}
