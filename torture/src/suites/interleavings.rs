//! Interleavings: the model checker loom tries every order in which a few threads can look up
//! blocks, verify them and share the cache, including relaxed memory orders. The models are in
//! `sst-reader/src/block/model.rs`.

use crate::cargo::Cargo;
use crate::{Context, Protection, Row, Suite, Verdict};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "interleavings",
    about: "a model checker tries every interleaving of a few threads",
    run,
};

/// The cargo that runs or builds the tests of the models. The build contains the planted bugs,
/// disabled.
pub(super) fn cargo() -> Cargo {
    Cargo::new("loom", "--cfg loom --cfg sst_planted")
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_PROFILE_TEST_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_TEST_DEBUG", "0")
        .args(&["test", "--package", "sst-reader", "--lib"])
}

fn run(context: &Context) -> Vec<Row> {
    let row = Row::new("every interleaving", Protection::NotApplicable);
    if !context.is_full() {
        let reason = "needs a separate build; a full run and `cargo xtask model` do it";
        return vec![Row::skipped(row.test, row.protection, reason)];
    }
    let ended = cargo().args(&["--", "--nocapture", "model::"]).run();
    let mut rows: Vec<Row> = ended
        .output
        .lines()
        .filter_map(|line| line.split_once("model ")?.1.rsplit_once(": "))
        .filter_map(|(name, count)| {
            let count: u64 = count.strip_suffix(" interleavings")?.parse().ok()?;
            let mut row = Row::new(name, Protection::NotApplicable);
            (row.cases, row.harmless) = (count, count);
            Some(row)
        })
        .collect();
    if !ended.success || rows.is_empty() {
        let mut row = row;
        row.count(0, Verdict::Wrong(ended.tail()), || "a model".to_owned());
        rows.push(row);
    }
    rows
}
