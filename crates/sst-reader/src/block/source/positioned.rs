//! Positioned reads: no map, so a file that shrinks gives an error and not a signal.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::file_identity::FileIdentity;
use super::file_pool::PooledFile;
use crate::FileLabel;
use crate::block::memory::Mapping;
use crate::file_store::RangedFile;

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
    /// A file of a store.
    Stored(Arc<dyn RangedFile>),
}

impl PositionedFile {
    pub(crate) const fn new(file: File, len: u64) -> Self {
        Self { handle: Handle::Own(file), len }
    }

    /// A file of a store.
    pub(super) fn stored(file: Arc<dyn RangedFile>) -> Self {
        Self { len: file.len(), handle: Handle::Stored(file) }
    }

    /// The same file, which may be closed while it is not used.
    pub(crate) fn pooled(self, label: &FileLabel, identity: &FileIdentity) -> Self {
        let Self { handle, len } = self;
        let handle = match handle {
            Handle::Own(file) => {
                Handle::Pooled(PooledFile::new(label.clone(), file, identity.clone()))
            }
            handle @ (Handle::Pooled(_) | Handle::Stored(_)) => handle,
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
            // Nothing maps a file of a store, and its reads go another way.
            Handle::Stored(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Length in bytes when the file was opened.
    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    /// Whether it is a file of a store.
    pub(crate) const fn is_stored(&self) -> bool {
        matches!(self.handle, Handle::Stored(_))
    }

    /// Starts to read a range that will be read soon, and does not wait for it.
    pub(crate) fn prefetch_pages(&self, range: Range<u64>) {
        match &self.handle {
            Handle::Own(file) => advise(file, range),
            Handle::Pooled(file) => {
                if let Some(file) = file.if_open() {
                    advise(&file, range);
                }
            }
            Handle::Stored(file) => file.prefetch(range),
        }
    }

    /// Fills `buffer` from byte `offset` on.
    pub(crate) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        match &self.handle {
            Handle::Stored(file) => Ok(file.read_exact_at(buffer, offset)?),
            Handle::Own(_) | Handle::Pooled(_) => {
                self.with(|file| read_exact_at(file, buffer, offset))
            }
        }
    }

    /// The bytes of a range.
    pub(crate) fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        // Checked before anything is allocated: a file cannot ask for more memory than it has
        // bytes.
        if range.end > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let len = range.end.saturating_sub(range.start);
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len)?;
        bytes.resize(len, 0);
        self.read_exact_at(&mut bytes, range.start)?;
        Ok(bytes)
    }
}

/// Asks the system to read a range into its cache. (Miri has no such call.)
#[cfg(all(target_os = "linux", not(miri)))]
fn advise(file: &File, range: Range<u64>) {
    // Without a length the advice would be for the rest of the file.
    if let Some(len) = std::num::NonZeroU64::new(range.end.saturating_sub(range.start)) {
        // Advice: without it, the read that follows waits for the disk.
        let advice = rustix::fs::Advice::WillNeed;
        _ = rustix::fs::fadvise(file, range.start, Some(len), advice);
    }
}

/// Elsewhere the standard library has no such call.
#[cfg(any(not(target_os = "linux"), miri))]
fn advise(_: &File, _: Range<u64>) {}

/// Fills `buffer` from byte `offset` on.
#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
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

/// Elsewhere, such as in WebAssembly, only bytes in memory and files of a store can be read.
#[cfg(not(any(unix, windows)))]
fn read_exact_at(_: &File, _: &mut [u8], _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
