//! Writers of one directory that are killed, and whose lock file is removed while they write. An
//! entry of a load that reported its commit stays, one of a load that failed never appears.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use super::command::{LOAD, content, copy, lines, must, sst, sst_arguments};
use crate::{Cases, Context, Protection, Row, Verdict};

/// Writers at the same time.
const WRITERS: usize = 3;
/// Loads of each writer, one after the other.
const LOADS: usize = 3;
/// A load takes about so long.
const LOAD_MICROS: u64 = 60_000;

/// An action on the writers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    /// A writer is killed at a random moment.
    Kill,
    /// The lock file is removed at random moments, as `rsync --delete` does.
    RemoveLock,
    Both,
}

const HARMS: [Harm; 3] = [Harm::Kill, Harm::RemoveLock, Harm::Both];

/// The writer's system call that makes a commit visible is entered this much later.
const PREEMPTED_MICROS: u64 = 1_000_000;

pub(super) fn run(context: &Context) -> Vec<Row> {
    let scratch = tempfile::tempdir().unwrap();
    let here = scratch.path();
    fs::write(here.join("old.tsv"), lines("old", 40)).unwrap();
    must(here, &[&["load", "old.tsv", "db"], &LOAD[..]].concat()).unwrap();
    let names = ["killed", "the lock file is removed", "killed, and the lock file is removed"];
    let rows = names.map(|name| Row::new(format!("racing writers: {name}"), Protection::Protected));
    let count = if context.is_brief() { 3 } else { context.pick(30, 1500) };
    let mut rows = context.run(rows.into(), &Races { context, model: here.to_owned(), count });
    let name = "a writer is preempted before the switch, and its lock file is removed";
    let row = Row::new(name, Protection::Protected);
    rows.extend(match super::has_strace() {
        true => {
            let count = if context.is_brief() { 1 } else { context.pick(2, 40) };
            context.run(vec![row], &Preempted { model: here.to_owned(), count })
        }
        false => vec![Row::skipped(row.test, row.protection, "there is no strace here")],
    });
    rows
}

/// A writer has checked its lock and is about to rename `CURRENT` when the system lets it wait.
/// Meanwhile the lock file is removed, and another writer comes, which must be refused: it would
/// take the commit's files for leftovers.
struct Preempted {
    model: PathBuf,
    count: usize,
}

impl Preempted {
    fn check(&self) -> Result<Verdict, String> {
        let scratch = tempfile::tempdir().unwrap();
        let here = scratch.path();
        copy(&self.model.join("db"), &here.join("db"));
        for tag in ["first", "second"] {
            fs::write(here.join(format!("{tag}.tsv")), format!("{tag}-key\t{tag}\n")).unwrap();
        }
        let load = |tag: &str| {
            let input = format!("{tag}.tsv");
            sst_arguments(&[&["load", input.as_str(), "db", "--increment"], &LOAD[..]].concat())
        };
        // The log ends with the call that waits: `CURRENT` is the only file that is replaced.
        let calls = "?rename,?renameat";
        let trace = format!("trace={calls}");
        let delay = format!("inject={calls}:delay_enter={PREEMPTED_MICROS}");
        let mut first = Command::new("strace")
            .args(["-f", "-qq", "-o", "log", "-e", &trace, "-e", &delay])
            .args(load("first"))
            .current_dir(here)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let log = here.join("log");
        while !fs::read_to_string(&log).is_ok_and(|log| log.contains("CURRENT")) {
            if let Some(status) = first.try_wait().unwrap() {
                return Err(format!("the first writer ended with {status}"));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        fs::remove_file(here.join("db/.lock")).unwrap();
        let second = super::command::run(here, &load("second"))?;
        let code = first.wait().unwrap().code();
        let verified = sst(here, &["verify", "db"])?;
        if verified.code != Some(0) {
            return Err(format!("damaged: {}", String::from_utf8_lossy(&verified.stdout)));
        }
        let now = String::from_utf8(content(here, "db")?).unwrap();
        for (tag, code) in [("first", code), ("second", second.code)] {
            if now.contains(&format!("{tag}-key\t")) != matches!(code, Some(0 | 4)) {
                return Err(format!("the {tag} writer ended with {code:?}, and has {now}"));
            }
        }
        Ok(if second.code == Some(3) { Verdict::Detected } else { Verdict::Harmless })
    }
}

impl Cases for Preempted {
    type Worker = ();

    fn count(&self) -> usize {
        self.count
    }

    fn worker(&self) {}

    fn row(&self, _: usize) -> usize {
        0
    }

    fn name(&self, case: usize) -> String {
        format!("preempted writer number {case}")
    }

    fn run(&self, (): &mut (), _: usize) -> Verdict {
        self.check().unwrap_or_else(Verdict::Wrong)
    }
}

struct Races<'a> {
    context: &'a Context,
    model: PathBuf,
    count: usize,
}

/// How the loads ended.
#[derive(Default)]
struct Loads {
    /// Tags of loads that reported their commit.
    published: BTreeSet<String>,
    /// Tags of loads that said that nothing has changed.
    refused: BTreeSet<String>,
}

impl Races<'_> {
    fn check(&self, case: usize) -> Result<Verdict, String> {
        let scratch = tempfile::tempdir().unwrap();
        let here = scratch.path();
        copy(&self.model.join("db"), &here.join("db"));
        let harm = HARMS[self.row(case)];
        let loads = Mutex::new(Loads::default());
        let running = Mutex::new(BTreeSet::<u32>::new());
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (loads, running) = (&loads, &running);
                scope.spawn(move || {
                    (0..LOADS).for_each(|load| {
                        run_load(here, &format!("w{writer}-{load}"), loads, running);
                    });
                });
            }
            let mut random = self.context.random("racing writers", case);
            for _ in 0..6 {
                std::thread::sleep(Duration::from_micros(random.word() % LOAD_MICROS));
                if harm != Harm::Kill {
                    // It may not be there: no writer has made it again yet.
                    _ = fs::remove_file(here.join("db/.lock"));
                }
                if harm != Harm::RemoveLock && random.below(2) == 0 {
                    let running = running.lock().unwrap();
                    let at = random.below(running.len().max(1));
                    if let Some(process) = running.iter().nth(at) {
                        // It may have ended meanwhile; its number is not given away before it is
                        // waited for, which takes the same lock.
                        _ = Command::new("kill")
                            .args(["-9", &process.to_string()])
                            .stderr(Stdio::null())
                            .status();
                    }
                }
            }
        });
        let Loads { mut published, refused } = loads.into_inner().unwrap();
        // The next load goes on, whatever was left.
        fs::write(here.join("last.tsv"), "last-key\tlast\n").unwrap();
        must(here, &[&["load", "last.tsv", "db", "--increment"], &LOAD[..]].concat())?;
        published.insert("last".to_owned());
        let verified = sst(here, &["verify", "db"])?;
        if verified.code != Some(0) {
            return Err(format!("damaged: {}", String::from_utf8_lossy(&verified.stdout)));
        }
        let now = String::from_utf8(content(here, "db")?).unwrap();
        let has = |tag: &String| now.contains(&format!("{tag}-key\t"));
        if let Some(lost) = published.iter().find(|tag| !has(tag)) {
            return Err(format!("{lost} reported its commit, and is not there"));
        }
        if let Some(tag) = refused.iter().find(|tag| has(tag)) {
            return Err(format!("{tag} said that nothing has changed, and is there"));
        }
        if !now.contains("key 1\told") {
            return Err("what was there before is lost".to_owned());
        }
        Ok(Verdict::Harmless)
    }
}

/// Runs a load of one entry, and notes how it ended.
fn run_load(here: &Path, tag: &str, loads: &Mutex<Loads>, running: &Mutex<BTreeSet<u32>>) {
    let input = format!("{tag}.tsv");
    fs::write(here.join(&input), format!("{tag}-key\t{}\n", "x".repeat(6000))).unwrap();
    let arguments =
        sst_arguments(&[&["load", input.as_str(), "db", "--increment"], &LOAD[..]].concat());
    let (program, arguments) = arguments.split_first().unwrap();
    let mut load = Command::new(program);
    load.args(arguments).current_dir(here).stdin(Stdio::null()).stderr(Stdio::null());
    let mut child = load.spawn().unwrap();
    let process = child.id();
    running.lock().unwrap().insert(process);
    let status = loop {
        let mut running = running.lock().unwrap();
        if let Some(status) = child.try_wait().unwrap() {
            running.remove(&process);
            break status;
        }
        drop(running);
        std::thread::sleep(Duration::from_micros(500));
    };
    let mut loads = loads.lock().unwrap();
    match status.code() {
        Some(0 | 4) => drop(loads.published.insert(tag.to_owned())),
        Some(_) => drop(loads.refused.insert(tag.to_owned())),
        // Killed: either is right.
        None => {}
    }
}

impl Cases for Races<'_> {
    type Worker = ();

    fn count(&self) -> usize {
        self.count
    }

    fn worker(&self) {}

    fn row(&self, case: usize) -> usize {
        case % HARMS.len()
    }

    fn name(&self, case: usize) -> String {
        format!("{:?}, race number {case}", HARMS[self.row(case)])
    }

    fn run(&self, (): &mut (), case: usize) -> Verdict {
        self.check(case).unwrap_or_else(Verdict::Wrong)
    }
}
