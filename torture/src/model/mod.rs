//! The subjects of the tests: tables and directories that our writer made, and their right answers.
//! Also the judgement of answers.

pub mod corpus;
pub mod damage;
pub mod database;
pub mod meta_bytes;
pub mod outcome;
pub mod parts;
pub mod region;
pub mod repeating_table;
pub mod subject;
pub mod table;

use std::path::{Path, PathBuf};

use sst_amqf::QuotientFilter;
use sst_conformance::{SplitMix, TestEntry, TestValue};
use sst_reader::{BlockCache, ReaderOptions};
use tempfile::TempDir;

/// Options with a filter and a small cache, since many tests open thousands of tables.
pub fn reader_options() -> ReaderOptions {
    ReaderOptions::default().filter(QuotientFilter::default()).cache(BlockCache::new(1 << 18))
}

/// `count` sorted entries with keys of 4 bytes.
pub fn numbered(count: u32, value: impl Fn(u32) -> TestValue) -> Vec<TestEntry> {
    sorted((0..count).map(|i| TestEntry::new(i.to_be_bytes(), value(i))).collect())
}

/// The entries in the order of a table.
pub fn sorted(mut entries: Vec<TestEntry>) -> Vec<TestEntry> {
    TestEntry::sort(&mut entries);
    entries
}

/// An inline value of one byte.
pub fn inline(byte: u8) -> TestValue {
    TestValue::Inline(vec![byte])
}

/// Whether two entries have the same key.
pub fn same_key(a: &TestEntry, b: &TestEntry) -> bool {
    a.hash == b.hash && a.key == b.key
}

/// Keys with their hashes to which no test gives a value.
pub fn absent() -> Vec<(u64, Vec<u8>)> {
    let keys = [&b"absent"[..], b"no such key", b"nor this one, which is longer than 32 bytes"];
    keys.map(|key| (sst_reader::hash_key(key), key.to_vec())).to_vec()
}

/// A random number below `bound`, which must not be 0.
pub fn below(random: &mut SplitMix, bound: usize) -> usize {
    usize::try_from(random.word() % bound as u64).unwrap()
}

/// The result of an action; `None` if it panicked.
pub fn without_panic<T>(action: impl FnOnce() -> T) -> Option<T> {
    crate::caught(action).ok()
}

/// A temporary directory, in memory if the system has such a file system.
#[must_use]
pub fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The files of a directory without the lock file, sorted by name.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = dir.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| !path.ends_with(sst_writer::publish::LOCK_FILE_NAME)).collect();
    files.sort();
    files
}

/// Copies the files of a directory to another existing directory.
pub fn copy_files(from: &Path, to: &Path) {
    for file in files(from) {
        std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}
