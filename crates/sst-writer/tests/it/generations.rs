//! Generations: which commits are kept, for how long, and rollbacks.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use sst_format::SequenceNumber;
use sst_writer::publish::{CommitKind, list_commits};
use sst_writer::{EntryValue, Monitor, PublishError, Publisher, PublisherOptions, WriterOptions};

use crate::published::find_as_original;

/// The names of the files in a directory, sorted.
fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != ".lock");
    names.sort_unstable();
    names
}

fn open(directory: &Path, options: PublisherOptions) -> Publisher {
    Publisher::open(directory, options).unwrap()
}

/// Opens a directory anew, and removes what these options do not keep.
fn tidied(publisher: Publisher, options: PublisherOptions) -> Publisher {
    let mut publisher = reopen(publisher, options);
    assert!(publisher.remove_obsolete_files().unwrap().is_empty());
    publisher
}

/// Publishes a table of `entries` entries, which replaces all others or is added to them. Returns
/// the commit.
fn commit(publisher: &mut Publisher, entries: u8, replace: bool) -> u32 {
    let mut commit = publisher.begin();
    let mut table = commit.create_table(WriterOptions::default()).unwrap();
    let mut keys: Vec<_> = (0..entries).map(|i| [i]).collect();
    keys.sort_unstable_by_key(|key| sst_writer::table::hash_key(key));
    for key in keys {
        table.add((key, EntryValue::Inline(&[entries]))).unwrap();
    }
    commit.add_table(table.finish().unwrap()).unwrap();
    if replace {
        commit.replace_all();
    }
    commit.publish(&Monitor::default()).unwrap().commit.0
}

/// Number and entries of the generations to which a rollback is possible, newest first.
fn complete(directory: &Path) -> Vec<(u32, u64)> {
    let generations = list_commits(directory).unwrap();
    assert_eq!(generations.iter().filter(|generation| generation.is_current).count(), 1);
    let complete = generations.into_iter().filter(|generation| generation.is_complete);
    complete.map(|generation| (generation.sequence.0, generation.entries)).collect()
}

/// Sequence numbers of the live tables.
fn live(publisher: &Publisher) -> BTreeSet<u32> {
    publisher.live_tables().map(|(_, table)| table.sequence.0).collect()
}

#[test]
fn as_many_generations_stay_as_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let options = || PublisherOptions::default().keep_generations(2);
    let mut publisher = open(directory.path(), options());
    for entries in 1..=5 {
        commit(&mut publisher, entries, true);
    }
    assert_eq!(complete(directory.path()), [(10, 5), (8, 4), (6, 3)]);
    // Three tables, three meta files and CURRENT.
    assert_eq!(names(directory.path()).len(), 7);
    drop(publisher);
    // Opening the directory changes nothing, and neither does a commit that does not happen.
    let mut publisher = open(directory.path(), PublisherOptions::default());
    drop(publisher.begin().create_table(WriterOptions::default()).unwrap());
    drop(publisher);
    assert_eq!(complete(directory.path()), [(10, 5), (8, 4), (6, 3)]);
    let tidy = |options| open(directory.path(), options).remove_obsolete_files().unwrap().len();
    assert_eq!(tidy(options()), 0);
    assert_eq!(complete(directory.path()), [(10, 5), (8, 4), (6, 3)]);
    assert_eq!(tidy(options().keep_generations(1)), 0);
    assert_eq!(complete(directory.path()), [(10, 5), (8, 4)]);
    assert_eq!(tidy(PublisherOptions::default()), 0);
    assert_eq!(complete(directory.path()), [(10, 5)]);
    assert_eq!(names(directory.path()), ["00000009.sst", "00000010.meta", "CURRENT"]);
}

/// A process was killed while it removed what its merge had replaced. What it has left goes, and
/// every generation that is complete stays, however many the options keep.
#[test]
fn leftovers_of_a_killed_merge_go_and_generations_stay() {
    for grace in [Duration::ZERO, Duration::from_secs(3600)] {
        let directory = tempfile::tempdir().unwrap();
        let all = PublisherOptions::default().keep_generations(9).keep_obsolete_files(true);
        let mut publisher = open(directory.path(), all);
        // Tables 1, 3, 5 and 7, each with a meta file. The first generation is incomplete.
        for entries in 1..=3 {
            commit(&mut publisher, entries, true);
        }
        commit(&mut publisher, 4, false);
        let mut merge = publisher.begin();
        merge.set_kind(CommitKind::Merge);
        merge.replace_all();
        let mut table = merge.create_table(WriterOptions::default()).unwrap();
        table.add(([0], EntryValue::Inline(&[4]))).unwrap();
        merge.add_table(table.finish().unwrap()).unwrap();
        merge.publish(&Monitor::default()).unwrap();
        drop(publisher);
        std::fs::remove_file(directory.path().join("00000001.sst")).unwrap();
        let before = complete(directory.path());
        assert_eq!(before, [(10, 1), (8, 7), (6, 3), (4, 2)]);
        let mut publisher = open(directory.path(), PublisherOptions::default().grace(grace));
        publisher.remove_leftover_files().unwrap();
        assert!(publisher.not_removed().is_empty());
        // Table 7 was only in the commit that the merge has replaced.
        let is_kept = !grace.is_zero();
        assert_eq!(directory.path().join("00000007.sst").exists(), is_kept);
        let expected: Vec<_> =
            before.into_iter().filter(|(number, _)| *number != 8 || is_kept).collect();
        assert_eq!(complete(directory.path()), expected);
        assert!(!directory.path().join("00000002.meta").exists());
        drop(publisher);
        let kept = PublisherOptions::default().keep_generations(9);
        let mut publisher = open(directory.path(), kept);
        publisher.rollback(Some(SequenceNumber(4)), &Monitor::default()).unwrap();
        assert_eq!(live(&publisher), [3].into());
    }
}

#[test]
fn increments_are_generations_too() {
    let directory = tempfile::tempdir().unwrap();
    let mut publisher = open(directory.path(), PublisherOptions::default().keep_generations(1));
    commit(&mut publisher, 1, false);
    commit(&mut publisher, 2, false);
    commit(&mut publisher, 3, false);
    // No table is obsolete, so all generations are complete, even with few kept.
    assert_eq!(complete(directory.path()), [(6, 6), (4, 3), (2, 1)]);
    commit(&mut publisher, 4, true);
    assert_eq!(complete(directory.path()), [(8, 4), (6, 6), (4, 3), (2, 1)]);
    commit(&mut publisher, 5, true);
    assert_eq!(complete(directory.path()), [(10, 5), (8, 4)]);
}

#[test]
fn rollback_brings_back_what_was_and_can_be_rolled_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut publisher = open(directory.path(), PublisherOptions::default().keep_generations(9));
    let first = commit(&mut publisher, 1, true);
    let second = commit(&mut publisher, 2, false);
    let with_two = live(&publisher);
    let third = commit(&mut publisher, 3, true);
    let with_three = live(&publisher);

    let back = publisher.rollback(None, &Monitor::default()).unwrap().commit.0;
    assert!(back > third);
    assert_eq!(live(&publisher), with_two);
    // A new publisher reads the same state, and continues it.
    drop(publisher);
    let mut publisher = open(directory.path(), PublisherOptions::default().keep_generations(9));
    assert_eq!(live(&publisher), with_two);
    let increment = commit(&mut publisher, 4, false);
    assert_eq!(live(&publisher).len(), 3);
    publisher.rollback(Some(sequence(third)), &Monitor::default()).unwrap();
    assert_eq!(live(&publisher), with_three);
    publisher.rollback(Some(sequence(first)), &Monitor::default()).unwrap();
    assert_eq!(live(&publisher).len(), 1);
    publisher.rollback(Some(sequence(increment)), &Monitor::default()).unwrap();
    assert_eq!(live(&publisher).len(), 3);
    let numbers: Vec<_> =
        complete(directory.path()).into_iter().map(|(number, _)| number).collect();
    assert!(numbers.is_sorted_by(|a, b| a > b));
    assert!([first, second, third, back, increment].iter().all(|number| numbers.contains(number)));
}

fn sequence(number: u32) -> SequenceNumber {
    SequenceNumber(number)
}

#[test]
fn all_families_go_back_together() {
    let directory = tempfile::tempdir().unwrap();
    let mut publisher = open(directory.path(), PublisherOptions::default().keep_generations(9));
    let mut families = BTreeSet::new();
    for family in [0, 7] {
        let mut commit = publisher.begin_family(family);
        let mut table = commit.create_table(WriterOptions::default()).unwrap();
        table.add(("key", "value")).unwrap();
        commit.add_table(table.finish().unwrap()).unwrap();
        commit.publish(&Monitor::default()).unwrap();
        families =
            publisher.live_tables().map(|(family, table)| (family, table.sequence)).collect();
    }
    for family in [7, 0] {
        let mut commit = publisher.begin_family(family);
        commit.replace_all();
        commit.publish(&Monitor::default()).unwrap();
    }
    assert_eq!(publisher.live_tables().count(), 0);
    publisher.rollback(Some(sequence(4)), &Monitor::default()).unwrap();
    let found: BTreeSet<_> =
        publisher.live_tables().map(|(family, table)| (family, table.sequence)).collect();
    assert_eq!(found, families);
}

#[test]
fn what_is_gone_cannot_be_gone_back_to() {
    let directory = tempfile::tempdir().unwrap();
    let mut publisher = open(directory.path(), PublisherOptions::default());
    assert!(matches!(
        publisher.rollback(None, &Monitor::default()).unwrap_err(),
        PublishError::NoSuchGeneration { generation: None, .. }
    ));
    let first = commit(&mut publisher, 1, true);
    let second = commit(&mut publisher, 2, true);
    let before = names(directory.path());
    for to in [None, Some(sequence(first)), Some(sequence(second)), Some(sequence(99))] {
        match publisher.rollback(to, &Monitor::default()).unwrap_err() {
            PublishError::NoSuchGeneration { generation, .. } => assert_eq!(generation, to),
            error => panic!("{error}"),
        }
    }
    assert_eq!(names(directory.path()), before);
    assert_eq!(publisher.current(), Some(sequence(second)));

    // The meta file exists, but one of the tables is missing.
    let mut publisher = reopen(publisher, PublisherOptions::default().keep_generations(1));
    let table = publisher.live_tables().next().unwrap().1.sequence;
    let third = commit(&mut publisher, 3, true);
    std::fs::remove_file(directory.path().join(format!("{:08}.sst", table.0))).unwrap();
    assert!(publisher.rollback(Some(sequence(second)), &Monitor::default()).is_err());
    assert_eq!(publisher.current(), Some(sequence(third)));

    // One of its meta files is missing.
    let fourth = commit(&mut publisher, 4, false);
    let fifth = commit(&mut publisher, 5, true);
    std::fs::remove_file(directory.path().join(format!("{third:08}.meta"))).unwrap();
    let gone = publisher.rollback(Some(sequence(fourth)), &Monitor::default()).unwrap_err();
    assert!(matches!(gone, PublishError::NoSuchGeneration { .. }), "{gone}");
    assert_eq!(publisher.current(), Some(sequence(fifth)));
}

fn reopen(publisher: Publisher, options: PublisherOptions) -> Publisher {
    let directory = publisher.directory().to_owned();
    drop(publisher);
    open(&directory, options)
}

/// Sets the time of a meta file back by a duration.
fn age(directory: &Path, meta: u32, by: Duration) {
    let file = File::options().write(true).open(directory.join(format!("{meta:08}.meta"))).unwrap();
    file.set_modified(SystemTime::now() - by).unwrap();
}

#[test]
fn readers_are_given_time() {
    let directory = tempfile::tempdir().unwrap();
    let hour = Duration::from_secs(3600);
    let options = || PublisherOptions::default().grace(hour);
    let mut publisher = open(directory.path(), options());
    let first = commit(&mut publisher, 1, true);
    let second = commit(&mut publisher, 2, true);
    let third = commit(&mut publisher, 3, true);
    assert_eq!(complete(directory.path()).len(), 3);
    publisher = tidied(publisher, options());
    assert_eq!(complete(directory.path()).len(), 3);
    // The first commit was replaced when the second one was made, and so on.
    age(directory.path(), first, 9 * hour);
    publisher = tidied(publisher, options());
    assert_eq!(complete(directory.path()).len(), 3);
    age(directory.path(), second, 2 * hour);
    publisher = tidied(publisher, options());
    assert_eq!(complete(directory.path()), [(third, 3), (second, 2)]);
    age(directory.path(), third, 2 * hour);
    // A generation stays if either limit keeps it: it is young enough, or among the last few.
    publisher = tidied(publisher, options().keep_generations(1));
    assert_eq!(complete(directory.path()), [(third, 3), (second, 2)]);
    publisher = tidied(publisher, options());
    assert_eq!(complete(directory.path()), [(third, 3)]);
    // A time in the future removes no generation.
    let fourth = commit(&mut publisher, 4, true);
    let meta = directory.path().join(format!("{fourth:08}.meta"));
    let file = File::options().write(true).open(meta).unwrap();
    file.set_modified(SystemTime::now() + hour).unwrap();
    tidied(publisher, options());
    assert_eq!(complete(directory.path()), [(fourth, 4), (third, 3)]);
}

#[test]
fn the_original_is_told_what_not_to_read_after_a_rollback() {
    let directory = tempfile::tempdir().unwrap();
    let options = || PublisherOptions::default().keep_generations(9);
    let mut publisher = open(directory.path(), options());
    commit(&mut publisher, 1, true);
    let second = commit(&mut publisher, 2, true);
    let del = |number: u32| {
        let bytes = std::fs::read(directory.path().join(format!("{number:08}.del"))).ok()?;
        let words = bytes.as_chunks().0.iter();
        Some(words.map(|word| u32::from_be_bytes(*word)).collect::<Vec<_>>())
    };
    assert_eq!(del(second), None);
    let back = publisher.rollback(None, &Monitor::default()).unwrap().commit.0;
    assert_eq!(del(back), Some(vec![second]));
    // As long as the meta file exists, each commit has a `.del` file that names it. The earlier
    // `.del` file is removed.
    let mut publisher = tidied(publisher, options());
    let next = commit(&mut publisher, 3, false);
    assert_eq!((del(back), del(next)), (None, Some(vec![second])));
    // A meta file that is live again is not named.
    let forth = publisher.rollback(Some(sequence(second)), &Monitor::default()).unwrap().commit.0;
    let named = del(forth).unwrap();
    // Nor is one that says nothing of any table, or only what a live one says too.
    assert_eq!(named, [next]);
    // Once the other meta files are removed, no `.del` file is needed.
    let mut publisher = tidied(publisher, PublisherOptions::default());
    let last = commit(&mut publisher, 4, true);
    assert_eq!(del(last), None);
    assert_eq!(names(directory.path()).len(), 3);
}

/// A `.del` file has no effect on our readers, so a damaged one stops neither commits nor
/// rollbacks, and the original's readers are told the same as before.
#[test]
fn a_damaged_del_file_is_made_anew_by_the_next_commit() {
    let options = || PublisherOptions::default().keep_generations(9);
    for damaged in [&[0_u8, 0, 0][..], &[1; 5], &[255; 4097]] {
        let directory = tempfile::tempdir().unwrap();
        let mut publisher = open(directory.path(), options());
        let first = commit(&mut publisher, 1, true);
        let second = commit(&mut publisher, 2, false);
        let back = publisher.rollback(None, &Monitor::default()).unwrap().commit.0;
        let path = |number: u32| directory.path().join(format!("{number:08}.del"));
        assert_eq!(std::fs::read(path(back)).unwrap(), second.to_be_bytes());
        let files = names(directory.path());

        std::fs::write(path(back), damaged).unwrap();
        let mut publisher = reopen(publisher, options());
        // Nothing is removed, and all generations are there to go back to.
        assert_eq!(names(directory.path()), files);
        assert_eq!(complete(directory.path()), [(back, 1), (second, 3), (first, 1)]);
        let third = commit(&mut publisher, 3, false);
        assert_eq!(std::fs::read(path(third)).unwrap(), second.to_be_bytes());
        let tables = |publisher: &Publisher| {
            publisher.live_tables().map(|(_, table)| table.sequence).collect::<Vec<_>>()
        };
        let (as_original, named) = find_as_original(directory.path());
        assert_eq!(as_original, tables(&publisher));
        assert!(named.contains(&second));

        // One that is kept beside newer commits, and may name a meta file that is live again.
        std::fs::write(path(back), damaged).unwrap();
        let mut publisher = reopen(publisher, options().keep_obsolete_files(true));
        std::fs::write(path(back), damaged).unwrap();
        let forth = publisher.rollback(Some(sequence(second)), &Monitor::default()).unwrap();
        assert_eq!(publisher.current(), Some(forth.commit));
        let (as_original, named) = find_as_original(directory.path());
        assert_eq!(as_original, tables(&publisher));
        assert!(!named.contains(&second));
    }
}

/// Replaces all tables by one table with the same entries, as a merge does.
fn merge(publisher: &mut Publisher, entries: u8) -> u32 {
    let mut commit = publisher.begin();
    let mut table = commit.create_table(WriterOptions::default()).unwrap();
    let mut keys: Vec<_> = (0..entries).map(|i| [i]).collect();
    keys.sort_unstable_by_key(|key| sst_writer::table::hash_key(key));
    keys.iter().for_each(|key| table.add((key, EntryValue::Inline(&[entries]))).unwrap());
    commit.add_table(table.finish().unwrap()).unwrap();
    commit.replace_all();
    commit.set_kind(CommitKind::Merge);
    commit.publish(&Monitor::default()).unwrap().commit.0
}

#[test]
fn a_commit_that_only_merged_is_no_generation() {
    let directory = tempfile::tempdir().unwrap();
    let options = || PublisherOptions::default().keep_generations(1);
    let mut publisher = open(directory.path(), options());
    let first = commit(&mut publisher, 1, true);
    commit(&mut publisher, 2, true);
    merge(&mut publisher, 2);
    let merged = merge(&mut publisher, 2);
    // The two merged commits keep nothing; the first commit is the generation before.
    assert_eq!(complete(directory.path()), [(merged, 2), (first, 1)]);
    let list = list_commits(directory.path()).unwrap();
    let own: Vec<_> = list.iter().filter(|one| one.is_complete && !one.is_merge()).collect();
    assert_eq!(own.iter().map(|one| one.sequence.0).collect::<Vec<_>>(), [first]);
    drop(publisher);
    let mut publisher = open(directory.path(), options());
    assert_eq!(complete(directory.path()), [(merged, 2), (first, 1)]);
    publisher.rollback(None, &Monitor::default()).unwrap();
    assert_eq!(publisher.live_tables().count(), 1);
    let newest = list_commits(directory.path()).unwrap().remove(0);
    assert_eq!((newest.entries, newest.kind), (1, Some(CommitKind::Rollback)));
}

#[test]
fn a_rollback_goes_to_the_merged_form_of_the_generation_before() {
    let directory = tempfile::tempdir().unwrap();
    let options = PublisherOptions::default().keep_generations(5).keep_obsolete_files(true);
    let mut publisher = open(directory.path(), options);
    commit(&mut publisher, 1, false);
    let unmerged = commit(&mut publisher, 2, false);
    let merged = merge(&mut publisher, 3);
    commit(&mut publisher, 4, true);
    publisher.rollback(None, &Monitor::default()).unwrap();
    let rolled_back: Vec<_> = live(&publisher).into_iter().collect();
    assert_eq!(rolled_back, [merged - 1]);
    // A commit that is requested by its number is found, even if a merge took its place.
    publisher.rollback(Some(SequenceNumber(unmerged)), &Monitor::default()).unwrap();
    assert_eq!(publisher.live_tables().count(), 2);
}
