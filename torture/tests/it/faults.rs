//! Single faults, each with a name, that the suites of faults have found.

use std::io;
use std::path::Path;
use std::sync::Arc;

use sst_merge::MergeError;
use sst_torture::faults::scenario::{Action, Scenario, names};
use sst_torture::faults::{Fault, Injector, Load, Operation, Order, Seen, Step, Tap, Tapped};
use sst_writer::blob::write_blob_file_in;
use sst_writer::bulk::BulkMode;
use sst_writer::publish::list_commits;
use sst_writer::table::Compression;
use sst_writer::{Monitor, PublishError, Publisher, PublisherOptions};

/// Fails every operation that the function selects.
struct FailWhere(fn(&Operation<'_>) -> bool);

impl std::fmt::Debug for FailWhere {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FailWhere")
    }
}

impl Tap for FailWhere {
    fn order(&self, operation: &Operation<'_>) -> Order {
        if (self.0)(operation) {
            Order::Fail(io::Error::other("on purpose"))
        } else {
            Order::Proceed
        }
    }
}

fn failing(picked: fn(&Operation<'_>) -> bool) -> PublisherOptions {
    PublisherOptions::default()
        .keep_generations(9)
        .file_system(Arc::new(Tapped::new(FailWhere(picked))))
}

/// A directory with three commits, all kept. Their meta files have the numbers 2, 4 and 6.
fn three_generations(parent: &Path) -> std::path::PathBuf {
    let directory = parent.join("db");
    let options = PublisherOptions::default().keep_generations(9);
    let mut publisher = Publisher::open(&directory, options).unwrap();
    (1..=3).for_each(|number| Step::ReplaceAll.apply(&mut publisher, number).unwrap());
    directory
}

fn generations(directory: &Path) -> Vec<(u32, bool)> {
    let generations = list_commits(directory).unwrap().into_iter();
    generations.map(|generation| (generation.sequence.0, generation.is_complete)).collect()
}

fn is_read_of_4(operation: &Operation<'_>) -> bool {
    matches!(operation, Operation::Open { path } if path.ends_with("00000004.meta"))
}

/// Regression: a meta file that could not be read once was taken for unused, and its commit was
/// removed.
#[test]
fn a_commit_that_cannot_be_read_for_now_is_kept() {
    let parent = tempfile::tempdir().unwrap();
    let directory = three_generations(parent.path());
    let all = [(6, true), (4, true), (2, true)];
    assert_eq!(generations(&directory), all);
    let mut publisher = Publisher::open(&directory, failing(is_read_of_4)).unwrap();
    let [error] = publisher.not_removed() else { panic!("{:?}", publisher.not_removed()) };
    assert!(error.path.ends_with("00000004.meta"));
    Step::ReplaceAll.apply(&mut publisher, 4).unwrap();
    drop(publisher);
    assert_eq!(generations(&directory), [&[(8, true)], &all[..]].concat());
    // The next publisher can read all meta files, and removes what is not kept.
    let options = PublisherOptions::default().keep_generations(1);
    let mut publisher = Publisher::open(&directory, options).unwrap();
    assert_eq!(publisher.remove_obsolete_files().unwrap().len(), 0);
    assert_eq!(generations(&directory), [(8, true), (6, true)]);
}

/// Regression: a rollback went to the commit before the one that could not be read.
#[test]
fn a_rollback_passes_no_commit_over_that_cannot_be_read_for_now() {
    let parent = tempfile::tempdir().unwrap();
    let directory = three_generations(parent.path());
    let before = Seen::of(&directory).unwrap();
    let mut publisher = Publisher::open(&directory, failing(is_read_of_4)).unwrap();
    for to in [None, Some(sst_format::SequenceNumber(4))] {
        let error = publisher.rollback(to, &Monitor::default()).unwrap_err();
        assert!(matches!(error, PublishError::File(_)), "{error}");
    }
    assert_eq!(Seen::of(&directory).unwrap(), before);
}

/// Regression: if `CURRENT` could not be made durable before it was replaced, the files of the
/// commit stayed.
#[test]
fn a_commit_leaves_nothing_if_current_cannot_be_synced() {
    let parent = tempfile::tempdir().unwrap();
    let directory = three_generations(parent.path());
    let before = names(&directory);
    // The third sync is that of `CURRENT`, after those of the table and the meta file.
    #[derive(Debug, Default)]
    struct ThirdSync(std::sync::atomic::AtomicU32);
    impl Tap for ThirdSync {
        fn order(&self, operation: &Operation<'_>) -> Order {
            let is_sync = matches!(operation, Operation::Sync { .. });
            if is_sync && self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 2 {
                return Order::Fail(io::Error::other("on purpose"));
            }
            Order::Proceed
        }
    }
    let options = PublisherOptions::default()
        .keep_generations(9)
        .file_system(Arc::new(Tapped::new(ThirdSync::default())));
    let mut publisher = Publisher::open(&directory, options).unwrap();
    assert!(Step::ReplaceAll.apply(&mut publisher, 4).is_err());
    assert_eq!(names(&directory), before);
    // It is still unknown which files are durable.
    let next = Step::ReplaceAll.apply(&mut publisher, 5);
    assert!(matches!(next, Err(MergeError::Publish(PublishError::Poisoned { .. }))));
}

/// Regression: the folder of a load's temporary files stayed if it could not be listed.
#[test]
fn a_load_leaves_no_folder_if_it_cannot_be_listed() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("db");
    let load = Load { spills_elsewhere: true, ..Load::small(BulkMode::Replace) };
    let scenario = Scenario {
        before: vec![Step::Append],
        has_directory: true,
        action: Action::Load(load),
        keep: false,
        has_parts: false,
    };
    scenario.prepare(&directory);
    let picked = |operation: &Operation<'_>| matches!(operation, Operation::List { directory } if !directory.ends_with("db"));
    let mut publisher = scenario.open(&directory, Tapped::new(FailWhere(picked))).unwrap();
    assert!(scenario.commit(&mut publisher).is_err());
    scenario.check_nothing_is_spilled(&directory).unwrap();
}

/// A device that changes a bit of one write and reports no error.
#[derive(Debug)]
struct LyingDisk {
    /// The number of the write that is changed, counted from 0.
    lie: u64,
    writes: std::sync::atomic::AtomicU64,
}

impl Tap for LyingDisk {
    fn order(&self, operation: &Operation<'_>) -> Order {
        let Operation::Write { bytes, .. } = operation else { return Order::Proceed };
        let write = self.writes.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        if write != self.lie || bytes.is_empty() {
            return Order::Proceed;
        }
        let mut other = bytes.to_vec();
        let middle = other.len() / 2;
        other[middle] ^= 1;
        Order::Alter(other)
    }
}

/// The outcome of a commit with one changed write.
#[derive(Debug, PartialEq, Eq)]
enum Lied {
    /// The commit was refused, and the directory is as before.
    Refused,
    /// The commit was refused, and `CURRENT` is damaged. All files of the commit before still
    /// exist.
    CurrentDamaged,
    /// The commit was made: no part of it had read the changed bytes.
    Unnoticed,
}

/// Makes a commit again and again, each time with another write changed.
fn lies(step: Step, digest: bool) -> Vec<Lied> {
    let mut outcomes = Vec::new();
    loop {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("db");
        let options = || PublisherOptions::default().digest(digest);
        let mut publisher = Publisher::open(&directory, options()).unwrap();
        Step::ReplaceAll.apply(&mut publisher, 1).unwrap();
        drop(publisher);
        let (before, seen) = (names(&directory), Seen::of(&directory).unwrap());
        let lie = outcomes.len() as u64;
        let disk = Tapped::new(LyingDisk { lie, writes: 0.into() });
        let options = options().file_system(Arc::new(disk.clone()));
        let mut publisher = Publisher::open(&directory, options).unwrap();
        let result = step.apply(&mut publisher, 2);
        if disk.tap().writes.load(std::sync::atomic::Ordering::SeqCst) <= lie {
            result.unwrap();
            return outcomes;
        }
        outcomes.push(match (result, Seen::of(&directory)) {
            (Ok(()), _) => Lied::Unnoticed,
            (Err(_), Ok(now)) => {
                assert_eq!((names(&directory), now), (before, seen), "write {lie}");
                Lied::Refused
            }
            (Err(_), Err(_)) => {
                assert!(before.is_subset(&names(&directory)), "write {lie}");
                let next = Step::ReplaceAll.apply(&mut publisher, 3);
                let is_poisoned =
                    matches!(next, Err(MergeError::Publish(PublishError::Poisoned { .. })));
                assert!(is_poisoned, "write {lie}");
                Lied::CurrentDamaged
            }
        });
    }
}

/// Regression: a meta file that the device had changed was published, and the files of the commit
/// before were removed.
#[test]
fn a_device_that_changes_a_meta_file_or_current_is_found_in_every_commit() {
    let outcomes = lies(Step::ReplaceAll, false);
    let [tables @ .., meta, current] = &*outcomes else { panic!("{outcomes:?}") };
    assert_eq!((meta, current), (&Lied::Refused, &Lied::CurrentDamaged));
    assert!(tables.iter().all(|outcome| *outcome == Lied::Unnoticed), "{tables:?}");
}

/// A rollback also writes a `.del` file.
#[test]
fn a_device_that_changes_the_del_file_of_a_rollback_is_found() {
    let parent = tempfile::tempdir().unwrap();
    let directory = three_generations(parent.path());
    let seen = Seen::of(&directory).unwrap();
    for (lie, is_readable) in [(0, true), (1, true), (2, false)] {
        let disk = Tapped::new(LyingDisk { lie, writes: 0.into() });
        let options = PublisherOptions::default().keep_generations(9).file_system(Arc::new(disk));
        let mut publisher = Publisher::open(&directory, options).unwrap();
        let refused = publisher.rollback(None, &Monitor::default()).unwrap_err();
        assert!(matches!(refused, PublishError::NotAsWritten { .. }), "{refused}");
        assert_eq!(Seen::of(&directory).is_ok_and(|now| now == seen), is_readable, "write {lie}");
    }
}

#[test]
fn a_device_that_changes_anything_is_found_by_a_certified_commit() {
    for step in [Step::ReplaceAll, Step::Blobs, Step::TwoTables] {
        let outcomes = lies(step, true);
        let [others @ .., current] = &*outcomes else { panic!("{outcomes:?}") };
        assert_eq!(*current, Lied::CurrentDamaged);
        assert!(others.len() > 1, "{outcomes:?}");
        assert!(others.iter().all(|lied| *lied == Lied::Refused), "{outcomes:?}");
    }
}

/// Runs `attempt` once for each operation, with that operation failing, alone or with all later
/// ones, until no operation is left to fail.
fn for_every_failure(mut attempt: impl FnMut(Tapped<Injector>)) {
    for fault in [Fault::Once, Fault::ForGood, Fault::NoSpace] {
        for failing in 0.. {
            assert!(failing < 500);
            let disk = Tapped::new(Injector::new(fault, failing));
            attempt(disk.clone());
            if disk.tap().operations() <= failing {
                assert!(failing > 0);
                break;
            }
        }
    }
}

/// Regression: half-written files were left behind.
#[test]
fn defect_23_files_are_complete_or_absent_whatever_fails() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let value = vec![1; 100_000];
    for_every_failure(|disk| {
        let written = write_blob_file_in(Arc::new(disk.clone()), &path, &value, Compression::None);
        assert_eq!(written.is_err(), disk.tap().has_fired());
        if path.exists() {
            // The file stays only if its removal fails too, and then it is complete.
            assert!(written.is_ok() || disk.tap().removal_failed());
            assert_eq!(std::fs::metadata(&path).unwrap().len(), 100_008);
            std::fs::remove_file(&path).unwrap();
        }
        assert!(names(directory.path()).iter().all(|_| disk.tap().removal_failed()));
        for left in names(directory.path()) {
            std::fs::remove_file(directory.path().join(left)).unwrap();
        }
    });
}

#[test]
fn a_failed_sync_poisons_the_publisher() {
    let mut poisoned = 0;
    for_every_failure(|disk| {
        let directory = tempfile::tempdir().unwrap();
        let options = PublisherOptions::default().file_system(Arc::new(disk.clone()));
        let Ok(mut publisher) = Publisher::open(directory.path(), options) else { return };
        if Step::ReplaceAll.apply(&mut publisher, 1).is_ok() {
            return;
        }
        let next = Step::ReplaceAll.apply(&mut publisher, 2);
        let is_poisoned = matches!(next, Err(MergeError::Publish(PublishError::Poisoned { .. })));
        assert!(is_poisoned >= disk.tap().sync_failed());
        poisoned += usize::from(is_poisoned);
    });
    assert!(poisoned > 8, "{poisoned}");
}
