//! Merges that are killed. A child process compacts a directory, or merges another directory into
//! it, and is killed (`SIGKILL` on Unix) at a random moment. A reader must then see the state
//! before or after, whole and undamaged. The next merge must succeed, and after it only files that
//! belong to the commit must be left.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use sst_merge::{
    Inputs, MergeOptions, MergePolicy, Monitor, auto_compact, compact, merge_into_commit,
};
use sst_reader::{Access, Catalog, ReadValue, ReaderOptions, SstSet, verify_directory};
use sst_writer::publish::Commit;
use sst_writer::table::hash_key;
use sst_writer::{Publisher, PublisherOptions, WriterOptions};

use crate::suites::crashes::{kill, publishing_here, start};
use crate::{Cases, Context, Protection, Row, Suite, Verdict};

/// The suite.
pub const SUITE: Suite =
    Suite { name: "merge kills", about: "a process is killed at a random moment of a merge", run };

/// First argument of a child process of this suite.
const CHILD: &str = "merge-child";
/// The byte that a child prints when its merge starts.
const BEGUN: u8 = b'!';
/// Commits of the directory before the merge.
const COMMITS: u64 = 6;
/// Layers that compaction by policy leaves, at most.
const AUTO_LAYERS: usize = 2;
/// Number of keys of each commit, out of twice as many.
const KEYS: u64 = 400;

/// The work of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// Merges all tables in place.
    CompactAll,
    /// Merges the newest tables in place.
    CompactNewest,
    /// Merges another directory into this one.
    MergeOther,
    /// Merges what a policy chooses, as `sst merge --auto` does: several commits.
    Auto,
}

const WORKS: [Work; 4] = [Work::CompactAll, Work::CompactNewest, Work::MergeOther, Work::Auto];

impl Work {
    const fn name(self) -> &'static str {
        match self {
            Self::CompactAll => "compact all",
            Self::CompactNewest => "compact the newest",
            Self::MergeOther => "merge another in",
            Self::Auto => "compact by policy",
        }
    }

    fn named(name: &str) -> Option<Self> {
        WORKS.into_iter().find(|work| work.name() == name)
    }
}

type ChildResult = Result<(), Box<dyn std::error::Error>>;

/// The work of a child process of this suite; `None` if this process is not one.
#[must_use]
pub fn child() -> Option<ExitCode> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [child, work, parent] = arguments.as_slice() else { return None };
    if child != CHILD {
        return None;
    }
    let work = work.to_str().and_then(Work::named);
    let result = work.ok_or("no such work".into()).and_then(|work| {
        let mut out = std::io::stdout();
        std::io::Write::write_all(&mut out, &[BEGUN])?;
        std::io::Write::flush(&mut out)?;
        merge(work, parent.as_ref())
    });
    Some(if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Does the work on the directories in `parent`.
fn merge(work: Work, parent: &Path) -> ChildResult {
    let directory = parent.join("db");
    let mut publisher = Publisher::open(&directory, PublisherOptions::default())?;
    let reader = ReaderOptions::default().access(Access::Read);
    // Many small tables make more operations on files at which the kill can happen.
    let options = MergeOptions::default().max_table_entries(100);
    let go_on = &Monitor::default();
    match work {
        Work::CompactAll => drop(compact(&mut publisher, 0, usize::MAX, &options, &reader, go_on)?),
        Work::CompactNewest => drop(compact(&mut publisher, 0, 3, &options, &reader, go_on)?),
        Work::MergeOther => {
            let mut inputs = Inputs::new(&reader);
            inputs.add_directory(&directory, 0)?;
            inputs.add_directory(parent.join("other"), 0)?;
            let mut commit = publisher.begin();
            commit.replace_all();
            merge_into_commit(&inputs, &mut commit, &options, go_on)?;
            commit.publish(&Monitor::default())?;
        }
        Work::Auto => {
            let policy = MergePolicy::default().max_layers(AUTO_LAYERS);
            auto_compact(&mut publisher, 0, &policy, &options, &reader, go_on, |_, _| ())?;
        }
    }
    Ok(())
}

/// Values by key.
type Content = BTreeMap<Vec<u8>, Vec<u8>>;

fn key(number: u64) -> Vec<u8> {
    format!("key number {number}").into_bytes()
}

/// The value that a commit gives a key; `None` if the commit deletes the key.
fn value(commit: u64, number: u64) -> Option<Vec<u8>> {
    let text = format!("value {number} of commit {commit}, ");
    match (number + commit) % 8 {
        0 => None,
        1 => Some(number.to_be_bytes().to_vec()),
        2 => Some(text.repeat(300).into_bytes()),
        _ => Some(text.into_bytes()),
    }
}

/// The number of the key whose value this commit puts into a blob file.
const fn blob_number(commit: u64) -> u64 {
    2 * KEYS + commit
}

/// The keys of a commit: overlapping windows, so that newer commits hide keys of older ones.
fn numbers(commit: u64) -> impl Iterator<Item = u64> {
    (0..KEYS).map(move |i| (i + commit * 97) % (2 * KEYS))
}

fn write_commit(commit: &mut Commit<'_>, number: u64) -> ChildResult {
    let mut numbers: Vec<u64> = numbers(number).chain([blob_number(number)]).collect();
    numbers.sort_by_key(|&i| (hash_key(&key(i)), key(i)));
    let mut table = commit.create_table(WriterOptions::default())?;
    for i in numbers {
        let blob = [i.to_be_bytes()[7]; 30_000];
        let bytes = value(number, i);
        let value = match &bytes {
            _ if i >= 2 * KEYS => sst_writer::EntryValue::Blob(commit.create_blob(blob)?),
            None => sst_writer::EntryValue::Deleted,
            Some(value) => sst_writer::EntryValue::for_bytes(value)?,
        };
        table.add((key(i), value))?;
    }
    commit.add_table(table.finish()?)?;
    Ok(())
}

/// Publishes the commits with these numbers.
fn publish(directory: &Path, commits: std::ops::Range<u64>) -> ChildResult {
    let mut publisher = Publisher::open(directory, PublisherOptions::default())?;
    for number in commits {
        let mut commit = publisher.begin();
        write_commit(&mut commit, number)?;
        commit.publish(&Monitor::default())?;
    }
    Ok(())
}

/// The content after these commits.
fn after(commits: std::ops::Range<u64>) -> Content {
    let mut content = Content::new();
    for commit in commits {
        for number in numbers(commit) {
            match value(commit, number) {
                None => drop(content.remove(&key(number))),
                Some(value) => drop(content.insert(key(number), value)),
            }
        }
        let number = blob_number(commit);
        content.insert(key(number), vec![number.to_be_bytes()[7]; 30_000]);
    }
    content
}

/// The content that a reader sees. Verifies the directory too.
fn seen(directory: &Path) -> Result<Content, String> {
    let options = ReaderOptions::default().access(Access::Read);
    let verified =
        verify_directory(directory, &options, &Monitor::default()).map_err(|e| e.to_string())?;
    if let Some(damage) = verified.damage.first() {
        return Err(format!("damaged: {damage}"));
    }
    let set = SstSet::open(directory, &options).map_err(|error| error.to_string())?;
    let mut content = Content::new();
    for entry in set.iter() {
        let entry = entry.map_err(|error| error.to_string())?;
        let value = match entry.value {
            ReadValue::Value(value) => value.to_vec(),
            ReadValue::Blob(number) => set.read_blob(number).map_err(|e| e.to_string())?.to_vec(),
            ReadValue::Deleted => return Err("a tombstone is shown".to_owned()),
        };
        content.insert(entry.key.to_vec(), value);
    }
    Ok(content)
}

/// Files that belong to no commit, except those that the publisher keeps for a while for readers.
fn leftovers(directory: &Path) -> Result<Vec<String>, String> {
    let catalog = Catalog::read(directory).map_err(|error| error.to_string())?;
    let mut known: BTreeSet<String> =
        ["CURRENT", sst_writer::publish::LOCK_FILE_NAME].map(str::to_owned).into();
    known.extend(catalog.tables.iter().map(|table| format!("{:08}.sst", table.sequence.0)));
    known.extend(catalog.meta_files.iter().map(|meta| format!("{:08}.meta", meta.0)));
    known.extend(
        catalog
            .blobs()
            .map_err(|error| error.to_string())?
            .keys()
            .map(|blob| format!("{:08}.blob", blob.0)),
    );
    let files = fs::read_dir(directory).map_err(|error| error.to_string())?;
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    Ok(names.filter(|name| !known.contains(name)).collect())
}

/// The number of the newest commit.
fn current(directory: &Path) -> Result<u32, String> {
    let catalog = Catalog::read(directory).map_err(|error| error.to_string())?;
    Ok(catalog.commit.0)
}

/// The meta files of the model, and the tables and blobs of all its commits but the last, each of
/// which only adds to the one before.
fn generations(model: &Path) -> BTreeSet<String> {
    let files = fs::read_dir(model).unwrap();
    let mut names: Vec<String> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    for kind in [".sst", ".blob"] {
        let last = names.iter().rposition(|name| name.ends_with(kind)).unwrap();
        names.remove(last);
    }
    names.into_iter().collect()
}

/// Copies the files of a directory.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

fn run(context: &Context) -> Vec<Row> {
    let scratch = tempfile::tempdir().unwrap();
    let model = scratch.path().join("model");
    publishing_here(|| {
        publish(&model.join("db"), 0..COMMITS).unwrap();
        publish(&model.join("other"), COMMITS..COMMITS + 1).unwrap();
    });
    let rows =
        WORKS.map(|work| Row::new(format!("killed: {}", work.name()), Protection::Protected));
    let kills = Kills {
        context,
        longest: WORKS.map(|work| time(work, &model)),
        generations: generations(&model.join("db")),
        before: after(0..COMMITS),
        merged: after(0..COMMITS + 1),
        count: context.pick(104, 2000),
        model,
    };
    context.run(rows.into(), &kills)
}

/// Measures the duration of a child that is not killed.
fn time(work: Work, model: &Path) -> Duration {
    let parent = tempfile::tempdir().unwrap();
    copy(&model.join("db"), &parent.path().join("db"));
    copy(&model.join("other"), &parent.path().join("other"));
    let mut child = start(CHILD, &[work.name().as_ref(), parent.path().as_os_str()]);
    let mut byte = [0];
    child.stdout.take().unwrap().read_exact(&mut byte).unwrap();
    let begun = Instant::now();
    assert!(child.wait().unwrap().success(), "{}", work.name());
    begun.elapsed()
}

struct Kills<'a> {
    context: &'a Context,
    /// Directories to start from: one that is merged in place, and one that is merged into it.
    model: PathBuf,
    /// The duration of each work if it is not killed.
    longest: [Duration; WORKS.len()],
    before: Content,
    merged: Content,
    /// The files of the generations before the one that is merged.
    generations: BTreeSet<String>,
    count: usize,
}

impl Kills<'_> {
    /// Kills a child during its work, then checks the directory.
    fn kill_and_check(&self, case: usize) -> Result<(), String> {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("db");
        copy(&self.model.join("db"), &directory);
        copy(&self.model.join("other"), &parent.path().join("other"));
        let work = WORKS[self.row(case)];
        let mut child = start(CHILD, &[work.name().as_ref(), parent.path().as_os_str()]);
        let mut byte = [0];
        let begun = child.stdout.take().unwrap().read_exact(&mut byte);
        // A random moment of the work, or shortly after it.
        let longest = u64::try_from(self.longest[self.row(case)].as_micros()).unwrap_or(u64::MAX);
        let moment = self.context.random("merge kills", case).word() % (longest + longest / 8 + 1);
        std::thread::sleep(Duration::from_micros(moment));
        kill(child);
        begun.map_err(|error| error.to_string())?;
        let found = seen(&directory)?;
        let is_before = found == self.before;
        let is_after = match work {
            Work::MergeOther => found == self.merged,
            Work::CompactAll | Work::CompactNewest | Work::Auto => is_before,
        };
        if !is_before && !is_after {
            return Err("neither the old state nor the new one is seen".to_owned());
        }
        let killed = current(&directory)?;
        publishing_here(|| merge(work, parent.path())).map_err(|error| error.to_string())?;
        let expected = if work == Work::MergeOther { &self.merged } else { &self.before };
        if seen(&directory)? != *expected {
            return Err("the next merge gives something else".to_owned());
        }
        let mut left = leftovers(&directory)?;
        if current(&directory)? == killed {
            left.retain(|name| !self.generations.contains(name));
        }
        match left.is_empty() {
            true => Ok(()),
            false => Err(format!("left behind: {}", left.join(", "))),
        }
    }
}

impl Cases for Kills<'_> {
    type Worker = ();

    fn count(&self) -> usize {
        self.count
    }

    fn worker(&self) {}

    fn row(&self, case: usize) -> usize {
        case % WORKS.len()
    }

    fn name(&self, case: usize) -> String {
        format!("{}, kill number {case}", WORKS[self.row(case)].name())
    }

    fn run(&self, (): &mut (), case: usize) -> Verdict {
        self.kill_and_check(case).map_or_else(Verdict::Wrong, |()| Verdict::Harmless)
    }
}
