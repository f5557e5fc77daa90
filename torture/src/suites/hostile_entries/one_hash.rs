//! Keys with the same hash: a million of them, runs of many lengths, and the longest run that a key
//! block can hold.

use sst_format::key_block::KeyBlockShape;
use sst_format::limits::{MAX_KEY_BLOCK_ENTRIES, MAX_POSITION};
use sst_format::value_ref::EntryType;
use sst_reader::Lookup;
use sst_writer::table::{HashedEntry, hash_key};
use sst_writer::{EntryValue, WriteError};

use super::{
    Counts, Outcome, counts, entry, expect, expect_hashed, expect_value, in_memory, message, open,
    options,
};
use crate::collisions::colliding_key;

/// Keys of 32 bytes, whose hashes are not stored. Each must be found; the keys between them must
/// not.
pub(super) fn a_million_collisions(_: bool) -> Outcome {
    const COUNT: u64 = 1_000_000;
    let mut writer = in_memory(options());
    for n in 0..COUNT {
        let (key, value) = (colliding_key(32, 0, 2 * n), n.to_be_bytes());
        writer.add((key, EntryValue::Inline(&value))).map_err(message)?;
    }
    let (table, meta) = open(writer.finish().map_err(message)?)?;
    expect(meta.min_hash == meta.max_hash, || "the hashes differ".to_owned())?;
    expect(table.key_block_count() == 1, || "equal hashes were split".to_owned())?;
    for n in 0..COUNT {
        expect_value(&table, &colliding_key(32, 0, 2 * n), &n.to_be_bytes())?;
        let absent = table.get(colliding_key(32, 0, 2 * n + 1)).map_err(message)?;
        expect(absent == Lookup::NotFound, || format!("absent key {n}: {absent:?}"))?;
    }
    Ok(counts(COUNT, 0))
}

/// Hundreds of runs of 1 to 2,000 entries, with keys long enough for stored hashes and with shorter
/// ones.
pub(super) fn mixed_collisions(is_full: bool) -> Outcome {
    let mut entries: Vec<(u64, Vec<u8>)> = Vec::new();
    for tail in 0..if is_full { 250 } else { 60 } {
        for len in [32, 48, 64, 128] {
            let count = 1 + u64::from(tail) * len as u64 % 2000;
            let keys = (0..count).map(|n| colliding_key(len, tail, n * 3));
            entries.extend(keys.map(|key| (hash_key(&key), key)));
        }
    }
    entries.sort();
    let mut writer = in_memory(options());
    for (_, key) in &entries {
        writer.add((key, EntryValue::Small(key))).map_err(message)?;
    }
    let (table, _) = open(writer.finish().map_err(message)?)?;
    for (_, key) in &entries {
        expect_value(&table, key, key)?;
    }
    Ok(counts(entries.len() as u64, 0))
}

/// Two entries with the same hash. The second one starts just below, at and just above the highest
/// position.
pub(super) fn run_of_bytes(_: bool) -> Outcome {
    // The bytes before the second entry, without the first key: the first entry's hash and value.
    const OVERHEAD: usize = 8 + 1;
    let mut counts = Counts::default();
    for position in [MAX_POSITION - 1, MAX_POSITION, MAX_POSITION + 1] {
        let first = vec![1; position as usize - OVERHEAD];
        let second = [2; 40];
        let mut writer = in_memory(options());
        let hashed = |hash, key| HashedEntry { hash, key, value: EntryValue::Inline(b"v") };
        writer.add(hashed(5, &first)).map_err(message)?;
        let result = writer.add(hashed(5, &second));
        let is_right = match &result {
            Ok(()) => position <= MAX_POSITION,
            Err(WriteError::RunTooLong { entry: 1, .. }) => position > MAX_POSITION,
            Err(_) => false,
        };
        expect(is_right, || format!("position {position}: {result:?}"))?;
        writer.add(hashed(6, &second)).map_err(message)?;
        let (table, _) = open(writer.finish().map_err(message)?)?;
        expect_hashed(&table, 5, &first, b"v")?;
        expect_hashed(&table, 6, &second, b"v")?;
        if result.is_ok() {
            expect_hashed(&table, 5, &second, b"v")?;
            counts.accepted += 1;
        } else {
            counts.refused += 1;
        }
    }
    Ok(counts)
}

/// As many values of one key as a block can count, and one more. Only a full run writes the block,
/// since that takes a gigabyte of memory.
pub(super) fn run_of_entries(is_full: bool) -> Outcome {
    let mut shape = KeyBlockShape::default();
    for _ in 0..MAX_KEY_BLOCK_ENTRIES {
        shape = shape.with_entry(1, EntryType::DELETED).map_err(message)?;
    }
    expect(shape.with_entry(1, EntryType::DELETED).is_err(), || "one more".to_owned())?;
    let mut counts = counts(2, 1);
    if is_full {
        let mut writer = in_memory(options().multi_value(true));
        for n in 0..MAX_KEY_BLOCK_ENTRIES {
            let value = n.to_be_bytes();
            writer.add(entry(b"k", EntryValue::Inline(&value[3..]))).map_err(message)?;
        }
        let result = writer.add(entry(b"k", EntryValue::Inline(b"v")));
        let is_right = matches!(result, Err(WriteError::RunTooLong { .. }));
        expect(is_right, || format!("one more: {result:?}"))?;
        let (table, _) = open(writer.finish().map_err(message)?)?;
        expect_value(&table, b"k", &[0])?;
        let all = table.get_all(b"k").map_err(message)?;
        for (n, found) in (0..MAX_KEY_BLOCK_ENTRIES).zip(all) {
            let found = found.map_err(message)?;
            let byte = n.to_be_bytes()[3];
            let is_right =
                matches!(&found, sst_reader::ReadValue::Value(found) if **found == [byte]);
            expect(is_right, || format!("value {n}: {found:?}"))?;
        }
        counts.accepted += u64::from(MAX_KEY_BLOCK_ENTRIES);
        counts.refused += 1;
    }
    Ok(counts)
}
