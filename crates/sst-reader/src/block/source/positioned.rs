//! Positioned reads: no map, so a file that shrinks gives an error and not a signal.

use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::file_identity::FileIdentity;
use super::file_pool::PooledFile;
use crate::FileLabel;
use crate::block::memory::Mapping;

/// A file that is read at given positions, from any number of threads.
pub(crate) struct PositionedFile {
    handle: Handle,
    len: u64,
}

enum Handle {
    /// Open until it is dropped: for a file that is looked at once.
    Own(File),
    /// Open while there is room for it.
    Pooled(Arc<PooledFile>),
}

impl PositionedFile {
    pub(crate) const fn new(file: File, len: u64) -> Self {
        Self { handle: Handle::Own(file), len }
    }

    /// The same file, which may be closed while it is not used.
    pub(crate) fn pooled(self, label: &FileLabel, metadata: &Metadata) -> Self {
        let Self { handle, len } = self;
        let handle = match handle {
            Handle::Own(file) => {
                let identity = FileIdentity::of(metadata);
                Handle::Pooled(PooledFile::new(label.clone(), file, identity))
            }
            pooled @ Handle::Pooled(_) => pooled,
        };
        Self { handle, len }
    }

    /// Maps the whole file.
    pub(crate) fn map(&self) -> io::Result<Mapping> {
        self.with(Mapping::new)
    }

    /// Does something with the open file.
    fn with<T>(&self, act: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        match &self.handle {
            Handle::Own(file) => act(file),
            Handle::Pooled(file) => act(&*file.open()?),
        }
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
            let advise = |file: &File| rustix::fs::fadvise(file, range.start, Some(len), advice);
            _ = match &self.handle {
                Handle::Own(file) => advise(file),
                Handle::Pooled(file) => file.if_open().map_or(Ok(()), |file| advise(&file)),
            };
        }
    }

    /// Elsewhere the standard library has no such call.
    #[cfg(any(not(target_os = "linux"), miri))]
    pub(crate) fn will_need(&self, _: Range<u64>) {}

    /// Fills `buffer` from byte `offset` on.
    #[cfg(unix)]
    pub(crate) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.with(|file| std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset))
    }

    /// Fills `buffer` from byte `offset` on.
    #[cfg(windows)]
    pub(crate) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.with(|file| read_exact_at(file, buffer, offset))
    }
}

/// Fills `buffer` from byte `offset` on.
#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, buffer, offset) {
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
