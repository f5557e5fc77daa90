//! The part of a meta file that the publisher needs: all but filters and block headers.

use std::collections::TryReserveError;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use sst_format::block::BLOCK_HEADER_LEN;
use sst_format::content_digest::FamilyCertificate;
use sst_format::file_name::{FileKind, FileName};
use sst_format::identity::CommitIdentity;
use sst_format::meta_file::{MetaFile, TableParts, TableRecord, check_whole};
use sst_format::meta_head::{
    Area, CommitKind, Extension, HEAD_LOCATION_LEN, HashRange, HeadLocation, HeadTable, ListedMeta,
    MetaHead, MetaLimits, TABLE_DESCRIPTION_LEN,
};
use sst_format::own_number::{check_list, check_older, check_part};
use sst_format::protection::{BLOB_LEN, BlobRecord, LiveList};
use sst_format::{FormatError, SequenceNumber};

use crate::invariant::{BrokenInvariant, OrBroken};
use crate::{FileError, FileOperation, FileSystem, PublishError, StoredFile};

/// A meta file, whatever commit it belongs to.
#[derive(Debug)]
pub(crate) struct MetaState {
    pub(crate) sequence: SequenceNumber,
    /// The checksum in its trailer.
    pub(crate) checksum: u32,
    /// The identity of the commit whose newest meta file it is. `None` if it is not in a directory
    /// but in a bucket, whose reader knows it.
    pub(crate) identity: Option<CommitIdentity>,
    pub(crate) family: u32,
    /// The kind of its commit; `None` before version 3, which does not store it.
    pub(crate) kind: Option<CommitKind>,
    /// The newest meta file of its commit: this one, unless this one is a part.
    pub(crate) commit: SequenceNumber,
    /// A range that covers the hashes of all tables that it describes or names obsolete: the one in
    /// its own list, and the full range for a part, which has no list.
    pub(crate) hashes: HashRange,
    /// All tables that it describes, the oldest first.
    pub(crate) tables: Vec<TableState>,
    /// The blobs to which its tables refer, perhaps more.
    pub(crate) blobs: Vec<BlobRecord>,
    /// How many of these blobs belong to each table, in order. The rest may belong to any. `None`
    /// if the meta file does not state it.
    pub(crate) blob_counts: Option<Vec<u32>>,
    pub(crate) obsolete: Vec<SequenceNumber>,
    pub(crate) certificates: Vec<FamilyCertificate>,
    /// The meta files that were live as of its commit. Empty in a part.
    pub(crate) live_metas: LiveList,
    /// The commits before its own, and the shard that the directory holds.
    pub(crate) extension: Extension,
}

/// A table as one meta file describes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableState {
    pub(crate) record: TableRecord,
    pub(crate) entry_count: u64,
    /// Length of its filter in bytes.
    pub(crate) filter_len: u64,
}

impl MetaState {
    /// Reads a protected meta file; one of the original's is an error.
    ///
    /// Of version 3 it reads and verifies the head and the two lists, of older versions the whole
    /// file.
    pub(crate) fn load(
        file_system: &dyn FileSystem,
        directory: &Path,
        sequence: SequenceNumber,
    ) -> Result<Self, PublishError> {
        let path = meta_path(directory, sequence);
        let file = match MetaReader::open(file_system, &path) {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => {
                return Err(PublishError::MissingMeta { path });
            }
            file => file?,
        };
        let state = match file.head(sequence)? {
            Some(state) => state,
            None => {
                file.check_whole()?;
                Self::parse(&file.read(0..file.len)?, sequence, &path)?
            }
        };
        match state.check_number() {
            Ok(()) => Ok(state),
            Err(source) => Err(PublishError::Format { path, source }),
        }
    }

    /// Checks what it says against its own number.
    fn check_number(&self) -> Result<(), FormatError> {
        let own = self.sequence;
        check_older(own, self.tables.iter().map(|table| table.record.sequence.0))?;
        check_older(own, self.blobs.iter().map(|blob| blob.number.0))?;
        if self.commit == own {
            return check_list(own, self.live_metas.metas());
        }
        check_part(own, self.commit, self.live_metas.is_empty() && self.certificates.is_empty())
    }

    /// Parses and verifies a whole protected meta file.
    pub(crate) fn parse(
        bytes: &[u8],
        sequence: SequenceNumber,
        path: &Path,
    ) -> Result<Self, PublishError> {
        let damage = |source| PublishError::Format { path: path.to_owned(), source };
        let meta = MetaFile::parse(bytes, crc32fast::hash).map_err(damage)?;
        let Some(protection) = meta.protection() else {
            return Err(PublishError::Unprotected { path: path.to_owned() });
        };
        let table = |TableParts { record, filter, protection }| {
            let protection =
                protection.or_broken("a protected meta file has a section for each table")?;
            let (entry_count, filter_len) = (protection.entry_count, filter.len() as u64);
            Ok(TableState { record, entry_count, filter_len })
        };
        let tables = meta.described().map_err(damage)?.into_iter().map(table);
        let family = meta.family();
        let head = protection.head();
        // Older versions have no extension.
        let extension = head
            .map_or_else(|| Ok(Extension::default()), |head| Extension::parse(head.extension()));
        let state = Self {
            sequence,
            checksum: protection.checksum(),
            identity: Some(CommitIdentity::of_last_bytes(sequence, bytes).map_err(damage)?),
            family,
            kind: head.map(MetaHead::kind),
            commit: head.map_or(sequence, MetaHead::commit),
            hashes: HashRange::FULL,
            tables: tables.collect::<Result<_, BrokenInvariant>>()?,
            blobs: protection.blobs().collect(),
            blob_counts: head.and_then(|head| Some(head.blob_counts()?.collect())),
            obsolete: meta.obsolete().collect(),
            certificates: protection.certificates().collect(),
            live_metas: LiveList::of(protection),
            extension: extension.map_err(damage)?,
        };
        Ok(state.with_own_hashes())
    }

    /// Sets its range of hashes from its own list. A part has no list, so its range is full.
    fn with_own_hashes(mut self) -> Self {
        let own = self.live_metas.record(self.sequence);
        self.hashes = own.map_or(HashRange::FULL, |own| own.hashes);
        self
    }
}

/// The size of descriptions of tables in a meta file, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DescriptionSize {
    filters: u64,
    headers: u64,
    blobs: u64,
    records: u64,
}

impl DescriptionSize {
    /// Approximate length of a meta file without tables.
    const META_FILE: u64 = 128;
    /// Length of the description of a table without filter and block headers, and of its number of
    /// blobs.
    pub(crate) const TABLE: u64 = TABLE_DESCRIPTION_LEN as u64 + 4;
    /// Length of the record of a blob.
    const BLOB: u64 = BLOB_LEN as u64;

    /// The size for tables with these lengths of filters and numbers of blocks, and for this number
    /// of blobs.
    pub(crate) fn of(tables: impl Iterator<Item = (u64, u16)>, blobs: u64) -> Self {
        let none = Self { blobs: blobs * Self::BLOB, ..Self::default() };
        tables.fold(none, |sum, (filter_len, block_count)| Self {
            filters: sum.filters + filter_len,
            headers: sum.headers + u64::from(block_count) * BLOCK_HEADER_LEN as u64,
            records: sum.records + Self::TABLE,
            ..sum
        })
    }

    pub(crate) const fn with(self, other: Self) -> Self {
        Self {
            filters: self.filters + other.filters,
            headers: self.headers + other.headers,
            blobs: self.blobs + other.blobs,
            records: self.records + other.records,
        }
    }

    /// The approximate length of a meta file with these descriptions.
    pub(crate) const fn file_len(self) -> u64 {
        Self::META_FILE + self.filters + self.headers + self.blobs + self.records
    }

    /// Whether one meta file has room for them.
    pub(crate) const fn fits(self, limits: &MetaLimits) -> bool {
        self.filters <= limits.filter_bytes
            && self.headers <= limits.header_bytes
            && self.blobs <= limits.blob_bytes
            && self.records <= limits.record_bytes
    }
}

impl From<HeadTable> for TableState {
    fn from(table: HeadTable) -> Self {
        let HeadTable { record, entry_count, filter, .. } = table;
        Self { record, entry_count, filter_len: filter.len() }
    }
}

/// A file that is open for reading.
#[derive(Debug)]
pub(crate) struct MetaReader {
    file: Box<dyn StoredFile>,
    /// Its length in bytes.
    pub(crate) len: u64,
    path: PathBuf,
}

impl MetaReader {
    pub(crate) fn open(file_system: &dyn FileSystem, path: &Path) -> Result<Self, FileError> {
        let error = |error| FileError::at(path, FileOperation::Read)(error);
        let file = file_system.open(path).map_err(error)?;
        let len = file.file_size().map_err(error)?;
        Ok(Self { file, len, path: path.to_owned() })
    }

    /// Reads a range of the file.
    pub(crate) fn read(&self, range: Range<u64>) -> Result<Vec<u8>, FileError> {
        let error = |error| FileError::at(&self.path, FileOperation::Read)(error);
        let mut bytes = room_for(range.end - range.start).map_err(error)?;
        self.file.read_exact_at(&mut bytes, range.start).map_err(error)?;
        Ok(bytes)
    }

    /// Reads the last `len` bytes of the file, or all of a shorter file.
    pub(crate) fn last_bytes(&self, len: usize) -> Result<Vec<u8>, FileError> {
        // A shorter file is read from byte 0.
        self.read(self.len.saturating_sub(len as u64)..self.len)
    }

    /// Fails if the file is too long to be read whole for the sake of a better error, and its
    /// lengths contradict each other or it has a head, which then is damaged.
    fn check_whole(&self) -> Result<(), PublishError> {
        check_whole(self.len, None, |range| Ok(self.read(range)?), |error| self.damage(error))
    }

    /// Reads an area, and verifies it.
    fn area(&self, area: &Area) -> Result<Vec<u8>, PublishError> {
        let bytes = self.read(area.range())?;
        area.verify(&bytes, crc32fast::hash).map_err(|source| self.damage(source))?;
        Ok(bytes)
    }

    fn damage(&self, source: FormatError) -> PublishError {
        PublishError::Format { path: self.path.clone(), source }
    }

    /// Reads the head, and passes it on with the last bytes of the file. `None` if the file has no
    /// valid head, and so must be read whole.
    pub(crate) fn with_head<T>(
        &self,
        take: impl FnOnce(&MetaHead<'_>, &[u8]) -> T,
    ) -> Result<Option<T>, PublishError> {
        let last_bytes = self.last_bytes(HEAD_LOCATION_LEN)?;
        let Some(location) = HeadLocation::parse(&last_bytes, self.len) else {
            return Ok(None);
        };
        let (start, end) = (self.read(location.start_range())?, self.read(location.end_range())?);
        // Reading the whole file tells the kinds of damage apart.
        let head = MetaHead::parse(&start, &end, self.len, crc32fast::hash).ok();
        Ok(head.map(|head| take(&head, &last_bytes)))
    }

    /// Reads the head and the two lists. `None` if the file must be read whole.
    fn head(&self, sequence: SequenceNumber) -> Result<Option<MetaState>, PublishError> {
        let state = |head: &MetaHead<'_>, last_bytes: &[u8]| self.state(sequence, head, last_bytes);
        self.with_head(state)?.transpose()
    }

    fn state(
        &self,
        sequence: SequenceNumber,
        head: &MetaHead<'_>,
        last_bytes: &[u8],
    ) -> Result<MetaState, PublishError> {
        let blobs = self.area(&head.blobs())?;
        let blobs = BlobRecord::parse_list(&blobs).map_err(|source| self.damage(source))?;
        let listed = self.area(&head.live_metas())?;
        let live_metas = ListedMeta::parse_list(&listed).map_err(|source| self.damage(source))?;
        let identity = CommitIdentity::of_last_bytes(sequence, last_bytes);
        let extension = Extension::parse(head.extension());
        let state = MetaState {
            sequence,
            checksum: head.checksum(),
            identity: Some(identity.map_err(|source| self.damage(source))?),
            family: head.family(),
            kind: Some(head.kind()),
            commit: head.commit(),
            hashes: HashRange::FULL,
            tables: head.tables().map(TableState::from).collect(),
            blobs: blobs.collect(),
            blob_counts: head.blob_counts().map(Iterator::collect),
            obsolete: head.obsolete().collect(),
            certificates: head.certificates().collect(),
            live_metas: LiveList::Records(live_metas),
            extension: extension.map_err(|source| self.damage(source))?,
        };
        Ok(state.with_own_hashes())
    }
}

/// A buffer of `len` bytes, which may be more than the system has.
fn room_for(len: u64) -> io::Result<Vec<u8>> {
    let out_of_memory = |_: TryReserveError| io::Error::from(io::ErrorKind::OutOfMemory);
    let len = usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(out_of_memory)?;
    bytes.resize(len, 0);
    Ok(bytes)
}

/// The path of a meta file.
pub(crate) fn meta_path(directory: &Path, sequence: SequenceNumber) -> PathBuf {
    directory.join(FileName { sequence, kind: FileKind::Meta }.to_string())
}
