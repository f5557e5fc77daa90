//! One table: lookups, cursors, ranges, iteration, inspection.

use std::collections::BTreeMap;

use sst_amqf::QuotientFilter;
use sst_format::BlobNumber;
use sst_format::value_ref::ValueRef;
use sst_reader::{
    Access, BlockCache, BlockRole, Lookup, Monitor, ReadValue, ReaderOptions, SstSet,
    StaticSortedFile, hash_key,
};

use crate::support::{Commit, Directory, Entry, Table, Value, numbered, of_all_kinds, small};

fn in_memory(table: &Table) -> StaticSortedFile {
    let options = ReaderOptions::default();
    StaticSortedFile::from_bytes("a table", table.bytes.clone(), Some(&table.meta), &options)
        .unwrap()
}

fn answer(value: &Value) -> ReadValue<&[u8]> {
    match value {
        Value::Deleted => ReadValue::Deleted,
        Value::Blob(number) => ReadValue::Blob(BlobNumber(*number)),
        Value::Inline(value) | Value::Small(value) | Value::Medium(value) => {
            ReadValue::Value(value)
        }
    }
}

fn as_lookup(found: &Lookup<'_>) -> Option<ReadValue<Vec<u8>>> {
    match found {
        Lookup::NotFound => None,
        Lookup::Deleted => Some(ReadValue::Deleted),
        Lookup::Blob(number) => Some(ReadValue::Blob(*number)),
        Lookup::Value(value) => Some(ReadValue::Value(value.to_vec())),
    }
}

fn owned(value: ReadValue<&[u8]>) -> ReadValue<Vec<u8>> {
    match value {
        ReadValue::Deleted => ReadValue::Deleted,
        ReadValue::Blob(number) => ReadValue::Blob(number),
        ReadValue::Value(value) => ReadValue::Value(value.to_vec()),
    }
}

/// Asks a table for all of its entries and for keys that it does not have.
fn check_lookups(table: &StaticSortedFile, entries: &[Entry]) {
    for (key, value) in entries {
        let expected = Some(owned(answer(value)));
        assert_eq!(as_lookup(&table.get(key).unwrap()), expected, "{key:?}");
        assert_eq!(as_lookup(&table.lookup(hash_key(key), key).unwrap()), expected);
        assert_eq!(as_lookup(&table.lookup(hash_key(key), b"other key").unwrap()), None);
    }
    assert_eq!(table.get("absent").unwrap(), Lookup::NotFound);
    let keys: Vec<_> = entries.iter().map(|(key, _)| key.as_slice()).chain([&b"no"[..]]).collect();
    let found = table.multi_get(&keys);
    for ((_, value), found) in entries.iter().zip(&found) {
        assert_eq!(as_lookup(found.as_ref().unwrap()), Some(owned(answer(value))));
    }
    assert_eq!(found.len(), entries.len() + 1);
    assert_eq!(*found.last().unwrap().as_ref().unwrap(), Lookup::NotFound);
}

#[test]
fn every_way_to_open_gives_all_answers() {
    let entries = of_all_kinds(500);
    let table = Table::new(&entries);
    check_lookups(&in_memory(&table), &entries);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &table.bytes).unwrap();
    for access in [Access::Map, Access::Read] {
        for capacity in [0, 10_000, 1 << 20] {
            let options = ReaderOptions::default().access(access).cache(BlockCache::new(capacity));
            let open = StaticSortedFile::open(file.path(), &table.meta, &options).unwrap();
            check_lookups(&open, &entries);
            check_lookups(&open, &entries);
            let standalone = StaticSortedFile::open_standalone(file.path(), &options).unwrap();
            check_lookups(&standalone, &entries);
            assert_eq!(standalone.min_hash(), table.meta.min_hash);
            assert_eq!(standalone.max_hash(), table.meta.max_hash);
            assert_eq!((open.entry_count(), standalone.entry_count()), (Some(500), None));
        }
    }
}

/// Estimates of where entries are, and what lookups learn of them, decide about time only. Each key
/// is asked for often enough that its block is measured in between.
#[test]
fn hashes_that_are_not_spread_evenly_are_found_too() {
    const COUNT: u32 = 1500;
    let entries: Vec<_> = (0..COUNT)
        .map(|i| ([&i.to_be_bytes()[..], &[b'k'; 36]].concat(), Value::Inline(vec![1, 2])))
        .collect();
    let spread = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let uneven: [fn(u64, u64) -> u64; 7] = [
        |_, even| even,
        |_, _| 7,
        |i, _| i,
        |i, _| (i * i * i) << 29,
        // Each key block has all but a few of its hashes at one end.
        |i, even| if i % 16 == 0 { even } else { (even >> 60 << 60) + i % 8 },
        |i, even| if i % 3 == 0 { u64::MAX } else { even },
        |_, even| even & (even << 7) & (even << 13),
    ];
    for (number, hash_of) in uneven.into_iter().enumerate() {
        let hash_of = |key: &[u8]| {
            let i = u32::from_be_bytes(*key.first_chunk().unwrap()).into();
            hash_of(i, spread(i))
        };
        let table = in_memory(&Table::with_hashes(&entries, hash_of));
        for round in 0..3 {
            for (key, value) in &entries {
                let found = table.lookup(hash_of(key), key).unwrap();
                assert_eq!(as_lookup(&found), Some(owned(answer(value))), "{number}, {round}");
                let other = [&key[..39], b"?"].concat();
                assert_eq!(table.lookup(hash_of(key), other).unwrap(), Lookup::NotFound);
            }
        }
    }
}

/// The first call for many keys asks for all blocks beforehand. Its answers are those of single
/// calls in a table of which everything was read, and a damaged block costs the keys in it only.
#[test]
fn keys_that_the_filter_rules_out_after_many_hits_are_not_found() {
    let table = Table::new(&numbered(0..700, |i| small(&i.to_string())));
    let table = table.filtered(&QuotientFilter::default());
    let options = ReaderOptions::default().filter(QuotientFilter::default());
    let bytes = table.bytes.clone();
    let file = StaticSortedFile::from_bytes("a table", bytes, Some(&table.meta), &options).unwrap();
    let mut directory = Directory::new();
    directory.commit(Commit { tables: &[table], ..Commit::default() });
    let set = SstSet::open(directory.path(), &options).unwrap();
    let present: Vec<_> = (0..700_u32).map(u32::to_be_bytes).collect();
    let absent: Vec<_> = (1_000..1_100_u32).map(u32::to_be_bytes).collect();
    for _ in 0..2 {
        // After a streak of hits, filters are asked only where a key is not found at once.
        assert!(file.multi_get(&present).iter().all(|found| matches!(found, Ok(Lookup::Value(_)))));
        assert!(set.multi_get(&present).unwrap().iter().all(Option::is_some));
        let found = file.multi_get(&absent);
        assert!(found.iter().all(|found| matches!(found, Ok(Lookup::NotFound))), "{found:?}");
        assert!(set.multi_get(&absent).unwrap().iter().all(Option::is_none));
    }
}

#[test]
fn the_first_call_for_many_keys_answers_as_single_calls_do() {
    let entries = of_all_kinds(700);
    let table = Table::new(&entries).filtered(&QuotientFilter::default());
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut keys: Vec<_> = entries.iter().map(|(key, _)| key.clone()).collect();
    keys.extend((0..100_u32).map(|i| [&i.to_be_bytes()[..], b"absent"].concat()));
    let mut damaged = table.bytes.clone();
    damaged[table.bytes.len() / 2] ^= 1;
    for bytes in [&table.bytes, &damaged] {
        std::fs::write(file.path(), bytes).unwrap();
        for access in [Access::Map, Access::Read] {
            let options = ReaderOptions::default()
                .access(access)
                .filter(QuotientFilter::default())
                .cache(BlockCache::new(0));
            let open = || StaticSortedFile::open(file.path(), &table.meta, &options).unwrap();
            let (first, known) = (open(), open());
            let expected: Vec<_> = keys.iter().map(|key| known.get(key)).collect();
            assert_eq!(expected.iter().any(Result::is_err), bytes == &damaged);
            for (found, expected) in first.multi_get(&keys).into_iter().zip(expected) {
                assert_eq!(found.ok(), expected.ok());
            }
        }
    }
}

#[test]
fn values_outlive_their_table() {
    let entries = of_all_kinds(100);
    let table = in_memory(&Table::new(&entries));
    let kept: Vec<_> = entries.iter().map(|(k, _)| table.get(k).unwrap().into_owned()).collect();
    let walked: Vec<_> = table.iter().map(|entry| entry.unwrap().into_owned()).collect();
    drop(table);
    for ((_, value), kept) in entries.iter().zip(&kept) {
        assert_eq!(as_lookup(kept), Some(owned(answer(value))));
    }
    let by_key: BTreeMap<_, _> = entries.iter().map(|(key, value)| (key, value)).collect();
    assert_eq!(walked.len(), by_key.len());
    for entry in walked {
        let expected = owned(answer(by_key[&entry.key.to_vec()]));
        let found = match entry.value {
            ReadValue::Value(value) => ReadValue::Value(value.to_vec()),
            ReadValue::Blob(number) => ReadValue::Blob(number),
            ReadValue::Deleted => ReadValue::Deleted,
        };
        assert_eq!(found, expected);
    }
}

#[test]
fn all_entries_of_a_key_come_in_their_order() {
    let mut entries = numbered(0..200, |_| small("other"));
    entries.extend((0..100).map(|i| (b"key".to_vec(), small(&i.to_string()))));
    entries.push((b"key".to_vec(), Value::Deleted));
    let table = in_memory(&Table::new(&entries));
    let found: Vec<_> = table.get_all("key").unwrap().map(Result::unwrap).collect();
    assert_eq!(found.len(), 101);
    for (i, found) in found[..100].iter().enumerate() {
        assert!(matches!(found, ReadValue::Value(value) if **value == *i.to_string().as_bytes()));
    }
    assert_eq!(found[100], ReadValue::Deleted);
    assert_eq!(table.get("key").unwrap().into_value().unwrap(), b"0".as_slice());
    assert_eq!(table.get_all("absent").unwrap().count(), 0);
}

/// Walks a table with a cursor: hash, key and value of each entry.
fn walk(table: &StaticSortedFile, from: u64, to: u64) -> Vec<(u64, Vec<u8>, ReadValue<Vec<u8>>)> {
    let mut cursor = table.range(from..=to).unwrap();
    let mut walked = Vec::new();
    while let Some(entry) = cursor.next().unwrap() {
        let (hash, key) = (entry.hash, entry.key.to_vec());
        walked.push((hash, key, owned(entry.into_value().unwrap())));
    }
    assert!(cursor.next().unwrap().is_none() && cursor.current().unwrap().is_none());
    assert_eq!(cursor.current_key().unwrap(), None);
    walked
}

#[test]
fn cursors_walk_all_entries_or_those_of_a_range() {
    let entries = of_all_kinds(300);
    let mut expected: Vec<_> = entries
        .iter()
        .map(|(key, value)| (hash_key(key), key.clone(), owned(answer(value))))
        .collect();
    expected.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    let table = in_memory(&Table::new(&entries));
    assert_eq!(walk(&table, 0, u64::MAX), expected);
    for (first, last) in [(0, 0), (0, 39), (39, 40), (41, 250), (299, 299), (17, 299)] {
        assert_eq!(walk(&table, expected[first].0, expected[last].0), expected[first..=last]);
        let between = (expected[first].0 + 1, expected[last].0.saturating_sub(1));
        if first + 1 < last {
            assert_eq!(walk(&table, between.0, between.1), expected[first + 1..last]);
        }
    }
    assert!(walk(&table, 0, expected[0].0 - 1).is_empty());
    assert!(walk(&table, expected[299].0 + 1, u64::MAX).is_empty());
}

#[test]
fn a_cursor_has_an_entry_only_between_its_ends() {
    let table = in_memory(&Table::new(&numbered(0..3, |i| small(&i.to_string()))));
    let mut cursor = table.cursor();
    assert!(cursor.current().unwrap().is_none() && cursor.current_key().unwrap().is_none());
    for _ in 0..3 {
        let next = cursor.next().unwrap().unwrap();
        let (hash, key) = (next.hash, next.key.to_vec());
        assert!(matches!(next.value_ref().unwrap(), ValueRef::Small { .. }));
        let again = cursor.current().unwrap().unwrap();
        assert_eq!((again.hash, again.key), (hash, &key[..]));
        assert_eq!(cursor.current_key().unwrap(), Some(&key[..]));
    }
    assert!(cursor.next().unwrap().is_none() && cursor.current().unwrap().is_none());
    // A cursor over a range does not stand on its first entry before it was asked for it.
    let mut range = table.range(0..=u64::MAX).unwrap();
    assert!(range.current().unwrap().is_none() && range.current_key().unwrap().is_none());
    assert_eq!(range.next().unwrap().unwrap().hash, table.min_hash());
}

#[test]
fn medium_values_can_be_copied_as_they_are_stored() {
    let entries = of_all_kinds(70);
    let table = in_memory(&Table::new(&entries));
    let (mut cursor, mut buffer, mut media) = (table.cursor(), Vec::new(), 0);
    while let Some(entry) = cursor.next().unwrap() {
        let stored = entry.stored_medium(&mut buffer).unwrap();
        let is_medium = matches!(entry.value_ref().unwrap(), ValueRef::Medium(_));
        assert_eq!(stored.is_some(), is_medium);
        if let Some((header, stored)) = stored {
            assert_eq!(header.checksum, crc32fast::hash(stored));
            media += 1;
        }
    }
    assert_eq!(media, 10);
}

#[test]
fn inspection_tells_blocks_and_entries() {
    let entries = of_all_kinds(140);
    let table = in_memory(&Table::new(&entries));
    let info = table.inspect().unwrap();
    assert_eq!(info.entry_count(), 140);
    assert_eq!(info.blocks.len(), usize::from(table.block_count()));
    let count = |role| info.blocks.iter().filter(|block| block.role == role).count();
    assert_eq!((count(BlockRole::Keys), count(BlockRole::Index)), (4, 1));
    assert_eq!((count(BlockRole::MediumValue), count(BlockRole::Unused)), (20, 0));
    assert_eq!(count(BlockRole::Keys), table.key_block_count());
    let deleted = info.entry_kinds()["deleted"];
    assert_eq!(deleted, 20);
    assert_eq!(table.blobs().unwrap().into_iter().map(|b| b.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(table.verify(&Monitor::default()).unwrap().is_intact());
}
