//! The removal of objects that no commit needs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use sst_object_store::{GcOptions, Monitor, Place, StoreError, collect_garbage};

use crate::clock_store::{Clock, ClockStore};
use crate::support::{Scratch, commit, files, object, options, pull, push, store_on};

async fn names(objects: &InMemory) -> BTreeSet<String> {
    let listed: Vec<_> = objects.list(None).try_collect().await.unwrap();
    let prefix = "some/fruit.db/";
    listed
        .iter()
        .map(|object| object.location.as_ref().strip_prefix(prefix).unwrap().to_owned())
        .collect()
}

fn now() -> GcOptions {
    GcOptions::default().grace(Duration::ZERO)
}

#[tokio::test]
async fn generations_are_kept_and_the_rest_goes() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    for seed in 1..=3 {
        commit(&db, seed, true);
        push(&db, &store).await.unwrap();
    }
    objects.put(&object("00000900.sst"), "left by another".into()).await.unwrap();
    objects.put(&object("notes.txt"), "not ours".into()).await.unwrap();
    let before = names(&objects).await;
    // Everything is younger than a day.
    let spared = collect_garbage(&store, &GcOptions::default(), &Monitor::default()).await.unwrap();
    assert_eq!((spared.removed.len(), spared.spared), (0, 5));
    let planned = collect_garbage(&store, &now().dry_run(true), &Monitor::default()).await.unwrap();
    assert_eq!(names(&objects).await, before);
    let report = collect_garbage(&store, &now(), &Monitor::default()).await.unwrap();
    assert_eq!(report, planned);
    // The first commit has two tables, a blob and a meta file.
    assert_eq!(report.removed.len(), 5);
    let gone: BTreeSet<_> = report.removed.iter().map(ToString::to_string).collect();
    let after = names(&objects).await;
    let expected: BTreeSet<_> = before.difference(&gone).cloned().collect();
    // The claim on the numbers of the object that another has left is not kept.
    assert_eq!(after, expected);
    let copy = scratch.path("copy");
    pull(&store, &copy).await.unwrap();
    assert_eq!(files(&copy)["CURRENT"], files(&db)["CURRENT"]);
    let report =
        collect_garbage(&store, &now().keep_generations(0), &Monitor::default()).await.unwrap();
    assert_eq!(report.removed.len(), 4);
    assert!(names(&objects).await.contains("notes.txt"));
}

#[tokio::test]
async fn files_of_a_push_that_is_under_way_are_spared() {
    let scratch = Scratch::new();
    let (db, other) = (scratch.path("db"), scratch.path("other"));
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    commit(&db, 1, false);
    push(&db, &store).await.unwrap();
    commit(&db, 2, true);
    push(&db, &store).await.unwrap();
    // A claim that is not released, as a push that is at work or was killed leaves it.
    let claim = "sst claim 1\nfirst 0\ncount 64\nowner mirror 900 00000001\ntime 0\nstate open\n";
    objects.put(&object("claims/00000000"), claim.into()).await.unwrap();
    let grace = GcOptions::default().grace(Duration::from_secs(3600)).keep_generations(0);
    let report = collect_garbage(&store, &grace, &Monitor::default()).await.unwrap();
    assert_eq!((report.removed.len(), report.spared), (0, 4));
    // Another push is refused until the grace period has passed.
    commit(&other, 3, true);
    let replace = options().replace(true).grace(Duration::from_secs(3600));
    let place = Place::Bucket(store.clone());
    commit(&db, 4, true);
    let claimed =
        sst_object_store::push(&db, &place, &replace, &Monitor::default()).await.unwrap_err();
    assert!(matches!(claimed, StoreError::Claimed { .. }));
    let replace = replace.grace(Duration::ZERO);
    sst_object_store::push(&db, &place, &replace, &Monitor::default()).await.unwrap();
    assert_eq!(
        collect_garbage(&store, &now(), &Monitor::default()).await.unwrap().removed.len(),
        4
    );
}

/// A push that was killed before it had copied a file, of a source that was made anew since: no
/// later mirror may take its claim, which is about files that are all needed.
#[tokio::test]
async fn a_claim_of_a_killed_push_goes_with_the_garbage() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    commit(&db, 1, false);
    push(&db, &store).await.unwrap();
    let claim = "sst claim 1\nfirst 0\ncount 64\nowner mirror 900 00000001\ntime 0\nstate open\n";
    objects.put(&object("claims/00000000"), claim.into()).await.unwrap();
    commit(&db, 2, false);
    assert!(matches!(push(&db, &store).await, Err(StoreError::Claimed { .. })));
    // It is younger than a day.
    collect_garbage(&store, &GcOptions::default(), &Monitor::default()).await.unwrap();
    assert!(matches!(push(&db, &store).await, Err(StoreError::Claimed { .. })));
    let report = collect_garbage(&store, &now(), &Monitor::default()).await.unwrap();
    assert_eq!((report.removed.len(), report.spared), (0, 0));
    push(&db, &store).await.unwrap();
}

#[tokio::test]
async fn a_bucket_without_current_is_left_alone() {
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    objects.put(&object("00000001.sst"), "the only copy".into()).await.unwrap();
    let error = collect_garbage(&store, &now(), &Monitor::default()).await.unwrap_err();
    assert!(matches!(error, StoreError::NoCommit { .. }));
    assert_eq!(names(&objects).await.len(), 1);
}

/// A blob that no meta file lists and no claim covers: nothing tells whose it is, and a table may
/// refer to it.
#[tokio::test]
async fn a_blob_of_which_nothing_tells_whose_it_is_stays() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    commit(&db, 1, true);
    push(&db, &store).await.unwrap();
    for name in ["00000900.blob", "00000901.sst"] {
        objects.put(&object(name), "left by another".into()).await.unwrap();
    }
    let report = collect_garbage(&store, &now(), &Monitor::default()).await.unwrap();
    let removed: Vec<_> = report.removed.iter().map(ToString::to_string).collect();
    assert_eq!((removed, report.spared), (vec!["00000901.sst".to_owned()], 1));
}

/// A generation that is to be kept, and whose meta file is damaged: which files it needs is
/// unknown.
#[tokio::test]
async fn nothing_is_removed_while_a_generation_to_be_kept_is_damaged() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    let mut commits = Vec::new();
    for seed in 1..=3 {
        commit(&db, seed, true);
        push(&db, &store).await.unwrap();
        let last = files(&db).keys().rfind(|name| name.ends_with(".meta")).cloned();
        commits.push(last.unwrap());
    }
    let damaged = object(&commits[1]);
    let mut bytes = objects.get(&damaged).await.unwrap().bytes().await.unwrap().to_vec();
    bytes[20] ^= 1;
    objects.put(&damaged, bytes.into()).await.unwrap();
    let before = names(&objects).await;
    let error = collect_garbage(&store, &now(), &Monitor::default()).await.unwrap_err();
    assert!(error.is_corruption(), "{error}");
    assert_eq!(names(&objects).await, before);
    // It need not be kept.
    let options = now().keep_generations(0);
    let report = collect_garbage(&store, &options, &Monitor::default()).await.unwrap();
    assert!(!report.removed.is_empty());
}

#[tokio::test]
async fn objects_of_the_future_are_as_new() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    let inner = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&inner));
    for seed in 1..=3 {
        commit(&db, seed, true);
        push(&db, &store).await.unwrap();
    }
    inner.put(&object("00000900.sst"), "left by another".into()).await.unwrap();
    let (hour, minute) = (Duration::from_secs(3600), Duration::from_secs(60));
    let options = GcOptions::default().grace(minute).keep_generations(0);
    // The clock of this machine was set back by an hour, or the store's is fast.
    let store_with = |clock| store_on(Arc::new(ClockStore { inner: Arc::clone(&inner), clock }));
    let fast = store_with(Clock::Ahead(hour));
    let report = collect_garbage(&fast, &options, &Monitor::default()).await.unwrap();
    assert_eq!((report.removed.len(), report.spared), (0, 9));
    // An hour later by the store's clock, the same objects are garbage.
    let slow = store_with(Clock::Behind(hour));
    let report = collect_garbage(&slow, &options, &Monitor::default()).await.unwrap();
    assert_eq!((report.removed.len(), report.spared), (9, 0));
}
