//! The device works while a table is written, and has less left to do when it is synced.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sst_writer::table::{Compression, hash_key};
use sst_writer::{BulkLoader, BulkOptions, Monitor, Publisher, PublisherOptions, WriterOptions};

use crate::test_file_system::TestFileSystem;

/// Bytes of a file between two requests to write it out.
const PIECE_LEN: u64 = 4 << 20;

fn publisher(directory: &Path, file_system: &TestFileSystem) -> Publisher {
    let options = PublisherOptions::default().file_system(Arc::new(file_system.clone()));
    Publisher::open(directory, options).unwrap()
}

/// How often the tables of a directory were to be written out, by their lengths.
fn pieces(directory: &Path) -> u64 {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let tables = files.filter(|file| file.path().extension().is_some_and(|end| end == "sst"));
    tables.map(|file| file.metadata().unwrap().len() / PIECE_LEN).sum()
}

fn value(number: u64) -> [u8; 1000] {
    [number.to_be_bytes()[7]; 1000]
}

#[test]
fn the_tables_of_a_load_are_written_out_early_and_what_it_spills_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let file_system = TestFileSystem::default();
    let mut publisher = publisher(directory.path(), &file_system);
    let options = BulkOptions::default()
        .memory_budget(8 << 20)
        .writer(WriterOptions::default().compression(Compression::None));
    let load = BulkLoader::new(&mut publisher, options, &Monitor::default()).unwrap();
    let mut handle = load.handle(0);
    for number in 0..24_000u64 {
        handle.put(number.to_be_bytes(), value(number)).unwrap();
    }
    handle.finish().unwrap();
    let summary = load.finish().unwrap();
    assert!(summary.spilled_bytes > PIECE_LEN, "{summary:?}");
    let pieces = pieces(directory.path());
    assert!(pieces >= 5, "{pieces}");
    assert_eq!(file_system.started_syncs.load(Ordering::Relaxed), pieces);
}

#[test]
fn a_table_of_a_commit_is_written_out_early() {
    let directory = tempfile::tempdir().unwrap();
    let file_system = TestFileSystem::default();
    let mut publisher = publisher(directory.path(), &file_system);
    let mut entries: Vec<_> = (0..12_000u64).map(|n| (n.to_be_bytes(), value(n))).collect();
    entries.sort_by_key(|(key, _)| hash_key(key));
    let mut commit = publisher.begin();
    let options = WriterOptions::default().compression(Compression::None);
    let mut table = commit.create_table(options).unwrap();
    entries.iter().for_each(|entry| table.add(entry).unwrap());
    commit.add_table(table.finish().unwrap()).unwrap();
    commit.publish(&Monitor::default()).unwrap();
    let pieces = pieces(directory.path());
    assert!(pieces >= 2, "{pieces}");
    assert_eq!(file_system.started_syncs.load(Ordering::Relaxed), pieces);
}
