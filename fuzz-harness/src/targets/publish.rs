//! Several commits of several tables, compared with a model: a set, opened or refreshed, must
//! answer from the newest table that has the key.

use std::collections::BTreeMap;
use std::path::Path;

use sst_conformance::{TestEntry, TestValue};
use sst_format::SequenceNumber;
use sst_reader::{ReadValue, SstSet, verify_directory};
use sst_writer::table::Compression;
use sst_writer::{Monitor, Publisher, PublisherOptions};

use crate::input::Input;
use crate::targets::model;

/// Highest numbers of commits and of tables per commit made from one input.
const MAX_COMMITS: usize = 4;
const MAX_TABLES: usize = 3;

/// The value bytes of one entry, `None` for a tombstone.
pub(crate) type Value = Option<Vec<u8>>;

/// The content of one table: values in order by hash and key.
pub(crate) type Table = BTreeMap<(u64, Vec<u8>), Vec<Value>>;

/// Runs the target on one input.
pub fn run(data: &[u8]) {
    let parent = scratch();
    assert!(parent.is_ok(), "no scratch directory, so nothing is tried: {:?}", parent.err());
    let Ok(parent) = parent else { return };
    let result = check(&parent.path().join("db"), &mut Input::new(data));
    assert!(result.is_ok(), "{:?}", result.err());
}

/// A temporary directory, in memory if the system has such a file system.
pub(crate) fn scratch() -> std::io::Result<tempfile::TempDir> {
    let in_memory = Path::new("/dev/shm");
    if in_memory.is_dir() { tempfile::tempdir_in(in_memory) } else { tempfile::tempdir() }
}

fn check(dir: &Path, input: &mut Input<'_>) -> Result<(), Box<dyn std::error::Error>> {
    let bits = input.u8();
    let blob_compression = if bits & 1 == 0 { Compression::Lz4 } else { Compression::None };
    let options = PublisherOptions::default()
        .keep_obsolete_files(bits & 2 != 0)
        .blob_compression(blob_compression);
    let mut publisher = Publisher::open(dir, options.clone())?;
    // The oldest table first.
    let mut live: Vec<(SequenceNumber, Table)> = Vec::new();
    let mut before: Option<SstSet> = None;
    for _ in 0..1 + input.below(MAX_COMMITS) {
        if input.u8() & 7 == 0 {
            drop(publisher);
            publisher = Publisher::open(dir, options.clone())?;
        }
        commit(&mut publisher, input, &mut live)?;
        let reader = model::reader_options();
        let set = SstSet::open(dir, &reader)?;
        check_set(&set, &live)?;
        if let Some(before) = &before {
            let refreshed = before.refresh()?.ok_or("there is a new commit")?;
            check_set(&refreshed, &live)?;
        }
        before = Some(set);
        let report = verify_directory(dir, &reader, &Monitor::default())?;
        assert!(report.is_intact(), "{:?}", report.damage);
    }
    Ok(())
}

/// Publishes a commit and updates the model.
fn commit(
    publisher: &mut Publisher,
    input: &mut Input<'_>,
    live: &mut Vec<(SequenceNumber, Table)>,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut commit = publisher.begin();
    let mut added = Vec::new();
    match input.u8() {
        0..60 => {
            commit.replace_all();
            live.clear();
        }
        byte @ 60..120 if !live.is_empty() => {
            let (table, _) = live.remove(usize::from(byte) % live.len());
            commit.obsolete(table)?;
        }
        _ => {}
    }
    for _ in 0..input.below(MAX_TABLES + 1) {
        let options = model::options(input);
        let len = usize::from(input.u8());
        let mut part = Input::new(input.bytes(len));
        let mut entries = model::entries(&mut part, false);
        TestEntry::sort(&mut entries);
        let mut writer = commit.create_table(options)?;
        let mut table = Table::new();
        for mut entry in entries {
            let mut value = entry.value.bytes().map(<[u8]>::to_vec);
            if let TestValue::Blob(number) = entry.value {
                let bytes = number.to_be_bytes().repeat(number as usize);
                entry.value = TestValue::Blob(commit.create_blob(&bytes)?.0);
                value = Some(bytes);
            }
            // Another target checks that the writer refuses the right entries.
            if writer.add(&entry).is_ok() {
                table.entry((entry.hash, entry.key)).or_default().push(value);
            }
        }
        if table.is_empty() {
            continue;
        }
        let finished = writer.finish()?;
        added.push((finished.sequence(), table));
        commit.add_table(finished)?;
    }
    commit.publish(&Monitor::default())?;
    live.extend(added);
    Ok(())
}

/// Compares every answer of a set with the content of its tables, the oldest first.
pub(crate) fn check_set(
    set: &SstSet,
    live: &[(SequenceNumber, Table)],
) -> Result<(), Box<dyn std::error::Error>> {
    let mut newest: Vec<(u64, &[u8], &[u8])> = Vec::new();
    let mut all: Vec<(u64, &[u8], &[u8])> = Vec::new();
    let mut keys: Vec<&(u64, Vec<u8>)> = live.iter().flat_map(|(_, table)| table.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let (hash, bytes) = key;
        let mut tables = live.iter().rev().filter_map(|(_, table)| table.get(key)).peekable();
        let first = tables.peek().and_then(|values| values.first()).cloned().flatten();
        assert_eq!(set.get(bytes)?.as_deref(), first.as_deref());
        let own = tables.peek().into_iter().flat_map(|values| values.iter().flatten());
        newest.extend(own.map(|value| (*hash, bytes.as_slice(), value.as_slice())));
        let values: Vec<&[u8]> =
            tables.flatten().map_while(Option::as_ref).map(Vec::as_slice).collect();
        all.extend(values.iter().map(|value| (*hash, bytes.as_slice(), *value)));
        let found = set.get_all(bytes).collect::<Result<Vec<_>, _>>()?;
        assert!(found.iter().map(|value| &**value).eq(values));
        let absent = [bytes, &b"?"[..]].concat();
        if !live.iter().any(|(_, table)| table.keys().any(|(_, key)| *key == absent)) {
            assert_eq!(set.get(&absent)?, None);
        }
    }
    for (expected, walk) in [(newest, set.iter()), (all, set.iter_all())] {
        let mut expected = expected.into_iter();
        for entry in walk {
            let entry = entry?;
            let value = match entry.value {
                ReadValue::Value(value) => value,
                ReadValue::Blob(number) => set.read_blob(number)?,
                ReadValue::Deleted => return Err("a walk gives a tombstone".into()),
            };
            assert_eq!(Some((entry.hash, &*entry.key, &*value)), expected.next());
        }
        assert!(expected.next().is_none());
    }
    Ok(())
}
