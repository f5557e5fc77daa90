//! Bounds on memory and work that hold for every call, tested with hostile tables whose entries
//! refer to the same compressed blocks over and over.

use std::fs;

use sst_format::BlobNumber;
use sst_format::value_ref::ValueRef;
use sst_reader::{
    Access, BlockCache, Lookup, ReadError, ReadValue, ReaderOptions, SstSet, StaticSortedFile,
};
use sst_torture::allocations::{peak_of, read_limit};
use sst_torture::collisions::colliding_key;
use sst_torture::model::repeating_table::{BLOCK_LEN, ENTRIES, RepeatingTable, blob, without_room};
use sst_torture::model::{files, scratch};
use sst_writer::{
    BulkError, BulkLoader, BulkOptions, Monitor, Publisher, PublisherOptions, WriteError,
};

fn blocks_loaded(cache: &BlockCache) -> u64 {
    cache.statistics().blocks_loaded
}

#[test]
fn values_of_one_key_share_the_block_that_they_name() {
    for value_blocks in [1, 2, 3] {
        let hostile = RepeatingTable::in_turn(value_blocks, true);
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
    let hostile = RepeatingTable::in_turn(2, true);
    let of_blobs = RepeatingTable::new(1, true, |i| ValueRef::Blob(BlobNumber(10 + i % 2)));
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
    let hostile = RepeatingTable::in_turn(2, false);
    let table = hostile.open(&without_room());
    let (found, peak) = peak_of(|| {
        let found = table.multi_get(&keys);
        found.iter().filter(|found| matches!(found, Ok(Lookup::Value(_)))).count()
    });
    assert_eq!(found, keys.len());
    assert!(peak <= hostile.limit(), "{peak}");

    let of_blobs = RepeatingTable::new(1, false, |i| ValueRef::Blob(BlobNumber(10 + i % 2)));
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
        let hostile = RepeatingTable::in_turn(value_blocks, false);
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
                    let ReadValue::Value(value) = entry.into_value().unwrap() else { continue };
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
    let hostile = RepeatingTable::in_turn(1, true);
    let limit = BLOCK_LEN as u64 - 1;
    let refused = |error: ReadError| {
        let ReadError::OverLimit { bytes, limit: told, .. } = error else { panic!("{error}") };
        assert_eq!((bytes, told), (BLOCK_LEN as u64, limit));
    };
    let limited = without_room().max_payload_len(limit);
    refused(hostile.open(&limited).get("same").unwrap_err());
    let enough = without_room().max_payload_len(limit + 1);
    assert!(hostile.open(&enough).get("same").is_ok());
    let of_blobs = RepeatingTable::new(1, true, |_| ValueRef::Blob(BlobNumber(10)));
    let dir = of_blobs.publish(&[blob(BLOCK_LEN)]);
    let get = |options| SstSet::open(dir.path(), options).unwrap().get("same").map(drop);
    refused(get(&limited).unwrap_err());
    get(&enough).unwrap();
}

#[test]
fn a_block_that_fits_into_the_cache_is_cached() {
    let hostile = RepeatingTable::in_turn(1, true);
    let cache = std::sync::Arc::new(BlockCache::new(BLOCK_LEN as u64 * 11 / 10));
    let table = hostile.open(&ReaderOptions::default().cache(cache.clone()));
    for _ in 0..10 {
        assert!(matches!(table.get("same"), Ok(Lookup::Value(_))));
    }
    // Loaded: one value block and one key block, and the index block when the table was opened.
    assert_eq!(blocks_loaded(&cache), 3);
    assert!(cache.used() >= BLOCK_LEN as u64 && cache.used() <= cache.capacity());
}

/// Loads more records with the same hash than a key block can hold. Returns the summary and the
/// bytes of the tables.
fn load_a_long_run(memory: usize, threads: usize, skip: bool) -> Result<Loaded, BulkError> {
    let dir = scratch();
    let mut publisher =
        Publisher::open(dir.path().join("db"), PublisherOptions::default()).unwrap();
    let options = BulkOptions::default().memory_budget(memory).threads(threads).skip_refused(skip);
    let loader = BulkLoader::new(&mut publisher, options, &Monitor::default())?;
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
