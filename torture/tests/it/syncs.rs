//! The syncs that a commit waits for: each file is synced once, and the directory once before
//! `CURRENT` is replaced and once after, however many files the commit has.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sst_torture::faults::{Operation, Order, Tap, Tapped};
use sst_writer::publish::MetaLimits;
use sst_writer::{EntryValue, Monitor, Publisher, PublisherOptions, WriterOptions};

/// Counts syncs, and lets everything through.
#[derive(Debug, Default)]
struct Syncs {
    files: AtomicUsize,
    directories: AtomicUsize,
}

impl Syncs {
    /// Those of files and of directories since the last call.
    fn take(&self) -> (usize, usize) {
        let take = |count: &AtomicUsize| count.swap(0, Ordering::Relaxed);
        (take(&self.files), take(&self.directories))
    }
}

impl Tap for Syncs {
    fn order(&self, operation: &Operation<'_>) -> Order {
        match operation {
            Operation::Sync { .. } => self.files.fetch_add(1, Ordering::Relaxed),
            Operation::SyncDirectory { .. } => self.directories.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        Order::Proceed
    }
}

/// A commit of so many tables, each with a blob.
fn commit(publisher: &mut Publisher, tables: usize) {
    let mut commit = publisher.begin();
    for _ in 0..tables {
        let blob = commit.create_blob("a blob").unwrap();
        let filter = sst_amqf::QuotientFilter::default();
        let mut table = commit.create_table(WriterOptions::default().filter(filter)).unwrap();
        table.add(("key", EntryValue::Blob(blob))).unwrap();
        let table = table.finish().unwrap();
        commit.add_table(table).unwrap();
    }
    commit.publish(&Monitor::default()).unwrap();
}

#[test]
fn a_commit_syncs_each_file_once_and_the_directory_twice() {
    let directory = tempfile::tempdir().unwrap();
    let file_system = Tapped::new(Syncs::default());
    let open = |limits| {
        let options = PublisherOptions::default().file_system(Arc::new(file_system.clone()));
        Publisher::open(directory.path(), options.meta_limits(limits)).unwrap()
    };
    let mut publisher = open(MetaLimits::default());
    commit(&mut publisher, 1);
    // The first commit has a marker, which is synced with its name.
    assert_eq!(file_system.tap().take(), (1 + 1 + 1 + 1 + 1, 1 + 2));
    for tables in [0, 1, 10] {
        commit(&mut publisher, tables);
        // Tables, blobs, the meta file and `CURRENT`.
        assert_eq!(file_system.tap().take(), (2 * tables + 2, 2), "{tables} tables");
    }
    drop(publisher);
    let mut publisher = open(MetaLimits::default().filter_bytes(100));
    file_system.tap().take();
    commit(&mut publisher, 10);
    let (files, directories) = file_system.tap().take();
    assert_eq!(directories, 2);
    assert!(files > 2 * 10 + 2, "the commit is several meta files: {files}");
}
