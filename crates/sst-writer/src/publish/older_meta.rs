//! A meta file whose live tables a commit describes again.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};

use sst_format::meta_file::{MetaFile, ProtectedParts, TableParts, TableRecord};
use sst_format::meta_head::{Area, HeadTable, MetaHead};
use sst_format::{FormatError, Structure};

use crate::invariant::{BrokenInvariant, OrBroken};
use crate::publish::commit_meta::CommitMeta;
use crate::publish::meta_state::{MetaReader, meta_path};
use crate::{FileSystem, PublishError};

/// Length of the pieces in which meta files are read and written, in bytes.
pub(crate) const PIECE_LEN: usize = 256 << 10;

/// The invariant of describing the tables of a meta file again.
const WHOLE: &str = "a meta file that was verified describes all tables that its state has";

/// A meta file whose live tables a commit describes again. Filters and block headers stay where
/// they are until they are copied.
#[derive(Debug)]
pub(crate) struct OlderMeta<'b> {
    bytes: MetaBytes<'b>,
    path: PathBuf,
    /// Its live tables, the oldest first.
    tables: Vec<OlderTable>,
}

/// A table as a meta file describes it, with the places of its filter and its block headers.
#[derive(Clone, Debug)]
pub(crate) struct OlderTable {
    pub(crate) record: TableRecord,
    pub(crate) entry_count: u64,
    pub(crate) filter: Area,
    pub(crate) headers: Area,
}

#[derive(Debug)]
enum MetaBytes<'b> {
    /// A file of version 3, of which only the head was read.
    File(MetaReader),
    Memory(Cow<'b, [u8]>),
}

impl OlderMeta<'static> {
    /// Opens a meta file of the directory, which must still be the one with this state. Of version
    /// 3 it reads the head, of older versions the whole file.
    pub(crate) fn open(
        file_system: &dyn FileSystem,
        directory: &Path,
        state: &CommitMeta,
    ) -> Result<Self, PublishError> {
        let path = meta_path(directory, state.sequence);
        let file = MetaReader::open(file_system, &path)?;
        let with_head = |head: &MetaHead<'_>, _: &[u8]| {
            (head.checksum(), head.tables().map(OlderTable::from).collect::<Vec<_>>())
        };
        match file.with_head(with_head)? {
            Some((checksum, tables)) => {
                Self::new(MetaBytes::File(file), path, state, checksum, tables)
            }
            None => {
                let bytes = file.read(0..file.len)?;
                OlderMeta::of_bytes(bytes, directory, state)
            }
        }
    }
}

impl<'b> OlderMeta<'b> {
    /// A meta file of which all bytes are in memory.
    pub(crate) fn of_bytes(
        bytes: impl Into<Cow<'b, [u8]>>,
        directory: &Path,
        state: &CommitMeta,
    ) -> Result<Self, PublishError> {
        let bytes = bytes.into();
        let path = meta_path(directory, state.sequence);
        let damage = |source| PublishError::Format { path: path.clone(), source };
        let file = MetaFile::parse(&bytes, crc32fast::hash).map_err(damage)?;
        let checksum = file.protection().or_broken(WHOLE)?.checksum();
        let tables = file.described().map_err(damage)?.into_iter();
        let tables = tables.map(|table| OlderTable::in_memory(table, &bytes));
        let tables = tables.collect::<Result<_, BrokenInvariant>>()?;
        Self::new(MetaBytes::Memory(bytes), path, state, checksum, tables)
    }

    fn new(
        bytes: MetaBytes<'b>,
        path: PathBuf,
        state: &CommitMeta,
        checksum: u32,
        tables: Vec<OlderTable>,
    ) -> Result<Self, PublishError> {
        if checksum != state.checksum {
            return Err(PublishError::Changed { path });
        }
        // A table that is left out here is lost: its meta file becomes obsolete.
        (tables.len() == state.tables.len()).then_some(()).or_broken(WHOLE)?;
        let mut live = state.live_indices().peekable();
        let tables = tables.into_iter().enumerate();
        let tables = tables.filter(|(index, _)| live.next_if_eq(index).is_some());
        Ok(Self { bytes, path, tables: tables.map(|(_, table)| table).collect() })
    }

    /// Its live tables, the oldest first.
    pub(crate) fn tables(&self) -> &[OlderTable] {
        &self.tables
    }

    /// Passes the bytes of an area on in pieces. Fails after the last piece if their checksum is
    /// not the one that the area has.
    pub(crate) fn copy(
        &self,
        area: &Area,
        out: &mut dyn FnMut(&[u8]) -> Result<(), PublishError>,
    ) -> Result<(), PublishError> {
        let mut hasher = crc32fast::Hasher::new();
        let mut rest = area.range();
        while !rest.is_empty() {
            let end = rest.end.min(rest.start + PIECE_LEN as u64);
            let piece = self.read(rest.start..end)?;
            hasher.update(&piece);
            out(&piece)?;
            rest.start = end;
        }
        let (structure, stored, computed) = (area.structure(), area.checksum(), hasher.finalize());
        if stored != computed {
            let source = FormatError::ChecksumMismatch { structure, stored, computed };
            return Err(PublishError::Format { path: self.path.clone(), source });
        }
        Ok(())
    }

    fn read(&self, range: Range<u64>) -> Result<Cow<'_, [u8]>, PublishError> {
        match &self.bytes {
            MetaBytes::File(file) => Ok(file.read(range)?.into()),
            MetaBytes::Memory(bytes) => {
                let (start, end) = (usize::try_from(range.start), usize::try_from(range.end));
                let range = start.ok().zip(end.ok()).map(|(start, end)| start..end);
                let part = range.and_then(|range| bytes.get(range));
                Ok(part.or_broken("areas of a meta file lie within it")?.into())
            }
        }
    }
}

impl From<HeadTable> for OlderTable {
    fn from(table: HeadTable) -> Self {
        let HeadTable { record, entry_count, filter, headers } = table;
        Self { record, entry_count, filter, headers }
    }
}

impl OlderTable {
    /// A table of a meta file of any version that was verified as a whole.
    fn in_memory(table: TableParts, bytes: &[u8]) -> Result<Self, BrokenInvariant> {
        let TableParts { record, filter, protection } = table;
        let ProtectedParts { entry_count, block_headers } = protection.or_broken(WHOLE)?;
        let area = |structure, range: Range<usize>| {
            let checksum = crc32fast::hash(bytes.get(range.clone()).or_broken(WHOLE)?);
            Ok(Area::new(structure, range.start as u64..range.end as u64, checksum))
        };
        Ok(Self {
            record,
            entry_count,
            filter: area(Structure::Filter, filter)?,
            headers: area(Structure::BlockHeaders, block_headers)?,
        })
    }
}
