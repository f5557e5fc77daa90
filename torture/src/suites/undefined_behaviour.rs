//! Undefined behaviour: tests run under Miri, which interprets them and reports every invalid use
//! of memory. Targets are this machine's architecture, a 32-bit one and a big-endian one. Fixed
//! tables are written and read on all of them (`conformance/tests/portable.rs`); uncompressed
//! tables must have the same bytes everywhere. Tests that take minutes and contain no `unsafe` run
//! only natively.

use crate::cargo::Cargo;
use crate::{Context, Protection, Row, Suite, Verdict};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "undefined behaviour",
    about: "tests under Miri, on 64 bits, 32 bits and big-endian",
    run,
};

/// The targets: a name and rustc's target triple.
const TARGETS: [(&str, &str); 3] = [
    ("64 bits, little-endian", "x86_64-unknown-linux-gnu"),
    ("32 bits, little-endian", "i686-unknown-linux-gnu"),
    ("64 bits, big-endian", "s390x-unknown-linux-gnu"),
];

/// The runs: a name and the arguments of `cargo miri test`. Only two packages contain `unsafe`; of
/// these, the tests beside the `unsafe` code run.
const RUNS: [(&str, &[&str]); 3] = [
    ("tables written and read back", &["--package", "sst-conformance", "--test", "portable"]),
    ("blocks and cache of the reader", &["--package", "sst-reader", "--lib", "block::"]),
    ("questions to the filter", &["--package", "sst-amqf", "--lib", "cpu::"]),
];

fn miri(arguments: &[&str]) -> Cargo {
    Cargo::of_toolchain("nightly", "miri")
        .env("MIRIFLAGS", "-Zmiri-disable-isolation")
        .args(&["miri"])
        .args(arguments)
}

fn run(context: &Context) -> Vec<Row> {
    let skipped = |name: &str, reason: &str| Row::skipped(name, Protection::NotApplicable, reason);
    if !context.is_full() {
        return vec![skipped("Miri", "takes minutes; a full run and `cargo xtask miri` do it")];
    }
    if !miri(&["--version"]).run().success {
        let reason =
            "there is no Miri here: `rustup toolchain install nightly --component miri,rust-src`";
        return vec![skipped("Miri", reason)];
    }
    let mut rows = Vec::new();
    for (kind, target) in TARGETS {
        let setup = miri(&["setup", "--target", target]).run();
        if !setup.success {
            let reason = format!("Miri has no standard library for it: {}", setup.tail());
            rows.push(skipped(kind, &reason));
            continue;
        }
        for (name, arguments) in RUNS {
            let arguments = [&["test", "--target", target], arguments].concat();
            let ended = miri(&arguments).run();
            let (passed, failed) = ended.tests();
            let mut row = Row::new(format!("{name}, {kind}"), Protection::NotApplicable);
            (row.cases, row.harmless) = (passed, passed);
            if !ended.success || passed == 0 {
                let what = format!("{failed} failed: {}", ended.complaint());
                row.count(0, Verdict::Wrong(what), || name.to_owned());
            }
            rows.push(row);
        }
    }
    rows
}
