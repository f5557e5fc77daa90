//! Where the bytes of a file come from: a memory map, positioned reads of a file or of an object in
//! a store, or memory.

mod file_identity;
mod file_pool;
mod files;
mod positioned;
mod regular;
pub(crate) mod uncached;

use std::io;
use std::ops::Range;

use sst_format::BlockIndex;

use crate::block::memory::Mapping;
use crate::{FileLabel, ReadError};

pub(crate) use file_identity::FileIdentity;
pub(crate) use files::Files;
pub(crate) use positioned::PositionedFile;

/// How the bytes of a file are reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// Through a memory map: fastest, and raw blocks are used where they lie.
    ///
    /// No process may truncate or overwrite a file while it is mapped. If it is truncated all the
    /// same, the operating system ends the process with a signal (`SIGBUS`) at the next access; no
    /// library can turn that into an error.
    #[default]
    Map,
    /// Through positioned reads: a file that shrinks gives an error, and no address space is used.
    /// Every block passes through the cache.
    ///
    /// Where tables are more than the process may have open files, those that were not read lately
    /// are closed and opened again. A file that has been removed by then cannot be read any more.
    Read,
}

/// The bytes of one file.
pub(crate) enum Source {
    Mapped(Mapping),
    Positioned(PositionedFile),
    Memory(Box<dyn AsRef<[u8]> + Send + Sync>),
}

impl Source {
    /// Opens the file at `label`.
    pub(crate) fn open(label: &FileLabel, files: &Files) -> Result<Self, ReadError> {
        let (file, identity) =
            files.open(label.path()).map_err(|e| ReadError::io(label, "open", e))?;
        match files.access(label.path()) {
            Access::Map => file.map().map(Self::Mapped).map_err(|e| ReadError::io(label, "map", e)),
            Access::Read => Ok(Self::Positioned(file.pooled(label, &identity))),
        }
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Positioned(file) => file.len(),
            Self::Mapped(mapping) => mapping.as_slice().len() as u64,
            Self::Memory(bytes) => (**bytes).as_ref().len() as u64,
        }
    }

    /// All bytes, if they are in memory.
    #[inline]
    pub(crate) fn as_slice(&self) -> Option<&[u8]> {
        match self {
            Self::Mapped(mapping) => Some(mapping.as_slice()),
            Self::Memory(bytes) => Some((**bytes).as_ref()),
            Self::Positioned(_) => None,
        }
    }

    /// Tells the system that parts of the file will be read in no order.
    pub(crate) fn expect_random_reads(&mut self) {
        match self {
            Self::Mapped(mapping) => mapping.expect_random_reads(),
            // Positioned reads already ask for whole blocks, and nothing else.
            Self::Positioned(_) | Self::Memory(_) => {}
        }
    }

    /// Starts to read a range that will be touched soon, where touching it would read it page by
    /// page.
    pub(crate) fn prefetch_mapped(&self, range: Range<u64>) {
        if let Some(map) = self.random_map()
            && let (Ok(start), Ok(end)) = (range.start.try_into(), range.end.try_into())
        {
            map.prefetch_pages(start..end);
        }
    }

    /// Starts to read a range that will be read soon, while other blocks are asked for, too.
    pub(crate) fn prefetch_pages(&self, range: Range<u64>) {
        match self {
            Self::Positioned(file) => file.prefetch_pages(range),
            Self::Mapped(_) | Self::Memory(_) => self.prefetch_mapped(range),
        }
    }

    /// Whether it is an object in a store, of which nothing is in memory before it is read.
    pub(crate) const fn is_stored(&self) -> bool {
        match self {
            Self::Positioned(file) => file.is_stored(),
            Self::Mapped(_) | Self::Memory(_) => false,
        }
    }

    /// The map, if it is one whose pages are read only when they are touched or asked for.
    #[inline]
    pub(crate) const fn random_map(&self) -> Option<&Mapping> {
        match self {
            Self::Mapped(mapping) if mapping.is_random() => Some(mapping),
            Self::Mapped(_) | Self::Positioned(_) | Self::Memory(_) => None,
        }
    }

    /// The bytes of `range`, read into `buffer` if they are not in memory.
    pub(crate) fn bytes<'a>(
        &'a self,
        range: Range<u64>,
        buffer: &'a mut Vec<u8>,
    ) -> io::Result<&'a [u8]> {
        match self {
            Self::Positioned(file) => {
                let len = range.end.checked_sub(range.start).ok_or_else(past_the_end)?;
                // Checked before anything is allocated: a file cannot ask for more memory than it
                // has bytes.
                if range.end > file.len() {
                    return Err(past_the_end());
                }
                let len = usize::try_from(len).map_err(|_| past_the_end())?;
                if let Some(more) = len.checked_sub(buffer.len()) {
                    buffer.try_reserve_exact(more).map_err(|_| io::ErrorKind::OutOfMemory)?;
                }
                buffer.resize(len, 0);
                file.read_exact_at(buffer, range.start)?;
                Ok(buffer)
            }
            Self::Mapped(mapping) => within(mapping.as_slice(), range),
            Self::Memory(bytes) => within((**bytes).as_ref(), range),
        }
    }

    /// As [`Source::bytes`]. Errors name the file, and the block that the bytes are of.
    pub(crate) fn read<'a>(
        &'a self,
        label: &FileLabel,
        block: Option<BlockIndex>,
        range: Range<u64>,
        buffer: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], ReadError> {
        let bytes = range.end.saturating_sub(range.start);
        self.bytes(range, buffer).map_err(|error| match error.kind() {
            io::ErrorKind::OutOfMemory => {
                ReadError::OutOfMemory { file: label.clone(), block, bytes }
            }
            _ => ReadError::io(label, "read", error),
        })
    }

    /// The `N` bytes from byte `start` on.
    pub(crate) fn array<const N: usize>(&self, start: u64) -> io::Result<[u8; N]> {
        let end = start.checked_add(N as u64).ok_or_else(past_the_end)?;
        let mut buffer = Vec::new();
        self.bytes(start..end, &mut buffer)?.first_chunk().copied().ok_or_else(past_the_end)
    }
}

fn past_the_end() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

fn within(bytes: &[u8], range: Range<u64>) -> io::Result<&[u8]> {
    let start = usize::try_from(range.start).map_err(|_| past_the_end())?;
    let end = usize::try_from(range.end).map_err(|_| past_the_end())?;
    bytes.get(start..end).ok_or_else(past_the_end)
}
