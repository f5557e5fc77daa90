//! Any entries with any options: the writer accepts exactly the valid ones, and a reader returns
//! them.

use sst_conformance::{TestEntry, TestValue};
use sst_format::SstMeta;
use sst_format::limits::{HASH_THRESHOLD, MAX_INLINE_LEN, MAX_SMALL_LEN};
use sst_reader::{StaticSortedFile, hash_key};
use sst_writer::{StreamingSstWriter, WriteError};

use crate::input::Input;
use crate::targets::model::{self, of_entry, of_lookup, of_value};

/// Highest number of groups of entries that are looked up; iteration covers all.
const LOOKED_UP: usize = 200;

/// Runs the target on one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let options = model::options(&mut input);
    let is_sorted = input.u8() & 3 != 0;
    let multi_value = options.multi_value;
    let mut entries = model::entries(&mut input, true);
    if is_sorted {
        TestEntry::sort(&mut entries);
    }
    let mut writer = StreamingSstWriter::new(Vec::new(), options);
    let mut accepted: Vec<TestEntry> = Vec::new();
    for entry in entries {
        let result = writer.add(&entry);
        check_verdict(accepted.last(), &entry, multi_value, &result);
        if result.is_ok() {
            accepted.push(entry);
        }
        assert_eq!(writer.entry_count(), accepted.len() as u64);
    }
    match writer.finish() {
        Err(error) => {
            assert!(accepted.is_empty() && matches!(error, WriteError::NoEntries), "{error}");
        }
        Ok(finished) => {
            assert!(!accepted.is_empty());
            let bytes = finished.output;
            check_table(&bytes, Some(&finished.meta), &accepted);
            check_table(&bytes, None, &accepted);
        }
    }
}

/// Checks that the writer was right to accept or refuse the entry after `last`.
fn check_verdict(
    last: Option<&TestEntry>,
    entry: &TestEntry,
    multi_value: bool,
    result: &Result<(), WriteError>,
) {
    let order = last.map(|last| (entry.hash, &entry.key).cmp(&(last.hash, &last.key)));
    let follows_tombstone = last.is_some_and(|last| last.value == TestValue::Deleted);
    let is_wrong_hash = entry.hash != hash_key(&entry.key);
    match result {
        Err(WriteError::OutOfOrder { .. }) => assert_eq!(order, Some(std::cmp::Ordering::Less)),
        Err(WriteError::DuplicateKey { .. }) => {
            assert!(order == Some(std::cmp::Ordering::Equal) && !multi_value);
        }
        Err(WriteError::TombstoneNotLast { .. }) => {
            assert!(order == Some(std::cmp::Ordering::Equal) && multi_value && follows_tombstone);
        }
        Err(WriteError::KeyHashMismatch { .. }) => {
            assert!(is_wrong_hash && entry.key.len() <= HASH_THRESHOLD);
        }
        Err(WriteError::InlineTooLong { .. }) => {
            assert!(matches!(&entry.value, TestValue::Inline(v) if v.len() > MAX_INLINE_LEN));
        }
        Err(WriteError::SmallTooLong { .. }) => {
            assert!(matches!(&entry.value, TestValue::Small(v) if v.len() > MAX_SMALL_LEN));
        }
        Err(error) => assert!(last.is_none() && last.is_some(), "unexpected: {error}"),
        Ok(()) => {
            assert!(order != Some(std::cmp::Ordering::Less));
            if order == Some(std::cmp::Ordering::Equal) {
                assert!(multi_value && !follows_tombstone);
            }
            match &entry.value {
                TestValue::Inline(value) => assert!(value.len() <= MAX_INLINE_LEN),
                TestValue::Small(value) => assert!(value.len() <= MAX_SMALL_LEN),
                _ => {}
            }
        }
    }
}

/// Checks that a reader returns exactly these entries.
fn check_table(bytes: &[u8], meta: Option<&SstMeta>, entries: &[TestEntry]) {
    let options = model::reader_options();
    let opened = StaticSortedFile::from_bytes("table", bytes.to_vec(), meta, &options);
    assert!(opened.is_ok(), "{:?}", opened.err());
    let Ok(table) = opened else { return };
    let verified = table.verify(&sst_reader::Monitor::default());
    assert!(verified.is_ok(), "{:?}", verified.err());
    let Ok(report) = verified else { return };
    assert!(report.is_intact(), "{:?}", report.damage);
    assert_eq!(report.entries, entries.len() as u64);
    let mut expected = entries.iter();
    for found in &table {
        assert!(found.is_ok());
        let Ok(found) = found else { return };
        let wanted = expected.next().map(|entry| (entry.hash, &*entry.key, of_value(&entry.value)));
        assert_eq!(Some((found.hash, &*found.key, of_entry(&found.value))), wanted);
    }
    assert!(expected.next().is_none());
    let mut groups = entries.chunk_by(|a, b| (a.hash, &a.key) == (b.hash, &b.key));
    for group in groups.by_ref().take(LOOKED_UP) {
        let Some(TestEntry { hash, key, value }) = group.first() else { continue };
        let found = table.lookup(*hash, key);
        assert_eq!(found.as_ref().ok().and_then(of_lookup), Some(of_value(value)));
        let all = table.lookup_all(*hash, key).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let found: Option<Vec<_>> = all.as_ref().ok().map(|all| all.iter().map(of_entry).collect());
        assert_eq!(found, Some(group.iter().map(|entry| of_value(&entry.value)).collect()));
        // Look up the same hash with another key, and the same key with another hash.
        for (hash, key) in [(*hash, [key, &b"?"[..]].concat()), (hash ^ 1, key.clone())] {
            let is_there = entries.iter().any(|entry| entry.hash == hash && entry.key == key);
            let found = table.lookup(hash, &key);
            assert!(found.is_ok());
            // A reader may find a key under a wrong hash only if hashes are not stored. No caller
            // passes a wrong hash.
            let is_found = found.is_ok_and(|found| of_lookup(&found).is_some());
            assert!(is_found == is_there || hash != hash_key(&key));
        }
    }
}
