//! Tests of the limits of a table, with small limits.

use sst_format::BlobNumber;
use sst_format::offset_table::OffsetTable;

use super::*;
use crate::{Compression, EntryValue, hash_key};

/// Entries with increasing hashes, and with keys so long that their blocks store hashes.
struct Numbered<'a>(u64, EntryValue<'a>);

impl Entry for Numbered<'_> {
    fn key_hash(&self) -> u64 {
        self.0
    }

    fn key_len(&self) -> usize {
        33 + self.0.to_be_bytes()[7] as usize % 100
    }

    fn write_key_to(&self, out: &mut Vec<u8>) {
        out.resize(self.key_len(), 0);
    }

    fn value(&self) -> EntryValue<'_> {
        self.1
    }
}

/// The result of writing some values: how many were accepted, the number of blocks, and the end of
/// the last one.
#[derive(Debug, PartialEq)]
struct Written {
    taken: usize,
    blocks: u64,
    end: u64,
}

/// Writes as many of the values as the capacity allows. Checks that the others are refused for
/// their capacity.
fn fill(values: &[EntryValue<'_>], compression: Compression, capacity: Capacity) -> Written {
    let options = WriterOptions::default().compression(compression);
    let mut writer = StreamingSstWriter::with_capacity(Vec::new(), options, capacity);
    let mut taken = 0;
    for (hash, value) in (0..).zip(values) {
        let entry = Numbered(hash, *value);
        let has_room = writer.has_room_for(&entry);
        match writer.add(&entry) {
            Ok(()) => taken += 1,
            Err(error) => {
                assert!(error.is_capacity() && !has_room, "{error}");
                let is_blocks = matches!(error, WriteError::TooManyBlocks { .. });
                assert_eq!(is_blocks, capacity.blocks < ENCODABLE.blocks);
            }
        }
    }
    let meta = match writer.finish() {
        Ok(finished) => finished.meta,
        Err(WriteError::NoEntries) => return Written { taken, blocks: 0, end: 0 },
        Err(error) => panic!("{error}"),
    };
    let end = meta.file_size - OffsetTable::len_of(meta.block_count) as u64;
    let written = Written { taken, blocks: meta.block_count.into(), end };
    assert!(written.blocks <= capacity.blocks && written.end <= capacity.end);
    written
}

/// Mixes of values in which blocks wait to be written in every way.
fn mixes() -> Vec<Vec<EntryValue<'static>>> {
    use EntryValue::{Blob, Deleted, Inline, Medium, Small};
    let noise: &[u8] =
        Box::leak((0..20_000_u32).flat_map(|i| hash_key(&i.to_be_bytes()).to_be_bytes()).collect());
    let of = |values: &[EntryValue<'static>], count| {
        values.iter().copied().cycle().take(count).collect::<Vec<_>>()
    };
    vec![
        of(&[Deleted], 1000),
        of(&[Inline(b"12345678"), Blob(BlobNumber(1))], 1000),
        of(&[Medium(&noise[..5000])], 30),
        of(&[Medium(b"")], 300),
        of(&[Small(&noise[..3000])], 30),
        of(&[Small(&noise[..3000]), Medium(&noise[..6000]), Inline(b"1"), Deleted], 500),
        of(&[&of(&[Small(b"1")], 3)[..], &of(&[Deleted], 400)].concat(), 2000),
    ]
}

#[test]
fn defect_13_capacity_in_blocks_is_exact() {
    for values in mixes() {
        for compression in [Compression::None, Compression::Lz4] {
            let all = fill(&values, compression, ENCODABLE);
            assert_eq!(all.taken, values.len());
            for more in [0, 1] {
                let blocks = all.blocks + more;
                assert_eq!(fill(&values, compression, Capacity { blocks, ..ENCODABLE }), all);
            }
            for blocks in (0..all.blocks).rev().take(3) {
                let less = fill(&values, compression, Capacity { blocks, ..ENCODABLE });
                assert!(less.taken < all.taken);
            }
        }
    }
}

#[test]
fn defect_15_capacity_in_bytes_is_exact_where_nothing_compresses() {
    for values in mixes() {
        let all = fill(&values, Compression::None, ENCODABLE);
        for more in [0, 1] {
            let end = all.end + more;
            assert_eq!(fill(&values, Compression::None, Capacity { end, ..ENCODABLE }), all);
        }
        for end in (0..all.end).rev().take(3).chain([all.end / 2, 40, 0]) {
            let less = fill(&values, Compression::None, Capacity { end, ..ENCODABLE });
            assert!(less.taken < all.taken);
        }
    }
}

#[test]
fn defect_15_capacity_in_bytes_is_exact_wherever_a_key_block_ends() {
    for count in 1..400 {
        let values = vec![EntryValue::Deleted; count];
        let all = fill(&values, Compression::None, ENCODABLE);
        let fitting = Capacity { end: all.end, ..ENCODABLE };
        assert_eq!(fill(&values, Compression::None, fitting), all);
        let short = Capacity { end: all.end - 1, ..ENCODABLE };
        assert_eq!(fill(&values, Compression::None, short).taken, count - 1);
    }
}

#[test]
fn defect_15_capacity_in_bytes_holds_where_blocks_compress() {
    for values in mixes() {
        let all = fill(&values, Compression::Lz4, ENCODABLE);
        let spare = Capacity { end: all.end + (2 << 20), ..ENCODABLE };
        assert_eq!(fill(&values, Compression::Lz4, spare), all);
        for end in (0..all.end).step_by(9973) {
            let less = fill(&values, Compression::Lz4, Capacity { end, ..ENCODABLE });
            assert!(less.taken < all.taken);
        }
    }
    // The compressed length of a medium value is known, so that length counts.
    let zeros = vec![0; 1 << 20];
    let medium = [EntryValue::Medium(&zeros); 4];
    let all = fill(&medium, Compression::Lz4, ENCODABLE);
    assert!(all.end < 20_000);
    assert_eq!(fill(&medium, Compression::Lz4, Capacity { end: 20_000, ..ENCODABLE }), all);
}

#[test]
fn defect_14_full_before_entries_are_refused() {
    for values in mixes() {
        let blocks = fill(&values, Compression::None, ENCODABLE).blocks / 2 + 20;
        let capacity = Capacity { blocks, ..ENCODABLE };
        let options = WriterOptions::default();
        let mut writer = StreamingSstWriter::with_capacity(Vec::new(), options, capacity);
        for (hash, value) in (0..).zip(&values) {
            if writer.is_full(u64::MAX, u64::MAX) {
                break;
            }
            writer.add(Numbered(hash, *value)).unwrap();
        }
        let written = u64::from(writer.finish().unwrap().meta.block_count);
        assert!(written == blocks - 16 || written < blocks / 2 + 20, "{written} of {blocks}");
    }
}

#[test]
fn size_reckoned_is_the_size_written() {
    for values in mixes() {
        let options = WriterOptions::default().compression(Compression::None);
        let mut writer = StreamingSstWriter::new(Vec::new(), options);
        for (hash, value) in (0..).zip(&values) {
            writer.add(Numbered(hash, *value)).unwrap();
        }
        let all = fill(&values, Compression::None, ENCODABLE);
        assert!(writer.is_full(u64::MAX, all.end));
        assert!(!writer.is_full(u64::MAX, all.end + 1));
        assert!(writer.is_full(values.len() as u64, u64::MAX));
        assert!(!writer.is_full(values.len() as u64 + 1, u64::MAX));
    }
}
