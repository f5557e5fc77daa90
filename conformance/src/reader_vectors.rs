//! Our reader on the reference's tables: it must find every entry with its value and none of the
//! absent keys, and iterate in order.

use sst_amqf::QuotientFilter;
use sst_format::filter::FilterBytes;
use sst_format::{SstMeta, TableFlags};
use sst_reader::{
    Access, BlockRole, Lookup, ReadError, ReadValue, ReaderOptions, Slice, StaticSortedFile,
    hash_key,
};

use crate::vectors::Case;
use crate::{CheckError, TestEntry, TestValue, fail};

/// Checks one vector, opened in every possible way.
///
/// # Errors
///
/// [`CheckError`] for the first difference.
pub fn check(case: &Case) -> Result<(), CheckError> {
    let meta = SstMeta {
        block_count: case.block_count,
        min_hash: case.min_hash,
        max_hash: case.max_hash,
        file_size: case.bytes.len() as u64,
        flags: TableFlags(case.flags),
        filter: FilterBytes::new(case.filter.clone()),
        protection: None,
    };
    let options = ReaderOptions::default().filter(QuotientFilter::default());
    let read = options.clone().access(Access::Read);
    let ways = [
        ("map", StaticSortedFile::open(&case.path, &meta, &options)),
        ("read", StaticSortedFile::open(&case.path, &meta, &read)),
        ("standalone", StaticSortedFile::open_standalone(&case.path, &options)),
        ("bytes", StaticSortedFile::from_bytes("bytes", case.bytes.clone(), Some(&meta), &options)),
    ];
    for (way, table) in ways {
        let named = |error: &dyn std::fmt::Display| {
            CheckError::new(format!("{} ({way}): {error}", case.name))
        };
        let table = table.map_err(|error| named(&error))?;
        check_table(case, &table).map_err(|error| named(&error))?;
    }
    Ok(())
}

fn check_table(case: &Case, table: &StaticSortedFile) -> Result<(), CheckError> {
    if (table.min_hash(), table.max_hash()) != (case.min_hash, case.max_hash) {
        return fail("range of hashes differs");
    }
    check_blocks(case, table)?;
    check_contents(&case.entries, &case.absent, table)
}

/// Checks that a table has exactly these entries by lookup and by iteration, has none of the absent
/// keys, and verifies.
///
/// # Errors
///
/// [`CheckError`] for the first difference.
pub fn check_contents(
    entries: &[TestEntry],
    absent: &[(u64, Vec<u8>)],
    table: &StaticSortedFile,
) -> Result<(), CheckError> {
    let failed = |error: ReadError| CheckError::new(error.to_string());
    check_lookups(entries, absent, table)?;
    check_multi_get(entries, absent, table)?;
    let mut iter = table.iter();
    for (i, expected) in entries.iter().enumerate() {
        let found = iter.next().ok_or_else(|| CheckError::new("iteration ends early"))?;
        let found = found.map_err(failed)?;
        if (found.hash, &*found.key) != (expected.hash, &expected.key)
            || !same(&found.value, &expected.value)
        {
            return fail(format!("entry {i} of the iteration differs"));
        }
    }
    if iter.next().is_some() {
        return fail("iteration continues after the last entry");
    }
    let report = match table.verify(&sst_reader::Monitor::default()) {
        Ok(report) => report,
        Err(error) => return fail(format!("verify: {error}")),
    };
    match report.damage.first() {
        Some(damage) => fail(format!("verify: {damage}")),
        None if report.entries != entries.len() as u64 => fail("verify counts otherwise"),
        None => Ok(()),
    }
}

fn check_lookups(
    entries: &[TestEntry],
    absent: &[(u64, Vec<u8>)],
    table: &StaticSortedFile,
) -> Result<(), CheckError> {
    let failed = |error: ReadError| CheckError::new(error.to_string());
    let same_key = |a: &TestEntry, b: &TestEntry| a.hash == b.hash && a.key == b.key;
    for entries in entries.chunk_by(same_key) {
        let Some(first) = entries.first() else { continue };
        let name = format!("key {}", first.key.escape_ascii());
        let found = table.lookup(first.hash, &first.key).map_err(failed)?;
        if !answers(&found, &first.value) {
            return fail(format!("{name}: lookup gives {found:?}"));
        }
        let all = table
            .lookup_all(first.hash, &first.key)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(failed)?;
        if all.len() != entries.len()
            || !all.iter().zip(entries).all(|(found, entry)| same(found, &entry.value))
        {
            return fail(format!("{name}: {} entries found or values differ", all.len()));
        }
    }
    for (hash, key) in absent {
        if table.lookup(*hash, key).map_err(failed)? != Lookup::NotFound {
            return fail(format!("absent key {} was found", key.escape_ascii()));
        }
    }
    Ok(())
}

/// Looks up all keys in one call, present and absent ones, in reverse order, and each of them
/// twice.
fn check_multi_get(
    entries: &[TestEntry],
    absent: &[(u64, Vec<u8>)],
    table: &StaticSortedFile,
) -> Result<(), CheckError> {
    let present = entries
        .chunk_by(|a, b| a.key == b.key)
        .filter_map(|entries| entries.first())
        .filter(|entry| entry.hash == hash_key(&entry.key))
        .map(|entry| (&entry.key, Some(&entry.value)));
    let absent = absent.iter().map(|(_, key)| (key, None));
    let once: Vec<_> = present.chain(absent).collect();
    let expected: Vec<_> = once.iter().rev().chain(&once).collect();
    let keys: Vec<_> = expected.iter().map(|(key, _)| key).collect();
    let found = table.multi_get(&keys);
    if found.len() != expected.len() {
        return fail(format!("{} answers to {} keys", found.len(), expected.len()));
    }
    for ((key, value), found) in expected.iter().zip(found) {
        let found = found.map_err(|error| CheckError::new(error.to_string()))?;
        let is_right = match value {
            Some(value) => answers(&found, value),
            None => found == Lookup::NotFound,
        };
        if !is_right {
            return fail(format!("key {}: multi_get gives {found:?}", key.escape_ascii()));
        }
    }
    Ok(())
}

fn check_blocks(case: &Case, table: &StaticSortedFile) -> Result<(), CheckError> {
    let info = table.inspect().map_err(|error| CheckError::new(error.to_string()))?;
    let kinds = info.blocks.iter().map(|block| match (block.role, block.key_block_kind) {
        (BlockRole::SmallValues, _) => "small",
        (BlockRole::MediumValue, _) => "medium",
        (BlockRole::Index, _) => "index",
        (_, Some(kind)) => match kind.to_byte() {
            1 => "key-var-hash",
            2 => "key-var-nohash",
            3 => "key-fixed-hash",
            _ => "key-fixed-nohash",
        },
        _ => "unused",
    });
    for (kind, expected) in kinds.zip(&case.blocks) {
        if kind != expected.kind {
            return fail(format!("block kind {kind} where {} is expected", expected.kind));
        }
    }
    if info.blocks.len() != case.blocks.len() {
        return fail(format!("{} blocks found", info.blocks.len()));
    }
    Ok(())
}

fn answers(found: &Lookup<'_>, expected: &TestValue) -> bool {
    match (found, expected) {
        (Lookup::Deleted, TestValue::Deleted) => true,
        (Lookup::Blob(number), TestValue::Blob(expected)) => number.0 == *expected,
        (Lookup::Value(value), expected) => expected.bytes() == Some(value),
        _ => false,
    }
}

fn same(found: &ReadValue<Slice<'_>>, expected: &TestValue) -> bool {
    match (found, expected) {
        (ReadValue::Deleted, TestValue::Deleted) => true,
        (ReadValue::Blob(number), TestValue::Blob(expected)) => number.0 == *expected,
        (ReadValue::Value(value), expected) => expected.bytes() == Some(value),
        _ => false,
    }
}
