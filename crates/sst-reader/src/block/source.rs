//! Where the bytes of a file come from: a memory map, positioned reads, or memory.

mod positioned;
pub(crate) mod uncached;

use std::fs::File;
use std::io;
use std::ops::Range;

use crate::block::memory::Mapping;
use crate::options::Access;
use crate::{FileLabel, ReadError};

use positioned::PositionedFile;

/// The bytes of one file.
pub(crate) enum Source {
    Mapped(Mapping),
    Positioned(PositionedFile),
    Memory(Box<dyn AsRef<[u8]> + Send + Sync>),
}

impl Source {
    /// Opens the file at `label`.
    pub(crate) fn open(label: &FileLabel, access: Access) -> Result<Self, ReadError> {
        let file = File::open(label.path()).map_err(|e| ReadError::io(label, "open", e))?;
        let metadata = file.metadata().map_err(|e| ReadError::io(label, "read", e))?;
        if metadata.is_dir() {
            return Err(ReadError::io(label, "open", io::ErrorKind::IsADirectory.into()));
        }
        match access {
            Access::Map => {
                Mapping::new(&file).map(Self::Mapped).map_err(|e| ReadError::io(label, "map", e))
            }
            Access::Read => Ok(Self::Positioned(PositionedFile::new(file, metadata.len()))),
        }
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Positioned(file) => file.len(),
            Self::Mapped(_) | Self::Memory(_) => self.as_slice().map_or(0, |s| s.len() as u64),
        }
    }

    /// All bytes, if they can be had without reading.
    #[inline]
    pub(crate) fn as_slice(&self) -> Option<&[u8]> {
        match self {
            Self::Mapped(mapping) => Some(mapping.as_slice()),
            Self::Memory(bytes) => Some((**bytes).as_ref()),
            Self::Positioned(_) => None,
        }
    }

    /// Calls `with` with the bytes of `range`, read into `buffer` if they are not in memory.
    pub(crate) fn with_bytes<'a>(
        &'a self,
        range: Range<u64>,
        buffer: &'a mut Vec<u8>,
    ) -> io::Result<&'a [u8]> {
        let past_the_end = || io::Error::from(io::ErrorKind::UnexpectedEof);
        match self {
            Self::Positioned(file) => {
                let len = range.end.checked_sub(range.start).ok_or_else(past_the_end)?;
                // Checked before anything is allocated: a file cannot ask for more memory than it has bytes.
                if range.end > file.len() {
                    return Err(past_the_end());
                }
                buffer.resize(usize::try_from(len).map_err(|_| past_the_end())?, 0);
                file.read_exact_at(buffer, range.start)?;
                Ok(buffer)
            }
            Self::Mapped(_) | Self::Memory(_) => self
                .as_slice()
                .zip(usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok()))
                .and_then(|(bytes, (start, end))| bytes.get(start..end))
                .ok_or_else(past_the_end),
        }
    }
}
