//! Positioned reads: no map, so a file that shrinks gives an error and not a signal.

use std::fs::File;
use std::io;
use std::ops::Range;

/// A file that is read at given positions, from any number of threads.
pub(crate) struct PositionedFile {
    file: File,
    len: u64,
}

impl PositionedFile {
    pub(crate) const fn new(file: File, len: u64) -> Self {
        Self { file, len }
    }

    /// The file itself.
    pub(crate) const fn file(&self) -> &File {
        &self.file
    }

    /// Length in bytes when the file was opened.
    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    /// Starts to read a range into the system's cache, and does not wait for it. (Miri has no such
    /// call.)
    #[cfg(all(target_os = "linux", not(miri)))]
    pub(crate) fn will_need(&self, range: Range<u64>) {
        // Without a length the advice would be for the rest of the file.
        if let Some(len) = std::num::NonZeroU64::new(range.end.saturating_sub(range.start)) {
            // Advice: without it, the read that follows waits for the disk.
            let advice = rustix::fs::Advice::WillNeed;
            _ = rustix::fs::fadvise(&self.file, range.start, Some(len), advice);
        }
    }

    /// Elsewhere the standard library has no such call.
    #[cfg(any(not(target_os = "linux"), miri))]
    pub(crate) fn will_need(&self, _: Range<u64>) {}

    /// Fills `buffer` from byte `offset` on.
    #[cfg(unix)]
    pub(crate) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, buffer, offset)
    }

    /// Fills `buffer` from byte `offset` on.
    #[cfg(windows)]
    pub(crate) fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(&self.file, buffer, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    buffer = buffer.get_mut(read..).ok_or(io::ErrorKind::InvalidData)?;
                    offset += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
