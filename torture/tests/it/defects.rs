//! Defects of the reference implementation's reader that ours must not have: the rows of the list
//! of its known defects that need a reader. The writer's defects are in crates/sst-writer/tests,
//! the filter's in crates/sst-amqf/tests.

use std::fs;
use std::sync::Arc;

use byteorder::{BigEndian, ByteOrder};
use sst_amqf::QuotientFilter;
use sst_conformance::{SplitMix, TestEntry, TestValue};
use sst_format::filter::{FilterBytes, FilterPolicy};
use sst_reader::{
    BlockCache, Corruption, Lookup, ReadError, ReaderOptions, SstSet, StaticSortedFile,
    verify_directory,
};
use sst_torture::model::database::{Changes, Database};
use sst_torture::model::table::{Written, blocks_of, write};
use sst_torture::model::{inline, numbered, reader_options, sorted, without_panic};

/// The cause of an error, which must be corruption.
fn cause(error: ReadError) -> Corruption {
    let ReadError::Corrupt { cause, .. } = error else { unreachable!("{error}") };
    cause
}

/// A directory with one table whose only medium value has 8192 bytes and compresses.
fn power_of_two() -> Database {
    let value = SplitMix::new(3).half_random(8192);
    Database::of_table(sorted(vec![
        TestEntry::new("medium", TestValue::Medium(value)),
        TestEntry::new("other", inline(1)),
    ]))
}

#[test]
fn defect_3_size_word_of_a_block_that_lies() {
    let database = power_of_two();
    let path = database.dir().join("00000001.sst");
    let intact = fs::read(&path).unwrap();
    assert_eq!(BigEndian::read_u32(&intact), 8192);
    for size in [0, 1, 8191, 8193, u32::MAX] {
        let mut damaged = intact.clone();
        BigEndian::write_u32(&mut damaged, size);
        fs::write(&path, &damaged).unwrap();
        let set = SstSet::open(database.dir(), &reader_options()).unwrap();
        let cause = cause(set.get(b"medium").unwrap_err());
        assert!(matches!(cause, Corruption::HeaderMismatch { .. }), "{size}: {cause}");
        assert_eq!(set.get(b"other").unwrap().as_deref(), Some(&[1][..]));
    }
}

#[test]
fn defect_4_two_blocks_of_one_length_swapped() {
    let values = [b"first value".repeat(3), b"other value".repeat(3)];
    let medium = |key: &str, i: usize| TestEntry::new(key, TestValue::Medium(values[i].clone()));
    let database = Database::of_table(sorted(vec![medium("a", 0), medium("b", 1)]));
    let path = database.dir().join("00000001.sst");
    let mut file = fs::read(&path).unwrap();
    let blocks = blocks_of(&file);
    assert_eq!(blocks[0].len(), blocks[1].len());
    let (first, second) = file.split_at_mut(blocks[1].start);
    first.swap_with_slice(&mut second[..blocks[0].len()]);
    fs::write(&path, &file).unwrap();
    let set = SstSet::open(database.dir(), &reader_options()).unwrap();
    for key in [b"a", b"b"] {
        let cause = cause(set.get(key).unwrap_err());
        assert!(matches!(cause, Corruption::HeaderMismatch { .. }), "{cause}");
    }
}

#[test]
fn defect_7_lookups_give_the_first_entry_of_a_key_and_all_in_their_order() {
    let entries: Vec<TestEntry> = (0..200).map(|i| TestEntry::new("key", inline(i))).collect();
    let table = write(&entries).open(&reader_options());
    assert_eq!(table.get(b"key").unwrap().into_value().as_deref(), Some(&[0][..]));
    let all: Vec<_> = table.get_all(b"key").unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(all.len(), 200);
    for (i, value) in (0..).zip(all) {
        assert_eq!(Lookup::from(value).into_value().as_deref(), Some(&[i][..]));
    }
}

#[test]
fn defect_8_two_directories_share_a_cache_and_nothing_else() {
    let cache = Arc::new(BlockCache::new(1 << 20));
    let options = ReaderOptions::default().cache(Arc::clone(&cache));
    let databases: Vec<Database> = [7, 9]
        .map(|byte| Database::of_table(numbered(100, |_| TestValue::Small(vec![byte; 100]))))
        .into();
    let sets: Vec<SstSet> =
        databases.iter().map(|db| SstSet::open(db.dir(), &options).unwrap()).collect();
    for _ in 0..2 {
        for (set, byte) in sets.iter().zip([7, 9]) {
            let value = set.get(5_u32.to_be_bytes()).unwrap().unwrap();
            assert_eq!(&*value, &[byte; 100]);
        }
    }
    assert!(cache.len() >= 2, "both sets went through the cache");
}

#[test]
fn defect_18_every_bit_of_the_offset_table() {
    let written = write(&numbered(700, |_| TestValue::Small(vec![5; 60])));
    let start = blocks_of(&written.bytes).last().unwrap().end;
    let mut found = 0;
    for bit in start * 8..written.bytes.len() * 8 {
        let mut bytes = written.bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let answer = without_panic(|| read_all(&written, bytes)).expect("no panic");
        found += usize::from(answer.is_err());
        assert!(answer.unwrap_or(true), "bit {bit}: a wrong answer");
    }
    assert_eq!(found, (written.bytes.len() - start) * 8);
}

/// Whether a table of these bytes has the value of every entry of `written`.
fn read_all(written: &Written, bytes: Vec<u8>) -> Result<bool, ReadError> {
    let meta = Some(&written.meta);
    let table = StaticSortedFile::from_bytes("table", bytes, meta, &reader_options())?;
    for entry in &written.entries {
        let found = table.lookup(entry.hash, &entry.key)?;
        if found.into_value().as_deref() != entry.value.bytes() {
            return Ok(false);
        }
    }
    Ok(true)
}

#[test]
fn defect_19_wrong_block_count_and_truncated_file() {
    let written = write(&numbered(700, |_| TestValue::Small(vec![5; 60])));
    for block_count in (0..written.meta.block_count).chain([written.meta.block_count + 1, u16::MAX])
    {
        let mut described = written.clone();
        described.meta.block_count = block_count;
        let answer =
            without_panic(|| read_all(&described, written.bytes.clone())).expect("no panic");
        assert!(answer.is_err(), "{block_count} blocks");
    }
    for len in 0..written.bytes.len() {
        let answer = without_panic(|| read_all(&written, written.bytes[..len].to_vec()));
        assert!(answer.expect("no panic").is_err(), "{len} bytes");
    }
}

#[test]
fn defect_20_an_index_block_that_refers_to_itself() {
    let mut written = write(&numbered(3, |_| inline(1)));
    let index = blocks_of(&written.bytes).pop().unwrap();
    let own = written.meta.block_count - 1;
    let payload = index.start + 8;
    BigEndian::write_u16(&mut written.bytes[payload + 1..], own);
    let checksum = crc32fast::hash(&written.bytes[payload..index.end]);
    BigEndian::write_u32(&mut written.bytes[index.start + 4..], checksum);
    written.meta.protection = None;
    let bytes = written.bytes.clone();
    assert!(without_panic(|| read_all(&written, bytes)).expect("no panic").is_err());
}

#[test]
fn defect_22_a_filter_over_hashes_with_clustered_low_bits() {
    // 400,000 neighbouring hashes. Quadratic work would not finish here.
    let hashes: Vec<u64> = (0..400_000).collect();
    let mut builder = QuotientFilter::default().builder();
    builder.add_hashes(&hashes);
    let bytes = FilterBytes::new(builder.finish().unwrap());
    let filter = QuotientFilter::default().open(bytes).unwrap();
    assert!(hashes.iter().all(|&hash| filter.may_contain(hash)));
    assert!(!filter.may_contain(1 << 24));
}

#[test]
fn directories_stay_right_while_tables_hide_each_other() {
    let mut database = Database::new();
    database.commit(Changes::table(numbered(50, |_| inline(1))));
    database.commit(Changes::table(numbered(20, |_| TestValue::Deleted)));
    database.commit(Changes::table(numbered(10, |_| inline(3))));
    let set = SstSet::open(database.dir(), &reader_options()).unwrap();
    assert!(database.expected().judge(&set).is_right());
    let report =
        verify_directory(database.dir(), &reader_options(), &sst_reader::Monitor::default())
            .unwrap();
    assert!(report.is_intact());
    assert_eq!((report.tables, report.entries), (3, 80));

    // A set does not change while a later commit replaces its tables; the refreshed set shows the
    // new commit.
    let before = database.expected();
    database.commit(Changes::table(numbered(5, |_| inline(9))));
    assert!(before.judge(&set).is_right());
    let refreshed = set.refresh().unwrap().expect("a new commit");
    assert!(database.expected().judge(&refreshed).is_right());
    assert!(refreshed.refresh().unwrap().is_none());
}
