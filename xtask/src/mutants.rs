//! Mutation testing: cargo-mutants changes one expression at a time, and some test should notice.

use std::path::Path;
use std::process::Command;

/// The packages that are mutated, each with what tests it: what is quick, so that many mutants are tried.
///
/// A mutant of the format is tested by the tests beside the code; one of the reader by those and by the quick ones of the
/// conformance package, which need both sides. No doc tests: they take longer to build than all others to run.
const PACKAGES: [(&str, &[&str], &[&str]); 2] = [
    // What plants bugs is in no build that is tested.
    ("sst-format", &["--features", "explain", "--exclude", "**/planted.rs"], &["--lib"]),
    (
        "sst-reader",
        &["--test-package", "sst-reader,sst-conformance"],
        &["--lib", "--test", "portable", "--test", "files", "--test", "certificate"],
    ),
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
    let reports = root.join("target/mutants");
    if let Err(error) = std::fs::create_dir_all(&reports) {
        println!("NOT RUN: cannot create {}: {error}", reports.display());
        return false;
    }
    let mut is_ok = true;
    for (package, tests, selection) in PACKAGES {
        println!("== {package}");
        let status = Command::new(&cargo)
            .args(["mutants", "--package", package, "--timeout", "120"])
            .args(tests)
            .arg("--output")
            .arg(reports.join(package))
            .args(arguments)
            .arg("--")
            .args(selection)
            // Nobody looks at a backtrace.
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_PROFILE_TEST_DEBUG", "0")
            .current_dir(root)
            .status();
        // Its exit code 2 says that mutants were missed, which is what the report is for.
        is_ok &= status.is_ok_and(|status| matches!(status.code(), Some(0 | 2)));
    }
    is_ok
}
