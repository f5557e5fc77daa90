//! Mutation testing: cargo-mutants changes one expression at a time, and some test should fail.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Command;

/// A package to mutate, and the tests that should catch the mutants.
struct Mutated {
    package: &'static str,
    /// Arguments of cargo-mutants.
    arguments: &'static [&'static str],
    /// Arguments of `cargo test`, also used for building. They exclude doc tests, which take longer
    /// to build than all other tests take to run.
    tests: &'static [&'static str],
}

/// The packages that are mutated. Building and running all tests of one mutant takes about 20 s of
/// one processor.
const MUTATED: [Mutated; 2] = [
    Mutated {
        package: "sst-format",
        // The code that plants bugs is in no tested build.
        arguments: &["--features", "explain", "--exclude", "**/planted.rs"],
        tests: &["--lib"],
    },
    Mutated {
        package: "sst-reader",
        arguments: &[],
        // Tests of a reader need files, so most of them are in packages that also use a writer.
        tests: &[
            "--package=sst-conformance",
            "--package=sst-torture",
            // Tests beside the code (blocks, cache, search, triage), and those of the parts of
            // torture that depend on the reader's judgement.
            "--lib",
            // Fixed tables, read in every way.
            "--test=portable",
            // Every way of opening files.
            "--test=files",
            // Certificates: the live entries, compared with the statement of the commit.
            "--test=certificate",
            // From torture: sets that are refreshed or outdated, lost keys, hostile tables and
            // directories, the original's defects.
            "--test=it",
            // Not included: reference vectors and random files, which take minutes, and the tests
            // of the command line.
        ],
    },
];

/// Highest number of seconds for the tests of one mutant: many times their need, since other
/// programs may be running.
const TIMEOUT: &str = "120";

/// Mutates each package in turn, or only the one named by `only`. The reports are written to
/// `target/mutants/PACKAGE`.
pub(crate) fn run(root: &Path, only: Option<&str>, arguments: &[String]) -> bool {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let version = Command::new(&cargo).args(["mutants", "--version"]).output();
    if !version.is_ok_and(|output| output.status.success()) {
        println!(
            "NOT RUN: there is no cargo-mutants here; `cargo install cargo-mutants` brings it"
        );
        return false;
    }
    let mutants = root.join("target/mutants");
    let tree = mutants.join("tree");
    if let Err(error) = copy(root, &tree) {
        println!("NOT RUN: cannot copy the workspace to {}: {error}", tree.display());
        return false;
    }
    let chosen = MUTATED.iter().filter(|known| only.is_none_or(|only| known.package == only));
    let (mut is_ok, mut count) = (true, 0);
    for Mutated { package, arguments: of_package, tests } in chosen {
        count += 1;
        println!("== {package}");
        let status = Command::new(&cargo)
            .args(["mutants", "--in-place", "--package", package, "--timeout", TIMEOUT])
            .args(*of_package)
            .arg("--output")
            .arg(mutants.join(package))
            .args(tests.iter().map(|test| format!("--cargo-arg={test}")))
            .args(arguments)
            .env("CARGO_TARGET_DIR", mutants.join("build"))
            // Debug information is not needed.
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_PROFILE_TEST_DEBUG", "0")
            .current_dir(&tree)
            .status();
        // Exit code 2 means missed mutants, 3 means that the tests of some mutants did not end.
        is_ok &= status.is_ok_and(|status| matches!(status.code(), Some(0 | 2 | 3)));
    }
    if count == 0 {
        println!("NOT RUN: only sst-format and sst-reader are mutated");
    }
    is_ok && count > 0
}

/// Makes `tree` a copy of all files of the workspace that git tracks or would add. The copy is
/// always at the same path and keeps the times of the files, so that cargo rebuilds only changed
/// packages.
fn copy(root: &Path, tree: &Path) -> io::Result<()> {
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let listed = Command::new("git").args(list).current_dir(root).output()?;
    if !listed.status.success() {
        return Err(io::Error::other("git cannot list its files"));
    }
    if tree.exists() {
        fs::remove_dir_all(tree)?;
    }
    for name in String::from_utf8_lossy(&listed.stdout).split_terminator('\0') {
        let (from, to) = (root.join(name), tree.join(name));
        // A listed file may have been removed since.
        if from.is_file() {
            fs::create_dir_all(to.parent().unwrap_or(tree))?;
            fs::copy(&from, &to)?;
            File::options().write(true).open(&to)?.set_modified(from.metadata()?.modified()?)?;
        }
    }
    Ok(())
}
