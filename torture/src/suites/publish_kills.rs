//! Kills a process at random moments while it publishes, gathers and rolls back, over and over, and
//! keeps generations. The next reader must see one whole generation, not older than the last one
//! that the process has reported. The next writer must continue from there and leave no other
//! files. Every generation that the log calls complete must be a valid target of a rollback.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use sst_conformance::SplitMix;
use sst_format::file_name::FileName;
use sst_merge::{FragmentOverlap, Gatherer};
use sst_reader::{ReaderOptions, SstSet};
use sst_writer::publish::list_commits;
use sst_writer::{EntryValue, Monitor, Publisher, PublisherOptions, WriterOptions};

use super::crashes::publishing_here;
use super::kill_cycle::KillCycle;
use crate::model::{below, copy_files, files};
use crate::{Context, Protection, Row, Suite};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "publish kills",
    about: "a process that publishes, gathers and rolls back is killed at random moments",
    run,
};

/// First argument of a child process of this suite.
const CHILD: &str = "publish-kills-child";
/// The directory in the parent that a child is given.
const DIRECTORY: &str = "db";
/// Number of entries of every generation.
const ENTRIES: u32 = 40;
/// Number of earlier generations that are kept.
const KEPT: usize = 3;

fn options() -> PublisherOptions {
    PublisherOptions::default().keep_generations(KEPT)
}

/// The work of a child process of this suite; `None` if this process is not one.
#[must_use]
pub fn child() -> Option<ExitCode> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [child, parent, seed] = arguments.as_slice() else { return None };
    if child != CHILD {
        return None;
    }
    let seed = seed.to_str()?.parse().ok()?;
    let done = publish_forever(&Path::new(parent).join(DIRECTORY), seed);
    Some(if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn publish_forever(directory: &Path, seed: u64) -> Result<(), Box<dyn std::error::Error>> {
    let mut random = SplitMix::new(seed);
    let mut publisher = Publisher::open(directory, options())?;
    let mut out = std::io::stdout();
    loop {
        let number = publisher.current().unwrap_or_default().0;
        let done = match below(&mut random, 4) {
            0 if number > 0 => {
                let complete = list_commits(directory)?.into_iter();
                let earlier: Vec<_> = complete.filter(|g| g.is_complete && !g.is_current).collect();
                match earlier.len() {
                    0 => continue,
                    count => {
                        publisher
                            .rollback(
                                Some(earlier[below(&mut random, count)].sequence),
                                &Monitor::default(),
                            )?
                            .commit
                    }
                }
            }
            1 => gather(&mut publisher, number)?,
            kind => publish(&mut publisher, number, kind == 2)?,
        };
        writeln!(out, "{}", done.0)?;
        out.flush()?;
    }
}

/// Publishes a generation in which all entries have the same value: in two tables that replace all
/// tables, or in one table that is added.
fn publish(
    publisher: &mut Publisher,
    number: u32,
    replace: bool,
) -> Result<sst_format::SequenceNumber, Box<dyn std::error::Error>> {
    let mut commit = publisher.begin();
    let blob = commit.create_blob(number.to_be_bytes())?;
    let mut keys: Vec<[u8; 4]> = (0..ENTRIES).map(u32::to_be_bytes).collect();
    keys.sort_unstable_by_key(|key| sst_writer::table::hash_key(key));
    let parts = if replace { 2 } else { 1 };
    for keys in keys.chunks(keys.len().div_ceil(parts)) {
        let mut table = commit.create_table(WriterOptions::default())?;
        for (i, key) in keys.iter().enumerate() {
            let value = number.to_be_bytes();
            let value = match i {
                0 => EntryValue::Blob(blob),
                _ => EntryValue::Inline(&value),
            };
            table.add((key, value))?;
        }
        commit.add_table(table.finish()?)?;
    }
    if replace {
        commit.replace_all();
    }
    Ok(commit.publish(&Monitor::default())?.commit)
}

/// Publishes two such tables in a second directory, and gathers that directory.
fn gather(
    publisher: &mut Publisher,
    number: u32,
) -> Result<sst_format::SequenceNumber, Box<dyn std::error::Error>> {
    let path = publisher.directory().with_file_name("fragment");
    publish(&mut Publisher::open(&path, PublisherOptions::default())?, number, true)?;
    let mut commit = publisher.begin();
    Gatherer::new(&mut commit, FragmentOverlap::Refuse).add(&path, &Monitor::default())?;
    commit.replace_all();
    Ok(commit.publish(&Monitor::default())?.commit)
}

/// The value that all entries have; `None` if there is no commit. Fails if entries have different
/// values, or if their number is wrong.
fn generation_seen(directory: &Path) -> Result<Option<u32>, String> {
    if !directory.join("CURRENT").exists() {
        return Ok(None);
    }
    let set = SstSet::open(directory, &ReaderOptions::default()).map_err(|e| e.to_string())?;
    let mut values = BTreeSet::new();
    for key in 0..ENTRIES {
        let value = set.get(key.to_be_bytes()).map_err(|e| e.to_string())?;
        values.insert(value.map(|value| value.to_vec()));
    }
    let count = set.iter().count();
    if values.len() != 1 || count != ENTRIES as usize {
        return Err(format!("{count} entries with values {values:?}"));
    }
    Ok(Some(set.catalog().commit.0))
}

/// Checks the directory that a killed child has left.
fn check(parent: &Path, reported: Option<u32>, _: &mut SplitMix) -> Result<(), String> {
    let directory = &parent.join(DIRECTORY);
    let seen = generation_seen(directory)?;
    if seen < reported {
        return Err(format!("generation {reported:?} was reported, found {seen:?}"));
    }
    publishing_here(|| check_next_writer(directory, seen))
}

fn check_next_writer(directory: &Path, seen: Option<u32>) -> Result<(), String> {
    let publisher = Publisher::open(directory, options()).map_err(|e| e.to_string())?;
    if publisher.current().map(|current| current.0) != seen {
        return Err("the writer sees another generation than the reader".to_owned());
    }
    drop(publisher);
    no_leftovers(directory, seen.unwrap_or_default())?;
    // Check that each generation said to be complete is complete.
    let log = list_commits(directory).map_err(|e| e.to_string())?;
    for generation in log.into_iter().filter(|generation| generation.is_complete) {
        let copy = tempfile::tempdir().unwrap();
        copy_files(directory, copy.path());
        if !generation.is_current {
            let options = options().keep_obsolete_files(true);
            let mut publisher = Publisher::open(copy.path(), options).map_err(|e| e.to_string())?;
            publisher
                .rollback(Some(generation.sequence), &Monitor::default())
                .map_err(|e| e.to_string())?;
        }
        generation_seen(copy.path()).map_err(|e| format!("{}: {e}", generation.sequence))?;
    }
    Ok(())
}

/// Checks that all files belong to the newest generation or to an older one.
fn no_leftovers(directory: &Path, newest: u32) -> Result<(), String> {
    let names = files(directory).into_iter();
    let names: Vec<_> =
        names.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect();
    let strange = |name: &&String| match FileName::parse(name) {
        Some(file) => file.sequence.0 > newest,
        None => *name != "CURRENT",
    };
    match names.iter().find(strange) {
        Some(name) => Err(format!("{name} was left behind")),
        None => Ok(()),
    }
}

fn run(context: &Context) -> Vec<Row> {
    let row =
        Row::new("killed while publishing, gathering and rolling back", Protection::Protected);
    let kills = KillCycle {
        context,
        suite: SUITE.name,
        child: CHILD,
        count: context.pick(40, 600),
        commits: 6,
        longest: Duration::from_millis(8),
        check,
    };
    context.run(vec![row], &kills)
}
