//! A load that fails must leave the directory unchanged.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use sst_conformance::SplitMix;
use sst_writer::bulk::{Duplicates, InputPosition};
use sst_writer::monitor::{CancelToken, Phase};
use sst_writer::{BulkError, BulkLoader, BulkOptions, Monitor, Publisher, PublisherOptions};

use super::model::{TestRecord, content, files, load, load_watched, options};

fn records(seed: u64, count: u64) -> Vec<TestRecord> {
    let mut random = SplitMix::new(seed);
    let value = |i: u64| if i.is_multiple_of(500) { 10_000 } else { 200 };
    (0..count).map(|i| TestRecord::put(random.bytes(16), random.half_random(value(i)))).collect()
}

/// A directory with a commit, and its files.
fn database(parent: &Path) -> (std::path::PathBuf, BTreeMap<String, Vec<u8>>) {
    let directory = parent.join("db");
    load(&directory, &[records(1, 100)], options()).unwrap();
    let before = files(&directory);
    (directory, before)
}

/// Loads records that do not fit into the budget. Checks that the load fails and leaves no trace.
#[track_caller]
fn check_failure(streams: &[Vec<TestRecord>], options: BulkOptions) -> BulkError {
    check_failure_watched(streams, options, &Monitor::default())
}

/// As [`check_failure`], with a monitor.
fn check_failure_watched(
    streams: &[Vec<TestRecord>],
    options: BulkOptions,
    monitor: &Monitor,
) -> BulkError {
    let parent = tempfile::tempdir().unwrap();
    let (directory, before) = database(parent.path());
    let temp_dir = parent.path().join("temp");
    std::fs::create_dir(&temp_dir).unwrap();
    let options = options.memory_budget(4 << 20).threads(2);
    let first = load_watched(&directory, streams, options.clone(), monitor).unwrap_err();
    assert!(files(&directory) == before);
    let options = options.temp_dir(&temp_dir);
    let second = load_watched(&directory, streams, options, monitor).unwrap_err();
    assert!(files(&directory) == before);
    assert_eq!(std::fs::read_dir(&temp_dir).unwrap().count(), 0);
    assert_eq!(std::mem::discriminant(&first), std::mem::discriminant(&second));
    first
}

#[test]
fn of_all_keys_that_come_twice_the_first_is_named() {
    let mut streams = vec![records(2, 20_000), records(3, 20_000)];
    let copy =
        |from: (usize, usize), streams: &Vec<Vec<TestRecord>>| streams[from.0][from.1].clone();
    for (from, to) in [((0, 7), 19_000), ((1, 3), 18_999), ((0, 9), 18_500), ((1, 1), 18_500)] {
        streams[1][to] = copy(from, &streams);
    }
    // The last copy has overwritten the one before it.
    let error = check_failure(&streams, options().duplicates(Duplicates::Error));
    let BulkError::Duplicate { first, second, .. } = error else { panic!("{error}") };
    let place = |stream, position| InputPosition { stream, position };
    assert_eq!((first, second), (place(1, 1), place(1, 18_500)));
}

#[test]
fn a_load_can_be_called_off_at_any_time() {
    for phase in [Phase::Read, Phase::Write, Phase::Publish] {
        let token = CancelToken::default();
        let monitor = Monitor::default().cancel(token.clone()).progress(move |progress| {
            if progress.phase == phase && (phase == Phase::Publish || progress.entries > 9000) {
                token.cancel();
            }
        });
        let streams = [records(2, 30_000), records(3, 30_000)];
        let error = check_failure_watched(&streams, options(), &monitor);
        let is_cancelled = error.is_cancelled() || matches!(error, BulkError::HandleLost { .. });
        assert!(is_cancelled, "{error}");
    }
}

#[test]
fn a_panic_of_the_caller_is_the_callers() {
    let parent = tempfile::tempdir().unwrap();
    let (directory, before) = database(parent.path());
    for threads in [1, 3] {
        let monitor = Monitor::default()
            .progress(|progress| assert!(progress.phase != Phase::Write, "on purpose"));
        let options = options().memory_budget(4 << 20).threads(threads);
        let run = || load_watched(&directory, &[records(2, 60_000)], options, &monitor);
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        assert!(files(&directory) == before);
    }
}

#[test]
fn a_lost_handle_fails_the_load() {
    let parent = tempfile::tempdir().unwrap();
    let (directory, before) = database(parent.path());
    let mut publisher = Publisher::open(&directory, PublisherOptions::default()).unwrap();
    let loader = BulkLoader::new(&mut publisher, options(), &Monitor::default()).unwrap();
    let mut handle = loader.handle(3);
    handle.put(b"key", b"value").unwrap();
    drop(handle);
    assert!(matches!(loader.finish(), Err(BulkError::HandleLost { stream: 3 })));

    let loader = BulkLoader::new(&mut publisher, options(), &Monitor::default()).unwrap();
    let _open = loader.handle(0);
    assert!(matches!(loader.finish(), Err(BulkError::HandlesOpen { handles: 1 })));

    let loader = BulkLoader::new(&mut publisher, options(), &Monitor::default()).unwrap();
    let mut handle = loader.handle(0);
    handle.put(b"key", vec![1; 1 << 20]).unwrap();
    handle.put_blob(b"key", b"value").unwrap();
    drop((loader, handle));
    assert!(files(&directory) == before);
}

#[test]
fn a_key_that_is_too_long_is_refused_and_others_go_on() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("db");
    let mut publisher = Publisher::open(&directory, PublisherOptions::default()).unwrap();
    let loader =
        BulkLoader::new(&mut publisher, options().memory_budget(0), &Monitor::default()).unwrap();
    let mut handle = loader.handle(7);
    let long = vec![b'k'; (1 << 24) - 1];
    handle.put(&long, b"value").unwrap();
    let longer = vec![b'k'; 1 << 24];
    let refused = handle.put(&longer, b"value");
    let expected = InputPosition { stream: 7, position: 1 };
    assert!(
        matches!(refused, Err(BulkError::Entry { input_position, .. }) if input_position == expected)
    );
    handle.put(b"short", b"value").unwrap();
    handle.finish().unwrap();
    assert_eq!(loader.finish().unwrap().entries, 2);
    let found = content(&directory);
    assert!(found.keys().any(|(_, key)| *key == long));
}

#[test]
fn a_run_that_no_block_can_hold_is_an_error_with_its_place() {
    let records = (0..20).map(|i| TestRecord::put(vec![b'k'; 1_000_000], [i])).collect();
    let error = check_failure(&[records], options().duplicates(Duplicates::Keep));
    let BulkError::Entry { input_position, .. } = error else { panic!("{error}") };
    assert_eq!(input_position, InputPosition { stream: 0, position: 17 });
}
