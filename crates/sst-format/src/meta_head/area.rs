//! A part of a meta file that has a checksum of its own.

use core::ops::Range;

use super::verify;
use crate::{Crc32, FormatError, Structure};

/// A range of a meta file, and the checksum of its bytes. It is read and verified at its first use,
/// which may never come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    structure: Structure,
    range: Range<u64>,
    checksum: u32,
}

impl Area {
    /// The area of these bytes of a meta file, which have this CRC-32.
    #[must_use]
    pub const fn new(structure: Structure, range: Range<u64>, checksum: u32) -> Self {
        Self { structure, range, checksum }
    }

    /// The kind of bytes that it holds.
    #[must_use]
    pub const fn structure(&self) -> Structure {
        self.structure
    }

    /// Its range of the meta file, in bytes.
    #[must_use]
    pub const fn range(&self) -> Range<u64> {
        self.range.start..self.range.end
    }

    /// Its length in bytes.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Whether it has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The CRC-32 of its bytes.
    #[must_use]
    pub const fn checksum(&self) -> u32 {
        self.checksum
    }

    /// Checks bytes that were read from its range. O(their length).
    ///
    /// # Errors
    ///
    /// [`FormatError::WrongLen`] if there are more or fewer bytes than in the range,
    /// [`FormatError::ChecksumMismatch`] if they are damaged.
    pub fn verify(&self, bytes: &[u8], crc32: Crc32) -> Result<(), FormatError> {
        let (structure, expected, found) = (self.structure, self.len(), bytes.len() as u64);
        if expected != found {
            return Err(FormatError::WrongLen { structure, expected, found });
        }
        verify(structure, bytes, self.checksum, crc32)
    }

    /// Its bytes in the meta file `file`, verified.
    pub(crate) fn verified_in<'a>(
        &self,
        file: &'a [u8],
        crc32: Crc32,
    ) -> Result<&'a [u8], FormatError> {
        let too_short = FormatError::TooShort {
            structure: self.structure,
            needed: self.range.end,
            available: file.len() as u64,
        };
        let (start, end) = (usize::try_from(self.range.start), usize::try_from(self.range.end));
        let (Ok(start), Ok(end)) = (start, end) else { return Err(too_short) };
        let bytes = file.get(start..end).ok_or(too_short)?;
        self.verify(bytes, crc32)?;
        Ok(bytes)
    }
}
