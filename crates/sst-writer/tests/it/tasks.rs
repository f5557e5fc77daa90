//! Tasks of a job write files into one directory under claims, and a driver publishes them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use sst_writer::publish::{
    FragmentOverlap, JobId, TaskOptions, TaskReport, TaskTableWriter, TaskWriter,
};
use sst_writer::table::hash_key;
use sst_writer::{EntryValue, Monitor, PublishError, Publisher, PublisherOptions, WriterOptions};

const REFUSE: FragmentOverlap = FragmentOverlap::Refuse;

/// The names of numbered files, the newest last.
fn files(directory: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(directory).unwrap();
    let names = names.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(|first: char| first.is_ascii_digit())).collect()
}

fn claims(directory: &Path) -> usize {
    fs::read_dir(directory.join("claims")).unwrap().count()
}

fn open(directory: &Path) -> Publisher {
    Publisher::open(directory, PublisherOptions::default()).unwrap()
}

fn task(directory: &Path, job: JobId) -> TaskWriter {
    TaskWriter::open(directory, TaskOptions::new(job)).unwrap()
}

/// The keys of one half of the hashes, in the order of a table.
fn keys(half: u64) -> Vec<String> {
    let keys = (0..40).map(|i| format!("key {i}"));
    let mut keys: Vec<_> = keys.filter(|key| hash_key(key.as_bytes()) >> 63 == half).collect();
    keys.sort_by_key(|key| hash_key(key.as_bytes()));
    keys
}

fn fill(mut table: TaskTableWriter, half: u64) -> sst_writer::publish::FinishedTaskTable {
    keys(half).iter().for_each(|key| table.add((key.as_str(), "value")).unwrap());
    table.finish().unwrap()
}

/// A task that writes one half of the hashes, and sends its report as bytes.
fn report(directory: &Path, job: JobId, half: u64) -> TaskReport {
    let mut task = task(directory, job);
    let table = fill(task.create_table(WriterOptions::default()).unwrap(), half);
    task.add_table(table).unwrap();
    let report = task.finish().unwrap();
    TaskReport::from_bytes(&report.to_bytes().unwrap()).unwrap()
}

fn publish(publisher: &mut Publisher, reports: &[&TaskReport]) -> u32 {
    let mut commit = publisher.begin();
    commit.replace_all();
    for report in reports {
        commit.add_task(report, REFUSE).unwrap();
    }
    commit.publish(&Monitor::default()).unwrap().commit.0
}

#[test]
fn one_commit_names_the_files_of_many_tasks_and_the_rest_of_the_job_goes() {
    let parent = tempfile::tempdir().unwrap();
    let directory = &parent.path().join("new/db");
    TaskWriter::prepare_directory(directory).unwrap();
    let (job, other) = (JobId(7), JobId(8));
    // The driver may have the directory open all the time.
    let mut publisher = open(directory);
    let winners: Vec<_> = (0..2).map(|half| report(directory, job, half)).collect();
    let loser = report(directory, job, 1);
    let of_other = report(directory, other, 0);
    // An attempt that was killed, in the middle of a file.
    let killed = task(directory, job);
    let blob = killed.create_blob([7; 10_000]).unwrap();
    std::mem::forget((killed.create_table(WriterOptions::default()).unwrap(), killed));
    let commit = publish(&mut publisher, &winners.iter().collect::<Vec<_>>());
    let numbers = winners.iter().chain([&loser, &of_other]).map(|it| it.tables[0].sequence.0);
    assert!(numbers.clone().all(|number| number < commit));
    assert_eq!(publisher.live_tables().count(), 2);
    // The claims of the winners are released; nothing of the others was touched.
    let claims_of = |publishers: usize| publishers + 3;
    assert_eq!(claims(directory), claims_of(1) + 1, "with a temporary file");
    assert!(publisher.end_job(job).unwrap().is_empty());
    let mut expected: BTreeSet<_> = numbers
        .filter(|number| *number != loser.tables[0].sequence.0)
        .map(|number| format!("{number:08}.sst"))
        .collect();
    expected.insert(format!("{commit:08}.meta"));
    assert_eq!(files(directory), expected);
    assert!(!expected.contains(&format!("{:08}.blob", blob.0)));
    drop(publisher);
    // The other job goes on.
    let mut publisher = open(directory);
    publish(&mut publisher, &[&of_other]);
    assert_eq!(claims(directory), 1 + 1, "with a temporary file");
    // The temporary file goes when no task can be at work any more.
    assert!(publisher.end_job(other).unwrap().is_empty());
    assert_eq!(claims(directory), 1);
    assert_eq!(publisher.live_tables().count(), 1);
    drop(publisher);
    drop(open(directory));
    assert_eq!((files(directory).len(), claims(directory)), (2, 0));
}

/// A driver is killed while its tasks write, and the job is run again.
#[test]
fn the_end_of_a_job_removes_the_temporary_files_of_tasks_that_were_killed() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let (job, other) = (JobId(7), JobId(8));
    let kill = |job| {
        let killed = task(directory, job);
        std::mem::forget((killed.create_table(WriterOptions::default()).unwrap(), killed));
    };
    kill(job);
    let mut publisher = open(directory);
    publish(&mut publisher, &[]);
    assert_eq!(claims(directory), 3, "of the publisher, of the task, and a temporary file");
    assert!(publisher.end_job(job).unwrap().is_empty());
    assert_eq!(claims(directory), 1);

    // Another job is at work, whose file must stay.
    kill(job);
    let at_work = task(directory, other);
    let table = at_work.create_table(WriterOptions::default()).unwrap();
    assert!(publisher.end_job(job).unwrap().is_empty());
    assert_eq!(claims(directory), 4, "of the publisher, of the task, and two temporary files");
    drop((fill(table, 0), at_work));
    assert!(publisher.end_job(other).unwrap().is_empty());
    assert_eq!(claims(directory), 1);
}

#[test]
fn a_task_that_is_dropped_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let task = task(directory.path(), JobId(1));
    let table = task.create_table(WriterOptions::default()).unwrap();
    let finished = fill(task.create_table(WriterOptions::default()).unwrap(), 0);
    task.create_blob("value").unwrap();
    assert_eq!(files(directory.path()).len(), 2);
    drop((task, finished));
    assert_eq!((files(directory.path()).len(), claims(directory.path())), (0, 1));
    let ended = table.finish().unwrap_err();
    assert!(matches!(ended, PublishError::CommitEnded { .. }), "{ended:?}");
    assert_eq!((files(directory.path()).len(), claims(directory.path())), (0, 0));
}

/// A job whose driver was killed: its files stay for the grace period, through commits of others,
/// and then go, blobs too.
#[test]
fn files_of_a_job_without_a_driver_go_after_the_grace() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let with_blob = || {
        let mut task = task(directory, JobId(1));
        let blob = task.create_blob([7; 10_000]).unwrap();
        let mut table = task.create_table(WriterOptions::default()).unwrap();
        table.add(("key", EntryValue::Blob(blob))).unwrap();
        task.add_table(table.finish().unwrap()).unwrap();
        task.finish().unwrap()
    };
    // Before the first commit.
    with_blob();
    let options = PublisherOptions::default().claim_grace(Duration::ZERO);
    drop(open(directory));
    assert_eq!(files(directory).len(), 2);
    drop(Publisher::open(directory, options.clone()).unwrap());
    assert_eq!((files(directory).len(), claims(directory)), (0, 0));
    assert!(!directory.join(".first-commit").exists());
    // Below the newest commit.
    let (lost, live) = (with_blob(), with_blob());
    let mut publisher = open(directory);
    publish(&mut publisher, &[&live]);
    publish(&mut publisher, &[]);
    drop(publisher);
    // Of the first commit the proof is there: a meta file lists its blob.
    assert_eq!(files(directory).len(), 3);
    assert_eq!(lost.claims.len(), claims(directory));
    let mut publisher = Publisher::open(directory, options.clone()).unwrap();
    assert_eq!((files(directory).len(), claims(directory)), (1, 0));
    // The commit of a driver that was killed before it released the claims keeps its files.
    let live = with_blob();
    let claim = directory.join(format!("claims/{:08}", live.claims[0]));
    let text = fs::read(&claim).unwrap();
    drop(publisher);
    publisher = open(directory);
    publish(&mut publisher, &[&live]);
    drop(publisher);
    fs::write(&claim, text).unwrap();
    drop(Publisher::open(directory, options).unwrap());
    assert_eq!((files(directory).len(), claims(directory)), (3, 0));
}

#[test]
fn a_task_is_told_that_its_claim_has_ended() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let (job, monitor) = (JobId(3), Monitor::default());
    let slow = task(directory, job);
    let late = slow.create_table(WriterOptions::default()).unwrap();
    let reported = report(directory, job, 0);
    let mut publisher = open(directory);
    publisher.end_job(job).unwrap();
    let lost = |error: &PublishError| matches!(error, PublishError::ClaimLost { .. });
    assert!(late.finish().is_err_and(|error| lost(&error)));
    assert!(slow.finish().is_err_and(|error| lost(&error)));
    let mut commit = publisher.begin();
    assert!(commit.add_task(&reported, REFUSE).is_err_and(|error| lost(&error)));
    commit.publish(&monitor).unwrap();
    assert_eq!((files(directory).len(), publisher.live_tables().count()), (1, 0));
}

#[test]
fn reports_that_do_not_fit_are_refused_and_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let (first, second) = (report(directory, JobId(1), 0), report(directory, JobId(1), 1));
    let again = report(directory, JobId(1), 0);
    let mut publisher = open(directory);
    let mut commit = publisher.begin();
    commit.add_task(&first, REFUSE).unwrap();
    let mut refused = |report: &TaskReport| commit.add_task(report, REFUSE).unwrap_err();
    assert!(matches!(refused(&first), PublishError::ForeignTable { .. }));
    assert!(matches!(refused(&again), PublishError::TasksOverlap { .. }));
    let mut of_family = second.clone();
    of_family.family = 1;
    assert!(matches!(refused(&of_family), PublishError::WrongFamily { expected: 0, found: 1 }));
    let mut unclaimed = second.clone();
    unclaimed.tables[0].sequence.0 += 64;
    assert!(matches!(refused(&unclaimed), PublishError::NotClaimed { .. }));
    let mut foreign = second.clone();
    foreign.owner ^= 1;
    assert!(matches!(refused(&foreign), PublishError::ClaimLost { .. }));
    let mut without_blob = second.clone();
    without_blob.tables[0].blobs.push(sst_format::BlobNumber(second.tables[0].sequence.0 + 1));
    assert!(matches!(refused(&without_blob), PublishError::UnknownBlob { .. }));
    let path = directory.join(format!("{:08}.sst", second.tables[0].sequence.0));
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[1..]).unwrap();
    assert!(matches!(refused(&second), PublishError::TaskFile { found: Some(_), .. }));
    fs::remove_file(&path).unwrap();
    assert!(matches!(refused(&second), PublishError::TaskFile { found: None, .. }));
    fs::write(&path, &bytes).unwrap();
    // A commit that is dropped leaves the files to the next one.
    drop(commit);
    let mut commit = publisher.begin();
    commit.add_task(&second, REFUSE).unwrap();
    commit.add_task(&first, REFUSE).unwrap();
    commit.add_task(&again, FragmentOverlap::LaterWins).unwrap();
    commit.publish(&Monitor::default()).unwrap();
    assert_eq!(publisher.live_tables().count(), 3);
}

/// A publisher that opens the directory meanwhile does not take the temporary files of tasks.
#[test]
fn maintenance_goes_on_beside_tasks() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let mut task = task(directory, JobId(1));
    let table = task.create_table(WriterOptions::default()).unwrap();
    for _ in 0..3 {
        publish(&mut open(directory), &[]);
    }
    task.add_table(fill(table, 0)).unwrap();
    let report = task.finish().unwrap();
    let mut publisher = open(directory);
    publish(&mut publisher, &[&report]);
    assert_eq!(publisher.live_tables().count(), 1);
}
