//! Whole directories with right checksums, made without the writer's publisher: chains of meta
//! files of every version and family that describe tables, make them obsolete and describe them
//! again. Writer, reader and merge must all have the same tables and values live as a model that
//! applies the rule of FORMAT.md section 9 to each description.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use sst_amqf::QuotientFilter;
use sst_conformance::{TestEntry, TestValue};
use sst_format::block::{BlockHeader, Encoding};
use sst_format::content_digest::{CONTENT_DIGEST_LEN, ContentDigest, FamilyCertificate};
use sst_format::current::Current;
use sst_format::file_name::{CURRENT_FILE_NAME, FileKind, FileName};
use sst_format::meta_file::{MetaFile, MetaFileParts};
use sst_format::meta_head::{CommitKind, DescribedTable, HashRange, ListedMeta, MetaFileV3};
use sst_format::protection::{BlobRecord, LiveMeta};
use sst_format::{BlobNumber, SequenceNumber, SstMeta};
use sst_merge::{Duplicates, FragmentOverlap, Gatherer, Inputs};
use sst_reader::{Catalog, SstSet};
use sst_writer::table::{Compression, hash_key};
use sst_writer::{Monitor, Publisher, PublisherOptions, StreamingSstWriter, WriterOptions};

use crate::input::Input;
use crate::targets::model::reader_options;
use crate::targets::publish::{Table, check_set, scratch};

/// Tables that a directory may have. Their numbers are from 1 to this.
const TABLES: u32 = 12;
/// Keys of all tables.
const KEYS: usize = 10;
/// Families that a meta file may be of.
const FAMILIES: usize = 2;
/// Highest number of meta files of a directory.
const MAX_METAS: usize = 6;
/// Number of the first meta file, above those of tables and blobs.
const FIRST_META: u32 = 100;
/// Number of the blob of table 1.
const FIRST_BLOB: u32 = 50;

type AnyError = Box<dyn std::error::Error>;

/// A table that directories are made of.
struct PooledTable {
    bytes: Vec<u8>,
    meta: SstMeta,
    content: Table,
    blob: BlobRecord,
    blob_bytes: Vec<u8>,
}

/// A meta file of the model.
struct Meta {
    sequence: SequenceNumber,
    family: u32,
    /// A multiple of 3 stands for version 3, which names tables of its own family only.
    version: u8,
    obsolete: Vec<SequenceNumber>,
    described: Vec<SequenceNumber>,
}

/// Runs the target on one input.
pub fn run(data: &[u8]) {
    let result = check(&mut Input::new(data));
    assert!(result.is_ok(), "{:?}", result.err());
}

/// The tables, which are the same for every input.
fn pool() -> Result<&'static [PooledTable], AnyError> {
    static POOL: OnceLock<Vec<PooledTable>> = OnceLock::new();
    if let Some(pool) = POOL.get() {
        return Ok(pool);
    }
    let pool = (0..TABLES).map(pooled).collect::<Result<Vec<_>, _>>()?;
    Ok(POOL.get_or_init(|| pool))
}

/// Table `index` of the pool: some of the keys, with values of all kinds, tombstones and a blob.
fn pooled(number: u32) -> Result<PooledTable, AnyError> {
    let index = usize::try_from(number)?;
    let blob = BlobNumber(FIRST_BLOB + number);
    let blob_value = vec![u8::try_from(index)?; 40 + index];
    let mut entries = Vec::new();
    for number in (0..KEYS).filter(|number| (number * 7 + index * 3) % 5 < 3) {
        let mark = format!("value {number} of table {index}").into_bytes();
        let value = match (number + index * 3) % 8 {
            0 => TestValue::Deleted,
            1 => TestValue::Inline(vec![u8::try_from(number)?, u8::try_from(index)?]),
            2 => TestValue::Medium(mark.repeat(250)),
            3 => TestValue::Blob(blob.0),
            _ => TestValue::Small(mark.clone()),
        };
        // A tombstone is the last entry of its key.
        if (number + index).is_multiple_of(6) {
            let first = TestValue::Small([b"first ".as_slice(), &mark].concat());
            entries.push(TestEntry::new(format!("key {number}").into_bytes(), first));
        }
        entries.push(TestEntry::new(format!("key {number}").into_bytes(), value));
    }
    TestEntry::sort(&mut entries);
    let options = WriterOptions::default().multi_value(true).value_block_size(64);
    let options = match index % 3 {
        0 => options,
        1 => options.filter(QuotientFilter::default()),
        _ => options.compression(Compression::None).key_block_size(40),
    };
    let mut writer = StreamingSstWriter::new(Vec::new(), options);
    let mut content = Table::new();
    for entry in entries {
        writer.add(&entry)?;
        let value = match &entry.value {
            TestValue::Blob(_) => Some(blob_value.clone()),
            value => value.bytes().map(<[u8]>::to_vec),
        };
        content.entry((entry.hash, entry.key)).or_default().push(value);
    }
    let finished = writer.finish()?;
    let checksum = crc32fast::hash(&blob_value);
    let header = BlockHeader { encoding: Encoding::Raw, checksum };
    let blob_bytes = [&header.to_bytes()[..], &blob_value].concat();
    let blob = BlobRecord { number: blob, file_size: blob_bytes.len() as u64, header };
    Ok(PooledTable { bytes: finished.output, meta: finished.meta, content, blob, blob_bytes })
}

fn check(input: &mut Input<'_>) -> Result<(), AnyError> {
    let (is_protected, extra) = (!input.u8().is_multiple_of(4), input.u8());
    let metas = chain(input);
    let pool = pool()?;
    let scratch = scratch()?;
    let dir = scratch.path();
    write(dir, &metas, pool, is_protected)?;
    let live = live(&metas);
    check_catalog(dir, &live)?;
    if is_protected {
        check_writer(dir, &live)?;
    }
    for family in 0..u32::try_from(FAMILIES)? {
        let tables: Vec<(SequenceNumber, Table)> = live
            .iter()
            .filter(|(of, _)| *of == family)
            .map(|(_, table)| Ok((*table, of_pool(pool, *table)?.content.clone())))
            .collect::<Result<_, AnyError>>()?;
        let set = SstSet::open_family(dir, family, &reader_options())?;
        check_set(&set, &tables)?;
        check_many(&set, &tables)?;
        check_ranges(dir, family, &tables)?;
        check_merge(dir, family, &tables)?;
        // Copying takes longer than all the rest.
        if is_protected && extra.is_multiple_of(16) {
            check_gathered(dir, family, &tables)?;
        }
    }
    Ok(())
}

fn of_pool(pool: &[PooledTable], table: SequenceNumber) -> Result<&PooledTable, AnyError> {
    let index = usize::try_from(table.0)?.checked_sub(1);
    Ok(index.and_then(|index| pool.get(index)).ok_or("a table of the pool")?)
}

/// The family of a table.
const fn family_of(table: SequenceNumber) -> u32 {
    table.0.is_multiple_of(4) as u32
}

/// A chain of meta files, the oldest first, none of which describes a table twice.
fn chain(input: &mut Input<'_>) -> Vec<Meta> {
    let count = 1 + input.below(MAX_METAS);
    // Of one family, or of any.
    let numbers = |input: &mut Input<'_>, most: usize, of: Option<u32>| -> Vec<SequenceNumber> {
        let mut numbers = Vec::new();
        for _ in 0..input.below(most) {
            let number = SequenceNumber(1 + u32::from(input.u8()) % TABLES);
            let is_of_it = of.is_none_or(|family| family == family_of(number));
            if is_of_it && !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        numbers
    };
    (FIRST_META..)
        .take(count)
        .map(|sequence| {
            let (family, version) = (u32::from(input.u8().is_multiple_of(4)), input.u8());
            let of_obsolete = Some(family).filter(|_| version.is_multiple_of(3));
            Meta {
                sequence: SequenceNumber(sequence),
                family,
                version,
                obsolete: numbers(input, 5, of_obsolete),
                described: numbers(input, 6, Some(family)),
            }
        })
        .collect()
}

/// The live tables with their families, the oldest first: each statement about a table is judged by
/// itself.
fn live(metas: &[Meta]) -> Vec<(u32, SequenceNumber)> {
    let described = metas
        .iter()
        .enumerate()
        .flat_map(|(place, meta)| meta.described.iter().map(move |table| (place, meta, *table)));
    let is_live = |&(place, _, table): &(usize, &Meta, SequenceNumber)| {
        let newer = metas.iter().skip(place + 1);
        let mut said = newer.flat_map(|meta| meta.obsolete.iter().chain(&meta.described));
        said.all(|other| *other != table)
    };
    described.filter(is_live).map(|(_, meta, table)| (meta.family, table)).collect()
}

/// Writes the tables, blobs and meta files of a chain, and `CURRENT`.
fn write(
    dir: &Path,
    metas: &[Meta],
    pool: &[PooledTable],
    is_protected: bool,
) -> Result<(), AnyError> {
    let path = |sequence, kind| dir.join(FileName { sequence, kind }.to_string());
    let mut tables: Vec<_> = metas.iter().flat_map(|meta| &meta.described).copied().collect();
    tables.sort_unstable();
    tables.dedup();
    for table in tables {
        let pooled = of_pool(pool, table)?;
        fs::write(path(table, FileKind::Sst), &pooled.bytes)?;
        let blob = SequenceNumber(pooled.blob.number.0);
        fs::write(path(blob, FileKind::Blob), &pooled.blob_bytes)?;
    }
    let mut listed: Vec<ListedMeta> = Vec::new();
    for meta in metas {
        let hashes = HashRange::FULL;
        let this = ListedMeta { sequence: meta.sequence, checksum: 0, family: meta.family, hashes };
        let list: Vec<_> = listed.iter().copied().chain([this]).collect();
        let (mut bytes, checksum) = encode(meta, &list, pool)?;
        let hashes = if meta.version.is_multiple_of(3) { hashes_of(meta, pool)? } else { hashes };
        if !is_protected {
            let end = MetaFile::parse(&bytes, crc32fast::hash)?.used_keys_range().end;
            bytes.truncate(end);
        }
        fs::write(path(meta.sequence, FileKind::Meta), bytes)?;
        listed.push(ListedMeta { checksum, hashes, ..this });
    }
    let newest = metas.last().ok_or("a chain has a meta file")?.sequence;
    let current = Current::encode(newest, crc32fast::hash);
    let current = if is_protected { &current[..] } else { current.split_at(4).0 };
    fs::write(dir.join(CURRENT_FILE_NAME), current)?;
    Ok(())
}

/// The hashes of all tables that a meta file describes or names obsolete.
fn hashes_of(meta: &Meta, pool: &[PooledTable]) -> Result<HashRange, AnyError> {
    let mut hashes = HashRange::EMPTY;
    for table in meta.obsolete.iter().chain(&meta.described) {
        let table = &of_pool(pool, *table)?.meta;
        hashes = hashes.union(HashRange { min: table.min_hash, max: table.max_hash });
    }
    Ok(hashes)
}

/// The bytes of a meta file in version 1, 2 or 3, and its checksum.
fn encode(
    meta: &Meta,
    list: &[ListedMeta],
    pool: &[PooledTable],
) -> Result<(Vec<u8>, u32), AnyError> {
    let tables: Vec<(SequenceNumber, SstMeta)> = meta
        .described
        .iter()
        .map(|table| Ok((*table, of_pool(pool, *table)?.meta.clone())))
        .collect::<Result<_, AnyError>>()?;
    let mut blobs: Vec<BlobRecord> = meta
        .described
        .iter()
        .map(|table| Ok(of_pool(pool, *table)?.blob))
        .collect::<Result<_, AnyError>>()?;
    blobs.sort_by_key(|blob| blob.number);
    let Meta { sequence, family, version, obsolete, .. } = meta;
    if version.is_multiple_of(3) {
        let described = tables.iter().map(|(table, meta)| DescribedTable::new(*table, meta));
        let parts = MetaFileV3 {
            family: *family,
            obsolete,
            tables: &described.collect::<Result<Vec<_>, _>>()?,
            kind: CommitKind::Append,
            commit: *sequence,
            live_metas: list,
            blobs: &blobs,
            certificates: &[],
            extension: &[],
        };
        return Ok(parts.encode(crc32fast::hash)?);
    }
    // The version with certificates; no reader trusts them without reading the entries.
    let content = ContentDigest::from_bytes(&[7; CONTENT_DIGEST_LEN]);
    let certificates = [FamilyCertificate { family: 9, content }];
    let parts = MetaFileParts {
        family: *family,
        obsolete,
        tables: &tables,
        live_metas: &list.iter().copied().map(LiveMeta::from).collect::<Vec<_>>(),
        blobs: &blobs,
        certificates: if version % 3 == 1 { &[] } else { &certificates },
    };
    Ok(parts.encode(crc32fast::hash)?)
}

fn check_catalog(dir: &Path, live: &[(u32, SequenceNumber)]) -> Result<(), AnyError> {
    let catalog = Catalog::read(dir)?;
    let found = catalog.tables.iter().rev().map(|table| (table.family, table.sequence));
    assert_eq!(found.collect::<Vec<_>>(), live, "the reader's live tables");
    Ok(())
}

/// The tables that a publisher takes for live. It removes nothing here.
fn check_writer(dir: &Path, live: &[(u32, SequenceNumber)]) -> Result<(), AnyError> {
    let options = PublisherOptions::default().keep_obsolete_files(true);
    let publisher = Publisher::open(dir, options)?;
    let found = publisher.live_tables().map(|(family, table)| (family, table.sequence));
    assert_eq!(found.collect::<Vec<_>>(), live, "the writer's live tables");
    Ok(())
}

/// All keys at once, absent ones too, have the answers that they have one by one.
fn check_many(set: &SstSet, tables: &[(SequenceNumber, Table)]) -> Result<(), AnyError> {
    let keys: Vec<Vec<u8>> = (0..KEYS + 2).map(|i| format!("key {i}").into_bytes()).collect();
    let found = set.multi_get(&keys)?;
    assert_eq!(found.len(), keys.len());
    for (key, found) in keys.iter().zip(found) {
        let place = (hash_key(key), key.clone());
        let newest = tables.iter().rev().find_map(|(_, table)| table.get(&place));
        let expected = newest.and_then(|values| values.first()).cloned().flatten();
        assert_eq!(found.as_deref(), expected.as_deref());
    }
    Ok(())
}

/// Sets of ranges of hashes, which read only the meta files that they need.
fn check_ranges(
    dir: &Path,
    family: u32,
    tables: &[(SequenceNumber, Table)],
) -> Result<(), AnyError> {
    for hashes in [0..=u64::MAX, 0..=u64::MAX / 2, u64::MAX / 2 + 1..=u64::MAX] {
        let set = SstSet::open_range(dir, family, hashes.clone(), &reader_options())?;
        let mut expected: BTreeMap<&(u64, Vec<u8>), Option<&Vec<u8>>> = BTreeMap::new();
        for (key, values) in tables.iter().flat_map(|(_, table)| table) {
            expected.insert(key, values.first().and_then(Option::as_ref));
        }
        for (key, value) in expected {
            let value = value.filter(|_| hashes.contains(&key.0));
            assert_eq!(set.get(&key.1)?.as_deref(), value.map(Vec::as_slice), "{hashes:x?}");
        }
    }
    Ok(())
}

/// A merge has the entries that a walk has.
fn check_merge(
    dir: &Path,
    family: u32,
    tables: &[(SequenceNumber, Table)],
) -> Result<(), AnyError> {
    let catalog = Arc::new(Catalog::read(dir)?);
    let mut inputs = Inputs::new(&reader_options());
    inputs.add_catalog(&catalog, family);
    let mut expected: BTreeMap<&(u64, Vec<u8>), Vec<&[u8]>> = BTreeMap::new();
    for (_, table) in tables {
        for (key, values) in table {
            expected.insert(key, values.iter().flatten().map(Vec::as_slice).collect());
        }
    }
    let mut expected =
        expected.into_iter().flat_map(|(key, values)| values.into_iter().map(move |v| (key, v)));
    let mut merged = inputs.live(0..=u64::MAX, Duplicates::Newest)?;
    while let Some(entry) = merged.next()? {
        let key = (entry.hash, entry.key.to_vec());
        let value = entry.into_value()?.ok_or("a merge of all gives a tombstone")?;
        let (expected_key, expected_value) = expected.next().ok_or("a merge gives too much")?;
        assert_eq!((&key, &*value), (expected_key, expected_value));
    }
    assert!(expected.next().is_none(), "a merge gives too little");
    Ok(())
}

/// Gathering the directory into a new one changes no answer.
fn check_gathered(
    dir: &Path,
    family: u32,
    tables: &[(SequenceNumber, Table)],
) -> Result<(), AnyError> {
    if tables.is_empty() {
        return Ok(());
    }
    let scratch = scratch()?;
    let to = scratch.path().join("gathered");
    let mut publisher = Publisher::open(&to, PublisherOptions::default())?;
    let mut commit = publisher.begin_family(family);
    let mut gatherer = Gatherer::new(&mut commit, FragmentOverlap::LaterWins);
    gatherer.add(dir, &Monitor::default())?;
    commit.publish(&Monitor::default())?;
    let set = SstSet::open_family(&to, family, &reader_options())?;
    check_set(&set, tables)
}
