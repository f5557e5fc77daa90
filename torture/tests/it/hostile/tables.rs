//! Tables with one lie each, made by hand.

use byteorder::{BigEndian, ByteOrder};
use sst_conformance::{TestEntry, TestValue};
use sst_format::index_block::IndexBlockEncoder;
use sst_format::key_block::{KeyBlock, KeyBlockKind};
use sst_format::{BlockIndex, FormatError, SstMeta, Structure};
use sst_reader::{Corruption, ReadError, hash_key};

use sst_torture::model::parts::{Part, Parts, ReadOutcome};
use sst_torture::model::reader_options;
use sst_torture::model::table::write;
use sst_torture::model::{corpus, inline, numbered};
use sst_torture::{Verdict, allocations};

type Keys = Vec<(u64, Vec<u8>)>;

fn keys_of(entries: &[TestEntry]) -> Keys {
    entries.iter().map(|entry| (entry.hash, entry.key.clone())).collect()
}

/// Reads a table in every way. That must not panic, must end, and must stay within the memory
/// limit.
fn read_all(
    bytes: &[u8],
    meta: Option<&SstMeta>,
    keys: &[(u64, Vec<u8>)],
    what: &str,
) -> ReadOutcome {
    let outcome =
        sst_torture::model::parts::read_all(bytes.to_vec(), meta, keys, &reader_options());
    assert_eq!(allocations::take_excess(), None, "{what}");
    assert!(!matches!(outcome.verdict(), Verdict::Wrong(_)), "{what}: {outcome:?}");
    outcome
}

/// Reads a table in every way. Some read or verification must find damage.
fn damaged(parts: &Parts, keys: &Keys, what: &str) -> ReadOutcome {
    let outcome = read_all(&parts.to_bytes(), None, keys, what);
    assert!(outcome.is_damaged(), "{what}: nothing found");
    outcome
}

/// The cause of the error, for a table that cannot be opened or whose lookups all fail.
fn cause(outcome: &ReadOutcome) -> &Corruption {
    match outcome.error.as_ref() {
        Some(ReadError::Corrupt { cause, .. }) => cause,
        other => panic!("{other:?}"),
    }
}

/// A table of one key block whose payload `lie` changes: first key block, then index.
fn with_key_block(entries: &[TestEntry], lie: impl FnOnce(&mut Vec<u8>)) -> Parts {
    let mut parts = Parts::of(&write(entries).bytes);
    let index = parts.blocks.len() - 2;
    let key_block = &mut parts.blocks[index].payload;
    assert!(KeyBlock::parse(key_block).is_ok());
    lie(key_block);
    parts
}

/// Five entries with keys of a fixed size: a key block of 6 + 5 × 5 bytes, and the index.
fn five() -> Vec<TestEntry> {
    numbered(5, |i| inline(i.to_be_bytes()[3]))
}

/// An index block over these key blocks.
fn index(key_blocks: impl IntoIterator<Item = (u64, u16)>) -> Part {
    let mut index = IndexBlockEncoder::new();
    for (hash, block) in key_blocks {
        index.push(hash, BlockIndex(block));
    }
    Part::raw(index.finish().unwrap())
}

/// Three key blocks of two entries each, without an index block; their first hashes; their keys.
fn three_key_blocks() -> (Parts, Vec<u64>, Keys) {
    let entries = numbered(6, |i| inline(i.to_be_bytes()[3]));
    let blocks = entries.chunks(2).map(|entries| Parts::of(&write(entries).bytes).blocks.remove(0));
    let firsts = entries.chunks(2).map(|entries| entries[0].hash).collect();
    (Parts::new(blocks.collect::<Vec<_>>()), firsts, keys_of(&entries))
}

#[test]
fn counts_that_lie() {
    for kind in corpus::KINDS {
        let entries = corpus::entries_for(kind);
        for count in [0_u32, 6, 8, 1000, 0xff_ffff] {
            let parts = with_key_block(&entries, |block| {
                BigEndian::write_u24(&mut block[1..], count);
            });
            damaged(&parts, &keys_of(&entries), &format!("{count} entries in {}", kind.name()));
        }
    }
}

#[test]
fn positions_that_lie() {
    for kind in corpus::KINDS.into_iter().filter(|kind| matches!(kind, KeyBlockKind::Variable(_))) {
        let entries = corpus::entries_for(kind);
        let keys = keys_of(&entries);
        let mut errors = 0;
        for (entry, position) in [
            (0, 1_u32),
            (0, 0xff_ffff),
            (1, 0),
            (1, 1),
            (3, 2),
            (3, 0xff_ffff),
            (6, 0xff_ffff),
            (6, 9),
        ] {
            let parts = with_key_block(&entries, |block| {
                let at = 4 + 4 * entry;
                BigEndian::write_u24(&mut block[at + 1..], position);
            });
            let what = format!("entry {entry} at {position} in {}", kind.name());
            errors += u64::from(damaged(&parts, &keys, &what).error.is_some());
        }
        // A wrong start of the first entry may only make a key longer or shorter. The other wrong
        // starts lie outside of their block.
        assert!(errors >= 6, "{errors}");
    }
}

#[test]
fn types_that_are_not_defined() {
    for kind in corpus::KINDS {
        let entries = corpus::entries_for(kind);
        for type_byte in 4..8_u8 {
            let parts = with_key_block(&entries, |block| match kind {
                KeyBlockKind::Fixed(_) => block[5] = type_byte,
                KeyBlockKind::Variable(_) => block[4] = type_byte,
            });
            let what = format!("type {type_byte} in {}", kind.name());
            let outcome = damaged(&parts, &keys_of(&entries), &what);
            let unknown = Corruption::Format(FormatError::UnknownEntryType { found: type_byte });
            assert_eq!(*cause(&outcome), unknown, "{what}");
        }
        for kind_byte in [0, 5, 0xff] {
            let parts = with_key_block(&entries, |block| block[0] = kind_byte);
            damaged(&parts, &keys_of(&entries), &format!("kind {kind_byte}"));
        }
    }
}

#[test]
fn empty_blocks() {
    let entries = five();
    for len in 0..8 {
        let parts = with_key_block(&entries, |block| block.truncate(len));
        damaged(&parts, &keys_of(&entries), &format!("key block of {len} bytes"));
        let mut parts = Parts::of(&write(&entries).bytes);
        parts.blocks[1].payload.truncate(len.min(2));
        damaged(&parts, &keys_of(&entries), "short index block");
    }
    damaged(&Parts::new([Part::raw([])]), &keys_of(&entries), "one block of no bytes");
    assert!(read_all(&[], None, &keys_of(&entries), "no bytes").is_damaged());
}

#[test]
fn references_to_where_no_value_is() {
    let small = vec![TestEntry::new("k", TestValue::Small(vec![1; 30]))];
    let keys = keys_of(&small);
    // Block, length and offset of the value. Block 0 has the values, block 1 the keys, block 2 is
    // the index block.
    for (block, len, offset, is_readable) in [
        (0_u16, 31_u16, 0_u32, false),
        (0, 1, 30, false),
        (0, 0, 31, false),
        (0, 30, u32::MAX, false),
        (0, u16::MAX, u32::MAX, false),
        (1, 4, 0, true),
        (2, 3, 0, true),
        (2, 4, 0, false),
        (3, 0, 0, false),
        (u16::MAX, 0, 0, false),
    ] {
        let parts = with_key_block(&small, |payload| {
            let at = payload.len() - 8;
            BigEndian::write_u16(&mut payload[at..], block);
            BigEndian::write_u16(&mut payload[at + 2..], len);
            BigEndian::write_u32(&mut payload[at + 4..], offset);
        });
        let what = format!("{len} bytes at {offset} of block {block}");
        assert_eq!(damaged(&parts, &keys, &what).error.is_none(), is_readable, "{what}");
    }
    let medium = vec![TestEntry::new("k", TestValue::Medium(vec![1; 30]))];
    for (block, is_readable) in [(1_u16, true), (2, true), (3, false), (u16::MAX, false)] {
        let parts = with_key_block(&medium, |payload| {
            let at = payload.len() - 2;
            BigEndian::write_u16(&mut payload[at..], block);
        });
        let what = format!("medium value in block {block}");
        assert_eq!(damaged(&parts, &keys, &what).error.is_none(), is_readable, "{what}");
    }
}

#[test]
fn keys_out_of_order() {
    let entries = five();
    let parts = with_key_block(&entries, |block| block[6..].rotate_left(5));
    damaged(&parts, &keys_of(&entries), "keys rotated");
    let parts = with_key_block(&entries, |block| block.copy_within(6..11, 11));
    // Two entries of one key are allowed. But the last entry's hash must be that of the
    // description.
    read_all(&parts.to_bytes(), None, &keys_of(&entries), "a key twice");
    let long = corpus::entries_for(corpus::KINDS[2]);
    let parts = with_key_block(&long, |block| block[6..14].fill(0xff));
    damaged(&parts, &keys_of(&long), "a stored hash above the next");
}

#[test]
fn indexes_that_lie() {
    let (parts, firsts, keys) = three_key_blocks();
    let &[a, b, c] = &firsts[..] else { panic!("three key blocks") };
    let with = |last: Part| Parts::new([&parts.blocks[..], &[last]].concat());
    let right = with(index([(a, 0), (b, 1), (c, 2)]));
    assert!(!read_all(&right.to_bytes(), None, &keys, "no lie").is_damaged());
    let structure = Structure::IndexBlock;
    let no_such = |block| FormatError::NoSuchBlock { block, block_count: 4 };
    let out_of_order = |index| FormatError::OutOfOrder { structure, index };
    for (what, lie, expected) in [
        ("itself", index([(a, 0), (b, 3), (c, 2)]), no_such(3)),
        ("itself only", index([(a, 3)]), no_such(3)),
        ("a missing block", index([(a, 0), (b, 4)]), no_such(4)),
        ("the last index there is", index([(a, u16::MAX)]), no_such(u16::MAX)),
        ("a block twice", index([(a, 0), (b, 0), (c, 2)]), out_of_order(1)),
        ("blocks descending", index([(a, 2), (b, 1), (c, 0)]), out_of_order(1)),
        ("hashes descending", index([(a, 0), (c, 1), (b, 2)]), out_of_order(2)),
        ("a hash twice", index([(a, 0), (b, 1), (b, 2)]), out_of_order(2)),
    ] {
        let outcome = damaged(&with(lie), &keys, what);
        assert!(outcome.report.is_none(), "{what}: could be opened");
        assert_eq!(*cause(&outcome), Corruption::Format(expected), "{what}");
    }
    let mut longer = index([(a, 0), (b, 1), (c, 2)]);
    longer.payload.push(0);
    damaged(&with(longer), &keys, "a byte too many");
    damaged(&with(index([(a, 0), (b, 1)])), &keys, "a key block left out");
    damaged(&with(index([(a, 0), (b, 1), (c + 1, 2)])), &keys, "a first hash too high");
    damaged(&with(index([(a, 0), (b, 1), (c - 1, 2)])), &keys, "a first hash too low");
    let compressed = Part::lz4(index([(a, 0), (b, 1), (c, 2)]).payload);
    let outcome = damaged(&with(compressed), &keys, "compressed");
    assert_eq!(*cause(&outcome), Corruption::CompressedIndex);
}

#[test]
fn an_index_that_names_one_block_over_and_over() {
    // A key block of 500,000 entries in 2 KB, listed 2,000 times: 10^9 entries to iterate over, in
    // a file of 22 KB.
    let count = 500_000_u32;
    let mut keys = vec![4];
    keys.extend_from_slice(&count.to_be_bytes()[1..]);
    keys.extend_from_slice(&[0, 9]);
    keys.resize(6 + count as usize, 0);
    let parts = Parts::new([Part::lz4(keys), index((0..2000).map(|i| (i, 0)))]);
    let outcome = damaged(&parts, &vec![(hash_key(b""), Vec::new())], "one block over and over");
    assert!(outcome.report.is_none());
}

#[test]
fn more_wrong_entries_than_a_report_can_hold() {
    // Each of 500,000 medium values refers to a block that does not exist.
    let count = 500_000_u32;
    let mut keys = vec![4];
    keys.extend_from_slice(&count.to_be_bytes()[1..]);
    keys.extend_from_slice(&[0, 3]);
    keys.resize(6 + 2 * count as usize, 0xee);
    let parts = Parts::new([Part::lz4(keys), index([(0, 0)])]);
    let outcome = damaged(&parts, &vec![(hash_key(b""), Vec::new())], "wrong entries");
    let damage = outcome.report.unwrap().damage;
    assert!((1..1000).contains(&damage.len()), "{}", damage.len());
}

#[test]
fn sizes_that_lie() {
    let entries = vec![
        TestEntry::new("medium", TestValue::Medium(vec![1; 3000])),
        TestEntry::new("small", TestValue::Small(vec![2; 3000])),
    ];
    let entries = sst_torture::model::sorted(entries);
    let keys = keys_of(&entries);
    let table = write(&entries);
    let intact = Parts::of(&table.bytes);
    assert_eq!(intact.blocks.iter().filter(|block| block.is_compressed).count(), 2);
    for block in 0..intact.blocks.len() {
        let true_len = u32::try_from(intact.blocks[block].payload.len()).unwrap();
        for size in [1, true_len - 1, true_len + 1, 5000, 1 << 20, 1 << 30, u32::MAX] {
            let mut parts = intact.clone();
            parts.blocks[block].false_size = Some(size);
            let what = format!("block {block} states {size} bytes");
            let outcome = damaged(&parts, &keys, &what);
            if size >= 1 << 20 {
                let is_ratio = matches!(
                    cause(&outcome),
                    Corruption::Format(FormatError::ImpossibleRatio { .. })
                );
                assert!(is_ratio, "{what}: {:?}", outcome.error);
            }
        }
    }
    // The highest size that LZ4 could produce is decompressed, and found to be false.
    let mut parts = intact;
    let stored = blocks_len(&parts, 0);
    parts.blocks[0].false_size = Some(stored * 255);
    let outcome = damaged(&parts, &keys, "as much as could be");
    assert!(matches!(cause(&outcome), Corruption::Decompression { .. }));
    parts.blocks[0].false_size = Some(stored * 255 + 1);
    let outcome = damaged(&parts, &keys, "one byte more");
    let ratio = |error: &Corruption| {
        matches!(error, Corruption::Format(FormatError::ImpossibleRatio { .. }))
    };
    assert!(ratio(cause(&outcome)));
}

/// Stored length of a block without its header.
fn blocks_len(parts: &Parts, block: usize) -> u32 {
    let range = &sst_torture::model::table::blocks_of(&parts.to_bytes())[block];
    u32::try_from(range.len() - 8).unwrap()
}

#[test]
fn offsets_that_lie() {
    let entries = five();
    let keys = keys_of(&entries);
    let intact = Parts::of(&write(&entries).bytes);
    let blocks = sst_torture::model::table::blocks_of(&intact.to_bytes());
    let first_end = u32::try_from(blocks[0].end).unwrap();
    for (block, end) in [
        (0, 0),
        (0, 7),
        (0, first_end - 1),
        (0, first_end + 1),
        (0, u32::MAX),
        (1, 0),
        (1, first_end),
        (1, u32::MAX),
        (1, u32::MAX - 7),
    ] {
        let mut parts = intact.clone();
        parts.false_ends.push((block, end));
        let outcome = damaged(&parts, &keys, &format!("block {block} ends at {end}"));
        assert!(outcome.report.is_none() || outcome.error.is_some());
    }
}

#[test]
fn descriptions_that_lie() {
    let entries = five();
    let keys = keys_of(&entries);
    let table = write(&entries);
    for block_count in [0, 1, 3, 8, u16::MAX] {
        let mut meta = table.meta.clone();
        meta.block_count = block_count;
        let outcome = read_all(&table.bytes, Some(&meta), &keys, "block count");
        assert!(outcome.report.is_none(), "{block_count} blocks");
    }
    for (min_hash, max_hash) in [(0, u64::MAX), (u64::MAX, 0), (7, 7)] {
        let mut meta = table.meta.clone();
        (meta.min_hash, meta.max_hash) = (min_hash, max_hash);
        assert!(read_all(&table.bytes, Some(&meta), &keys, "hash range").is_damaged());
    }
    let mut meta = table.meta.clone();
    meta.file_size = u64::MAX;
    let outcome = read_all(&table.bytes, Some(&meta), &keys, "file size");
    assert!(matches!(cause(&outcome), Corruption::FileSize { expected: u64::MAX, .. }));
}
