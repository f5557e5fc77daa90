//! What the suites of faults found, each with a name.

use std::io;
use std::path::Path;

use sst_torture::faults::scenario::{Action, Scenario, names};
use sst_torture::faults::{Load, Operation, Order, Seen, Step, Tap, Tapped};
use sst_writer::bulk::BulkMode;
use sst_writer::publish::Generation;
use sst_writer::{PublishError, Publisher, PublisherOptions};

/// Fails every operation that a function picks.
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
    PublisherOptions::default().keep_generations(9).file_system(Tapped::new(FailWhere(picked)))
}

/// A directory with three commits, all of them kept: their meta files are 2, 4 and 6.
fn three_generations(parent: &Path) -> std::path::PathBuf {
    let directory = parent.join("db");
    let options = PublisherOptions::default().keep_generations(9);
    let mut publisher = Publisher::open(&directory, options).unwrap();
    (1..=3).for_each(|number| Step::ReplaceAll.apply(&mut publisher, number).unwrap());
    directory
}

fn generations(directory: &Path) -> Vec<(u32, bool)> {
    let generations = Generation::list(directory).unwrap().into_iter();
    generations.map(|generation| (generation.sequence.0, generation.is_complete)).collect()
}

fn is_read_of_4(operation: &Operation<'_>) -> bool {
    matches!(operation, Operation::Read { path } if path.ends_with("00000004.meta"))
}

/// A meta file that could not be read once was taken for one that nobody needs, and its commit was removed.
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
    // The next one knows again what is needed.
    drop(Publisher::open(&directory, PublisherOptions::default().keep_generations(1)).unwrap());
    assert_eq!(generations(&directory), [(8, true), (6, true)]);
}

/// A rollback went to the commit before the one that could not be read.
#[test]
fn a_rollback_passes_no_commit_over_that_cannot_be_read_for_now() {
    let parent = tempfile::tempdir().unwrap();
    let directory = three_generations(parent.path());
    let before = Seen::of(&directory).unwrap();
    let mut publisher = Publisher::open(&directory, failing(is_read_of_4)).unwrap();
    for to in [None, Some(sst_format::SequenceNumber(4))] {
        let error = publisher.rollback(to).unwrap_err();
        assert!(matches!(error, PublishError::File(_)), "{error}");
    }
    assert_eq!(Seen::of(&directory).unwrap(), before);
}

/// The files of a commit stayed where its `CURRENT` could not be made durable, before anything was replaced.
#[test]
fn a_commit_leaves_nothing_if_current_cannot_be_synced() {
    let parent = tempfile::tempdir().unwrap();
    let directory = three_generations(parent.path());
    let before = names(&directory);
    // The third sync is that of `CURRENT`, behind those of the table and of the meta file.
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
        .file_system(Tapped::new(ThirdSync::default()));
    let mut publisher = Publisher::open(&directory, options).unwrap();
    assert!(Step::ReplaceAll.apply(&mut publisher, 4).is_err());
    assert_eq!(names(&directory), before);
    // What is durable is unknown all the same.
    let next = Step::ReplaceAll.apply(&mut publisher, 5);
    assert!(matches!(next, Err(PublishError::Poisoned { .. })));
}

/// The folder of a load's temporary files stayed where it could not be listed.
#[test]
fn a_load_leaves_no_folder_if_it_cannot_be_listed() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("db");
    let load = Load { spills_elsewhere: true, ..Load::small(BulkMode::Replace) };
    let scenario = Scenario {
        before: vec![Step::Increment],
        has_directory: true,
        action: Action::Load(load),
        keep: false,
    };
    scenario.prepare(&directory);
    let picked = |operation: &Operation<'_>| matches!(operation, Operation::List { directory } if !directory.ends_with("db"));
    let mut publisher = scenario.open(&directory, Tapped::new(FailWhere(picked))).unwrap();
    assert!(scenario.commit(&mut publisher).is_err());
    scenario.check_nothing_is_spilled(&directory).unwrap();
}
