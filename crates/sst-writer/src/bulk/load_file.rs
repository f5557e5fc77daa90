//! The files of a load while they are written.

use std::io;

use sst_format::SequenceNumber;

use crate::Sink;
use crate::file::RemoteFile;
use crate::file::staged_file::{StagedFile, StagingFile};

/// A file of a load that is being written.
#[derive(Debug)]
pub(super) enum LoadFile {
    /// In the directory of the load, under a temporary name.
    Staging(StagingFile),
    /// At the place to which the load streams its files, under its number.
    Remote(SequenceNumber, Box<dyn RemoteFile>),
}

/// A file of a load that is complete and durable.
#[derive(Debug)]
pub(super) enum LoadedFile {
    /// It has no number yet.
    Staged(StagedFile),
    Remote(SequenceNumber),
}

impl Sink for LoadFile {
    type Output = LoadedFile;

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Staging(file) => Sink::write_all(file, bytes),
            Self::Remote(_, file) => RemoteFile::write_all(&mut **file, bytes),
        }
    }

    fn finish(self) -> io::Result<LoadedFile> {
        match self {
            Self::Staging(file) => file.finish().map(LoadedFile::Staged),
            Self::Remote(number, file) => {
                RemoteFile::finish(file)?;
                Ok(LoadedFile::Remote(number))
            }
        }
    }
}
