//! The frame of a block or a blob file: any eight bytes are a valid header, and the payload length
//! that the header states is bounded.

use sst_format::FormatError;
use sst_format::block::{BLOCK_HEADER_LEN, BlockHeader, Encoding};
use sst_format::limits::MAX_LZ4_RATIO;

/// Runs the target on one input.
pub fn run(data: &[u8]) {
    match BlockHeader::parse(data) {
        Ok((header, stored)) => {
            let (head, rest) = data.split_at(BLOCK_HEADER_LEN);
            assert_eq!(header.to_bytes(), head);
            assert_eq!(stored, rest);
            assert!(header.matches(data, 0));
            let stored_len = stored.len() as u64;
            let len = header.payload_len(stored_len);
            match header.encoding {
                Encoding::Raw => assert_eq!(len, Ok(stored_len)),
                Encoding::Lz4 { uncompressed_len } => {
                    assert_eq!(len, Ok(u64::from(uncompressed_len)));
                    assert!(u64::from(uncompressed_len) <= stored_len * MAX_LZ4_RATIO);
                }
            }
        }
        Err(FormatError::TooShort { .. }) => assert!(data.len() < BLOCK_HEADER_LEN),
        Err(FormatError::ImpossibleRatio { uncompressed_len, stored_len }) => {
            assert!(u64::from(uncompressed_len) > stored_len * MAX_LZ4_RATIO);
        }
        Err(error) => assert!(data.is_empty(), "unexpected: {error}"),
    }
}
