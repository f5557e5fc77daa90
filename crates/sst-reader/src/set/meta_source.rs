//! The bytes of a meta file, of which those are read that are used.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sst_format::filter::FilterBytes;
use sst_format::meta_head::{Area, HEAD_LOCATION_LEN, HeadLocation};

use crate::block::memory::Mapping;
use crate::block::source::{FileIdentity, Files, PositionedFile, Source};
use crate::block::triage::wrong_area;
use crate::{Access, Corruption, FileLabel, ReadError, Slice};

/// Meta files without a head below this many bytes are read rather than mapped: a map costs a few
/// pages and system calls.
const MIN_MAPPED_LEN: u64 = 64 << 10;

/// How many bytes at the end of a meta file are read first. They hold the location of the head, of
/// a small meta file all of it, and of a larger one bytes that need not be used: so few that
/// opening a set of a hundred meta files reads less than 64 KiB of them.
const FIRST_READ_LEN: u64 = 512;

const _: () = assert!(FIRST_READ_LEN > HEAD_LOCATION_LEN as u64, "the first read has the location");

/// An open meta file. It stays open as long as a table may need its filter or its block headers.
pub(super) struct MetaSource {
    pub(super) label: FileLabel,
    pub(super) identity: FileIdentity,
    source: Arc<Source>,
    /// How many bytes have been asked for.
    bytes_read: AtomicU64,
}

/// A range of a meta file, found but perhaps not read yet.
#[derive(Clone, Debug)]
pub(super) enum MetaRange {
    /// In memory, and covered by a checksum that was right, if the file has one.
    Held(Range<usize>),
    /// Verified when it is read.
    Area(Area),
}

impl MetaRange {
    /// Its length in bytes.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Held(range) => range.len() as u64,
            Self::Area(area) => area.len(),
        }
    }
}

/// The two ends of a meta file that make its head.
pub(super) struct HeadBytes {
    pub(super) start: Vec<u8>,
    pub(super) end: Vec<u8>,
}

impl MetaSource {
    /// Opens a meta file and reads its head; `None` in place of the head if it seems to have none.
    pub(super) fn open(
        label: &FileLabel,
        files: &Files,
    ) -> Result<(Self, Option<HeadBytes>), ReadError> {
        let (file, identity) = files.open(label.path()).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ReadError::corrupt(label, Corruption::Missing),
            _ => ReadError::io(label, "open", error),
        })?;
        let read_error = |error| ReadError::io(label, "read", error);
        let (len, access) = (file.len(), files.access(label.path()));
        let last_start = len.saturating_sub(FIRST_READ_LEN);
        let last = file.read(last_start..len).map_err(read_error)?;
        let mut opened = Self::of(label, identity.clone(), Source::Memory(Box::new([])));
        opened.bytes_read = AtomicU64::new(last.len() as u64);
        let location = HeadLocation::parse(&last, len);
        let Some(location) = location else {
            opened.source = Arc::new(match last_start {
                0 => Source::Memory(Box::new(last)),
                _ => opened.whole(&file, access)?,
            });
            return Ok((opened, None));
        };
        let end = location.end_range();
        // The part of the end that the first read has not brought.
        let before = end.start.min(last_start)..last_start;
        let known = end.start.saturating_sub(last_start);
        let known = usize::try_from(known).ok().and_then(|at| last.get(at..));
        let known = known.ok_or_else(|| ReadError::internal(label, "a head ends with its file"))?;
        opened.source = Arc::new(match last_start {
            0 => Source::Memory(Box::new(last.clone())),
            _ => Source::Positioned(file),
        });
        let mut end = opened.bytes(before)?;
        end.extend_from_slice(known);
        let start = opened.bytes(location.start_range())?;
        // The head was read, not touched in a map: a fault would read the pages around it, too.
        let source = Arc::into_inner(opened.source)
            .ok_or_else(|| ReadError::internal(label, "nothing shares a file being opened"))?;
        opened.source = Arc::new(match (access, source) {
            (Access::Map, Source::Positioned(file)) => Source::Mapped(map(label, &file)?),
            (Access::Read, Source::Positioned(file)) => {
                Source::Positioned(file.pooled(label, &identity))
            }
            (_, source) => source,
        });
        Ok((opened, Some(HeadBytes { start, end })))
    }

    /// A meta file that is in no file yet.
    pub(super) fn of_bytes(label: FileLabel, bytes: Vec<u8>) -> Self {
        let identity = FileIdentity::default();
        let source = Arc::new(Source::Memory(Box::new(bytes)));
        Self { label, identity, source, bytes_read: AtomicU64::new(0) }
    }

    fn of(label: &FileLabel, identity: FileIdentity, source: Source) -> Self {
        Self {
            label: label.clone(),
            identity,
            source: Arc::new(source),
            bytes_read: AtomicU64::new(0),
        }
    }

    /// All bytes of a file.
    fn whole(&self, file: &PositionedFile, access: Access) -> Result<Source, ReadError> {
        let len = file.len();
        self.bytes_read.fetch_add(len, Ordering::Relaxed);
        if access == Access::Map && len >= MIN_MAPPED_LEN {
            return map(&self.label, file).map(Source::Mapped);
        }
        let bytes = file.read(0..len).map_err(|e| ReadError::io(&self.label, "read", e))?;
        Ok(Source::Memory(Box::new(bytes)))
    }

    /// The same file with all of it in memory or mapped, and its bytes.
    pub(super) fn into_whole(mut self, files: &Files) -> Result<(Self, Slice<'static>), ReadError> {
        let access = files.access(self.label.path());
        if let Source::Positioned(file) = &*self.source {
            self.source = Arc::new(self.whole(file, access)?);
        }
        let bytes = Slice::of_source(Arc::clone(&self.source), Source::as_slice);
        let bytes = bytes
            .ok_or_else(|| ReadError::internal(&self.label, "a file read whole is in memory"))?;
        Ok((self, bytes))
    }

    /// How many of its bytes have been asked for so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Counts bytes that are asked for. Those of a small file were counted when it was read.
    fn count(&self, range: &Range<u64>) {
        if !matches!(*self.source, Source::Memory(_)) {
            self.bytes_read.fetch_add(range.end.saturating_sub(range.start), Ordering::Relaxed);
        }
    }

    /// Some bytes of the file.
    fn bytes(&self, range: Range<u64>) -> Result<Vec<u8>, ReadError> {
        self.count(&range);
        let bytes = match &*self.source {
            Source::Positioned(file) => file.read(range),
            source => source.bytes(range, &mut Vec::new()).and_then(|bytes| {
                let mut copy = Vec::new();
                copy.try_reserve_exact(bytes.len())?;
                copy.extend_from_slice(bytes);
                Ok(copy)
            }),
        };
        bytes.map_err(|error| ReadError::io(&self.label, "read", error))
    }

    /// The bytes of a part, verified. Not copied if the file is in memory.
    pub(super) fn part(&self, part: &MetaRange) -> Result<FilterBytes, ReadError> {
        let area = match part {
            MetaRange::Held(range) => return self.in_memory(Some(range.clone())),
            MetaRange::Area(area) => area,
        };
        let bytes = if self.source.as_slice().is_some() {
            self.count(&area.range());
            let (start, end) = (area.range().start, area.range().end);
            let (start, end) = (usize::try_from(start), usize::try_from(end));
            self.in_memory(start.ok().zip(end.ok()).map(|(start, end)| start..end))?
        } else {
            FilterBytes::new(self.bytes(area.range())?)
        };
        area.verify(bytes.as_slice(), crc32fast::hash).map_err(|error| {
            let cause = wrong_area(&self.label, area.range().start, bytes.as_slice(), error);
            ReadError::corrupt(&self.label, cause)
        })?;
        Ok(bytes)
    }

    /// A part of the bytes in memory, without a copy. `None` stands for a range beyond `usize`.
    fn in_memory(&self, range: Option<Range<usize>>) -> Result<FilterBytes, ReadError> {
        let part =
            Slice::of_source(Arc::clone(&self.source), |source| source.as_slice()?.get(range?));
        let not_within = || ReadError::internal(&self.label, "parsed ranges lie within their file");
        part.map(FilterBytes::new).ok_or_else(not_within)
    }
}

fn map(label: &FileLabel, file: &PositionedFile) -> Result<Mapping, ReadError> {
    file.map().map_err(|error| ReadError::io(label, "map", error))
}
