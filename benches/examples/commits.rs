//! Measures the cost of commits by the number of earlier commits and of the tables that they
//! describe. Prints bytes read and time for opening a set, refreshing it after a small commit, and
//! publishing that commit, and the bytes of all meta files.
//!
//! `cargo run --release -p sst-benches --example commits [-- 10000]`: up to this many commits.
//! Bytes are those that the system counts for the process (Linux only).

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example that measures")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use sst_amqf::QuotientFilter;
use sst_reader::{Access, ReaderOptions, SstSet, hash_key};
use sst_writer::{Commit, EntryValue, Publisher, PublisherOptions, WriterOptions};

/// Number of keys of each table.
const KEYS_OF_SMALL_TABLE: u32 = 10;

fn main() {
    let most = std::env::args().nth(1).map_or(1000, |most| most.parse().unwrap());
    println!("| directory | meta files | their bytes | open | refresh | publish |");
    println!("|---|---|---|---|---|---|");
    for commits in [10, 100, 1000, 10_000].into_iter().filter(|commits| *commits <= most) {
        measure(&format!("{commits} commits of one table"), |publisher| {
            for i in 0..commits {
                commit(publisher, 1, i);
            }
        });
    }
    for tables in [1, 100, 10_000] {
        measure(&format!("1 commit of {tables} tables"), |publisher| commit(publisher, tables, 0));
    }
}

/// Makes a commit of `tables` tables of ten keys each, with filters.
fn commit(publisher: &mut Publisher, tables: u32, number: u32) {
    let mut commit = publisher.begin();
    let count = tables * KEYS_OF_SMALL_TABLE;
    let mut keys: Vec<(u64, String)> = (0..count)
        .map(|i| format!("key {number} {i}"))
        .map(|key| (hash_key(key.as_bytes()), key))
        .collect();
    keys.sort();
    for keys in keys.chunks(KEYS_OF_SMALL_TABLE as usize) {
        let options = WriterOptions::default().filter(QuotientFilter::default());
        let mut table = commit.create_table(options).unwrap();
        for (_, key) in keys {
            table.add((key.as_str(), EntryValue::Small(b"value"))).unwrap();
        }
        let table = table.finish().unwrap();
        commit.add_table(table).unwrap();
    }
    publish(commit);
}

fn publish(commit: Commit<'_>) {
    commit.publish().unwrap();
}

fn measure(name: &str, fill: impl FnOnce(&mut Publisher)) {
    let dir = tempfile::tempdir().unwrap();
    let mut publisher = Publisher::open(dir.path(), PublisherOptions::default()).unwrap();
    fill(&mut publisher);
    let (meta_files, bytes) = meta_files(dir.path());
    let options = ReaderOptions::default().filter(QuotientFilter::default()).access(Access::Read);
    let (opened, set) = cost(|| SstSet::open(dir.path(), &options).unwrap());
    let (published, ()) = cost(|| commit(&mut publisher, 1, u32::MAX));
    let (refreshed, set) = cost(|| set.refresh().unwrap().unwrap());
    assert!(set.get(format!("key {} 0", u32::MAX).as_bytes()).unwrap().is_some());
    println!("| {name} | {meta_files} | {bytes} | {opened} | {refreshed} | {published} |");
}

/// Number of meta files of a directory, and their bytes.
fn meta_files(dir: &Path) -> (usize, u64) {
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap());
    let metas = files.filter(|file| file.path().extension().is_some_and(|name| name == "meta"));
    let sizes: Vec<u64> = metas.map(|file| file.metadata().unwrap().len()).collect();
    (sizes.len(), sizes.iter().sum())
}

/// The time and bytes of one run. Taking the best of several runs is not possible, since each run
/// changes the directory.
fn cost<T>(work: impl FnOnce() -> T) -> (String, T) {
    let (read_before, written_before) = counted();
    let start = Instant::now();
    let done = work();
    let time = start.elapsed();
    let (read, written) = counted();
    // Reading the counters is counted too, so subtract it.
    let own = read_own();
    let read = (read - read_before).saturating_sub(own);
    (format!("{} ({read} B read, {} B written)", shown(time), written - written_before), done)
}

fn shown(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

/// Bytes that this process has read and written through the system so far.
fn counted() -> (u64, u64) {
    let text = fs::read_to_string("/proc/self/io").unwrap();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().parse().unwrap()
    };
    (field("rchar:"), field("wchar:"))
}

/// Number of bytes that one reading of the counters adds to them.
fn read_own() -> u64 {
    let (before, _) = counted();
    counted().0 - before
}
