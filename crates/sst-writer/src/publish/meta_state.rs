//! The part of a meta file that the publisher needs: all but filters and block headers.

use std::collections::{BTreeMap, BTreeSet, TryReserveError};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use sst_format::block::BLOCK_HEADER_LEN;
use sst_format::content_digest::FamilyCertificate;
use sst_format::file_name::{FileKind, FileName};
use sst_format::identity::CommitIdentity;
use sst_format::live::DescribesTables;
use sst_format::meta_file::{
    LengthsError, MAX_UNPROVEN_LEN, MetaFile, TableParts, TableRecord, check_lengths, no_head,
};
use sst_format::meta_head::{
    Area, CommitKind, Extension, HEAD_LOCATION_LEN, HashRange, HeadLocation, ListedMeta, MetaHead,
    MetaLimits, TABLE_DESCRIPTION_LEN,
};
use sst_format::own_number::{check_list, check_older, check_part};
use sst_format::protection::{BLOB_LEN, BlobRecord, LiveList};
use sst_format::{FormatError, SequenceNumber};

use crate::invariant::{BrokenInvariant, OrBroken};
use crate::{FileError, FileOperation, FileSystem, PublishError, StoredFile};

/// A live meta file of a commit.
///
/// It is the newest of the commit, describes at least one live table, or hides a description in an
/// older meta file.
#[derive(Clone, Debug)]
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
    /// A range that covers the hashes of all tables that it describes or names obsolete.
    pub(crate) hashes: HashRange,
    /// All tables that it describes, live or not, the oldest first.
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
#[derive(Clone, Debug)]
pub(crate) struct TableState {
    pub(crate) record: TableRecord,
    pub(crate) entry_count: u64,
    /// Length of its filter in bytes.
    pub(crate) filter_len: u64,
    /// Whether this description is live in the [`DirectoryState`] that holds the meta file.
    ///
    /// [`DirectoryState`]: crate::publish::directory_state::DirectoryState
    pub(crate) is_live: bool,
}

/// The blobs of the live tables of a meta file.
#[derive(Clone, Debug)]
pub(crate) struct LiveBlobs<'a> {
    /// Those of each live table.
    pub(crate) of_each: Vec<&'a [BlobRecord]>,
    /// Blobs to which any of the tables may refer, dead ones included.
    pub(crate) of_any: &'a [BlobRecord],
}

/// This many bytes about dead tables do not matter.
const DEAD_LEN: u64 = 2 << 10;

/// This many bytes about dead tables do not matter for each live table. With them, a head takes 64
/// bytes for each live table: FORMAT.md section 9 promises no more.
const DEAD_LEN_PER_LIVE_TABLE: u64 = 64 - DescriptionSize::TABLE;

impl DescribesTables for MetaState {
    type Description<'a> = &'a TableRecord;

    fn sequence(&self) -> SequenceNumber {
        self.sequence
    }

    fn obsolete(&self) -> impl Iterator<Item = SequenceNumber> {
        self.obsolete.iter().copied()
    }

    fn described(&self) -> impl Iterator<Item = (SequenceNumber, &TableRecord)> {
        self.tables.iter().map(|table| (table.record.sequence, &table.record))
    }
}

impl MetaState {
    /// The tables whose description in this meta file is live.
    pub(crate) fn live_tables(&self) -> impl Iterator<Item = &TableState> {
        self.tables.iter().filter(|table| table.is_live)
    }

    /// Whether its head has too many bytes about dead tables. `hides` tells whether it hides a
    /// description of a table: its other obsolete numbers say nothing any more.
    pub(crate) fn has_much_dead(&self, hides: impl Fn(SequenceNumber) -> bool) -> bool {
        let live = self.live_tables().count() as u64;
        let dead = self.tables.len() as u64 - live;
        let idle = self.obsolete.iter().filter(|table| !hides(**table)).count() as u64;
        DescriptionSize::TABLE * dead + 4 * idle > DEAD_LEN_PER_LIVE_TABLE * live + DEAD_LEN
    }

    /// The size of the descriptions of its live tables.
    pub(crate) fn live_size(&self) -> DescriptionSize {
        let sizes = self.live_tables().map(|table| (table.filter_len, table.record.block_count));
        DescriptionSize::of(sizes, self.blobs.len() as u64)
    }

    /// The blobs of its live tables, as far as it tells which tables refer to them.
    pub(crate) fn live_blobs(&self) -> Result<LiveBlobs<'_>, BrokenInvariant> {
        const COUNTED: &str = "the blobs of tables are no more than all blobs of their meta file";
        let mut rest = self.blobs.as_slice();
        let mut of_table = |index: usize| match &self.blob_counts {
            Some(counts) => {
                let count = counts.get(index).or_broken(COUNTED)?;
                let count = usize::try_from(*count).or_broken(COUNTED)?;
                let (own, others) = rest.split_at_checked(count).or_broken(COUNTED)?;
                rest = others;
                Ok(own)
            }
            // All blobs of a meta file of one table are those of the table.
            None if self.tables.len() == 1 => Ok(std::mem::take(&mut rest)),
            None => Ok(&[][..]),
        };
        let mut of_each = Vec::new();
        for (index, table) in self.tables.iter().enumerate() {
            let own = of_table(index)?;
            if table.is_live {
                of_each.push(own);
            }
        }
        Ok(LiveBlobs { of_each, of_any: rest })
    }

    /// The length of the files of blobs to which only its dead tables refer, in bytes.
    pub(crate) fn dead_blob_len(&self) -> Result<u64, BrokenInvariant> {
        if self.blobs.is_empty() || self.tables.iter().all(|table| table.is_live) {
            return Ok(0);
        }
        let LiveBlobs { of_each, of_any } = self.live_blobs()?;
        let live = of_each.into_iter().flatten().chain(of_any);
        let live: BTreeSet<_> = live.map(|blob| blob.number).collect();
        let dead = self.blobs.iter().filter(|blob| !live.contains(&blob.number));
        let dead: BTreeMap<_, _> = dead.map(|blob| (blob.number, blob.file_size)).collect();
        Ok(dead.into_values().sum())
    }

    /// Its record in the list of a newer meta file.
    pub(crate) const fn listed(&self) -> ListedMeta {
        let Self { sequence, checksum, family, hashes, .. } = *self;
        ListedMeta { sequence, checksum, family, hashes }
    }

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
        let file = MetaReader::open(file_system, &path)?;
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
            Ok(TableState::new(record, protection.entry_count, filter.len() as u64))
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
    const TABLE: u64 = TABLE_DESCRIPTION_LEN as u64 + 4;
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

impl TableState {
    pub(crate) const fn new(record: TableRecord, entry_count: u64, filter_len: u64) -> Self {
        // Counts as live until the meta file becomes part of a directory's state.
        Self { record, entry_count, filter_len, is_live: true }
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
        if self.len <= MAX_UNPROVEN_LEN {
            return Ok(());
        }
        match check_lengths(self.len, |range| self.read(range)) {
            Ok(false) => Ok(()),
            Ok(true) => Err(self.damage(no_head())),
            Err(LengthsError::Format(error)) => Err(self.damage(error)),
            Err(LengthsError::Read(error)) => Err(error.into()),
        }
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
        let tables = head
            .tables()
            .map(|table| TableState::new(table.record, table.entry_count, table.filter.len()));
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
            tables: tables.collect(),
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
