//! Mirrors: the same files everywhere, nothing copied twice, other histories refused.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use sst_format::SequenceNumber;
use sst_object_store::{
    CancelToken, MirrorOptions, Monitor, Place, RemoteCommit, Store, StoreError, list_commits,
    mirror,
};
use sst_writer::{EntryValue, PublishError, Publisher, PublisherOptions, WriterOptions};

use crate::faulty_store::{Fault, FaultyStore};
use crate::support::{
    Scratch, commit, edit, files, memory, object, options, pull, push, store_on, verify,
};

#[tokio::test]
async fn all_ways_give_the_same_files() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    commit(&db, 1, false);
    commit(&db, 2, false);
    let (store, other) = (memory(), memory());
    let report = push(&db, &store).await.unwrap();
    assert_eq!((report.copied_files, report.kept_files), (files(&db).len() as u64 - 1, 0));
    assert!(report.is_changed() && report.before.is_none());
    mirror(&store, &Place::Bucket(other.clone()), &options(), &Monitor::default()).await.unwrap();
    let copy = scratch.path("copy");
    pull(&other, &copy).await.unwrap();
    assert_eq!(files(&copy), files(&db));
    verify(&copy);
    let third = scratch.path("third");
    let to = Place::from_url(format!("file://{}", third.display())).unwrap();
    sst_object_store::push(&copy, &to, &options(), &Monitor::default()).await.unwrap();
    assert_eq!(files(&third), files(&db));
}

#[tokio::test]
async fn only_new_files_are_copied() {
    let scratch = Scratch::new();
    let (db, copy, store) = (scratch.path("db"), scratch.path("copy"), memory());
    commit(&db, 1, false);
    push(&db, &store).await.unwrap();
    pull(&store, &copy).await.unwrap();
    commit(&db, 2, false);
    // Two tables, a blob and a meta file are new; as many are there.
    for report in [push(&db, &store).await.unwrap(), pull(&store, &copy).await.unwrap()] {
        assert_eq!((report.copied_files, report.kept_files), (4, 4));
        assert!(report.is_changed());
    }
    for report in [push(&db, &store).await.unwrap(), pull(&store, &copy).await.unwrap()] {
        assert_eq!((report.copied_files, report.copied_bytes, report.kept_files), (0, 0, 8));
        assert!(!report.is_changed());
    }
    assert_eq!(files(&copy), files(&db));
}

#[tokio::test]
async fn a_replica_keeps_generations_and_can_be_rolled_back() {
    let scratch = Scratch::new();
    let (db, copy, store) = (scratch.path("db"), scratch.path("copy"), memory());
    for seed in 1..=3 {
        commit(&db, seed, true);
        push(&db, &store).await.unwrap();
        pull(&store, &copy).await.unwrap();
        verify(&copy);
    }
    let kept = PublisherOptions::default().keep_generations(1);
    let mut publisher = Publisher::open(&copy, kept).unwrap();
    publisher.rollback(None, &Monitor::default()).unwrap();
    assert_eq!(publisher.live_tables().count(), 2);
    drop(publisher);
    verify(&copy);
    // The copy has a history of its own now.
    let conflict = pull(&store, &copy).await.unwrap_err();
    assert!(matches!(conflict, StoreError::Conflict { .. }));
}

#[tokio::test]
async fn a_rollback_of_the_source_is_mirrored() {
    let scratch = Scratch::new();
    let (db, copy, store) = (scratch.path("db"), scratch.path("copy"), memory());
    for seed in 1..=2 {
        commit(&db, seed, true);
        push(&db, &store).await.unwrap();
        pull(&store, &copy).await.unwrap();
    }
    let kept = PublisherOptions::default().keep_generations(2);
    Publisher::open(&db, kept).unwrap().rollback(None, &Monitor::default()).unwrap();
    push(&db, &store).await.unwrap();
    pull(&store, &copy).await.unwrap();
    verify(&copy);
    assert_eq!(files(&copy)["CURRENT"], files(&db)["CURRENT"]);
    let live = |directory| {
        let publisher = Publisher::open(directory, PublisherOptions::default()).unwrap();
        publisher.live_tables().map(|(_, table)| table.sequence.0).collect::<Vec<_>>()
    };
    assert_eq!(live(&copy), live(&db));
}

#[tokio::test]
async fn another_history_is_a_conflict_unless_it_may_be_replaced() {
    let scratch = Scratch::new();
    let (db, other, store) = (scratch.path("db"), scratch.path("other"), memory());
    commit(&db, 1, false);
    push(&db, &store).await.unwrap();
    for seed in 7..=9 {
        commit(&other, seed, true);
    }
    let conflict = push(&other, &store).await.unwrap_err();
    assert!(matches!(conflict, StoreError::Conflict { .. }));
    let before = RemoteCommit::read(&store).await.unwrap().unwrap();
    assert_eq!(before.tables().count(), 2);
    // The newest commit of `other` has no name in common with the first of `db`.
    let replace = options().replace(true);
    let bucket = Place::Bucket(store.clone());
    sst_object_store::push(&other, &bucket, &replace, &Monitor::default()).await.unwrap();
    let copy = scratch.path("copy");
    pull(&store, &copy).await.unwrap();
    verify(&copy);
    // Back again: each name that `db` needs is there with its bytes, left from the first push.
    let report = sst_object_store::push(&db, &bucket, &replace, &Monitor::default()).await.unwrap();
    assert_eq!((report.copied_files, report.kept_files), (0, 4));
    let back = scratch.path("back");
    pull(&store, &back).await.unwrap();
    assert_eq!(files(&back), files(&db));
}

#[tokio::test]
async fn names_of_the_live_commit_are_never_replaced() {
    let scratch = Scratch::new();
    let (db, other, store) = (scratch.path("db"), scratch.path("other"), memory());
    commit(&db, 1, false);
    commit(&other, 2, false);
    push(&db, &store).await.unwrap();
    let copy = scratch.path("copy");
    pull(&store, &copy).await.unwrap();
    let replace = options().replace(true);
    for place in [Place::Bucket(store.clone()), Place::Directory(copy.clone())] {
        let taken = sst_object_store::push(&other, &place, &replace, &Monitor::default())
            .await
            .unwrap_err();
        assert!(matches!(taken, StoreError::Taken { .. }));
    }
    assert_eq!(files(&copy), files(&db));
    let second = scratch.path("second");
    pull(&store, &second).await.unwrap();
    assert_eq!(files(&second), files(&db));
}

#[tokio::test]
async fn leftovers_are_used_if_they_are_intact_and_replaced_if_not() {
    let scratch = Scratch::new();
    let (db, copy) = (scratch.path("db"), scratch.path("copy"));
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    commit(&db, 1, false);
    push(&db, &store).await.unwrap();
    pull(&store, &copy).await.unwrap();
    // As after an interruption: everything is there but `CURRENT`, and one file is damaged.
    objects.delete(&object("CURRENT")).await.unwrap();
    edit(&*objects, "00000002.sst", |bytes| bytes[20] ^= 1).await;
    fs::remove_file(copy.join("CURRENT")).unwrap();
    fs::write(copy.join(".first-commit"), "").unwrap();
    let mut bytes = fs::read(copy.join("00000003.sst")).unwrap();
    bytes[20] ^= 1;
    fs::write(copy.join("00000003.sst"), bytes).unwrap();
    for report in [push(&db, &store).await.unwrap(), pull(&store, &copy).await.unwrap()] {
        assert_eq!((report.copied_files, report.kept_files), (1, 3));
    }
    assert_eq!(files(&copy), files(&db));
}

#[tokio::test]
async fn a_locked_directory_and_a_store_for_reading_are_refused() {
    let scratch = Scratch::new();
    let (db, copy, store) = (scratch.path("db"), scratch.path("copy"), memory());
    commit(&db, 1, false);
    push(&db, &store).await.unwrap();
    let publisher = Publisher::open(&copy, PublisherOptions::default()).unwrap();
    let locked = pull(&store, &copy).await.unwrap_err();
    assert!(matches!(locked, StoreError::Directory(PublishError::Locked { .. })));
    drop(publisher);
    let for_reading = Place::Bucket(Store::from_directory(&db).unwrap());
    let refused = sst_object_store::push(&db, &for_reading, &options(), &Monitor::default())
        .await
        .unwrap_err();
    assert!(matches!(refused, StoreError::ReadOnly { .. }));
    let nothing = pull(&memory(), &copy).await.unwrap_err();
    assert!(matches!(nothing, StoreError::NoCommit { .. }));
}

/// Without an answer, an attempt ends after two minutes, and eight are made.
#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_ends_when_it_is_cancelled() {
    let scratch = Scratch::new();
    let (db, objects) = (scratch.path("db"), Arc::new(InMemory::new()));
    commit(&db, 1, false);
    push(&db, &store_on(Arc::<InMemory>::clone(&objects))).await.unwrap();
    for silent in 0..3 {
        let store = store_on(Arc::new(FaultyStore::new(Arc::clone(&objects), silent, Fault::Late)));
        let token = CancelToken::default();
        let monitor = Monitor::default().cancel(token.clone());
        let (copy, options) = (scratch.path("copy"), options());
        let start = tokio::time::Instant::now();
        let cancel = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            token.cancel();
        };
        let (pulled, ()) =
            tokio::join!(sst_object_store::pull(&store, &copy, &options, &monitor), cancel);
        let error = pulled.unwrap_err();
        assert!(matches!(error, StoreError::Cancelled), "request {silent}: {error:?}");
        assert!(start.elapsed() < Duration::from_secs(6), "request {silent}");
    }
}

#[tokio::test]
async fn a_cancelled_mirror_changes_nothing_and_can_go_on() {
    let scratch = Scratch::new();
    let (db, copy, store) = (scratch.path("db"), scratch.path("copy"), memory());
    commit(&db, 1, false);
    push(&db, &store).await.unwrap();
    let token = CancelToken::default();
    let switch = token.clone();
    let cancel_soon = move |progress: sst_object_store::Progress| {
        if progress.bytes > 12_000 {
            switch.cancel();
        }
    };
    let monitor = Monitor::default().cancel(token).progress(cancel_soon);
    let cancelled = sst_object_store::pull(&store, &copy, &options(), &monitor).await.unwrap_err();
    assert!(matches!(cancelled, StoreError::Cancelled), "{cancelled:?}");
    assert!(!copy.join("CURRENT").exists());
    pull(&store, &copy).await.unwrap();
    assert_eq!(files(&copy), files(&db));
}

/// Pieces and files in any number, and the futures can be sent to other threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn any_lengths_of_pieces_and_numbers_of_tasks_do() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    commit(&db, 1, false);
    for (i, (piece_len, parallel)) in
        [(1, 64), (7, 1), (4096, 0), (1 << 20, 2), (0, 8)].into_iter().enumerate()
    {
        let store = memory();
        let options = MirrorOptions::default().piece_len(piece_len).parallel(parallel);
        let (from, to, mirror_options) =
            (db.clone(), Place::Bucket(store.clone()), options.clone());
        let pushed = tokio::spawn(async move {
            sst_object_store::push(from, &to, &mirror_options, &Monitor::default()).await
        });
        pushed.await.unwrap().unwrap();
        let copy = scratch.path(&format!("copy{i}"));
        sst_object_store::pull(&store, &copy, &options, &Monitor::default()).await.unwrap();
        assert_eq!(files(&copy), files(&db));
    }
}

#[tokio::test]
async fn a_follower_reaches_each_commit_and_waits_out_errors() {
    let scratch = Scratch::new();
    let (db, copy) = (scratch.path("db"), scratch.path("copy"));
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    let token = CancelToken::default();
    let (options, monitor) = (options(), Monitor::default().cancel(token.clone()));
    let (mut errors, mut commits) = (0, 0);
    let (publish, finish) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
    let to = Place::Directory(copy.clone());
    let observe = |event: Result<&sst_object_store::MirrorReport, &StoreError>| match event {
        Ok(_) => {
            commits += 1;
            if commits == 2 { finish.notify_one() } else { publish.notify_one() }
        }
        Err(_) => {
            errors += 1;
            if errors == 1 {
                publish.notify_one();
            }
        }
    };
    let follow = sst_object_store::follow(
        &store,
        &to,
        &options,
        Duration::from_millis(1),
        &monitor,
        observe,
    );
    let steps = async {
        // There is no commit at first.
        publish.notified().await;
        commit(&db, 1, false);
        push(&db, &store).await.unwrap();
        publish.notified().await;
        commit(&db, 2, true);
        push(&db, &store).await.unwrap();
        finish.notified().await;
        token.cancel();
    };
    let (end, ()) = tokio::join!(follow, steps);
    assert!(matches!(end, StoreError::Cancelled));
    assert!(errors > 0 && commits == 2);
    assert_eq!(files(&copy)["CURRENT"], files(&db)["CURRENT"]);
    verify(&copy);
    assert!(objects.head(&object("CURRENT")).await.is_ok());
}

/// A rebuilt source has other files under the numbers of earlier commits of the target. These
/// commits are no generations any more, so no rollback ends at files of two histories.
#[tokio::test]
async fn a_generation_whose_files_were_replaced_is_gone() {
    for in_bucket in [false, true] {
        let scratch = Scratch::new();
        let (db, rebuilt) = (scratch.path("db"), scratch.path("rebuilt"));
        let target = match in_bucket {
            true => Place::Bucket(memory()),
            false => Place::Directory(scratch.path("copy")),
        };
        let monitor = Monitor::default();
        for seed in 1..=3 {
            commit(&db, seed, true);
            let source = Store::from_directory(&db).unwrap();
            mirror(&source, &target, &options().keep_generations(5), &monitor).await.unwrap();
        }
        let store = || target.store().unwrap();
        let complete = async || {
            let list = list_commits(&store()).await.unwrap();
            let complete = list.iter().filter(|one| one.is_complete);
            complete.map(|one| one.sequence.0).collect::<Vec<_>>()
        };
        assert_eq!(complete().await, [12, 8, 4]);
        // It has files of the names that commits 4 and 8 have, and none of commit 12.
        rebuild(&rebuilt);
        let source = Store::from_directory(&rebuilt).unwrap();
        let replacing = options().keep_generations(5).replace(true);
        mirror(&source, &target, &replacing, &monitor).await.unwrap();
        // Commit 7 of the rebuilt source is whole in it.
        assert_eq!(complete().await, [16, 7]);
        if let Place::Directory(copy) = &target {
            verify(copy);
            let list = sst_writer::publish::list_commits(copy).unwrap();
            let whole = list.iter().filter(|one| one.is_complete);
            assert_eq!(whole.map(|one| one.sequence.0).collect::<Vec<_>>(), [16, 12, 7]);
            let kept = PublisherOptions::default().keep_generations(5);
            let mut publisher = Publisher::open(copy, kept).unwrap();
            publisher.rollback(None, &monitor).unwrap();
            verify(copy);
        }
    }
}

/// Makes a directory with tables 1 to 6, 13 and 14, meta files 7, 15 and 16 and blob 12.
fn rebuild(directory: &Path) {
    let mut publisher = Publisher::open(directory, PublisherOptions::default()).unwrap();
    let mut commit = publisher.begin();
    for i in 0..6u32 {
        let mut table = commit.create_table(WriterOptions::default()).unwrap();
        table.add((i.to_be_bytes(), EntryValue::Small(b"rebuilt"))).unwrap();
        commit.add_table(table.finish().unwrap()).unwrap();
    }
    commit.publish(&Monitor::default()).unwrap();
    drop(publisher);
    crate::support::commit(directory, 4, false);
    crate::support::commit(directory, 5, false);
    let mut publisher = Publisher::open(directory, PublisherOptions::default()).unwrap();
    let mut merged = publisher.begin();
    for table in [9, 10] {
        merged.obsolete(SequenceNumber(table)).unwrap();
    }
    merged.publish(&Monitor::default()).unwrap();
}

/// Someone has removed a file of the target, or cut it. A mirror copies it again, with a new commit
/// of the source and without one.
#[tokio::test]
async fn a_mirror_repairs_files_that_are_gone_or_short() {
    for (is_new, is_removed) in [(false, false), (false, true), (true, false), (true, true)] {
        let scratch = Scratch::new();
        let (db, copy) = (scratch.path("db"), scratch.path("copy"));
        let objects = Arc::new(InMemory::new());
        let store = store_on(Arc::<InMemory>::clone(&objects));
        commit(&db, 1, false);
        push(&db, &store).await.unwrap();
        pull(&store, &copy).await.unwrap();
        for name in ["00000001.blob", "00000003.sst"] {
            match is_removed {
                true => {
                    objects.delete(&object(name)).await.unwrap();
                    fs::remove_file(copy.join(name)).unwrap();
                }
                false => {
                    edit(&*objects, name, |bytes| bytes.truncate(7)).await;
                    fs::write(copy.join(name), b"").unwrap();
                }
            }
        }
        if is_new {
            commit(&db, 2, false);
        }
        let pushed = push(&db, &store).await.unwrap();
        assert_eq!(pushed.copied_files, if is_new { 6 } else { 2 });
        pull(&store, &copy).await.unwrap();
        assert_eq!(files(&copy), files(&db));
        verify(&copy);
        let fresh = scratch.path("fresh");
        pull(&store, &fresh).await.unwrap();
        assert_eq!(files(&fresh), files(&db));
    }
}

/// A byte of a file of the target was flipped. A mirror that repairs finds it, without and with a
/// new commit of the source; any other does not read the files that are there.
#[tokio::test]
async fn a_repair_finds_and_copies_damaged_files() {
    for is_new in [false, true] {
        let scratch = Scratch::new();
        let (db, copy) = (scratch.path("db"), scratch.path("copy"));
        let objects = Arc::new(InMemory::new());
        let store = store_on(Arc::<InMemory>::clone(&objects));
        commit(&db, 1, false);
        push(&db, &store).await.unwrap();
        pull(&store, &copy).await.unwrap();
        let flip = |bytes: &mut Vec<u8>| bytes[40] ^= 1;
        for name in ["00000001.blob", "00000003.sst"] {
            edit(&*objects, name, flip).await;
            let mut bytes = fs::read(copy.join(name)).unwrap();
            flip(&mut bytes);
            fs::write(copy.join(name), bytes).unwrap();
        }
        assert_eq!(push(&db, &store).await.unwrap().copied_files, 0);
        if is_new {
            commit(&db, 2, false);
        }
        let (options, monitor) = (options().repair(true), Monitor::default());
        let bucket = Place::Bucket(store.clone());
        let pushed = sst_object_store::push(&db, &bucket, &options, &monitor).await.unwrap();
        assert_eq!(pushed.copied_files, if is_new { 6 } else { 2 });
        sst_object_store::pull(&store, &copy, &options, &monitor).await.unwrap();
        assert_eq!(files(&copy), files(&db));
        verify(&copy);
        let again = sst_object_store::pull(&store, &copy, &options, &monitor).await.unwrap();
        assert_eq!(again.copied_files, 0);
    }
}

/// The same of a shard, whose meta files are its own.
#[tokio::test]
async fn a_repair_of_a_shard_copies_damaged_files() {
    let scratch = Scratch::new();
    let (db, copy) = (scratch.path("db"), scratch.path("copy"));
    let store = store_on(Arc::new(InMemory::new()));
    commit(&db, 1, false);
    push(&db, &store).await.unwrap();
    let (options, monitor) = (options().shard("0/2".parse().ok()), Monitor::default());
    sst_object_store::pull(&store, &copy, &options, &monitor).await.unwrap();
    let before = files(&copy);
    let name = before.keys().find(|name| name.ends_with(".sst")).unwrap();
    let mut bytes = before[name].clone();
    bytes[40] ^= 1;
    fs::write(copy.join(name), bytes).unwrap();
    let kept = sst_object_store::pull(&store, &copy, &options, &monitor).await.unwrap();
    assert_eq!(kept.copied_files, 0);
    let options = options.repair(true);
    let repaired = sst_object_store::pull(&store, &copy, &options, &monitor).await.unwrap();
    assert_eq!(repaired.copied_files, 1);
    assert_eq!(files(&copy), before);
}
