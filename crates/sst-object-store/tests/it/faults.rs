//! A store that fails one request, each in turn and in every way: the target is at the old or the
//! new commit, whole, and the next mirror succeeds.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;
use sst_object_store::{
    GcOptions, Monitor, ObjectOutput, ObjectPublisher, ObjectPublisherOptions, Operation,
    RetryPolicy, Store, StoreError, collect_garbage,
};
use sst_writer::BulkError;
use sst_writer::bulk::{BulkOptions, RemoteLoad, RemoteLoader};
use sst_writer::table::Compression;

use crate::faulty_store::{Fault, FaultyStore};
use crate::streams::entries;
use crate::support::{Scratch, commit, files, names, pull, push, store_on};

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
    let mut aborted = 0;
    for (fault, attempts) in Fault::ALL.into_iter().flat_map(|fault| [(fault, 1), (fault, 3)]) {
        let mut failing = 0;
        loop {
            let objects = Arc::new(before.fork());
            let (faulty, store) =
                faulty(Arc::<InMemory>::clone(&objects), failing, fault, attempts);
            let result = push(&db, &store).await;
            // The parts of an upload that comes to nothing do not stay in the store.
            let uploads = faulty.uploads();
            assert_eq!(uploads.open, 0, "{fault:?} of request {failing}: {uploads:?}");
            aborted += uploads.aborted;
            if !faulty.has_failed() {
                assert!(result.is_ok() && uploads.completed > 0);
                assert_eq!(uploads.aborted, 0);
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
    assert!(aborted > 10, "{aborted}");
}

/// Of a write it is no damage of the target if something is not found. For example, another process
/// has ended an upload in parts.
#[tokio::test(start_paused = true)]
async fn a_write_that_finds_nothing_is_no_damage() {
    let scratch = Scratch::new();
    let (db, before) = two_commits(&scratch).await;
    let (mut failing, mut failed) = (0, 0);
    loop {
        let objects = Arc::new(before.fork());
        let (faulty, store) = faulty(objects, failing, Fault::NotFound, 3);
        let result = push(&db, &store).await;
        if let Err(error) = &result {
            assert!(!error.is_corruption(), "request {failing}: {error:?}");
            let is_it = matches!(error, StoreError::Request { operation: Operation::Write, .. });
            assert!(is_it, "request {failing}: {error:?}");
            failed += 1;
        }
        if !faulty.has_failed() {
            assert!(result.is_ok());
            break;
        }
        failing += 1;
    }
    assert!(failed > 5 && failed < failing, "{failed} of {failing}");
}

/// Rows of some tables of several parts, a few of them in blobs.
fn rows(seed: u32) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let row = |i: u32| {
        let value = [seed.to_be_bytes(), i.to_be_bytes()].concat();
        (i.to_be_bytes().to_vec(), value.repeat(if i.is_multiple_of(8) { 700 } else { 80 }))
    };
    (0..16).map(row).collect()
}

/// Writes rows to a bucket.
fn write_rows(output: ObjectOutput, seed: u32) -> Result<RemoteLoad, BulkError> {
    let options = BulkOptions::default().max_table_entries(8).blob_threshold(5000).threads(1);
    let monitor = Monitor::default();
    let loader = RemoteLoader::new(Arc::new(output), options, Compression::None, &monitor)?;
    let mut handle = loader.handle(0);
    for (key, value) in rows(seed) {
        handle.put(key, value)?;
    }
    handle.finish()?;
    loader.finish()
}

/// Replaces the content of a bucket by rows, whose tables are uploaded while they are written.
async fn load(store: &Store, seed: u32) -> Result<(), Box<dyn Error>> {
    let options = ObjectPublisherOptions::default().piece_len(3000);
    let mut publisher = ObjectPublisher::new(store, options)?;
    let mut commit = publisher.begin(0).await?;
    commit.replace_all();
    let (output, for_rows) = (commit.output(), commit.output());
    let (done, written) = tokio::sync::oneshot::channel();
    // The time of the runtime stands still while one of its own threads works.
    let thread = std::thread::spawn(move || drop(done.send(write_rows(for_rows, seed))));
    let written = written.await.unwrap();
    thread.join().unwrap();
    let RemoteLoad { tables, blobs, unused, .. } = match written {
        Ok(written) => written,
        Err(error) => {
            drop(output.discard().await);
            drop(publisher.close().await);
            return Err(error.into());
        }
    };
    output.remove(&unused).await?;
    commit.add_written(tables, blobs);
    commit.publish(&Monitor::default()).await?;
    Ok(publisher.close().await?)
}

/// How many objects there are that are no claims.
async fn files_in(objects: &InMemory) -> usize {
    names(objects).await.iter().filter(|name| !name.starts_with("claims/")).count()
}

#[tokio::test(start_paused = true)]
async fn a_streamed_load_is_whole_or_not_at_all() {
    let scratch = Scratch::new();
    let objects = Arc::new(InMemory::new());
    load(&store_on(Arc::<InMemory>::clone(&objects)), 1).await.unwrap();
    let before = objects.fork();
    let whole = files_in(&objects).await;
    let content = async |objects: &Arc<InMemory>| {
        pulled(objects, &scratch).await;
        entries(&scratch.path("pulled"))
    };
    assert_eq!(content(&objects).await, rows(1));
    let no_grace = GcOptions::default().grace(Duration::ZERO).keep_generations(0);
    let mut aborted = 0;
    // If an answer is lost, only a repetition can take its own object for another's.
    let once = Fault::ALL.map(|fault| (fault, 1));
    for (fault, attempts) in once.into_iter().chain([(Fault::After, 3)]) {
        let mut failing = 0;
        loop {
            let objects = Arc::new(before.fork());
            let (faulty, store) =
                faulty(Arc::<InMemory>::clone(&objects), failing, fault, attempts);
            let result = load(&store, 2).await;
            let uploads = faulty.uploads();
            assert_eq!(uploads.open, 0, "{fault:?} of request {failing}: {uploads:?}");
            aborted += uploads.aborted;
            let found = content(&objects).await;
            if !faulty.has_failed() {
                assert!(result.is_ok() && uploads.completed > 1);
                assert_eq!((uploads.aborted, found), (0, rows(2)));
                break;
            }
            let is_new = found == rows(2);
            assert!(is_new || found == rows(1), "{fault:?} of request {failing}");
            assert!(is_new || result.is_err(), "{fault:?} of request {failing}");
            // A process that goes on where this one has ended, and then the collection.
            let plain = store_on(Arc::<InMemory>::clone(&objects));
            load(&plain, 2).await.unwrap();
            collect_garbage(&plain, &no_grace, &Monitor::default()).await.unwrap();
            assert_eq!(content(&objects).await, rows(2));
            // As many objects as after the first load: what has failed left nothing.
            let left = files_in(&objects).await;
            assert_eq!(left, whole, "{fault:?} of request {failing}");
            failing += 1;
            assert!(failing < MAX_REQUESTS);
        }
        assert!(failing > 20, "{failing}");
    }
    assert!(aborted > 10, "{aborted}");
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
