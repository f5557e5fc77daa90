//! The record of a blob file.

use alloc::vec::Vec;

use crate::block::{BLOCK_HEADER_LEN, BlockHeader};
use crate::bytes::{field, u32_in, u64_in};
use crate::{BlobNumber, FormatError, Structure};

/// Length of its record in bytes.
pub const BLOB_LEN: usize = 4 + 8 + BLOCK_HEADER_LEN;

/// A blob file to which tables of a commit refer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobRecord {
    /// Its number.
    pub number: BlobNumber,
    /// Length of its file in bytes.
    pub file_size: u64,
    /// The header of its payload.
    pub header: BlockHeader,
}

impl BlobRecord {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.number.0.to_be_bytes());
        out.extend_from_slice(&self.file_size.to_be_bytes());
        self.header.encode(out);
    }

    pub(crate) const fn from_bytes(bytes: &[u8; BLOB_LEN]) -> Self {
        Self {
            number: BlobNumber(u32_in::<0, _>(bytes)),
            file_size: u64_in::<4, _>(bytes),
            header: BlockHeader::from_bytes(field::<12, BLOCK_HEADER_LEN, _>(bytes)),
        }
    }

    /// Parses a list of blobs: the verified bytes of
    /// [`MetaHead::blobs`](crate::meta_head::MetaHead::blobs). O(1).
    ///
    /// # Errors
    ///
    /// [`FormatError::WrongLen`] if the length is not a multiple of a record's.
    pub fn parse_list(
        bytes: &[u8],
    ) -> Result<impl ExactSizeIterator<Item = Self> + '_, FormatError> {
        let (records, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            let found = bytes.len() as u64;
            let expected = found - rest.len() as u64;
            return Err(FormatError::WrongLen { structure: Structure::BlobList, expected, found });
        }
        Ok(records.iter().map(Self::from_bytes))
    }
}
