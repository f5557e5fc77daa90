//! Loads and merges whose tables go to a bucket while they are written.

use std::collections::BTreeMap;
use std::sync::Arc;

use object_store::memory::InMemory;
use sst_merge::{Inputs, MergeOptions, merge_into_output};
use sst_object_store::{ObjectPublisher, ObjectPublisherOptions, Store};
use sst_reader::{ReaderOptions, SstSet};
use sst_writer::bulk::{BulkOptions, RemoteLoad, RemoteLoader};
use sst_writer::table::Compression;
use sst_writer::{BulkError, Monitor};

use crate::support::{Scratch, commit, names, pull, store_on, verify};

fn publisher(store: &Store) -> ObjectPublisher {
    let options = ObjectPublisherOptions::default().piece_len(3000);
    ObjectPublisher::new(store, options).unwrap()
}

/// Rows of several tables: a tenth of them in blobs, some of which a later row replaces.
fn rows() -> Vec<(String, Vec<u8>)> {
    let row = |i: usize| {
        let value = format!("value {i} ").into_bytes();
        (format!("key {}", i % 900), value.repeat(if i.is_multiple_of(10) { 700 } else { 1 }))
    };
    (0..1000).map(row).collect()
}

fn options() -> BulkOptions {
    BulkOptions::default().max_table_entries(200).blob_threshold(5000).threads(2)
}

/// The entries of a directory.
pub(crate) fn entries(store_copy: &std::path::Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let set = SstSet::open(store_copy, &ReaderOptions::default()).unwrap();
    let found = set.iter().map(|entry| {
        let key = entry.unwrap().key.to_vec();
        let value = set.get(&key).unwrap().unwrap().to_vec();
        (key, value)
    });
    found.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_goes_to_a_bucket_while_it_is_written() {
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    let mut publisher = publisher(&store);
    let mut commit = publisher.begin(0).await.unwrap();
    let output = commit.output();
    let load = commit
        .write_blocking(|output| {
            let (place, monitor) = (Arc::new(output.clone()), Monitor::default());
            let loader = RemoteLoader::new(place, options(), Compression::Lz4, &monitor)?;
            let mut handle = loader.handle(0);
            for (key, value) in rows() {
                handle.put(key, value)?;
            }
            handle.finish()?;
            loader.finish()
        })
        .unwrap();
    let RemoteLoad { summary, tables, blobs, unused, .. } = load.unwrap();
    assert_eq!((summary.entries, summary.duplicates), (900, 100));
    assert!(tables.len() > 3 && !blobs.is_empty() && !unused.is_empty());
    // They are there before the commit.
    let there = names(&*objects).await;
    assert_eq!(there.iter().filter(|name| name.ends_with(".sst")).count(), tables.len());
    output.remove(&unused).await.unwrap();
    commit.add_written(tables, blobs.clone());
    commit.publish(&Monitor::default()).await.unwrap();
    let there = names(&*objects).await;
    assert_eq!(there.iter().filter(|name| name.ends_with(".blob")).count(), blobs.len());
    let scratch = Scratch::new();
    let copy = scratch.path("copy");
    pull(&store, &copy).await.unwrap();
    verify(&copy);
    let expected: BTreeMap<_, _> =
        rows().into_iter().map(|(key, value)| (key.into_bytes(), value)).collect();
    assert_eq!(entries(&copy), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_fails_leaves_nothing_of_its_tables() {
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    let mut publisher = publisher(&store);
    let commit = publisher.begin(0).await.unwrap();
    let failed = commit
        .write_blocking(|output| {
            let (place, monitor) = (Arc::new(output.clone()), Monitor::default());
            let loader = RemoteLoader::new(place, options(), Compression::Lz4, &monitor)?;
            let mut handle = loader.handle(0);
            for (key, value) in rows() {
                handle.put(key, value)?;
            }
            monitor.token().cancel();
            handle.finish()?;
            loader.finish().map(drop)
        })
        .unwrap();
    assert!(matches!(failed, Err(BulkError::Cancelled)), "{failed:?}");
    let output = commit.output();
    output.discard().await.unwrap();
    assert!(names(&*objects).await.iter().all(|name| !name.ends_with(".sst")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_of_directories_goes_to_a_bucket() {
    let scratch = Scratch::new();
    let store = store_on(Arc::new(InMemory::new()));
    let (first, second) = (scratch.path("first"), scratch.path("second"));
    commit(&first, 1, true);
    commit(&second, 2, true);
    let mut inputs = Inputs::new(&ReaderOptions::default());
    inputs.add_directory(&first, 0).unwrap();
    inputs.add_directory(&second, 0).unwrap();
    let mut publisher = publisher(&store);
    let mut commit = publisher.begin(0).await.unwrap();
    let merged = commit.write_blocking(|output| {
        let output = Arc::new(output.clone());
        merge_into_output(&inputs, output, &MergeOptions::default(), &Monitor::default())
    });
    let merged = merged.unwrap().unwrap();
    assert_eq!((merged.report.copied_blobs, merged.blobs.len()), (2, 2));
    commit.add_written(merged.tables, merged.blobs);
    commit.publish(&Monitor::default()).await.unwrap();
    let copy = scratch.path("copy");
    pull(&store, &copy).await.unwrap();
    verify(&copy);
    let mut expected = entries(&first);
    expected.extend(entries(&second));
    assert_eq!(entries(&copy), expected);
}
