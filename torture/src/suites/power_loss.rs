//! Lost power: the operations of publishing, gathering, bulk-loading and rolling back are recorded.
//! After each operation, everything that was not synced may be lost, whole or in part, each effect
//! independently. A reader must then see the commit before or after, whole; after the commit was
//! reported as durable, only the commit after. The next writer must be able to continue.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use sst_format::file_name::CURRENT_FILE_NAME;

use crate::faults::disk::{Disk, Outcome, materialize};
use crate::faults::recorder::{Record, Recorder};
use crate::faults::{Action, Scenario, Seen, Tapped, scenario};
use crate::{Cases, Context, Protection, Row, Suite, Verdict};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "power loss",
    about: "after each operation of a publish, gathering, load or rollback, any unsynced part is lost",
    run,
};

/// The commits that a reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Allowed {
    Old,
    Either,
    New,
}

/// A moment of a commit.
struct Moment {
    scenario: usize,
    /// Number of operations done.
    done: usize,
    disk: Disk,
    allowed: Allowed,
}

struct PowerLosses {
    scenarios: Vec<Scenario>,
    moments: Vec<Moment>,
    /// The cases: index of the moment, and the outcome of the loss.
    cases: Vec<(usize, Outcome)>,
}

fn run(context: &Context) -> Vec<Row> {
    // The disk models only one directory, so temporary files must be in that directory.
    let (is_modelled, nowhere) = (Scenario::spilled, std::path::Path::new("db"));
    let scenarios = scenario::all();
    let scenarios =
        scenarios.into_iter().filter(|scenario| is_modelled(scenario, nowhere).is_none()).collect();
    let mut all = PowerLosses { scenarios, moments: Vec::new(), cases: Vec::new() };
    for (index, scenario) in all.scenarios.iter().enumerate() {
        all.moments.extend(moments(index, scenario));
    }
    let mut sampled = 0;
    for (index, moment) in all.moments.iter().enumerate() {
        // Most unsynced writes of a load go to temporary files, which readers ignore.
        let is_load = matches!(all.scenarios[moment.scenario].action, Action::Load(_));
        let is_early = moment.allowed == Allowed::Old && !moment.done.is_multiple_of(10);
        if is_load && is_early && !context.is_full() {
            continue;
        }
        let limit = if is_load { context.pick(6, 256) } else { context.pick(40, 4096) };
        let outcomes = moment.disk.outcomes();
        sampled += u64::from(outcomes > limit);
        let mut seen = HashSet::new();
        for outcome in 0..outcomes.min(limit) {
            let outcome = match outcome {
                // All effects kept, all lost, then mixtures.
                0 => Outcome::Number(0),
                1 => Outcome::Worst,
                _ if outcomes <= limit => Outcome::Number(outcome - 1),
                _ => Outcome::Drawn(context.random("power loss", all.cases.len()).word()),
            };
            // Many outcomes leave the same files. For example, if a name is lost, the fate of its
            // content makes no difference.
            let mut hasher = DefaultHasher::new();
            moment.disk.after_power_loss(outcome).hash(&mut hasher);
            if seen.insert(hasher.finish()) {
                all.cases.push((index, outcome));
            }
        }
    }
    let note = format!(
        "{} moments of {} commits; at {sampled} of them there are more outcomes than were tried, which were then drawn{}",
        all.moments.len(),
        all.scenarios.len(),
        context.pick("; of a load one early moment in 10", ""),
    );
    let rows = vec![
        Row::new("before CURRENT is replaced", Protection::Protected).note(note),
        Row::new("before that is durable", Protection::Protected),
        Row::new("once the commit is reported", Protection::Protected),
    ];
    context.run(rows, &all)
}

/// All moments of a commit, the first one before any operation.
fn moments(scenario_index: usize, scenario: &Scenario) -> Vec<Moment> {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("db");
    scenario.prepare(&directory);
    let mut disk = Disk::of(&directory);
    let file_system = Tapped::new(Recorder::default());
    let mut publisher = scenario.open(&directory, file_system.clone()).unwrap();
    scenario.commit(&mut publisher).unwrap();
    drop(publisher);
    let mut allowed = Allowed::Old;
    let mut moments =
        vec![Moment { scenario: scenario_index, done: 0, disk: disk.clone(), allowed }];
    for (done, record) in (1..).zip(file_system.tap().records()) {
        disk.apply(&record);
        allowed = match &record {
            Record::Name { path, .. } if path.ends_with(CURRENT_FILE_NAME) => Allowed::Either,
            Record::SyncDirectory { .. } if allowed == Allowed::Either => Allowed::New,
            _ => allowed,
        };
        moments.push(Moment { scenario: scenario_index, done, disk: disk.clone(), allowed });
    }
    assert_eq!(allowed, Allowed::New, "publishing ends with a durable commit");
    moments
}

impl Cases for PowerLosses {
    type Worker = ();

    fn count(&self) -> usize {
        self.cases.len()
    }

    fn worker(&self) {}

    fn row(&self, case: usize) -> usize {
        self.moments[self.cases[case].0].allowed as usize
    }

    fn name(&self, case: usize) -> String {
        let (moment, outcome) = self.cases[case];
        let Moment { scenario, done, .. } = self.moments[moment];
        let scenario = self.scenarios[scenario].name();
        format!("{scenario}, after {done} operations, {outcome:?}")
    }

    fn run(&self, (): &mut (), case: usize) -> Verdict {
        let (moment, outcome) = self.cases[case];
        let moment = &self.moments[moment];
        let scenario = &self.scenarios[moment.scenario];
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("db");
        materialize(&moment.disk.after_power_loss(outcome), &directory);
        let seen = match Seen::of(&directory) {
            Ok(seen) => seen,
            Err(what) => return Verdict::Wrong(what),
        };
        let is_allowed = match moment.allowed {
            Allowed::Old => seen == scenario.seen_before(),
            Allowed::Either => seen == scenario.seen_before() || seen == scenario.seen_after(),
            Allowed::New => seen == scenario.seen_after(),
        };
        if !is_allowed {
            return Verdict::Wrong(format!("the visible content is not {:?}", moment.allowed));
        }
        match scenario.check_next_writer(&directory, &seen) {
            Ok(()) => Verdict::Harmless,
            Err(what) => Verdict::Wrong(what),
        }
    }
}
