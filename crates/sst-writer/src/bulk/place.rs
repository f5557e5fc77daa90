//! Where a record comes from.

use std::fmt;

/// The place of a record in the input: it decides which of two records of a key is the later one.
///
/// Places are compared by stream first, then by position, and by nothing else: not by time, and not by thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Which input stream: a file, a partition, a producer.
    pub stream: u64,
    /// Where in that stream: counted up by the handle, or given by the caller (a line number, an offset).
    pub position: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {} of stream {}", self.position, self.stream)
    }
}
