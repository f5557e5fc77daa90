//! Kills a process at random moments while it publishes in one directory that keeps no earlier
//! commit, pushes it to a second one and pulls that into a third, and a shard of it into a fourth,
//! over and over. Each directory must then be at one whole commit, and the third at no older one
//! than the process has reported. The next mirror must go on from there, and leave the files of the
//! first directory and no others.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use sst_conformance::SplitMix;
use sst_object_store::{MirrorOptions, Place, ShardNumber, Store, block_on, pull, push};
use sst_reader::{Catalog, Monitor, SstSet, verify_directory};
use sst_writer::publish::LOCK_FILE_NAME;
use sst_writer::{EntryValue, Publisher, PublisherOptions, WriterOptions};

use super::crashes::publishing_here;
use super::kill_cycle::KillCycle;
use crate::model::{below, files, reader_options};
use crate::{Context, Protection, Row, Suite};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "mirror kills",
    about: "a process that pushes and pulls directories is killed at random moments",
    run,
};

/// First argument of a child process of this suite.
const CHILD: &str = "mirror-kills-child";
/// Number of entries of every commit.
const ENTRIES: u32 = 200;
/// The directories, each of which is a mirror of the one before.
const DIRECTORIES: [&str; 3] = ["origin", "middle", "copy"];
/// A directory that holds a shard of the second one.
const SHARD: &str = "shard";

type Failure = Box<dyn std::error::Error>;

/// The work of a child process of this suite; `None` if this process is not one.
#[must_use]
pub fn child() -> Option<ExitCode> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [child, parent, seed] = arguments.as_slice() else { return None };
    if child != CHILD {
        return None;
    }
    let seed = seed.to_str()?.parse().ok()?;
    let done = mirror_forever(parent.as_ref(), seed);
    Some(if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Pieces so short that files have several. No directory keeps an earlier commit, so a mirror that
/// is behind must find its own in the lineage of the newest.
fn options() -> MirrorOptions {
    MirrorOptions::default().piece_len(700).parallel(3).keep_generations(0)
}

fn mirror_forever(parent: &Path, seed: u64) -> Result<(), Failure> {
    let mut random = SplitMix::new(seed);
    let mut out = std::io::stdout();
    loop {
        publish(&parent.join(DIRECTORIES[0]), &mut random)?;
        let commit = mirror_all(parent)?;
        writeln!(out, "{commit}")?;
        out.flush()?;
    }
}

/// Publishes a commit of two tables and a blob, added to the earlier ones or in their place.
fn publish(directory: &Path, random: &mut SplitMix) -> Result<(), Failure> {
    let mut publisher = Publisher::open(directory, PublisherOptions::default())?;
    let mut commit = publisher.begin();
    let value = random.word().to_be_bytes().repeat(100);
    let blob = commit.create_blob(&value)?;
    let mut keys: Vec<[u8; 4]> = (0..ENTRIES).map(u32::to_be_bytes).collect();
    keys.sort_unstable_by_key(|key| sst_writer::table::hash_key(key));
    for keys in keys.chunks(keys.len() / 2) {
        let mut table = commit.create_table(WriterOptions::default())?;
        for (i, key) in keys.iter().enumerate() {
            let value = match i {
                0 => EntryValue::Blob(blob),
                i if i % 10 == 0 => EntryValue::Medium(&value),
                _ => EntryValue::Small(&value[..i]),
            };
            table.add((key, value))?;
        }
        commit.add_table(table.finish()?)?;
    }
    if below(random, 3) > 0 {
        commit.replace_all();
    }
    commit.publish(&Monitor::default())?;
    Ok(())
}

/// Mirrors the first directory to the second, that to the third, and a shard of it to the fourth.
/// Returns the commit.
fn mirror_all(parent: &Path) -> Result<u32, Failure> {
    let [origin, middle, copy] = DIRECTORIES.map(|name| parent.join(name));
    let monitor = Monitor::default();
    block_on(push(&origin, &Place::Directory(middle.clone()), &options(), &monitor))?;
    let middle = Store::from_directory(&middle)?;
    block_on(pull(&middle, &copy, &options(), &monitor))?;
    let of_shard = options().shard(ShardNumber::new(1, 2));
    let report = block_on(pull(&middle, parent.join(SHARD), &of_shard, &monitor))?;
    Ok(report.commit.sequence().0)
}

/// The commit that readers of a directory see; `None` if there is none. Fails if it is not whole.
fn commit_seen(directory: &Path) -> Result<Option<u32>, String> {
    if !directory.join("CURRENT").exists() {
        return Ok(None);
    }
    let report = verify_directory(directory, &reader_options(), &Monitor::default());
    let report = report.map_err(|error| error.to_string())?;
    if let Some(damage) = report.damage.first() {
        return Err(damage.to_string());
    }
    let catalog = Catalog::read(directory).map_err(|error| error.to_string())?;
    Ok(Some(catalog.commit.0))
}

/// The files of a directory without its lock, and without `.del` files: a mirror names other meta
/// files there than the directory that it follows.
fn content(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let named = files(directory).into_iter().map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read(path).unwrap())
    });
    named.filter(|(name, _)| name != LOCK_FILE_NAME && !name.ends_with(".del")).collect()
}

/// Checks the directories that a killed child has left.
fn check(parent: &Path, reported: Option<u32>, random: &mut SplitMix) -> Result<(), String> {
    for name in DIRECTORIES.into_iter().chain([SHARD]) {
        let seen = commit_seen(&parent.join(name)).map_err(|error| format!("{name}: {error}"))?;
        if seen < reported {
            return Err(format!("{name}: commit {reported:?} was reported, found {seen:?}"));
        }
    }
    publishing_here(|| go_on(parent, random)).map_err(|error| error.to_string())
}

/// Mirrors the directory as a process that is not killed.
fn go_on(parent: &Path, random: &mut SplitMix) -> Result<(), Failure> {
    let [origin, middle, copy] = DIRECTORIES.map(|name| parent.join(name));
    if !origin.join("CURRENT").exists() {
        publish(&origin, random)?;
    }
    mirror_all(parent)?;
    // Without what the process has left.
    let shard = parent.join(SHARD);
    for directory in [&origin, &middle, &copy, &shard] {
        drop(Publisher::open(directory, PublisherOptions::default())?);
    }
    let latest = Store::from_directory(&origin)?;
    let latest = block_on(sst_object_store::RemoteCommit::read(&latest))?.ok_or("no commit")?;
    let mut expected = content(&origin);
    let names: Vec<_> = latest.files().iter().map(|file| file.name.to_string()).collect();
    expected.retain(|name, _| name == "CURRENT" || names.contains(name));
    for directory in [middle, copy] {
        if content(&directory) != expected {
            return Err(format!("{} is not the same", directory.display()).into());
        }
    }
    // The same as in a directory that was never interrupted.
    let fresh = parent.join("fresh");
    let of_shard = options().shard(ShardNumber::new(1, 2));
    block_on(pull(&Store::from_directory(&origin)?, &fresh, &of_shard, &Monitor::default()))?;
    let is_same = entries(&fresh)? == entries(&shard)?;
    fs::remove_dir_all(&fresh)?;
    if is_same { Ok(()) } else { Err("the shard has other entries".into()) }
}

/// The live entries of a directory.
fn entries(directory: &Path) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Failure> {
    let set = SstSet::open(directory, &reader_options())?;
    let entries = set.entries().map(|entry| {
        let (key, value) = entry?;
        Ok((key.to_vec(), value.to_vec()))
    });
    entries.collect()
}

fn run(context: &Context) -> Vec<Row> {
    let row = Row::new("killed while pushing and pulling", Protection::Protected);
    let kills = KillCycle {
        context,
        suite: SUITE.name,
        child: CHILD,
        count: context.pick(40, 500),
        commits: 4,
        longest: Duration::from_millis(40),
        check,
    };
    context.run(vec![row], &kills)
}
