//! A meta file of a shard.

use bytes::Bytes;
use sst_format::SequenceNumber;
use sst_format::meta_head::{
    BlockHeaders, CommitKind, DescribedTable, Extension, ListedMeta, MetaFileV3, blob_counts_field,
};
use sst_format::protection::BlobRecord;

use crate::StoreError;
use crate::commit::{RemoteMeta, RemoteTable, SharedMeta};

/// A meta file of a shard, and the blobs that it lists.
#[derive(Debug)]
pub(super) struct ShardMeta {
    pub(super) sequence: SequenceNumber,
    /// The checksum in its trailer; 0 as long as it is not encoded.
    pub(super) checksum: u32,
    pub(super) blobs: Vec<BlobRecord>,
    tables: Vec<RemoteTable>,
    /// The number of blobs of each of these tables, in their order. Empty if there are no blobs.
    blob_counts: Vec<u32>,
    /// `None` if it is in the directory, or not encoded yet.
    pub(super) bytes: Option<Bytes>,
}

impl ShardMeta {
    /// One that is in the directory.
    pub(super) fn reused(meta: &RemoteMeta) -> Self {
        let (sequence, checksum, blobs) = (meta.sequence, meta.checksum, meta.blobs.clone());
        let (tables, blob_counts) = (Vec::new(), Vec::new());
        Self { sequence, checksum, blobs, tables, blob_counts, bytes: None }
    }

    /// One for a meta file of the source, with these of its tables, and the blobs of each of them,
    /// if it has any. [`build`] encodes it.
    pub(super) fn unfinished(
        meta: &SharedMeta,
        tables: Vec<RemoteTable>,
        blobs: &[Vec<BlobRecord>],
    ) -> Result<Self, StoreError> {
        const FITS: &str = "a table refers to fewer than 2^32 blobs, which have numbers of 32 bits";
        let counts = blobs.iter().map(|blobs| u32::try_from(blobs.len()));
        let blob_counts = counts.collect::<Result<_, _>>();
        let blob_counts = blob_counts.map_err(|_| StoreError::Internal(FITS))?;
        let (sequence, blobs) = (meta.sequence, blobs.concat());
        Ok(Self { sequence, checksum: 0, blobs, tables, blob_counts, bytes: None })
    }
}

/// Encodes a meta file of a shard. Records, filters and block headers of its tables are those of
/// the source's meta file, which is read as far as that needs it. `commit` is the newest meta file
/// of the shard's commit.
///
/// It takes over all numbers of obsolete tables: they say nothing of tables of other shards that
/// this one would need. The certificate of the source is about all shards, and left out.
pub(super) async fn build(
    unfinished: ShardMeta,
    source: &RemoteMeta,
    commit: SequenceNumber,
    live_metas: &[ListedMeta],
    extension: &Extension,
) -> Result<ShardMeta, StoreError> {
    let ShardMeta { sequence, blobs, tables, blob_counts, .. } = unfinished;
    let parts = tables.iter().flat_map(|table| [&table.filter, &table.headers]);
    let parts = source.parts(&parts.collect::<Vec<_>>()).await?;
    let (pairs, _) = parts.as_chunks::<2>();
    let described = tables.iter().zip(pairs).map(|(table, [filter, headers])| DescribedTable {
        record: table.record,
        entry_count: table.entry_count,
        filter,
        headers: BlockHeaders::Stored(headers),
        // They have been verified when they were read.
        filter_checksum: None,
        headers_checksum: None,
    });
    let described: Vec<_> = described.collect();
    if described.len() != tables.len() {
        return Err(StoreError::internal("each table has a filter and block headers"));
    }
    let damage = |error| StoreError::format(source.object(), error);
    let mut extension = extension.encode();
    if !blobs.is_empty() {
        extension.extend(blob_counts_field(blob_counts.into_iter()).map_err(damage)?);
    }
    let meta = MetaFileV3 {
        family: source.family,
        obsolete: &source.obsolete,
        tables: &described,
        // Only older builds state no kind.
        kind: source.kind.unwrap_or(CommitKind::Append),
        commit,
        live_metas,
        blobs: &blobs,
        certificates: &[],
        extension: &extension,
    };
    let (bytes, checksum) = meta.encode(crc32fast::hash).map_err(damage)?;
    let bytes = Some(bytes.into());
    Ok(ShardMeta { sequence, checksum, blobs, tables: Vec::new(), blob_counts: Vec::new(), bytes })
}
