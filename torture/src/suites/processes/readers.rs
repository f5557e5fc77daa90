//! A running reader whose directory is swapped by a link, restored from a copy, copied over,
//! rebuilt and written to. It never answers from two of them at once, and comes to the last one.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use sst_reader::{Access, LiveSet, ReadError, ReaderOptions};

use super::READER;
use super::command::{copy, must};
use crate::{Cases, Context, Protection, Row, Verdict};

const KEYS: usize = 60;
/// How long a reader may take to come to what is there now.
const DEADLINE: Duration = Duration::from_secs(300);
/// The actions on the directory of one reader, in order.
const ACTIONS_OF_A_CASE: usize = 6;

/// An action on a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// Another directory takes its place, by a link.
    Swap,
    /// It is moved away, and a copy of an earlier state put in its place.
    Restore,
    /// It is removed and loaded anew.
    Rebuild,
    /// The files of another directory are copied over its own.
    CopyOver,
    Replace,
    Append,
    Merge,
}

const ACTIONS: [Action; 7] = [
    Action::Swap,
    Action::Restore,
    Action::Rebuild,
    Action::Replace,
    Action::Append,
    Action::Merge,
    // For readers without a map only.
    Action::CopyOver,
];

/// The work of a reader: it follows a directory and prints each generation that it comes to.
pub(super) fn follow(arguments: &[OsString]) -> ExitCode {
    let [directory, access] = arguments else { return ExitCode::FAILURE };
    let access = if access == "map" { Access::Map } else { Access::Read };
    let options = ReaderOptions::default().access(access);
    let Ok(live) = LiveSet::open(Path::new(directory), &options) else { return ExitCode::FAILURE };
    let mut last = String::new();
    let mut out = std::io::stdout();
    loop {
        let seen = match live.refresh().and_then(|_| live.with(generation)) {
            Ok(seen) => seen,
            // In the middle of a swap there is no directory.
            Err(_) => continue,
        };
        if seen != last {
            // The parent has gone if it cannot be told.
            if writeln!(out, "{seen}").and_then(|()| out.flush()).is_err() {
                return ExitCode::SUCCESS;
            }
            last = seen;
        }
    }
}

/// The generation that all keys have, or what is wrong.
fn generation(set: &sst_reader::SstSet) -> Result<String, ReadError> {
    let mut seen: Option<String> = None;
    for i in 0..KEYS {
        let key = format!("key {i}");
        let Some(value) = set.get(key.as_bytes())? else { return Ok(format!("no {key}")) };
        let value = String::from_utf8_lossy(&value).into_owned();
        let mut words = value.split(' ');
        let (generation, number) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        if number != i.to_string() {
            return Ok(format!("{key} is {value}"));
        }
        match &seen {
            Some(other) if other != generation => return Ok(format!("{other} and {generation}")),
            _ => seen = Some(generation.to_owned()),
        }
    }
    Ok(seen.unwrap_or_default())
}

pub(super) fn run(context: &Context) -> Vec<Row> {
    let row = |access| {
        let name = format!("directories change under a reader ({access})");
        Row::new(name, Protection::Protected)
    };
    let count = if context.is_brief() { 2 } else { context.pick(16, 400) };
    context.run(vec![row("reads"), row("map")], &Followed { context, count })
}

struct Followed<'a> {
    context: &'a Context,
    count: usize,
}

/// A reader that follows a directory.
pub(super) struct Reader {
    process: Child,
    seen: Receiver<String>,
}

impl Reader {
    pub(super) fn start(directory: &Path, access: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .arg(READER)
            .arg(directory)
            .arg(access)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (send, seen) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Self { process, seen }
    }

    /// Waits until the reader is at the last of these generations. It may show the others before,
    /// and nothing else.
    pub(super) fn comes_to(&mut self, generations: &[&str]) -> Result<(), String> {
        let last = generations.last().copied().unwrap_or("");
        loop {
            match self.seen.recv_timeout(DEADLINE) {
                Ok(seen) if seen == last => return Ok(()),
                Ok(seen) if generations.contains(&seen.as_str()) => {}
                Ok(seen) => return Err(format!("it answers {seen}, and not {last}")),
                Err(RecvTimeoutError::Timeout) => return Err(format!("it never came to {last}")),
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.process.wait().map_err(|error| error.to_string())?;
                    return Err(format!("it has ended: {status}"));
                }
            }
        }
    }

    /// How it has ended; `None` if it runs.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().unwrap()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// Directories with a generation for each of their states.
pub(super) struct World {
    here: PathBuf,
    generations: usize,
    directories: usize,
    /// The directory that the link names, and the generation there.
    pub(super) live: PathBuf,
    pub(super) generation: String,
}

impl World {
    pub(super) fn new(here: &Path) -> Result<Self, String> {
        let (here, live) = (here.to_owned(), PathBuf::new());
        let mut world =
            Self { here, generations: 0, directories: 0, live, generation: String::new() };
        world.live = world.new_directory();
        world.load("replace")?;
        world.link()?;
        Ok(world)
    }

    fn new_directory(&mut self) -> PathBuf {
        self.directories += 1;
        self.here.join(format!("dir-{}", self.directories))
    }

    /// Loads the next generation into the live directory.
    fn load(&mut self, mode: &str) -> Result<(), String> {
        self.generations += 1;
        self.generation = format!("g{}", self.generations);
        let lines: String = (0..KEYS)
            .map(|i| format!("key {i}\t{} {i} {}\n", self.generation, "x".repeat(i)))
            .collect();
        fs::write(self.here.join("input.tsv"), lines).map_err(|error| error.to_string())?;
        let live = self.live.display().to_string();
        let options = ["--mode", mode, "--max-table-entries", "13", "-q"];
        must(&self.here, &[&["load", "input.tsv", &live], &options[..]].concat())?;
        Ok(())
    }

    /// Has the link name the live directory, in one step.
    fn link(&self) -> Result<(), String> {
        let (new, link) = (self.here.join("link.new"), self.here.join("link"));
        symlink(&self.live, &new).and_then(|()| fs::rename(&new, &link)).map_err(|e| e.to_string())
    }

    /// Puts another directory in the place of this one.
    pub(super) fn swap(&mut self) -> Result<(), String> {
        self.act(Action::Swap)
    }

    fn act(&mut self, action: Action) -> Result<(), String> {
        let error = |error: std::io::Error| error.to_string();
        match action {
            Action::Swap => {
                self.live = self.new_directory();
                self.load("replace")?;
                self.link()
            }
            Action::Restore => {
                let (copied, moved) = (self.new_directory(), self.new_directory());
                copy(&self.live, &copied);
                let before = self.generation.clone();
                self.load("replace")?;
                fs::rename(&self.live, moved).map_err(error)?;
                fs::rename(copied, &self.live).map_err(error)?;
                self.generation = before;
                Ok(())
            }
            Action::Rebuild => {
                fs::remove_dir_all(&self.live).map_err(error)?;
                self.load("replace")
            }
            Action::CopyOver => {
                let live = self.live.clone();
                self.live = self.new_directory();
                self.load("replace")?;
                copy(&self.live, &live);
                self.live = live;
                Ok(())
            }
            Action::Replace => self.load("replace"),
            Action::Append => self.load("append"),
            Action::Merge => {
                let live = self.live.display().to_string();
                must(&self.here, &["merge", &live, "--in-place", "-q"]).map(drop)
            }
        }
    }
}

impl Followed<'_> {
    const ACCESS: [&'static str; 2] = ["read", "map"];

    fn actions(&self, case: usize) -> Vec<Action> {
        let mut random = self.context.random("readers", case);
        // Copying over a mapped file ends the process that has mapped it.
        let count = ACTIONS.len() - usize::from(self.row(case) == 1);
        (0..ACTIONS_OF_A_CASE).map(|_| ACTIONS[random.below(count)]).collect()
    }

    fn check(&self, case: usize) -> Result<Verdict, String> {
        let scratch = tempfile::tempdir().unwrap();
        let mut world = World::new(scratch.path())?;
        let access = Self::ACCESS[self.row(case)];
        let mut reader = Reader::start(&scratch.path().join("link"), access);
        reader.comes_to(&[&world.generation])?;
        for action in self.actions(case) {
            let before = world.generation.clone();
            world.act(action)?;
            let between = format!("g{}", world.generations);
            if action == Action::Restore {
                // The copy has the generation of before. Only another commit on top of it shows
                // that the reader has come to it.
                world.act(Action::Append)?;
            }
            if world.generation != before {
                let came = reader.comes_to(&[&before, &between, &world.generation]);
                came.map_err(|what| format!("{action:?}: {what}"))?;
            }
        }
        Ok(Verdict::Harmless)
    }
}

impl Cases for Followed<'_> {
    type Worker = ();

    fn count(&self) -> usize {
        self.count
    }

    fn worker(&self) {}

    fn row(&self, case: usize) -> usize {
        case % Self::ACCESS.len()
    }

    fn name(&self, case: usize) -> String {
        format!("a reader with {}, {:?}", Self::ACCESS[self.row(case)], self.actions(case))
    }

    fn run(&self, (): &mut (), case: usize) -> Verdict {
        self.check(case).unwrap_or_else(Verdict::Wrong)
    }
}
