//! Bulk loads that are killed. A child process loads more than fits into its memory budget,
//! appending to the directory or replacing its content, and is killed (`SIGKILL` on Unix) at a
//! random moment of a phase. A reader must then see the content before or after this load, whole
//! and undamaged. The next load must succeed and leave only its own files.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sst_conformance::SplitMix;
use sst_writer::bulk::BulkMode;
use sst_writer::monitor::Phase;
use sst_writer::{Monitor, Publisher, PublisherOptions};
use tempfile::TempDir;

use super::crashes::{kill, publishing_here, start};
use crate::faults::scenario::{check_no_leftovers, names};
use crate::faults::{Content, Load, Seen};
use crate::model::below;
use crate::{Cases, Context, Protection, Row, Suite, Verdict};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "bulk kills",
    about: "a process is killed at a random moment of a bulk load",
    run,
};

/// First argument of a child process of this suite.
const CHILD: &str = "bulk-child";
/// Number of keys of a load. Their values do not fit into the budget.
const KEYS: u64 = 10_000;

/// The phases in which a child is killed: the byte that it prints at the start of each, and a name.
const PHASES: [(u8, Phase, &str); 3] = [
    (b'G', Phase::Read, "while records are put"),
    (b'W', Phase::Write, "while tables are written"),
    (b'P', Phase::Publish, "while they are published"),
];

/// The load with this number. Every fourth load replaces all entries. Two consecutive loads put
/// their temporary files into the same place, so that the load after a kill finds those of the
/// killed one.
fn load(number: u64) -> Load {
    Load {
        mode: if number.is_multiple_of(4) { BulkMode::Replace } else { BulkMode::Append },
        keys: KEYS,
        table_entries: KEYS / 8,
        threads: 2,
        spills_elsewhere: number / 2 % 2 == 1,
    }
}

/// The work of a child process of this suite; `None` if this process is not one.
#[must_use]
pub fn child() -> Option<ExitCode> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [child, directory, number] = arguments.as_slice() else { return None };
    if child != CHILD {
        return None;
    }
    let number = number.to_str()?.parse().ok()?;
    let reported = AtomicU8::new(0);
    let done = load_into(directory.as_ref(), number, move |phase| {
        let (index, (byte, ..)) =
            (1..).zip(PHASES).find(|(_, (_, known, _))| *known == phase).unwrap_or((0, PHASES[0]));
        if reported.fetch_max(index, Ordering::SeqCst) < index {
            let mut out = io::stdout();
            _ = out.write_all(&[byte]).and_then(|()| out.flush());
        }
    });
    Some(if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn load_into(
    directory: &Path,
    number: u64,
    begins: impl Fn(Phase) + Send + Sync + 'static,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut publisher = Publisher::open(directory, PublisherOptions::default())?;
    begins(Phase::Read);
    let load = load(number);
    let monitor = Monitor::default().progress(move |progress| begins(progress.phase));
    load.apply(&mut publisher, number, load.options(directory), &monitor)?;
    Ok(())
}

/// A directory into which one load after the other goes.
struct Target {
    parent: TempDir,
    /// Number of the next load.
    next: u64,
    content: Option<Content>,
}

impl Target {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let target = Self { parent, next: 1, content: None };
        std::fs::create_dir(Load::spilled(&target.directory())).unwrap();
        target
    }

    fn directory(&self) -> PathBuf {
        self.parent.path().join("db")
    }

    /// The content before the next load.
    fn before(&self) -> Seen {
        self.content.clone().map_or(Seen::Nothing, Seen::Commit)
    }

    /// The content after the next load.
    fn after(&self) -> Content {
        let mut content = self.content.clone().unwrap_or_default();
        load(self.next).change(&mut content, self.next);
        content
    }

    /// Starts the next load in a child process.
    fn start(&self) -> Child {
        let number = self.next.to_string();
        start(CHILD, &[self.directory().as_os_str(), OsStr::new(&number)])
    }

    /// Starts a child, kills it at a moment of a phase, and reads the directory. Returns whether
    /// the load took effect.
    fn kill(&mut self, phase: u8, moment: Duration) -> Result<bool, String> {
        let mut child = self.start();
        let mut out = child.stdout.take().unwrap();
        let mut byte = [0];
        while byte != [phase] && out.read_exact(&mut byte).is_ok() {}
        std::thread::sleep(moment);
        kill(child);
        if byte != [phase] {
            return Err("the load ended before it got there".to_owned());
        }
        let (seen, after) = (Seen::of(&self.directory())?, Seen::Commit(self.after()));
        if seen != self.before() && seen != after {
            return Err("neither the old state nor the new one is seen".to_owned());
        }
        let is_new = seen == after;
        if let Seen::Commit(content) = seen {
            self.content = Some(content);
        }
        self.next += 1;
        Ok(is_new)
    }

    /// Runs the next load without a kill. It must succeed and leave only its own files.
    fn load(&mut self) -> Result<(), String> {
        let (directory, after) = (self.directory(), self.after());
        publishing_here(|| load_into(&directory, self.next, |_| {}))
            .map_err(|error| format!("the next load fails: {error}"))?;
        if Seen::of(&directory)? != Seen::Commit(after.clone()) {
            return Err("the next load gives something else".to_owned());
        }
        check_no_leftovers(&directory)?;
        (self.content, self.next) = (Some(after), self.next + 1);
        let left = names(&Load::spilled(&self.directory()));
        if left.is_empty() { Ok(()) } else { Err(format!("left where it spills: {left:?}")) }
    }
}

struct Kills<'a> {
    context: &'a Context,
    count: usize,
    /// The duration of each phase of a load that is not killed.
    longest: [Duration; PHASES.len()],
    /// Number of kills after which the load had taken effect, by phase.
    new: [AtomicU64; PHASES.len()],
}

fn run(context: &Context) -> Vec<Row> {
    let rows = PHASES.map(|(.., name)| Row::new(format!("killed {name}"), Protection::Protected));
    let kills = Kills {
        context,
        count: if context.is_brief() { 9 } else { context.pick(21, 900) },
        longest: time(),
        new: [const { AtomicU64::new(0) }; PHASES.len()],
    };
    let rows = context.run(rows.into(), &kills).into_iter().zip(&kills.new);
    rows.map(|(row, new)| {
        let (cases, new) = (row.cases, new.load(Ordering::SeqCst));
        row.note(format!("{} of {cases} kills left the old state, {new} the new one", cases - new))
    })
    .collect()
}

/// Measures the durations of the phases of a load that is not killed.
fn time() -> [Duration; PHASES.len()] {
    let mut target = Target::new();
    target.load().unwrap();
    let mut child = target.start();
    let mut out = child.stdout.take().unwrap();
    let mut begun = Vec::new();
    let mut byte = [0];
    while out.read_exact(&mut byte).is_ok() {
        begun.push(Instant::now());
    }
    assert!(child.wait().unwrap().success());
    begun.push(Instant::now());
    assert_eq!(begun.len(), PHASES.len() + 1, "each phase is told of");
    std::array::from_fn(|phase| begun[phase + 1] - begun[phase])
}

impl Cases for Kills<'_> {
    type Worker = Target;

    fn count(&self) -> usize {
        self.count
    }

    fn worker(&self) -> Target {
        Target::new()
    }

    /// A debug build on a busy machine loads slowly.
    fn deadline(&self) -> Duration {
        Duration::from_secs(900)
    }

    fn row(&self, case: usize) -> usize {
        case % PHASES.len()
    }

    fn name(&self, case: usize) -> String {
        format!("kill number {case}, {}", PHASES[self.row(case)].2)
    }

    fn run(&self, target: &mut Target, case: usize) -> Verdict {
        let phase = self.row(case);
        let mut random = self.context.random("bulk kills", case);
        // A random moment of the phase, or shortly after it.
        let longest = usize::try_from(self.longest[phase].as_micros()).unwrap_or(usize::MAX / 2);
        let moment = Duration::from_micros(below(&mut random, longest + longest / 8 + 1) as u64);
        match kill_and_go_on(target, PHASES[phase].0, moment, &mut random) {
            Ok(is_new) => {
                self.new[phase].fetch_add(is_new.into(), Ordering::SeqCst);
                Verdict::Harmless
            }
            Err(what) => {
                *target = Target::new();
                Verdict::Wrong(what)
            }
        }
    }
}

fn kill_and_go_on(
    target: &mut Target,
    phase: u8,
    moment: Duration,
    random: &mut SplitMix,
) -> Result<bool, String> {
    // In one case of six, start with a directory that does not exist yet.
    if below(random, 6) == 0 {
        *target = Target::new();
    }
    // The next two loads use the same folder for temporary files.
    target.next += target.next % 2;
    let is_new = target.kill(phase, moment)?;
    target.load()?;
    Ok(is_new)
}
