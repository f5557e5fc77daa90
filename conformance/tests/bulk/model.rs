//! A simple model of loads that computes their right result.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sst_amqf::QuotientFilter;
use sst_reader::{ReadValue, ReaderOptions, SstSet, StaticSortedFile};
use sst_writer::bulk::{BulkSummary, Duplicates};
use sst_writer::table::hash_key;
use sst_writer::{
    BulkError, BulkLoader, BulkOptions, Monitor, Publisher, PublisherOptions, WriterOptions,
};

/// The effect of a record on its key.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Put(Vec<u8>),
    PutBlob(Vec<u8>),
    Delete,
}

/// One record of an input stream. Its index in the stream is its position.
#[derive(Clone, Debug)]
pub(crate) struct TestRecord {
    pub(crate) key: Vec<u8>,
    pub(crate) action: Action,
}

impl TestRecord {
    pub(crate) fn put(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self { key: key.into(), action: Action::Put(value.into()) }
    }
}

/// Entries by hash and key, in the order of a table; `None` is a deletion.
pub(crate) type Content = BTreeMap<(u64, Vec<u8>), Vec<Option<Vec<u8>>>>;

/// The entries of the streams that the policy keeps.
pub(crate) fn expected(streams: &[Vec<TestRecord>], policy: Duplicates) -> Content {
    let mut content = Content::new();
    for record in streams.iter().flatten() {
        let entries = content.entry((hash_key(&record.key), record.key.clone())).or_default();
        let value = match &record.action {
            Action::Put(value) | Action::PutBlob(value) => Some(value.clone()),
            Action::Delete => None,
        };
        if policy != Duplicates::Keep || value.is_none() {
            entries.clear();
        }
        entries.push(value);
    }
    for entries in content.values_mut() {
        // A deletion comes last in its table.
        if entries[0].is_none() {
            entries.rotate_left(1);
        }
    }
    content
}

/// Options with a filter, and with limits so low that a load has several tables.
pub(crate) fn options() -> BulkOptions {
    let writer = WriterOptions::default().filter(QuotientFilter::default());
    BulkOptions::default().writer(writer).max_table_entries(5000).max_table_bytes(4 << 20)
}

/// Loads each stream on its own thread.
pub(crate) fn load(
    directory: &Path,
    streams: &[Vec<TestRecord>],
    options: BulkOptions,
) -> Result<BulkSummary, BulkError> {
    load_watched(directory, streams, options, &Monitor::default())
}

/// As [`load`], with a monitor.
pub(crate) fn load_watched(
    directory: &Path,
    streams: &[Vec<TestRecord>],
    options: BulkOptions,
    monitor: &Monitor,
) -> Result<BulkSummary, BulkError> {
    let mut publisher = Publisher::open(directory, PublisherOptions::default())?;
    let loader = BulkLoader::new(&mut publisher, options, monitor)?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..)
            .zip(streams)
            .map(|(stream, records)| {
                let mut handle = loader.handle(stream);
                scope.spawn(move || {
                    for TestRecord { key, action } in records {
                        match action {
                            Action::Put(value) => handle.put(key, value)?,
                            Action::PutBlob(value) => handle.put_blob(key, value)?,
                            Action::Delete => handle.delete(key)?,
                        }
                    }
                    handle.finish()
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap())
    })?;
    loader.finish()
}

/// All entries of the tables of a directory, table by table. Checks that the ranges of hashes are
/// disjoint and ascend with the tables' numbers, and that every entry is found by its key.
pub(crate) fn content(directory: &Path) -> Content {
    let set = SstSet::open(directory, &ReaderOptions::default()).unwrap();
    let mut tables: Vec<_> = set.tables().collect();
    tables.sort_by_key(|table| table.sequence);
    let mut content = Content::new();
    let mut last_hash = None;
    for table in tables {
        let options = ReaderOptions::default();
        let opened =
            StaticSortedFile::open(table.path(directory), &table.meta().unwrap(), &options)
                .unwrap();
        let mut first_hash = None;
        for entry in opened.iter() {
            let entry = entry.unwrap();
            first_hash.get_or_insert(entry.hash);
            let value = match entry.value {
                ReadValue::Value(value) => Some(value.to_vec()),
                ReadValue::Blob(number) => Some(set.read_blob(number).unwrap().to_vec()),
                ReadValue::Deleted => None,
            };
            content.entry((entry.hash, entry.key.to_vec())).or_default().push(value);
        }
        assert!(last_hash < first_hash, "ranges overlap");
        last_hash = content.keys().next_back().map(|(hash, _)| *hash);
    }
    for ((_, key), values) in content.iter().step_by(97) {
        let found = set.get(key).unwrap();
        assert_eq!(found.as_deref(), values[0].as_deref());
    }
    content
}

/// Names and bytes of the files of a directory, without the lock file.
pub(crate) fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(directory)
        .unwrap()
        .map(|file| file.unwrap())
        .map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()))
        .filter(|(name, _)| name != sst_writer::publish::LOCK_FILE_NAME)
        .collect()
}

/// Loads with several budgets and numbers of threads. Checks that content and counts are right, and
/// that all files are the same.
pub(crate) fn check(streams: &[Vec<TestRecord>], base: &BulkOptions) -> BulkSummary {
    let expected = expected(streams, base.duplicates);
    let mut first: Option<BTreeMap<String, Vec<u8>>> = None;
    let mut last = None;
    for (budget, threads) in [(4 << 20, 1), (4 << 20, 3), (16 << 20, 2), (1 << 30, 2)] {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("db");
        let options = base.clone().memory_budget(budget).threads(threads);
        let summary = load(&directory, streams, options).unwrap();
        assert_eq!(summary.records, streams.iter().flatten().count() as u64);
        assert_eq!(summary.entries, expected.values().flatten().count() as u64);
        assert_eq!(summary.duplicates, summary.records - summary.entries);
        assert!(content(&directory) == expected, "budget {budget}, {threads} threads");
        let files = files(&directory);
        let bytes = |suffix: &str| {
            let of_kind = files.iter().filter(|(name, _)| name.ends_with(suffix));
            of_kind.map(|(_, bytes)| bytes.len() as u64).sum::<u64>()
        };
        assert_eq!(summary.file_bytes, bytes(".sst") + bytes(".blob"));
        match &first {
            None => first = Some(files),
            Some(first) => assert!(*first == files, "budget {budget}, {threads} threads"),
        }
        last = Some((summary, budget));
    }
    let (summary, _) = last.unwrap();
    summary
}
