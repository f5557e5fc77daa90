//! `CURRENT`: the commit point of a directory (FORMAT.md section 1).
//!
//! ```text
//! offset  size  field
//!      0     4  highest committed sequence number
//!      4     4  CRC-32 of these 4 bytes; ours only, the original writes 4 bytes
//! ```

use crate::bytes::u32_at;
use crate::{Crc32, FormatError, SequenceNumber, Structure};

/// The byte of our `CURRENT` at which its checksum starts.
pub const CURRENT_CHECKSUM_AT: usize = 4;

/// The content of `CURRENT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Current {
    /// The highest committed sequence number.
    pub sequence: SequenceNumber,
    /// Whether the file carries its checksum. The newest meta file must then be protected too.
    pub is_protected: bool,
}

impl Current {
    /// Encodes our `CURRENT`, which carries its checksum.
    #[must_use]
    pub fn encode(sequence: SequenceNumber, crc32: Crc32) -> [u8; 8] {
        let number = sequence.0.to_be_bytes();
        ((u64::from(sequence.0) << 32) | u64::from(crc32(&number))).to_be_bytes()
    }

    /// Parses `CURRENT`, ours or the original's.
    ///
    /// # Errors
    ///
    /// [`FormatError::UnknownRevision`] for a length other than 4 or 8,
    /// [`FormatError::ChecksumMismatch`].
    pub fn parse(bytes: &[u8], crc32: Crc32) -> Result<Self, FormatError> {
        let unknown = FormatError::UnknownRevision {
            len: bytes.len() as u64,
            looks_like_json: bytes.trim_ascii_start().first() == Some(&b'{'),
        };
        let sequence = u32_at(bytes, 0).ok_or(unknown)?;
        let is_protected = match bytes.len() {
            4 => false,
            8 => true,
            _ => return Err(unknown),
        };
        if let Some(stored) = u32_at(bytes, CURRENT_CHECKSUM_AT) {
            let computed = crc32(&sequence.to_be_bytes());
            let computed = planted!("current-unchecked", computed, stored);
            if stored != computed {
                let structure = Structure::Current;
                return Err(FormatError::ChecksumMismatch { structure, stored, computed });
            }
        }
        Ok(Self { sequence: SequenceNumber(sequence), is_protected })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crc32(bytes: &[u8]) -> u32 {
        bytes.iter().fold(1, |sum, &byte| sum * 31 + u32::from(byte))
    }

    #[test]
    fn both_lengths_are_read() {
        let sequence = SequenceNumber(0x0102);
        let bytes = Current::encode(sequence, crc32);
        assert_eq!(bytes[..4], [0, 0, 1, 2]);
        let ours = Current { sequence, is_protected: true };
        assert_eq!(Current::parse(&bytes, crc32), Ok(ours));
        let original = Current { sequence, is_protected: false };
        assert_eq!(Current::parse(&bytes[..4], crc32), Ok(original));
    }

    #[test]
    fn damage_and_other_revisions_are_told_apart() {
        let mut bytes = Current::encode(SequenceNumber(7), crc32);
        bytes[3] ^= 1;
        let error = Current::parse(&bytes, crc32).unwrap_err();
        assert!(matches!(error, FormatError::ChecksumMismatch { .. }));
        for (bytes, json) in [(&b""[..], false), (b"12345", false), (b"{\"v\":1}", true)] {
            let len = bytes.len() as u64;
            let expected = FormatError::UnknownRevision { len, looks_like_json: json };
            assert_eq!(Current::parse(bytes, crc32), Err(expected));
        }
    }
}
