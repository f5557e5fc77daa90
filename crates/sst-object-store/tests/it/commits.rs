//! Commits as they are read from a store.

use std::path::Path;

use sst_object_store::{RemoteCommit, Store, StoreError};
use sst_writer::{Monitor, Publisher, PublisherOptions, WriterOptions};

use crate::support::{Scratch, commit, files};

async fn read(directory: &Path) -> RemoteCommit {
    let store = Store::from_directory(directory).unwrap();
    RemoteCommit::read(&store).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_commit_lists_its_files_with_their_lengths() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    commit(&db, 1, false);
    commit(&db, 2, false);
    let commit = read(&db).await;
    let on_disk = files(&db);
    let listed: Vec<_> =
        commit.files().iter().map(|file| (file.name.to_string(), file.len)).collect();
    let expected: Vec<_> = on_disk
        .iter()
        .filter(|(name, _)| *name != "CURRENT")
        .map(|(name, bytes)| (name.clone(), bytes.len() as u64))
        .collect();
    assert_eq!(listed, expected);
    assert_eq!((commit.tables().count(), commit.blobs().len()), (4, 2));
    let publisher = Publisher::open(&db, PublisherOptions::default()).unwrap();
    assert_eq!(Some(commit.sequence()), publisher.current());
    let live: Vec<_> = publisher.live_tables().map(|(family, table)| (family, *table)).collect();
    let found: Vec<_> = commit.tables().map(|(family, table)| (family, *table)).collect();
    assert_eq!(found, live);
}

/// The head of a meta file of several hundred KiB is read without its filters.
#[tokio::test]
async fn large_meta_files_are_read_in_parts() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    let mut publisher = Publisher::open(&db, PublisherOptions::default()).unwrap();
    let mut commit = publisher.begin();
    for i in 0..3u32 {
        let mut table = commit.create_table(WriterOptions::default()).unwrap();
        table.add((i.to_be_bytes(), "value")).unwrap();
        let filter = sst_format::filter::FilterBytes::new(vec![7; 100_000]);
        commit.add_table(table.finish().unwrap().with_filter(filter)).unwrap();
    }
    commit.publish(&Monitor::default()).unwrap();
    drop(publisher);
    let commit = read(&db).await;
    assert_eq!((commit.tables().count(), commit.files().len()), (3, 4));
}

#[tokio::test]
async fn a_place_without_a_commit_is_no_error_and_damage_is() {
    let scratch = Scratch::new();
    let missing = Store::from_directory(scratch.path("none")).unwrap_err();
    assert!(matches!(missing, StoreError::BadUrl { .. }));
    let db = scratch.path("db");
    std::fs::create_dir(&db).unwrap();
    let store = Store::from_directory(&db).unwrap();
    assert!(RemoteCommit::read(&store).await.unwrap().is_none());
    std::fs::write(db.join("CURRENT"), 7u32.to_be_bytes()).unwrap();
    let original = RemoteCommit::read(&store).await.unwrap_err();
    assert!(matches!(original, StoreError::Unprotected { .. }));
    let current = sst_format::current::Current::encode(sst_format::SequenceNumber(7), crc);
    std::fs::write(db.join("CURRENT"), current).unwrap();
    let missing = RemoteCommit::read(&store).await.unwrap_err();
    assert!(matches!(missing, StoreError::Missing { .. }));
    std::fs::write(db.join("CURRENT"), "1234567").unwrap();
    let damaged = RemoteCommit::read(&store).await.unwrap_err();
    assert!(matches!(damaged, StoreError::Format { .. }));
}

fn crc(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}
