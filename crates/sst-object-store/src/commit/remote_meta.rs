//! A meta file in a store.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use sst_format::content_digest::FamilyCertificate;
use sst_format::file_name::{FileKind, FileName};
use sst_format::identity::{CommitIdentity, TableIdentity};
use sst_format::live::DescribesTables;
use sst_format::meta_file::{MetaFile, ProtectedParts, TableParts, TableRecord};
use sst_format::meta_head::{
    Area, CommitKind, Extension, HEAD_LOCATION_LEN, HashRange, HeadLocation, ListedMeta, MetaHead,
    Shard,
};
use sst_format::protection::{BlobRecord, LiveList, TRAILER_LEN, Trailer};
use sst_format::{FormatError, SequenceNumber};

use super::object_reader::ObjectReader;
use crate::{Store, StoreError};

/// The head of a meta file, and its lists.
#[derive(Debug)]
pub(crate) struct RemoteMeta {
    pub(crate) sequence: SequenceNumber,
    /// Its length in bytes.
    pub(crate) len: u64,
    /// The checksum in its trailer.
    pub(crate) checksum: u32,
    /// The identity of the commit whose newest meta file it is.
    pub(crate) identity: CommitIdentity,
    pub(crate) family: u32,
    /// The kind of its commit; `None` before version 3, which does not store it.
    pub(crate) kind: Option<CommitKind>,
    /// The newest meta file of its commit: this one, unless this one is a part.
    pub(crate) commit: SequenceNumber,
    pub(crate) blobs: Vec<BlobRecord>,
    /// How many of these blobs belong to each table, if the meta file states it.
    pub(crate) blob_counts: Option<Vec<u32>>,
    pub(crate) certificates: Vec<FamilyCertificate>,
    /// The meta files that were live as of its commit. Empty in a part.
    pub(crate) live_metas: LiveList,
    pub(crate) obsolete: Vec<SequenceNumber>,
    pub(crate) tables: Vec<RemoteTable>,
    /// The commits before its own, and the shard that the place holds.
    pub(crate) extension: Extension,
    reader: ObjectReader,
}

/// A table as one meta file describes it.
#[derive(Clone, Debug)]
pub(crate) struct RemoteTable {
    pub(crate) record: TableRecord,
    pub(crate) identity: TableIdentity,
    pub(crate) entry_count: u64,
    /// Length of its filter in bytes.
    pub(crate) filter_len: u64,
    /// Its filter; empty if it has none.
    pub(crate) filter: Part,
    /// The copies of the headers of its blocks, 8 bytes each.
    pub(crate) headers: Part,
}

impl RemoteTable {
    /// The hashes between its first and its last entry.
    pub(crate) const fn hashes(&self) -> HashRange {
        HashRange { min: self.record.min_hash, max: self.record.max_hash }
    }
}

/// A part of a meta file that belongs to one table.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// In an area of the meta file, which is read and verified when it is needed.
    Area(Area),
    /// Of a meta file that was read whole.
    Held(Bytes),
}

/// A shared meta file.
#[derive(Clone, Debug)]
pub(crate) struct SharedMeta(Arc<RemoteMeta>);

impl SharedMeta {
    pub(crate) fn new(meta: RemoteMeta) -> Self {
        Self(Arc::new(meta))
    }
}

impl Deref for SharedMeta {
    type Target = RemoteMeta;

    fn deref(&self) -> &RemoteMeta {
        &self.0
    }
}

impl DescribesTables for SharedMeta {
    type Description<'a> = &'a RemoteTable;

    fn sequence(&self) -> SequenceNumber {
        self.sequence
    }

    fn obsolete(&self) -> impl Iterator<Item = SequenceNumber> {
        self.obsolete.iter().copied()
    }

    fn described(&self) -> impl Iterator<Item = (SequenceNumber, &RemoteTable)> {
        self.tables.iter().map(|table| (table.record.sequence, table))
    }
}

/// Longest meta file without our trailer that is read, in bytes: only to name it in an error.
const MAX_UNPROTECTED_LEN: u64 = 64 << 20;

impl RemoteMeta {
    /// Reads a protected meta file: of version 3 the head and the lists, of older versions all.
    pub(crate) async fn read(store: &Store, sequence: SequenceNumber) -> Result<Self, StoreError> {
        let name = FileName { sequence, kind: FileKind::Meta }.to_string();
        let reader = ObjectReader::open(store, name).await?;
        let last_bytes = reader.last_bytes(HEAD_LOCATION_LEN).await?;
        let Some(location) = HeadLocation::parse(&last_bytes, reader.len()) else {
            return Self::read_whole(reader, sequence).await;
        };
        let start = reader.read(location.start_range()).await?;
        let end = reader.read(location.end_range()).await?;
        let Ok(head) = MetaHead::parse(&start, &end, reader.len(), crc32fast::hash) else {
            // Reading all of it tells the kinds of damage apart.
            return Self::read_whole(reader, sequence).await;
        };
        let damaged = |source| StoreError::format(reader.object(), source);
        let blobs = read_area(&reader, &head.blobs()).await?;
        let blobs = BlobRecord::parse_list(&blobs).map_err(damaged)?;
        let listed = read_area(&reader, &head.live_metas()).await?;
        let listed = ListedMeta::parse_list(&listed).map_err(damaged)?;
        let tables = head.tables().map(|table| RemoteTable {
            record: table.record,
            identity: identity(&table.record, table.entry_count, table.headers.checksum()),
            entry_count: table.entry_count,
            filter_len: table.filter.len(),
            filter: Part::Area(table.filter),
            headers: Part::Area(table.headers),
        });
        Ok(Self {
            sequence,
            len: reader.len(),
            checksum: head.checksum(),
            identity: CommitIdentity::of_last_bytes(sequence, &last_bytes).map_err(damaged)?,
            family: head.family(),
            kind: Some(head.kind()),
            commit: head.commit(),
            blobs: blobs.collect(),
            blob_counts: head.blob_counts().map(Iterator::collect),
            certificates: head.certificates().collect(),
            live_metas: LiveList::Records(listed),
            obsolete: head.obsolete().collect(),
            tables: tables.collect(),
            extension: Extension::parse(head.extension()).map_err(damaged)?,
            reader,
        })
    }

    /// Reads all of a protected meta file, and verifies every byte of it.
    #[cfg(feature = "mirror")]
    pub(crate) async fn read_verified(
        store: &Store,
        sequence: SequenceNumber,
    ) -> Result<Self, StoreError> {
        let name = FileName { sequence, kind: FileKind::Meta }.to_string();
        Self::read_whole(ObjectReader::open(store, name).await?, sequence).await
    }

    async fn read_whole(
        reader: ObjectReader,
        sequence: SequenceNumber,
    ) -> Result<Self, StoreError> {
        let object = reader.object();
        if reader.len() > MAX_UNPROTECTED_LEN {
            // Bytes of which these are not the end are not worth their memory.
            Trailer::parse(&reader.last_bytes(TRAILER_LEN).await?)
                .map_err(|source| StoreError::format(&object, source))?;
        }
        let bytes = reader.read(0..reader.len()).await?;
        let damaged = |source| StoreError::format(&object, source);
        let meta = MetaFile::parse(&bytes, crc32fast::hash).map_err(damaged)?;
        let Some(section) = meta.protection() else {
            return Err(StoreError::Unprotected { object });
        };
        let mut tables = Vec::new();
        for TableParts { record, filter, protection } in meta.described().map_err(damaged)? {
            let whole = StoreError::Internal("a protected meta file has a section for each table");
            let ProtectedParts { entry_count, block_headers } = protection.ok_or(whole)?;
            if block_headers.end > bytes.len() || filter.end > bytes.len() {
                return Err(StoreError::internal("parsed ranges of a meta file lie within it"));
            }
            let (filter, headers) = (bytes.slice(filter), bytes.slice(block_headers));
            let identity = identity(&record, entry_count, crc32fast::hash(&headers));
            let filter_len = filter.len() as u64;
            let (filter, headers) = (Part::Held(filter), Part::Held(headers));
            tables.push(RemoteTable { record, identity, entry_count, filter_len, filter, headers });
        }
        let head = section.head();
        // Older versions have no extension.
        let extension = head
            .map_or_else(|| Ok(Extension::default()), |head| Extension::parse(head.extension()));
        Ok(Self {
            sequence,
            len: reader.len(),
            checksum: section.checksum(),
            identity: CommitIdentity::of_last_bytes(sequence, &bytes).map_err(damaged)?,
            family: meta.family(),
            kind: head.map(MetaHead::kind),
            commit: head.map_or(sequence, MetaHead::commit),
            blobs: section.blobs().collect(),
            blob_counts: head.and_then(|head| Some(head.blob_counts()?.collect())),
            certificates: section.certificates().collect(),
            live_metas: LiveList::of(section),
            obsolete: meta.obsolete().collect(),
            tables,
            extension: extension.map_err(damaged)?,
            reader,
        })
    }

    /// The object, for messages.
    pub(crate) fn object(&self) -> String {
        self.reader.object()
    }

    /// The verified copies of the headers of a table's blocks, 8 bytes each.
    pub(crate) async fn headers(&self, table: &RemoteTable) -> Result<Bytes, StoreError> {
        match &table.headers {
            Part::Area(area) => read_area(&self.reader, area).await,
            Part::Held(bytes) => Ok(bytes.clone()),
        }
    }

    /// The verified bytes of parts of it, in their order.
    #[cfg(feature = "mirror")]
    pub(crate) async fn parts(&self, parts: &[&Part]) -> Result<Vec<Bytes>, StoreError> {
        let areas = || {
            parts.iter().filter_map(|part| match part {
                Part::Area(area) => Some(area),
                Part::Held(_) => None,
            })
        };
        let ranges: Vec<_> = areas().map(Area::range).collect();
        let read = self.reader.read_all(&ranges).await?;
        for (area, bytes) in areas().zip(&read) {
            area.verify(bytes, crc32fast::hash)
                .map_err(|source| StoreError::format(self.reader.object(), source))?;
        }
        let mut read = read.into_iter();
        let missing = StoreError::Internal("as many ranges are read as were asked for");
        let parts = parts.iter().map(|part| match part {
            Part::Area(_) => read.next(),
            Part::Held(bytes) => Some(bytes.clone()),
        });
        parts.collect::<Option<_>>().ok_or(missing)
    }

    /// A shard as the meta file of this number has it that is made from this one.
    #[cfg(feature = "mirror")]
    pub(crate) const fn as_source_of(&self, shard: Shard) -> Option<Shard> {
        shard.with_source(self.identity)
    }
}

fn identity(record: &TableRecord, entry_count: u64, headers_checksum: u32) -> TableIdentity {
    TableIdentity::new(record, Some((entry_count, headers_checksum)))
}

async fn read_area(reader: &ObjectReader, area: &Area) -> Result<Bytes, StoreError> {
    let damaged = |source: FormatError| StoreError::format(reader.object(), source);
    let bytes = reader.read(area.range()).await?;
    area.verify(&bytes, crc32fast::hash).map_err(damaged)?;
    Ok(bytes)
}
