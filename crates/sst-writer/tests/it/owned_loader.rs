//! Loaders that own their publisher, and records without handles.

use sst_format::BlobNumber;
use sst_writer::bulk::OwnedBulkLoader;
use sst_writer::{
    BulkError, BulkLoader, BulkOptions, EntryValue, Monitor, Publisher, PublisherOptions,
    WriteError,
};

/// The file names and bytes of a directory's tables.
fn tables(directory: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
    let tables = files.filter(|path| path.extension().is_some_and(|extension| extension == "sst"));
    let name = |path: &std::path::Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut tables: Vec<_> =
        tables.map(|path| (name(&path), std::fs::read(&path).unwrap())).collect();
    tables.sort();
    tables
}

fn publisher(directory: &std::path::Path) -> Publisher {
    Publisher::open(directory, PublisherOptions::default()).unwrap()
}

#[test]
fn all_ways_to_put_records_write_the_same_files() {
    let scratch = tempfile::tempdir().unwrap();
    let rows: Vec<_> = (0..1000_u32).map(|i| (i.to_be_bytes(), format!("value {i}"))).collect();
    let by_handle = scratch.path().join("handle");
    {
        let mut publisher = publisher(&by_handle);
        let loader =
            BulkLoader::new(&mut publisher, BulkOptions::default(), &Monitor::default()).unwrap();
        let mut handle = loader.handle(0);
        rows.iter().for_each(|(key, value)| handle.put(key, value).unwrap());
        handle.delete("gone").unwrap();
        handle.finish().unwrap();
        loader.finish().unwrap();
    }
    let by_loader = scratch.path().join("loader");
    {
        let mut publisher = publisher(&by_loader);
        let mut loader =
            BulkLoader::new(&mut publisher, BulkOptions::default(), &Monitor::default()).unwrap();
        loader.extend(&rows).unwrap();
        loader.delete("gone").unwrap();
        loader.finish().unwrap();
    }
    let by_owner = scratch.path().join("owner");
    let mut owner: OwnedBulkLoader =
        publisher(&by_owner).into_loader(BulkOptions::default(), &Monitor::default());
    for (key, value) in &rows {
        owner.put(key, value).unwrap();
    }
    owner.extend([("gone", EntryValue::Deleted)]).unwrap();
    owner.finish().unwrap();
    let expected = tables(&by_handle);
    assert_eq!(expected.len(), 1);
    assert!(tables(&by_loader) == expected && tables(&by_owner) == expected);
    // The next record begins another load.
    owner.put("only", "one").unwrap();
    let summary = owner.finish().unwrap();
    assert_eq!(summary.entries, 1);
    assert_eq!(owner.publisher().live_tables().count(), 1);
    // A load that is given up leaves nothing behind.
    owner.put("never", "seen").unwrap();
    let publisher = owner.into_publisher();
    assert_eq!(publisher.current(), Some(summary.commit));
}

#[test]
fn several_threads_share_a_loader_that_owns_its_publisher() {
    let scratch = tempfile::tempdir().unwrap();
    let mut loader = publisher(&scratch.path().join("db"))
        .into_loader(BulkOptions::default(), &Monitor::default());
    let handles: Vec<_> = (1..=2).map(|stream| loader.handle(stream).unwrap()).collect();
    std::thread::scope(|scope| {
        for mut handle in handles {
            scope.spawn(move || {
                (0..100_u8).for_each(|key| handle.put([key], handle.stream().to_string()).unwrap());
                handle.finish().unwrap();
            });
        }
    });
    loader.put([0], "stream 0 is the oldest").unwrap();
    let mut load = loader.prepare().unwrap();
    assert!(!load.commit().tables().is_empty());
    let summary = load.publish().unwrap();
    assert_eq!((summary.entries, summary.duplicates), (100, 101));
}

#[test]
fn a_value_in_stored_form_is_refused_and_the_load_goes_on() {
    let scratch = tempfile::tempdir().unwrap();
    let mut loader = publisher(&scratch.path().join("db"))
        .into_loader(BulkOptions::default(), &Monitor::default());
    let stored = EntryValue::Blob(BlobNumber(7));
    let refused = loader.extend([("key", stored)]);
    assert!(matches!(
        refused,
        Err(BulkError::Entry { source: WriteError::StoredForm { entry: 0 }, .. })
    ));
    loader.put("key", "value").unwrap();
    assert_eq!(loader.finish().unwrap().entries, 1);
}
