//! Concurrency: threads read while commits are published and old files are removed. Each commit
//! writes its number into all values. No snapshot may contain two numbers, no reader may go back to
//! an older number, and the only allowed error is that a snapshot is outdated.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use sst_amqf::QuotientFilter;
use sst_reader::{Access, ReadError, ReaderOptions, SstSet};
use sst_writer::table::hash_key;
use sst_writer::{EntryValue, Monitor, PublishError, Publisher, PublisherOptions, WriterOptions};

use crate::faults::Tapped;
use crate::faults::tap::WithoutSync;
use crate::model::reader_options;
use crate::{Context, Protection, Row, Suite, Verdict};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "concurrency",
    about: "threads read while commits are published and old files are removed",
    run,
};

const KEYS: u64 = 40;
const READERS: usize = 4;

fn run(context: &Context) -> Vec<Row> {
    let commits = if context.is_brief() { 60 } else { context.pick(300, 10_000) };
    let kinds = [
        ("map, tables", Access::Map, false),
        ("positioned reads, tables", Access::Read, false),
        ("map, tables and blobs", Access::Map, true),
        ("positioned reads, tables and blobs", Access::Read, true),
    ];
    kinds
        .map(|(name, access, has_blobs)| {
            let mut row = Row::new(format!("snapshots, {name}"), Protection::Protected);
            let options = reader_options().access(access);
            let readers = race(&options, has_blobs, commits);
            for (case, verdict) in readers.into_iter().enumerate() {
                row.count(case, verdict, || format!("snapshot {case}"));
            }
            row
        })
        .into()
}

/// The value that a commit gives a key: the commit's number, repeated to make an inline, a small or
/// a medium value.
fn value(commit: u64, index: u64) -> Vec<u8> {
    let stamp = commit.to_be_bytes();
    stamp.repeat([1, 20, 800][usize::try_from(index % 3).unwrap()])
}

fn key(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

/// Makes a commit that replaces all tables by two tables, with blobs if `has_blobs`.
fn publish(publisher: &mut Publisher, number: u64, has_blobs: bool) -> Result<(), PublishError> {
    let mut commit = publisher.begin();
    for half in 0..2 {
        let options = WriterOptions::default().filter(QuotientFilter::default());
        let mut table = commit.create_table(options)?;
        let mut indexes: Vec<u64> = (0..KEYS).filter(|i| i % 2 == half).collect();
        indexes.sort_by_key(|&i| hash_key(&key(i)));
        for i in indexes {
            let value = value(number, i);
            if has_blobs && i % 10 == 0 {
                let blob = commit.create_blob(&value)?;
                table.add((key(i), EntryValue::Blob(blob)))?;
            } else {
                table.add((key(i), value.as_slice()))?;
            }
        }
        commit.add_table(table.finish()?)?;
    }
    commit.replace_all();
    commit.publish(&Monitor::default()).map(drop)
}

/// Lets readers race with a writer. Returns the outcome of every snapshot.
fn race(options: &ReaderOptions, has_blobs: bool, commits: u64) -> Vec<Verdict> {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("db");
    let file_system = Tapped::new(WithoutSync);
    let writer_options = PublisherOptions::default().file_system(Arc::new(file_system));
    let mut publisher = Publisher::open(&directory, writer_options).unwrap();
    publish(&mut publisher, 1, has_blobs).unwrap();
    let (newest, is_done) = (AtomicU64::new(1), AtomicBool::new(false));
    thread::scope(|scope| {
        let (newest, is_done, directory) = (&newest, &is_done, &directory);
        let readers: Vec<_> = (0..READERS)
            .map(|reader| {
                let options = options.clone();
                scope.spawn(move || read(directory, &options, reader, newest, is_done))
            })
            .collect();
        for number in 2..=commits {
            publish(&mut publisher, number, has_blobs).unwrap();
            newest.store(number, Ordering::Release);
        }
        is_done.store(true, Ordering::Release);
        readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect()
    })
}

/// Takes one snapshot after the other until the writer is done, then one more. Half of the readers
/// open the directory again each time, the others refresh their set.
fn read(
    directory: &Path,
    options: &ReaderOptions,
    reader: usize,
    newest: &AtomicU64,
    is_done: &AtomicBool,
) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let mut last = 0;
    let mut set = None;
    loop {
        let is_last = is_done.load(Ordering::Acquire);
        let at_least = newest.load(Ordering::Acquire).max(last);
        let verdict =
            match next(directory, options, set.take().filter(|_| reader.is_multiple_of(2))) {
                Ok(next) => {
                    let verdict = check(&next, at_least, &mut last);
                    set = Some(next);
                    verdict
                }
                // The files of the commit were removed before they were read, and the error says
                // so.
                Err(ReadError::Outdated { .. }) => Verdict::Detected,
                Err(error) => Verdict::Wrong(format!("cannot take a snapshot: {error}")),
            };
        verdicts.push(verdict);
        if is_last {
            return verdicts;
        }
    }
}

fn next(
    directory: &Path,
    options: &ReaderOptions,
    set: Option<SstSet>,
) -> Result<SstSet, ReadError> {
    match set {
        Some(set) => Ok(set.refresh()?.unwrap_or(set)),
        None => SstSet::open(directory, options),
    }
}

/// Whether all values of a snapshot belong to one commit, which is not older than `at_least` and
/// `last`.
fn check(set: &SstSet, at_least: u64, last: &mut u64) -> Verdict {
    let mut stamp = None;
    for i in 0..KEYS {
        let found = match set.get(key(i)) {
            Ok(Some(found)) => found,
            Ok(None) => return Verdict::Wrong(format!("key {i} is missing")),
            // Files are opened at their first use. Those of an old commit may be removed by then,
            // and the error says so.
            Err(ReadError::Outdated { .. }) => return Verdict::Detected,
            Err(error) => return Verdict::Wrong(format!("key {i}: {error}")),
        };
        let Some(number) = found.first_chunk().copied().map(u64::from_be_bytes) else {
            return Verdict::Wrong(format!("key {i} has no value"));
        };
        if *found != value(number, i)[..] {
            return Verdict::Wrong(format!("key {i} has a torn value"));
        }
        let stamp = *stamp.get_or_insert(number);
        if number != stamp {
            return Verdict::Wrong(format!("commits {stamp} and {number} in one snapshot"));
        }
        if number < at_least {
            return Verdict::Wrong(format!("commit {number} after {at_least} was there"));
        }
        *last = number;
    }
    Verdict::Harmless
}
