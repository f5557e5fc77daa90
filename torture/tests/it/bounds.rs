//! Bounds on memory and work that hold for every call, tested with hostile tables whose entries
//! refer to the same compressed blocks over and over.

use std::fs;
use std::path::Path;

use sst_format::block::{BlockHeader, Encoding};
use sst_format::current::Current;
use sst_format::file_name::{FileKind, FileName};
use sst_format::filter::FilterBytes;
use sst_format::index_block::IndexBlockEncoder;
use sst_format::key_block::{KeyBlockEncoder, KeyBlockShape};
use sst_format::meta_file::MetaFileParts;
use sst_format::protection::{BlobRecord, LiveMeta};
use sst_format::value_ref::ValueRef;
use sst_format::{BlobNumber, BlockIndex, SequenceNumber, SstMeta, TableFlags, TableProtection};
use sst_merge::{Diff, Duplicates, Inputs};
use sst_reader::{
    Access, BlockCache, EntryValue, Lookup, ReadError, ReaderOptions, SstSet, StaticSortedFile,
    hash_key,
};
use sst_torture::allocations::{peak_of, read_limit};
use sst_torture::collisions::colliding_key;
use sst_torture::model::parts::{Part, Parts};
use sst_torture::model::table::blocks_of;
use sst_torture::model::{files, scratch};
use sst_writer::{BulkError, BulkLoader, BulkOptions, Publisher, PublisherOptions, WriteError};
use tempfile::TempDir;

/// Length of each value block after decompression.
const BLOCK_LEN: usize = 1 << 20;
/// Number of entries of the hostile tables. If each value were copied, they would take 500 MB.
const ENTRIES: u32 = 500;

/// A table and its description.
struct Hostile {
    bytes: Vec<u8>,
    meta: SstMeta,
}

impl Hostile {
    /// A table of value blocks of zeros, which compress by a factor of 255. Its entries have the
    /// same key or different keys.
    fn new(value_blocks: u16, has_one_key: bool, value: impl Fn(u32) -> ValueRef<'static>) -> Self {
        let mut parts: Vec<_> = (0..value_blocks).map(|_| Part::lz4(vec![0; BLOCK_LEN])).collect();
        let key = |i: u32| if has_one_key { b"same".to_vec() } else { i.to_be_bytes().to_vec() };
        let mut entries: Vec<_> = (0..ENTRIES).map(|i| (hash_key(&key(i)), key(i))).collect();
        entries.sort();
        let shape = (0..).zip(&entries).fold(KeyBlockShape::default(), |shape, (i, (_, key))| {
            shape.with_entry(key.len(), value(i).entry_type().unwrap()).unwrap()
        });
        let mut payload = Vec::new();
        let mut encoder = KeyBlockEncoder::new(&shape, &mut payload);
        for (i, (hash, key)) in (0..).zip(&entries) {
            encoder.push(*hash, key, value(i));
        }
        encoder.finish().unwrap();
        let mut index = IndexBlockEncoder::new();
        index.push(entries[0].0, BlockIndex(value_blocks));
        parts.extend([Part::raw(payload), Part::raw(index.finish().unwrap())]);
        let bytes = Parts::new(parts).to_bytes();
        let block_headers: Vec<_> = blocks_of(&bytes)
            .into_iter()
            .map(|range| BlockHeader::parse(&bytes[range]).unwrap().0)
            .collect();
        let meta = SstMeta {
            block_count: value_blocks + 2,
            min_hash: entries[0].0,
            max_hash: entries[entries.len() - 1].0,
            file_size: bytes.len() as u64,
            flags: TableFlags(0),
            filter: FilterBytes::new([]),
            protection: Some(TableProtection { entry_count: ENTRIES.into(), block_headers }),
        };
        Self { bytes, meta }
    }

    /// A table whose entries refer to the value blocks in turn.
    fn in_turn(value_blocks: u16, has_one_key: bool) -> Self {
        let block = move |i: u32| BlockIndex(u16::try_from(i % u32::from(value_blocks)).unwrap());
        Self::new(value_blocks, has_one_key, move |i| ValueRef::Medium(block(i)))
    }

    fn open(&self, options: &ReaderOptions) -> StaticSortedFile {
        let bytes = self.bytes.clone();
        StaticSortedFile::from_bytes("hostile", bytes, Some(&self.meta), options).unwrap()
    }

    /// The memory limit of a call: 255 times the stored bytes, and a fixed cost.
    fn limit(&self) -> u64 {
        read_limit(self.bytes.len() as u64)
    }

    /// A directory with the table and with blobs of these stored bytes.
    fn publish(&self, blobs: &[Vec<u8>]) -> TempDir {
        let dir = scratch();
        let file = |number, kind| {
            let name = FileName { sequence: SequenceNumber(number), kind };
            dir.path().join(name.to_string())
        };
        let mut records = Vec::new();
        for (number, stored) in (10..).zip(blobs) {
            let header = BlockHeader::parse(stored).unwrap().0;
            fs::write(file(number, FileKind::Blob), stored).unwrap();
            let file_size = stored.len() as u64;
            records.push(BlobRecord { number: BlobNumber(number), file_size, header });
        }
        fs::write(file(1, FileKind::Sst), &self.bytes).unwrap();
        let sequence = SequenceNumber(100);
        let parts = MetaFileParts {
            family: 0,
            obsolete: &[],
            tables: &[(SequenceNumber(1), self.meta.clone())],
            live_metas: &[LiveMeta { sequence, checksum: 0 }],
            blobs: &records,
            certificates: &[],
        };
        let (bytes, _) = parts.encode(crc32fast::hash).unwrap();
        fs::write(file(sequence.0, FileKind::Meta), bytes).unwrap();
        let current = Current::encode(sequence, crc32fast::hash);
        fs::write(dir.path().join("CURRENT"), current).unwrap();
        dir
    }
}

/// The stored bytes of a blob of zeros.
fn blob(len: usize) -> Vec<u8> {
    let stored = lz4_flex::block::compress(&vec![0; len]);
    let encoding = Encoding::Lz4 { uncompressed_len: u32::try_from(len).unwrap() };
    let header = BlockHeader { encoding, checksum: crc32fast::hash(&stored) };
    [&header.to_bytes()[..], &stored].concat()
}

/// Options with a cache too small for any value block.
fn without_room() -> ReaderOptions {
    ReaderOptions::default().cache(BlockCache::new(1 << 16))
}

fn blocks_loaded(cache: &BlockCache) -> u64 {
    cache.statistics().blocks_loaded
}

#[test]
fn values_of_one_key_share_the_block_that_they_name() {
    for value_blocks in [1, 2, 3] {
        let hostile = Hostile::in_turn(value_blocks, true);
        let table = hostile.open(&without_room());
        let (count, peak) = peak_of(|| {
            let values: Vec<_> = table.get_all("same").unwrap().map(Result::unwrap).collect();
            values.len()
        });
        assert_eq!(count, ENTRIES as usize);
        assert!(peak <= hostile.limit(), "{value_blocks}: {peak}");
    }
}

#[test]
fn values_of_one_key_of_a_set_share_blocks_and_blobs() {
    let hostile = Hostile::in_turn(2, true);
    let of_blobs = Hostile::new(1, true, |i| ValueRef::Blob(BlobNumber(10 + i % 2)));
    let blobs = [blob(BLOCK_LEN), blob(BLOCK_LEN)];
    let stored = of_blobs.bytes.len() + 2 * blobs[0].len();
    for (dir, stored) in
        [(hostile.publish(&[]), hostile.bytes.len()), (of_blobs.publish(&blobs), stored)]
    {
        for options in [without_room(), without_room().max_open_files(1)] {
            let set = SstSet::open(dir.path(), &options).unwrap();
            let (count, peak) = peak_of(|| {
                let values: Vec<_> = set.get_all("same").map(Result::unwrap).collect();
                values.len()
            });
            assert_eq!(count, ENTRIES as usize);
            assert!(peak <= read_limit(stored as u64), "{peak} for {stored}");
        }
    }
}

#[test]
fn many_keys_share_the_blocks_and_blobs_that_they_name() {
    let keys: Vec<_> = (0..ENTRIES).map(u32::to_be_bytes).collect();
    let hostile = Hostile::in_turn(2, false);
    let table = hostile.open(&without_room());
    let (found, peak) = peak_of(|| {
        let found = table.multi_get(&keys);
        found.iter().filter(|found| matches!(found, Ok(Lookup::Value(_)))).count()
    });
    assert_eq!(found, keys.len());
    assert!(peak <= hostile.limit(), "{peak}");

    let of_blobs = Hostile::new(1, false, |i| ValueRef::Blob(BlobNumber(10 + i % 2)));
    let blobs = [blob(BLOCK_LEN), blob(BLOCK_LEN)];
    let stored = of_blobs.bytes.len() + 2 * blobs[0].len();
    for (dir, stored) in
        [(hostile.publish(&[]), hostile.bytes.len()), (of_blobs.publish(&blobs), stored)]
    {
        for options in [without_room(), without_room().max_open_files(1)] {
            let set = SstSet::open(dir.path(), &options).unwrap();
            let (found, peak) = peak_of(|| {
                let found = set.multi_get(&keys).unwrap();
                found.iter().flatten().count()
            });
            assert_eq!(found, keys.len());
            assert!(peak <= read_limit(stored as u64), "{peak} for {stored}");
        }
    }
}

#[test]
fn a_walk_decompresses_no_block_more_than_twice() {
    for value_blocks in [1_u16, 2, 5] {
        let hostile = Hostile::in_turn(value_blocks, false);
        let dir = hostile.publish(&[]);
        // Two loads for each value block, one for the key block and one for the index block.
        let most = 2 * u64::from(value_blocks) + 2;
        for access in [Access::Map, Access::Read] {
            let options = || without_room().access(access);
            let table = hostile.open(&options());
            let walk_table = |table: &StaticSortedFile| {
                let mut cursor = table.cursor();
                let mut bytes = 0;
                while let Some(entry) = cursor.next().unwrap() {
                    let EntryValue::Value(value) = entry.into_value().unwrap() else { continue };
                    bytes += value.len();
                }
                bytes
            };
            let cache = std::sync::Arc::new(BlockCache::new(1 << 16));
            let counted = hostile.open(&ReaderOptions::default().cache(cache.clone()));
            let (bytes, peak) = peak_of(|| walk_table(&table));
            assert_eq!(bytes, ENTRIES as usize * BLOCK_LEN);
            assert!(peak <= hostile.limit(), "{peak}");
            walk_table(&counted);
            assert!(blocks_loaded(&cache) <= most, "{}", blocks_loaded(&cache));

            let cache = std::sync::Arc::new(BlockCache::new(1 << 16));
            let options = options().cache(cache.clone());
            let set = SstSet::open(dir.path(), &options).unwrap();
            let (count, peak) = peak_of(|| set.iter().map(Result::unwrap).count());
            assert_eq!(count, ENTRIES as usize);
            assert!(peak <= hostile.limit(), "{peak}");
            assert!(blocks_loaded(&cache) <= most, "{}", blocks_loaded(&cache));
        }
    }
}

#[test]
fn what_a_file_asks_for_has_a_limit() {
    let hostile = Hostile::in_turn(1, true);
    let limit = BLOCK_LEN as u64 - 1;
    let refused = |error: ReadError| {
        let ReadError::OverLimit { bytes, limit: told, .. } = error else { panic!("{error}") };
        assert_eq!((bytes, told), (BLOCK_LEN as u64, limit));
    };
    let limited = without_room().max_payload_len(limit);
    refused(hostile.open(&limited).get("same").unwrap_err());
    let enough = without_room().max_payload_len(limit + 1);
    assert!(hostile.open(&enough).get("same").is_ok());
    let of_blobs = Hostile::new(1, true, |_| ValueRef::Blob(BlobNumber(10)));
    let dir = of_blobs.publish(&[blob(BLOCK_LEN)]);
    let get = |options| SstSet::open(dir.path(), options).unwrap().get("same").map(drop);
    refused(get(&limited).unwrap_err());
    get(&enough).unwrap();
}

#[test]
fn a_block_that_fits_into_the_cache_is_cached() {
    let hostile = Hostile::in_turn(1, true);
    let cache = std::sync::Arc::new(BlockCache::new(BLOCK_LEN as u64 * 11 / 10));
    let table = hostile.open(&ReaderOptions::default().cache(cache.clone()));
    for _ in 0..10 {
        assert!(matches!(table.get("same"), Ok(Lookup::Value(_))));
    }
    // Loaded: one value block and one key block, and the index block when the table was opened.
    assert_eq!(blocks_loaded(&cache), 3);
    assert!(cache.used() >= BLOCK_LEN as u64 && cache.used() <= cache.capacity());
}

fn forget<T>(result: T) {
    std::hint::black_box(result);
}

/// The inputs of a merge.
fn inputs(dir: &Path) -> Inputs {
    let mut inputs = Inputs::new(without_room());
    inputs.add_directory(dir, 0).unwrap();
    inputs
}

/// Walks the merged entries of a directory, and reads each value.
fn walk_merged(dir: &Path) {
    let mut merged = inputs(dir).live(0..=u64::MAX, Duplicates::Keep).unwrap();
    while let Some(entry) = merged.next().unwrap() {
        forget(entry.into_value().unwrap());
    }
}

/// Compares a directory with itself.
fn compare(dir: &Path) {
    let [old, new] = [inputs(dir), inputs(dir)];
    let monitor = sst_reader::Monitor::default();
    let mut diff = Diff::new(&old, &new, 0..=u64::MAX, Duplicates::Newest, &monitor).unwrap();
    assert!(diff.next().unwrap().is_none());
}

/// The peak memory of every read call as a multiple of the stored bytes: the table in
/// docs/RELIABILITY.md.
#[test]
fn the_memory_of_every_read_call() {
    type Call<'a> = (&'a str, u64, Box<dyn Fn() + 'a>);
    let keys: Vec<_> = (0..ENTRIES).map(u32::to_be_bytes).collect();
    let [one, many] = [true, false].map(|has_one_key| Hostile::in_turn(2, has_one_key));
    let blobs = [blob(BLOCK_LEN)];
    let of_blob = Hostile::new(1, true, |_| ValueRef::Blob(BlobNumber(10)));
    let of_blob_len = (of_blob.bytes.len() + blobs[0].len()) as u64;
    let dirs = [one.publish(&[]), many.publish(&[]), of_blob.publish(&blobs)];
    let options = without_room();
    let set = |dir: &TempDir| SstSet::open(dir.path(), &options).unwrap();
    let (one_len, many_len) = (one.bytes.len() as u64, many.bytes.len() as u64);
    let tables = [one.open(&options), many.open(&options)];
    let sets = [set(&dirs[0]), set(&dirs[1]), set(&dirs[2])];
    let dir = |at: usize| -> &Path { dirs[at].path() };
    let monitor = sst_reader::Monitor::default();
    let calls: Vec<Call<'_>> = vec![
        ("`StaticSortedFile::open`", one_len, Box::new(|| forget(one.open(&options)))),
        ("`StaticSortedFile::get`", one_len, Box::new(|| forget(tables[0].get("same").unwrap()))),
        (
            "`StaticSortedFile::get_all`, dropped one by one",
            one_len,
            Box::new(|| forget(tables[0].get_all("same").unwrap().count())),
        ),
        (
            "`StaticSortedFile::get_all`, all kept",
            one_len,
            Box::new(|| forget(tables[0].get_all("same").unwrap().collect::<Vec<_>>())),
        ),
        (
            "`StaticSortedFile::multi_get`",
            many_len,
            Box::new(|| forget(tables[1].multi_get(&keys))),
        ),
        ("`Cursor`, `Iter`", many_len, Box::new(|| forget(tables[1].iter().count()))),
        ("`Iter`, all kept", many_len, Box::new(|| forget(tables[1].iter().collect::<Vec<_>>()))),
        (
            "`StaticSortedFile::verify`",
            many_len,
            Box::new(|| forget(tables[1].verify(&monitor).unwrap())),
        ),
        (
            "`StaticSortedFile::inspect`",
            many_len,
            Box::new(|| forget(tables[1].inspect().unwrap())),
        ),
        ("`SstSet::open`", one_len, Box::new(|| forget(set(&dirs[0])))),
        ("`SstSet::get`", one_len, Box::new(|| forget(sets[0].get("same").unwrap()))),
        ("`SstSet::get` of a blob", of_blob_len, Box::new(|| forget(sets[2].get("same").unwrap()))),
        (
            "`SstSet::get_all`, dropped one by one",
            one_len,
            Box::new(|| forget(sets[0].get_all("same").count())),
        ),
        (
            "`SstSet::get_all`, all kept",
            one_len,
            Box::new(|| forget(sets[0].get_all("same").collect::<Vec<_>>())),
        ),
        (
            "`SstSet::get_all` of a blob, all kept",
            of_blob_len,
            Box::new(|| forget(sets[2].get_all("same").collect::<Vec<_>>())),
        ),
        ("`SstSet::multi_get`", many_len, Box::new(|| forget(sets[1].multi_get(&keys).unwrap()))),
        ("`SstSet::iter`", many_len, Box::new(|| forget(sets[1].iter().count()))),
        ("`SstSet::refresh`", many_len, Box::new(|| assert!(sets[1].refresh().unwrap().is_none()))),
        (
            "`SstSet::content_digest` (a certificate)",
            many_len,
            Box::new(|| forget(sets[1].content_digest(&monitor).unwrap())),
        ),
        ("`Inputs::live` (a merge)", many_len, Box::new(|| walk_merged(dir(1)))),
        ("`Diff` of a directory and itself", 2 * many_len, Box::new(|| compare(dir(1)))),
        (
            "`verify_directory`",
            many_len,
            Box::new(|| forget(sst_reader::verify_directory(dir(1), &options, &monitor).unwrap())),
        ),
    ];
    println!("| call | stored | peak | × stored |\n|---|---:|---:|---:|");
    for (name, stored, call) in calls {
        let ((), peak) = peak_of(call);
        let [whole, tenth] = [peak / stored, peak * 10 / stored % 10];
        println!("| {name} | {stored} | {peak} | {whole}.{tenth} |");
        assert!(peak <= read_limit(stored), "{name}: {peak} for {stored}");
    }
}

/// Loads more records with the same hash than a key block can hold. Returns the summary and the
/// bytes of the tables.
fn load_a_long_run(memory: usize, threads: usize, skip: bool) -> Result<Loaded, BulkError> {
    let dir = scratch();
    let mut publisher =
        Publisher::open(dir.path().join("db"), PublisherOptions::default()).unwrap();
    let options = BulkOptions::default().memory_budget(memory).threads(threads).skip_refused(skip);
    let loader = BulkLoader::new(&mut publisher, options)?;
    let mut handle = loader.handle(0);
    for n in 0..RUN {
        // The order is not that of the keys. Values of several lengths make a block whose positions
        // are byte offsets.
        let key = colliding_key(128, 7, n * 7919 % RUN);
        handle.put_at(n, key, &[1; 8][..usize::try_from(n % 9).unwrap()])?;
    }
    for n in 0..1000 {
        handle.put_at(RUN + n, n.to_be_bytes(), b"another")?;
    }
    handle.finish()?;
    let summary = loader.finish()?;
    assert_eq!(summary.records, summary.entries + summary.duplicates + summary.refused);
    let refused =
        summary.first_refused.iter().map(|record| record.input_position.position).collect();
    let mut tables: Vec<_> = files(&dir.path().join("db"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "sst"))
        .map(|path| fs::read(path).unwrap())
        .collect();
    tables.sort();
    Ok(Loaded { count: summary.refused, refused, tables })
}

/// Number of records with the same hash. Each has a key of 128 bytes and a value, so about 120,000
/// take 2^24 bytes.
const RUN: u64 = 130_000;

#[derive(Debug, PartialEq, Eq)]
struct Loaded {
    count: u64,
    refused: Vec<u64>,
    tables: Vec<Vec<u8>>,
}

#[test]
fn records_beyond_the_longest_run_are_refused_alike_whatever_the_budget() {
    let first = load_a_long_run(4 << 20, 1, true).unwrap();
    assert!(first.count > 0 && first.count < RUN / 2, "{}", first.count);
    let second = load_a_long_run(256 << 20, 2, true).unwrap();
    assert!(first == second, "{} and {} refused", first.count, second.count);
    let error = load_a_long_run(256 << 20, 2, false).unwrap_err();
    let BulkError::Entry { input_position, source: WriteError::RunTooLong { .. } } = error else {
        panic!("{error}")
    };
    assert_eq!(input_position.position, first.refused[0]);
}
