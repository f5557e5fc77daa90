//! Tasks of a job write objects into one bucket under claims, and a driver publishes them.

use std::collections::BTreeSet;
use std::sync::Arc;

use object_store::memory::InMemory;
use sst_object_store::{
    Certify, FragmentOverlap, ObjectPublisher, ObjectPublisherOptions, ObjectTaskWriter, Store,
    StoreError,
};
use sst_reader::{ReaderOptions, SstSet};
use sst_writer::publish::{JobId, TaskReport};
use sst_writer::table::hash_key;
use sst_writer::{EntryValue, Monitor, PublishError, WriterOptions};

use crate::support::{Scratch, names, pull, store_on, verify};

const REFUSE: FragmentOverlap = FragmentOverlap::Refuse;

fn options() -> ObjectPublisherOptions {
    ObjectPublisherOptions::default().piece_len(3000).certify(Certify::Always)
}

/// A task that writes one half of 40 keys, one of them to a blob, and sends its report as bytes.
async fn report(store: &Store, job: JobId, half: u64) -> TaskReport {
    let mut task = ObjectTaskWriter::new(store, job, 0, options()).unwrap();
    let keys = (0..40).map(|i| format!("key {i}"));
    let mut keys: Vec<_> = keys.filter(|key| hash_key(key.as_bytes()) >> 63 == half).collect();
    keys.sort_by_key(|key| hash_key(key.as_bytes()));
    let blob = task.create_blob([7; 10_000]).await.unwrap();
    let mut table = task.create_table(WriterOptions::default()).await.unwrap();
    let written = tokio::task::spawn_blocking(move || {
        table.add((keys[0].as_str(), EntryValue::Blob(blob)))?;
        for key in &keys[1..] {
            table.add((key.as_str(), "value"))?;
        }
        table.finish()
    });
    task.add_table(written.await.unwrap().unwrap());
    let report = task.finish(&Monitor::default()).await.unwrap();
    TaskReport::from_bytes(&report.to_bytes().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_commit_names_the_objects_of_many_tasks_and_the_rest_of_the_job_goes() {
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    let (job, other) = (JobId(7), JobId(8));
    let mut publisher = ObjectPublisher::new(&store, ObjectPublisherOptions::default()).unwrap();
    let winners = [report(&store, job, 0).await, report(&store, job, 1).await];
    let loser = report(&store, job, 1).await;
    let of_other = report(&store, other, 0).await;
    let mut commit = publisher.begin(0).await.unwrap();
    commit.replace_all();
    for report in &winners {
        commit.add_task(report, REFUSE).await.unwrap();
    }
    assert!(commit.certify_tasks());
    let info = commit.publish(&Monitor::default()).await.unwrap();
    assert_eq!(info.certificates.len(), 1);
    let numbers = winners.iter().chain([&loser, &of_other]).map(|it| it.tables[0].sequence);
    assert!(numbers.clone().all(|number| number < info.commit));
    publisher.end_job(job).await.unwrap();
    let (lost, kept) = (&loser.tables[0], &of_other.tables[0]);
    let there = names(&*objects).await;
    assert!(!there.contains(&format!("{:08}.sst", lost.sequence.0)));
    assert!(!there.contains(&format!("{:08}.blob", lost.blobs[0].0)));
    assert!(there.contains(&format!("{:08}.sst", kept.sequence.0)));
    // The certificate that the tasks add up to is that of the content.
    let scratch = Scratch::new();
    let copy = scratch.path("copy");
    pull(&store, &copy).await.unwrap();
    verify(&copy);
    let set = SstSet::open(&copy, &ReaderOptions::default()).unwrap();
    assert_eq!(set.certificate(), Some(set.content_digest(&Monitor::default()).unwrap()));
    assert_eq!(set.iter().count(), 40);
    // On top of it, digests of tasks say nothing.
    let mut commit = publisher.begin(0).await.unwrap();
    commit.add_task(&of_other, REFUSE).await.unwrap();
    assert!(!commit.certify_tasks());
    let info = commit.publish(&Monitor::default()).await.unwrap();
    assert_eq!(info.certificates, []);
    publisher.end_job(other).await.unwrap();
    publisher.close().await.unwrap();
    let objects: BTreeSet<_> = names(&*objects).await;
    let tables = objects.iter().filter(|name| name.ends_with(".sst")).count();
    assert_eq!((tables, publisher_tables(&store).await), (3, 3));
}

async fn publisher_tables(store: &Store) -> usize {
    let mut publisher = ObjectPublisher::new(store, ObjectPublisherOptions::default()).unwrap();
    drop(publisher.begin(0).await.unwrap());
    publisher.live_tables().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_that_do_not_fit_are_refused() {
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    let (first, second) = (report(&store, JobId(1), 0).await, report(&store, JobId(1), 1).await);
    let again = report(&store, JobId(1), 0).await;
    let mut publisher = ObjectPublisher::new(&store, ObjectPublisherOptions::default()).unwrap();
    let mut commit = publisher.begin(0).await.unwrap();
    commit.add_task(&first, REFUSE).await.unwrap();
    let twice = commit.add_task(&first, REFUSE).await.unwrap_err();
    assert!(matches!(twice, StoreError::Directory(PublishError::ForeignTable { .. })));
    let overlapping = commit.add_task(&again, REFUSE).await.unwrap_err();
    assert!(matches!(overlapping, StoreError::Directory(PublishError::TasksOverlap { .. })));
    let mut longer = second.clone();
    longer.tables[0].meta.file_size += 1;
    let longer = commit.add_task(&longer, REFUSE).await.unwrap_err();
    let is_len = |error: &StoreError| {
        matches!(error, StoreError::Directory(PublishError::TaskFile { found: Some(_), .. }))
    };
    assert!(is_len(&longer), "{longer:?}");
    let mut foreign = second.clone();
    foreign.owner ^= 1;
    let foreign = commit.add_task(&foreign, REFUSE).await.unwrap_err();
    assert!(matches!(foreign, StoreError::Claimed { .. }), "{foreign:?}");
    drop(commit);
    publisher.end_job(JobId(1)).await.unwrap();
    let mut commit = publisher.begin(0).await.unwrap();
    let ended = commit.add_task(&second, REFUSE).await.unwrap_err();
    assert!(matches!(ended, StoreError::Claimed { .. }), "{ended:?}");
    assert!(names(&*objects).await.iter().all(|name| !name.ends_with(".sst")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_is_given_up_leaves_nothing() {
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    let mut task = ObjectTaskWriter::new(&store, JobId(1), 0, options()).unwrap();
    task.create_blob("value").await.unwrap();
    assert!(!names(&*objects).await.is_empty());
    task.discard().await.unwrap();
    assert!(names(&*objects).await.iter().all(|name| name.starts_with("claims/")));
}
