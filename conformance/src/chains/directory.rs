//! The directory of a chain of meta files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use sst_format::current::Current;
use sst_format::file_name::{CURRENT_FILE_NAME, FileKind, FileName};
use sst_format::live::MetaTables;
use sst_format::meta_file::{MetaFile, MetaFileParts};
use sst_format::meta_head::{CommitKind, DescribedTable, HashRange, ListedMeta, MetaFileV3};
use sst_format::protection::LiveMeta;
use sst_format::{SequenceNumber, SstMeta, TableFlags};
use sst_writer::table::hash_key;
use sst_writer::{StreamingSstWriter, WriterOptions};

use super::chain::{ALWAYS_LIVE, Chain, SHARED_KEY};
use crate::random_files::AnyError;

/// A table of the pool, from which all chains take theirs.
struct PoolTable {
    bytes: Vec<u8>,
    meta: SstMeta,
}

/// The tables of the pool. Each has its number as a key, and [`SHARED_KEY`] with its number as the
/// value, so the newest live table of a family is the one that a lookup of that key tells.
fn pool() -> Result<&'static BTreeMap<SequenceNumber, PoolTable>, AnyError> {
    static POOL: OnceLock<Result<BTreeMap<SequenceNumber, PoolTable>, String>> = OnceLock::new();
    let pool = POOL.get_or_init(|| make_pool().map_err(|error| error.to_string()));
    pool.as_ref().map_err(|error| error.clone().into())
}

fn make_pool() -> Result<BTreeMap<SequenceNumber, PoolTable>, AnyError> {
    let mut pool = BTreeMap::new();
    for table in (1..=ALWAYS_LIVE.0).map(SequenceNumber) {
        let mut writer = StreamingSstWriter::new(Vec::new(), WriterOptions::default());
        let number = table.0.to_be_bytes();
        let mut entries = [(&number[..], &b"value"[..]), (SHARED_KEY, &number)];
        entries.sort_by_key(|(key, _)| hash_key(key));
        for entry in entries {
            writer.add(entry)?;
        }
        let finished = writer.finish()?;
        pool.insert(table, PoolTable { bytes: finished.output, meta: finished.meta });
    }
    Ok(pool)
}

/// The mark of a description: its meta file and its index in it. It is stored in the flags, which
/// every party passes on unchanged.
pub(super) fn mark(meta: SequenceNumber, index: usize) -> Result<TableFlags, AnyError> {
    Ok(TableFlags(meta.0 << 8 | u32::try_from(index)?))
}

/// Makes the directory of the chain with this seed. The tables are there, each with other content.
pub(crate) fn write(dir: &Path, seed: u64, is_protected: bool) -> Result<(), AnyError> {
    fs::create_dir_all(dir)?;
    let chain = Chain::random(seed);
    let pool = pool()?;
    for table in chain.tables() {
        let name = FileName { sequence: table, kind: FileKind::Sst };
        let table = pool.get(&table).ok_or("a table of the pool")?;
        fs::write(dir.join(name.to_string()), &table.bytes)?;
    }
    let mut listed: Vec<ListedMeta> = Vec::new();
    let kinds = chain.families.iter().zip(&chain.have_heads);
    for (meta, (&family, &has_head)) in chain.metas.iter().zip(kinds) {
        let described = meta.described.iter().enumerate().map(|(index, table)| {
            let description = &pool.get(table).ok_or("a table of the pool")?.meta;
            Ok((*table, SstMeta { flags: mark(meta.sequence, index)?, ..description.clone() }))
        });
        let described = described.collect::<Result<Vec<_>, AnyError>>()?;
        let this =
            ListedMeta { sequence: meta.sequence, checksum: 0, family, hashes: HashRange::FULL };
        let list: Vec<ListedMeta> = listed.iter().copied().chain([this]).collect();
        let headed = if has_head { encode_headed(meta, family, &described, &list)? } else { None };
        let hashes = match headed {
            Some(_) => hashes_of(meta, pool)?,
            None => HashRange::FULL,
        };
        let (mut bytes, checksum) = match headed {
            Some(encoded) => encoded,
            None => MetaFileParts {
                family,
                obsolete: &meta.obsolete,
                tables: &described,
                live_metas: &list.iter().copied().map(LiveMeta::from).collect::<Vec<_>>(),
                blobs: &[],
                certificates: &[],
            }
            .encode(crc32fast::hash)?,
        };
        if !is_protected {
            let filters_end = MetaFile::parse(&bytes, crc32fast::hash)?.used_keys_range().end;
            bytes.truncate(filters_end);
        }
        let name = FileName { sequence: meta.sequence, kind: FileKind::Meta };
        fs::write(dir.join(name.to_string()), bytes)?;
        listed.push(ListedMeta { checksum, hashes, ..this });
    }
    let newest = listed.last().ok_or("a chain has a meta file")?.sequence;
    let current = Current::encode(newest, crc32fast::hash);
    let current = if is_protected { &current[..] } else { current.split_at(4).0 };
    fs::write(dir.join(CURRENT_FILE_NAME), current)?;
    Ok(())
}

/// The hashes of all tables that a meta file describes or names obsolete.
fn hashes_of(
    meta: &MetaTables,
    pool: &BTreeMap<SequenceNumber, PoolTable>,
) -> Result<HashRange, AnyError> {
    let mut hashes = HashRange::EMPTY;
    for table in meta.obsolete.iter().chain(&meta.described) {
        let table = &pool.get(table).ok_or("a table of the pool")?.meta;
        hashes = hashes.union(HashRange { min: table.min_hash, max: table.max_hash });
    }
    Ok(hashes)
}

/// Encodes a meta file in version 3. Returns `None` if it describes a table twice, which the
/// encoder refuses.
fn encode_headed(
    meta: &MetaTables,
    family: u32,
    described: &[(SequenceNumber, SstMeta)],
    list: &[ListedMeta],
) -> Result<Option<(Vec<u8>, u32)>, AnyError> {
    let tables = described.iter().map(|(table, meta)| DescribedTable::new(*table, meta));
    let parts = MetaFileV3 {
        family,
        obsolete: &meta.obsolete,
        tables: &tables.collect::<Result<Vec<_>, _>>()?,
        kind: CommitKind::Append,
        commit: meta.sequence,
        live_metas: list,
        blobs: &[],
        certificates: &[],
        extension: &[],
    };
    let distinct: BTreeSet<_> = meta.described.iter().collect();
    if distinct.len() < meta.described.len() {
        return match parts.encode(crc32fast::hash) {
            Err(sst_format::FormatError::OutOfOrder { .. }) => Ok(None),
            _ => Err("a table is described twice, and the encoder takes it".into()),
        };
    }
    Ok(Some(parts.encode(crc32fast::hash)?))
}
