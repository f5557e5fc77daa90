//! Inputs that a merge refuses; it then leaves nothing behind.

use std::path::Path;

use sst_merge::{
    CancelToken, Diff, Duplicates, Inputs, MergeError, MergeOptions, MergeReport, Monitor, compact,
    merge_into_commit, merge_into_file,
};
use sst_reader::{Access, Catalog, ReadError, ReaderOptions, SstSet, verify_directory};
use sst_writer::table::{StoredBlockDefect, write_static_sorted_file};
use sst_writer::{EntryValue, PublishError};

use crate::support::{Layer, Value, files, go_on, key, publish, publisher};

fn layer(keys: std::ops::Range<u8>, value: &Value) -> Layer {
    keys.map(|i| (key(i), vec![value.clone()])).collect()
}

/// Merges a directory into another, and makes sure that a failure leaves nothing there.
fn merge(dir: &Path, options: &MergeOptions) -> Result<MergeReport, MergeError> {
    let scratch = tempfile::tempdir().unwrap();
    let mut inputs = Inputs::new(&ReaderOptions::default().access(Access::Read));
    inputs.add_directory(dir, 0)?;
    let mut publisher = publisher(scratch.path());
    let before = files(scratch.path());
    let mut commit = publisher.begin();
    let merged = merge_into_commit(&inputs, &mut commit, options, &go_on());
    drop(commit);
    assert_eq!(files(scratch.path()), before);
    merged
}

#[test]
fn keys_that_come_twice_are_refused_if_that_is_asked_for() {
    let value = Value::Inline(b"v".to_vec());
    let options = MergeOptions::default().duplicates(Duplicates::Error);
    let cases = [
        (vec![layer(0..20, &value), layer(20..40, &value)], true),
        (vec![layer(0..21, &value), layer(20..40, &value)], false),
        (vec![layer(0..20, &value), layer(0..1, &Value::Deleted)], false),
        (vec![Layer::from([(key(1), vec![value.clone(), value.clone()])])], false),
    ];
    for (layers, is_fine) in cases {
        let scratch = tempfile::tempdir().unwrap();
        publish(scratch.path(), &layers);
        match merge(scratch.path(), &options) {
            Ok(_) => assert!(is_fine),
            Err(MergeError::DuplicateKey { .. }) => assert!(!is_fine),
            Err(other) => panic!("{other}"),
        }
        merge(scratch.path(), &MergeOptions::default()).unwrap();
    }
}

#[test]
fn damage_in_any_block_is_found_and_nothing_published() {
    let scratch = tempfile::tempdir().unwrap();
    let mut all = layer(0..20, &Value::Small(vec![1; 3000]));
    all.extend(layer(20..30, &Value::Medium(vec![2; 9000])));
    publish(scratch.path(), &[all]);
    let catalog = Catalog::read(scratch.path()).unwrap();
    let path = catalog.tables[0].path(scratch.path());
    let intact = std::fs::read(&path).unwrap();
    merge(scratch.path(), &MergeOptions::default()).unwrap();
    for at in (0..intact.len()).step_by(7) {
        let mut damaged = intact.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&path, damaged).unwrap();
        let error = merge(scratch.path(), &MergeOptions::default()).unwrap_err();
        assert!(error.is_corruption(), "byte {at}: {error}");
    }
}

#[test]
fn a_damaged_or_swapped_blob_is_found_while_it_is_copied() {
    let scratch = tempfile::tempdir().unwrap();
    let blobs = [
        (key(1), vec![Value::Blob(vec![1; 50_000])]),
        (key(2), vec![Value::Blob(vec![2; 50_000])]),
    ];
    publish(scratch.path(), &[Layer::from(blobs)]);
    let catalog = Catalog::read(scratch.path()).unwrap();
    let paths: Vec<_> =
        catalog.blobs().unwrap().keys().map(|number| catalog.blob_path(*number)).collect();
    let intact: Vec<_> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let refused = || match merge(scratch.path(), &MergeOptions::default()) {
        Err(MergeError::Publish(error)) => error,
        other => panic!("{other:?}"),
    };
    let mut damaged = intact[0].clone();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&paths[0], &damaged).unwrap();
    let checksum =
        |defect: &StoredBlockDefect| matches!(defect, StoredBlockDefect::Checksum { .. });
    assert!(matches!(refused(), PublishError::BadBlob { source, .. } if checksum(&source)));
    std::fs::write(&paths[0], &intact[1]).unwrap();
    std::fs::write(&paths[1], &intact[0]).unwrap();
    assert!(matches!(refused(), PublishError::NotTheListedBlob { .. }));
}

#[test]
fn blobs_need_a_directory_on_both_sides() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("dir");
    publish(&dir, &[Layer::from([(key(1), vec![Value::Blob(vec![1; 10])])])]);
    let out = scratch.path().join("out.sst");
    let merge_file = |path: &Path| {
        let mut inputs = Inputs::new(&ReaderOptions::default());
        inputs.add_table(path).unwrap();
        merge_into_file(&inputs, &out, &MergeOptions::default(), &go_on()).map(|_| ()).unwrap_err()
    };
    let path = Catalog::read(&dir).unwrap().tables[0].path(&dir);
    assert!(matches!(merge_file(&path), MergeError::BlobInLoneTable { .. }));
    let alone = scratch.path().join("alone.sst");
    std::fs::copy(&path, &alone).unwrap();
    assert!(matches!(merge_file(&alone), MergeError::BlobWithoutDirectory { .. }));
    assert!(!out.exists());
}

#[test]
fn a_table_that_says_it_is_elsewhere_is_not_believed() {
    let scratch = tempfile::tempdir().unwrap();
    // Two tables swapped on disk: each is where the other should be.
    let value = EntryValue::Inline(b"v");
    let entries: Vec<_> = (0..2u8).map(|i| ([i; 4], value)).collect();
    let paths = [scratch.path().join("0.sst"), scratch.path().join("1.sst")];
    for (path, entry) in paths.iter().zip(&entries) {
        write_static_sorted_file(std::slice::from_ref(entry), path, Default::default()).unwrap();
    }
    let mut inputs = Inputs::new(&ReaderOptions::default().access(Access::Read));
    inputs.add_table(&paths[0]).unwrap();
    inputs.add_table(&paths[1]).unwrap();
    let first = std::fs::read(&paths[0]).unwrap();
    std::fs::copy(&paths[1], &paths[0]).unwrap();
    std::fs::write(&paths[1], first).unwrap();
    let out = scratch.path().join("out.sst");
    let merged = merge_into_file(&inputs, &out, &MergeOptions::default(), &go_on());
    assert!(matches!(merged, Err(MergeError::Unordered { .. })), "{merged:?}");
    assert!(!out.exists());
}

#[test]
fn a_merge_that_is_cancelled_leaves_nothing_behind() {
    let scratch = tempfile::tempdir().unwrap();
    let entries: Vec<_> = (0..20_000u32).map(|i| i.to_be_bytes()).collect();
    let mut source = publisher(scratch.path());
    for half in entries.chunks(10_000) {
        let mut keys = half.to_vec();
        keys.sort_by_key(|key| (sst_writer::table::hash_key(key), *key));
        let mut commit = source.begin();
        let mut table = commit.create_table(Default::default()).unwrap();
        keys.iter().for_each(|key| table.add((key, EntryValue::Inline(b"v"))).unwrap());
        commit.add_table(table.finish().unwrap()).unwrap();
        commit.publish(&Monitor::default()).unwrap();
    }
    let before = files(scratch.path());
    let (sender, receiver) = std::sync::mpsc::channel();
    let token = CancelToken::default();
    let switch = token.clone();
    let monitor = Monitor::default().cancel(token).progress(move |progress| {
        assert_eq!(progress.total_entries, Some(20_000));
        sender.send(progress.entries).unwrap();
        if progress.entries > 10_000 {
            switch.cancel();
        }
    });
    let options = MergeOptions::default().max_table_entries(1000);
    let done = compact(&mut source, 0, 9, &options, &ReaderOptions::default(), &monitor);
    drop(monitor);
    let seen: Vec<u64> = receiver.iter().collect();
    assert!(matches!(done, Err(MergeError::Cancelled)));
    assert!(seen.len() > 2 && seen.is_sorted());
    assert_eq!(files(scratch.path()), before);
}

#[test]
fn comparisons_and_verifications_stop_when_cancelled() {
    let scratch = tempfile::tempdir().unwrap();
    let layer: Layer = (0..60).map(|i| (key(i), vec![Value::Small(vec![i; 300])])).collect();
    publish(scratch.path(), &[layer]);
    let mut inputs = Inputs::new(&ReaderOptions::default());
    inputs.add_directory(scratch.path(), 0).unwrap();
    let monitor = Monitor::default();
    monitor.token().cancel();
    let mut diff = Diff::new(&inputs, &inputs, 0..=u64::MAX, Duplicates::Newest, &monitor).unwrap();
    assert!(matches!(diff.next(), Err(MergeError::Cancelled)));
    let options = ReaderOptions::default();
    let verified = verify_directory(scratch.path(), &options, &monitor);
    assert!(matches!(verified, Err(ReadError::Cancelled { .. })));
    let set = SstSet::open(scratch.path(), &options).unwrap();
    assert!(matches!(set.content_digest(&monitor), Err(ReadError::Cancelled { .. })));
}
