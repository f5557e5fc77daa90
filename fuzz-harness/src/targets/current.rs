//! `CURRENT`: the parser accepts exactly the bytes that the encoder writes.

use sst_format::FormatError;
use sst_format::current::Current;

/// Runs the target on one input.
pub fn run(data: &[u8]) {
    check(data);
    // Parse again with a correct checksum, so that the checks after it are reached.
    if let Some((number, _)) = data.split_first_chunk::<4>() {
        let mut repaired = number.to_vec();
        repaired.extend(crc32fast::hash(number).to_be_bytes());
        let current = Current::parse(&repaired, crc32fast::hash);
        assert!(current.is_ok_and(|current| current.is_protected));
        check(&repaired);
    }
}

fn check(data: &[u8]) {
    match Current::parse(data, crc32fast::hash) {
        Ok(current) if current.is_protected => {
            assert_eq!(Current::encode(current.sequence, crc32fast::hash), data);
        }
        Ok(current) => assert_eq!(current.sequence.0.to_be_bytes(), data),
        Err(FormatError::UnknownRevision { len, .. }) => {
            assert!(len == data.len() as u64 && len != 4 && len != 8);
        }
        Err(_) => assert_eq!(data.len(), 8),
    }
}
