//! How a mirror that is behind knows that its commit is one of the source's.

use std::fs;
use std::path::Path;

use sst_object_store::{MirrorReport, Monitor, Store, StoreError};

use crate::support::{Scratch, commit_keeping, files, memory, options, pull, push, verify};

/// Pulls from a directory.
async fn follow(db: &Path, copy: &Path) -> Result<MirrorReport, StoreError> {
    pull(&Store::from_directory(db).unwrap(), copy).await
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for (name, bytes) in files(from) {
        fs::write(to.join(name), bytes).unwrap();
    }
}

#[tokio::test]
async fn a_mirror_that_is_behind_goes_on_though_the_source_keeps_nothing() {
    let scratch = Scratch::new();
    let (db, copy, store) = (scratch.path("db"), scratch.path("copy"), memory());
    commit_keeping(&db, 1, false, 0);
    push(&db, &store).await.unwrap();
    follow(&db, &copy).await.unwrap();
    for seed in 2..=6 {
        commit_keeping(&db, seed, seed % 3 != 0, 0);
    }
    push(&db, &store).await.unwrap();
    follow(&db, &copy).await.unwrap();
    assert_eq!(files(&copy)["CURRENT"], files(&db)["CURRENT"]);
    verify(&copy);
    let second = scratch.path("second");
    pull(&store, &second).await.unwrap();
    assert_eq!(files(&second), files(&db));
}

#[tokio::test]
async fn a_source_that_was_restored_is_a_conflict_also_after_further_commits() {
    let scratch = Scratch::new();
    let (db, copy, backup) = (scratch.path("db"), scratch.path("copy"), scratch.path("backup"));
    commit_keeping(&db, 1, false, 0);
    copy_all(&db, &backup);
    commit_keeping(&db, 2, true, 0);
    follow(&db, &copy).await.unwrap();
    // The backup has the number of the copy's commit next, with other content.
    for seed in 8..=10 {
        let conflict = follow(&backup, &copy).await.unwrap_err();
        assert!(matches!(conflict, StoreError::Conflict { .. }), "{conflict}");
        commit_keeping(&backup, seed, true, 0);
    }
    verify(&copy);
    let replace = options().replace(true);
    let source = Store::from_directory(&backup).unwrap();
    sst_object_store::pull(&source, &copy, &replace, &Monitor::default()).await.unwrap();
    assert_eq!(files(&copy)["CURRENT"], files(&backup)["CURRENT"]);
}

#[tokio::test]
async fn a_source_that_was_rebuilt_is_a_conflict() {
    let scratch = Scratch::new();
    let (db, copy, rebuilt) = (scratch.path("db"), scratch.path("copy"), scratch.path("rebuilt"));
    commit_keeping(&db, 1, false, 0);
    follow(&db, &copy).await.unwrap();
    for seed in 7..=9 {
        commit_keeping(&rebuilt, seed, true, 0);
        let conflict = follow(&rebuilt, &copy).await.unwrap_err();
        assert!(matches!(conflict, StoreError::Conflict { .. }), "{conflict}");
    }
    // The same input gives the same commit: that is no other history.
    let same = scratch.path("same");
    commit_keeping(&same, 1, false, 0);
    assert!(!follow(&same, &copy).await.unwrap().is_changed());
}

#[tokio::test]
async fn a_lineage_goes_back_32_commits() {
    let scratch = Scratch::new();
    let (db, near, far) = (scratch.path("db"), scratch.path("near"), scratch.path("far"));
    commit_keeping(&db, 1, false, 0);
    follow(&db, &far).await.unwrap();
    commit_keeping(&db, 2, true, 0);
    follow(&db, &near).await.unwrap();
    for seed in 3..=34 {
        commit_keeping(&db, seed, true, 0);
    }
    follow(&db, &near).await.unwrap();
    let conflict = follow(&db, &far).await.unwrap_err();
    assert!(matches!(conflict, StoreError::Conflict { .. }));
    // The way on that the error names.
    let replace = options().replace(true);
    let source = Store::from_directory(&db).unwrap();
    sst_object_store::pull(&source, &far, &replace, &Monitor::default()).await.unwrap();
    assert_eq!(files(&far)["CURRENT"], files(&db)["CURRENT"]);
    verify(&far);
}

/// A bucket keeps the meta files of a history that was replaced. They do not make the new history a
/// continuation of the old one.
#[tokio::test]
async fn another_history_in_a_bucket_is_a_conflict_though_the_old_one_still_lies_there() {
    let scratch = Scratch::new();
    let (db, rebuilt, copy) = (scratch.path("db"), scratch.path("rebuilt"), scratch.path("copy"));
    let store = memory();
    for seed in 1..=3 {
        commit_keeping(&db, seed, true, 0);
        push(&db, &store).await.unwrap();
    }
    pull(&store, &copy).await.unwrap();
    let replace = options().replace(true);
    let bucket = sst_object_store::Place::Bucket(store.clone());
    for seed in 7..=12 {
        // Below, at and above the number of the copy's commit.
        commit_keeping(&rebuilt, seed, true, 0);
        let monitor = Monitor::default();
        let pushed = sst_object_store::push(&rebuilt, &bucket, &replace, &monitor).await;
        if matches!(pushed, Err(StoreError::Taken { .. })) {
            continue;
        }
        pushed.unwrap();
        let conflict = pull(&store, &copy).await.unwrap_err();
        assert!(matches!(conflict, StoreError::Conflict { .. }), "{seed}: {conflict}");
    }
    verify(&copy);
}
