//! Where in the input a record stands.

use std::fmt;

/// Where in the input a record stands. Of two records of a key, the one with the higher position is
/// the later one.
///
/// Positions are compared by stream first, then by position, and by nothing else: not by time, and
/// not by thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InputPosition {
    /// Which input stream: a file, a partition, a producer.
    pub stream: u64,
    /// Where in that stream: counted up by the handle, or given by the caller (a line number, an
    /// offset).
    pub position: u64,
}

impl fmt::Display for InputPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {} of stream {}", self.position, self.stream)
    }
}
