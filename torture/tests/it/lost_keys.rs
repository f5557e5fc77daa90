//! The keys reported as lost to damage are exactly the keys whose lookups fail, whichever block is
//! damaged.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use sst_conformance::{TestEntry, TestValue};
use sst_format::{BlobNumber, BlockIndex};
use sst_reader::{
    Affected, BlockRole, FileLabel, Lookup, ReadError, ReaderOptions, StaticSortedFile,
};
use sst_torture::model::sorted;
use sst_torture::model::table::{Written, blocks_of, write};

/// Keys of three lengths with values of every kind: several key blocks, several blocks of small
/// values and several of one medium value each.
fn table() -> Written {
    let value = |i: u32| match i % 5 {
        0 => TestValue::Inline(vec![1]),
        1 | 2 => TestValue::Small(vec![2; 400]),
        3 if i % 20 == 3 => TestValue::Medium(vec![3; 5_000]),
        3 => TestValue::Deleted,
        _ => TestValue::Blob(i % 3),
    };
    let key = |i: u32| [&i.to_be_bytes()[..], &[b'k'; 600][..i as usize % 3 * 300]].concat();
    write(&sorted((0..200).map(|i| TestEntry::new(key(i), value(i))).collect()))
}

fn open(written: &Written, damaged: Option<BlockIndex>) -> StaticSortedFile {
    let mut bytes = written.bytes.clone();
    if let Some(block) = damaged {
        let at = blocks_of(&bytes)[usize::from(block.0)].end - 1;
        bytes[at] ^= 1;
    }
    let options = ReaderOptions::default();
    StaticSortedFile::from_bytes("table", bytes, Some(&written.meta), &options).unwrap()
}

/// The reported losses: keys by block, keys by blob, and ranges of hashes by block.
#[derive(Debug, Default, PartialEq, Eq)]
struct Lost {
    in_blocks: Vec<(BlockIndex, Vec<u8>)>,
    in_blobs: Vec<(BlobNumber, Vec<u8>)>,
    hashes: Vec<(BlockIndex, RangeInclusive<u64>)>,
}

impl Lost {
    fn of(file: &StaticSortedFile, blocks: &[BlockIndex], blobs: &[u32]) -> Self {
        let blocks: BTreeSet<_> = blocks.iter().copied().collect();
        let blobs: BTreeSet<_> = blobs.iter().copied().map(BlobNumber).collect();
        let mut lost = Self::default();
        let walked = file.affected_by::<ReadError>(&blocks, &blobs, &mut |affected| {
            match affected {
                Affected::ValueInBlock { block, key } => lost.in_blocks.push((block, key.to_vec())),
                Affected::ValueInBlob { blob, key } => lost.in_blobs.push((blob, key.to_vec())),
                Affected::Hashes { block, hashes } => lost.hashes.push((block, hashes)),
            }
            Ok(())
        });
        walked.unwrap();
        lost
    }

    fn has(&self, entry: &TestEntry) -> bool {
        self.in_blocks.iter().any(|(_, key)| *key == entry.key)
            || self.hashes.iter().any(|(_, hashes)| hashes.contains(&entry.hash))
    }
}

fn roles(written: &Written) -> Vec<(BlockIndex, BlockRole)> {
    let info = open(written, None).inspect().unwrap();
    info.blocks.iter().map(|block| (block.index, block.role)).collect()
}

#[test]
fn exactly_the_keys_are_lost_that_a_lookup_fails_for() {
    let written = table();
    let roles = roles(&written);
    for (role, at_least) in
        [(BlockRole::Keys, 3), (BlockRole::SmallValues, 3), (BlockRole::MediumValue, 10)]
    {
        assert!(roles.iter().filter(|known| known.1 == role).count() >= at_least, "{role:?}");
    }
    for &(block, role) in roles.iter().filter(|known| known.1 != BlockRole::Index) {
        let damaged = open(&written, Some(block));
        let lost = Lost::of(&damaged, &[block], &[]);
        for entry in &written.entries {
            let fails = damaged.get(&entry.key).is_err();
            assert_eq!(lost.has(entry), fails, "{block:?}, {role:?}, {:?}", entry.key);
        }
        // Keys are reported by name unless their key block is damaged.
        let of_block = |(known, _): &(BlockIndex, Vec<u8>)| *known == block;
        assert!(lost.in_blocks.iter().all(of_block) && lost.in_blobs.is_empty(), "{lost:?}");
        match role {
            BlockRole::Keys => assert!(lost.in_blocks.is_empty() && lost.hashes.len() == 1),
            _ => assert!(!lost.in_blocks.is_empty() && lost.hashes.is_empty()),
        }
        // For an intact file, the report is the same if the caller names the block as damaged.
        assert_eq!(Lost::of(&open(&written, None), &[block], &[]), lost);
        // A damaged key block is noticed while the table is read; damaged blocks of other kinds are
        // not read.
        let noticed = Lost::of(&damaged, &[], &[]);
        let expected = if role == BlockRole::Keys { lost } else { Lost::default() };
        assert_eq!(noticed, expected);
    }
}

#[test]
fn ranges_of_lost_hashes_lie_side_by_side() {
    let written = table();
    let file = open(&written, None);
    let roles = roles(&written);
    let keys: Vec<_> =
        roles.iter().filter(|known| known.1 == BlockRole::Keys).map(|known| known.0).collect();
    let lost = Lost::of(&file, &keys, &[]);
    assert_eq!(lost.hashes.iter().map(|known| known.0).collect::<Vec<_>>(), keys);
    let all = written.entries[0].hash..=written.entries.last().unwrap().hash;
    assert_eq!(lost.hashes[0].1.start(), all.start());
    assert_eq!(lost.hashes.last().unwrap().1.end(), all.end());
    for pair in lost.hashes.windows(2) {
        assert_eq!(pair[0].1.end() + 1, *pair[1].1.start());
    }
    // A lost index block takes all keys with it, even if key blocks are damaged too.
    let (index, _) = *roles.last().unwrap();
    let expected = Lost { hashes: vec![(index, all)], ..Lost::default() };
    assert_eq!(Lost::of(&file, &[index], &[]), expected);
    assert_eq!(Lost::of(&file, &[keys[0], index], &[0]), expected);
}

#[test]
fn keys_of_lost_blobs_are_named_in_the_order_of_their_hashes() {
    let written = table();
    let file = open(&written, None);
    let lost = Lost::of(&file, &[], &[0, 2, 7]);
    let expected: Vec<_> = written
        .entries
        .iter()
        .filter_map(|entry| match file.get(&entry.key).unwrap() {
            Lookup::Blob(blob) if [0, 2].contains(&blob.0) => Some((blob, entry.key.clone())),
            _ => None,
        })
        .collect();
    assert!(expected.len() > 10);
    assert_eq!(lost, Lost { in_blobs: expected, ..Lost::default() });
    assert_eq!(Lost::of(&file, &[], &[]), Lost::default());
}

#[test]
fn the_callback_can_end_the_walk() {
    let file = open(&table(), None);
    let blobs = BTreeSet::from([BlobNumber(0)]);
    let keys = BTreeSet::from([BlockIndex(file.block_count() - 1)]);
    for (blocks, blobs) in [(BTreeSet::new(), blobs), (keys, BTreeSet::new())] {
        let mut told = 0;
        let ended = file.affected_by(&blocks, &blobs, &mut |_| {
            told += 1;
            Err(ReadError::Cancelled { file: FileLabel::new("enough") })
        });
        assert!(matches!(ended, Err(ReadError::Cancelled { .. })), "{ended:?}");
        assert_eq!(told, 1);
    }
}
