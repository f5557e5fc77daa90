//! The bytes of a meta file, mapped or read.

use std::fs;
use std::io;

use crate::block::memory::Mapping;
use crate::{Access, Corruption, FileLabel, ReadError};

/// Meta files below this many bytes are read rather than mapped: a map costs a few pages and system
/// calls.
const MIN_MAPPED_LEN: u64 = 64 << 10;

/// The bytes of a meta file, kept as long as anybody needs its filters.
pub(super) struct MetaBytes(Repr);

enum Repr {
    Mapped(Mapping),
    Owned(Vec<u8>),
}

impl MetaBytes {
    /// Maps a large file if `access` allows it, else reads it.
    pub(super) fn open(label: &FileLabel, access: Access) -> Result<Self, ReadError> {
        Self::read(label, access).map_err(|error| match error {
            ReadError::Io { file, source, .. } if source.kind() == io::ErrorKind::NotFound => {
                ReadError::corrupt(&file, Corruption::Missing)
            }
            error => error,
        })
    }

    /// Bytes that are in memory already.
    pub(super) const fn of(bytes: Vec<u8>) -> Self {
        Self(Repr::Owned(bytes))
    }

    fn read(label: &FileLabel, access: Access) -> Result<Self, ReadError> {
        let error = |operation| move |error| ReadError::io(label, operation, error);
        let len = match access {
            Access::Map => fs::metadata(label.path()).map_err(error("open"))?.len(),
            Access::Read => 0,
        };
        if len >= MIN_MAPPED_LEN {
            let file = fs::File::open(label.path()).map_err(error("open"))?;
            let mapping = Mapping::new(&file).map_err(error("map"))?;
            return Ok(Self(Repr::Mapped(mapping)));
        }
        let bytes = fs::read(label.path()).map_err(error("read"))?;
        Ok(Self(Repr::Owned(bytes)))
    }
}

impl AsRef<[u8]> for MetaBytes {
    fn as_ref(&self) -> &[u8] {
        match &self.0 {
            Repr::Mapped(mapping) => mapping.as_slice(),
            Repr::Owned(bytes) => bytes,
        }
    }
}
