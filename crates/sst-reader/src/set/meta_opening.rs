//! Opens meta files: reads the head of one, or all of it.

use std::io;
use std::ops::Range;

use sst_format::meta_head::{HEAD_LOCATION_LEN, HeadLocation};

use super::meta_source::MetaSource;
use crate::block::memory::Mapping;
use crate::block::source::{FileIdentity, Files, PositionedFile, Source};
use crate::{Access, Corruption, FileLabel, ReadError};

/// Meta files without a head below this many bytes are read rather than mapped: a map costs a few
/// pages and system calls.
const MIN_MAPPED_LEN: u64 = 64 << 10;

/// How many bytes at the end of a meta file are read first. They hold the location of the head, of
/// a small meta file all of it, and of a larger one bytes that need not be used: so few that
/// opening a set of a hundred meta files reads less than 64 KiB of them.
const FIRST_READ_LEN: u64 = 512;

const _: () = assert!(FIRST_READ_LEN > HEAD_LOCATION_LEN as u64, "the first read has the location");

/// The two ends of a meta file that make its head.
pub(super) struct HeadBytes {
    pub(super) start: Vec<u8>,
    pub(super) end: Vec<u8>,
}

/// A meta file that is being opened.
struct MetaOpening<'a> {
    label: &'a FileLabel,
    identity: FileIdentity,
    file: PositionedFile,
    access: Access,
    /// The end of the file, which is read first.
    last: Vec<u8>,
    /// Where the end starts: at 0 if it is the whole file.
    last_start: u64,
    bytes_read: u64,
}

/// Opens a meta file and reads its head; `None` in place of the head if it seems to have none. Then
/// only a file of a few bytes is in memory.
pub(super) fn open(
    label: &FileLabel,
    files: &Files,
) -> Result<(MetaSource, Option<HeadBytes>), ReadError> {
    let opening = MetaOpening::new(label, files)?;
    match HeadLocation::parse(&opening.last, opening.file.len()) {
        Some(location) => {
            let (source, head) = opening.with_head(&location)?;
            Ok((source, Some(head)))
        }
        None => Ok((opening.without_head(), None)),
    }
}

impl<'a> MetaOpening<'a> {
    fn new(label: &'a FileLabel, files: &Files) -> Result<Self, ReadError> {
        let (file, identity) = files.open(label.path()).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ReadError::corrupt(label, Corruption::Missing),
            _ => ReadError::io(label, "open", error),
        })?;
        let (len, access) = (file.len(), files.access(label.path()));
        // All of a shorter file.
        let last_start = len.saturating_sub(FIRST_READ_LEN);
        let last = file.read(last_start..len).map_err(|e| ReadError::io(label, "read", e))?;
        let bytes_read = last.len() as u64;
        Ok(Self { label, identity, file, access, last, last_start, bytes_read })
    }

    fn without_head(self) -> MetaSource {
        let source = match self.last_start {
            0 => Source::Memory(Box::new(self.last)),
            _ => Source::Positioned(self.file),
        };
        MetaSource::new(self.label, self.identity, source, self.bytes_read)
    }

    fn with_head(mut self, location: &HeadLocation) -> Result<(MetaSource, HeadBytes), ReadError> {
        let end = self.read(location.end_range())?;
        let start = self.read(location.start_range())?;
        // The head was read, not touched in a map: a fault would read the pages around it, too.
        let source = match self.access {
            _ if self.last_start == 0 => Source::Memory(Box::new(self.last)),
            Access::Map => Source::Mapped(map(self.label, &self.file)?),
            Access::Read => Source::Positioned(self.file.pooled(self.label, &self.identity)),
        };
        let source = MetaSource::new(self.label, self.identity, source, self.bytes_read);
        Ok((source, HeadBytes { start, end }))
    }

    /// Bytes of the file. Those of its end are here already.
    fn read(&mut self, range: Range<u64>) -> Result<Vec<u8>, ReadError> {
        let before = range.start.min(self.last_start)..range.end.min(self.last_start);
        let here = range.start.max(self.last_start)..range.end.max(self.last_start);
        let within = |at: u64| usize::try_from(at - self.last_start);
        let here = match (within(here.start), within(here.end)) {
            (Ok(start), Ok(end)) => self.last.get(start..end),
            _ => None,
        };
        let here = here.ok_or_else(|| {
            ReadError::internal(self.label, "the location of a head lies within its file")
        })?;
        let read = self.file.read(before.clone());
        let mut bytes = read.map_err(|e| ReadError::io(self.label, "read", e))?;
        bytes.extend_from_slice(here);
        self.bytes_read += before.end - before.start;
        Ok(bytes)
    }
}

/// All bytes of a file, in memory or mapped.
pub(super) fn whole(
    label: &FileLabel,
    file: &PositionedFile,
    access: Access,
) -> Result<Source, ReadError> {
    let len = file.len();
    if access == Access::Map && len >= MIN_MAPPED_LEN {
        return map(label, file).map(Source::Mapped);
    }
    let bytes = file.read(0..len).map_err(|e| ReadError::io(label, "read", e))?;
    Ok(Source::Memory(Box::new(bytes)))
}

fn map(label: &FileLabel, file: &PositionedFile) -> Result<Mapping, ReadError> {
    file.map().map_err(|error| ReadError::io(label, "map", error))
}
