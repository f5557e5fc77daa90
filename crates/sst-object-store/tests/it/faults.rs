//! A store that fails one request, each in turn and in every way: the target is at the old or the
//! new commit, whole, and the next mirror succeeds.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;
use sst_object_store::{GcOptions, Monitor, RetryPolicy, Store, collect_garbage};

use crate::faulty_store::{Fault, FaultyStore};
use crate::support::{Scratch, commit, files, pull, push, store_on};

/// Requests after which a sweep is given up.
const MAX_REQUESTS: usize = 1000;

/// The files of the commit in a store, as a pull gives them.
async fn pulled(objects: &Arc<InMemory>, scratch: &Scratch) -> BTreeMap<String, Vec<u8>> {
    let copy = scratch.path("pulled");
    if copy.exists() {
        fs::remove_dir_all(&copy).unwrap();
    }
    let store = store_on(Arc::<InMemory>::clone(objects));
    pull(&store, &copy).await.unwrap();
    files(&copy)
}

fn faulty(
    objects: Arc<InMemory>,
    failing: usize,
    fault: Fault,
    attempts: u32,
) -> (Arc<FaultyStore>, Store) {
    let faulty = Arc::new(FaultyStore::new(objects, failing, fault));
    let retries = RetryPolicy::default()
        .attempts(attempts)
        .delays(Duration::ZERO, Duration::ZERO)
        .timeout(Duration::from_secs(100));
    let store = store_on(Arc::<FaultyStore>::clone(&faulty)).retries(retries);
    (faulty, store)
}

/// Two commits of one directory, and a store that has the first.
async fn two_commits(scratch: &Scratch) -> (std::path::PathBuf, InMemory) {
    let db = scratch.path("db");
    let objects = Arc::new(InMemory::new());
    commit(&db, 1, false);
    push(&db, &store_on(Arc::<InMemory>::clone(&objects))).await.unwrap();
    commit(&db, 2, true);
    (db, objects.fork())
}

#[tokio::test(start_paused = true)]
async fn a_push_is_whole_or_not_at_all() {
    let scratch = Scratch::new();
    let (db, before) = two_commits(&scratch).await;
    let old = pulled(&Arc::new(before.fork()), &scratch).await;
    let new = {
        let objects = Arc::new(before.fork());
        push(&db, &store_on(Arc::<InMemory>::clone(&objects))).await.unwrap();
        pulled(&objects, &scratch).await
    };
    assert_ne!(old, new);
    for (fault, attempts) in Fault::ALL.into_iter().flat_map(|fault| [(fault, 1), (fault, 3)]) {
        let mut failing = 0;
        loop {
            let objects = Arc::new(before.fork());
            let (faulty, store) =
                faulty(Arc::<InMemory>::clone(&objects), failing, fault, attempts);
            let result = push(&db, &store).await;
            if !faulty.has_failed() {
                assert!(result.is_ok());
                break;
            }
            // A wrong version of `CURRENT` is that of another writer.
            let may_fail = attempts == 1 || fault == Fault::WrongVersion;
            assert!(may_fail || result.is_ok(), "{fault:?} of request {failing}: {result:?}");
            let found = pulled(&objects, &scratch).await;
            assert!(found == old || found == new, "{fault:?} of request {failing}");
            if result.is_ok() {
                assert_eq!(found, new);
            }
            // A process that goes on where this one has ended.
            push(&db, &store_on(Arc::<InMemory>::clone(&objects))).await.unwrap();
            assert_eq!(pulled(&objects, &scratch).await, new);
            failing += 1;
            assert!(failing < MAX_REQUESTS);
        }
        assert!(failing > 10, "{failing}");
    }
}

fn copy_directory(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    fs::create_dir(to).unwrap();
    for (name, bytes) in files(from) {
        fs::write(to.join(name), bytes).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_pull_is_whole_or_not_at_all() {
    let scratch = Scratch::new();
    let (db, before) = two_commits(&scratch).await;
    let (old, new) = (scratch.path("old"), scratch.path("new"));
    let objects = Arc::new(before.fork());
    pull(&store_on(Arc::<InMemory>::clone(&objects)), &old).await.unwrap();
    push(&db, &store_on(Arc::<InMemory>::clone(&objects))).await.unwrap();
    copy_directory(&old, &new);
    pull(&store_on(Arc::<InMemory>::clone(&objects)), &new).await.unwrap();
    let (old_files, new_files) = (files(&old), files(&new));
    assert_ne!(old_files, new_files);
    let copy = scratch.path("copy");
    for (fault, attempts) in Fault::ALL.into_iter().flat_map(|fault| [(fault, 1), (fault, 3)]) {
        let mut failing = 0;
        loop {
            copy_directory(&old, &copy);
            let (faulty, store) =
                faulty(Arc::<InMemory>::clone(&objects), failing, fault, attempts);
            let result = pull(&store, &copy).await;
            if !faulty.has_failed() {
                assert!(result.is_ok());
                break;
            }
            assert!(attempts == 1 || result.is_ok(), "{fault:?} of request {failing}: {result:?}");
            let current = files(&copy)["CURRENT"].clone();
            let is_new = current == new_files["CURRENT"];
            assert!(is_new || current == old_files["CURRENT"]);
            assert_eq!(is_new, result.is_ok(), "{fault:?} of request {failing}");
            pull(&store_on(Arc::<InMemory>::clone(&objects)), &copy).await.unwrap();
            assert_eq!(files(&copy), new_files, "{fault:?} of request {failing}");
            failing += 1;
            assert!(failing < MAX_REQUESTS);
        }
        assert!(failing >= 10, "{failing}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_collection_never_removes_what_a_commit_needs() {
    let scratch = Scratch::new();
    let (db, before) = two_commits(&scratch).await;
    let objects = Arc::new(before.fork());
    push(&db, &store_on(Arc::<InMemory>::clone(&objects))).await.unwrap();
    let (before, expected) = (objects.fork(), pulled(&objects, &scratch).await);
    let options = GcOptions::default().grace(Duration::ZERO).keep_generations(0);
    for fault in Fault::ALL {
        let mut failing = 0;
        loop {
            let objects = Arc::new(before.fork());
            let (faulty, store) = faulty(Arc::<InMemory>::clone(&objects), failing, fault, 2);
            let result = collect_garbage(&store, &options, &Monitor::default()).await;
            if !faulty.has_failed() {
                assert_eq!(result.unwrap().removed.len(), 4);
                break;
            }
            assert_eq!(pulled(&objects, &scratch).await, expected);
            failing += 1;
            assert!(failing < MAX_REQUESTS);
        }
        assert!(failing > 10, "{failing}");
    }
}
