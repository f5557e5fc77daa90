//! Rollback, retention, certificates, adopted fragments and claims of a bucket.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use sst_amqf::QuotientFilter;
use sst_format::meta_head::CommitKind;
use sst_object_store::{
    AdoptOptions, Certify, FragmentOverlap, GcOptions, ObjectPublisher, ObjectPublisherOptions,
    Place, RemoteCommit, ShardNumber, Store, StoreError, StoreFiles, collect_garbage, list_commits,
};
use sst_reader::{Monitor, ReaderOptions, SstSet, verify_directory};
use sst_writer::{EntryValue, PublishError, Publisher, PublisherOptions, WriterOptions};

use crate::support::{Scratch, commit, edit, files, memory, object, options, store_on, verify};

fn publisher(store: &Store, options: ObjectPublisherOptions) -> ObjectPublisher {
    ObjectPublisher::new(store, options.piece_len(3000)).unwrap()
}

/// Publishes a table of one key, on top of what is there or in its place.
async fn publish(publisher: &mut ObjectPublisher, key: u32, is_replace: bool) -> u32 {
    let mut commit = publisher.begin(0).await.unwrap();
    if is_replace {
        commit.replace_all();
    }
    let mut table = commit.create_table(WriterOptions::default()).await.unwrap();
    let written = tokio::task::spawn_blocking(move || {
        table.add((key.to_be_bytes(), EntryValue::Small(b"value")))?;
        table.finish()
    });
    commit.add_table(written.await.unwrap().unwrap());
    commit.publish(&Monitor::default()).await.unwrap().commit.0
}

async fn keys(store: &Store) -> BTreeSet<u32> {
    let store = store.clone();
    let read = move || {
        let options = ReaderOptions::default().files(Arc::new(StoreFiles::new(&store)));
        let set = SstSet::open(store.name(), &options).unwrap();
        let report = verify_directory(store.name(), &options, &Monitor::default()).unwrap();
        assert!(report.is_intact(), "{:?}", report.damage);
        let key = |key: &[u8]| u32::from_be_bytes(key.try_into().unwrap());
        set.iter().map(|entry| key(&entry.unwrap().key)).collect()
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_is_rolled_back_and_forth() {
    let store = memory();
    let mut publisher = publisher(&store, ObjectPublisherOptions::default());
    let none = publisher.rollback(None, &Monitor::default()).await.unwrap_err();
    assert!(matches!(none, StoreError::Directory(PublishError::NoSuchGeneration { .. })));
    let first = publish(&mut publisher, 1, true).await;
    publish(&mut publisher, 2, false).await;
    let third = publish(&mut publisher, 3, true).await;
    assert_eq!(keys(&store).await, BTreeSet::from([3]));
    publisher.rollback(None, &Monitor::default()).await.unwrap();
    assert_eq!(keys(&store).await, BTreeSet::from([1, 2]));
    publisher.rollback(Some(sst_format::SequenceNumber(first)), &Monitor::default()).await.unwrap();
    assert_eq!(keys(&store).await, BTreeSet::from([1]));
    publisher.rollback(Some(sst_format::SequenceNumber(third)), &Monitor::default()).await.unwrap();
    assert_eq!(keys(&store).await, BTreeSet::from([3]));
    publish(&mut publisher, 4, false).await;
    assert_eq!(keys(&store).await, BTreeSet::from([3, 4]));
    let log = list_commits(&store).await.unwrap();
    let kinds: Vec<_> = log.iter().map(|generation| generation.kind.unwrap()).collect();
    let rollback = CommitKind::Rollback;
    let (load, append) = (CommitKind::Load, CommitKind::Append);
    assert_eq!(kinds, [append, rollback, rollback, rollback, load, append, load]);
    assert!(log[0].is_current && log.iter().all(|generation| generation.is_complete));
    let gone = publisher
        .rollback(Some(sst_format::SequenceNumber(1_000)), &Monitor::default())
        .await
        .unwrap_err();
    assert!(matches!(gone, StoreError::Directory(PublishError::NoSuchGeneration { .. })));
    // A merge is no generation of its own.
    let mut merge = publisher.begin(0).await.unwrap();
    merge.set_kind(CommitKind::Merge);
    merge.publish(&Monitor::default()).await.unwrap();
    publisher.rollback(None, &Monitor::default()).await.unwrap();
    assert_eq!(keys(&store).await, BTreeSet::from([3]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_that_was_overtaken_is_refused() {
    let store = memory();
    let mut one = publisher(&store, ObjectPublisherOptions::default());
    for key in 1..=2 {
        publish(&mut one, key, true).await;
    }
    // A rollback reads the newest commit itself, so the race is that of two commits.
    let mut two = publisher(&store, ObjectPublisherOptions::default());
    let mut late = two.begin(0).await.unwrap();
    late.set_kind(CommitKind::Rollback);
    publish(&mut one, 3, false).await;
    let changed = late.publish(&Monitor::default()).await.unwrap_err();
    assert!(matches!(changed, StoreError::Changed { .. }));
    assert_eq!(keys(&store).await, BTreeSet::from([2, 3]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_keeps_its_objects_for_the_grace_period_after_it_was_replaced() {
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    let mut publisher = publisher(&store, ObjectPublisherOptions::default());
    publish(&mut publisher, 1, true).await;
    publish(&mut publisher, 2, true).await;
    publisher.close().await.unwrap();
    let none_kept = GcOptions::default().keep_generations(0);
    let spared = collect_garbage(&store, &none_kept, &Monitor::default()).await.unwrap();
    assert_eq!((spared.removed.len(), spared.spared), (0, 2));
    let now = none_kept.grace(Duration::ZERO);
    assert_eq!(collect_garbage(&store, &now, &Monitor::default()).await.unwrap().removed.len(), 2);
    assert_eq!(keys(&store).await, BTreeSet::from([2]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_those_of_a_directory() {
    let scratch = Scratch::new();
    let store = memory();
    let options = ObjectPublisherOptions::default().certify(Certify::Always);
    let mut certified = publisher(&store, options);
    publish(&mut certified, 1, true).await;
    publish(&mut certified, 2, false).await;
    let copy = scratch.path("copy");
    crate::support::pull(&store, &copy).await.unwrap();
    let set = SstSet::open(&copy, &ReaderOptions::default()).unwrap();
    let found = set.verify_certificate(&Monitor::default()).unwrap();
    assert!(found.is_some_and(|digest| digest.entries() == 2));
    // A commit that is made again is certified again, or published without.
    for (certify, is_certified) in [(Certify::Always, true), (Certify::Once, false)] {
        let options = ObjectPublisherOptions::default().certify(certify);
        let mut late = publisher(&store, options);
        let commit = late.begin(0).await.unwrap();
        publish(&mut certified, 3, false).await;
        let mut commit = commit;
        let mut table = commit.create_table(WriterOptions::default()).await.unwrap();
        let written = tokio::task::spawn_blocking(move || {
            table.add(("late", "value"))?;
            table.finish()
        });
        commit.add_table(written.await.unwrap().unwrap());
        let info = commit.publish(&Monitor::default()).await.unwrap();
        assert_eq!((info.rebased, info.certificates.len()), (1, usize::from(is_certified)));
        let newest = RemoteCommit::read(&store).await.unwrap().unwrap();
        assert_eq!(newest.certificates(), info.certificates);
    }
    // A rollback has the certificate of the commit that it returns to.
    publish(&mut certified, 4, true).await;
    let before = RemoteCommit::read(&store).await.unwrap().unwrap().certificates().to_vec();
    publish(&mut certified, 5, true).await;
    let info = certified.rollback(None, &Monitor::default()).await.unwrap();
    assert_eq!(info.certificates, before);
}

fn later_wins() -> AdoptOptions {
    AdoptOptions::default().overlap(FragmentOverlap::LaterWins)
}

/// The rules of a local gather: no table twice, no overlap unless asked for, a filter for tables
/// without one, no shard, and only fragments of the family.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fragments_are_adopted_by_the_rules_of_a_gather() {
    let scratch = Scratch::new();
    let (one, two) = (scratch.path("one"), scratch.path("two"));
    commit(&one, 1, false);
    commit(&two, 2, false);
    let store = memory();
    let mut publisher = publisher(&store, ObjectPublisherOptions::default());
    let place = |directory: &std::path::Path| Place::Directory(directory.to_owned());
    let (refuse, monitor) = (AdoptOptions::default(), Monitor::default());
    let mut begun = publisher.begin(0).await.unwrap();
    begun.adopt(&place(&one), &refuse, &monitor).await.unwrap();
    let overlap = begun.adopt(&place(&two), &refuse, &monitor).await.unwrap_err();
    assert!(matches!(overlap, StoreError::FragmentsOverlap { .. }), "{overlap}");
    let twice = begun.adopt(&place(&one), &later_wins(), &monitor).await.unwrap_err();
    assert!(matches!(twice, StoreError::FragmentTwice { .. }), "{twice}");
    let mut other_family = publisher.begin(7).await.unwrap();
    let other = other_family.adopt(&place(&one), &refuse, &monitor).await.unwrap_err();
    assert!(matches!(other, StoreError::NotAFragment { family: 7, .. }), "{other}");

    let source = Store::from_directory(&one).unwrap();
    let shard = scratch.path("shard");
    let of_shard = options().shard(ShardNumber::new(0, 2));
    sst_object_store::pull(&source, &shard, &of_shard, &monitor).await.unwrap();
    let mut begun = publisher.begin(0).await.unwrap();
    let of_shard = begun.adopt(&place(&shard), &refuse, &monitor).await.unwrap_err();
    assert!(matches!(of_shard, StoreError::SourceIsShard { count: 2, .. }), "{of_shard}");

    let filtered = AdoptOptions::default().filter(QuotientFilter::default());
    let mut begun = publisher.begin(0).await.unwrap();
    begun.adopt(&place(&one), &filtered, &monitor).await.unwrap();
    begun.publish(&monitor).await.unwrap();
    let copy = scratch.path("copy");
    crate::support::pull(&store, &copy).await.unwrap();
    let reading = ReaderOptions::default().filter(QuotientFilter::default());
    let set = SstSet::open(&copy, &reading).unwrap();
    for table in set.catalog().tables.iter() {
        assert!(!table.meta().unwrap().filter.as_slice().is_empty());
    }
    let expected = SstSet::open(&one, &ReaderOptions::default()).unwrap();
    for entry in expected.entries() {
        let (key, value) = entry.unwrap();
        assert_eq!(set.get(&key).unwrap().unwrap(), value);
    }
    verify(&copy);
}

/// A bucket that holds other bytes than were written is not published.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_table_is_found_when_it_is_certified() {
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    let mut publisher = publisher(&store, ObjectPublisherOptions::default().certify(Certify::Once));
    let mut commit = publisher.begin(0).await.unwrap();
    let mut table = commit.create_table(WriterOptions::default()).await.unwrap();
    let written = tokio::task::spawn_blocking(move || {
        table.add(("key", EntryValue::Small(b"value")))?;
        table.finish()
    });
    let table = written.await.unwrap().unwrap();
    let name = format!("{:08}.sst", table.sequence().0);
    commit.add_table(table);
    edit(&*objects, &name, |bytes| bytes[9] ^= 1).await;
    let damaged = commit.publish(&Monitor::default()).await.unwrap_err();
    assert!(damaged.is_corruption(), "{damaged:?}");
    assert!(RemoteCommit::read(&store).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fragments_are_adopted_with_their_blobs() {
    let scratch = Scratch::new();
    let (one, two) = (scratch.path("one"), scratch.path("two"));
    commit(&one, 1, false);
    commit(&two, 2, false);
    let (store, other) = (memory(), memory());
    crate::support::push(&two, &other).await.unwrap();
    let mut publisher = publisher(&store, ObjectPublisherOptions::default());
    publish(&mut publisher, 7, false).await;
    let mut all = publisher.begin(0).await.unwrap();
    // A directory and a bucket.
    for place in [Place::Directory(one.clone()), Place::Bucket(other)] {
        let adopted = all.adopt(&place, &later_wins(), &Monitor::default()).await.unwrap();
        assert_eq!((adopted.tables, adopted.entries, adopted.blobs), (2, 600, 1));
        assert_eq!(adopted.rewritten, 2);
    }
    all.publish(&Monitor::default()).await.unwrap();
    let copy = scratch.path("copy");
    crate::support::pull(&store, &copy).await.unwrap();
    verify(&copy);
    let set = SstSet::open(&copy, &ReaderOptions::default()).unwrap();
    for fragment in [&one, &two] {
        let fragment = SstSet::open(fragment, &ReaderOptions::default()).unwrap();
        let mut count = 0;
        for entry in fragment.entries() {
            let (key, value) = entry.unwrap();
            assert_eq!(set.get(&key).unwrap().unwrap(), value);
            count += 1;
        }
        assert_eq!(count, 2 * 299);
    }
    assert_eq!(set.iter().count(), 4 * 299 + 1);
    assert_eq!(RemoteCommit::read(&store).await.unwrap().unwrap().blobs().len(), 2);
}

/// Tables without blobs are copied byte for byte; damage on the way is found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fragment_without_blobs_is_copied() {
    let scratch = Scratch::new();
    let fragment = scratch.path("fragment");
    let mut local = Publisher::open(&fragment, PublisherOptions::default()).unwrap();
    let mut begun = local.begin();
    let mut table = begun.create_table(WriterOptions::default()).unwrap();
    table.add(("key", EntryValue::Small(&[7; 3000]))).unwrap();
    begun.add_table(table.finish().unwrap()).unwrap();
    begun.publish(&Monitor::default()).unwrap();
    drop(local);
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    let mut publisher = publisher(&store, ObjectPublisherOptions::default());
    let mut commit = publisher.begin(0).await.unwrap();
    let adopted = commit
        .adopt(&Place::Directory(fragment.clone()), &later_wins(), &Monitor::default())
        .await
        .unwrap();
    assert_eq!((adopted.tables, adopted.rewritten), (1, 0));
    commit.publish(&Monitor::default()).await.unwrap();
    let newest = RemoteCommit::read(&store).await.unwrap().unwrap();
    let (_, table) = newest.tables().next().unwrap();
    let copy = object(&format!("{:08}.sst", table.sequence.0));
    let copy = objects.get(&copy).await.unwrap().bytes().await.unwrap();
    assert_eq!(copy.to_vec(), files(&fragment)["00000001.sst"]);
    let path = fragment.join("00000001.sst");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let mut commit = publisher.begin(0).await.unwrap();
    let damaged = commit
        .adopt(&Place::Directory(fragment), &later_wins(), &Monitor::default())
        .await
        .unwrap_err();
    assert!(damaged.is_corruption(), "{damaged:?}");
    let nothing = commit
        .adopt(&Place::Directory(scratch.path("")), &later_wins(), &Monitor::default())
        .await
        .unwrap_err();
    assert!(matches!(nothing, StoreError::NoCommit { .. }));
}

/// Claims are renewed while a writer works, and released at its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_are_renewed_and_released() {
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    let options = ObjectPublisherOptions::default().claim_renewal(Duration::ZERO);
    let mut publisher = publisher(&store, options);
    publish(&mut publisher, 1, true).await;
    let claim = || async {
        let claim = objects.get(&object("claims/00000064")).await.unwrap();
        let version = claim.meta.e_tag.clone();
        (version, String::from_utf8(claim.bytes().await.unwrap().to_vec()).unwrap())
    };
    let (before, text) = claim().await;
    assert!(text.ends_with("state open\n"), "{text}");
    publish(&mut publisher, 2, true).await;
    let (after, text) = claim().await;
    assert!(before != after && text.ends_with("state open\n"), "{text}");
    publisher.close().await.unwrap();
    assert!(claim().await.1.ends_with("state done\n"));
    assert_eq!(keys(&store).await, BTreeSet::from([2]));
}

/// A writer that has lost leaves no meta file that could be taken for a generation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_has_lost_is_no_generation() {
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    let mut one = publisher(&store, ObjectPublisherOptions::default());
    let mut two = publisher(&store, ObjectPublisherOptions::default());
    publish(&mut one, 1, true).await;
    let mut late = two.begin(0).await.unwrap();
    late.replace_all();
    publish(&mut one, 2, true).await;
    late.publish(&Monitor::default()).await.unwrap_err();
    publish(&mut one, 3, true).await;
    one.rollback(None, &Monitor::default()).await.unwrap();
    assert_eq!(keys(&store).await, BTreeSet::from([2]));
    assert_eq!(list_commits(&store).await.unwrap().len(), 4);
}

/// A writer that crashed between its meta file and `CURRENT` has made no generation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_was_never_live_is_no_generation() {
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    let mut one = publisher(&store, ObjectPublisherOptions::default());
    publish(&mut one, 1, true).await;
    let before = objects.get(&object("CURRENT")).await.unwrap().bytes().await.unwrap();
    let lost = publish(&mut one, 2, true).await;
    objects.put(&object("CURRENT"), before.into()).await.unwrap();
    let mut two = publisher(&store, ObjectPublisherOptions::default());
    publish(&mut two, 3, true).await;
    let log = list_commits(&store).await.unwrap();
    assert!(log.len() == 2 && log.iter().all(|commit| commit.sequence.0 != lost), "{log:?}");
    two.rollback(None, &Monitor::default()).await.unwrap();
    assert_eq!(keys(&store).await, BTreeSet::from([1]));
    // Nor does it take the place of one that is kept.
    publish(&mut two, 4, true).await;
    let options = GcOptions::default().grace(Duration::ZERO).keep_generations(1);
    collect_garbage(&store, &options, &Monitor::default()).await.unwrap();
    // The collection has taken the claims of `two`, which are older than no time at all.
    let mut three = publisher(&store, ObjectPublisherOptions::default());
    three.rollback(None, &Monitor::default()).await.unwrap();
    assert_eq!(keys(&store).await, BTreeSet::from([1]));
}

/// A directory that was copied into a bucket by other tools has no claims. A writer uses none of
/// its numbers all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_without_claims_keeps_its_objects() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    for seed in 0..40 {
        commit(&db, seed, false);
    }
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    let before = files(&db);
    for (name, bytes) in &before {
        objects.put(&object(name), bytes.clone().into()).await.unwrap();
    }
    // The first number that a writer would claim in an empty bucket is 64.
    assert!(before.contains_key("00000066.sst"));
    let mut publisher = publisher(&store, ObjectPublisherOptions::default());
    publish(&mut publisher, 7, false).await;
    for (name, bytes) in before.iter().filter(|(name, _)| *name != "CURRENT") {
        let found = objects.get(&object(name)).await.unwrap().bytes().await.unwrap();
        assert!(found == bytes, "{name}");
    }
    let copy = scratch.path("copy");
    crate::support::pull(&store, &copy).await.unwrap();
    verify(&copy);
}
