//! Crashes: a child process publishes, gathers, bulk-loads or rolls back, and is killed (`SIGKILL`
//! on Unix) before each of its operations on files, in the middle of each write, and at random
//! moments of a sequence of commits. A reader must then see the commit before or after, whole, and
//! never an older one than the child has reported. The next writer must be able to continue.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use sst_writer::{Publisher, PublisherOptions};

use crate::faults::injector::Listing;
use crate::faults::steps::STEPS;
use crate::faults::{Action, Operation, Order, Scenario, Seen, Step, Tap, Tapped, scenario};
use crate::model::below;
use crate::{Cases, Context, Protection, Row, Suite, Verdict};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "crashes",
    about: "a process is killed at every operation of a publish, gathering, load or rollback, and at random moments",
    run,
};

/// First argument of a child process of this suite.
const CHILD: &str = "crash-child";
/// The byte that a child prints at the point where it must be killed.
const HERE: u8 = b'!';

/// The work of a child process of this suite; `None` if this process is not one.
#[must_use]
pub fn child() -> Option<ExitCode> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [child, work @ ..] = arguments.as_slice() else { return None };
    if child != CHILD {
        return None;
    }
    let result = match work {
        [directory, scenario, operation, is_torn] => {
            let number = |text: &OsString| text.to_str().unwrap().parse::<u64>().unwrap();
            publish_until(
                directory.as_ref(),
                number(scenario),
                number(operation),
                is_torn == "torn",
            )
        }
        [directory] => publish_forever(directory.as_ref()),
        _ => Err("arguments of another version".into()),
    };
    Some(if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

type ChildResult = Result<(), Box<dyn std::error::Error>>;

/// A tap that stops the process at an operation, so that it is killed there.
#[derive(Debug)]
struct Halt {
    operation: u64,
    /// Whether the first half of the operation, a write, is done before.
    is_torn: bool,
    operations: AtomicU64,
}

impl Tap for Halt {
    fn order(&self, operation: &Operation<'_>) -> Order {
        let number = self.operations.fetch_add(1, Ordering::SeqCst);
        match operation {
            Operation::Write { bytes, .. } if number == self.operation && self.is_torn => {
                // The next operation is the rest of this write.
                Order::Partial { len: bytes.len() / 2, error: None }
            }
            _ if number == self.operation + u64::from(self.is_torn) => halt(),
            _ => Order::Proceed,
        }
    }
}

/// Reports that the process has reached its point, and waits to be killed.
fn halt() -> ! {
    let mut out = io::stdout();
    _ = out.write_all(&[HERE]).and_then(|()| out.flush());
    loop {
        std::thread::park();
    }
}

fn publish_until(directory: &Path, scenario: u64, operation: u64, is_torn: bool) -> ChildResult {
    let scenarios = scenario::all();
    let scenario = scenarios.get(usize::try_from(scenario)?).ok_or("no such scenario")?;
    let file_system = Tapped::new(Halt { operation, is_torn, operations: AtomicU64::new(0) });
    scenario.commit(&mut scenario.open(directory, file_system)?)?;
    Ok(())
}

/// The step with this number of a child that publishes until it is killed.
fn endless_step(number: u64) -> Step {
    STEPS[usize::try_from(number % STEPS.len() as u64).unwrap()]
}

fn publish_forever(directory: &Path) -> ChildResult {
    let mut publisher = Publisher::open(directory, PublisherOptions::default())?;
    let mut out = io::stdout();
    for number in 1.. {
        endless_step(number).apply(&mut publisher, number)?;
        writeln!(out, "{number}")?;
        out.flush()?;
    }
    Ok(())
}

/// Locked for writing while a child is started. A new child process has copies of all open files of
/// this process until it runs its own program. If one of them were a publisher's lock file, the
/// lock would outlive that publisher. So publishers hold this lock for reading.
static STARTING: RwLock<()> = RwLock::new(());

/// Runs an action with publishers of this process.
pub(super) fn publishing_here<T>(action: impl FnOnce() -> T) -> T {
    let _not_starting = STARTING.read().unwrap_or_else(PoisonError::into_inner);
    action()
}

/// Starts this program again as the child process `child`.
pub(super) fn start(child: &str, arguments: &[&std::ffi::OsStr]) -> Child {
    let _starting = STARTING.write().unwrap_or_else(PoisonError::into_inner);
    Command::new(std::env::current_exe().unwrap())
        .arg(child)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Kills a process and waits for its end.
pub(super) fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn run(context: &Context) -> Vec<Row> {
    let scenarios = scenario::all();
    let mut operations = Vec::new();
    for (index, scenario) in scenarios.iter().enumerate() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().join("db");
        scenario.prepare(&directory);
        let file_system = Tapped::new(Listing::default());
        scenario.commit(&mut scenario.open(&directory, file_system.clone()).unwrap()).unwrap();
        // A load takes long, and most of its operations are on temporary files, so a quick run
        // samples.
        let is_load = matches!(scenario.action, Action::Load(_));
        let step = if is_load { context.pick(17, 1) } else { 1 };
        for (number, listed) in (0..).zip(file_system.tap().operations()).step_by(step) {
            // Between two reads of parts nothing changes, so a kill there shows nothing new.
            if listed.name == "read part" {
                continue;
            }
            operations.push(Kill { scenario: index, operation: number, is_torn: false });
            if listed.name == "write" {
                operations.push(Kill { scenario: index, operation: number, is_torn: true });
            }
        }
    }
    let rows = vec![
        Row::new("killed before each operation", Protection::Protected),
        Row::new("killed within each write", Protection::Protected),
    ];
    let mut rows = context.run(rows, &Kills { scenarios, kills: operations });
    let random = RandomKills { context, count: context.pick(100, 2000) };
    let row = Row::new("killed at random moments", Protection::Protected);
    rows.extend(context.run(vec![row], &random));
    rows
}

/// The point at which a child is killed.
#[derive(Clone, Copy)]
struct Kill {
    scenario: usize,
    operation: u64,
    is_torn: bool,
}

struct Kills {
    scenarios: Vec<Scenario>,
    kills: Vec<Kill>,
}

impl Cases for Kills {
    type Worker = ();

    fn count(&self) -> usize {
        self.kills.len()
    }

    fn worker(&self) {}

    fn row(&self, case: usize) -> usize {
        usize::from(self.kills[case].is_torn)
    }

    fn name(&self, case: usize) -> String {
        let Kill { scenario, operation, is_torn } = self.kills[case];
        let place = if is_torn { "within" } else { "before" };
        format!("{}, killed {place} operation {operation}", self.scenarios[scenario].name())
    }

    fn run(&self, (): &mut (), case: usize) -> Verdict {
        let Kill { scenario: index, operation, is_torn } = self.kills[case];
        let scenario = &self.scenarios[index];
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("db");
        publishing_here(|| scenario.prepare(&directory));
        let (index, operation) = (index.to_string(), operation.to_string());
        let torn = if is_torn { "torn" } else { "whole" };
        let arguments = [directory.as_os_str(), index.as_ref(), operation.as_ref(), torn.as_ref()];
        let mut child = start(CHILD, &arguments);
        let mut said = Vec::new();
        let mut out = child.stdout.take().unwrap();
        let mut byte = [0];
        if out.read_exact(&mut byte).is_ok() {
            said.push(byte[0]);
        }
        kill(child);
        if said != [HERE] {
            return Verdict::Wrong("the child did not get there".to_owned());
        }
        let checked = Seen::of(&directory).and_then(|seen| {
            if seen != scenario.seen_before() && seen != scenario.seen_after() {
                return Err("neither the old commit nor the new one is seen".to_owned());
            }
            publishing_here(|| scenario.check_next_writer(&directory, &seen))
        });
        checked.map_or_else(Verdict::Wrong, |()| Verdict::Harmless)
    }
}

struct RandomKills<'a> {
    context: &'a Context,
    count: usize,
}

impl Cases for RandomKills<'_> {
    type Worker = ();

    fn count(&self) -> usize {
        self.count
    }

    fn worker(&self) {}

    fn name(&self, case: usize) -> String {
        format!("kill number {case}")
    }

    fn run(&self, (): &mut (), case: usize) -> Verdict {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("db");
        let mut random = self.context.random("crashes", case);
        let mut child = start(CHILD, &[directory.as_os_str()]);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let commits = below(&mut random, 2 * STEPS.len());
        let mut reported = lines.by_ref().take(commits).map(|line| line.unwrap()).last();
        // A random moment of the next commit.
        std::thread::sleep(Duration::from_micros(random.word() % 20_000));
        kill(child);
        // The last line may be incomplete.
        reported = lines.map_while(Result::ok).last().or(reported);
        let reported = reported.map_or(0, |line| line.parse().unwrap_or(0));
        let steps = |count| (1..=count).map(endless_step).collect::<Vec<_>>();
        let seen = match Seen::of(&directory) {
            Ok(seen) => seen,
            Err(what) => return Verdict::Wrong(what),
        };
        if seen != Seen::after(&steps(reported)) && seen != Seen::after(&steps(reported + 1)) {
            return Verdict::Wrong(format!("neither commit {reported} nor the next is seen"));
        }
        let scenario = Scenario {
            before: steps(reported),
            has_directory: true,
            action: Action::Publish(Step::ReplaceAll),
            keep: false,
            has_parts: false,
        };
        match publishing_here(|| scenario.check_next_writer(&directory, &seen)) {
            Ok(()) => Verdict::Harmless,
            Err(what) => Verdict::Wrong(what),
        }
    }
}
