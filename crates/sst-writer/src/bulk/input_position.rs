//! The position of a record in the input.

use std::fmt;

/// The position of a record in the input.
///
/// Of two records of a key, the one with the higher position is the later one. Positions are
/// compared by stream first, then by the position in the stream. Time and threads play no part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InputPosition {
    /// Number of the input stream, for example a file, a partition or a producer.
    pub stream: u64,
    /// Position in this stream: counted by the handle, or given by the caller (for example a line
    /// number or an offset).
    pub position: u64,
}

impl fmt::Display for InputPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {} of stream {}", self.position, self.stream)
    }
}
