//! Commits made in a bucket: alone, against each other, and with requests that fail.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use sst_format::SequenceNumber;
use sst_format::meta_head::CommitKind;
use sst_object_store::{
    GcOptions, ObjectCommit, ObjectPublisher, ObjectPublisherOptions, RemoteCommit, RetryPolicy,
    Store, StoreError, collect_garbage,
};
use sst_reader::{ReaderOptions, SstSet};
use sst_writer::{EntryValue, Monitor, WriterOptions};

use crate::faulty_store::{Fault, FaultyStore};
use crate::support::{Scratch, memory, object, pull, store_on, verify};

fn publisher(store: &Store) -> ObjectPublisher {
    let options = ObjectPublisherOptions::default().piece_len(3000);
    ObjectPublisher::new(store, options).unwrap()
}

/// Adds a table with one key, or with as many as fill several pieces.
async fn add(commit: &mut ObjectCommit<'_>, key: u32, value: Vec<u8>) -> Result<(), StoreError> {
    let mut table = commit.create_table(WriterOptions::default()).await?;
    let written = tokio::task::spawn_blocking(move || {
        table.add((key.to_be_bytes(), EntryValue::Medium(&value)))?;
        table.finish()
    });
    commit.add_table(written.await.unwrap()?);
    Ok(())
}

async fn append(publisher: &mut ObjectPublisher, key: u32) -> Result<SequenceNumber, StoreError> {
    let mut commit = publisher.begin(0).await?;
    add(&mut commit, key, vec![7; 100]).await?;
    Ok(commit.publish(&Monitor::default()).await?.commit)
}

async fn replace(publisher: &mut ObjectPublisher, key: u32) -> Result<SequenceNumber, StoreError> {
    let mut commit = publisher.begin(0).await?;
    commit.replace_all();
    add(&mut commit, key, vec![8; 100]).await?;
    Ok(commit.publish(&Monitor::default()).await?.commit)
}

/// The keys of the newest commit, as a pulled copy answers.
async fn keys(store: &Store) -> BTreeSet<u32> {
    let scratch = Scratch::new();
    let copy = scratch.path("copy");
    pull(store, &copy).await.unwrap();
    let set = SstSet::open(&copy, &ReaderOptions::default()).unwrap();
    let keys = set.iter().map(|entry| {
        let key: [u8; 4] = entry.unwrap().key[..].try_into().unwrap();
        u32::from_be_bytes(key)
    });
    keys.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_follow_each_other_and_are_read_as_any() {
    let store = memory();
    let mut publisher = publisher(&store);
    let mut commit = publisher.begin(0).await.unwrap();
    let blob = commit.create_blob([5; 10_000]).await.unwrap();
    let mut table = commit.create_table(WriterOptions::default()).await.unwrap();
    let written = tokio::task::spawn_blocking(move || {
        table.add(("blob", EntryValue::Blob(blob)))?;
        table.finish()
    });
    commit.add_table(written.await.unwrap().unwrap());
    // Incompressible, and longer than a piece.
    let long: Vec<u8> =
        (0..40_000u32).flat_map(|i| (i.wrapping_mul(i) ^ i).to_be_bytes()).collect();
    add(&mut commit, 1, long.clone()).await.unwrap();
    let first = commit.publish(&Monitor::default()).await.unwrap();
    assert_eq!((first.rebased, publisher.live_tables().count()), (0, 2));
    for key in 2..=30 {
        append(&mut publisher, key).await.unwrap();
    }
    let scratch = Scratch::new();
    let copy = scratch.path("copy");
    pull(&store, &copy).await.unwrap();
    verify(&copy);
    let set = SstSet::open(&copy, &ReaderOptions::default()).unwrap();
    assert_eq!(set.get(1u32.to_be_bytes()).unwrap().unwrap(), &long[..]);
    assert_eq!(set.get("blob").unwrap().unwrap(), &[5; 10_000][..]);
    assert_eq!(set.iter().count(), 31);
    // Meta files stay few, as in a directory.
    let metas = std::fs::read_dir(&copy).unwrap();
    let metas = metas.filter(|file| {
        file.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "meta")
    });
    assert!(metas.count() <= 10);
    replace(&mut publisher, 99).await.unwrap();
    assert_eq!(keys(&store).await, BTreeSet::from([99]));
    let gone = SequenceNumber(1_000_000);
    let mut commit = publisher.begin(0).await.unwrap();
    assert!(matches!(commit.obsolete(gone).unwrap_err(), StoreError::Directory(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_goes_on_top_of_another_commit_and_a_replace_does_not() {
    let store = memory();
    let (mut one, mut two) = (publisher(&store), publisher(&store));
    append(&mut one, 1).await.unwrap();
    let mut late = two.begin(0).await.unwrap();
    add(&mut late, 2, vec![1]).await.unwrap();
    append(&mut one, 3).await.unwrap();
    assert_eq!(late.publish(&Monitor::default()).await.unwrap().rebased, 1);
    assert_eq!(keys(&store).await, BTreeSet::from([1, 2, 3]));
    let mut late = two.begin(0).await.unwrap();
    late.replace_all();
    add(&mut late, 4, vec![1]).await.unwrap();
    append(&mut one, 5).await.unwrap();
    let changed = late.publish(&Monitor::default()).await.unwrap_err();
    assert!(matches!(changed, StoreError::Changed { .. }));
    assert_eq!(keys(&store).await, BTreeSet::from([1, 2, 3, 5]));
    // A merge does only as long as its inputs are live.
    for is_live in [true, false] {
        append(&mut one, 6).await.unwrap();
        let input = one.live_tables().next().unwrap().1.sequence;
        let mut merge = two.begin(0).await.unwrap();
        merge.set_kind(CommitKind::Merge);
        merge.obsolete(input).unwrap();
        add(&mut merge, 1, vec![1]).await.unwrap();
        if is_live {
            append(&mut one, 6).await.unwrap();
            assert_eq!(merge.publish(&Monitor::default()).await.unwrap().rebased, 1);
        } else {
            replace(&mut one, 6).await.unwrap();
            let changed = merge.publish(&Monitor::default()).await.unwrap_err();
            assert!(matches!(changed, StoreError::Changed { .. }));
        }
    }
    let options = ObjectPublisherOptions::default().rebase(false);
    let mut strict = ObjectPublisher::new(&store, options).unwrap();
    let mut late = strict.begin(0).await.unwrap();
    add(&mut late, 7, vec![1]).await.unwrap();
    append(&mut one, 8).await.unwrap();
    let changed = late.publish(&Monitor::default()).await.unwrap_err();
    assert!(matches!(changed, StoreError::Changed { .. }));
}

/// 8 writers, 200 rounds: of the replaces of a round that started from one commit one wins, and all
/// appends that returned a commit are live, and no others.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn races_have_one_winner_and_lose_nothing() {
    const WRITERS: u32 = 8;
    let store = memory();
    let mut writers: Vec<_> = (0..WRITERS).map(|_| publisher(&store)).collect();
    append(&mut writers[0], 0).await.unwrap();
    let mut expected = BTreeSet::from([0]);
    for round in 1..=200u32 {
        let is_replace = round % 2 == 0;
        let start = Arc::new(tokio::sync::Barrier::new(WRITERS as usize));
        let tasks: Vec<_> = writers
            .drain(..)
            .zip(0..)
            .map(|(mut writer, number)| {
                let (start, key) = (Arc::clone(&start), round * 100 + number);
                tokio::spawn(async move {
                    let mut commit = writer.begin(0).await.unwrap();
                    if is_replace {
                        commit.replace_all();
                    }
                    add(&mut commit, key, vec![9; 50]).await.unwrap();
                    // All have read the same commit.
                    start.wait().await;
                    let result = commit.publish(&Monitor::default()).await;
                    (writer, key, result)
                })
            })
            .collect();
        let mut won = BTreeSet::new();
        for task in tasks {
            let (writer, key, result) = task.await.unwrap();
            writers.push(writer);
            match result {
                Ok(_) => drop(won.insert(key)),
                Err(error) => assert!(matches!(error, StoreError::Changed { .. }), "{error:?}"),
            }
        }
        if is_replace {
            assert_eq!(won.len(), 1, "round {round}");
            expected = won;
        } else {
            assert_eq!(won.len(), WRITERS as usize, "round {round}");
            expected.extend(won);
        }
        if round % 20 < 2 {
            assert_eq!(keys(&store).await, expected, "round {round}");
        }
    }
    assert_eq!(keys(&store).await, expected);
    // The writers are gone, so everything that no commit needs can go.
    drop(writers);
    let options = GcOptions::default().grace(Duration::ZERO).keep_generations(0);
    collect_garbage(&store, &options, &Monitor::default()).await.unwrap();
    assert_eq!(keys(&store).await, expected);
    let commit = RemoteCommit::read(&store).await.unwrap().unwrap();
    let again = collect_garbage(&store, &options, &Monitor::default()).await.unwrap();
    assert!(again.removed.is_empty());
    assert!(!commit.files().is_empty());
}

/// Late answers are left to the tests of mirrors: a paused clock stands still while a thread waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_published_once_or_not_at_all() {
    let before = Arc::new(InMemory::new());
    append(&mut publisher(&store_on(Arc::<InMemory>::clone(&before))), 1).await.unwrap();
    let faults = Fault::ALL.into_iter().filter(|fault| *fault != Fault::Late);
    for (fault, attempts) in faults.flat_map(|fault| [(fault, 1), (fault, 3)]) {
        for is_replace in [false, true] {
            let mut failing = 0;
            loop {
                let objects = Arc::new(before.fork());
                let faulty =
                    Arc::new(FaultyStore::new(Arc::<InMemory>::clone(&objects), failing, fault));
                let retries = RetryPolicy::default()
                    .attempts(attempts)
                    .delays(Duration::ZERO, Duration::ZERO);
                let store = store_on(Arc::<FaultyStore>::clone(&faulty)).retries(retries);
                let mut writer = publisher(&store);
                let result = match is_replace {
                    true => replace(&mut writer, 2).await,
                    false => append(&mut writer, 2).await,
                };
                let (old, new) = (
                    BTreeSet::from([1]),
                    match is_replace {
                        true => BTreeSet::from([2]),
                        false => BTreeSet::from([1, 2]),
                    },
                );
                let found = keys(&store_on(Arc::<InMemory>::clone(&objects))).await;
                if !faulty.has_failed() {
                    assert!(result.is_ok() && found == new);
                    break;
                }
                assert!(found == old || found == new, "{fault:?} of request {failing}: {found:?}");
                if result.is_ok() {
                    assert_eq!(found, new, "{fault:?} of request {failing}");
                }
                if matches!(result, Err(StoreError::Changed { .. })) {
                    assert_eq!(found, old, "{fault:?} of request {failing}");
                }
                let may_fail = attempts == 1 || fault == Fault::WrongVersion;
                assert!(may_fail || result.is_ok(), "{fault:?} of {failing}: {result:?}");
                failing += 1;
                assert!(failing < 1000);
            }
            assert!(failing > 6, "{failing}");
        }
    }
}

/// As above, with a table of several pieces: a part of an upload is repeated by the client only,
/// and this store's does not. The answer to the last request of an upload may be lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_several_pieces_is_published_once_or_not_at_all() {
    let before = Arc::new(InMemory::new());
    append(&mut publisher(&store_on(Arc::<InMemory>::clone(&before))), 1).await.unwrap();
    let noise: Vec<u8> =
        (0..4_000u32).flat_map(|i| (i.wrapping_mul(i) ^ i).to_be_bytes()).collect();
    let (old, new) = (BTreeSet::from([1]), BTreeSet::from([1, 2]));
    for fault in Fault::ALL.into_iter().filter(|fault| *fault != Fault::Late) {
        let (mut failing, mut published) = (0, 0);
        loop {
            let objects = Arc::new(before.fork());
            let faulty =
                Arc::new(FaultyStore::new(Arc::<InMemory>::clone(&objects), failing, fault));
            let retries = RetryPolicy::default().attempts(3).delays(Duration::ZERO, Duration::ZERO);
            let store = store_on(Arc::<FaultyStore>::clone(&faulty)).retries(retries);
            let mut writer = publisher(&store);
            let mut result = Ok(());
            match writer.begin(0).await {
                Err(error) => result = Err(error),
                Ok(mut commit) => match add(&mut commit, 2, noise.clone()).await {
                    Err(error) => result = Err(error),
                    Ok(()) => {
                        result = result.and(commit.publish(&Monitor::default()).await.map(drop));
                    }
                },
            }
            let found = keys(&store_on(Arc::<InMemory>::clone(&objects))).await;
            published += usize::from(result.is_ok());
            match result.is_ok() {
                true => assert_eq!(found, new, "{fault:?} of request {failing}"),
                false => assert!(found == old || found == new, "{fault:?} of {failing}"),
            }
            if !faulty.has_failed() {
                assert!(result.is_ok());
                break;
            }
            failing += 1;
            assert!(failing < 1000);
        }
        // All but the parts are repeated.
        let is_repeated = fault == Fault::WrongVersion || published + 8 > failing;
        assert!(failing > 10 && is_repeated, "{fault:?}: {published} of {failing}");
    }
}

/// A writer whose claim was taken by another publishes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_has_lost_its_claim_gives_up() {
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    let mut writer = publisher(&store);
    let mut commit = writer.begin(0).await.unwrap();
    add(&mut commit, 1, vec![1]).await.unwrap();
    let claim = objects.get(&object("claims/00000064")).await.unwrap().bytes().await.unwrap();
    let text = String::from_utf8(claim.to_vec()).unwrap();
    let other: String = text
        .lines()
        .map(|line| match line.starts_with("owner") {
            true => "owner publisher 0000000000000001\n".to_owned(),
            false => format!("{line}\n"),
        })
        .collect();
    objects.put(&object("claims/00000064"), other.into()).await.unwrap();
    let lost = commit.publish(&Monitor::default()).await.unwrap_err();
    assert!(matches!(lost, StoreError::Claimed { .. }));
    assert!(RemoteCommit::read(&store).await.unwrap().is_none());
}
