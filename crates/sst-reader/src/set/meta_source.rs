//! The bytes of a meta file, of which those are read that are used.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sst_format::FormatError;
use sst_format::filter::FilterBytes;
use sst_format::meta_file::check_whole;
use sst_format::meta_head::Area;

use super::meta_opening::whole;
use crate::block::source::{FileIdentity, Files, Source};
use crate::block::triage::wrong_area;
use crate::{FileLabel, ReadError, Slice};

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

impl MetaSource {
    /// A meta file of which `bytes_read` bytes have been read already.
    pub(super) fn new(
        label: &FileLabel,
        identity: FileIdentity,
        source: Source,
        bytes_read: u64,
    ) -> Self {
        Self {
            label: label.clone(),
            identity,
            source: Arc::new(source),
            bytes_read: AtomicU64::new(bytes_read),
        }
    }

    /// A meta file that is in no file yet.
    pub(super) fn of_bytes(label: &FileLabel, bytes: Vec<u8>) -> Self {
        Self::new(label, FileIdentity::default(), Source::Memory(Box::new(bytes)), 0)
    }

    /// Fails if the file is too long to be read whole for the sake of a better error, and its
    /// lengths contradict each other or it has a head. `head` is the error of that head.
    pub(super) fn check_whole(&self, head: Option<FormatError>) -> Result<(), ReadError> {
        let corrupt = |error| ReadError::corrupt(&self.label, error);
        check_whole(self.identity.len, head, |range| self.bytes(range), corrupt)
    }

    /// The same file with all of it in memory or mapped, and its bytes.
    pub(super) fn into_whole(mut self, files: &Files) -> Result<(Self, Slice<'static>), ReadError> {
        if let Source::Positioned(file) = &*self.source {
            self.bytes_read.fetch_add(file.len(), Ordering::Relaxed);
            self.source = Arc::new(whole(&self.label, file, files.access(self.label.path()))?);
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
