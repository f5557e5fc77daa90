//! The memory that meta files take while they are written.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod counting;
#[path = "it/filter_of_len.rs"]
mod filter_of_len;

use std::path::Path;
use std::sync::atomic::Ordering;

use sst_writer::publish::{Commit, MetaLimits};
use sst_writer::{Monitor, Publisher, PublisherOptions, WriterOptions};

use counting::{HIGHEST, IN_USE};
use filter_of_len::FilterOfLen;

const MIB: usize = 1 << 20;

/// Adds a table with one entry and a filter of a MiB.
fn add_table(commit: &mut Commit<'_>, key: u32) {
    let mut table = commit.create_table(WriterOptions::default().filter(FilterOfLen(MIB))).unwrap();
    table.add((key.to_string().as_str(), "value")).unwrap();
    let table = table.finish().unwrap();
    commit.add_table(table).unwrap();
}

/// The memory that `work` takes at most, next to what is in use before.
fn memory_of<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = IN_USE.load(Ordering::Relaxed);
    HIGHEST.store(before, Ordering::Relaxed);
    let done = work();
    (HIGHEST.load(Ordering::Relaxed) - before, done)
}

fn meta_files(directory: &Path) -> usize {
    let files = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|name| name == "meta")).count()
}

/// A commit holds each of its filters once. Writing them to its meta files, reading those back, and
/// describing tables of older meta files again takes some pieces of 256 KiB, however many filters
/// there are and however large they are.
#[test]
fn filters_are_in_memory_once() {
    const TABLES: u32 = 64;
    /// For pieces of files, heads, and the state of the directory.
    const SLACK: usize = 2 * MIB;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let limits = MetaLimits::default().filter_bytes(16 * MIB as u64);
    let options = || PublisherOptions::default().meta_limits(limits);
    let mut publisher = Publisher::open(path, options()).unwrap();
    let (whole, ()) = memory_of(|| {
        let mut commit = publisher.begin();
        (0..TABLES).for_each(|key| add_table(&mut commit, key));
        let (publishing, _) = memory_of(|| commit.publish(&Monitor::default()).unwrap());
        assert!(publishing < SLACK, "publishing took {publishing} bytes");
    });
    assert_eq!(meta_files(path), 4);
    let filters = usize::try_from(TABLES).unwrap() * MIB;
    assert!((filters..filters + SLACK).contains(&whole), "{whole} bytes for {filters} of filters");
    drop(publisher);
    let (opening, mut publisher) = memory_of(|| Publisher::open(path, options()).unwrap());
    assert!(opening < SLACK, "opening took {opening} bytes");

    // Small commits whose tables are described again, with 4 MiB of filters and more.
    for key in 0..16 {
        let (appending, ()) = memory_of(|| {
            let mut commit = publisher.begin();
            add_table(&mut commit, TABLES + key);
            commit.publish(&Monitor::default()).unwrap();
        });
        assert!(appending < MIB + SLACK, "append {key} took {appending} bytes");
    }
    assert!(meta_files(path) < 4 + 16, "some were described again");
}
