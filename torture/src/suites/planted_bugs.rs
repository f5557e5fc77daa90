//! Tests of the tests: bugs planted on purpose, one at a time, each of which some test or suite must catch.
//!
//! One build with `--cfg sst_planted` has all of them asleep; the environment variable `SST_PLANTED` wakes one. Without it,
//! everything must pass in that build too.

use crate::cargo::Cargo;
use crate::{Context, Protection, Row, Suite, Verdict};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "planted bugs",
    about: "bugs are planted one at a time, and each must be caught",
    run,
};

/// Flags of a build with all bugs asleep.
const FLAGS: &str = "--cfg sst_planted";

/// What is to catch a bug.
#[derive(Clone, Copy)]
enum Catcher {
    /// A test of a package, or all whose names begin so: package, test program, test.
    Test(&'static str, &'static [&'static str], &'static str),
    /// A suite of this program.
    Suite(&'static str),
    /// A test under the model checker.
    Model(&'static str),
}

use Catcher::{Model, Suite as BySuite, Test};

const LIB: &[&str] = &["--lib"];
const IT: &[&str] = &["--test", "it"];

/// The bugs: where they are, their names, and what catches them.
const BUGS: [(&str, &str, Catcher); 18] = [
    ("sst-format", "ratio-unchecked", Test("sst-format", LIB, "block::")),
    ("sst-format", "current-unchecked", Test("sst-format", LIB, "current::")),
    ("sst-writer", "hash-unchecked", Test("sst-writer", IT, "defects::defect_5")),
    ("sst-writer", "hash-run-split", Test("sst-writer", IT, "round_trip::")),
    ("sst-writer", "file-sync-skipped", BySuite("power loss")),
    ("sst-writer", "directory-sync-skipped", BySuite("power loss")),
    ("sst-writer", "failed-sync-forgotten", BySuite("i/o faults")),
    ("sst-writer", "temporaries-stay", BySuite("crashes")),
    ("sst-writer", "temporaries-stay", BySuite("bulk kills")),
    ("sst-reader", "checksum-unchecked", BySuite("every bit")),
    ("sst-reader", "copy-unchecked", BySuite("every bit")),
    ("sst-reader", "equal-passed-over", Test("sst-reader", LIB, "table::search::")),
    ("sst-reader", "state-lost", Model("no_state_is_lost")),
    ("sst-reader", "cache-mixes-tables", Test("sst-torture", IT, "defects::defect_8")),
    ("sst-reader", "cache-mixes-tables", Model("tables_that_share_a_cache")),
    ("sst-amqf", "slot-passed-over", Test("sst-amqf", &["--test", "filter"], "answers::")),
    ("sst-amqf", "far-run-denied", Test("sst-amqf", &["--test", "filter"], "answers::")),
    ("sst-amqf", "far-run-denied", BySuite("hostile filters")),
];

impl Catcher {
    fn name(self) -> String {
        match self {
            Test(package, _, test) => format!("test {test} of {package}"),
            BySuite(suite) => format!("suite {suite}"),
            Model(test) => format!("model checker, {test}"),
        }
    }

    /// Runs it, with a bug or without. Gives whether it found nothing wrong, or why it cannot tell.
    fn passes(self, bug: Option<&str>) -> Result<bool, String> {
        let cargo = match self {
            Test(package, program, test) => {
                let arguments = [&["test", "--package", package], program, &["--", test]].concat();
                Self::cargo(FLAGS, "planted").args(&arguments)
            }
            BySuite(suite) => {
                let program = ["run", "--package", "sst-torture", "--bin", "sst-torture"];
                let arguments = ["--", "--first-failure", "--only", suite];
                Self::cargo(FLAGS, "planted").args(&program).args(&arguments)
            }
            Model(test) => super::interleavings::cargo(test),
        };
        let ended = match bug {
            Some(bug) => cargo.env("SST_PLANTED", bug).run(),
            None => cargo.run(),
        };
        // A build that fails, or a filter that matches no test, catches nothing.
        let ran = match self {
            BySuite(_) => ended.output.contains(" run, seed "),
            Test(..) | Model(_) => ended.tests() != (0, 0),
        };
        if ran { Ok(ended.success) } else { Err(format!("nothing was run: {}", ended.tail())) }
    }

    fn cargo(flags: &str, target: &str) -> Cargo {
        // Faster than unoptimized code by more than it takes longer to build.
        Cargo::new(target, flags)
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_PROFILE_TEST_OPT_LEVEL", "1")
            .env("CARGO_PROFILE_TEST_DEBUG", "0")
    }
}

fn run(context: &Context) -> Vec<Row> {
    if !context.is_full() {
        let reason = "takes builds of its own; a full run and `cargo xtask planted` do it";
        return vec![Row::skipped("all of them", Protection::NotApplicable, reason)];
    }
    let mut control = Row::new("none: nothing may be caught", Protection::NotApplicable);
    let mut rows = Vec::new();
    let mut controlled = Vec::new();
    for (case, (package, bug, catcher)) in BUGS.into_iter().enumerate() {
        let name = catcher.name();
        if !controlled.contains(&name) {
            let verdict = match catcher.passes(None) {
                Ok(true) => Verdict::Harmless,
                Ok(false) => Verdict::Wrong("it fails without any bug".to_owned()),
                Err(what) => Verdict::Wrong(what),
            };
            control.count(case, verdict, || name.clone());
            controlled.push(name.clone());
        }
        let mut row = Row::new(format!("{bug} in {package}, {name}"), Protection::NotApplicable);
        let verdict = match catcher.passes(Some(bug)) {
            Ok(false) => Verdict::Detected,
            Ok(true) => Verdict::Wrong("the bug was not caught".to_owned()),
            Err(what) => Verdict::Wrong(what),
        };
        row.count(case, verdict, || bug.to_owned());
        rows.push(row);
    }
    rows.insert(0, control);
    rows
}
