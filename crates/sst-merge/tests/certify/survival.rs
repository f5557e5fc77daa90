//! Merges in place of certified directories, without digests of what is put in.

use std::path::Path;

use sst_merge::{Duplicates, MergeOptions, Monitor, compact, publish};
use sst_reader::{Catalog, ReaderOptions, verify_directory};
use sst_writer::{Publisher, PublisherOptions, WriterOptions};

use crate::rows::{Row, Value, open, sorted};

/// Three certified commits of 400 keys each, which overlap; some entries are tombstones or blobs.
fn directory(directory: &Path) {
    let mut publisher = open(directory);
    for layer in 0..3_u32 {
        let mut commit = publisher.begin();
        let blob = commit.create_blob([b'x'; 5000]).unwrap();
        let rows = (layer * 200..layer * 200 + 400).map(|i| {
            let value = match i % 7 {
                0 => Value::Deleted,
                1 => Value::Blob(blob.0),
                2 => Value::Medium(vec![b'm'; 6000]),
                _ => Value::Small(format!("value {i} of layer {layer}").into_bytes()),
            };
            Row::new(format!("key {i}"), value)
        });
        let mut table = commit.create_table(WriterOptions::default()).unwrap();
        sorted(rows.collect()).iter().for_each(|row| table.add(row.entry()).unwrap());
        commit.add_table(table.finish().unwrap()).unwrap();
        publish(commit, &Monitor::default()).unwrap();
    }
}

/// Merges the newest tables in place. Returns whether the directory still has its certificate.
fn keeps_certificate(newest: usize, duplicates: Duplicates) -> bool {
    let scratch = tempfile::tempdir().unwrap();
    directory(scratch.path());
    let before = Catalog::read(scratch.path()).unwrap().certificates;
    assert_eq!(before.len(), 1);
    let mut publisher = Publisher::open(scratch.path(), PublisherOptions::default()).unwrap();
    let options = MergeOptions::default().duplicates(duplicates).max_table_entries(100);
    let reader = ReaderOptions::default();
    compact(&mut publisher, 0, newest, &options, &reader, &Monitor::default()).unwrap();
    let report = verify_directory(scratch.path(), &reader, &Monitor::default()).unwrap();
    assert!(report.is_intact(), "{:?}", report.damage);
    let after = Catalog::read(scratch.path()).unwrap().certificates;
    assert_eq!(report.certificates, after.len() as u64);
    assert!(after.is_empty() || after == before);
    !after.is_empty()
}

#[test]
fn a_merge_in_place_keeps_the_certificate() {
    for newest in [1, 2, 3, usize::MAX] {
        assert!(keeps_certificate(newest, Duplicates::Newest), "{newest}");
    }
}

#[test]
fn a_merge_that_keeps_all_entries_of_a_key_loses_it_if_a_key_is_in_several_tables() {
    assert!(!keeps_certificate(usize::MAX, Duplicates::Keep));
    assert!(keeps_certificate(1, Duplicates::Keep));
}
