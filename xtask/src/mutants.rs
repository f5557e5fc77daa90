//! Mutation testing: cargo-mutants changes one expression at a time, and some test should notice.

use std::path::Path;
use std::process::Command;

/// The packages that are mutated, each with what tests it.
///
/// A mutant of the format is tested by the tests beside the code and by the writer's and the filter's; one of the reader by
/// those and by all tests that need both sides.
const PACKAGES: [(&str, &[&str]); 2] = [
    ("sst-format", &["--features", "explain", "--test-package", "sst-format,sst-conformance"]),
    ("sst-reader", &["--test-package", "sst-reader,sst-conformance,sst-torture"]),
];

/// Mutates each package in turn. The reports are left in `target/mutants/PACKAGE`.
pub(crate) fn run(root: &Path, arguments: &[String]) -> bool {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let version = Command::new(&cargo).args(["mutants", "--version"]).output();
    if !version.is_ok_and(|output| output.status.success()) {
        println!(
            "NOT RUN: there is no cargo-mutants here; `cargo install cargo-mutants` brings it"
        );
        return false;
    }
    let mut is_ok = true;
    for (package, tests) in PACKAGES {
        let output = root.join("target/mutants").join(package);
        println!("== {package}");
        let status = Command::new(&cargo)
            .args(["mutants", "--package", package, "--timeout", "120", "--no-shuffle"])
            .args(tests)
            .arg("--output")
            .arg(output)
            .args(arguments)
            .current_dir(root)
            .status();
        // Its exit code 2 says that mutants were missed, which is what the report is for.
        is_ok &= status.is_ok_and(|status| matches!(status.code(), Some(0 | 2)));
    }
    is_ok
}
