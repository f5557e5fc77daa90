//! Claims on numbers of a directory that several tasks write to.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use sst_writer::publish::NumberClaim;
use sst_writer::{
    Monitor, PublishError, Publisher, PublisherOptions, StreamingSstWriter, WriterOptions,
};

fn publish(publisher: &mut Publisher, key: &str) -> u32 {
    let mut commit = publisher.begin();
    let mut table = commit.create_table(WriterOptions::default()).unwrap();
    table.add((key, "value")).unwrap();
    commit.add_table(table.finish().unwrap()).unwrap();
    commit.publish(&Monitor::default()).unwrap().commit.0
}

/// Writes a table under a number, as a task does.
fn write_table(directory: &Path, number: u32) {
    let path = directory.join(format!("{number:08}.sst"));
    let mut table = StreamingSstWriter::create(path, WriterOptions::default()).unwrap();
    table.add(("of a task", "value")).unwrap();
    table.finish().unwrap();
}

fn names(directory: &Path) -> BTreeSet<String> {
    let files = fs::read_dir(directory).unwrap();
    files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn no_two_tasks_have_the_same_numbers() {
    let directory = tempfile::tempdir().unwrap();
    // Without a publisher, the folder of claims is created under the lock.
    NumberClaim::take(directory.path()).unwrap().release().unwrap();
    let claims: Vec<_> = std::thread::scope(|scope| {
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let take = |_| NumberClaim::take(directory.path()).unwrap();
                    (0..10).map(take).collect::<Vec<_>>()
                })
            })
            .collect();
        tasks.into_iter().flat_map(|task| task.join().unwrap()).collect()
    });
    let numbers: BTreeSet<_> = claims.iter().flat_map(NumberClaim::numbers).collect();
    let count: usize = claims.iter().map(|claim| claim.numbers().count()).sum();
    assert_eq!((claims.len(), numbers.len()), (80, count));
}

#[test]
fn files_of_claims_are_spared_until_these_are_released_or_old() {
    let directory = tempfile::tempdir().unwrap();
    let open = |grace| {
        let options = PublisherOptions::default().claim_grace(grace);
        Publisher::open(directory.path(), options).unwrap()
    };
    let hour = Duration::from_secs(3600);
    let claim = NumberClaim::take(directory.path()).unwrap();
    let number = *claim.numbers().end();
    write_table(directory.path(), number);
    let name = format!("{number:08}.sst");
    // Before the first commit, after it, and below the newest commit.
    let mut publisher = open(hour);
    assert!(names(directory.path()).contains(&name));
    let first = publish(&mut publisher, "a");
    assert!(first > number);
    drop(publisher);
    let mut publisher = open(hour);
    let second = publish(&mut publisher, "b");
    assert!(second > first && names(directory.path()).contains(&name));
    assert_eq!(publisher.live_tables().count(), 2);
    drop(publisher);
    claim.renew().unwrap();
    // Of the publishers no claim is left.
    assert_eq!(names(&directory.path().join("claims")).len(), 1);
    assert!(open(Duration::ZERO).remove_obsolete_files().unwrap().is_empty());
    assert!(!names(directory.path()).contains(&name));
    let lost = claim.renew().unwrap_err();
    assert!(matches!(lost, PublishError::ClaimLost { .. }));
    assert!(names(&directory.path().join("claims")).is_empty());
    let claim = NumberClaim::take(directory.path()).unwrap();
    let number = *claim.numbers().start();
    write_table(directory.path(), number);
    claim.release().unwrap();
    assert!(open(hour).remove_obsolete_files().unwrap().is_empty());
    assert!(!names(directory.path()).contains(&format!("{number:08}.sst")));
}

#[test]
fn a_publisher_that_knows_of_no_claims_keeps_them_out() {
    let directory = tempfile::tempdir().unwrap();
    let publisher = Publisher::open(directory.path(), PublisherOptions::default()).unwrap();
    let locked = NumberClaim::take(directory.path()).unwrap_err();
    assert!(matches!(locked, PublishError::Locked { .. }));
    drop(publisher);
    let before = NumberClaim::take(directory.path()).unwrap();
    // A publisher that knows of them claims its own, beside tasks that go on.
    let mut publisher = Publisher::open(directory.path(), PublisherOptions::default()).unwrap();
    let first = publish(&mut publisher, "a");
    let after = NumberClaim::take(directory.path()).unwrap();
    let mut used = BTreeSet::new();
    for i in 0..70 {
        used.insert(publish(&mut publisher, &format!("{i}")));
    }
    let claimed: BTreeSet<_> = before.numbers().chain(after.numbers()).collect();
    assert!(!claimed.contains(&first) && used.is_disjoint(&claimed));
}

/// The clock was set back after a claim was made: its age is unknown, and its files are spared.
#[test]
fn a_claim_of_the_future_is_in_force() {
    let directory = tempfile::tempdir().unwrap();
    let claim = NumberClaim::take(directory.path()).unwrap();
    let number = *claim.numbers().end();
    write_table(directory.path(), number);
    let day = Duration::from_secs(24 * 60 * 60);
    let claims: Vec<_> = fs::read_dir(directory.path().join("claims")).unwrap().collect();
    let [Ok(file)] = claims.as_slice() else { panic!("{claims:?}") };
    let file = fs::File::options().write(true).open(file.path()).unwrap();
    file.set_modified(std::time::SystemTime::now() + day).unwrap();
    for grace in [Duration::from_secs(1), day] {
        let options = PublisherOptions::default().claim_grace(grace);
        publish(&mut Publisher::open(directory.path(), options).unwrap(), "key");
        assert!(names(directory.path()).contains(&format!("{number:08}.sst")));
    }
    claim.check().unwrap();
}
