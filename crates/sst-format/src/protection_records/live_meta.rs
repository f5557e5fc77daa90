//! The record of a live meta file, in versions 1 and 2.

use crate::SequenceNumber;
use crate::bytes::u32_in;

/// Length of its record in bytes, in versions 1 and 2.
pub(crate) const LIVE_META_LEN: usize = 8;

/// A live meta file as of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveMeta {
    /// Its sequence number.
    pub sequence: SequenceNumber,
    /// The CRC-32 from its trailer; 0 in the record of the file that holds the list.
    pub checksum: u32,
}

impl LiveMeta {
    pub(crate) const fn from_bytes(bytes: &[u8; LIVE_META_LEN]) -> Self {
        let (sequence, checksum) = (u32_in::<0, _>(bytes), u32_in::<4, _>(bytes));
        Self { sequence: SequenceNumber(sequence), checksum }
    }
}
