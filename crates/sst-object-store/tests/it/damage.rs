//! Damage in a source never reaches a target.

use std::fs;
use std::sync::Arc;

use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use sst_object_store::{RemoteCommit, StoreError};

use crate::support::{Scratch, commit, edit, files, object, pull, push, store_on};

/// Flips each bit of each object in turn, and cuts and lengthens each object.
#[tokio::test]
async fn every_flipped_bit_is_found() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    commit(&db, 1, false);
    let objects = Arc::new(InMemory::new());
    push(&db, &store_on(Arc::<InMemory>::clone(&objects))).await.unwrap();
    let copy = scratch.path("copy");
    // Intact files that an earlier case has left would be used. A case that found the damage in the
    // meta files has made no directory.
    let forget = || fs::remove_dir_all(&copy);
    let mut cases = 0;
    for (name, bytes) in files(&db) {
        // A prime step, so that all bits and all parts of the files are hit.
        let bits = (0..bytes.len() * 8).step_by(if bytes.len() > 500 { 997 } else { 7 });
        for bit in bits {
            let damaged = Arc::new(objects.fork());
            edit(&*damaged, &name, |bytes| bytes[bit / 8] ^= 1 << (bit % 8)).await;
            let error = pull(&store_on(damaged), &copy).await.unwrap_err();
            assert!(
                matches!(
                    error,
                    StoreError::Format { .. }
                        | StoreError::WrongChecksum { .. }
                        | StoreError::WrongBytes { .. }
                        | StoreError::WrongLen { .. }
                        | StoreError::Missing { .. }
                ),
                "{name}, bit {bit}: {error:?}"
            );
            assert!(!copy.join("CURRENT").exists(), "{name}, bit {bit}");
            forget().unwrap_or_default();
            cases += 1;
        }
        for len in [0, 1, bytes.len() - 1, bytes.len() + 1] {
            let damaged = Arc::new(objects.fork());
            edit(&*damaged, &name, |bytes| bytes.resize(len, 0)).await;
            pull(&store_on(damaged), &copy).await.unwrap_err();
            assert!(!copy.join("CURRENT").exists(), "{name}, length {len}");
            forget().unwrap_or_default();
            cases += 1;
        }
        let damaged = Arc::new(objects.fork());
        damaged.delete(&object(&name)).await.unwrap();
        pull(&store_on(damaged), &copy).await.unwrap_err();
        assert!(!copy.join("CURRENT").exists(), "{name} is missing");
        forget().unwrap_or_default();
    }
    assert!(cases > 100, "{cases}");
    pull(&store_on(objects), &copy).await.unwrap();
    assert_eq!(files(&copy), files(&db));
}

#[tokio::test]
async fn a_stale_meta_file_is_no_part_of_a_commit() {
    let scratch = Scratch::new();
    let (db, other) = (scratch.path("db"), scratch.path("other"));
    commit(&db, 1, false);
    commit(&db, 2, false);
    commit(&other, 3, false);
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    push(&db, &store).await.unwrap();
    let stale = files(&other)["00000004.meta"].clone();
    objects.put(&object("00000004.meta"), stale.into()).await.unwrap();
    let error = RemoteCommit::read(&store).await.unwrap_err();
    assert!(matches!(error, StoreError::WrongChecksum { block: None, .. }));
}
