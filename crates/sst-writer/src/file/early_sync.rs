//! Writing out a file before it is complete.

use crate::NewFile;

/// Bytes of a file after which the system is asked to write them out.
const PIECE_LEN: u64 = 4 << 20;

/// Asks the system to write out a file piece by piece while it is being written. The device then
/// works while the rest is produced, and the sync at the end has less to wait for.
///
/// For files that will be synced. A temporary file, such as a spill file, may never need to be
/// written out.
#[derive(Debug, Default)]
pub(crate) struct EarlySync {
    /// Bytes that the system was not asked to write out yet.
    waiting: u64,
}

impl EarlySync {
    /// Must be called after each write to `file`, with the number of bytes written.
    pub(crate) fn after_write(&mut self, file: &mut dyn NewFile, len: usize) {
        self.waiting += len as u64;
        if self.waiting >= PIECE_LEN {
            file.start_sync();
            self.waiting = 0;
        }
    }
}
