//! Directories of ours as the original's readers and its writer find them. They know no list of
//! live meta files.

use std::fs;
use std::path::Path;

use sst_format::SequenceNumber;
use sst_format::file_name::{FileKind, FileName};
use sst_format::protection::Trailer;
use sst_writer::publish::{Replica, list_commits};
use sst_writer::{Monitor, Publisher, PublisherOptions};

use crate::published::{commit, find, find_as_original, live};

/// SplitMix64: numbers that are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((word ^ (word >> 31)) % bound as u64).unwrap()
    }
}

/// The original finds the same tables, and no `.del` file names a meta file that we need.
fn check(directory: &Path, publisher: &Publisher, history: &[String]) {
    let found = find(directory);
    let ours: Vec<_> = found.tables.iter().map(|(_, table)| table.sequence).collect();
    let (originals, deleted) = find_as_original(directory);
    assert_eq!(ours, live(publisher), "{history:?}");
    assert_eq!(originals, ours, "{history:?}");
    assert!(found.metas.iter().all(|meta| !deleted.contains(meta)), "{history:?}: {deleted:?}");
}

fn publish_replacing_some(publisher: &mut Publisher, random: &mut Random) {
    let tables = live(publisher);
    let mut commit = publisher.begin();
    for table in tables {
        if random.below(2) == 0 {
            commit.obsolete(table).unwrap();
        }
    }
    let table = crate::published::table(&commit, sst_writer::EntryValue::Inline(b"merged"));
    commit.add_table(table).unwrap();
    commit.publish(&Monitor::default()).unwrap();
}

#[test]
fn after_any_history_the_original_finds_the_tables_that_we_find() {
    for seed in 0..60 {
        let mut random = Random(seed);
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("db");
        let keep = random.below(7);
        let keeps_all = random.below(4) == 0;
        let options = || {
            let options = PublisherOptions::default().keep_generations(keep);
            options.keep_obsolete_files(keeps_all)
        };
        let mut publisher = Publisher::open(&directory, options()).unwrap();
        let mut history = vec![format!("seed {seed}, keep {keep} {keeps_all}")];
        for _ in 0..30 {
            let step = random.below(9);
            match step {
                0..=2 => _ = commit(&mut publisher, 1 + random.below(3), false),
                3 => _ = commit(&mut publisher, 1, true),
                4 | 5 => publish_replacing_some(&mut publisher, &mut random),
                6 | 7 if publisher.current().is_some() => {
                    let all = list_commits(&directory).unwrap();
                    let whole = all.iter().filter(|one| one.is_complete && !one.is_current);
                    let whole: Vec<SequenceNumber> = whole.map(|one| one.sequence).collect();
                    if whole.is_empty() {
                        continue;
                    }
                    let to = whole[random.below(whole.len())];
                    history.push(format!("to {to:?}"));
                    publisher.rollback(Some(to), &Monitor::default()).unwrap();
                }
                _ => {
                    drop(publisher);
                    publisher = Publisher::open(&directory, options()).unwrap();
                }
            }
            history.push(step.to_string());
            if publisher.current().is_some() {
                check(&directory, &publisher, &history);
            }
        }
    }
}

/// Receives the newest commit of a directory, and keeps some of the commits before.
fn mirror(origin: &Path, copy: &Path, keep: usize) {
    let found = find(origin);
    let name = |number: u32, kind| FileName { sequence: SequenceNumber(number), kind };
    let metas = found.metas.iter().map(|meta| name(*meta, FileKind::Meta));
    let tables = found.tables.iter().map(|(_, table)| name(table.sequence.0, FileKind::Sst));
    let mut replica = Replica::open(copy, &PublisherOptions::default()).unwrap();
    for name in tables.chain(metas).map(|name| (name, name.to_string())) {
        if !copy.join(&name.1).exists() {
            let mut file = replica.create(name.0).unwrap();
            file.write(fs::read(origin.join(&name.1)).unwrap()).unwrap();
            file.finish().unwrap();
        }
    }
    let newest = name(*found.metas.last().unwrap(), FileKind::Meta);
    let bytes = fs::read(origin.join(newest.to_string())).unwrap();
    replica.publish(newest.sequence, Trailer::parse(&bytes).unwrap().checksum).unwrap();
    let options = PublisherOptions::default().keep_generations(keep);
    assert!(replica.tidy(options).unwrap().is_empty());
}

/// A mirror receives some of the commits, and keeps others than the directory that it follows.
#[test]
fn after_any_history_the_original_finds_the_tables_in_a_mirror() {
    for seed in 100..112 {
        let mut random = Random(seed);
        let parent = tempfile::tempdir().unwrap();
        let (origin, copy) = (parent.path().join("origin"), parent.path().join("copy"));
        let options = PublisherOptions::default().keep_generations(7);
        let mut publisher = Publisher::open(&origin, options).unwrap();
        let keep = random.below(4);
        let mut history = vec![format!("seed {seed}, keep {keep}")];
        commit(&mut publisher, 2, false);
        for _ in 0..30 {
            let step = random.below(8);
            match step {
                0 | 1 => _ = commit(&mut publisher, 1 + random.below(3), false),
                2 => _ = commit(&mut publisher, 1, true),
                3 => publish_replacing_some(&mut publisher, &mut random),
                4 => {
                    let all = list_commits(&origin).unwrap();
                    let whole = all.iter().filter(|one| one.is_complete && !one.is_current);
                    let whole: Vec<SequenceNumber> = whole.map(|one| one.sequence).collect();
                    if !whole.is_empty() {
                        publisher
                            .rollback(Some(whole[random.below(whole.len())]), &Monitor::default())
                            .unwrap();
                    }
                }
                _ => mirror(&origin, &copy, keep),
            }
            history.push(step.to_string());
            if step > 4 {
                let mirrored =
                    Publisher::open(&copy, PublisherOptions::default().keep_obsolete_files(true));
                check(&copy, &mirrored.unwrap(), &history);
            }
        }
    }
}

/// A dead table is named once, not in each later commit.
#[test]
fn commits_after_a_merge_name_no_table_again() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("db");
    let mut publisher = Publisher::open(&directory, PublisherOptions::default()).unwrap();
    let tables = commit(&mut publisher, 40, false);
    let mut merge = publisher.begin();
    tables.iter().take(20).for_each(|table| merge.obsolete(*table).unwrap());
    let table = crate::published::table(&merge, sst_writer::EntryValue::Inline(b"merged"));
    merge.add_table(table).unwrap();
    merge.publish(&Monitor::default()).unwrap();
    assert_eq!(find(&directory).obsolete_in_newest.len(), 20);
    let mut named = 0;
    for appended in 1..=100 {
        commit(&mut publisher, 1, false);
        let found = find(&directory);
        named += found.obsolete_in_newest.len();
        assert_eq!(found.tables.len(), 21 + appended);
    }
    // Once when the meta file of the merge is taken over, and once for each time after that.
    assert!(named <= 20 * 7, "{named}");
}

/// A commit that leaves a meta file with little but dead tables describes the others again.
#[test]
fn a_meta_file_of_dead_tables_does_not_stay() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("db");
    let mut publisher = Publisher::open(&directory, PublisherOptions::default()).unwrap();
    let tables = commit(&mut publisher, 300, false);
    let mut merge = publisher.begin();
    tables.iter().skip(1).for_each(|table| merge.obsolete(*table).unwrap());
    let table = crate::published::table(&merge, sst_writer::EntryValue::Inline(b"merged"));
    merge.add_table(table).unwrap();
    merge.publish(&Monitor::default()).unwrap();
    let found = find(&directory);
    assert_eq!((found.tables.len(), found.metas.len()), (2, 1));
    // The original still reads the meta file that was live before, until it is removed.
    assert_eq!(found.obsolete_in_newest.len(), 299);
    commit(&mut publisher, 1, false);
    assert_eq!(find(&directory).obsolete_in_newest.len(), 0);
    // More numbers than matter, all of tables that no meta file describes any more, go as well.
    let tables = commit(&mut publisher, 1200, false);
    let mut merge = publisher.begin();
    tables.iter().for_each(|table| merge.obsolete(*table).unwrap());
    let table = crate::published::table(&merge, sst_writer::EntryValue::Inline(b"merged"));
    merge.add_table(table).unwrap();
    merge.publish(&Monitor::default()).unwrap();
    assert_eq!(find(&directory).obsolete_in_newest.len(), 1200);
    let before = find(&directory).metas.len();
    commit(&mut publisher, 1, false);
    let found = find(&directory);
    assert_eq!((found.tables.len(), found.obsolete_in_newest.len()), (5, 0));
    assert_eq!(found.metas.len(), before);
}
