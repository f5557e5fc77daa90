//! Tests of the tests: bugs are planted on purpose, one at a time, and some test or suite must
//! catch each of them. Every suite of this program has at least one bug to catch.
//!
//! Two builds with `--cfg sst_planted` contain all bugs, disabled. The environment variable
//! `SST_PLANTED` enables one. Without it, all tests must pass in these builds too. One build is
//! that of the model checker. The other one compiles only the packages of this workspace, and takes
//! other packages from the ordinary builds of tests.

use std::process::Command;

use tempfile::TempDir;

use super::interleavings;
use crate::cargo::{Cargo, Ended};
use crate::programs::Programs;
use crate::{Context, Protection, Row, Suite, Verdict};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "planted bugs",
    about: "bugs are planted one at a time, and each must be caught",
    run,
};

/// The test or suite that must catch a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Catcher {
    /// All tests whose names start like this: package, test program, start of the name.
    Test(&'static str, &'static str, &'static str),
    /// A brief run of a suite of this program.
    Suite(&'static str),
    /// A brief run of a suite that kills at random moments. It may need several runs until a kill
    /// hits the critical moment.
    Kills(&'static str),
    /// A test that the model checker runs.
    Model(&'static str),
}

use Catcher::{Kills, Model, Suite as BySuite, Test};

/// The bugs: crate, name, and the test or suite that must catch the bug.
const BUGS: [(&str, &str, Catcher); 36] = [
    ("sst-format", "ratio-unchecked", Test("sst-format", "sst_format", "block::")),
    ("sst-format", "ratio-unchecked", BySuite("hostile tables")),
    ("sst-format", "current-unchecked", Test("sst-format", "sst_format", "current::")),
    ("sst-writer", "hash-unchecked", Test("sst-writer", "it", "defects::defect_5")),
    ("sst-writer", "hash-run-split", BySuite("hostile entries")),
    ("sst-writer", "file-sync-skipped", BySuite("power loss")),
    ("sst-writer", "directory-sync-skipped", BySuite("power loss")),
    ("sst-writer", "failed-sync-forgotten", BySuite("i/o faults")),
    // Only gathered commits contain these two.
    ("sst-writer", "gathered-sync-skipped", BySuite("power loss")),
    ("sst-writer", "gathered-copies-stay", BySuite("i/o faults")),
    ("sst-writer", "temporaries-stay", BySuite("crashes")),
    ("sst-writer", "inputs-removed-early", BySuite("crashes")),
    ("sst-writer", "inputs-removed-early", BySuite("processes")),
    ("sst-writer", "inputs-removed-early", Kills("merge kills")),
    ("sst-writer", "directory-unlocked", Test("sst-writer", "it", "ownership::a_second_writer")),
    ("sst-writer", "directory-unlocked", BySuite("processes")),
    ("sst-writer", "temporaries-stay", Kills("publish kills")),
    ("sst-writer", "temporaries-stay", Kills("bulk kills")),
    ("sst-writer", "temporaries-stay", Kills("mirror kills")),
    ("sst-reader", "checksum-unchecked", BySuite("every bit")),
    ("sst-reader", "copy-unchecked", BySuite("every bit")),
    ("sst-reader", "flip-in-file-unnamed", BySuite("every bit")),
    ("sst-reader", "copy-unchecked", BySuite("other damage")),
    ("sst-reader", "chain-unchecked", Test("sst-reader", "it", "directories::a_damaged_head")),
    ("sst-reader", "missing-file-blamed-on-system", BySuite("hostile directories")),
    ("sst-reader", "refresh-mixes-commits", BySuite("concurrency")),
    ("sst-reader", "equal-passed-over", Test("sst-reader", "sst_reader", "table::search::")),
    ("sst-reader", "far-entry-missed", Test("sst-reader", "it", "tables::hashes_that_are_not")),
    ("sst-reader", "column-half-filled", Test("sst-reader", "it", "many_layers::the_newest")),
    ("sst-reader", "state-lost", Model("no_state_is_lost")),
    ("sst-reader", "tables-share-slots", Model("tables_that_share")),
    ("sst-reader", "cache-mixes-tables", Test("torture", "it", "defects::defect_8")),
    ("sst-amqf", "slot-passed-over", Test("sst-amqf", "filter", "answers::")),
    ("sst-amqf", "slot-passed-over", BySuite("hostile filters")),
    ("sst-amqf", "far-run-denied", Test("sst-amqf", "filter", "answers::")),
    ("sst-amqf", "far-run-denied", BySuite("hostile filters")),
];

/// Highest number of runs in which a suite with random kills must catch a bug.
const TRIES: usize = 20;

/// Programs that contain all bugs, disabled.
struct Planted {
    usual: Programs,
    /// The folder with copies of those programs of `usual` that another build would overwrite.
    _kept: TempDir,
    modelled: Programs,
}

impl Planted {
    fn build() -> Result<Self, String> {
        let cargo = || {
            let cargo = Cargo::with_cfg("sst_planted").map_err(|error| error.to_string())?;
            Ok::<_, String>(
                cargo
                    .env("CARGO_INCREMENTAL", "0")
                    .env("CARGO_PROFILE_DEV_DEBUG", "0")
                    .env("CARGO_PROFILE_TEST_DEBUG", "0")
                    .args(&["test", "--no-run"]),
            )
        };
        // Two builds, since one build of all packages would build tests that are not run here. The
        // second one builds this program too, together with its tests. Nothing of sst-benches is
        // built: it is here for the features of its dependencies, so that parquet and others are
        // those of `cargo test --workspace`.
        let units = cargo()?.args(&["--lib", "--package", "sst-format", "--package", "sst-reader"]);
        let others = cargo()?
            .args(&["--test", "it", "--test", "filter", "--package", "sst-writer"])
            .args(&["--package", "sst-reader", "--package", "sst-amqf", "--package", "sst-torture"])
            .args(&["--package", "sst-benches"]);
        let mut usual = Programs::build(others)?;
        usual.extend(Programs::build(units)?);
        let kept = tempfile::tempdir().map_err(|error| error.to_string())?;
        usual.keep_binaries(kept.path()).map_err(|error| error.to_string())?;
        let modelled = interleavings::cargo().args(&["--no-run"]);
        Ok(Self { usual, _kept: kept, modelled: Programs::build(modelled)? })
    }

    /// The command that runs a catcher.
    fn command(&self, catcher: Catcher) -> Option<Command> {
        let mut command = match catcher {
            Test(package, program, _) => self.usual.test(package, program),
            BySuite(_) | Kills(_) => self.usual.binary("torture", "sst-torture"),
            Model(_) => self.modelled.test("sst-reader", "sst_reader"),
        }?;
        match catcher {
            Test(_, _, test) | Model(test) => command.arg(test),
            BySuite(suite) | Kills(suite) => {
                command.args(["--brief", "--first-failure", "--only", suite])
            }
        };
        Some(command)
    }

    /// Runs a catcher with a bug or without. Returns whether it passed, or why it did not run.
    fn passes(&self, catcher: Catcher, bug: Option<&str>) -> Result<bool, String> {
        let mut command = self.command(catcher).ok_or("there is no such program")?;
        command.env_remove("SST_PLANTED").envs(bug.map(|bug| ("SST_PLANTED", bug)));
        // Do not save failing cases of proptest: a failure by a planted bug is not a regression.
        command.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true");
        let ended = Ended::of(&mut command);
        // Check that something ran. A filter that matches no test, or a suite that ends before its
        // table, would pass or fail for the wrong reason.
        let ran = match catcher {
            BySuite(_) | Kills(_) => ended.output.contains(" run, seed "),
            Test(..) | Model(_) => ended.tests() != (0, 0),
        };
        if ran { Ok(ended.success) } else { Err(format!("nothing was run: {}", ended.tail())) }
    }
}

impl Planted {
    /// Whether a catcher misses an enabled bug in all of its runs.
    fn misses(&self, catcher: Catcher, bug: &str) -> Result<bool, String> {
        let tries = if matches!(catcher, Kills(_)) { TRIES } else { 1 };
        for _ in 0..tries {
            if !self.passes(catcher, Some(bug))? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Catcher {
    fn name(self) -> String {
        match self {
            Test(package, _, test) => format!("test {test} of {package}"),
            BySuite(suite) | Kills(suite) => format!("suite {suite}"),
            Model(test) => format!("model checker, {test}"),
        }
    }
}

fn run(context: &Context) -> Vec<Row> {
    let row = |name: &str| Row::new(name, Protection::NotApplicable);
    if !context.is_full() {
        let reason = "needs separate builds; a full run and `cargo xtask planted` do it";
        return vec![Row::skipped("all of them", Protection::NotApplicable, reason)];
    }
    let planted = match Planted::build() {
        Ok(planted) => planted,
        Err(what) => {
            let mut row = row("all of them");
            row.count(0, Verdict::Wrong(what), || "the builds".to_owned());
            return vec![row];
        }
    };
    let mut control = row("none: nothing may be caught");
    let mut rows = Vec::new();
    let mut controlled = Vec::new();
    for (case, (package, bug, catcher)) in BUGS.into_iter().enumerate() {
        if catcher == BySuite("processes") && !super::processes::has_strace() {
            let reason = "there is no strace here";
            rows.push(Row::skipped(bug, Protection::NotApplicable, reason));
            continue;
        }
        if !controlled.contains(&catcher) {
            controlled.push(catcher);
            let verdict = match planted.passes(catcher, None) {
                Ok(true) => Verdict::Harmless,
                Ok(false) => Verdict::Wrong("it fails without any bug".to_owned()),
                Err(what) => Verdict::Wrong(what),
            };
            control.count(case, verdict, || catcher.name());
        }
        let mut row = row(&format!("{bug} in {package}, {}", catcher.name()));
        let verdict = match planted.misses(catcher, bug) {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Suites without a bug to catch, since they run other tests: under Miri and with planted bugs.
    const OTHERS: [&str; 2] = ["undefined behaviour", "planted bugs"];

    #[test]
    fn every_suite_has_a_bug_to_catch() {
        let catches = |suite: &'static str| match suite {
            "interleavings" => BUGS.iter().any(|(_, _, by)| matches!(by, Model(_))),
            _ => BUGS.iter().any(|(_, _, by)| *by == BySuite(suite) || *by == Kills(suite)),
        };
        for suite in super::super::ALL {
            assert_ne!(catches(suite.name), OTHERS.contains(&suite.name), "{}", suite.name);
        }
    }
}
