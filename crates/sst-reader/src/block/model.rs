//! Every interleaving of a few threads, tried by loom, with every order in which relaxed operations
//! may be seen.
//!
//! `cargo xtask model` runs these tests, which exist in builds with `--cfg loom` only. The cache
//! itself (quick_cache) is no part of the model: each of its operations is one step here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use loom::thread;
use sst_format::BlockIndex;
use sst_format::block::{BlockHeader, Encoding};
use sst_format::offset_table::{OffsetTable, encode_offset_table};

use crate::block::block_directory::{BlockDirectory, Stored};
use crate::block::blocks::{Blocks, Fill};
use crate::block::source::Source;
use crate::{BlockCache, Corruption, FileLabel, ReadError};

/// Tries every interleaving, and prints how many there were.
#[expect(clippy::print_stdout, reason = "the count goes to a report")]
fn explore(name: &str, model: impl Fn() + Send + Sync + 'static) {
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    loom::model(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let count = count.load(Ordering::Relaxed);
    assert!(count > 1, "there is only one interleaving");
    println!("model {name}: {count} interleavings");
}

fn directory_of(blocks: u16) -> BlockDirectory {
    let mut bytes = Vec::new();
    encode_offset_table((1..=u32::from(blocks)).map(|i| i * 8), &mut bytes);
    let file_len = u64::from(blocks) * 12;
    let table = OffsetTable::parse(&bytes, blocks, file_len).unwrap();
    BlockDirectory::new(&table, None).unwrap()
}

#[test]
fn no_state_is_lost_or_made_up_by_writes_to_its_neighbour() {
    explore("states of one byte", || {
        let directory = Arc::new(directory_of(4));
        let set = |block, state| {
            let directory = Arc::clone(&directory);
            thread::spawn(move || {
                assert!(directory.set_verified(BlockIndex(block), state));
                // A thread sees its own writes.
                assert_eq!(directory.verified(BlockIndex(block)), Some(state));
            })
        };
        let first = set(2, Stored::Compressed);
        let second = set(3, Stored::Raw);
        let seen = [directory.verified(BlockIndex(3)), directory.verified(BlockIndex(3))];
        assert!(!seen.contains(&Some(Stored::Compressed)));
        assert!(seen != [Some(Stored::Raw), None], "it was taken back");
        for thread in [first, second] {
            thread.join().unwrap();
        }
        let states = [0, 1, 2, 3].map(|block| directory.verified(BlockIndex(block)));
        let unknown = None;
        assert_eq!(states, [unknown, unknown, Some(Stored::Compressed), Some(Stored::Raw)]);
    });
}

/// Payloads of the blocks of a [`table`], with whether they are stored compressed. No two tables
/// share one that is intact.
fn payloads(table: u8) -> [(Vec<u8>, bool); 3] {
    [(vec![b'0' + table; 11], false), (vec![7 + table; 300], true), (b"damaged".to_vec(), false)]
}

/// A file of a raw block, a compressed one, and one with a wrong checksum.
fn table(number: u8) -> Vec<u8> {
    let (mut file, mut ends) = (Vec::new(), Vec::new());
    for (payload, is_compressed) in payloads(number) {
        let (encoding, stored) = match is_compressed {
            true => {
                let uncompressed_len = u32::try_from(payload.len()).unwrap();
                (Encoding::Lz4 { uncompressed_len }, lz4_flex::block::compress(&payload))
            }
            false => (Encoding::Raw, payload.clone()),
        };
        let damage = u32::from(payload == b"damaged");
        BlockHeader { encoding, checksum: crc32fast::hash(&stored) ^ damage }.encode(&mut file);
        file.extend_from_slice(&stored);
        ends.push(u32::try_from(file.len()).unwrap());
    }
    encode_offset_table(ends, &mut file);
    file
}

fn open(number: u8, cache: &Arc<BlockCache>) -> Blocks {
    let label = FileLabel::new("table");
    Blocks::open(
        label,
        Source::Memory(Box::new(table(number))),
        3,
        None,
        Arc::clone(cache),
        u64::MAX,
    )
    .unwrap()
}

fn check(blocks: &Blocks, number: u8, block: u16) {
    let found = blocks.payload(BlockIndex(block), Fill::Cache);
    match (block, found) {
        (2, Err(ReadError::Corrupt { cause: Corruption::Checksum { .. }, .. })) => {}
        (2, _) => panic!("a damaged block was taken for intact"),
        (_, Ok(payload)) => {
            assert_eq!(payload.as_slice(), payloads(number)[usize::from(block)].0);
        }
        (_, Err(error)) => panic!("{error}"),
    }
}

fn explore_lookups(name: &str, capacity: u64, asked: [[u16; 2]; 2]) {
    explore(name, move || {
        let blocks = Arc::new(open(0, &Arc::new(BlockCache::new(capacity))));
        let threads = asked.map(|asked| {
            let blocks = Arc::clone(&blocks);
            thread::spawn(move || asked.into_iter().for_each(|block| check(&blocks, 0, block)))
        });
        for thread in threads {
            thread.join().unwrap();
        }
        for block in 0..3 {
            check(&blocks, 0, block);
        }
    });
}

#[test]
fn threads_that_race_for_a_block_all_get_it_verified() {
    explore_lookups("the same blocks, cached", 1 << 20, [[0, 1], [0, 1]]);
    explore_lookups("the same blocks, a cache that keeps nothing", 0, [[1, 0], [1, 0]]);
    explore_lookups("different blocks", 1 << 20, [[0, 1], [1, 0]]);
}

#[test]
fn a_damaged_block_is_damaged_to_every_thread() {
    explore_lookups("a damaged block", 1 << 20, [[2, 2], [2, 0]]);
    explore_lookups("a damaged block, nothing kept", 0, [[2, 1], [1, 2]]);
}

#[test]
fn tables_that_share_a_cache_never_get_each_others_blocks() {
    explore("two tables, one cache", || {
        let cache = Arc::new(BlockCache::new(1 << 20));
        let tables = [0, 1].map(|number| (number, Arc::new(open(number, &cache))));
        let threads =
            tables.clone().map(|(number, blocks)| thread::spawn(move || check(&blocks, number, 1)));
        for thread in threads {
            thread.join().unwrap();
        }
        for (number, blocks) in &tables {
            check(blocks, *number, 1);
        }
    });
}
