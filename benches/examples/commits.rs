//! Measures the cost of commits by the number of earlier commits and of the tables that they
//! describe. Prints the meta files of a directory, the bytes of all that were ever written, and
//! bytes and time for opening a set, refreshing it after a small commit, and publishing that
//! commit.
//!
//! ```text
//! cargo run --release -p sst-benches --example commits -- [COMMITS] [--against COMMIT]
//! ```
//!
//! COMMITS: up to this many commits (default 1000, at most 10000). With `--against`, this program
//! is then built and run in an earlier commit of the repository, too: the file is copied into a
//! worktree of that commit. It must go on compiling there, so it uses only what builds since
//! eb2696f, the commit before protection version 3, have.
//!
//! Bytes are those that the system counts for the process (Linux only). The directories are in
//! memory if the system has such a file system, so a sync costs nothing. Times are the shortest of
//! five runs, bytes those of the first.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example that measures")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sst_amqf::QuotientFilter;
use sst_reader::{Access, ReaderOptions, SstSet, hash_key};
use sst_writer::{EntryValue, Monitor, Publisher, PublisherOptions, WriterOptions};

/// Number of keys of each table.
const KEYS_OF_SMALL_TABLE: u32 = 10;

/// Number of runs of which the time of the shortest is printed.
const RUNS: u32 = 5;

fn main() {
    let mut most = 1000;
    let mut against = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--against" => against = Some(arguments.next().unwrap()),
            number => most = number.parse().unwrap(),
        }
    }
    measure_all(most);
    if let Some(commit) = against {
        println!("\n{commit}:\n");
        measure_in(&commit, most);
    }
}

fn measure_all(most: u32) {
    println!(
        "| directory | meta files | their bytes | bytes of all ever written | open: read | ms \
         | refresh: read | ms | publish: read | written | ms |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for commits in [10, 100, 1000, 3000, 10_000].into_iter().filter(|commits| *commits <= most) {
        measure(&format!("{commits} commits of one table"), |publisher, dir| {
            let mut written = 0;
            for i in 0..commits {
                commit(publisher, 1, i);
                written += newest_meta_len(dir);
            }
            written
        });
    }
    for tables in [1, 100, 10_000] {
        measure(&format!("1 commit of {tables} tables"), |publisher, dir| {
            commit(publisher, tables, 0);
            newest_meta_len(dir)
        });
    }
}

/// Runs this program as it is in a worktree of an earlier commit.
fn measure_in(commit: &str, most: u32) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    let git = |arguments: &[&str]| {
        let status = Command::new("git").args(arguments).current_dir(&root).status().unwrap();
        assert!(status.success(), "git {arguments:?}");
    };
    let path = tree.to_str().unwrap();
    git(&["worktree", "add", "--quiet", "--detach", path, commit]);
    let mut program = include_str!("commits.rs").to_owned();
    let writer = fs::read_to_string(tree.join("crates/sst-writer/src/publish/commit.rs")).unwrap();
    if ["pub fn publish(self)", "pub fn publish(mut self)"].iter().any(|old| writer.contains(old)) {
        // Until 2026-11-30 the publisher had the monitor.
        program = program.replace("publish(&Monitor::default())", "publish()");
        program = program.replace("Monitor, ", "");
    }
    fs::write(tree.join("benches/examples/commits.rs"), program).unwrap();
    let target = root.join("target/against");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["run", "--quiet", "--release", "--package", "sst-benches", "--example", "commits"])
        .args(["--", &most.to_string()])
        .env("CARGO_TARGET_DIR", target)
        .current_dir(&tree)
        .status();
    git(&["worktree", "remove", "--force", path]);
    assert!(status.unwrap().success(), "the earlier build fails");
}

/// Makes a commit of `tables` tables of ten keys each, with filters.
fn commit(publisher: &mut Publisher, tables: u32, number: u32) {
    let mut commit = publisher.begin();
    let count = tables * KEYS_OF_SMALL_TABLE;
    let mut keys: Vec<(u64, String)> = (0..count)
        .map(|i| format!("key {number} {i}"))
        .map(|key| (hash_key(key.as_bytes()), key))
        .collect();
    keys.sort();
    for keys in keys.chunks(KEYS_OF_SMALL_TABLE as usize) {
        let options = WriterOptions::default().filter(QuotientFilter::default());
        let mut table = commit.create_table(options).unwrap();
        for (_, key) in keys {
            table.add((key.as_str(), EntryValue::Small(b"value"))).unwrap();
        }
        let table = table.finish().unwrap();
        commit.add_table(table).unwrap();
    }
    commit.publish(&Monitor::default()).unwrap();
}

fn measure(name: &str, fill: impl FnOnce(&mut Publisher, &Path) -> u64) {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let mut publisher = Publisher::open(dir.path(), PublisherOptions::default()).unwrap();
    let ever_written = fill(&mut publisher, dir.path());
    let (meta_files, bytes) = meta_files(dir.path());
    let options = ReaderOptions::default().filter(QuotientFilter::default()).access(Access::Read);
    let mut costs = [Cost::NONE; 3];
    let [opened, refreshed, published] = &mut costs;
    for _ in 0..RUNS {
        opened.measure(|| SstSet::open(dir.path(), &options).unwrap());
    }
    let mut set = SstSet::open(dir.path(), &options).unwrap();
    for run in 0..RUNS {
        published.measure(|| commit(&mut publisher, 1, u32::MAX - run));
        set = refreshed.measure(|| set.refresh().unwrap().unwrap());
        let key = format!("key {} 0", u32::MAX - run);
        assert!(set.get(key.as_bytes()).unwrap().is_some());
    }
    println!(
        "| {name} | {meta_files} | {bytes} | {ever_written} | {} | {:.2} | {} | {:.2} | {} | {} \
         | {:.2} |",
        opened.read,
        opened.ms(),
        refreshed.read,
        refreshed.ms(),
        published.read,
        published.written,
        published.ms(),
    );
}

/// Number of meta files of a directory, and their bytes.
fn meta_files(dir: &Path) -> (usize, u64) {
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap());
    let metas = files.filter(|file| file.path().extension().is_some_and(|name| name == "meta"));
    let sizes: Vec<u64> = metas.map(|file| file.metadata().unwrap().len()).collect();
    (sizes.len(), sizes.iter().sum())
}

/// The length of the newest meta file. Each commit here has one.
fn newest_meta_len(dir: &Path) -> u64 {
    let current = fs::read(dir.join("CURRENT")).unwrap();
    let current = u32::from_be_bytes(*current.first_chunk().unwrap());
    let path: PathBuf = dir.join(format!("{current:08}.meta"));
    fs::metadata(path).unwrap().len()
}

/// The bytes of the first of several runs, and the time of the shortest.
#[derive(Clone, Copy)]
struct Cost {
    read: u64,
    written: u64,
    time: Option<Duration>,
}

impl Cost {
    const NONE: Self = Self { read: 0, written: 0, time: None };

    fn measure<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let own = read_own();
        let (read_before, written_before) = counted();
        let start = Instant::now();
        let done = work();
        let time = start.elapsed();
        let (read, written) = counted();
        if self.time.is_none() {
            // Reading the counters is counted too, so subtract it.
            self.read = (read - read_before).saturating_sub(own);
            self.written = written - written_before;
        }
        self.time = Some(self.time.map_or(time, |known| known.min(time)));
        done
    }

    fn ms(&self) -> f64 {
        self.time.unwrap().as_secs_f64() * 1e3
    }
}

/// Bytes that this process has read and written through the system so far.
fn counted() -> (u64, u64) {
    let text = fs::read_to_string("/proc/self/io").unwrap();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().parse().unwrap()
    };
    (field("rchar:"), field("wchar:"))
}

/// Number of bytes that one reading of the counters adds to them.
fn read_own() -> u64 {
    let (before, _) = counted();
    counted().0 - before
}
